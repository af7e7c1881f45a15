--- The cache of directories: its entries, which are built in slices of time where they are large.
---
--- Its methods lie in `base.lua`. An entry is one state of a directory; the same state is the same table for as long as somebody holds it.

local base = require("nvim-project-config.cache.base")
local native = require("nvim-project-config.native")

local M = {}

--- This many names are taken without looking at the clock.
local CHUNK = 1000

--- The methods.
M.class = {}

--- Entries that somebody holds, by the number of the state.
---@type table<integer, project_config.DirectoryEntry>
local entries = setmetatable({}, { __mode = "v" })

--- The requests that wait for an entry that is being built, by the number of the state.
---@type table<integer, integer[]>
local waiting = {}

--- Adds the next names. False at the end.
---@param list any[]
---@param handle userdata
---@return boolean
local function add_items(list, handle)
  local length = #list
  local text = native.get().directory_items(handle, length + 1, CHUNK)
  for kind, name in (text or ""):gmatch("(%l+):([^/]*)/") do
    length = length + 1
    list[length] = { name = name, type = kind }
  end
  return text ~= nil
end

--- Answers all that have waited for an entry: each in a turn of its own, as the callback of one may wait for another one.
---@param id integer
---@param entry project_config.DirectoryEntry
local function finish(id, entry)
  entries[id] = entry
  local requests = waiting[id]
  waiting[id] = nil
  for _, request in ipairs(requests) do
    vim.schedule(function()
      base.answer(request, entry)
    end)
  end
end

--- Builds an entry. The one who asks gets it at once, unless it takes longer than the main loop should be held.
---@param request integer
---@param id integer
local function build(request, id)
  local path, mtime, mtime_ns, handle = native.get().cache_entry()
  if not path then
    return base.answer(request, nil, mtime) -- Lua has no room for it
  end
  local list = {}
  local entry = { path = path, entries = list, mtime = mtime, mtime_ns = mtime_ns }
  local function goes_on()
    repeat
      if not add_items(list, handle) then
        return false
      end
    until native.slice_is_over()
    return true
  end
  if not goes_on() then
    entries[id] = entry
    return base.answer(request, entry)
  end
  waiting[id] = { request }
  local function go_on()
    if goes_on() then
      vim.defer_fn(go_on, 0)
    else
      finish(id, entry)
    end
  end
  vim.defer_fn(go_on, 0)
end

native.handlers.got_directory = function(request, id, err)
  if not id then
    base.answer(request, nil, err)
  elseif entries[id] then
    base.answer(request, entries[id])
  elseif waiting[id] then
    table.insert(waiting[id], request)
  else
    build(request, id)
  end
end

base.add_methods(M.class, "directory", function(lib, handle, limits, path)
  return lib.cache_get_directory(handle, path, limits.trust_mtime, limits.timeout_ms)
end)

--- A cache of one's own. Raises an error that names the option.
---@param options? project_config.DirectoryCacheOptions
---@return project_config.DirectoryCache
function M.new(options)
  local known = { trust_mtime = base.options.trust_mtime, timeout_ms = base.options.timeout_ms }
  known.max_bytes = base.options.max_bytes
  local limits = require("nvim-project-config.constructor").cache("cache.directory.new", options, known)
  return base.new(M.class, "dir_cache", { max_bytes = limits.max_bytes }, limits)
end

return M
