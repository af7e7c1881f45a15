-- The plugin's own time on the main thread in a warm load, to the floor's total (all of which is on the main thread).
--
-- The total (main_thread.lua) contains the user's code; what the same code takes on its own is measured in the same round and
-- taken off.
local child = require("benches.child")
local fixture = require("benches.fixture")

local M = {}

local SESSIONS = 6
local ROUNDS = 40
local WARM_UP = 5

---@param job { place: bench.Place, rounds: integer }
---@return bench.Pair[]
function M.sample(job)
  local plugin, floor, main_thread = require("benches.plugin"), require("benches.floor"), require("benches.main_thread")
  main_thread.watch()
  plugin.setup(job.place)
  local npc = require("nvim-project-config")
  npc.load = main_thread.clocked(npc.load)
  local result = {}
  for index = 1, WARM_UP + job.rounds do
    main_thread.begin()
    plugin.time()
    local total = main_thread.spent()
    local user_code = main_thread.time(floor.user_code(job.place))
    local all = main_thread.time(function()
      floor.load(job.place, function() end)
    end)
    if index > WARM_UP then
      table.insert(result, { ours = total - user_code, floor = all })
    end
  end
  return result
end

---@param home string
---@return bench.Figure[]
function M.measure(home)
  fixture.settle(home)
  local place = fixture.places(home).usual
  local samples = {}
  for _ = 1, SESSIONS do
    vim.list_extend(samples, child.run(home, "own_time", place, { rounds = ROUNDS }))
  end
  return { { title = "own time on the main thread, to the floor's total", limit = 0.3, pairs = samples } }
end

return M
