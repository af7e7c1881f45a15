--- What both caches share: arguments, limits, asking the library, and handing over its answers.
---
--- What is fresh, who shares a look at the disk and what is kept is the library's to say. Each call has a callback; the coroutine forms
--- wait for one (`await.lua`). What users call works in a fast event, so nothing of Neovim's API is called there.

local await = require("nvim-project-config.await")
local native = require("nvim-project-config.native")

local M = {}

local callbacks = native.callbacks

--- The options of a cache of one's own; the others take `ctx.cache`.
-- stylua: ignore
M.options = {
  trust_mtime   = { true, { "boolean" } },
  timeout_ms    = { 5000, { "number" }, at_least = 1 },
  max_file_size = { 16 * 1024 * 1024, { "number" }, at_least = 0 },
  max_bytes     = { 64 * 1024 * 1024, { "number" }, at_least = 0 },
}

--- What loads read through, and all contexts that have no `_caches`.
---@type project_config.CacheSource
local session = {}

---@type project_config.Native?
local library
---@type project_config.Error?
local failure

--- Whether it is known if there is a library: it cannot be loaded in a fast event.
---@return boolean
local function is_looked_for()
  if not (library or failure) and not vim.in_fast_event() then
    library, failure = native.get()
  end
  return (library or failure) ~= nil
end

is_looked_for()

---@param class table the methods
---@param name string what it is called in messages
---@param source project_config.CacheSource
---@param limits project_config.Cache
---@param ctx? project_config.Context whose limits count
---@return any cache
function M.new(class, name, source, limits, ctx)
  -- Weak: a cache that is kept does not keep the context.
  local of = setmetatable({ ctx = ctx }, { __mode = "v" })
  return setmetatable({ _name = name, _source = source, _limits = limits, _of = of }, class)
end

--- The caches of contexts. Tables of their own: what lies in a context may be carried to another one.
---@type table<string, table<project_config.Context, any>>
local of_contexts = {
  file_cache = setmetatable({}, { __mode = "k" }),
  dir_cache = setmetatable({}, { __mode = "k" }),
}

--- A cache of a context.
---@param ctx project_config.Context
---@param key "file_cache"|"dir_cache"
---@return any
function M.of_context(ctx, key)
  local cache = of_contexts[key][ctx]
  if not cache then
    local kind = require("nvim-project-config.cache." .. (key == "file_cache" and "file" or "directory"))
    cache = M.new(kind.class, key, ctx._caches or session, ctx.cache, ctx)
    of_contexts[key][ctx] = cache
  end
  return cache
end

--- The options in force.
---@param cache project_config.AnyCache
---@return project_config.Cache
local function limits_of(cache)
  local ctx = cache._of.ctx
  if ctx then
    cache._limits = ctx.cache
  end
  return cache._limits
end

---@param source project_config.CacheSource
---@return userdata
local function handle_of(source)
  source.handle = source.handle or assert(library).caches(source.max_bytes)
  return source.handle
end

--- What is entered while a callback runs: on nobody's behalf.
local NOBODY = {}

---@type table[]
local entered

local function thrown(value)
  return require("nvim-project-config.errors").thrown(value)
end

--- Calls back, without a coroutine: there may be very many. What a callback throws goes to the hook of the context that is current.
---@param callback fun(...)
---@param result any
---@param err? project_config.Error
local function call(callback, result, err)
  if err then
    require("nvim-project-config.errors") -- it makes them print
  end
  entered = entered or require("nvim-project-config.running").entered
  local depth = #entered + 1
  entered[depth] = NOBODY
  local ok, problem = xpcall(callback, thrown, result, err)
  entered[depth] = nil
  if not ok then
    local errors, ctx = require("nvim-project-config.errors"), require("nvim-project-config.loading").context()
    errors.report(errors.normalised(problem), ctx, ctx and ctx.on_error)
  end
end

--- Calls back whoever made a request. Each is answered once.
---@param request integer
---@param result any
---@param err? project_config.Error
function M.answer(request, result, err)
  local callback = callbacks[request]
  callbacks[request] = nil
  if callback then
    call(callback, result, err)
  end
end

--- Asks the library. The answer, or `nothing, err`, goes to the callback, later.
---@param cache project_config.AnyCache
---@param nothing false?
---@param callback fun(...)
---@param ask project_config.CacheCall
---@param path string
---@param content any
---@param json any
function M.submit(cache, nothing, callback, ask, path, content, json)
  if not is_looked_for() then
    json = vim.deepcopy(json) -- it counts as it is now
    return vim.schedule(function()
      M.submit(cache, nothing, callback, ask, path, content, json)
    end)
  end
  local request, err = nil, failure
  if library then
    local limits = limits_of(cache)
    request, err = ask(library, handle_of(cache._source), limits, path, content, json)
    if not request and err and err.code == "runtime" then
      -- The limits of the context may be at fault: then this raises an error that names the option.
      local options = { cache = limits } ---@type any
      require("nvim-project-config.config").resolve(options)
    end
  end
  if request then
    callbacks[request] = callback
    return
  end
  vim.schedule(function()
    call(callback, nothing, err)
  end)
end

--- Raises an error where a method was called: three levels up.
---@param cache project_config.AnyCache
---@param method string
---@param text string
local function refuse(cache, method, text)
  if type(cache) ~= "table" then
    error(("nvim-project-config: %s: call it with a colon: cache:%s(…)"):format(method, method), 4)
  end
  error(("nvim-project-config: %s:%s: %s"):format(cache._name, method, text), 4)
end

--- Raises an error for what is no absolute path. To be called by the method itself, as the other checks.
---@param cache project_config.AnyCache
---@param method string
---@param path any
function M.check_path(cache, method, path)
  if type(cache) ~= "table" or type(path) ~= "string" then
    refuse(cache, method, "path: expected string, got " .. type(path))
  elseif path:byte() ~= 47 and not path:find("^%a:[/\\]") then
    refuse(cache, method, ("path: expected an absolute path, got '%s'"):format(path))
  elseif path:find("\0", 1, true) then
    refuse(cache, method, "path: expected a path without NUL")
  end
end

--- Raises an error for what cannot be called back.
---@param cache project_config.AnyCache
---@param method string
---@param callback any
function M.check_callback(cache, method, callback)
  if type(callback) ~= "function" then
    refuse(cache, method, "callback: expected function, got " .. type(callback))
  end
end

--- Raises an error where nobody can wait.
---@param cache project_config.AnyCache
---@param method string
---@param form string the form that works there
function M.check_coroutine(cache, method, form)
  if not await.can_yield() then
    refuse(cache, method, ("not in a coroutine; use %s:%s"):format(cache._name, form))
  end
end

--- Adds what both kinds of caches can do.
---@param class table
---@param kind "file"|"directory"
---@param get project_config.CacheCall
function M.add_methods(class, kind, get)
  class.__index = class
  local form = "get(path, callback)"

  function class.get_async(cache, path)
    M.check_path(cache, "get_async", path)
    M.check_coroutine(cache, "get_async", form)
    return await.await(function(step)
      M.submit(cache, nil, step, get, path)
    end)
  end

  function class.get(cache, path, callback)
    M.check_path(cache, "get", path)
    if callback ~= nil then
      M.check_callback(cache, "get", callback)
      M.submit(cache, nil, callback, get, path)
      return
    end
    M.check_coroutine(cache, "get", form)
    return await.await(function(step)
      M.submit(cache, nil, step, get, path)
    end)
  end

  local function forget(cache, path)
    if not is_looked_for() then
      vim.schedule(function()
        forget(cache, path)
      end)
    elseif library then
      library.cache_invalidate(handle_of(cache._source), kind, path)
    end
  end

  function class.invalidate(cache, path)
    M.check_path(cache, "invalidate", path)
    forget(cache, path)
  end

  function class.clear_all(cache)
    forget(cache)
  end
end

return M
