-- Writes the manifest: the new snapshot counts from here on, and the older one goes.
--
-- Keys: 1 meta, 2 snapshot 0, 3 snapshot 1.
-- Arguments: 1 log, 2 opening, 3 slot of the new one, 4 the last event that it holds, 5 number of its chunks, 6 digest.
-- Answers: {"gone"}                  there is no such log any more
--          {"fenced", fence, last}   another one leads
--          {"incomplete", chunks}    chunks are missing
--          {"done"}
local meta = redis.call('HMGET', KEYS[1], 'log', 'opening', 'fence', 'last')
if meta[1] ~= ARGV[1] then
  return {'gone'}
end
if meta[2] ~= ARGV[2] then
  return {'fenced', meta[3], meta[4]}
end
local slot = tonumber(ARGV[3])
local chunks = redis.call('HLEN', KEYS[2 + slot])
if chunks ~= tonumber(ARGV[5]) then
  return {'incomplete', tostring(chunks)}
end
redis.call('HSET', KEYS[1], 'snapshot', ARGV[4], 'chunks', ARGV[5], 'crc', ARGV[6], 'slot', ARGV[3])
redis.call('UNLINK', KEYS[3 - slot])
return {'done'}
