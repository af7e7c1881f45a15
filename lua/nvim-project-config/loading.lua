--- Asking for loads: which directory, which context, which options; and the contexts of the session.
---
--- What happens once a load is planned lies in `run.lua`. Everything here is parsed at start-up, so it is kept short.

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
--- Contexts by id, for as long as somebody holds them.
---@type table<integer, project_config.Context>
local contexts = setmetatable({}, { __mode = "v" })
--- Those that are held here: with a project, or independent, until they are left.
---@type table<project_config.Context, true>
local kept = {}
M.kept = kept
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
      if run.flows or run.own then
        require("nvim-project-config.leaving").end_functions(run)
      end
      run.thread = nil -- `run.run_of` leads back from it to the run: neither would ever be freed
    end
  end
end

--- The context for which the code that asks runs, else the current one.
---@return project_config.Context?
function M.context()
  local running = package.loaded["nvim-project-config.running"]
  return running and running.running_context() or current
end

---@return project_config.Context?
function M.current()
  return current
end

---@param id integer
---@return project_config.Context?
function M.context_by_id(id)
  return contexts[id]
end

---@return fun(): integer?, project_config.Context
---@return table<integer, project_config.Context>
function M.all_contexts()
  return next, contexts
end

--- Has everything taken up and saved that was changed in a context that is about to be left.
---@param ctx project_config.Context
function M.save(ctx)
  local saving = package.loaded["nvim-project-config.saving"]
  if saving then
    saving.leave(ctx)
  end
end

--- Holds a context until it is left.
---@param ctx project_config.Context
function M.keep(ctx)
  contexts[ctx._id], kept[ctx] = ctx, true
end

--- Begins anew: ends all loads, drops all contexts but the independent ones, makes the first one.
---@param options project_config.Config
---@return project_config.Context ctx, project_config.Error? failure of the native library
function M.begin(options)
  setup_options = options
  for id, ctx in pairs(contexts) do
    if not ctx._family then
      M.save(ctx)
      contexts[id], kept[ctx] = nil, nil
    end
  end
  local lib, failure = native.get()
  local ctx = context.new(lib and lib.setup() or 0, options)
  if current and not current._shows_json then
    ctx._json = current._json -- what was set before any project was loaded
  end
  current, contexts[ctx._id] = ctx, ctx
  M.sweep()
  return ctx, failure
end

--- The context with this id: a known one, else the draft if it is the one, else a new one.
---@param id integer
---@param draft project_config.Context
---@return project_config.Context
function M.context_of(id, draft)
  local ctx = contexts[id] or (draft._id == id and draft)
  if not ctx then
    local family = draft._family
    ctx = context.new(id, family and family.options or setup_options)
    ctx._family, ctx._caches = family, family and family.caches
  end
  M.keep(ctx)
  return ctx
end

---@param ctx project_config.Context
function M.make_current(ctx)
  current = ctx
end

--- The context whose options count for a load from this directory: the innermost one around it, else one without a project.
---@param start_dir string
---@return project_config.Context?
local function context_around(start_dir)
  local best
  for _, ctx in pairs(contexts) do
    local root = not ctx._family and ctx.project_root
    local is_around = root and vim.startswith(start_dir .. "/", (root:gsub("/$", "")) .. "/")
    if is_around and (not best or #root > #best.project_root) then
      best = ctx
    end
  end
  return best or (current and not current.project_root and current) or nil
end

--- Whether a path needs no directory to begin from.
---@param path string
---@return boolean
function M.is_absolute(path)
  return path:find("^/") ~= nil or path:find("^%a:[/\\]") ~= nil
end

--- A path that a user wrote, with `~` and variables expanded. What else there is to tidy up in it, the library does.
---@param path string
---@return string
local function expanded(path)
  if path:find("^~") or path:find("$", 1, true) or jit.os == "Windows" then
    return vim.fs.normalize(path)
  end
  return path
end

--- The directory of the configuration, and what is wrong with the option. It is never relative: it would then lie in the
--- repository that one visits.
---@param option string|fun(ctx: project_config.Context): string
---@param ctx project_config.Context
---@return string?, project_config.Error?
local function config_dir_of(option, ctx)
  local dir = option ---@type any
  if type(option) == "function" then
    local ok, result = xpcall(option, M.thrown, ctx)
    dir = result ---@type any
    if not ok then
      return nil, dir
    elseif type(dir) ~= "string" then
      return nil, M.thrown("config_dir: expected a string from the function, got " .. type(dir))
    elseif dir:find("^~") then
      dir = vim.fs.normalize(dir, { expand_env = false })
    end
  else
    dir = expanded(dir)
  end
  if not M.is_absolute(dir) then
    local text = ("config_dir: expected an absolute path, got '%s'"):format(dir)
    return nil, require("nvim-project-config.errors").new("invalid_argument", text)
  end
  return dir
end

--- The identity of these options: that of a live run with equal ones, else a new one.
---@param options project_config.Config
---@return integer
local function identity_of(options)
  for _, run in pairs(M.runs) do
    if vim.deep_equal(run.asked, options) then
      return run.options_id
    end
  end
  last_options_id = last_options_id + 1
  return last_options_id
end

--- A message handler for `xpcall` around the user's functions.
---@param value any
---@return project_config.Error
function M.thrown(value)
  return require("nvim-project-config.errors").thrown(value)
end

--- Where a load begins: what was asked for, else where the user is; nil if that is gone.
---@param what project_config.Submission
---@param options project_config.Config
---@param cwd? string
---@return string?
local function start_dir_of(what, options, cwd)
  if what.start_dir then
    return what.start_dir
  end
  local asked = what.opts and what.opts.loading and what.opts.loading.start_dir
  local root = what.ctx and what.ctx.project_root
  local written = asked or (not root and options.loading.start_dir)
  if not written then
    return root or cwd
  end
  -- Only what a user wrote is expanded: a directory may well be called `$HOME`.
  written = expanded(written)
  return M.is_absolute(written) and written or (cwd and cwd .. "/" .. written)
end

--- What the library is told of the options of a load.
---@param options project_config.Config
---@param start_dir string
---@param config_dir string
---@return project_config.Request
local function request_of(options, start_dir, config_dir)
  local is_named = options.project_name ~= "directory" or next(options.names)
  return {
    start_dir = start_dir,
    config_dir = config_dir,
    executors = options.executors,
    stages = options.pipeline,
    options = 0,
    trust_mtime = options.cache.trust_mtime,
    timeout_ms = options.cache.timeout_ms,
    max_file_size = options.cache.max_file_size,
    naming = (is_named or options.exclude or options.stop_at) and require("nvim-project-config.naming").of(options)
      or nil,
  }
end

--- Asks for the projects of paths, as loads with the options of `setup` would find them: a request, which is answered with `{ root, name }` or
--- false for each; nil where only the user's code can tell.
---@param paths string[] at least one
---@return integer? request
function M.locate(paths)
  local lib, any = native.get(), paths[1] --[[@as string]]
  return lib and (lib.locate(request_of(setup_options, any, any), paths))
end

--- Asks for a load. The answer, `ctx|nil, err`, goes to the callback; without one, an awaitable for it is returned.
---
--- Raises an error for invalid options.
---@param what project_config.Submission
---@param callback? fun(ctx?: project_config.Context, err?: project_config.Error)
---@return fun(step: fun(ctx?: project_config.Context, err?: project_config.Error))
function M.submit(what, callback)
  local lib, failure = native.get()
  local cwd, gone = vim.uv.cwd()
  local ctx = what.ctx and context.base(what.ctx) or context_around(cwd or "")
  local function options_in_force()
    return ctx and context.options(ctx, what.opts) or config.resolve(what.opts, setup_options)
  end
  local options = options_in_force()
  local function refuse(err)
    local awaitable = require("nvim-project-config.errors").refusal(
      err,
      ctx or current --[[@as project_config.Context]],
      options.on_error,
      what.reason or "manual"
    )
    return callback and awaitable(callback) or awaitable
  end
  if not lib then
    return refuse(failure)
  end

  local start_dir = start_dir_of(what, options, cwd)
  if not start_dir then
    local text = ("the current directory cannot be used (%s); change to one that exists"):format(gone)
    return refuse(require("nvim-project-config.errors").new("not_found", text))
  end
  if not what.ctx and start_dir ~= cwd then
    ctx = context_around(start_dir)
    options = options_in_force()
  end
  ctx = ctx or context.new(lib.create_context(), setup_options)
  local config_dir, problem = config_dir_of(options.config_dir, ctx)
  if not config_dir then
    return refuse(problem)
  end

  -- What the user puts into the list from now on counts from the next load.
  local asked = options
  if options.pipeline then
    asked = vim.tbl_extend("force", options, { pipeline = vim.list_slice(options.pipeline) })
  end
  local options_id = identity_of(options)
  local submission = request_of(options, start_dir, config_dir)
  submission.family = ctx._family and ctx._family.handle
  submission.options, submission.reason, submission.near = options_id, what.reason, what.near
  local awaitable, request, run_id, behind ---@type any, any, any, any
  if callback then
    request, run_id, behind = lib.load(submission)
    if not request then
      return refuse(run_id)
    end
    native.callbacks[request] = callback
  else
    awaitable, request, run_id, behind = lib.load_await(submission)
    if not awaitable then
      return refuse(request)
    end
  end
  M.runs[run_id] = M.runs[run_id]
    or {
      id = run_id,
      behind = behind,
      draft = ctx,
      opts = what.opts,
      start_dir = start_dir,
      config_dir = config_dir,
      asked = asked,
      options = options,
      options_id = options_id,
      at_startup = what.reason == "startup" or (what.reason ~= nil and vim.v.vim_did_enter == 0),
      reason = what.reason or "manual",
      buffer = what.buffer,
      pending = 0,
      awaited = {},
      leaves = submission.leaves,
      pipeline = asked.pipeline,
    }
  if what.reason then
    M.sweep()
  end
  if behind and M.runs[behind] and M.runs[behind].at_startup and (not what.reason or vim.v.vim_did_enter == 1) then
    -- Somebody waits for what start-up holds back.
    M.runs[behind].at_startup = false
    vim.schedule(function()
      require("nvim-project-config.run").release()
    end)
  end
  local running = package.loaded["nvim-project-config.running"]
  if running and running.requester() then
    require("nvim-project-config.deadlock").check(
      run_id --[[@as integer]],
      request --[[@as integer]],
      what.yields or false
    )
  end
  return awaitable
end

return M
