-- Posts BODY to the address under test as JSON, with KEY where one is set, and to one after another of IDS below it where
-- there are any; at the end prints what was seen as one line of JSON.
wrk.method = "POST"
wrk.body = os.getenv("BODY")
wrk.headers["Content-Type"] = "application/json"
if os.getenv("KEY") ~= "" then
  wrk.headers["X-API-Key"] = os.getenv("KEY")
end

local requests, turn = {}, 0

function init(args)
  for id in string.gmatch(os.getenv("IDS") or "", "[^,]+") do
    requests[#requests + 1] = wrk.format(nil, wrk.path .. id)
  end
  if #requests == 0 then
    requests[1] = wrk.format()
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %.6f, "p50_ms": %.4f, "p99_ms": %.4f, "refused": %d, "socket_errors": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    e.status, e.connect + e.read + e.write + e.timeout))
end
