-- Takes the lease, and with it a new fence; makes the log where there was none.
--
-- Keys: 1 meta, 2 lease, 3 events.
-- Arguments: 1 format, 2 place, 3 opening, 4 holder, 5 milliseconds of the lease, 6 id of a new log,
--   7 fence that the new one is above, 8 whether a log may be made (1 or 0), 9 id that the log must have, or nothing.
-- Answers: {"held", holder, milliseconds left}     another place leads
--          {"missing"}                             there is no log, and none may be made
--          {"format", format}                      a log of another format
--          {"other", id}                           a log with another id
--          {"opened", id, fence, first, last, snapshot or "", first stored event or "", last stored event or ""}
local held = redis.call('HMGET', KEYS[2], 'place', 'holder')
if held[1] and held[1] ~= ARGV[2] then
  return {'held', held[2] or '', string.format('%.0f', redis.call('PTTL', KEYS[2]))}
end
local meta = redis.call('HMGET', KEYS[1], 'format', 'log', 'fence')
if not meta[1] then
  if ARGV[8] ~= '1' or redis.call('EXISTS', KEYS[3]) == 1 then
    return {'missing'}
  end
  redis.call('HSET', KEYS[1], 'format', ARGV[1], 'log', ARGV[6], 'fence', '0', 'first', '1', 'last', '0', 'slot', '0')
  meta = {ARGV[1], ARGV[6], '0'}
end
if meta[1] ~= ARGV[1] then
  return {'format', meta[1]}
end
if ARGV[9] ~= '' and meta[2] ~= ARGV[9] then
  return {'other', meta[2]}
end
local fence = string.format('%.0f', math.max(tonumber(meta[3]), tonumber(ARGV[7])) + 1)
redis.call('HSET', KEYS[1], 'fence', fence, 'opening', ARGV[3])
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], 'place', ARGV[2], 'holder', ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
local at = redis.call('HMGET', KEYS[1], 'first', 'last', 'snapshot')
local first = redis.call('XRANGE', KEYS[3], '-', '+', 'COUNT', 1)[1]
local last = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)[1]
return {'opened', meta[2], fence, at[1], at[2], at[3] or '', first and first[1] or '', last and last[1] or ''}
