-- Takes cells from one bucket: in all of its windows, or in none.
--
-- KEYS[1]  the bucket: the theoretical arrival time of each window, then the length of each when it was
--          written, `t1:t2:..:l1:l2:..`, in microseconds
-- ARGV     cells (a negative number puts back); further cells for others who wait, as many as there are;
--          cells in advance, as long as a fifth of each window stays; then the interval and the length
--          of each window in microseconds
-- answers  1 or 0; further cells taken; cells taken in advance; now; the arrival time of each window
--
-- Only this server's clock is asked, so that no client's matters. All numbers are whole and below 2^53.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local cells, further, advance = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local windows = (#ARGV - 3) / 2

-- What is not a bucket, or one of another number of windows or of one that is longer than any, counts as none.
local stored = {}
local text = redis.pcall('GET', KEYS[1])
if type(text) == 'string' and string.find(text, '^[%d:]+$') then
  for digits in string.gmatch(text, '%d+') do
    stored[#stored + 1] = tonumber(digits)
  end
end
if #stored ~= 2 * windows or math.max(unpack(stored, windows + 1)) > 2 ^ 52 then
  stored = {}
end

-- A time that is further off than its window is long was written under a clock that has gone back since.
-- One that is beyond this window alone is that of a process with another quota, and stays: brought down to
-- this window, it would be room in the other.
local enough, late = true, false
local times, lengths = {}, {}
for i = 1, windows do
  local interval, length = tonumber(ARGV[2 + 2 * i]), tonumber(ARGV[3 + 2 * i])
  local ceiling = now + length
  local written = math.max(stored[windows + i] or 0, length)
  local time = math.max(stored[i] or 0, now)
  if time > now + written then
    late, time = true, ceiling
  end
  times[i], lengths[i] = time, time > ceiling and written or length
  local left = ceiling - time - cells * interval
  enough = enough and (left >= 0 or cells <= 0)
  local whole = math.floor(left / interval)
  further = math.min(further, whole)
  advance = math.min(advance, whole - further - math.ceil(length / interval / 5))
end

if enough then
  further, advance = math.max(further, 0), math.max(advance, 0)
  for i = 1, windows do
    times[i] = math.max(times[i] + (cells + further + advance) * tonumber(ARGV[2 + 2 * i]), 0)
  end
else
  further, advance = 0, 0
end

-- A refusal writes nothing, unless the clock has gone back: then its caller waits a window, not the jump.
if enough and cells + further + advance ~= 0 or late then
  local texts = {}
  for i = 1, windows do
    texts[i] = string.format('%.0f', times[i])
    texts[windows + i] = string.format('%.0f', lengths[i])
  end
  -- A key that expires a moment too soon hands out early, and the server counts from the last millisecond.
  local left = math.ceil((math.max(unpack(times)) - now) / 1000) + 1
  if left > 1 then
    redis.call('SET', KEYS[1], table.concat(texts, ':'), 'PX', string.format('%.0f', left))
  else
    redis.call('DEL', KEYS[1])
  end
end

return { enough and 1 or 0, further, advance, now, unpack(times) }
