-- A thousand files that an execute stage's router hands to an executor of the user's, from the first call of the executor to
-- `on_load`, to calling it in a loop over a list that is ready. The executor reads the file by itself and parses it, in
-- ten lines. In one warm session: what the engine reads of the files before that is the figure `many_files`.
local child = require("benches.child")
local fixture = require("benches.fixture")
local stats = require("benches.stats")

local M = {}

local SESSIONS = 6
local ROUNDS = 12
local WARM_UP = 3

local hrtime = vim.uv.hrtime

local function run(ctx, path)
  ctx.toml = ctx.toml or {}
  for line in io.lines(path) do
    local key, value = line:match("^([%w_-]+)%s*=%s*(.+)$")
    if key then
      ctx.toml[key] = vim.json.decode(value)
    end
  end
end

---@param job { place: bench.Place }
---@return bench.Pair[]
function M.sample(job)
  local plugin = require("benches.plugin")
  local first, calls = nil, 0
  local function executor(ctx, path)
    calls = calls + 1
    first = first or hrtime()
    run(ctx, path)
  end
  local pipeline = {}
  for index, name in ipairs({ "walk", "detect", "find_files", "execute" }) do
    pipeline[index] =
      require("nvim-project-config.stages." .. name)(name == "execute" and { router = { toml = executor } } or nil)
  end
  plugin.setup(job.place, pipeline)
  local paths = vim.fn.glob(job.place.config_dir .. "/plain/*.toml", true, true)
  local function ours()
    collectgarbage()
    first, calls = nil, 0
    local loaded_at = plugin.loaded_at()
    assert(calls == #paths, "ours did not run every file")
    return loaded_at - first
  end
  local function floor()
    collectgarbage()
    local ctx = {}
    local began = hrtime()
    for _, path in ipairs(paths) do
      executor(ctx, path)
    end
    return hrtime() - began
  end
  for _ = 1, WARM_UP do
    ours()
    floor()
  end
  return stats.interleave(ROUNDS, ours, floor)
end

---@param home string
---@return bench.Figure[]
function M.measure(home)
  fixture.settle(home)
  local place = fixture.places(home).routed
  local samples = {}
  for _ = 1, SESSIONS do
    vim.list_extend(samples, child.run(home, "router", place))
  end
  return { { title = "1,000 files through the router, to a loop", limit = 1.15, pairs = samples } }
end

return M
