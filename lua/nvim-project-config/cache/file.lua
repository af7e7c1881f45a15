--- The cache of files: its methods, and its entries.
---
--- What the directories' cache has too lies in `base.lua`. An entry is one state of a file; the same state is the same table for as long
--- as somebody holds it, so the content of a file comes over from the library once.

local await = require("nvim-project-config.await")
local base = require("nvim-project-config.cache.base")
local native = require("nvim-project-config.native")

local M = {}

--- The methods.
M.class = {}

--- Entries that somebody holds, by the number of the state.
---@type table<integer, project_config.FileEntry>
local entries = setmetatable({}, { __mode = "v" })

--- What gives an entry its `json` and `json_error`, decoded when first asked for: they are no fields of the table, so nobody pays for
--- them who only looks at it.
---@param handle userdata? the library's
---@return table metatable
local function with_json(handle)
  local json, err
  return {
    __index = function(_, key)
      if key ~= "json" and key ~= "json_error" then
        return nil
      elseif handle then
        local text
        text, err = native.get().entry_json(handle)
        json = text and vim.json.decode(text).value
        handle = nil
        if err then
          require("nvim-project-config.errors") -- it makes it print
        end
      end
      if key == "json" then
        return json
      end
      return err
    end,
  }
end

---@param id integer
---@return project_config.FileEntry?, project_config.Error?
local function new_entry(id)
  local path, content, mtime, mtime_ns, size, handle = native.get().cache_entry()
  if not path then
    return nil, content -- Lua has no room for it
  end
  local entry = { path = path, content = content, mtime = mtime, mtime_ns = mtime_ns, size = size }
  if handle then
    setmetatable(entry, with_json(handle))
  end
  entries[id] = entry
  return entry
end

native.handlers.got_file = function(request, id, err)
  local entry = id and entries[id] ---@type project_config.FileEntry?
  if id and not entry then
    entry, err = new_entry(id)
  end
  base.answer(request, entry, err)
end

native.handlers.written = function(request, err)
  base.answer(request, not err, err)
end

base.add_methods(M.class, "file", function(lib, handle, limits, path)
  return lib.cache_get_file(handle, path, limits.trust_mtime, limits.timeout_ms, limits.max_file_size)
end)

--- What is wrong with what is to be written.
---@param name string
---@param data any
---@return project_config.Error?
local function problem_in(name, data)
  local text
  if type(data) ~= "table" then
    text = "data: expected table, got " .. type(data)
  elseif type(data.content) ~= "string" then
    text = "data.content: expected string, got " .. type(data.content)
  else
    return nil
  end
  return require("nvim-project-config.errors").new("invalid_argument", name .. ":write: " .. text)
end

---@type project_config.CacheCall
local ask_write = function(lib, handle, limits, path, content, json)
  return lib.cache_write(handle, path, content, json, limits.timeout_ms, limits.max_file_size)
end

---@param cache project_config.FileCache
---@param callback fun(...)
---@param path string
---@param data any
local function write(cache, callback, path, data)
  local problem = problem_in(cache._name, data)
  if problem then
    base.submit(cache, false, callback, function()
      return nil, problem
    end, path)
  else
    base.submit(cache, false, callback, ask_write, path, data.content, data.json)
  end
end

---@return boolean ok, project_config.Error? err
function M.class.write_async(cache, path, data)
  base.check_path(cache, "write_async", path)
  base.check_coroutine(cache, "write_async", "write(path, data, callback)")
  return await.await(function(step)
    write(cache, step, path, data)
  end)
end

---@return boolean? ok, project_config.Error? err
function M.class.write(cache, path, data, callback)
  base.check_path(cache, "write", path)
  if callback ~= nil then
    base.check_callback(cache, "write", callback)
    write(cache, callback, path, data)
    return
  end
  base.check_coroutine(cache, "write", "write(path, data, callback)")
  return await.await(function(step)
    write(cache, step, path, data)
  end)
end

--- A cache of one's own. Raises an error that names the option.
---@param options? project_config.FileCacheOptions
---@return project_config.FileCache
function M.new(options)
  local limits = require("nvim-project-config.constructor").cache("cache.file.new", options, base.options)
  return base.new(M.class, "file_cache", { max_bytes = limits.max_bytes }, limits)
end

return M
