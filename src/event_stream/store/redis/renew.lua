-- ARGV: the epoch that ends, unless it has ended, and the one that begins.
local log = find()
if log and log.name == PREFIX .. ARGV[1] then
  redis.call('XGROUP', 'DESTROY', key, log.name)
  redis.call('XGROUP', 'CREATE', key, PREFIX .. ARGV[2], log['last-delivered-id'],
    'ENTRIESREAD', log['entries-read'] or -1)
end
return 0
