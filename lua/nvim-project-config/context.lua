--- Contexts: what belongs to one project. Which context a load gets is decided by the library; here are the tables.

local config = require("nvim-project-config.config")

local M = {}

--- The stages of a pipeline that was not replaced.
local function default_pipeline()
  local stages = {}
  for _, name in ipairs({ "walk", "detect", "find_files", "execute" }) do
    stages[#stages + 1] = require("nvim-project-config.stages." .. name)()
  end
  return stages
end

local metatable = {
  __index = function(ctx, key)
    return key == "pipeline" and rawget(ctx, "_id") and default_pipeline() or nil
  end,
}

--- Takes everything off a context that a load has put there.
---@param ctx project_config.Context
function M.empty(ctx)
  ctx.project_root, ctx.project_name, ctx.projects = nil, nil, {}
  ctx.json, ctx._files_loaded, ctx._last_project_json = {}, {}, nil
  ctx._report, ctx._shows_json = { files = {}, errors = {} }, nil
end

--- A context with these options, bound to no project.
---@param id integer
---@param options project_config.Config
---@return project_config.Context
function M.new(id, options)
  local ctx = { _id = id }
  for _, key in ipairs(config.keys) do
    ctx[key] = options[key]
  end
  ctx.loading, ctx.cache = vim.deepcopy(options.loading), vim.deepcopy(options.cache)
  ctx.executors = vim.deepcopy(options.executors)
  M.empty(ctx)
  return setmetatable(ctx, metatable)
end

---@param value any
---@return boolean
function M.is(value)
  return getmetatable(value) == metatable
end

--- The context's options as they are now, checked again if the user has changed them.
---@param ctx project_config.Context
---@param over? project_config.Options the options of one call
---@return project_config.Config
function M.options(ctx, over)
  local given = {}
  for _, key in ipairs(config.keys) do
    given[key] = rawget(ctx, key)
  end
  local resolved = ctx._config_dir
  if resolved and ctx.config_dir == resolved.used then
    given.config_dir = resolved.option
  end
  local options = config.resolve(given)
  return over and config.resolve(over, options) or options
end

--- The directory of the configuration files for a load on this context: the option, asked now.
---@param ctx project_config.Context
---@param option string|fun(ctx: project_config.Context): string
---@return string
function M.config_dir(ctx, option)
  local dir = option
  if type(option) == "function" then
    dir = option(ctx)
  end
  if type(dir) ~= "string" then
    error("nvim-project-config: config_dir: expected a string from the function, got " .. type(dir), 0)
  end
  return vim.fs.normalize(dir)
end

return M
