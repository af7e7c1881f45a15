--- Which project a buffer belongs to: `npc.context()`, `npc.contexts()`, and `b:project_config`.
---
--- The library finds a buffer's project, off the main thread, once for each directory; nothing here touches a disk. Loaded after the first load,
--- or when somebody asks. Which buffers have a project at all is `buffer_path.lua`'s to say; switching is `watching.lua`'s.

local loading = require("nvim-project-config.loading")
local native = require("nvim-project-config.native")
local path_of = require("nvim-project-config.buffer_path")

local M = {}

local api = vim.api

--- What is known of a buffer. `project` is false where there is none, nil where it is not known (yet).
---@class project_config.KnownBuffer
---@field path string
---@field place string the directory that it lies in, or `path` where that may be one
---@field project? project_config.Project|false
---@field is_asked boolean the library has been asked and has not answered
---@field shown? project_config.Project what `b:project_config` says

---@type table<integer, project_config.KnownBuffer>
local known = {}

--- Buffers to ask the library about in this tick.
---@type table<integer, project_config.KnownBuffer>
local to_locate = {}
local locates, is_following = false, false

--- The loaded contexts of the session.
---@return project_config.Context[]
local function loaded()
  local list = {}
  for _, ctx in loading.all_contexts() do
    if ctx.project_root and not ctx._family then
      list[#list + 1] = ctx
    end
  end
  return list
end

--- The loaded contexts of the session, by root. A root has several when its project has got another name: the current one counts, else the
--- latest.
---@return table<string, project_config.Context>
local function by_root()
  local result, current = {}, loading.current()
  for _, ctx in ipairs(loaded()) do
    local other = result[ctx.project_root]
    if not other or ctx == current or (other ~= current and other._id < ctx._id) then
      result[ctx.project_root] = ctx
    end
  end
  return result
end

--- The innermost of these contexts around a path.
---@param contexts table<string, project_config.Context>
---@param path string
---@return project_config.Context?
local function around(contexts, path)
  local best ---@type string?
  for root in pairs(contexts) do
    local is_longer = not best or #root > #best
    local directory = root:sub(-1) == "/" and root or root .. "/"
    if is_longer and (path .. "/"):sub(1, #directory) == directory then
      best = root
    end
  end
  return contexts[best]
end

--- The context of a buffer's project, if it is loaded.
---@param contexts table<string, project_config.Context>
---@param entry project_config.KnownBuffer
---@return project_config.Context?
local function context_in(contexts, entry)
  local project = entry.project
  if project == nil then
    return around(contexts, entry.path)
  end
  return project and contexts[project.root] or nil
end

--- Has `b:project_config` say what holds now.
---@param contexts table<string, project_config.Context>
---@param buffer integer
---@param entry project_config.KnownBuffer
---@return boolean has_changed
local function show(contexts, buffer, entry)
  local shown, ctx = entry.shown, nil
  if not entry.is_asked then
    ctx = context_in(contexts, entry)
  elseif shown then
    ctx = contexts[shown.root] -- what else could be said now might be wrong
  end
  local root, name = ctx and ctx.project_root, ctx and ctx.project_name
  local now = root and name and { root = root, name = name } or nil
  local is_same = now and shown and shown.root == root and shown.name == name or not (now or shown)
  if is_same or not api.nvim_buf_is_valid(buffer) then
    return false
  end
  entry.shown, vim.b[buffer].project_config = now, now
  return true
end

--- A statusline that shows it is not drawn anew by itself.
---@param has_changed boolean
local function redraw(has_changed)
  if has_changed then
    vim.cmd("redrawstatus!")
  end
end

---@param entries table<integer, project_config.KnownBuffer>
local function show_all(entries)
  local contexts, has_changed = by_root(), false
  for buffer, entry in pairs(entries) do
    has_changed = show(contexts, buffer, entry) or has_changed
  end
  redraw(has_changed)
end

--- Asks the library for the projects of all buffers that wait for it.
local function locate()
  locates = false
  local entries = to_locate
  to_locate = {}
  local paths, positions = {}, {}
  for _, entry in pairs(entries) do
    if not positions[entry.place] then
      paths[#paths + 1] = entry.place
      positions[entry.place] = #paths
    end
  end
  local function take(found)
    for buffer, entry in pairs(entries) do
      entry.is_asked, entry.project = false, nil
      if found then
        entry.project = found[positions[entry.place]]
      end
      entries[buffer] = known[buffer] == entry and entry or nil
    end
    show_all(entries)
  end
  local request = paths[1] and loading.locate(paths)
  if request then
    native.callbacks[request] = take
  else
    take()
  end
end

---@param buffer integer
---@param entry project_config.KnownBuffer
local function ask(buffer, entry)
  entry.is_asked, to_locate[buffer] = true, entry
  if not locates then
    locates = true
    vim.schedule(locate)
  end
end

--- Takes note of a buffer, or of its new name. What `b:project_config` says stays until it is known better.
---@param buffer integer
---@param is_file? boolean not a directory, as far as is known
local function look_at(buffer, is_file)
  local path, entry = path_of(buffer), known[buffer]
  if path then
    local place = is_file and path:match("^(.+)/[^/]+$") or path
    local project ---@type project_config.Project|false|nil
    if entry and entry.path == path then
      project = entry.project -- most likely still so
    end
    known[buffer] = { path = path, place = place, project = project, is_asked = false, shown = entry and entry.shown }
    ask(buffer, known[buffer])
  elseif entry then
    known[buffer] = nil
    if entry.shown then
      vim.b[buffer].project_config = nil
    end
  end
end

local function follow_buffers()
  is_following = true
  local group = api.nvim_create_augroup("nvim-project-config.buffers", {})
  api.nvim_create_autocmd({ "BufReadPost", "BufNewFile", "BufFilePost", "BufWritePost" }, {
    group = group,
    desc = "nvim-project-config: find the buffer's project",
    callback = function(event)
      look_at(event.buf, event.event ~= "BufFilePost")
    end,
  })
  api.nvim_create_autocmd({ "BufDelete", "BufWipeout" }, {
    group = group,
    desc = "nvim-project-config: forget the buffer",
    callback = function(event)
      known[event.buf] = nil -- its variables go with it
    end,
  })
  for _, buffer in ipairs(api.nvim_list_bufs()) do
    if api.nvim_buf_is_loaded(buffer) then
      look_at(buffer)
    end
  end
end

--- A load has ended: buffers of its project say so.
function M.refresh()
  if not is_following then
    return follow_buffers()
  end
  local contexts, has_changed = by_root(), false
  for buffer, entry in pairs(known) do
    local inner = entry.project ~= nil and around(contexts, entry.path)
    if inner and not (entry.project and #entry.project.root >= #inner.project_root) then
      ask(buffer, entry) -- a project has come into being around it since
    end
    has_changed = show(contexts, buffer, entry) or has_changed
  end
  redraw(has_changed)
end

--- A context is left.
---@param _ project_config.Context
function M.left(_)
  show_all(known)
end

--- All contexts are left, and projects may be found in another way from now on.
function M.reset()
  show_all(known)
  for buffer, entry in pairs(known) do
    entry.project = nil
    look_at(buffer)
  end
end

---@param buffer? integer
---@return project_config.Context?
local function context_of(buffer)
  if not buffer or buffer == 0 then
    buffer = api.nvim_get_current_buf()
  end
  local entry = known[buffer]
  if entry then
    return context_in(by_root(), entry)
  end
  local path = path_of(buffer)
  return path and around(by_root(), path) or nil
end

--- Raises an error for what is no buffer, as Neovim's own functions do.
---@param buffer any
---@param name string
---@param level integer
local function check(buffer, name, level)
  if buffer == nil then
    return
  end
  local problem ---@type string?
  if type(buffer) ~= "number" or buffer % 1 ~= 0 then
    problem = "expected a buffer number, got " .. vim.inspect(buffer, { newline = " ", indent = "" })
  elseif
    not api.nvim_buf_is_valid(buffer --[[@as integer]])
  then
    problem = ("there is no buffer %d"):format(buffer)
  end
  if problem then
    error(("nvim-project-config: %s: %s"):format(name, problem), level + 1)
  end
end

--- The context of a buffer's project; nil where it is not loaded.
---@param buffer? integer default, and 0: the current buffer
---@return project_config.Context?
function M.context(buffer)
  check(buffer, "buffer", 2)
  return context_of(buffer)
end

--- What `where` of `npc.get` means: the context of that buffer's project, the current one where it names no buffer.
---@param where any
---@return project_config.Context?
function M.context_where(where)
  if type(where) ~= "table" then
    error("nvim-project-config: where: expected table, got " .. type(where), 3)
  end
  for key in pairs(where) do
    if key ~= "buf" then
      error(("nvim-project-config: where: unknown key '%s'; known is buf"):format(tostring(key)), 3)
    end
  end
  check(where.buf, "where.buf", 3)
  if where.buf == nil then
    return loading.context()
  end
  return context_of(where.buf)
end

--- The loaded contexts of the session, the current one first, then by root and name.
---@return project_config.Context[]
function M.contexts()
  local list, current = loaded(), loading.current()
  table.sort(list, function(a, b)
    if a == current or b == current then
      return a == current and b ~= current
    end
    if a.project_root ~= b.project_root then
      return a.project_root < b.project_root
    end
    return a.project_name < b.project_name
  end)
  return list
end

return M
