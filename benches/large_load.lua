-- What 10 MB of JSON take of the main thread when they load, to `vim.json.decode` of the same text. That no piece of it stalls the
-- loop is stall.lua's. Fresh sessions: a repeated load would find nothing changed and do nothing.
local child = require("benches.child")
local fixture = require("benches.fixture")
local stats = require("benches.stats")

local M = {}

local PAIRS = 15

---@param place bench.Place
---@return integer ns
local function time_of_load(place)
  local plugin, main_thread = require("benches.plugin"), require("benches.main_thread")
  main_thread.watch()
  plugin.setup(place)
  local npc = require("nvim-project-config")
  npc.load = main_thread.clocked(npc.load)
  main_thread.begin()
  local _, json = plugin.time()
  local spent = main_thread.spent()
  assert(next(json.packages), "nothing was loaded")
  return spent
end

---@param place bench.Place
---@return integer ns
local function time_of_decode(place)
  local file = assert(io.open(place.config_dir .. "/plain.json", "rb"))
  local text = file:read("*a")
  file:close()
  local value
  local spent = require("benches.main_thread").time(function()
    value = vim.json.decode(text)
  end)
  assert(next(value.packages))
  return spent
end

---@param job { place: bench.Place, side: "plugin"|"floor" }
---@return integer ns
function M.sample(job)
  return job.side == "plugin" and time_of_load(job.place) or time_of_decode(job.place)
end

---@param home string
---@return bench.Figure[]
function M.measure(home)
  fixture.settle(home)
  local place = fixture.places(home).large
  local samples = stats.interleave(PAIRS, function()
    return child.run(home, "large_load", place, { side = "plugin" })
  end, function()
    return child.run(home, "large_load", place, { side = "floor" })
  end)
  return { { title = "10 MB of JSON: main thread, to vim.json.decode", limit = 1.3, pairs = samples } }
end

return M
