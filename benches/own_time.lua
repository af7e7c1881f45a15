-- The plugin's own time on the main thread in a warm load, to the floor's total (all of which is on the main thread).
--
-- Measured from outside, so nothing can be forgotten: the call of `load`, plus everything that the plugin has the main loop
-- call (scheduled functions and the callback of its wake-up handle). That total contains the user's code; what the same code
-- takes on its own is measured in the same round and taken off.
--
-- All by the thread's own processor time: on the wall clock, a worker thread that the kernel has put on the main thread's
-- core would count as the main thread's time, or not, as the machine is busy. (A main thread that waits for a disk would not
-- be seen here; the specs measure stalls.)
local child = require("benches.child")
local fixture = require("benches.fixture")

local M = {}

local SESSIONS = 6
local ROUNDS = 40
local WARM_UP = 5

local CLOCK_THREAD_CPUTIME_ID = 3

local ffi = require("ffi")
ffi.cdef([[
  typedef struct { long seconds, nanoseconds; } bench_timespec;
  int clock_gettime(int clock, bench_timespec *time);
]])
local time = ffi.new("bench_timespec") --[[@as { seconds: integer, nanoseconds: integer }]]

---@return integer ns processor time of the main thread
local function thread_time()
  ffi.C.clock_gettime(CLOCK_THREAD_CPUTIME_ID, time)
  return tonumber(time.seconds) * 1e9 + tonumber(time.nanoseconds)
end

---@param work fun()
---@return integer ns
local function processor_time(work)
  collectgarbage()
  local began = thread_time()
  work()
  return thread_time() - began
end

local spent = 0

---@param callback fun(...)
---@return fun(...)
local function clocked(callback)
  return function(...)
    local began = thread_time()
    callback(...)
    spent = spent + thread_time() - began
  end
end

-- The plugin has not been required yet: it finds these instead of Neovim's own.
local function clock_main_loop()
  local schedule, new_async = vim.schedule, vim.uv.new_async
  vim.schedule = function(callback)
    schedule(clocked(callback))
  end
  vim.uv.new_async = function(callback)
    return new_async(clocked(callback))
  end
end

---@param job { place: bench.Place, rounds: integer }
---@return bench.Pair[]
function M.sample(job)
  local plugin, floor = require("benches.plugin"), require("benches.floor")
  clock_main_loop()
  plugin.setup(job.place)
  local npc = require("nvim-project-config")
  npc.load = clocked(npc.load)
  local result = {}
  for index = 1, WARM_UP + job.rounds do
    collectgarbage()
    spent = 0
    plugin.time()
    local total = spent
    local user_code = processor_time(floor.user_code(job.place))
    local all = processor_time(function()
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
