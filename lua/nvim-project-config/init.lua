--- nvim-project-config: loads the configuration of the project you are in.
---
--- This is the public API. How a load is asked for lies in `loading.lua`, how it is carried out in `run.lua`.

local config = require("nvim-project-config.config")
local loading = require("nvim-project-config.loading")

---@class project_config.Module
---@field ctx project_config.Context the current context; in a file that a load runs, the context of that load
local M = {}

--- How long the function that `load_await` returns waits if it is not told, in milliseconds.
local WAIT_MS = 60000

local is_setup = false

---@param ctx? project_config.Context
local function ensure_setup(ctx)
  if not (is_setup or ctx and ctx._family) then
    M.setup({ loading = { on = "manual" } })
  end
end

local function load_automatically()
  loading.submit({ reason = "startup" }, function() end)
end

local lazy_group ---@type integer?

local function drop_lazy_group()
  if lazy_group then
    vim.api.nvim_del_augroup_by_id(lazy_group)
    lazy_group = nil
  end
end

--- Loads at the first file.
local function load_lazily()
  local group = vim.api.nvim_create_augroup("nvim-project-config.loading", {})
  lazy_group = group
  vim.api.nvim_create_autocmd({ "BufReadPost", "BufNewFile", "FileType" }, {
    group = group,
    desc = "nvim-project-config: load at the first file",
    callback = function()
      drop_lazy_group()
      load_automatically()
    end,
  })
end

--- Sets the options and begins anew: ends all loads and drops all contexts, except independent ones. Unless `loading.on` says otherwise, the first load
--- begins at once and is delivered after `VimEnter`.
---
--- Raises an error that names the key for an unknown option or a wrong type. If the native library is missing, it says so in one
--- message, and everything else answers with that error.
---@param opts? project_config.Options
---@return project_config.Context ctx
function M.setup(opts)
  local options = config.resolve(opts)
  is_setup = true
  drop_lazy_group()
  local ctx, failure = loading.begin(options)
  for _, name in ipairs({ "watching", "buffers" }) do
    local module = package.loaded["nvim-project-config." .. name]
    if module then
      module.reset()
    end
  end
  if failure then
    require("nvim-project-config.errors").notify(failure)
  elseif options.loading.on == "startup" then
    load_automatically()
  elseif options.loading.on == "lazy" then
    load_lazily()
  end
  local watch = options.loading.watch
  if watch.cwd or watch.buffer or watch.config_dir then
    require("nvim-project-config.watching").begin(watch)
  end
  return ctx
end

--- Makes an independent context: `opts` over the defaults, and loads, projects and caches of its own. It is never the current one and loads
--- nothing by itself; pass it to the other functions. It is kept until `clear(ctx)`.
---
--- Raises an error that names the key for an unknown option or a wrong type.
---@param opts? project_config.Options
---@return project_config.Context ctx
function M.new(opts)
  return require("nvim-project-config.new")(opts)
end

--- The options of a call, checked: `opts?|ctx?` of the public functions.
---@param what? project_config.Options|project_config.Context
---@return project_config.Submission
local function submission(what)
  if require("nvim-project-config.context").is(what) then
    return {
      ctx = what --[[@as project_config.Context]],
    }
  end
  config.resolve(what --[[@as project_config.Options]])
  return {
    opts = what --[[@as project_config.Options]],
  }
end

--- Asks for a load that somebody wants: it counts more than where the user went before.
---@param asked project_config.Submission
---@param callback? fun(ctx?: project_config.Context, err?: project_config.Error)
local function submit(asked, callback)
  ensure_setup(asked.ctx)
  local watching = package.loaded["nvim-project-config.watching"]
  if watching and not (asked.ctx and asked.ctx._family) then
    watching.overtaken()
  end
  return loading.submit(asked, callback)
end

---@param callback any
local function check_callback(callback)
  if callback ~= nil and type(callback) ~= "function" then
    error("nvim-project-config: callback: expected function, got " .. type(callback), 3)
  end
end

--- Starts a load: of the project around the current directory, with the options of one call over those of `setup`, or of a
--- context's project. Returns at once.
---
--- `callback(ctx|nil, err)` is called once, on the main loop, never before `load` has returned. Raises an error for invalid options.
---@param what? project_config.Options|project_config.Context
---@param callback? fun(ctx?: project_config.Context, err?: project_config.Error)
---@overload fun(callback: fun(ctx?: project_config.Context, err?: project_config.Error))
function M.load(what, callback)
  if type(what) == "function" then
    what, callback = nil, what
  end
  check_callback(callback)
  local asked = submission(what)
  callback = callback or function() end
  if vim.in_fast_event() then
    vim.schedule(function()
      submit(asked, callback)
    end)
  else
    submit(asked, callback)
  end
end

--- Loads and waits. In a coroutine: yields, and returns `ctx|nil, err`. Elsewhere: returns a function that waits: called in a
--- coroutine it yields; elsewhere it takes `timeout_ms` (default 60,000) and keeps the editor alive meanwhile.
---@param what? project_config.Options|project_config.Context
---@return any ... `ctx|nil, err` in a coroutine, else `fun(timeout_ms?: integer): ctx|nil, err`
function M.load_await(what)
  local asked = submission(what)
  local await = require("nvim-project-config.await")
  local running = package.loaded["nvim-project-config.running"]
  asked.yields = await.can_yield() and not (running and running.is_hook())
  local awaitable = submit(asked)
  if asked.yields then
    return await.await(awaitable)
  end
  return await.later(awaitable, WAIT_MS)
end

--- Leaves a project: calls `on_clear`, ends the context's loads (of the current context: all loads) with `cancelled`, and empties it.
--- Caches persist.
---@param ctx? project_config.Context default: the current one
function M.clear(ctx)
  if ctx == nil then
    ctx = M.ctx
  end
  require("nvim-project-config.clear")(ctx)
end

--- The context of a buffer's project. Touches no disk. Raises an error for what is no buffer.
---@param buffer? integer default, and 0: the current buffer
---@return project_config.Context? ctx nil where the project is not loaded, or where the buffer is no file
function M.context(buffer)
  return require("nvim-project-config.buffers").context(buffer)
end

--- The contexts of all loaded projects, the current one first, then by root.
---@return project_config.Context[]
function M.contexts()
  return require("nvim-project-config.buffers").contexts()
end

--- Reads one setting from the current context's JSON, or from that of a buffer's project.
---@param path project_config.Path
---@param default? any returned where nothing is set, or nothing is loaded
---@param where? { buf?: integer } 0: the current buffer
---@return any
function M.get(path, default, where)
  local ctx
  if where ~= nil then
    ctx = require("nvim-project-config.buffers").context_where(where)
  else
    ctx = M.ctx
  end
  return require("nvim-project-config.settings").get(ctx, path, default)
end

--- Sets one setting of the current context's JSON, in the table at once, on disk in the background; nil deletes it. Objects that are
--- missing on the way are made. Raises an error for what is no path.
---@param path project_config.Path
---@param value any what JSON can hold
---@return true? ok, project_config.Error? err `invalid_argument` or `unsupported_value`; then nothing has changed
function M.set(path, value)
  return require("nvim-project-config.settings").set(M.ctx, path, value)
end

--- Replaces one setting by what `change(old)` returns (nil deletes it), where `old` is what lies on disk at that moment: nobody else's
--- change is lost, whichever editor makes it. `change` may be called several times, and must not wait.
---
--- `callback(true|nil, err)` is called once, when the new value is on disk. Without it, errors go to `on_error`.
---@param path project_config.Path
---@param change fun(old: any): any
---@param callback? fun(result?: true, err?: project_config.Error)
function M.update(path, change, callback)
  if type(change) ~= "function" then
    error("nvim-project-config: change: expected function, got " .. type(change), 2)
  end
  check_callback(callback)
  require("nvim-project-config.settings").update(M.ctx, path, change, callback)
end

--- Has everything saved that was changed in any context's JSON.
---
--- `callback(true|nil, err)` is called once, later, when it is on disk. `no_project` if values were set where no project is loaded.
---@param callback? fun(result?: true, err?: project_config.Error)
function M.save(callback)
  check_callback(callback)
  require("nvim-project-config.saving").save(callback)
end

--- Where a setting of the current context comes from: the file, and the line unless it is not saved yet. Nothing where nothing is set.
---@param path project_config.Path
---@return string? file, integer? line
function M.origin(path)
  return require("nvim-project-config.settings").origin(M.ctx, path)
end

return setmetatable(M, {
  __index = function(_, key)
    if key == "ctx" then
      ensure_setup(loading.context())
      return loading.context()
    end
  end,
}) --[[@as project_config.Module]]
