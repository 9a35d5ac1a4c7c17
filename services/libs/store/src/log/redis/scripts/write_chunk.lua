-- Writes a chunk of the snapshot that is under way.
--
-- Keys: 1 meta, 2 the snapshot.
-- Arguments: 1 log, 2 opening, 3 slot, 4 number, 5 chunk with its digest.
-- Answers: {"gone"}                  there is no such log any more
--          {"fenced", fence, last}   another one leads
--          {"current"}               the slot holds the snapshot that counts
--          {"done"}
local meta = redis.call('HMGET', KEYS[1], 'log', 'opening', 'fence', 'last', 'slot')
if meta[1] ~= ARGV[1] then
  return {'gone'}
end
if meta[2] ~= ARGV[2] then
  return {'fenced', meta[3], meta[4]}
end
if meta[5] == ARGV[3] then
  return {'current'}
end
redis.call('HSET', KEYS[2], ARGV[4], ARGV[5])
return {'done'}
