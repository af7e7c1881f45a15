--- Awaiting: the one place that yields.
---
--- An awaitable is a function that takes a `step` and calls it once, later, with the results. A runner of coroutines that knows the
--- protocol (plenary.async, `vim._async`, nvim-nio) is handed such a function when we yield and drives us through `step`; a bare
--- coroutine has no runner and is resumed by the results themselves.

local M = {}

--- Whether the calling code may yield. Not the same as running in a coroutine: Neovim 0.12 runs scripts in one that may not.
---@return boolean
function M.can_yield()
  return coroutine.isyieldable()
end

---@return boolean
local function runs_in_nio()
  local tasks = package.loaded["nio.tasks"] --[[@as any]]
  return tasks ~= nil and tasks.current_task() ~= nil
end

--- Yields until the awaitable answers, and returns what it answered. Only inside a coroutine.
---@param awaitable fun(step: fun(...): any)
---@return any ...
function M.await(awaitable)
  local co = assert(coroutine.running(), "await: not in a coroutine")
  local driver
  awaitable(function(...)
    if driver then
      return driver(...)
    end
    local ok, problem = coroutine.resume(co, ...)
    if not ok then
      error(debug.traceback(co, tostring(problem)), 0)
    end
  end)
  local function drive(step)
    driver = step
  end
  if runs_in_nio() then
    return coroutine.yield(1, drive)
  end
  return coroutine.yield(drive, 1)
end

--- Starts an awaitable now, and returns a function that waits for it: in a coroutine by yielding, elsewhere for at most
--- `timeout_ms` while the editor stays alive. A wait that timed out may be repeated.
---@param awaitable fun(step: fun(...))
---@param default_ms integer
---@return fun(timeout_ms?: integer): any, project_config.Error?
function M.later(awaitable, default_ms)
  local result
  local steps = {} ---@type fun(...)[]
  awaitable(function(value, err)
    result = { value, err }
    local thrown
    for _, step in ipairs(steps) do
      local ok, problem = pcall(step, value, err)
      thrown = thrown or not ok and problem
    end
    if thrown then
      error(thrown, 0)
    end
  end)
  return function(timeout_ms)
    if not result and M.can_yield() then
      return M.await(function(step)
        steps[#steps + 1] = step
      end)
    end
    timeout_ms = timeout_ms or default_ms
    local _, interrupted = require("nvim-project-config.run").wait(timeout_ms, function()
      return result ~= nil
    end)
    if result then
      return result[1], result[2]
    end
    local errors = require("nvim-project-config.errors")
    if interrupted then
      return nil, errors.new("cancelled", "the wait was interrupted; the load goes on")
    end
    return nil, errors.new("timeout", ("not loaded within %d ms; the load goes on"):format(timeout_ms))
  end
end

return M
