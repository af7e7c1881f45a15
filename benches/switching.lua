-- Entering a buffer of another project that is loaded and unchanged: the plugin's own time on the main thread, to a cold load by the floor (all
-- of which is on the main thread).
--
-- The total (main_thread.lua) contains the user's code; what the same code takes on its own is measured in the same round and taken off. A
-- load is cold once a session: the floor's comes first.
local child = require("benches.child")
local fixture = require("benches.fixture")

local M = {}

local SESSIONS = 12
local ROUNDS = 20
local WARM_UP = 3

---@param job { place: bench.Place, other: bench.Place, rounds: integer }
---@return bench.Pair[]
function M.sample(job)
  local plugin, floor, main_thread = require("benches.plugin"), require("benches.floor"), require("benches.main_thread")
  local cold = main_thread.time(function()
    floor.load(job.place, function() end)
  end)
  main_thread.watch()
  local loads = 0
  plugin.follow(job.place, function()
    loads = loads + 1
  end)
  local here, there = vim.fn.bufadd(job.place.start_dir .. "/a.ts"), vim.fn.bufadd(job.other.start_dir .. "/b.ts")
  for _, buffer in ipairs({ here, there }) do
    vim.fn.bufload(buffer)
  end

  --- Enters a buffer and goes on when its project is loaded.
  ---@param buffer integer
  ---@param place bench.Place
  local function enter(buffer, place)
    local before = loads
    vim.api.nvim_set_current_buf(buffer)
    while loads == before do
      plugin.next_tick()
    end
    plugin.settle()
    assert(loads == before + 1, "one switch is one load")
    assert(vim.startswith(place.start_dir, require("nvim-project-config").ctx.project_root))
  end

  local result = {}
  for index = 1, WARM_UP + job.rounds do
    enter(there, job.other)
    main_thread.begin()
    enter(here, job.place)
    local total = main_thread.spent()
    local user_code = main_thread.time(floor.user_code(job.place))
    if index > WARM_UP then
      table.insert(result, { ours = total - user_code, floor = cold })
    end
  end
  return result
end

---@param home string
---@return bench.Figure[]
function M.measure(home)
  fixture.settle(home)
  local places = fixture.places(home)
  local samples = {}
  for _ = 1, SESSIONS do
    vim.list_extend(samples, child.run(home, "switching", places.usual, { other = places.other, rounds = ROUNDS }))
  end
  return { { title = "switching projects: own time, to a cold load's", limit = 0.3, pairs = samples } }
end

return M
