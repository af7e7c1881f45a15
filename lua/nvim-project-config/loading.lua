--- Asking for loads: which directory, which context, which options; and the contexts of the session.
---
--- What happens once a load is planned lies in `run.lua`.

local config = require("nvim-project-config.config")
local context = require("nvim-project-config.context")
local native = require("nvim-project-config.native")

local M = {}

--- The options of `setup`, which new contexts start with.
---@type project_config.Config
local setup_options
--- The context of the load that was asked for last, of those that have found their project.
---@type project_config.Context?
local current
--- Contexts by id: the first one, and those that a load has bound.
---@type table<integer, project_config.Context>
local contexts = {}
local last_options_id = 0

--- The context for which the code that asks runs, else the current one.
---@return project_config.Context?
function M.context()
  local run = package.loaded["nvim-project-config.run"]
  return run and run.running_context() or current
end

--- Begins anew: ends all loads, drops all contexts, makes the first one.
---@param options project_config.Config
---@return project_config.Context ctx, project_config.Error? failure of the native library
function M.begin(options)
  setup_options = options
  local lib, failure = native.get()
  current = context.new(lib and lib.setup() or 0, options)
  contexts = { [current._id] = current }
  if package.loaded["nvim-project-config.run"] then
    require("nvim-project-config.run").sweep()
  end
  return current, failure
end

--- What is needed of `run.lua`, connected at the first load.
local function get_run()
  local run = require("nvim-project-config.run")
  run.context_of = run.context_of
    or function(id)
      contexts[id] = contexts[id] or context.new(id, setup_options)
      return contexts[id]
    end
  run.make_current = run.make_current or function(ctx)
    current = ctx
    contexts[ctx._id] = ctx
  end
  return run
end

--- The context that a load from this directory most likely ends in: the innermost one around it, else one without a project.
---@param start_dir string
---@return project_config.Context
local function context_around(start_dir)
  local best
  for _, ctx in pairs(contexts) do
    local root = ctx.project_root
    local inside = root and (start_dir == root or vim.startswith(start_dir, (root:gsub("/$", "")) .. "/"))
    if inside and (not best or #root > #best.project_root) then
      best = ctx
    end
  end
  if best then
    return best
  elseif current and not current.project_root then
    return current
  end
  return context.new(assert(native.get()).create_context(), setup_options)
end

---@param path string
---@param cwd? string
---@return string?
local function absolute(path, cwd)
  path = vim.fs.normalize(path)
  if path:match("^/") or path:match("^%a:[/\\]") then
    return path
  end
  return cwd and (cwd .. "/" .. path)
end

--- An awaitable that answers with an error, which `on_error` gets too.
---@param err project_config.Error
---@param ctx project_config.Context
---@param hook? project_config.ErrorHook
local function refusal(err, ctx, hook)
  return function(step)
    vim.schedule(function()
      require("nvim-project-config.errors").report(err, ctx, hook)
      step(nil, err)
    end)
  end
end

--- Where the load begins, the context it is asked on, and what went wrong.
---@param what project_config.Submission
---@return string? start_dir, project_config.Context ctx, project_config.Error?
local function locate(what)
  local cwd, problem = vim.uv.cwd()
  local ctx = what.ctx or context_around(cwd or "")
  local loading = what.opts and what.opts.loading or {}
  local wanted = loading.start_dir or (what.ctx and what.ctx.project_root) or ctx.loading.start_dir or cwd
  local start_dir = wanted and absolute(wanted, cwd)
  if not start_dir then
    local text = "the current directory cannot be used (%s); change to one that exists"
    return nil, ctx, require("nvim-project-config.errors").new("not_found", text:format(problem))
  end
  return start_dir, what.ctx or (start_dir ~= cwd and context_around(start_dir) or ctx)
end

---@class project_config.Submission
---@field opts? project_config.Options the options of this call
---@field ctx? project_config.Context load this context's project again
---@field automatic? boolean nobody called `load`
---@field yields? boolean the caller yields until the answer comes

--- Asks for a load. Returns an awaitable for `ctx|nil, err`.
---
--- Raises an error for invalid options.
---@param what project_config.Submission
---@return fun(step: fun(ctx?: project_config.Context, err?: project_config.Error))
function M.submit(what)
  local errors = require("nvim-project-config.errors")
  local lib, failure = native.get()
  if not lib then
    return refusal(failure --[[@as project_config.Error]], current --[[@as project_config.Context]], setup_options.on_error)
  end
  local start_dir, ctx, nowhere = locate(what)
  local options = context.options(ctx, what.opts)
  if not start_dir then
    return refusal(nowhere --[[@as project_config.Error]], ctx, options.on_error)
  end
  local ok, config_dir = xpcall(context.config_dir, errors.thrown, ctx, options.config_dir)
  config_dir = ok and absolute(config_dir, vim.uv.cwd()) or config_dir
  if not ok then
    return refusal(config_dir, ctx, options.on_error)
  end
  ctx._config_dir = { option = options.config_dir, used = config_dir }
  ctx.config_dir = config_dir

  local run = get_run()
  local equal = run.with_equal_options(options)
  last_options_id = equal and last_options_id or last_options_id + 1
  local options_id = equal and equal.options_id or last_options_id
  local kinds = equal and equal.kinds or require("nvim-project-config.kinds").of(options)
  local awaitable, request, run_id, behind = lib.load_await({
    start_dir = start_dir,
    config_dir = config_dir,
    kinds = kinds,
    stages = options.pipeline,
    options = options_id,
    automatic = what.automatic or false,
    trust_mtime = options.cache.trust_mtime,
    timeout_ms = options.cache.timeout_ms,
    max_file_size = options.cache.max_file_size,
  })
  if not awaitable then
    return refusal(request, ctx, options.on_error)
  end
  run.submitted({
    id = run_id,
    draft = ctx,
    options = options,
    options_id = options_id,
    kinds = kinds,
    at_startup = what.automatic and vim.v.vim_did_enter == 0 or false,
    pending = 0,
  }, request, behind, what.yields or false)
  return awaitable
end

--- Ends the loads of a context and empties it; of the current one, all loads.
---@param ctx project_config.Context
function M.clear(ctx)
  if ctx._clearing then
    return -- called from its own on_clear
  end
  ctx._clearing = true
  local errors = require("nvim-project-config.errors")
  local on_clear = ctx.on_clear
  if on_clear then
    local ok, err = xpcall(on_clear, errors.thrown, ctx)
    if not ok then
      errors.report(err, ctx, ctx.on_error)
    end
  end
  local lib = native.get()
  if lib then
    local run = get_run()
    lib.clear(ctx._id, ctx ~= current and run.ids_of(ctx) or nil)
    run.sweep()
  end
  context.empty(ctx)
  ctx._clearing = nil
end

return M
