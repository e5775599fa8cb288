-- ARGV: an epoch for a log that has none, an id to look for, and a range: the command, its two ends,
-- and how many entries.
local log = open(ARGV[1])
local stream = fields(redis.call('XINFO', 'STREAM', key))
local last = stream['last-entry']
local entries = {}
if tonumber(ARGV[6]) > 0 then
  entries = redis.call(ARGV[3], key, ARGV[4], ARGV[5], 'COUNT', ARGV[6])
end
return {
  {log.name, log['last-delivered-id'], log['entries-read'] or -1},
  {stream.length, stream['entries-added'], stream['max-deleted-entry-id'],
    stream['last-generated-id'], stream['recorded-first-entry-id'], last and last[1] or '0-0'},
  #redis.call('XRANGE', key, ARGV[2], ARGV[2], 'COUNT', 1),
  entries,
}
