-- Gives the lease back, so that the next one need not wait for its end.
--
-- Keys: 1 meta, 2 lease.
-- Arguments: 1 log, 2 opening.
-- Answers: {"done"}
local meta = redis.call('HMGET', KEYS[1], 'log', 'opening')
if meta[1] == ARGV[1] and meta[2] == ARGV[2] then
  redis.call('DEL', KEYS[2])
end
return {'done'}
