--- The options: one schema that gives defaults, types and errors.

local M = {}

--- A leaf: `{ default, types, check? }`. A branch: leaves by key. With `[1] == MAP`: branches of the shape `[2]` by any name, and the
--- default.
local MAP = "map"

local function one_of(...)
  local choices = { ... }
  return function(value)
    return vim.list_contains(choices, value), '"' .. table.concat(choices, '", "') .. '"'
  end
end

local function at_least(least)
  return function(value)
    return value >= least and value == math.floor(value) and value < 2 ^ 53, "a whole number from " .. least
  end
end

local function default_config_dir()
  return vim.fn.stdpath("config") .. "/projects"
end

-- stylua: ignore
M.schema = {
  config_dir = { default_config_dir, { "string", "function" } },
  pipeline   = { nil, { "table" }, function(value) return vim.islist(value), "a list of stages" end },
  executors  = { MAP, { async = { false, { "boolean" } }, run = { nil, { "function" } } },
    { lua = { async = false }, vim = { async = false }, json = { async = true } } },
  loading    = {
    on        = { "startup", { "string" }, one_of("startup", "lazy", "manual") },
    start_dir = { nil, { "string" } },
  },
  cache      = {
    trust_mtime   = { true, { "boolean" } },
    timeout_ms    = { 5000, { "number" }, at_least(1) },
    max_file_size = { 16 * 1024 * 1024, { "number" }, at_least(0) },
  },
  on_load    = { nil, { "function" } },
  on_error   = { nil, { "function" } },
  on_clear   = { nil, { "function" } },
}

local function is_leaf(node)
  return type(node[2]) == "table" and node[1] ~= MAP
end

local function fail(text)
  error("nvim-project-config: " .. text, 0)
end

local function check_leaf(leaf, value, path)
  local wanted = leaf[2]
  if not vim.list_contains(wanted, type(value)) then
    fail(("%s: expected %s, got %s"):format(path, table.concat(wanted, " or "), type(value)))
  end
  if leaf[3] then
    local ok, accepted = leaf[3](value)
    if not ok then
      fail(("%s: expected %s, got %s"):format(path, accepted, vim.inspect(value, { newline = " ", indent = "" })))
    end
  end
end

local resolve

--- `given` over `base`, both of the shape of `node`.
local function resolve_map(node, given, base, path)
  local result = {}
  for name, value in pairs(base) do
    result[name] = value
  end
  for name, value in pairs(given) do
    local key = path .. "." .. tostring(name)
    if type(name) ~= "string" or not name:match("^[%w_-]+$") then
      fail(("%s: expected a file name extension without the dot as key"):format(key))
    end
    result[name] = resolve(node[2], value, base[name] or {}, key)
  end
  return result
end

function resolve(node, given, base, path)
  if type(given) ~= "table" then
    fail(("%s: expected table, got %s"):format(path == "" and "options" or path, type(given)))
  end
  for key in pairs(given) do
    if node[key] == nil then
      fail(require("nvim-project-config.nearest").unknown_option(M.schema, path, key))
    end
  end
  local result = {}
  for key, child in pairs(node) do
    local value, old = given[key], base[key]
    local full = path == "" and key or (path .. "." .. key)
    if is_leaf(child) then
      if value == nil then
        result[key] = old
        if old == nil then
          result[key] = child[1]
        end
      else
        check_leaf(child, value, full)
        result[key] = value
      end
    elseif value == nil and old ~= nil then
      result[key] = old
    elseif child[1] == MAP then
      if value ~= nil and type(value) ~= "table" then
        fail(("%s: expected table, got %s"):format(full, type(value)))
      end
      result[key] = resolve_map(child, value or {}, old or child[3], full)
    else
      result[key] = resolve(child, value == nil and {} or value, old or {}, full)
    end
  end
  return result
end

--- The options in force: `given` over `base` (default: the defaults). Neither is changed.
---
--- Raises an error that names the key, what is wanted and, for an unknown key, the nearest known one.
---@param given? project_config.Options
---@param base? project_config.Config
---@return project_config.Config
function M.resolve(given, base)
  return resolve(M.schema, given or {}, base or {}, "") --[[@as project_config.Config]]
end

return M
