--- Runs: what happens on the main loop once a load is planned. The files run here, hooks and callbacks are called here.
---
--- Which run answers whom, and which context it gets, is decided by the library; when the loop is free, by `native.lua`.
--- A run is one coroutine, in which its files run one after the other; files of an `async` kind get coroutines of their own. What the
--- run itself waits for ends with a `resume` reply, after which it looks at its condition again.

local context = require("nvim-project-config.context")
local kinds = require("nvim-project-config.kinds")
local loading = require("nvim-project-config.loading")
local native = require("nvim-project-config.native")

local M = {}

local runs = loading.runs

--- Parsed when something has gone wrong.
local function errors()
  return require("nvim-project-config.errors")
end

local function thrown(value)
  return errors().thrown(value)
end

--- The file is all right: an error in it that the user was told of is history.
---@param path string
local function forget_errors(path)
  if package.loaded["nvim-project-config.errors"] then
    errors().forget(path)
  end
end

--- The run that a coroutine works for.
---@type table<thread, project_config.BegunRun>
local run_of = setmetatable({}, { __mode = "k" })
M.run_of = run_of

--- The coroutines of runs that are on the stack of the main thread, innermost last.
---@type { co?: thread, run?: project_config.BegunRun }[]
local entered = {}

--- Replies to a start-up load that came before the editor was ready.
---@type fun()[]
local deferred = {}

--- How many `wait` functions are on the stack.
local waiting = 0

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

--- The context for which the calling code runs, if it belongs to a load.
---@return project_config.Context?
function M.running_context()
  if next(run_of) == nil then
    return -- asked for with each `npc.ctx`
  end
  local _, run = M.requester()
  return run and run.ctx
end

---@param run project_config.BegunRun
---@param co thread
local function enter(run, co)
  entered[#entered + 1] = { co = co, run = run }
  local ok, problem = coroutine.resume(co)
  entered[#entered] = nil
  if coroutine.status(co) == "dead" then
    run_of[co] = nil -- a weak key is no help: the run holds its coroutine
  end
  return ok, problem
end

--- Ends a run, if it has not been cancelled. Its calls are answered by replies.
---@param run project_config.Run
---@param ctx? project_config.Context
---@param err? project_config.Error
local function finish(run, ctx, err)
  run.result = { ctx, err }
  native.get().finish(run.id, ctx ~= nil)
end

--- Ends a run that cannot go on.
---@param run project_config.Run
---@param err project_config.Error
local function give_up(run, err)
  errors().report(err, run.ctx or run.draft, run.options.on_error)
  finish(run, nil, err)
end

--- Goes on with a run that gave the loop back. Not with one whose file waits for something of its own: that file will be resumed
--- by whatever it waits for.
---@param run project_config.BegunRun
local function go_on(run)
  if not run.paused then
    return
  end
  run.paused = false
  local ok, problem = enter(run, run.thread)
  if not ok then
    local trace = debug.traceback(run.thread, tostring(problem))
    give_up(run, errors().new("runtime", "a defect of nvim-project-config: " .. trace))
  end
end

--- Gives the loop back until the next `resume` reply. False if the run was cancelled meanwhile.
---@param run project_config.BegunRun
---@return boolean
local function pause(run)
  run.paused = true
  coroutine.yield()
  return native.get().is_live(run.id)
end

--- For a run whose file waited for something of its own: what resumed it is below us on the stack, which is neither the place for the
--- other files nor known to be ours. False if the run was cancelled meanwhile.
---@param run project_config.BegunRun
---@return boolean
local function come_back(run)
  native.get().resume(run.id)
  return pause(run)
end

---@param run project_config.BegunRun
---@param err project_config.Error
local function problem_in_file(run, err)
  table.insert(run.report.errors, err)
  errors().report(err, run.ctx, run.options.on_error)
end

--- Runs one file, in the coroutine of the caller, and notes how that went.
---@param run project_config.BegunRun
---@param kind project_config.Kind
---@param name string of the kind
---@param path string
---@param content string
local function run_file(run, kind, name, path, content)
  local function handler(value)
    return errors().thrown(value, path)
  end
  local ok, err = true, nil
  local began = vim.uv.hrtime()
  run.sourcing = name == "vim"
  for _, runner in ipairs(kind.runners) do
    ok, err = xpcall(runner, handler, run.ctx, path, content)
    if not ok then
      err = errors().normalised(err, path)
      break
    end
  end
  run.sourcing = false
  table.insert(
    run.report.files,
    { path = path, kind = name, ms = (vim.uv.hrtime() - began) / 1e6, failed = not ok or nil }
  )
  if ok then
    run.loaded[path] = true
    forget_errors(path)
  else
    problem_in_file(run, err --[[@as project_config.Error]])
  end
end

--- Runs one file in a coroutine of its own.
---@param run project_config.BegunRun
---@param ... any the other arguments of `run_file`
local function start_file(run, ...)
  local arguments = { ... }
  run.pending = run.pending + 1
  local co = coroutine.create(function()
    run_file(run, unpack(arguments))
    run.pending = run.pending - 1
    if run.paused then
      native.get().resume(run.id)
    end
  end)
  run_of[co] = run
  enter(run, co)
end

--- Runs the planned files, kind by kind. False if the run was cancelled.
---@param run project_config.BegunRun
---@param count integer
---@return boolean
local function run_files(run, count)
  local lib = native.get()
  local current_name, kind
  for index = 1, count do
    local path, name, content = lib.file(run.id, index)
    if not path then
      local failure = name --[[@as project_config.Error]]
      if failure.code ~= "cancelled" then
        give_up(run, failure)
      end
      return false
    end
    if name ~= current_name then
      while run.pending > 0 do
        if not pause(run) then
          return false
        end
      end
      current_name, kind = name, content and kinds.resolve(run.options, name)
    end
    if not kind then
      run.loaded[path] = true
      table.insert(run.report.files, { path = path, kind = name })
      forget_errors(path)
    elseif kind.async then
      start_file(run, kind, name, path, content)
    else
      run_file(run, kind, name, path, content)
      local top = entered[#entered]
      if not (top and top.co == run.thread) and not come_back(run) then
        return false
      end
    end
  end
  while run.pending > 0 do
    if not pause(run) then
      return false
    end
  end
  return true
end

--- The body of a run's coroutine.
---@param run project_config.BegunRun
---@param found project_config.Commit
local function execute(run, found)
  local shown = require("nvim-project-config.json").show(run.id, run.ctx, found.json, "disk", function()
    return not native.slice_is_over() or come_back(run)
  end)
  if not shown then
    return
  end
  -- Now, so that `on_error` sees the settings of this load.
  for _, err in ipairs(found.problems) do
    problem_in_file(run, err)
  end
  if run_files(run, found.files) then
    finish(run, run.ctx)
  end
end

---@param run project_config.Run
local function begin(run)
  local found, failure = native.get().commit(run.id, run.draft._id)
  if not found then
    if failure then
      give_up(run, failure)
    end
    return
  end
  ---@cast run project_config.BegunRun
  local ctx = loading.context_of(found.context, run.draft)
  run.ctx, run.loaded = ctx, {}
  if ctx ~= run.draft then
    run.options = context.options(ctx, run.opts)
  end
  run.report = { files = {}, errors = {}, timings = found.timings, stem = found.stem, start_dir = run.start_dir }
  ctx.project_root, ctx.project_name, ctx.projects = found.project_root, found.project_name, found.projects
  if ctx._last_project_json == nil or ctx._last_project_json == ctx._json_target then
    ctx._last_project_json = found.json_target -- else the user has set it
  end
  ctx._json_target = found.json_target
  context.show_config_dir(ctx, run.config_dir)
  ctx._files_loaded, ctx._report = run.loaded, run.report
  if found.current then
    loading.make_current(ctx)
  end
  run.thread = coroutine.create(function()
    execute(run, found)
  end)
  run_of[run.thread] = run
  run.paused = true
  go_on(run)
end

--- Calls a function of the user's, and reports what it throws.
---@param run? project_config.Run
---@param callback fun(...)
---@param ... any
local function call(run, callback, ...)
  entered[#entered + 1] = {} -- nobody's: whatever waits below on the stack has nothing to do with it
  local ok, err = xpcall(callback, thrown, ...)
  entered[#entered] = nil
  if not ok then
    err = errors().normalised(err)
    local report = run and run.report
    if report then
      table.insert(report.errors, err)
    end
    errors().report(err --[[@as project_config.Error]], run and (run.ctx or run.draft), run and run.options.on_error)
  end
end

---@param request integer
---@return fun(...)?
local function take_callback(request)
  local callback = native.callbacks[request]
  native.callbacks[request] = nil
  return callback
end

--- Runs `work` now, or, for a start-up load, once the editor is ready or somebody waits.
---@param run? project_config.Run
---@param work fun()
local function when_ready(run, work)
  if run and run.at_startup and waiting == 0 and vim.v.vim_did_enter == 0 then
    deferred[#deferred + 1] = work
    vim.api.nvim_create_autocmd("VimEnter", {
      once = true,
      desc = "nvim-project-config: run what start-up has loaded",
      callback = vim.schedule_wrap(M.release),
    })
  else
    work()
  end
end

--- Runs what was held back until `VimEnter`.
function M.release()
  local works = deferred
  deferred = {}
  for _, work in ipairs(works) do
    work()
  end
end

M.handlers = {
  planned = function(id)
    local run = runs[id]
    when_ready(run, function()
      if run and runs[id] == run then
        begin(run)
      end
    end)
  end,
  failed = function(id, err)
    local run = runs[id]
    when_ready(run, function()
      if run and runs[id] == run then
        give_up(run, err)
      end
    end)
  end,
  loaded = function(id)
    local run = runs[id]
    if run and run.options.on_load then
      call(run, run.options.on_load, run.ctx)
    end
  end,
  answer = function(request, id)
    local run, callback = runs[id], take_callback(request)
    if callback then
      call(run, callback, run.result[1], run.result[2])
    end
  end,
  refuse = function(request, err)
    local callback = take_callback(request)
    loading.sweep()
    if callback then
      call(nil, callback, nil, err)
    end
  end,
  done = function(id)
    runs[id] = nil
  end,
  resume = function(id)
    local run = runs[id]
    if run then
      go_on(run --[[@as project_config.BegunRun]])
    end
  end,
  changed = function(id, change, author)
    local ctx = loading.context_by_id(id)
    if ctx then
      require("nvim-project-config.json").change(ctx, change, author)
    end
  end,
  check_wait = function(request)
    require("nvim-project-config.deadlock").check_wait(request)
  end,
}

--- Waits for `is_done` while the editor stays alive.
---@param timeout_ms integer
---@param is_done fun(): boolean
---@return boolean done, boolean interrupted
function M.wait(timeout_ms, is_done)
  if native.leaving then
    return false, true -- nothing will come any more
  end
  waiting = waiting + 1
  M.release()
  local called, done, reason = pcall(vim.wait, timeout_ms, is_done)
  waiting = waiting - 1
  if not called then
    error(done, 0) -- where waiting is not allowed
  end
  return done, reason == -2
end

return M
