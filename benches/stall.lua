-- How long the main loop stands still while 10 MB of JSON load, to `vim.json.decode` of the same text, which stands still from
-- beginning to end. A timer of 1 ms looks at the clock; the longest time between two of its calls is the stall (its own
-- period is in it, at our expense). Fresh sessions: a repeated load would find nothing changed and do nothing.
local child = require("benches.child")
local fixture = require("benches.fixture")
local stats = require("benches.stats")

local M = {}

local PAIRS = 15

---@return integer ns
local function longest_gap_during_load(place)
  local plugin = require("benches.plugin")
  plugin.setup(place)
  collectgarbage()
  local timer = assert(vim.uv.new_timer())
  local longest, last = 0, vim.uv.hrtime()
  local function tick()
    local now = vim.uv.hrtime()
    longest, last = math.max(longest, now - last), now
  end
  timer:start(0, 1, tick)
  local _, json = plugin.time()
  -- A stall that is not over when the load is over.
  tick()
  timer:close()
  assert(next(json.packages), "nothing was loaded")
  return longest
end

---@param place bench.Place
---@return integer ns
local function time_of_decode(place)
  local file = assert(io.open(place.config_dir .. "/plain.json", "rb"))
  local text = file:read("*a")
  file:close()
  collectgarbage()
  local began = vim.uv.hrtime()
  local value = vim.json.decode(text)
  local elapsed = vim.uv.hrtime() - began
  assert(next(value.packages))
  return elapsed
end

---@param job { place: bench.Place, side: "plugin"|"floor" }
---@return integer ns
function M.sample(job)
  return job.side == "plugin" and longest_gap_during_load(job.place) or time_of_decode(job.place)
end

---@param home string
---@return bench.Figure[]
function M.measure(home)
  fixture.settle(home)
  local place = fixture.places(home).large
  local samples = stats.interleave(PAIRS, function()
    return child.run(home, "stall", place, { side = "plugin" })
  end, function()
    return child.run(home, "stall", place, { side = "floor" })
  end)
  return { { title = "10 MB of JSON: longest stall, to vim.json.decode", limit = 0.07, pairs = samples } }
end

return M
