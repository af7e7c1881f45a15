--- On whose behalf code runs: coroutines of runs, hooks and callbacks. They are resumed and called here.
---
--- What a run does is `run.lua`'s and `files.lua`'s; what is yielded, `await.lua`'s.

local native = require("nvim-project-config.native")

local M = {}

--- Parsed when something has gone wrong.
local function errors()
  return require("nvim-project-config.errors")
end

local function thrown(value)
  return errors().thrown(value)
end

--- The run that a coroutine works for.
---@type table<thread, project_config.BegunRun>
local run_of = setmetatable({}, { __mode = "k" })
M.run_of = run_of

--- The coroutines of runs that are on the stack of the main thread, innermost last; and calls of hooks, with their context.
---@type { co?: thread, run?: project_config.BegunRun, ctx?: project_config.Context }[]
local entered = {}
M.entered = entered

--- Whether a coroutine is in the middle of a call: it runs, or what it called does.
---@param co thread
---@return boolean
function M.is_on_stack(co)
  local status = coroutine.status(co)
  return status == "normal" or status == "running"
end

--- The coroutine and the run on whose behalf the code that calls this runs. Neovim runs `:lua` outside of the file's coroutine; so
--- for a Vim file it is whoever is on the stack.
---@return thread?, project_config.BegunRun?
function M.requester()
  local co = coroutine.running()
  if co and run_of[co] then
    return co, run_of[co]
  end
  local top = entered[#entered]
  if top then
    if top.run and top.run.sourcing then
      return top.co, top.run
    end
    return
  end
  -- A file that its own code has resumed: on the stack, and entered by nobody here.
  for worker, run in pairs(run_of) do
    if run.sourcing and M.is_on_stack(worker) then
      return worker, run
    end
  end
end

--- Coroutines of hooks and callbacks. They look as if they ran in none: `load_await` gives its function there.
---@type table<thread, { ctx?: project_config.Context }>
local hooks = setmetatable({}, { __mode = "k" })

--- Whether the calling code is that of a hook or a callback.
---@return boolean
function M.is_hook()
  local co = coroutine.running()
  return co ~= nil and hooks[co] ~= nil
end

--- The context for which the calling code runs, if it belongs to a load or is a hook.
---@return project_config.Context?
function M.running_context()
  local top = entered[#entered]
  if not top and next(run_of) == nil and next(hooks) == nil then
    return -- asked for with each `npc.ctx`
  end
  local co = coroutine.running()
  if co and hooks[co] then
    return hooks[co].ctx
  end
  local _, run = M.requester()
  return run and (run.ctx or run.own) or top and top.ctx
end

--- Starts a hook, or a callback, in a coroutine of its own, so that it may await.
---@param ctx? project_config.Context whose hook it is
---@param hook fun(...)
---@param on_end fun(ok: boolean, err: any)
---@param ... any
function M.start_hook(ctx, hook, on_end, ...)
  local arguments, count, has_ended, await = { ... }, select("#", ...), false, nil
  local co ---@type thread
  local function finish(...)
    if not has_ended then
      has_ended = true
      if await then
        await.keep(co, nil)
      end
      on_end(...)
    end
  end
  co = coroutine.create(function()
    finish(xpcall(hook, thrown, unpack(arguments, 1, count)))
  end)
  hooks[co] = { ctx = ctx }
  entered[#entered + 1] = hooks[co]
  local result = { coroutine.resume(co) }
  entered[#entered] = nil
  if result[1] and coroutine.status(co) == "dead" then
    return -- as nearly all do: without anything parsed for it
  end
  await = require("nvim-project-config.await")
  local function fail(err)
    if has_ended then
      error(err.message, 0) -- thrown by `on_end`
    end
    finish(false, err)
  end
  await.keep(co, fail)
  await.follow(co, fail, unpack(result, 1, table.maxn(result)))
end

--- Calls a hook within a coroutine, which a hook that yields must not hold back.
---@param ctx? project_config.Context
---@param hook fun(...)
---@param ... any
---@return boolean ok, any err
local function call_aside(ctx, hook, ...)
  local run = run_of[coroutine.running()]
  local ok, err, is_late = true, nil, false
  local weak = setmetatable({}, { __mode = "v" }) -- a coroutine that nobody will resume is to be freed
  M.start_hook(ctx, function(...)
    weak.co = assert(coroutine.running())
    run_of[weak.co] = run
    hook(...)
  end, function(...)
    run_of[weak.co] = nil
    ok, err = ...
    if is_late and not ok then
      errors().notify(errors().normalised(err))
    end
  end, ...)
  is_late = true
  return ok, err
end

--- Calls a hook of a context's, whose outcome matters now.
---@param ctx? project_config.Context
---@param hook fun(...)
---@param ... any
---@return boolean ok, any err
function M.call_hook(ctx, hook, ...)
  if coroutine.isyieldable() then
    return call_aside(ctx, hook, ...)
  end
  entered[#entered + 1] = { ctx = ctx }
  local ok, err = xpcall(hook, thrown, ...)
  entered[#entered] = nil
  return ok, err
end

--- Resumes a coroutine of a run. What its file yields is followed, until it comes back; `fail` is called if it never can.
---@param run project_config.BegunRun
---@param co thread
---@param fail fun(err: project_config.Error)
function M.enter(run, co, fail)
  entered[#entered + 1] = { co = co, run = run }
  local result = { coroutine.resume(co) }
  entered[#entered] = nil
  if coroutine.status(co) == "dead" then
    run_of[co] = nil -- a weak key is no help: the run holds its coroutine
  end
  if not result[1] or result[2] ~= nil then
    require("nvim-project-config.await").follow(co, fail, unpack(result, 1, table.maxn(result)))
  end
end

--- Gives the loop back until the next `resume` reply. False if the run was cancelled meanwhile.
---@param run project_config.BegunRun
---@return boolean
function M.pause(run)
  run.paused = true
  coroutine.yield()
  return native.get().is_live(run.id)
end

--- For a run whose file waited for something of its own: what resumed it is below us on the stack, which is neither the place for the
--- other files nor known to be ours. False if the run was cancelled meanwhile.
---@param run project_config.BegunRun
---@return boolean
function M.come_back(run)
  native.get().resume(run.id)
  return M.pause(run)
end

return M
