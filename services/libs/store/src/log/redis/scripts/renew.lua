-- Keeps the lease, or takes it again when it ran out and nobody else took it.
--
-- Keys: 1 meta, 2 lease.
-- Arguments: 1 log, 2 opening, 3 place, 4 holder, 5 milliseconds of the lease.
-- Answers: {"gone"}                  there is no such log any more
--          {"fenced", fence, last}   another one leads
--          {"done", last}
local meta = redis.call('HMGET', KEYS[1], 'log', 'opening', 'fence', 'last')
if meta[1] ~= ARGV[1] then
  return {'gone'}
end
if meta[2] ~= ARGV[2] then
  return {'fenced', meta[3], meta[4]}
end
redis.call('HSET', KEYS[2], 'place', ARGV[3], 'holder', ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
return {'done', meta[4]}
