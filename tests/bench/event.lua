-- wrk's requests: what the door hands on of a page's script, page views and every third an engagement.
-- They are made once and then taken in turn, so that the client costs the same whoever answers.
-- Arguments: a file of user agents, then the sites' domains.
local REQUESTS = 4096
local threads = {}

function setup(thread)
  table.insert(threads, thread)
  thread:set("seed", #threads)
end

local requests, at = {}, 0

local function address()
  return string.format("%d.%d.%d.%d", math.random(1, 223), math.random(0, 255), math.random(0, 255), math.random(1, 254))
end

function init(args)
  local agents = {}
  math.randomseed(seed)
  for line in io.lines(args[1]) do table.insert(agents, line) end
  for i = 1, REQUESTS do
    local domain = args[math.random(2, #args)]
    local url = string.format("https://%s/blog/%d/an-article-about-something-%d?utm_source=feed", domain, math.random(2015, 2026), math.random(2000))
    local body
    if i % 3 == 0 then
      body = string.format('{"n":"engagement","u":"%s","d":"%s","sd":%d,"e":%d,"v":1}', url, domain, math.random(100), math.random(120000))
    else
      body = string.format('{"n":"pageview","u":"%s","d":"%s","r":"https://www.search.example/results/%d","t":"An article about something","w":%d}', url, domain, math.random(500), math.random(320, 2560))
    end
    requests[i] = wrk.format("POST", "/api/event", {
      ["Host"] = domain,
      ["X-Forwarded-For"] = address(),
      ["X-Forwarded-Proto"] = "https",
      ["X-Request-Id"] = string.format("%08x%08x%08x%08x", seed, i, math.random(2 ^ 30), math.random(2 ^ 30)),
      ["User-Agent"] = agents[math.random(#agents)],
      ["Accept"] = "*/*",
      ["Accept-Language"] = "de-DE,de;q=0.9,en;q=0.8",
      ["Accept-Encoding"] = "gzip, deflate, br",
      ["Content-Type"] = "text/plain",
      ["Origin"] = "https://" .. domain,
      ["Referer"] = "https://" .. domain .. "/",
    }, body)
  end
end

function request()
  at = at % REQUESTS + 1
  return requests[at]
end

function done(summary, latency)
  local e = summary.errors
  print(string.format("bench: %.0f %.3f %.3f %d %d %d", summary.requests / summary.duration * 1e6, latency:percentile(50) / 1000,
    latency:percentile(99) / 1000, summary.requests, e.status, e.connect + e.read + e.write + e.timeout))
end
