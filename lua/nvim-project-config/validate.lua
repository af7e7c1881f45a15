--- Checks the options that a user passes, against the schema in `config.lua`.

local config = require("nvim-project-config.config")

local M = {}

---@param text string
function M.fail(text)
  error("nvim-project-config: " .. text, 0)
end

---@param path string
---@param wanted string
---@param found string
local function mismatch(path, wanted, found)
  M.fail(("%s: expected %s, got %s"):format(path == "" and "options" or path, wanted, found))
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
  if leaf.one_of and type(value) == "string" and not vim.list_contains(leaf.one_of, value) then
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
function M.check_leaf(leaf, value, path)
  local wanted_type = leaf.of and ("%s or a list of %ss"):format(leaf.of, leaf.of) or table.concat(leaf[2], " or ")
  if not vim.list_contains(leaf[2], type(value)) then
    mismatch(path, wanted_type, type(value))
  elseif leaf.of and type(value) == "table" then
    if #value == 0 or not vim.islist(value) then
      mismatch(path, wanted_type, next(value) == nil and "an empty table" or "another table")
    end
    for index, item in ipairs(value) do
      if type(item) ~= leaf.of then
        mismatch(("%s[%d]"):format(path, index), leaf.of, type(item))
      end
    end
  end
  local wanted = wanted_instead(leaf, value)
  if wanted then
    mismatch(path, wanted, vim.inspect(value, { newline = " ", indent = "" }))
  end
  if leaf.check then
    require("nvim-project-config.naming")[leaf.check](value, path)
  end
end

---@param value any
---@param path string
function M.check_table(value, path)
  if type(value) ~= "table" then
    mismatch(path, "table", type(value))
  end
end

--- `given` over `base`, both maps of branches of one shape.
local function resolve_map(branch, given, base, path)
  M.check_table(given, path)
  local result = vim.tbl_extend("force", {}, base)
  for name, value in pairs(given) do
    local key = join(path, name)
    if type(name) ~= "string" or not name:match("^[%w_-]+$") then
      M.fail(key .. ": expected a file name extension without the dot as key")
    end
    result[name] = M.branch(branch, value, base[name] or config.defaults(branch), key)
    if not config.schema.executors[3][name] and not result[name].run then
      mismatch(key .. ".run", "function or a list of functions", "nil")
    end
  end
  return result
end

--- `given` over `base`, both of the shape of `branch`.
function M.branch(branch, given, base, path)
  M.check_table(given, path)
  local result = vim.tbl_extend("force", {}, base)
  for key, value in pairs(given) do
    local node, full = branch[key], join(path, key)
    if node == nil then
      M.fail(require("nvim-project-config.nearest").unknown_option(config.schema, path, key))
    elseif node[1] == "map" then
      result[key] = resolve_map(node[2], value, base[key], full)
    elseif node[2] then
      M.check_leaf(node, value, full)
      result[key] = value
    else
      result[key] = M.branch(node, value, base[key], full)
    end
  end
  return result
end

--- `given` over `base`. Raises an error that names the key and what is wanted.
---@param given any
---@param base project_config.Config
---@return project_config.Config
function M.resolve(given, base)
  return M.branch(config.schema, given, base, "") --[[@as project_config.Config]]
end

return M
