--- Single settings by their path: reading, setting, updating, and where they come from.
---
--- A path is a dotted string or a list of keys; integers are positions in lists, from 1. How what was set gets to the disk is
--- `saving.lua`'s and the library's to say.

local errors = require("nvim-project-config.errors")
local saving = require("nvim-project-config.saving")

local M = {}

--- The keys of a path: `"a.b"` or `{ "a", "b" }`. Raises an error for anything else.
---@param path any
---@param least integer how many keys it has to have
---@return (string|integer)[]
local function keys_of(path, least)
  if type(path) == "string" then
    return vim.split(path, ".", { plain = true })
  elseif type(path) ~= "table" then
    error("nvim-project-config: path: expected string or list, got " .. type(path), 4)
  elseif not vim.islist(path) or #path < least then
    error("nvim-project-config: path: expected a list of keys, got " .. vim.inspect(path), 4)
  end
  for _, key in ipairs(path) do
    if type(key) ~= "string" and (type(key) ~= "number" or key % 1 ~= 0) then
      error("nvim-project-config: path: expected keys and positions, got " .. vim.inspect(key), 4)
    end
  end
  return path
end

---@param value any
---@return boolean
local function is_list(value)
  return vim.islist(value) and (next(value) ~= nil or getmetatable(value) ~= vim._empty_dict_mt)
end

--- The key under which a member lies: what a dotted path says of a list is a position.
---@param container table
---@param key string|integer
---@return string|integer
local function key_in(container, key)
  if type(key) == "string" and tonumber(key) and container[key] == nil and is_list(container) then
    return tonumber(key) --[[@as integer]]
  end
  return key
end

--- The value at a path of `ctx.json`, or the default.
---@param ctx? project_config.Context
---@param path any
---@param default any
---@return any
function M.get(ctx, path, default)
  local value = ctx and ctx._json ---@type any
  for _, key in ipairs(keys_of(path, 0)) do
    if type(value) ~= "table" then
      return default
    end
    value = value[key_in(value, key)]
  end
  if ctx then
    saving.reach(ctx, type(value) == "table")
  end
  if value == nil then
    return default
  end
  return value
end

---@param keys (string|integer)[]
---@param last integer
---@return string
local function shown(keys, last)
  return table.concat(keys, ".", 1, last)
end

--- Puts a value into a container, nil takes it out. Returns what undoes that, or what forbids it.
---@param container table
---@param key string|integer
---@param value any
---@return fun()? undo, string? problem
local function put_member(container, key, value)
  local before = container[key]
  if type(key) == "string" then
    if next(container) ~= nil and vim.islist(container) then
      return nil, "is a list, which has positions and no keys"
    end
  elseif not is_list(container) then
    return nil, "is no list, so it has no positions"
  elseif key < 1 or key > #container + 1 then
    return nil, ("has %d members, so there is no position %s"):format(#container, key)
  elseif value == nil and before ~= nil then
    table.remove(container, key)
    return function()
      table.insert(container, key, before)
    end
  end
  container[key] = value
  return function()
    container[key] = before
  end
end

--- Sets or deletes one path below `root`. Returns what undoes that, or what forbids it, and the keys as they lie there.
---@param root table
---@param name string what `root` is called
---@param keys (string|integer)[]
---@param value any
---@return fun()? undo, string|(string|integer)[] problem_or_keys
local function put(root, name, keys, value)
  local container, found = root, {}
  for index, key in ipairs(keys) do
    if type(container) ~= "table" then
      local kind = container == vim.NIL and "null" or "a " .. type(container)
      return nil, ("%s is %s and has no members"):format(shown(found, index - 1), kind)
    end
    found[index] = key_in(container, key)
    local member = container[found[index]]
    local is_open = index < #keys and member == nil
    if index == #keys or is_open then
      if is_open and value ~= nil then
        for below = #keys, index + 1, -1 do
          if type(keys[below]) == "number" and keys[below] ~= 1 then
            return nil, ("%s does not exist, so it has no position %s"):format(shown(keys, below - 1), keys[below])
          end
          value = { [keys[below]] = value }
          found[below] = keys[below]
        end
      elseif is_open then
        return function() end, { unpack(found, 1, index) } -- nothing is there
      end
      local undo, problem = put_member(container, found[index], value)
      if not undo then
        return nil, ("%s %s"):format(index == 1 and name or shown(found, index - 1), problem)
      end
      return undo, found
    end
    container = member
  end
  error("a path has at least one key")
end

--- The part of a path that leads through objects, and the rest, which begins with a position.
---@param keys (string|integer)[]
---@return string[] path, (string|integer)[] rest
local function split(keys)
  local path, rest = {}, {}
  for _, key in ipairs(keys) do
    table.insert((#rest > 0 or type(key) == "number") and rest or path, key)
  end
  return path, rest
end

---@param root any
---@param path (string|integer)[]
---@return any
local function at(root, path)
  local value = root
  for _, key in ipairs(path) do
    if type(value) ~= "table" then
      return nil
    end
    value = value[key]
  end
  return value
end

---@param root table
---@param keys (string|integer)[]
---@return (string|integer)[]
local function as_they_lie(root, keys)
  local found, value = {}, root ---@type any, any
  for index, key in ipairs(keys) do
    found[index] = type(value) == "table" and key_in(value, key) or key
    value = type(value) == "table" and value[found[index]] or nil
  end
  return found
end

--- Sets one path of `ctx.json`, in the table at once, on disk soon; nil deletes it.
---@param ctx project_config.Context
---@param path any
---@param value any
---@return true?, project_config.Error?
function M.set(ctx, path, value)
  local undo, found = put(ctx._json, "ctx.json", keys_of(path, 1), value)
  if not undo then
    return nil, errors.new("invalid_argument", "cannot be set: " .. found)
  end
  local prefix = split(found --[[@as (string|integer)[] ]])
  local err = saving.set(ctx, prefix, at(ctx._json, prefix))
  if err then
    undo()
    return nil, err
  end
  return true
end

--- The new value of an update. A forgotten `return` deletes nothing.
---@param ... any what the user's function returned
---@return any
local function returned(...)
  if select("#", ...) == 0 then
    local text = "the function returned nothing: return the new value, or nil to delete it"
    error(errors.new("invalid_argument", text), 0)
  end
  return (...)
end

--- Replaces the value at one path by what a function makes of what lies on disk at that moment.
---@param ctx project_config.Context
---@param path any
---@param change fun(old: any): any
---@param callback? fun(result?: true, err?: project_config.Error)
function M.update(ctx, path, change, callback)
  local prefix, rest = split(as_they_lie(ctx._json, keys_of(path, 1)))
  local function new_value(old)
    return returned(change(old))
  end
  local function through_list(list)
    local new = new_value(at(list, rest))
    list = type(list) == "table" and list or {}
    local undo, problem = put(list, shown(prefix, #prefix), rest, new)
    if not undo then
      error(errors.new("invalid_argument", "cannot be set: " .. problem), 0)
    end
    return list
  end
  saving.update(ctx, prefix, #rest > 0 and through_list or new_value, callback)
end

--- Where a setting comes from.
---@param ctx project_config.Context
---@param path any
---@return string? file, integer? line
function M.origin(ctx, path)
  local keys = as_they_lie(ctx._json, keys_of(path, 1))
  if at(ctx._json, keys) ~= nil then
    return saving.origin(ctx, split(keys))
  end
end

return M
