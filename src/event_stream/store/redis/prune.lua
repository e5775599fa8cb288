-- ARGV: most entries, and their age.
local log = find()
return log and prune(log, tonumber(ARGV[1]), tonumber(ARGV[2])) or 0
