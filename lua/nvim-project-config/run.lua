--- Runs: what happens on the main loop once a load is planned, and the replies of the library.
---
--- Which run answers whom, and which context it gets, is decided by the library; when the loop is free, by `native.lua`.
--- A run is one coroutine (`running.lua`), in which its files run (`files.lua`). What the run itself waits for ends with a `resume` reply,
--- after which it looks at its condition again.

local context = require("nvim-project-config.context")
local files = require("nvim-project-config.files")
local loading = require("nvim-project-config.loading")
local native = require("nvim-project-config.native")
local running = require("nvim-project-config.running")

local M = {}

local runs = loading.runs
local run_of, path_of = running.run_of, files.path_of
local pause, come_back = running.pause, running.come_back

--- Parsed when something has gone wrong.
local function errors()
  return require("nvim-project-config.errors")
end

--- What replies to start-up loads have to do that came before the editor was ready.
---@type { run: project_config.Run, work: fun() }[]
local deferred = {}

--- How many `wait` functions are on the stack.
local waiting = 0

--- Ends a run, if it has not been cancelled. Its calls are answered by replies.
---@param run project_config.Run
---@param has_loaded boolean
---@param ctx? project_config.Context
---@param err? project_config.Error
local function finish(run, has_loaded, ctx, err)
  run.result = { ctx, err }
  if not native.get().finish(run.id, has_loaded) then
    run.result = nil -- nobody gets it, and `sweep` is to forget the run
  end
end

--- Ends a run that cannot go on.
---@param run project_config.Run
---@param err project_config.Error
local function give_up(run, err)
  if not native.get().is_live(run.id) then
    return -- another one has taken its place: nobody wants to know
  end
  errors().report(err, run.ctx or run.draft, run.options.on_error, nil, run.reason)
  finish(run, false, nil, err)
end

local abandon ---@type fun(run: project_config.BegunRun, co: thread, err: project_config.Error)

--- Goes on with a run that gave the loop back. Not with one whose file waits for something of its own: that file will be resumed
--- by whatever it waits for.
---@param run project_config.BegunRun
local function go_on(run)
  if not run.paused then
    return
  end
  run.paused = false
  local co = run.thread
  running.enter(run, co, function(err)
    abandon(run, co, err)
  end)
end

--- Begins something, and waits until it calls back. False if the run was cancelled.
---@param run project_config.BegunRun
---@param begin fun(on_end: fun())
---@return boolean
local function await_end(run, begin)
  local has_ended = false
  begin(function()
    has_ended = true
    if run.paused then
      native.get().resume(run.id)
    end
  end)
  while not has_ended do
    if not pause(run) then
      return false
    end
  end
  return true
end

--- Takes away what executors have merged into the JSON at the last load, and not at this one. False if the run was cancelled.
---@param run project_config.BegunRun
---@return boolean
local function forget_unmerged(run)
  local request = package.loaded["nvim-project-config.executors.json"]
    and native.get().forget_unmerged(run.ctx._id, run.id)
  return not request
    or await_end(run, function(on_end)
      native.callbacks[request] = function(target)
        if target then
          require("nvim-project-config.planned").show_target(run.ctx, target)
        end
        on_end()
      end
    end)
end

--- The files that a run has merged and run, in their order.
---@param run project_config.BegunRun
---@return string[]
local function files_of(run)
  local paths = {}
  for _, file in ipairs(run.report.files) do
    paths[#paths + 1] = run.loaded[file.path] and file.path or nil
  end
  return paths
end

--- Has the functions behind the `execute` stage see the files that ran. False if the run was cancelled.
---@param run project_config.BegunRun
---@return boolean
local function run_tail(run)
  local pipeline = run.pipeline
  local first = pipeline and #pipeline + 1 or 1
  while first > 1 and type(pipeline[first - 1]) == "function" do
    first = first - 1
  end
  if first < 2 or not pipeline[first] or pipeline[first - 1].stage ~= "execute" then
    return true
  end
  return await_end(run, function(on_end)
    require("nvim-project-config.flows").run_tail(run, first, files_of(run), on_end)
  end)
end

--- Runs the planned files from `first` on, and ends the run.
---@param run project_config.BegunRun
---@param first integer
local function run_from(run, first)
  if files.run(run, first, give_up) and forget_unmerged(run) and run_tail(run) then
    finish(run, true, run.ctx)
  end
end

--- The run's coroutine can never go on: a file of it has yielded nonsense. The other files run in another one.
function abandon(run, co, err)
  local path = path_of[co]
  if co ~= run.thread then
    return
  elseif not path or coroutine.status(co) == "dead" then
    return give_up(run, errors().new("runtime", "a defect of nvim-project-config: " .. err.message))
  end
  run_of[co], path_of[co] = nil, nil
  local first = run.at + 1
  run.thread = coroutine.create(function()
    run_from(run, first)
  end)
  run_of[run.thread], run.paused = run, true
  files.end_file(run, run.kind_name, path, run.began, errors().normalised(err, path))
  native.get().resume(run.id)
end

---@param pipeline? project_config.Stage[]
---@return boolean
local function executes(pipeline)
  for _, stage in ipairs(pipeline or {}) do
    if type(stage) == "table" and stage.stage == "execute" then
      return true
    end
  end
  return pipeline == nil
end

--- Tells listeners of a load.
---@param run project_config.BegunRun
---@param kind "LoadPre"|"LoadPost"
---@param paths fun(): string[]?
local function announce(run, kind, paths)
  if vim.fn.exists("#User") == 0 then
    return -- nothing is parsed for nobody
  end
  require("nvim-project-config.events").fire(kind, run.ctx, function()
    return { files = paths() or {}, reason = run.reason }
  end)
end

--- Shows the settings that a run has found. False if it was cancelled.
---@param run project_config.BegunRun
---@param found project_config.Commit
---@return boolean
local function show_settings(run, found)
  return require("nvim-project-config.json").show(run.id, run.ctx, found.json, "disk", function()
    return not native.slice_is_over() or come_back(run)
  end)
end

--- The body of the coroutine of a run that only shows what has changed on disk: no code runs.
---@param run project_config.BegunRun
---@param found project_config.Commit
---@param before project_config.Report
---@param loaded table<string, true> before
local function merge(run, found, before, loaded)
  run.is_silent = found.json == "none"
  if not run.is_silent then
    run.changed = native.get().paths(run.id)
    announce(run, "LoadPre", function()
      return run.changed
    end)
  end
  if not show_settings(run, found) then
    return
  end
  files.note(run, before, loaded)
  for _, err in ipairs(before.errors) do
    -- What is wrong with files that were not read is in what was found.
    if not (before.problems and before.problems[err]) then
      table.insert(run.report.errors, err)
    end
  end
  vim.list_extend(run.report.errors, found.standing or {})
  for _, err in ipairs(found.problems) do
    files.report(run, err)
  end
  finish(run, true, run.ctx)
end

--- The body of a run's coroutine.
---@param run project_config.BegunRun
---@param found project_config.Commit
local function execute(run, found)
  announce(run, "LoadPre", function()
    return (native.get().paths(run.id))
  end)
  -- Without `execute` no file was read, which says nothing of the settings.
  if (not run.ctx._shows_json or executes(run.pipeline)) and not show_settings(run, found) then
    return
  end
  if run.own then
    require("nvim-project-config.json").overlay(run.ctx, run.own._json)
  end
  -- Now, so that `on_error` sees the settings of this load.
  for _, err in ipairs(found.problems) do
    files.report(run, err)
    if native.slice_is_over() and not come_back(run) then
      return
    end
  end
  run_from(run, 1)
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
  local report, loaded = ctx._report, ctx._files_loaded
  run.ctx, run.loaded, run.reason, run.merges = ctx, {}, found.reason, found.merges
  run.report = {
    files = {},
    errors = run.early_errors or {},
    timings = found.timings,
    stem = found.stem,
    start_dir = run.start_dir,
    reason = found.reason,
    opts = run.opts,
    problems = {},
  }
  for _, problems in ipairs({ run.report.errors, found.problems, found.standing or {} }) do
    for _, err in ipairs(problems) do
      run.report.problems[err] = true
    end
  end
  ctx.project_root, ctx.project_name, ctx.projects = found.project_root, found.project_name, found.projects
  if ctx._last_project_json == nil or ctx._last_project_json == ctx._json_target then
    ctx._last_project_json = found.json_target -- else the user has set it
  end
  ctx._json_target = found.json_target
  context.show_config_dir(ctx, run.config_dir)
  ctx._files_loaded, ctx._report = run.loaded, run.report
  -- Whatever comes of it: for the library it is the current one now.
  if found.current then
    loading.make_current(ctx)
  end
  if package.loaded["nvim-project-config.watching"] then
    require("nvim-project-config.watching").committed(run, ctx)
  end
  local has_new_options = run.own and require("nvim-project-config.own_context").carry(run, ctx)
  if ctx ~= run.draft or has_new_options then
    local is_valid, options = pcall(context.options, ctx, run.opts)
    if not is_valid then
      return give_up(run, errors().new("invalid_argument", options --[[@as string]]))
    end
    run.options = options
  end
  run.count = found.files
  run.thread = coroutine.create(function()
    if found.merges then
      merge(run, found, report, loaded)
    else
      execute(run, found)
    end
  end)
  run_of[run.thread] = run
  run.paused = true
  go_on(run)
end

--- Starts a hook of a context's, or a callback (without one); reports what it throws.
---@param run? project_config.Run
---@param ctx? project_config.Context
---@param callback fun(...)
---@param ... any
local function start_hook(run, ctx, callback, ...)
  running.start_hook(ctx, callback, function(ok, err)
    if ok then
      return
    end
    err = errors().normalised(err)
    local report = run and run.report
    if report then
      table.insert(report.errors, err)
    end
    -- Without a load, it is the current context's.
    local owner = run and (run.ctx or run.draft) or loading.current()
    errors().report(err --[[@as project_config.Error]], owner, (run and run.options or owner or {}).on_error)
  end, ...)
end

--- Calls a function of the user's that is nobody's hook: whatever waits below on the stack has nothing to do with it.
---@param run? project_config.Run
---@param callback fun(...)
---@param ... any
local function call(run, callback, ...)
  start_hook(run, nil, callback, ...)
end

---@param request integer
---@return fun(...)?
local function take_callback(request)
  local callback = native.callbacks[request]
  native.callbacks[request] = nil
  return callback
end

--- Whether a start-up load has to wait: for the editor, then until it is known whether the first buffer leads to another project. Not while
--- somebody waits.
---@param run project_config.Run
---@return boolean
local function is_held(run)
  if not run.at_startup or waiting > 0 then
    return false
  end
  local follows = package.loaded["nvim-project-config.watching"] ~= nil
  return vim.v.vim_did_enter == 0 or (follows and require("nvim-project-config.watching").is_searching())
end

--- Runs `work` now, or, for a start-up load, once nothing holds it back.
---@param run? project_config.Run
---@param work fun()
local function when_ready(run, work)
  if not (run and is_held(run)) then
    return work()
  end
  deferred[#deferred + 1] = { run = run, work = work }
  if vim.v.vim_did_enter == 0 then
    vim.api.nvim_create_autocmd("VimEnter", {
      once = true,
      desc = "nvim-project-config: run what start-up has loaded",
      callback = vim.schedule_wrap(M.release),
    })
  end
end

--- Runs what was held back, and is not any more.
function M.release()
  local works = deferred
  deferred = {}
  for _, held in ipairs(works) do
    when_ready(held.run, held.work)
  end
end

--- The same, in the loop's next turn.
function M.release_soon()
  if deferred[1] then
    vim.schedule(M.release)
  end
end

--- In a tick of its own, as is what it parses.
local function refresh_buffers()
  require("nvim-project-config.buffers").refresh()
end

---@param id integer
---@param question integer
---@param room boolean
local function turn(id, question, room)
  local run = runs[id]
  if run then
    require("nvim-project-config.flows").turn(run, question, room)
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
    if not run then
      return
    end
    ---@cast run project_config.BegunRun
    if run.options.on_load and not run.merges then
      start_hook(run, run.ctx, run.options.on_load, run.ctx)
    end
    if not run.is_silent and run.ctx.project_root then -- else `on_load` has left it
      announce(run, "LoadPost", function()
        return run.changed or files_of(run)
      end)
      native.get().check_name(run.ctx._id, vim.fn.stdpath("state") --[[@as string]])
    end
    if not run.merges then
      vim.schedule(refresh_buffers)
    end
  end,
  stayed = function(id, context_id)
    local run = runs[id]
    if run then
      local ctx = context_id and loading.context_by_id(context_id)
      require("nvim-project-config.watching").stayed(run, ctx)
      finish(run, false, ctx)
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
  merged = function(request, target, err)
    local callback = take_callback(request)
    if callback then
      call(nil, callback, target, err)
    end
  end,
  done = function(id)
    local run = runs[id]
    runs[id] = nil
    if run and (run.flows or run.own) then
      require("nvim-project-config.leaving").end_functions(run)
    end
  end,
  resume = function(id)
    local run = runs[id]
    if run then
      go_on(run --[[@as project_config.BegunRun]])
      if run.flows or run.own then
        require("nvim-project-config.flows").pump(run)
      end
    end
  end,
  ask = function(id, question)
    local run = runs[id]
    when_ready(run, function()
      if run and runs[id] == run then
        require("nvim-project-config.host").ask(run, question)
      end
    end)
  end,
  items = function(id, question)
    turn(id, question, false)
  end,
  room = function(id, question)
    turn(id, question, true)
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
