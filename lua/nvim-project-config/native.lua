--- The way to the native library: finding it, the handshake, and the wake-up of the main loop.
---
--- What replies mean is not known here: see `run.lua`, which registers one handler for each event.

local M = {}

--- The interface of the library that these Lua files were written for (`INTERFACE` in `src/exports.rs`).
local INTERFACE = 5

--- The plugin's own work holds the main loop for at most this long at a time.
local SLICE_NS = 3000000

local uv = vim.uv

---@type project_config.Native?
local library
---@type project_config.Error?
local failure
local drain_scheduled = false
local slice_end = 0

--- Set when Neovim leaves: no answer comes any more.
M.leaving = false

--- What waits for an answer, by request id. Rust puts the `step` of an awaitable here too.
---@type table<integer, fun(...)>
M.callbacks = {}

--- The metatable of errors; `errors.lua` fills it in.
M.error_metatable = {}

--- What to do with a reply, by event. Loaded with the first reply.
---@type table<string, fun(...)>
M.handlers = setmetatable({}, {
  __index = function(_, event)
    return require("nvim-project-config.run").handlers[event]
      or require("nvim-project-config.replies").handlers[event]
      or require("nvim-project-config.saving").handlers[event]
  end,
})

--- The directory of the plugin, absolute.
---@return string
function M.plugin_dir()
  local source = debug.getinfo(1, "S").source:sub(2)
  local dir = source:match("^(.*)[/\\]lua[/\\]nvim%-project%-config[/\\]native%.lua$") or "."
  if not (dir:match("^/") or dir:match("^%a:")) then
    dir = vim.fn.fnamemodify(dir, ":p"):gsub("(.)[/\\]$", "%1")
  end
  return dir
end

--- Where the library has to be. Never found through the search path: that could find one in the current directory.
---@return string
function M.library_path()
  local extension = ({ Windows = "dll", OSX = "dylib" })[jit.os] or "so"
  return M.plugin_dir() .. "/lua/nvim_project_config." .. extension
end

--- True once this slice of the main loop's time is used up.
---@return boolean
function M.slice_is_over()
  return uv.hrtime() > slice_end
end

local function drain()
  drain_scheduled = false
  local lib = assert(library)
  slice_end = uv.hrtime() + SLICE_NS
  repeat
    local event, id, a, b = lib.drain()
    if not event then
      if id then
        require("nvim-project-config.errors").notify(id)
      end
      return
    end
    M.handlers[event](id, a, b)
  until M.slice_is_over()
  -- Through the loop, not through `vim.schedule`: input and timers come first.
  lib.wake()
end

local function on_wake()
  if not drain_scheduled and assert(library).has_replies() then
    drain_scheduled = true
    vim.schedule(drain)
  end
end

---@param lib project_config.Native
---@param path string
local function attach(lib, path)
  local async = assert(uv.new_async(on_wake))
  async:unref()
  local thread ---@type uv.luv_thread_t?
  local in_thread = vim.env.NVIM_PROJECT_CONFIG_WAKE == "thread"
  if not lib.attach(async, M.callbacks, M.error_metatable, in_thread) then
    thread = uv.new_thread({}, function(library_path, handle)
      local waiter = assert(package.loadlib(library_path, "luaopen_nvim_project_config"))()
      while waiter.wait() == true do
        handle:send()
      end
    end, path, async)
  end
  vim.api.nvim_create_autocmd("VimLeavePre", {
    group = vim.api.nvim_create_augroup("nvim-project-config.exit", {}),
    desc = "nvim-project-config: let go of the main loop",
    callback = function()
      local saving = package.loaded["nvim-project-config.saving"]
      if saving then
        saving.finish_updates()
      end
      M.leaving = true
      lib.detach()
      if thread then
        thread:join() -- it may be about to touch the handle
      end
      if not async:is_closing() then
        async:close()
      end
    end,
  })
end

---@return project_config.Native?, string? problem
local function open(path)
  local entry, reason = package.loadlib(path, "luaopen_nvim_project_config")
  if not entry then
    if not uv.fs_stat(path) then
      return nil, "the native library is missing (" .. path .. ")"
    end
    return nil, "the native library cannot be loaded: " .. tostring(reason)
  end
  local ok, lib = pcall(entry)
  if not ok or type(lib) ~= "table" then
    return nil, "the native library does not start: " .. tostring(lib)
  elseif lib.interface ~= INTERFACE then
    local found, wanted = tostring(lib.interface), tostring(INTERFACE)
    return nil, ("the native library (interface %s) does not fit the Lua files (interface %s)"):format(found, wanted)
  end
  return lib
end

--- The library, loaded and attached to the main loop at the first call.
---@return project_config.Native?, project_config.Error?
function M.get()
  if library or failure then
    return library, failure
  end
  local path = M.library_path()
  local lib, problem = open(path)
  if lib then
    library = lib
    attach(lib, path)
  else
    failure = require("nvim-project-config.errors").new(
      "library",
      ("%s; run `make build` in %s, then restart Neovim"):format(problem, M.plugin_dir())
    )
  end
  return library, failure
end

return M
