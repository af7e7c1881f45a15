-- 10,000 cached `get`s at once, in callback form, to 10,000 `vim.uv.fs_stat`s with a callback at once, of the same 100 paths: from
-- the first call until the last answer.
local child = require("benches.child")
local fixture = require("benches.fixture")
local stats = require("benches.stats")

local M = {}

local uv = vim.uv

local SESSIONS = 6
local ROUNDS = 8
local CALLS = 10000
local WARM_UP = 2

--- How long it takes until `ask(path, callback)` has been answered for all.
---@param paths string[]
---@param ask fun(path: string, callback: fun())
---@return integer ns
local function time(paths, ask)
  collectgarbage()
  local co = coroutine.running()
  local left = CALLS
  local began, ended = uv.hrtime(), 0
  local function answered()
    left = left - 1
    if left == 0 then
      ended = uv.hrtime()
      vim.schedule(function()
        assert(coroutine.resume(co))
      end)
    end
  end
  for index = 1, CALLS do
    ask(paths[index % #paths + 1], answered)
  end
  coroutine.yield()
  return ended - began
end

---@param job { place: bench.Place, paths: string[], rounds: integer }
---@return bench.Pair[]
function M.sample(job)
  require("benches.plugin").setup(job.place)
  local cache = require("nvim-project-config").ctx.file_cache
  local function ours()
    return time(job.paths, function(path, callback)
      cache:get(path, function(entry, err)
        assert(entry, err)
        callback()
      end)
    end)
  end
  local function floor()
    return time(job.paths, function(path, callback)
      uv.fs_stat(path, function(err, stat)
        assert(stat, err)
        callback()
      end)
    end)
  end
  return vim.list_slice(stats.interleave(WARM_UP + job.rounds, ours, floor), WARM_UP + 1)
end

---@param home string
---@return bench.Figure[]
function M.measure(home)
  fixture.settle(home)
  local samples = {}
  for _ = 1, SESSIONS do
    local job = { paths = fixture.cached(home), rounds = ROUNDS }
    vim.list_extend(samples, child.run(home, "cache_parallel", fixture.places(home).small, job))
  end
  return { { title = "10,000 cached gets at once, to fs_stat", limit = 0.7, pairs = samples } }
end

return M
