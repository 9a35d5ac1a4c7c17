-- Lets the oldest batches go, as far as the newest snapshot holds them.
--
-- Keys: 1 meta, 2 events.
-- Arguments: 1 log, 2 opening, 3 number of the last event that may go.
-- Answers: {"gone"}                  there is no such log any more
--          {"fenced", fence, last}   another one leads
--          {"done", first event that is kept}
local meta = redis.call('HMGET', KEYS[1], 'log', 'opening', 'fence', 'last', 'snapshot')
if meta[1] ~= ARGV[1] then
  return {'gone'}
end
if meta[2] ~= ARGV[2] then
  return {'fenced', meta[3], meta[4]}
end
local upto = math.min(tonumber(ARGV[3]), tonumber(meta[5] or '0'))
redis.call('XTRIM', KEYS[2], 'MINID', string.format('%.0f', upto + 1))
local first = tonumber(meta[4]) + 1
local kept = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
if kept then
  local last, count = string.match(kept[1], '^(%d+)-(%d+)$')
  first = tonumber(last) - tonumber(count) + 1
end
first = string.format('%.0f', first)
redis.call('HSET', KEYS[1], 'first', first)
return {'done', first}
