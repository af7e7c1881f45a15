--- Asking for loads: which directory, which context, which options; and the contexts of the session.
---
--- What happens once a load is planned lies in `run.lua`.

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

--- Live runs by id.
---@type table<integer, project_config.Run>
M.runs = {}

--- Forgets runs that were cancelled.
local function sweep()
  local lib = native.get()
  for id, run in pairs(M.runs) do
    if not run.result and not (lib and lib.is_live(id)) then
      M.runs[id] = nil
    end
  end
end

--- The identity of these options: that of a live run with equal ones, else a new one.
---@param options project_config.Config
---@return integer
local function identity_of(options)
  for _, run in pairs(M.runs) do
    if vim.deep_equal(run.options, options) then
      return run.options_id
    end
  end
  last_options_id = last_options_id + 1
  return last_options_id
end

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
  sweep()
  return current, failure
end

--- The context with this id: a known one, else the draft if it is the one, else a new one.
---@param id integer
---@param draft project_config.Context
---@return project_config.Context
function M.context_of(id, draft)
  contexts[id] = contexts[id] or (draft._id == id and draft) or context.new(id, setup_options)
  return contexts[id]
end

---@param ctx project_config.Context
function M.make_current(ctx)
  current = ctx
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

--- A message handler for `xpcall` around the user's functions.
local function thrown(value)
  return require("nvim-project-config.errors").thrown(value)
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

--- Asks for a load. Returns an awaitable for `ctx|nil, err`.
---
--- Raises an error for invalid options.
---@param what project_config.Submission
---@return fun(step: fun(ctx?: project_config.Context, err?: project_config.Error))
function M.submit(what)
  local lib, failure = native.get()
  if not lib then
    return refusal(failure --[[@as project_config.Error]], current --[[@as project_config.Context]], setup_options.on_error)
  end
  local start_dir, ctx, nowhere = locate(what)
  local options = context.options(ctx, what.opts)
  if not start_dir then
    return refusal(nowhere --[[@as project_config.Error]], ctx, options.on_error)
  end
  local ok, config_dir = xpcall(context.config_dir, thrown, ctx, options.config_dir)
  config_dir = ok and absolute(config_dir, vim.uv.cwd()) or config_dir
  if not ok then
    return refusal(config_dir, ctx, options.on_error)
  end
  ctx._config_dir = { option = options.config_dir, used = config_dir }
  ctx.config_dir = config_dir

  local own_kinds, merge_json = require("nvim-project-config.kinds").for_library(options)
  local options_id = identity_of(options)
  local awaitable, request, run_id, behind = lib.load_await({
    start_dir = start_dir,
    config_dir = config_dir,
    own_kinds = own_kinds,
    merge_json = merge_json,
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
  M.runs[run_id] = M.runs[run_id]
    or {
      id = run_id,
      draft = ctx,
      options = options,
      options_id = options_id,
      at_startup = what.automatic and vim.v.vim_did_enter == 0 or false,
      pending = 0,
    }
  if what.automatic then
    sweep()
  end
  local execution = package.loaded["nvim-project-config.run"]
  if execution then
    execution.check_for_deadlock(run_id, request, behind, what.yields or false)
  end
  return awaitable
end

--- Ends the loads of a context and empties it; of the current one, all loads.
---@param ctx project_config.Context
function M.clear(ctx)
  if ctx._clearing then
    return -- called from its own on_clear
  end
  ctx._clearing = true
  if ctx.on_clear then
    local ok, err = xpcall(ctx.on_clear, thrown, ctx)
    if not ok then
      require("nvim-project-config.errors").report(err, ctx, ctx.on_error)
    end
  end
  local lib = native.get()
  if lib then
    local ids
    if ctx ~= current then
      ids = {}
      for id, run in pairs(M.runs) do
        ids[#ids + 1] = (run.ctx or run.draft) == ctx and id or nil
      end
    end
    lib.clear(ctx._id, ids)
    sweep()
  end
  context.empty(ctx)
  ctx._clearing = nil
end

return M
