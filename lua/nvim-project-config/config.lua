--- The options: one schema that gives defaults, types and errors. What a user passes is checked in `validate.lua`.

local M = {}

--- A leaf: `{ default, types, check… }`. A branch: leaves by key. A map: `{ "map", branch, default }`, branches by any name.
-- stylua: ignore
M.schema = {
  config_dir = { function() return vim.fn.stdpath("config") .. "/projects" end, { "string", "function" } },
  pipeline   = { nil, { "table" }, is_list = "stages" },
  executors  = { "map", { async = { false, { "boolean" } }, run = { nil, { "function", "table" }, of = "function" } },
    { lua = { async = false }, vim = { async = false }, json = { async = true } } },
  loading    = {
    on        = { "startup", { "string" }, one_of = { "startup", "lazy", "manual" } },
    start_dir = { nil, { "string" } },
    watch     = {
      cwd         = { false, { "boolean" } },
      buffer      = { false, { "boolean" } },
      config_dir  = { false, { "boolean" } },
      debounce_ms = { 100, { "number" }, at_least = 0 },
    },
  },
  cache      = {
    trust_mtime   = { true, { "boolean" } },
    timeout_ms    = { 5000, { "number" }, at_least = 1 },
    max_file_size = { 16 * 1024 * 1024, { "number" }, at_least = 0 },
  },
  project_name = { "directory", { "string", "function" }, one_of = { "directory", "remote" } },
  names      = { {}, { "table" }, check = "names" },
  exclude    = { nil, { "string", "function", "table" }, check = "exclude" },
  stop_at    = { nil, { "string", "table" }, of = "string", check = "stop_at" },
  on_load    = { nil, { "function" } },
  on_error   = { nil, { "function" } },
  on_clear   = { nil, { "function" } },
}

--- The defaults of a branch.
---@param branch table
---@return table
function M.defaults(branch)
  local result = {}
  for key, node in pairs(branch) do
    if node[1] == "map" then
      result[key] = vim.deepcopy(node[3])
    elseif node[2] then
      result[key] = node[1]
    else
      result[key] = M.defaults(node)
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
  base = base or M.defaults(M.schema) --[[@as project_config.Config]]
  if given == nil or (type(given) == "table" and next(given) == nil) then
    return base
  end
  return require("nvim-project-config.validate").resolve(given, base)
end

return M
