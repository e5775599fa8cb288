-- Puts a bucket back to what it was, if nobody has touched it since.
--
-- Taking off what was added would hand out early what others have counted on meanwhile.
--
-- KEYS[1]  the bucket
-- ARGV     what was left there; what to put back; the latest of its times, in microseconds
-- answers  1 or 0
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
local clock = redis.call('TIME')
local left = math.ceil((ARGV[3] - clock[1] * 1000000 - clock[2]) / 1000) + 1
if left > 1 then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', string.format('%.0f', left))
else
  redis.call('DEL', KEYS[1])
end
return 1
