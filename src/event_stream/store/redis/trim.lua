-- ARGV: the epoch of the ids, the newest that goes, and the one after it.
local log = find()
if not log or log.name ~= PREFIX .. ARGV[1] then
  return 0
end
local last = redis.call('XREVRANGE', key, ARGV[2], '-', 'COUNT', 1)[1]
if not last then
  return 0
end
local gone = redis.call('XTRIM', key, 'MINID', '=', ARGV[3])
set_floor(log, last[1])
return gone
