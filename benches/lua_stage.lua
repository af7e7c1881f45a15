-- A pipeline with one function that passes everything on, to the same pipeline without it: what it costs that the way leads over
-- the main loop. Behind `walk` the function has a dozen directories to pass on, behind `find_files` the paths of the files.
local child = require("benches.child")
local fixture = require("benches.fixture")
local stats = require("benches.stats")

local M = {}

local COLD_PAIRS = 60
-- As in warm.lua.
local SESSIONS = 4
local ROUNDS = 40
local WARM_UP = 5

local LIMIT = 1.5

local function pass(_, rx, tx)
  local done = require("nvim-project-config.pipeline").DONE
  for item in rx do
    if item == done then
      return
    end
    tx(item)
  end
end

--- The native stages, and the function behind the one that is named.
---@param behind? string
---@return table pipeline
local function pipeline(behind)
  local stages = {}
  for _, name in ipairs({ "walk", "detect", "find_files", "execute" }) do
    table.insert(stages, require("nvim-project-config.stages." .. name)())
    if name == behind then
      table.insert(stages, pass)
    end
  end
  return stages
end

--- One load if it is cold, else rounds of both sides in this session.
---@param job { place: bench.Place, behind?: string, cold: boolean }
---@return bench.Pair[]|integer
function M.sample(job)
  local plugin = require("benches.plugin")
  if job.cold then
    plugin.setup(job.place, pipeline(job.behind))
    collectgarbage()
    return (plugin.time())
  end
  plugin.setup(job.place)
  local with, without = { pipeline = pipeline(job.behind) }, { pipeline = pipeline() }
  for _ = 1, WARM_UP do
    plugin.time(with)
    plugin.time(without)
  end
  return stats.interleave(ROUNDS, function()
    collectgarbage()
    return (plugin.time(with))
  end, function()
    collectgarbage()
    return (plugin.time(without))
  end)
end

---@param home string
---@return bench.Figure[]
function M.measure(home)
  fixture.settle(home)
  local place = fixture.places(home).usual
  local figures = {}
  for _, behind in ipairs({ "walk", "find_files" }) do
    local cold = stats.interleave(COLD_PAIRS, function()
      return child.run(home, "lua_stage", place, { behind = behind, cold = true })
    end, function()
      return child.run(home, "lua_stage", place, { cold = true })
    end)
    local warm = {}
    for _ = 1, SESSIONS do
      vim.list_extend(warm, child.run(home, "lua_stage", place, { behind = behind, cold = false }))
    end
    table.insert(
      figures,
      { title = ("a Lua stage behind %s, cold, to native"):format(behind), limit = LIMIT, pairs = cold }
    )
    table.insert(
      figures,
      { title = ("a Lua stage behind %s, warm, to native"):format(behind), limit = LIMIT, pairs = warm }
    )
  end
  return figures
end

return M
