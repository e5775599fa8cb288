-- ARGV: the newest id that goes, and the id after it.
local log = find()
local last = log and redis.call('XREVRANGE', key, ARGV[1], '-', 'COUNT', 1)[1]
if not last then
  return 0
end
local gone = redis.call('XTRIM', key, 'MINID', '=', ARGV[2])
set_floor(log, last[1])
return gone
