--- Awaiting: the one place that yields, and the runner of our own coroutines.
---
--- An awaitable is a function that takes a `step` and calls it once, later, with the results. A runner of coroutines that knows the
--- protocol (plenary.async, `vim._async`, nvim-nio) is handed such a function when we yield and drives us through `step`; a bare
--- coroutine has no runner and is resumed by the results themselves. The user's code in coroutines of ours (`run`, `follow`) may yield
--- awaitables of anybody who keeps to the protocol; a bare yield means that the user resumes the coroutine.

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

--- The `await` of async.nvim (which is to be `vim.async`) where the calling coroutine is a task of its. Such a task ends with an error
--- when anybody else yields. No function tells whether it is one; but `await` without anything to await fails in another way within a
--- task than elsewhere, such as in a new coroutine.
---@return (fun(awaitable: function): any ...)?
local function await_of_task()
  for _, name in ipairs({ "vim.async", "async" }) do
    local module = package.loaded[name] --[[@as any]]
    -- Others call theirs `async` too.
    if type(module) == "table" and type(module.await) == "function" and type(module.pawait) == "function" then
      local _, here = pcall(module.await)
      local _, elsewhere = coroutine.wrap(pcall)(module.await)
      if here ~= elsewhere then
        return module.await
      end
    end
  end
end

--- Our own coroutines: what to call if they can never go on. The user's code may have resumed one (after a bare yield), and so have taken from
--- its runner what it yields next.
---@type table<thread, fun(err: project_config.Error)>
local failures = setmetatable({}, { __mode = "k" })

--- Takes note of a coroutine of ours that was not made by `run`, while it waits; without `fail` it has ended.
---@param co thread
---@param fail? fun(err: project_config.Error)
function M.keep(co, fail)
  failures[co] = fail
end

--- Yields until the awaitable answers, and returns what it answered. Only inside a coroutine.
---@param awaitable fun(step: fun(...): any)
---@return any ...
function M.await(awaitable)
  local co = assert(coroutine.running(), "await: not in a coroutine")
  local theirs = await_of_task()
  if theirs then
    return theirs(awaitable)
  end
  local driver
  awaitable(function(...)
    if driver then
      return driver(...)
    end
    local fail = failures[co]
    if fail then
      return M.resume(co, fail, ...)
    end
    local ok, problem = coroutine.resume(co, ...)
    if not ok then
      require("nvim-project-config.errors") -- it makes ours print
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

---@param text string
---@return project_config.Error
local function misuse(text)
  return require("nvim-project-config.errors").new("runtime", text)
end

--- Calls an awaitable that a coroutine has yielded: `awaitable(...)` with the step as argument number `position`, as
--- plenary.async has it. What it answers before it returns is returned, and not handed to `step`: no stack grows.
---@param step fun(...)
---@param awaitable function
---@param position any 1 unless it is a number
---@param ... any the arguments before the step
---@return { n: integer }? answered
local function ask(step, awaitable, position, ...)
  local arguments = { ... }
  position = type(position) == "number" and position >= 1 and math.floor(position) or 1
  local answered ---@type { n: integer }?
  local is_asking = true
  arguments[position] = function(...)
    if answered then
      return -- what is answered twice goes on once
    end
    answered = { n = select("#", ...), ... }
    if not is_asking then
      step(...)
    end
  end
  awaitable(unpack(arguments, 1, position))
  is_asking = false
  return answered
end

--- Resumes a coroutine of ours, and goes on with what it yields.
---@param co thread
---@param fail fun(err: project_config.Error)
---@param ... any
function M.resume(co, fail, ...)
  return M.follow(co, fail, coroutine.resume(co, ...))
end

--- Goes on with what a coroutine of ours has yielded. `fail` is called, once at most, if it can never go on: it has yielded nonsense,
--- or what it waits for throws. What it does when it ends is up to its body.
---@param co thread
---@param fail fun(err: project_config.Error)
---@param ok boolean what `coroutine.resume` has returned
---@param yielded any
---@param ... any
function M.follow(co, fail, ok, yielded, ...)
  if not ok then
    return fail(misuse(debug.traceback(co, tostring(yielded))))
  elseif yielded == nil or coroutine.status(co) == "dead" then
    return -- at its end, or resumed by the user
  elseif type(yielded) ~= "function" then
    local text =
      "yielded a %s, which is no awaitable; yield a function that takes a callback, or nothing and resume the coroutine"
    return fail(misuse(text:format(type(yielded))))
  end
  local function step(...)
    if vim.in_fast_event() then
      return vim.schedule_wrap(M.resume)(co, fail, ...) -- there the user's code could do next to nothing
    end
    M.resume(co, fail, ...)
  end
  local asked, answered = xpcall(ask, require("nvim-project-config.errors").thrown, step, yielded, ...)
  if not asked then
    return fail(answered --[[@as project_config.Error]])
  elseif answered then
    return M.resume(co, fail, unpack(answered, 1, answered.n))
  end
end

--- Runs a function of the user's in a coroutine of its own. `on_end` is called once: with true and what it has returned, or with false
--- and an error. That may be before `run` has returned. Not at all if what it waits for never comes.
---@param fn fun(): any ...
---@param on_end fun(ok: boolean, ...)
---@param handler? fun(thrown: any): any makes the error of what is thrown; default: `errors.thrown`
---@return thread
function M.run(fn, on_end, handler)
  local has_ended = false
  local function finish(...)
    if not has_ended then
      has_ended = true
      on_end(...)
    end
  end
  local co ---@type thread
  local function end_with(...)
    failures[co] = nil
    finish(...)
  end
  co = coroutine.create(function()
    end_with(xpcall(fn, handler or require("nvim-project-config.errors").thrown))
  end)
  local function fail(err)
    if has_ended then
      error(err.message, 0) -- thrown by `on_end`
    end
    finish(false, err)
  end
  failures[co] = fail
  M.resume(co, fail)
  return co
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
