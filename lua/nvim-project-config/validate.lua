--- Checks the options that a user passes, against the schema in `config.lua`.

local config = require("nvim-project-config.config")

local M = {}

---@param text string
local function fail(text)
  error("nvim-project-config: " .. text, 0)
end

---@param path string
---@param wanted string
---@param found string
local function mismatch(path, wanted, found)
  fail(("%s: expected %s, got %s"):format(path == "" and "options" or path, wanted, found))
end

---@param path string
---@param key any
---@return string
local function join(path, key)
  return path == "" and tostring(key) or (path .. "." .. tostring(key))
end

--- What a value has to be beyond its type, if it is not.
---@param leaf table
---@param value any
---@return string?
local function wanted_instead(leaf, value)
  if leaf.one_of and not vim.list_contains(leaf.one_of, value) then
    return '"' .. table.concat(leaf.one_of, '", "') .. '"'
  elseif leaf.at_least and not (value >= leaf.at_least and value == math.floor(value) and value < 2 ^ 53) then
    return "a whole number from " .. leaf.at_least
  elseif leaf.is_list and not vim.islist(value) then
    return "a list of " .. leaf.is_list
  end
end

---@param leaf table
---@param value any
---@param path string
local function check_leaf(leaf, value, path)
  if not vim.list_contains(leaf[2], type(value)) then
    mismatch(path, table.concat(leaf[2], " or "), type(value))
  end
  local wanted = wanted_instead(leaf, value)
  if wanted then
    mismatch(path, wanted, vim.inspect(value, { newline = " ", indent = "" }))
  end
end

---@param value any
---@param path string
local function check_table(value, path)
  if type(value) ~= "table" then
    mismatch(path, "table", type(value))
  end
end

local resolve

--- `given` over `base`, both maps of branches of one shape.
local function resolve_map(branch, given, base, path)
  check_table(given, path)
  local result = vim.tbl_extend("force", {}, base)
  for name, value in pairs(given) do
    local key = join(path, name)
    if type(name) ~= "string" or not name:match("^[%w_-]+$") then
      fail(key .. ": expected a file name extension without the dot as key")
    end
    result[name] = resolve(branch, value, base[name] or config.defaults(branch), key)
    if not config.schema.executors[3][name] and not result[name].run then
      mismatch(key .. ".run", "function", "nil")
    end
  end
  return result
end

--- `given` over `base`, both of the shape of `branch`.
function resolve(branch, given, base, path)
  check_table(given, path)
  local result = vim.tbl_extend("force", {}, base)
  for key, value in pairs(given) do
    local node, full = branch[key], join(path, key)
    if node == nil then
      fail(require("nvim-project-config.nearest").unknown_option(config.schema, path, key))
    elseif node[1] == "map" then
      result[key] = resolve_map(node[2], value, base[key], full)
    elseif node[2] then
      check_leaf(node, value, full)
      result[key] = value
    else
      result[key] = resolve(node, value, base[key], full)
    end
  end
  return result
end

--- The options of a stage, checked. Raises an error that names the stage and the key.
---@param stage string
---@param given any
---@param branch table
---@return table
function M.stage(stage, given, branch)
  for key in pairs(type(given) == "table" and given or {}) do
    if branch[key] == nil then
      local known = vim.tbl_keys(branch)
      table.sort(known)
      fail(("stages.%s: unknown option '%s'; known are %s"):format(stage, key, table.concat(known, ", ")))
    end
  end
  return resolve(branch, given or {}, config.defaults(branch), "stages." .. stage)
end

--- `given` over `base`. Raises an error that names the key and what is wanted.
---@param given any
---@param base project_config.Config
---@return project_config.Config
function M.resolve(given, base)
  return resolve(config.schema, given, base, "") --[[@as project_config.Config]]
end

return M
