-- A cached `get` in callback form, one after the other, to the round trip of `vim.uv.fs_stat` with a callback, of the same path. Both
-- ask the disk once; ours answers on the main loop, where every function may be called, the floor in a fast event.
local child = require("benches.child")
local fixture = require("benches.fixture")
local stats = require("benches.stats")

local M = {}

local uv = vim.uv

local SESSIONS = 6
local ROUNDS = 30
local CALLS = 200
local WARM_UP = 3

--- How long it takes to call `ask(callback)` again and again, each time from the callback of the call before.
---@param ask fun(callback: fun(...))
---@return number ns each
local function time(ask)
  local co = coroutine.running()
  local left = CALLS
  local began, ended = uv.hrtime(), 0
  local function next_one()
    left = left - 1
    if left >= 0 then
      return ask(next_one)
    end
    ended = uv.hrtime()
    vim.schedule(function()
      assert(coroutine.resume(co))
    end)
  end
  next_one()
  coroutine.yield()
  return (ended - began) / CALLS
end

---@param job { place: bench.Place, path: string, rounds: integer }
---@return bench.Pair[]
function M.sample(job)
  require("benches.plugin").setup(job.place)
  local cache = require("nvim-project-config").ctx.file_cache
  local function ours()
    return time(function(callback)
      cache:get(job.path, function(entry, err)
        assert(entry, err)
        callback()
      end)
    end)
  end
  local function floor()
    return time(function(callback)
      uv.fs_stat(job.path, function(err, stat)
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
  local path, samples = fixture.cached(home)[1], {}
  for _ = 1, SESSIONS do
    vim.list_extend(samples, child.run(home, "cache_get", fixture.places(home).small, { path = path, rounds = ROUNDS }))
  end
  return { { title = "a cached get, to the round trip of fs_stat", limit = 1.5, pairs = samples } }
end

return M
