-- The first load of a session, from the call of `load` to `on_load`, each in a fresh Neovim. Before the clock starts: VimEnter,
-- and `setup`, whose cost is start-up's. On the clock: the threads being started, and every module that a load needs and
-- `setup` does not; for the floor, Neovim's own lazy modules. The page cache is warm for both.
local child = require("benches.child")
local fixture = require("benches.fixture")
local stats = require("benches.stats")

local M = {}

local PAIRS = 100

---@param job { place: bench.Place, side: "plugin"|"floor" }
---@return { ns: integer, ran: integer, json: table }
function M.sample(job)
  local side, place = require("benches." .. job.side), job.place
  if job.side == "plugin" then
    side.setup(place)
    place = nil -- It knows it now.
  end
  collectgarbage()
  local ns, json = side.time(place)
  return { ns = ns, ran = vim.g.bench_ran or 0, json = json }
end

--- Samples a place.
---@param home string
---@param place bench.Place
---@param side "plugin"|"floor"
---@return integer ns
function M.time(home, place, side)
  return child.run(home, "cold", place, { side = side }).ns
end

--- The comparison means nothing unless both sides do the same: equal settings, equally many files run.
---@param home string
---@param place bench.Place
local function check(home, place)
  local ours = child.run(home, "cold", place, { side = "plugin" })
  local floor = child.run(home, "cold", place, { side = "floor" })
  assert(floor.ran > 0 and ours.ran == floor.ran, ("ours ran %d files, the floor %d"):format(ours.ran, floor.ran))
  assert(vim.deep_equal(ours.json, floor.json), "ours and the floor's settings differ")
end

---@param home string
---@return bench.Figure[]
function M.measure(home)
  local place = fixture.places(home).usual
  fixture.settle(home)
  check(home, place)
  local samples = stats.interleave(PAIRS, function()
    return M.time(home, place, "plugin")
  end, function()
    return M.time(home, place, "floor")
  end)
  return { { title = "cold load to on_load, to the floor", limit = 1.2, pairs = samples } }
end

return M
