-- Appends a batch, events and payloads, all or nothing.
--
-- Keys: 1 meta, 2 events, 3 payloads.
-- Arguments: 1 log, 2 opening, 3 fence, 4 number of the event that the batch follows on, 5 number of its events,
--   6 batch id, 7 digest, 8 encoded events, 9 number of payloads, then key and value of each payload,
--   then the keys of the payloads that go.
-- Answers: {"gone"}                  there is no such log any more
--          {"fenced", fence, last}   another one leads
--          {"sequence", last}        the batch does not follow on the last event
--          {"again", last}           the batch was applied before
--          {"done", last}
local AT_ONCE = 1000
local meta = redis.call('HMGET', KEYS[1], 'log', 'opening', 'last', 'fence')
if meta[1] ~= ARGV[1] then
  return {'gone'}
end
if meta[2] ~= ARGV[2] then
  return {'fenced', meta[4], meta[3]}
end
local last = string.format('%.0f', tonumber(ARGV[4]) + tonumber(ARGV[5]))
local id = last .. '-' .. ARGV[5]
if meta[3] ~= ARGV[4] then
  local found = redis.call('XRANGE', KEYS[2], id, id)[1]
  if found and found[2][2] == ARGV[6] then
    return {'again', meta[3]}
  end
  return {'sequence', meta[3]}
end
redis.call('XADD', KEYS[2], id, 'batch', ARGV[6], 'fence', ARGV[3], 'crc', ARGV[7], 'events', ARGV[8])
local payloads = 9 + 2 * tonumber(ARGV[9])
for from = 10, payloads, 2 * AT_ONCE do
  redis.call('HSET', KEYS[3], unpack(ARGV, from, math.min(from + 2 * AT_ONCE - 1, payloads)))
end
for from = payloads + 1, #ARGV, AT_ONCE do
  redis.call('HDEL', KEYS[3], unpack(ARGV, from, math.min(from + AT_ONCE - 1, #ARGV)))
end
redis.call('HSET', KEYS[1], 'last', last)
return {'done', last}
