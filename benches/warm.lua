-- Loading again in one session with nothing changed, to plain Lua doing its work again. Both run the user's Lua and Vim files
-- again; what differs is everything around that.
local child = require("benches.child")
local fixture = require("benches.fixture")
local stats = require("benches.stats")

local M = {}

-- Several sessions, because one has its luck with memory layout and compiled traces for as long as it lives.
local SESSIONS = 6
local ROUNDS = 40
-- The first loads fill the caches and let LuaJIT compile.
local WARM_UP = 5

--- Runs rounds of one or both sides in this session.
---@param job { place: bench.Place, rounds: integer, both: boolean }
---@return bench.Pair[] (without `floor` if only ours was asked for)
function M.sample(job)
  local plugin, floor = require("benches.plugin"), require("benches.floor")
  plugin.setup(job.place)
  for _ = 1, WARM_UP do
    plugin.time()
    floor.time(job.place)
  end
  -- A full collection before each sample: otherwise the garbage of one side is swept on the other's time. The floor makes
  -- more of it, so leaving it out favours the floor.
  local function ours()
    collectgarbage()
    return (plugin.time())
  end
  local function theirs()
    collectgarbage()
    return (floor.time(job.place))
  end
  if job.both then
    return stats.interleave(job.rounds, ours, theirs)
  end
  local result = {}
  for index = 1, job.rounds do
    result[index] = { ours = ours() }
  end
  return result
end

--- The median of our warm loads in a fresh session.
---@param home string
---@param place bench.Place
---@return number ns
function M.time(home, place)
  local rounds = child.run(home, "warm", place, { rounds = ROUNDS, both = false })
  return stats.median(vim.tbl_map(function(round)
    return round.ours
  end, rounds))
end

---@param home string
---@return bench.Figure[]
function M.measure(home)
  fixture.settle(home)
  local place = fixture.places(home).usual
  local samples = {}
  for _ = 1, SESSIONS do
    vim.list_extend(samples, child.run(home, "warm", place, { rounds = ROUNDS, both = true }))
  end
  return { { title = "warm load, nothing changed, to the floor's repeat", limit = 0.6, pairs = samples } }
end

return M
