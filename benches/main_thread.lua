-- What the plugin takes of the main thread, measured from outside, so that nothing can be forgotten: calls of the public API that
-- are handed to `clocked`, plus everything that the plugin has the main loop call (scheduled functions, autocommands and the callback of
-- its wake-up handle).
--
-- All by the thread's own processor time: on the wall clock, a worker thread that the kernel has put on the main thread's
-- core would count as the main thread's time, or not, as the machine is busy. (A main thread that waits for a disk would not
-- be seen here; the specs measure stalls.)
local M = {}

local CLOCK_THREAD_CPUTIME_ID = 3

local ffi = require("ffi")
ffi.cdef([[
  typedef struct { long seconds, nanoseconds; } bench_timespec;
  int clock_gettime(int clock, bench_timespec *time);
]])
local time = ffi.new("bench_timespec") --[[@as { seconds: integer, nanoseconds: integer }]]

---@return integer ns processor time of the main thread
local function now()
  ffi.C.clock_gettime(CLOCK_THREAD_CPUTIME_ID, time)
  return tonumber(time.seconds) * 1e9 + tonumber(time.nanoseconds)
end

local spent = 0
local is_inside = false

--- A function whose time counts, and what it calls with it: once.
---@param callback fun(...)
---@return fun(...)
function M.clocked(callback)
  return function(...)
    if is_inside then
      return callback(...)
    end
    is_inside = true
    local began = now()
    callback(...)
    spent = spent + now() - began
    is_inside = false
  end
end

--- Lets count what the main loop and autocommands call from now on. The plugin must not have been required yet: it has to find these
--- instead of Neovim's own.
function M.watch()
  local schedule, new_async, create_autocmd = vim.schedule, vim.uv.new_async, vim.api.nvim_create_autocmd
  vim.schedule = function(callback)
    schedule(M.clocked(callback))
  end
  vim.uv.new_async = function(callback)
    return new_async(M.clocked(callback))
  end
  vim.api.nvim_create_autocmd = function(events, opts)
    if type(opts.callback) == "function" then
      opts = vim.tbl_extend("force", opts, { callback = M.clocked(opts.callback) })
    end
    return create_autocmd(events, opts)
  end
end

--- Begins a sample. After a full collection, otherwise the garbage of one side is swept on the other's time.
function M.begin()
  collectgarbage()
  spent = 0
end

--- What has counted since `begin`.
---@return integer ns
function M.spent()
  return spent
end

--- Takes one call, for the floor: all that it does it does at once.
---@param work fun()
---@return integer ns
function M.time(work)
  M.begin()
  local began = now()
  work()
  return now() - began
end

return M
