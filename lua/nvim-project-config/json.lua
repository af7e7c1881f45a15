--- Puts a planned document into a context's live JSON table.
---
--- The library says what has to happen (everything, single paths, nothing) and hands the new values over in pieces of strict JSON,
--- which `vim.json.decode` turns into tables faster than anything that could be done from outside. They are built aside, between
--- pauses, and put in place in one step, so nobody ever sees half a document.

local loading = require("nvim-project-config.loading")
local native = require("nvim-project-config.native")

local M = {}

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

--- Builds the run's new values into `root`. False if the run was cancelled.
---@param run_id integer
---@param root table
---@param may_go_on fun(): boolean
---@return boolean
local function build(run_id, root, may_go_on)
  local lib = native.get()
  local tables, arrays, depth = { root }, { false }, 1
  while true do
    local verb, a, b = checked(lib.piece(run_id))
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

--- Makes `target` hold what `source` holds. The table itself stays, so that references to it stay alive.
local function replace(target, source)
  for key in pairs(target) do
    if source[key] == nil then
      target[key] = nil
    end
  end
  for key, value in pairs(source) do
    target[key] = value
  end
end

--- Sets or deletes one path. A path through something that the user has replaced by a plain value is left alone.
local function edit(root, path, value)
  local parent = root
  for index = 1, #path - 1 do
    parent = parent[path[index]]
    if type(parent) ~= "table" then
      return
    end
  end
  parent[path[#path]] = value
end

--- Puts what was built into place.
---@param ctx project_config.Context
---@param change "whole"|"edits"
---@param edits string[][]
---@param values table
local function apply(ctx, change, edits, values)
  if type(ctx.json) ~= "table" then
    ctx.json = {}
  end
  if change == "edits" then
    for index, path in ipairs(edits) do
      edit(ctx.json, path, values[tostring(index)])
    end
  else
    if not ctx._shows_json then
      overlay(values, ctx.json) -- what was set before the context had a project
    end
    replace(ctx.json, values)
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

--- Makes `ctx.json` show the run's document. False if the run was cancelled.
---@param run_id integer
---@param ctx project_config.Context
---@param change "none"|"whole"|"edits"?
---@param may_go_on fun(): boolean pauses if the time is up; false if the run was cancelled
---@return boolean
function M.show(run_id, ctx, change, may_go_on)
  local lib = native.get()
  while change do
    local edits, values = checked(lib.edits(run_id)), {}
    if not (edits and build(run_id, values, may_go_on)) then
      return false
    end
    -- In one step from here: meanwhile another run may have put its document there, and nothing else may come in between now.
    local shown = checked(lib.show(run_id, ctx._id))
    if shown then
      if change ~= "none" then
        apply(ctx, change, edits, values)
      end
      ctx._shows_json = true
      return true
    end
    change = shown == false and next_change(run_id) or nil
  end
  return false
end

return M
