
-- What the scripts of a `RedisStore` share. The log is one key, a stream, and what is known of it
-- stands in that key, so that nothing can take the one without the other: a consumer group without
-- consumers is named after the epoch, its last-delivered id is the newest entry that was trimmed,
-- and its entries-read say how many were removed by then.
local key = KEYS[1]
local PREFIX = 'bartizan:'

local function fields(flat)
  local named = {}
  for i = 1, #flat, 2 do
    named[flat[i]] = flat[i + 1]
  end
  return named
end

local function find()
  if redis.call('EXISTS', key) == 0 then
    return nil
  end
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', key)) do
    local log = fields(group)
    if string.sub(log.name, 1, #PREFIX) == PREFIX then
      return log
    end
  end
end

local function open(epoch)
  local log = find()
  if not log then
    redis.call('XGROUP', 'CREATE', key, PREFIX .. epoch, '0', 'MKSTREAM')
    log = find()
  end
  return log
end

-- `last` is the newest entry that was trimmed.
local function set_floor(log, last)
  local stream = fields(redis.call('XINFO', 'STREAM', key))
  local removed = stream['entries-added'] - stream.length
  redis.call('XGROUP', 'SETID', key, log.name, last, 'ENTRIESREAD', removed)
end

-- Trims some of what is over `most` entries or older than `age` milliseconds; answers how many.
local function prune(log, most, age)
  local now = redis.call('TIME')
  local oldest = now[1] * 1000 + now[2] / 1000 - age
  local length = redis.call('XLEN', key)
  local gone, last = 0, nil
  local function is_over(entry)
    local at = tonumber(string.match(entry[1], '^%d+'))
    return length - gone > most or at < oldest
  end
  local first = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)[1]
  if not first or not is_over(first) then
    return 0
  end
  for _, entry in ipairs(redis.call('XRANGE', key, '-', '+', 'COUNT', 128)) do
    if not is_over(entry) then
      break
    end
    gone, last = gone + 1, entry[1]
  end
  redis.call('XTRIM', key, 'MAXLEN', '=', length - gone)
  set_floor(log, last)
  return gone
end

