--- Runs the files of a load, kind by kind, and notes how they went.
---
--- They run one after the other in the run's coroutine; files of an `async` kind get coroutines of their own. Whose a coroutine is, and what
--- resumes it, is `running.lua`'s.

local kinds = require("nvim-project-config.kinds")
local loading = require("nvim-project-config.loading")
local native = require("nvim-project-config.native")
local running = require("nvim-project-config.running")

local M = {}

local hrtime = vim.uv.hrtime
local run_of, entered = running.run_of, running.entered
local pause, come_back, enter = running.pause, running.come_back, running.enter

--- Parsed when something has gone wrong.
local function errors()
  return require("nvim-project-config.errors")
end

--- The file is all right: an error in it that the user was told of is history.
---@param path string
local function forget_errors(path)
  if package.loaded["nvim-project-config.errors"] then
    errors().forget(path)
  end
end

--- Notes a problem of a load's files, and tells of it.
---@param run project_config.BegunRun
---@param err project_config.Error
function M.report(run, err)
  table.insert(run.report.errors, err)
  errors().report(err, run.ctx, run.options.on_error)
end

--- The file that a coroutine works on.
---@type table<thread, string>
local path_of = setmetatable({}, { __mode = "k" })
M.path_of = path_of

--- A message handler for `xpcall` around executors.
local function thrown_in_file(value)
  return errors().thrown(value, path_of[coroutine.running()])
end

--- Notes how a file went.
---@param run project_config.BegunRun
---@param name string of its kind
---@param path string
---@param began integer
---@param err? project_config.Error
function M.end_file(run, name, path, began, err)
  local files = run.report.files
  files[#files + 1] = { path = path, kind = name, ms = (hrtime() - began) / 1e6, failed = err and true }
  if not err then
    run.loaded[path] = true
    forget_errors(path)
  elseif err.code ~= "cancelled" or native.get().is_live(run.id) then
    M.report(run, err)
  end
end

--- Runs one file, in the coroutine of the caller. False if the coroutine was given up meanwhile.
---@param run project_config.BegunRun
---@param co thread
---@param kind project_config.Kind
---@param name string of the kind
---@param path string
---@param index integer
---@param began integer
---@return boolean
local function run_file(run, co, kind, name, path, index, began)
  local ok, err = true, nil
  local ctx, runners, of_content = run.ctx, kind.runners, kind.of_content
  path_of[co] = path
  for position = 1, #runners do
    local runner = runners[position]
    if runner == of_content then
      ok, err = xpcall(runner, thrown_in_file, ctx, path, native.get().content(run.id, index))
    else
      ok, err = xpcall(runner, thrown_in_file, ctx, path)
    end
    if not ok then
      break
    end
  end
  if run_of[co] ~= run then
    return false
  end
  if not ok then
    path_of[co] = nil -- what its report calls may yield too
    err = errors().normalised(err, path)
  end
  M.end_file(run, name, path, began, not ok and err or nil)
  return true
end

--- Runs one file in a coroutine of its own.
---@param run project_config.BegunRun
---@param kind project_config.Kind
---@param name string
---@param path string
---@param index integer
local function start_file(run, kind, name, path, index)
  local began = hrtime()
  local function has_ended()
    run.pending = run.pending - 1
    if run.paused then
      native.get().resume(run.id)
    end
  end
  local co ---@type thread
  co = coroutine.create(function()
    if run_file(run, co, kind, name, path, index, began) then
      run_of[co] = nil
      has_ended()
    end
  end)
  run.pending = run.pending + 1
  run_of[co] = run
  enter(run, co, function(err)
    if run_of[co] == run then
      run_of[co] = nil
      M.end_file(run, name, path, began, errors().normalised(err, path))
      has_ended()
    end
  end)
end

--- Waits for the files that run side by side. False if the run was cancelled.
---@param run project_config.BegunRun
---@return boolean
local function join(run)
  while run.pending > 0 do
    if not pause(run) then
      return false
    end
  end
  return true
end

--- Notes files that were merged into the JSON.
---@param run project_config.BegunRun
---@param name string of their kind
---@param paths string[]
local function note_merged(run, name, paths)
  local files = run.report.files
  for _, path in ipairs(paths) do
    run.loaded[path] = true
    files[#files + 1] = { path = path, kind = name }
    forget_errors(path)
  end
end

--- Notes the files of a run that runs none: those that are merged, and the others as they went before.
---@param run project_config.BegunRun
---@param before project_config.Report
---@param loaded table<string, true> before
function M.note(run, before, loaded)
  local went = {}
  for _, file in ipairs(before.files) do
    went[file.path] = file
  end
  local lib, first = native.get(), 1
  while first <= run.count do
    local name, is_merged, _, paths = lib.files(run.id, first)
    if not name then
      return
    elseif is_merged then
      note_merged(run, name, paths)
    else
      for _, path in ipairs(paths) do
        table.insert(run.report.files, went[path])
        run.loaded[path] = loaded[path]
      end
    end
    first = first + #paths
  end
end

--- Runs files of one kind, which have taken one route. False if the run was cancelled, or goes on in another coroutine.
---@param run project_config.BegunRun
---@param co thread
---@param kind project_config.Kind
---@param name string
---@param paths string[]
---@param first integer number of the first one
---@return boolean
local function run_alike(run, co, kind, name, paths, first)
  local id, is_async = run.id, kind.async
  run.kind_name = name
  for position = 1, #paths do
    local path, index = paths[position], first + position - 1
    if loading.runs[id] ~= run then
      return false -- cancelled by the file before
    elseif is_async then
      start_file(run, kind, name, path, index)
    else
      local began = hrtime()
      run.at, run.began = index, began
      if not run_file(run, co, kind, name, path, index, began) then
        return false
      end
      local top = entered[#entered]
      if not (top and top.co == co) and not come_back(run) then
        return false
      end
    end
  end
  path_of[co] = nil
  return true
end

--- Runs the planned files from `first` on, kind by kind. False if the run was cancelled, or goes on in another coroutine.
---@param run project_config.BegunRun
---@param first integer
---@param give_up fun(run: project_config.BegunRun, err: project_config.Error)
---@return boolean
function M.run(run, first, give_up)
  local lib, co, current = native.get(), run.thread, nil
  while first <= run.count do
    local name, is_merged, route, paths = lib.files(run.id, first)
    if not name then
      local failure = is_merged --[[@as project_config.Error]]
      if failure.code ~= "cancelled" then
        give_up(run, failure)
      end
      return false
    end
    if name ~= current and not join(run) then
      return false
    end
    current = name
    if is_merged then
      note_merged(run, name, paths)
    elseif not run_alike(run, co, kinds.resolve(run, name, route), name, paths, first) then
      return false
    end
    first = first + #paths
  end
  return join(run)
end

return M
