-- What wrk counts for scripts/load, of one thread. Two variables of the environment say what is wanted:
--   ADDRESSES  send so many requests, each with an address of its own in X-Forwarded-For, and stop
--   LEAD       count nothing in the first so many seconds: what a quota saved up is spent then
-- It writes one line to standard error: requests, those answered 200, 429 and otherwise, those that broke,
-- the seconds between the first and the last 200 that was counted, and the seconds in all.

local ffi = require("ffi")
ffi.cdef([[
  struct time { long seconds; long nanoseconds; };
  int clock_gettime(int clock, struct time *now);
]])
local monotonic, time = 1, ffi.new("struct time")
local function now()
  ffi.C.clock_gettime(monotonic, time)
  return tonumber(time.seconds) + tonumber(time.nanoseconds) * 1e-9
end

local addresses = tonumber(os.getenv("ADDRESSES") or "")
local lead = tonumber(os.getenv("LEAD") or "0")
local sent, begin = 0, nil

-- Globals, for `done` to read out of the thread.
ok, limited, other, first, last = 0, 0, 0, 0, 0

function report(counts, broken, seconds)
  io.stderr:write(string.format("%d %d %d %d %d %.6f %.6f\n", counts.ok + counts.limited + counts.other,
    counts.ok, counts.limited, counts.other, broken, counts.span, seconds))
end

if addresses then
  request = function()
    sent = sent + 1
    local high, middle = math.floor(sent / 65536), math.floor(sent / 256) % 256
    local one = string.format("10.%d.%d.%d", high, middle, sent % 256)
    return wrk.format("GET", nil, { ["x-forwarded-for"] = one })
  end
end

response = function(status)
  local at = now()
  begin = begin or at
  if at < begin + lead then
    if status ~= 200 and status ~= 429 then other = other + 1 end
    return
  end
  if status == 200 then
    ok = ok + 1
    if first == 0 then first = at end
    last = at
  elseif status == 429 then
    limited = limited + 1
  else
    other = other + 1
  end
  if addresses and ok + limited + other >= addresses then
    -- wrk sleeps through its duration whatever its threads do.
    report({ ok = ok, limited = limited, other = other, span = last - first }, 0, at - begin)
    os.exit(0)
  end
end

local threads = {}
function setup(thread) table.insert(threads, thread) end

function done(summary)
  local function of(name) return threads[1]:get(name) end
  local errors = summary.errors
  local broken = errors.connect + errors.read + errors.write + errors.timeout
  local counts = { ok = of("ok"), limited = of("limited"), other = of("other"), span = of("last") - of("first") }
  report(counts, broken, summary.duration / 1e6)
end
