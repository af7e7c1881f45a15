--- Puts a planned document into a context's live JSON table.
---
--- The library says what has to happen (everything, single paths, nothing) and hands the new values over in pieces of strict JSON,
--- which `vim.json.decode` turns into tables faster than anything that could be done from outside. They are built aside, between
--- pauses, and put in place in one step, so nobody ever sees half a document.

local loading = require("nvim-project-config.loading")
local native = require("nvim-project-config.native")

local M = {}

--- A load gives way this often to changes that are made while it is put together. Then it makes the editor wait for once.
local TRIES = 5

--- Moves the members of a decoded piece into the table it belongs to.
local function fill(target, is_array, members)
  if is_array then
    local length = #target
    for index = 1, #members do
      target[length + index] = members[index]
    end
  else
    for key, value in pairs(members) do
      target[key] = value
    end
  end
end

--- Passes on what the library returned; an error of it ends the run, and is not the end of a document.
local function checked(value, err_or_second, ...)
  if value == nil and type(err_or_second) == "table" and err_or_second.code ~= "cancelled" then
    error(err_or_second.message, 0)
  end
  return value, err_or_second, ...
end

--- Builds the new values into `root`. False if they are not wanted any more.
---@param run_id? integer
---@param ctx project_config.Context
---@param root table
---@param may_go_on fun(): boolean
---@return boolean
local function build(run_id, ctx, root, may_go_on)
  local lib = native.get()
  local tables, arrays, depth = { root }, { false }, 1
  while true do
    local verb, a, b = checked(lib.piece(run_id, ctx._id))
    if not verb then
      return true
    elseif verb == "fill" then
      fill(tables[depth], arrays[depth], vim.json.decode(a))
    elseif verb == "open" then
      depth = depth + 1
      tables[depth], arrays[depth] = a, b
    else
      local finished = tables[depth]
      depth = depth - 1
      local parent = tables[depth]
      parent[arrays[depth] and #parent + 1 or a] = finished
    end
    if not may_go_on() then
      return false
    end
  end
end

local function is_object(value)
  return type(value) == "table" and (next(value) ~= nil and not vim.islist(value))
end

--- `over` on top of `base`, which is changed.
local function overlay(base, over)
  for key, value in pairs(over) do
    if is_object(value) and is_object(base[key]) then
      overlay(base[key], value)
    else
      base[key] = value
    end
  end
end

--- Makes `target` hold what `source` holds. The table itself stays, so that references to it stay alive. It may have a metatable
--- of the user's, which is as if it were not there: what it forbade would look as if the user had changed it back.
local function replace(target, source)
  for key in next, target do
    if source[key] == nil then
      rawset(target, key, nil)
    end
  end
  for key, value in next, source do
    rawset(target, key, value)
  end
end

--- Sets or deletes one path. A path through something that the user has replaced by a plain value is left alone.
local function edit(root, path, value)
  local parent = root
  for index = 1, #path - 1 do
    parent = rawget(parent, path[index])
    if type(parent) ~= "table" then
      return
    end
  end
  rawset(parent, path[#path], value)
end

--- Puts what was built into place.
---@param ctx project_config.Context
---@param change "whole"|"edits"
---@param edits string[][]
---@param values table
local function apply(ctx, change, edits, values)
  if change == "edits" then
    for index, path in ipairs(edits) do
      edit(ctx._json, path, values[tostring(index)])
    end
    return
  end
  if not ctx._shows_json and next(ctx._json) ~= nil then
    overlay(values, ctx._json) -- what was set before the context had a project
    require("nvim-project-config.saving").touch(ctx)
  end
  replace(ctx._json, values)
end

--- Takes up what the user has changed, and has not been looked at yet.
---@param ctx project_config.Context
local function take_up(ctx)
  local saving = package.loaded["nvim-project-config.saving"]
  if saving then
    saving.compare(ctx, true)
  end
end

--- Gives the loop back until the library has computed the change anew.
---@param run_id integer
---@return "none"|"whole"|"edits"|nil change nil if the run was cancelled
local function next_change(run_id)
  local run = loading.runs[run_id] --[[@as project_config.BegunRun]]
  run.paused = true
  coroutine.yield()
  return native.get().change(run_id)
end

--- Makes `ctx.json` show what has arrived: a run's document, or (without a run) what has changed elsewhere. False if it is not wanted
--- any more.
---@param run_id? integer
---@param ctx project_config.Context
---@param change "none"|"whole"|"edits"?
---@param author "local"|"disk"
---@param may_go_on fun(): boolean pauses if the time is up; false if it is not wanted any more
---@return boolean
function M.show(run_id, ctx, change, author, may_go_on)
  local lib, tries = native.get(), 0
  while change do
    tries = tries + 1
    local edits, values = checked(lib.edits(run_id, ctx._id)), {}
    if not (edits and build(run_id, ctx, values, may_go_on)) then
      return false
    end
    take_up(ctx)
    -- In one step from here: meanwhile another run may have put its document there, and nothing else may come in between now.
    local shown, again = checked(lib.show(run_id, ctx._id, tries >= TRIES))
    if shown then
      local is_news = ctx._shows_json and change ~= "none"
      if change ~= "none" then
        apply(ctx, change, edits, values)
      end
      ctx._shows_json = true
      if is_news then
        require("nvim-project-config.saving").announce(ctx, change == "edits" and edits or { {} }, author)
      end
      return true
    end
    if again then
      change = again
      may_go_on = function()
        return true
      end
    else
      change = shown == false and run_id and next_change(run_id) or nil
    end
  end
  return false
end

--- Sets what the code of a pipeline has set on its own context, as a user's change.
---@param ctx project_config.Context
---@param values table
function M.overlay(ctx, values)
  if next(values) ~= nil then
    overlay(ctx.json, vim.deepcopy(values))
  end
end

--- What changes elsewhere is shown by a coroutine of its own; a newer change takes the place of an older one.
---@type table<project_config.Context, thread>
local showing = setmetatable({}, { __mode = "k" })

--- Shows what has changed elsewhere.
---@param ctx project_config.Context
---@param change "none"|"whole"|"edits"
---@param author "local"|"disk"
function M.change(ctx, change, author)
  local co ---@type thread
  local function go_on()
    local ok, problem = coroutine.resume(co)
    if not ok then
      local errors = require("nvim-project-config.errors")
      errors.report(errors.new("runtime", "a defect of nvim-project-config: " .. problem), ctx, ctx.on_error)
    end
  end
  co = coroutine.create(function()
    M.show(nil, ctx, change, author, function()
      if native.slice_is_over() then
        vim.defer_fn(go_on, 0)
        coroutine.yield()
      end
      return showing[ctx] == co
    end)
    if showing[ctx] == co then
      showing[ctx] = nil -- a weak key is no help: the coroutine holds its context
    end
  end)
  showing[ctx] = co
  go_on()
end

return M
