--- Contexts: what belongs to one project. Which context a load gets is decided by the library; here are the tables.

local config = require("nvim-project-config.config")

local M = {}

--- Contexts whose `json` has been handed out in this tick: it may have been changed.
---@type table<project_config.Context, true>
M.touched = {}

local touched = M.touched

local metatable = {
  __index = function(ctx, key)
    if key == "json" then
      if not touched[ctx] then
        require("nvim-project-config.saving").touch(ctx)
      end
      return rawget(ctx, "_json")
    elseif key == "pipeline" then
      -- Kept: what is changed in it counts.
      rawset(ctx, key, require("nvim-project-config.stages.default")())
      return rawget(ctx, key)
    elseif key == "file_cache" or key == "dir_cache" then
      return require("nvim-project-config.cache.base").of_context(ctx, key)
    end
  end,
  __newindex = function(ctx, key, value)
    if key == "json" then
      require("nvim-project-config.saving").replace(ctx, value)
    else
      rawset(ctx, key, value)
    end
  end,
}

--- Takes everything off a context that loads have put there.
---@param ctx project_config.Context
function M.empty(ctx)
  ctx.project_root, ctx.project_name, ctx.projects = nil, nil, {}
  ctx._json, ctx._shows_json = {}, nil
  ctx._last_project_json, ctx._json_target = nil, nil
  ctx._files_loaded, ctx._report = {}, { files = {}, errors = {} }
  ctx._clash, ctx._trouble = nil, nil
end

--- A context with these options, bound to no project.
---@param id integer
---@param options project_config.Config
---@return project_config.Context
function M.new(id, options)
  local ctx = { _id = id, _options = options } --[[@as any]]
  for key, value in pairs(options) do
    local copy = (key == "pipeline" and vim.list_slice or vim.deepcopy) --[[@as fun(value: any): any]]
    ctx[key] = type(value) == "table" and copy(value) or value
  end
  M.empty(ctx)
  return setmetatable(ctx, metatable)
end

---@param value any
---@return boolean
function M.is(value)
  return getmetatable(value) == metatable
end

--- The context that loads and is left: for the one that the code of a pipeline gets while its load is planned, the one that this load was
--- asked on.
---@param ctx project_config.Context
---@return project_config.Context
function M.base(ctx)
  return ctx._base or ctx
end

--- The option behind `ctx.config_dir`, which shows the directory that the last load used until the user sets it.
---@param ctx project_config.Context
---@return string|fun(ctx: project_config.Context): string
local function config_dir_option(ctx)
  local shown = ctx._config_dir
  return shown and ctx.config_dir == shown.used and shown.option or ctx.config_dir
end

--- Lets `ctx.config_dir` show the directory that a load has used.
---@param ctx project_config.Context
---@param used string
function M.show_config_dir(ctx, used)
  ctx._config_dir = { option = config_dir_option(ctx), used = used }
  ctx.config_dir = used
end

--- The context's options as they are now (users may change them), with those of one call over them.
---@param ctx project_config.Context
---@param over? project_config.Options
---@return project_config.Config
function M.options(ctx, over)
  local given = {}
  for key in pairs(config.schema) do
    given[key] = rawget(ctx, key)
  end
  given.config_dir = config_dir_option(ctx)
  -- On a context, this field is what came of the option.
  given.project_name = ctx._options.project_name
  local options = vim.deep_equal(given, ctx._options) and ctx._options or config.resolve(given)
  return over and config.resolve(over, options) or options
end

return M
