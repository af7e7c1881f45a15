-- A thousand Lua files in a fresh session, from the call of `load` to `on_load`, to a bare loop of `dofile` over a list that
-- is ready: not even finding them counts for the floor. Cold, because a session that has read them before would only be
-- faster.
local child = require("benches.child")
local cold = require("benches.cold")
local fixture = require("benches.fixture")
local stats = require("benches.stats")

local M = {}

local PAIRS = 24

---@param job { place: bench.Place }
---@return { ns: integer, ran: integer }
function M.sample(job)
  local paths = vim.fn.glob(job.place.config_dir .. "/plain/*.lua", true, true)
  collectgarbage()
  local began = vim.uv.hrtime()
  for _, path in ipairs(paths) do
    dofile(path)
  end
  return { ns = vim.uv.hrtime() - began, ran = vim.g.bench_ran }
end

---@param home string
---@return bench.Figure[]
function M.measure(home)
  fixture.settle(home)
  local place = fixture.places(home).many_files
  local ran = child.run(home, "cold", place, { side = "plugin" }).ran
  assert(ran == child.run(home, "many_files", place).ran, "ours did not run every file")
  local samples = stats.interleave(PAIRS, function()
    return cold.time(home, place, "plugin")
  end, function()
    return child.run(home, "many_files", place).ns
  end)
  return { { title = ("%d Lua files, to dofile of each"):format(ran), limit = 1.1, pairs = samples } }
end

return M
