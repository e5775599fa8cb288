-- ARGV: an epoch for a log that has none, most entries, their age, and the entry's fields.
local log = open(ARGV[1])
local id = redis.call('XADD', key, '*', unpack(ARGV, 4))
local stream = fields(redis.call('XINFO', 'STREAM', key))
if stream['entries-added'] % 64 == 0 then
  prune(log, tonumber(ARGV[2]), tonumber(ARGV[3]))
end
return {log.name, id}
