--- Asking for loads: which directory, which context, which options; and the contexts of the session.
---
--- What happens once a load is planned lies in `run.lua`. Everything here is parsed at start-up, so it is kept short.

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
function M.sweep()
  local lib = native.get()
  for id, run in pairs(M.runs) do
    if not run.result and not (lib and lib.is_live(id)) then
      M.runs[id] = nil
    end
  end
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
  local ctx = context.new(lib and lib.setup() or 0, options)
  current, contexts = ctx, { [ctx._id] = ctx }
  M.sweep()
  return ctx, failure
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
    local is_around = root and vim.startswith(start_dir .. "/", (root:gsub("/$", "")) .. "/")
    if is_around and (not best or #root > #best.project_root) then
      best = ctx
    end
  end
  if not best and current and not current.project_root then
    return current
  end
  return best or context.new(assert(native.get()).create_context(), setup_options)
end

--- A path that a user wrote, with `~` and variables expanded. What else there is to tidy up in it, the library does.
---@param path string
---@param cwd? string
---@return string?
local function absolute(path, cwd)
  if path:find("^~") or path:find("$", 1, true) or jit.os == "Windows" then
    path = vim.fs.normalize(path)
  end
  if path:find("^/") or path:find("^%a:[/\\]") then
    return path
  end
  return cwd and (cwd .. "/" .. path)
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

local function thrown(value)
  return require("nvim-project-config.errors").thrown(value)
end

--- The error for a relative path, or none, when the current directory is gone.
---@param problem? string
local function nowhere(problem)
  local text = ("the current directory cannot be used (%s); change to one that exists"):format(problem)
  return require("nvim-project-config.errors").new("not_found", text)
end

--- Asks for a load. The answer, `ctx|nil, err`, goes to the callback; without one, an awaitable for it is returned.
---
--- Raises an error for invalid options.
---@param what project_config.Submission
---@param callback? fun(ctx?: project_config.Context, err?: project_config.Error)
---@return fun(step: fun(ctx?: project_config.Context, err?: project_config.Error))
function M.submit(what, callback)
  local lib, failure = native.get()
  local cwd, problem = vim.uv.cwd()
  local ctx = what.ctx or (lib and context_around(cwd or "") or current) --[[@as project_config.Context]]
  local function refuse(err, options)
    local awaitable = require("nvim-project-config.errors").refusal(err, ctx, (options or ctx).on_error)
    return callback and awaitable(callback) or awaitable
  end
  if not lib then
    return refuse(failure)
  end

  local asked = what.opts and what.opts.loading or {}
  local root = what.ctx and what.ctx.project_root
  local written = asked.start_dir or (not root and ctx.loading.start_dir)
  -- Only what a user wrote is expanded: a directory may well be called `$HOME`.
  local start_dir = written and absolute(written, cwd) or root or cwd
  if not what.ctx and start_dir and start_dir ~= cwd then
    ctx = context_around(start_dir)
  end
  local options = context.options(ctx, what.opts)
  if not start_dir then
    return refuse(nowhere(problem), options)
  end

  local config_dir = options.config_dir
  if type(config_dir) == "function" then
    ---@type boolean, any
    local ok, result = xpcall(config_dir, thrown, ctx)
    if ok and type(result) ~= "string" then
      ok, result = false, thrown("config_dir: expected a string from the function, got " .. type(result))
    end
    if not ok then
      return refuse(result, options)
    end
    config_dir = result
  end
  local used = absolute(config_dir, cwd)
  if not used then
    return refuse(nowhere(problem), options)
  end

  local options_id = identity_of(options)
  local submission = {
    start_dir = start_dir,
    config_dir = used,
    executors = options.executors,
    stages = options.pipeline,
    options = options_id,
    automatic = what.automatic or false,
    trust_mtime = options.cache.trust_mtime,
    timeout_ms = options.cache.timeout_ms,
    max_file_size = options.cache.max_file_size,
  }
  local awaitable, request, run_id, behind ---@type any, any, any, any
  if callback then
    request, run_id, behind = lib.load(submission)
    if not request then
      return refuse(run_id, options)
    end
    native.callbacks[request] = callback
  else
    awaitable, request, run_id, behind = lib.load_await(submission)
    if not awaitable then
      return refuse(request, options)
    end
  end
  M.runs[run_id] = M.runs[run_id]
    or {
      id = run_id,
      draft = ctx,
      start_dir = start_dir,
      config_dir = config_dir,
      options = options,
      options_id = options_id,
      at_startup = what.automatic and vim.v.vim_did_enter == 0 or false,
      pending = 0,
    }
  if what.automatic then
    M.sweep()
  end
  local execution = package.loaded["nvim-project-config.run"]
  if execution and execution.requester() then
    require("nvim-project-config.deadlock").check(
      run_id --[[@as integer]],
      request --[[@as integer]],
      behind,
      what.yields or false
    )
  end
  return awaitable
end

--- Ends the loads of a context; of the current one, all loads. Forgets what they found.
---@param ctx project_config.Context
function M.unbind(ctx)
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
    M.sweep()
  end
  context.empty(ctx)
end

return M
