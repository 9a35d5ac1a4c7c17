-- Makes room for a new snapshot beside the one that counts.
--
-- Keys: 1 meta, 2 snapshot 0, 3 snapshot 1.
-- Arguments: 1 log, 2 opening.
-- Answers: {"gone"}                  there is no such log any more
--          {"fenced", fence, last}   another one leads
--          {"done", slot}            where the new one is written
local meta = redis.call('HMGET', KEYS[1], 'log', 'opening', 'fence', 'last', 'slot')
if meta[1] ~= ARGV[1] then
  return {'gone'}
end
if meta[2] ~= ARGV[2] then
  return {'fenced', meta[3], meta[4]}
end
local slot = meta[5] == '0' and 1 or 0
redis.call('UNLINK', KEYS[2 + slot])
return {'done', tostring(slot)}
