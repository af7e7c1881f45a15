-- One assignment in a document of 1 KB: the comparison at the end of the tick, which finds it and takes it up, to `vim.deepcopy` of the
-- same table. What handing out the table and the save take of the main thread is part of many_assignments.lua.
local child = require("benches.child")
local fixture = require("benches.fixture")
local stats = require("benches.stats")

local M = {}

local SESSIONS = 6
local ROUNDS = 40
-- LuaJIT compiles, and the file of an earlier session gets another value.
local WARM_UP = 5

---@param job { place: bench.Place, rounds: integer }
---@return bench.Pair[]
function M.sample(job)
  local plugin, main_thread = require("benches.plugin"), require("benches.main_thread")
  main_thread.watch()
  plugin.setup(job.place)
  -- Copied by way of this reference: each access to `ctx.json` would have the document compared.
  local _, json = plugin.time()
  local npc = require("nvim-project-config")
  local counter = 0
  local compare = main_thread.clocked(function()
    require("nvim-project-config.saving").compare(npc.ctx)
  end)

  local function ours()
    counter = counter + 1
    npc.ctx.json.counter = counter
    main_thread.begin()
    compare()
    local spent = main_thread.spent()
    plugin.save()
    return spent
  end
  local function floor()
    return main_thread.time(function()
      vim.deepcopy(json)
    end)
  end
  local samples = stats.interleave(WARM_UP + job.rounds, ours, floor)

  local file = assert(io.open(job.place.config_dir .. "/plain.json", "rb"))
  assert(vim.json.decode(file:read("*a")).counter == counter, "the assignments were not saved")
  file:close()
  return vim.list_slice(samples, WARM_UP + 1)
end

---@param home string
---@return bench.Figure[]
function M.measure(home)
  local place = fixture.places(home).small
  local samples = {}
  for _ = 1, SESSIONS do
    vim.list_extend(samples, child.run(home, "one_assignment", place, { rounds = ROUNDS }))
  end
  return { { title = "one assignment in 1 KB, to vim.deepcopy", limit = 2, pairs = samples } }
end

return M
