--- The options: one schema that gives defaults, types and errors.

local M = {}

---@alias project_config.Hook fun(ctx: project_config.Context)
---@alias project_config.ErrorHook fun(err: project_config.Error, ctx: project_config.Context, file?: string)

--- What a user passes to `setup` and `load`: everything may be left out.
---@class project_config.Options
---@field config_dir? string|fun(ctx: project_config.Context): string where the files are; a function is asked at each load
---@field pipeline? project_config.Stage[] nil: walk, detect, find_files, execute
---@field executors? table<string, project_config.ExecutorOptions> by kind; a new kind `toml` stands for the files `*.toml`
---@field loading? project_config.LoadingOptions
---@field cache? project_config.CacheOptions
---@field on_load? project_config.Hook after each load
---@field on_error? project_config.ErrorHook instead of a notification
---@field on_clear? project_config.Hook before a context is emptied

---@class project_config.ExecutorOptions
---@field async? boolean may files of this kind be worked on side by side?
---@field run? project_config.FileRunner in a coroutine, with the path of each file

---@class project_config.LoadingOptions
---@field on? "startup"|"lazy"|"manual"
---@field start_dir? string where to look for the project; nil: the current directory

---@class project_config.CacheOptions
---@field trust_mtime? boolean false: read every file again at each load
---@field timeout_ms? integer how long a disk may take, in milliseconds
---@field max_file_size? integer larger files are refused; in bytes

--- The options in force.
---@class project_config.Config
---@field config_dir string|fun(ctx: project_config.Context): string
---@field pipeline? project_config.Stage[]
---@field executors table<string, project_config.Executor>
---@field loading project_config.Loading
---@field cache project_config.Cache
---@field on_load? project_config.Hook
---@field on_error? project_config.ErrorHook
---@field on_clear? project_config.Hook

---@class project_config.Executor
---@field async boolean
---@field run? project_config.FileRunner

---@class project_config.Loading
---@field on "startup"|"lazy"|"manual"
---@field start_dir? string

---@class project_config.Cache
---@field trust_mtime boolean
---@field timeout_ms integer
---@field max_file_size integer

--- A leaf of the schema: `{ default, type, check? }`. A branch: a table of leaves by key; with `[1] == MAP`, a table of branches of one
--- shape by any name.
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
  return vim.fs.joinpath(vim.fn.stdpath("config") --[[@as string]], "projects")
end

-- stylua: ignore
local schema = {
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

--- The keys of the options that a context carries.
M.keys = { "config_dir", "pipeline", "executors", "loading", "cache", "on_load", "on_error", "on_clear" }

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
      fail(("%s: expected %s, got %s"):format(path, accepted, vim.inspect(value)))
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
      fail(require("nvim-project-config.nearest").unknown_option(schema, path, key))
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
  return resolve(schema, given or {}, base or {}, "")
end

return M
