-- wrk -s wrk.lua URL -- KEYS FIRST FILE HEADER PAUSE ETAG CODING
-- Asks at random for /items/0 … /items/KEYS-1 or, with KEYS 0, for FIRST and the ones after it.
-- With an ETAG it asks whether that is still valid, and all answers must be 304.
-- FILE has the end of all answers; with a CODING, which it then accepts, the whole of them.
-- Checks every answer it counts; prints one line of JSON.

local threads = {}

function setup (thread)
  table.insert(threads, thread)
end

local keys, position, tail, expected, condition, fields, coding
local requests = {}
wrong_status, wrong_header, wrong_bytes = 0, 0, 0

local function build (id)
  return wrk.format('GET', string.format('/items/%.0f', id), fields)
end

function init (args)
  keys, position = tonumber(args[1]), tonumber(args[2])
  local file = assert(io.open(args[3], 'rb'))
  tail = file:read('*a')
  file:close()
  if args[4] ~= 'none' then expected = args[4] end
  local pause = tonumber(args[5])
  if args[6] ~= 'none' then condition = { ['If-None-Match'] = args[6] } end
  fields = condition
  if args[7] ~= 'none' then
    coding = args[7]
    fields = { ['Accept-Encoding'] = coding }
  end
  math.randomseed(os.time())
  for id = 0, keys - 1 do requests[id] = build(id) end
  if pause > 0 then
    delay = function () return math.random(0, 2 * pause) end
  end
end

function request ()
  if keys > 0 then return requests[math.random(0, keys - 1)] end
  position = position + 1
  return build(position - 1)
end

-- With one key, Lua's interned strings make the comparison of the whole body that of two pointers.
local only

local function right (body)
  if condition then return body == '' end
  if coding then return body == tail end
  if body == only then return true end
  local id = tonumber(body:match('^{"id":"(%d%d%d%d%d%d%d%d%d%d)'))
  if id == nil or (keys > 0 and id >= keys) or body:sub(18) ~= tail then return false end
  if keys == 1 then only = body end
  return true
end

function response (status, headers, body)
  if status ~= (condition and 304 or 200) then
    wrong_status = wrong_status + 1
  elseif expected and (headers['x-api-cache'] or headers['X-API-Cache']) ~= expected then
    wrong_header = wrong_header + 1
  elseif not right(body) then
    wrong_bytes = wrong_bytes + 1
  end
end

function done (summary, latency)
  local wrong = { status = 0, header = 0, bytes = 0 }
  for _, thread in ipairs(threads) do
    wrong.status = wrong.status + thread:get('wrong_status')
    wrong.header = wrong.header + thread:get('wrong_header')
    wrong.bytes = wrong.bytes + thread:get('wrong_bytes')
  end
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"seconds":%f,"p50":%f,"p99":%f,"max":%f,"wrong":{"status":%d,"header":%d,"bytes":%d,"socket":%d}}\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3,
    wrong.status, wrong.header, wrong.bytes,
    errors.connect + errors.read + errors.write + errors.timeout))
end
