--- Taking up what users change in `ctx.json`, and having it saved.
---
--- A table that was handed out may be changed by anybody, without notice. So it is compared with what the library knows: at the end of the
--- tick in which somebody asked for it, and, for references that were kept, at some later events. What differs, which file
--- it goes to and how it gets there is the library's to say. Reading and writing single paths lies in `settings.lua`.

local context = require("nvim-project-config.context")
local errors = require("nvim-project-config.errors")
local events = require("nvim-project-config.events")
local loading = require("nvim-project-config.loading")
local native = require("nvim-project-config.native")

local M = {}

--- How long updates may take when the editor leaves.
local UPDATE_PATIENCE_MS = 500

--- How long they have taken then: it counts against the time that the disk gets.
local waited_ms = 0

local touched = context.touched

--- Contexts whose `json` has been handed out at some time: references may have been kept.
---@type table<project_config.Context, true>
local handed_out = setmetatable({}, { __mode = "k" })

--- What has changed in this tick, for the event.
---@type table<project_config.Context, project_config.JsonChanged>
local changed = {}

--- Who waits for the disk, by ticket.
---@type table<integer, fun(err?: project_config.Error)>
local waiting = {}

local scheduled = false
local watching = false

---@param ctx project_config.Context
---@param paths string[][]
---@param author "local"|"disk"
---@return project_config.JsonChanged
local function data_of(ctx, paths, author)
  local name = ctx.project_name --[[@as string]]
  local root = ctx.project_root --[[@as string]]
  return { paths = paths, origin = author, project_name = name, project_root = root }
end

---@param ctx project_config.Context
---@param paths string[][]
---@param author "local"|"disk"
function M.announce(ctx, paths, author)
  events.announce("JsonChanged", ctx, data_of(ctx, paths, author))
end

--- Never in a fast event, where the user's hook could do next to nothing.
---@param ctx project_config.Context
---@param err project_config.Error
local function report(ctx, err)
  if vim.in_fast_event() then
    return vim.schedule(function()
      report(ctx, err)
    end)
  end
  errors.report(err, ctx, ctx.on_error)
end

---@param ctx project_config.Context
---@param paths string[][]|true|nil
local function note(ctx, paths)
  if type(paths) == "table" then
    -- The project of now: the context may be left before the tick ends.
    changed[ctx] = changed[ctx] or data_of(ctx, {}, "local")
    vim.list_extend(changed[ctx].paths, paths)
  end
end

local end_of_tick ---@type fun()

--- The loop's time when the last tick ended here.
local ended_at ---@type integer?

local function schedule()
  if scheduled then
    return
  end
  scheduled = true
  if vim.uv.now() == ended_at then
    -- Perhaps the condition of a `vim.wait`: that empties the queue of what is scheduled before it lets the loop turn, so what is put there
    -- each time would keep it from ever turning. It counts whole milliseconds, too: with a turn in no time, it would wait for several times
    -- as long as it was told.
    vim.defer_fn(end_of_tick, 2)
  else
    vim.schedule(end_of_tick)
  end
end

--- The file that new settings go to.
---@param ctx project_config.Context bound
---@return string
local function target_of(ctx)
  local target = ctx._last_project_json
  if type(target) ~= "string" then
    return ctx._json_target --[[@as string]]
  end
  return loading.is_absolute(target) and target or vim.fs.joinpath(ctx.config_dir --[[@as string]], target)
end

--- Takes up what differs in a context's JSON from what is known of it. Large documents only if it is urgent.
---@param ctx project_config.Context
---@param urgent? boolean
function M.compare(ctx, urgent)
  if not (ctx._shows_json and handed_out[ctx]) then
    return
  end
  local paths, refused = native.get().compare(ctx._id, ctx._json, urgent or false, target_of(ctx), events.is_heard())
  if type(refused) == "table" and refused.code then
    return report(ctx, refused --[[@as project_config.Error]])
  end
  if paths then
    note(ctx, paths)
    schedule()
  end
  for _, err in ipairs(refused or {}) do
    report(ctx, err)
  end
end

---@param urgent? boolean
local function compare_all(urgent)
  -- A list, as a hook that is told of a refusal may add to the set: whoever is passed over then would not be saved.
  for _, ctx in ipairs(vim.tbl_keys(handed_out)) do
    M.compare(ctx, urgent)
  end
end

function end_of_tick()
  scheduled, ended_at = false, vim.uv.now()
  M.watch()
  for _, ctx in ipairs(vim.tbl_keys(touched)) do
    touched[ctx] = nil
    M.compare(ctx)
  end
  local lib = native.get()
  if lib then
    lib.kick()
  end
  local changes = changed
  changed = {}
  for ctx, data in pairs(changes) do
    events.announce("JsonChanged", ctx, data)
  end
end

--- The context's JSON is handed out.
---@param ctx project_config.Context
function M.touch(ctx)
  touched[ctx], handed_out[ctx] = true, true
  if not watching and not vim.in_fast_event() then
    M.watch() -- now: the editor may leave in this very tick
  end
  schedule()
end

--- Something of the context's JSON is handed out. That is also an occasion to look at references that were kept.
---@param ctx project_config.Context
---@param is_table boolean it may be changed
function M.reach(ctx, is_table)
  if not touched[ctx] and (is_table or handed_out[ctx]) then
    M.touch(ctx)
  end
end

--- Another table takes the place of a context's JSON.
---@param ctx project_config.Context
---@param json any
function M.replace(ctx, json)
  if type(json) ~= "table" then
    local text = ("ctx.json: expected a table, got %s; to remove all settings assign {}"):format(type(json))
    return report(ctx, errors.new("unsupported_value", text))
  end
  rawset(ctx, "_json", json)
  M.touch(ctx)
end

--- A context is about to be left: what was changed there is taken up and saved.
---@param ctx project_config.Context
function M.leave(ctx)
  local lib = native.get()
  if lib then
    M.compare(ctx, true)
    lib.kick()
  end
  touched[ctx], handed_out[ctx] = nil, nil
end

--- Calls a function of the user's.
---@param callback? fun(...)
---@param ... any
local function call(callback, ...)
  if callback then
    local ok, err = xpcall(callback, errors.thrown, ...)
    if not ok then
      local ctx = loading.context() --[[@as project_config.Context]]
      report(ctx, errors.normalised(err))
    end
  end
end

---@param callback? fun(result?: true, err?: project_config.Error)
---@param err? project_config.Error
local function answer(callback, err)
  if err then
    call(callback, nil, err)
  else
    call(callback, true)
  end
end

---@return boolean
local function holds_homeless_values()
  for _, ctx in loading.all_contexts() do
    if not ctx._shows_json and next(ctx._json) ~= nil then
      return true
    end
  end
  return false
end

--- Has everything saved that was changed in any context.
---@param callback? fun(result?: true, err?: project_config.Error)
function M.save(callback)
  local lib, failure = native.get()
  if not lib then
    return vim.schedule(function()
      answer(callback, failure)
    end)
  end
  compare_all(true)
  local homeless = holds_homeless_values()
  local ticket, defect = lib.flush()
  if not ticket then
    return vim.schedule(function()
      answer(callback, defect)
    end)
  end
  waiting[ticket] = function(err)
    if not err and homeless then
      local text =
        "no project is loaded here, so there is no file for these settings; they are kept until a load finds one"
      err = errors.new("no_project", text)
    end
    answer(callback, err)
  end
end

--- Takes up one path that was set in a context's JSON.
---@param ctx project_config.Context
---@param path string[] keys of objects
---@param value any what lies there now
---@return project_config.Error?
function M.set(ctx, path, value)
  M.touch(ctx)
  if not ctx._shows_json then
    return
  end
  local paths, err = native.get().set(ctx._id, path, value, target_of(ctx), events.is_heard())
  note(ctx, paths)
  return err
end

--- The file and line that give the value at a path.
---@param ctx project_config.Context
---@param path string[] keys of objects
---@param rest (string|integer)[] what follows, from a position on
---@return string? file, integer? line
function M.origin(ctx, path, rest)
  local lib = native.get()
  if lib and ctx._shows_json then
    M.compare(ctx, true)
    return lib.origin(ctx._id, path, rest)
  end
end

--- Updates in the middle of being made, by ticket: what the user's function gives for what lies on disk.
---@type table<integer, project_config.Update>
local updates = {}

--- Gives updates that are under way the time to end, for the functions of the user's in them do not run any more once the editor has
--- left.
function M.finish_updates()
  if next(updates) then
    local began = vim.uv.hrtime()
    vim.wait(UPDATE_PATIENCE_MS, function()
      return next(updates) == nil
    end, 1)
    waited_ms = math.floor((vim.uv.hrtime() - began) / 1e6)
  end
end

---@param ctx project_config.Context
---@param path string[] keys of objects
---@param change fun(old: any): any
---@param callback? fun(result?: true, err?: project_config.Error)
function M.update(ctx, path, change, callback)
  callback = callback or function(_, err)
    if err then
      report(ctx, err)
    end
  end
  local lib, failure = native.get()
  local ticket ---@type integer?
  if lib and ctx._shows_json then
    M.compare(ctx, true)
    ticket, failure = lib.update(ctx._id, path, target_of(ctx))
  elseif lib then
    failure = errors.new("no_project", "no project is loaded here, so there is no file to update; load one first")
  end
  if not ticket then
    return vim.schedule(function()
      answer(callback, failure)
    end)
  end
  updates[ticket] = { change = change, path = path, callback = callback }
end

--- Whether nothing is in a buffer, as in one whose file did not exist when it was opened.
---@param buffer integer
---@return boolean
local function is_blank(buffer)
  return vim.api.nvim_buf_line_count(buffer) == 1 and vim.api.nvim_buf_get_lines(buffer, 0, 1, true)[1] == ""
end

---@param buffer integer
local function reload(buffer)
  if is_blank(buffer) then
    -- Of a file that has come into being, `:checktime` asks what to do, whatever 'autoread' is.
    return vim.api.nvim_buf_call(buffer, function()
      vim.cmd.edit({ mods = { silent = true } })
    end)
  end
  local autoread = vim.bo[buffer].autoread
  vim.bo[buffer].autoread = true
  pcall(vim.cmd.checktime, { args = { tostring(buffer) }, mods = { silent = true } })
  if vim.api.nvim_buf_is_valid(buffer) then
    vim.bo[buffer].autoread = autoread
  end
end

--- Reloads the buffers that show a file that was saved, and have no changes of their own.
---@param path string
---@param target string
local function reload_buffers(path, target)
  for _, buffer in ipairs(vim.api.nvim_list_bufs()) do
    -- What reloading one has set off may have deleted another.
    local name = vim.api.nvim_buf_is_loaded(buffer) and vim.api.nvim_buf_get_name(buffer)
    if (name == path or name == target) and not vim.bo[buffer].modified then
      -- It may be forbidden at the moment; then the editor finds out by itself later.
      pcall(reload, buffer)
    end
  end
end

M.handlers = {
  saved = function(path, target)
    errors.forget(path)
    reload_buffers(path, target)
  end,
  not_saved = function(id, err)
    local ctx = loading.context_by_id(id)
    -- What is inherited is not kept: there is nothing to save.
    local hint = err.code == "inherited" and "" or " (kept; saved once mended)"
    errors.report(err, ctx, ctx and ctx.on_error, hint)
  end,
  flushed = function(ticket, err)
    local done = waiting[ticket]
    waiting[ticket] = nil
    if done then
      done(err)
    end
  end,
  update_read = function(ticket, text)
    local update, lib = updates[ticket], native.get()
    if not update then
      return
    end
    local old = text and vim.json.decode(text).value
    local ok, new = xpcall(update.change, errors.thrown, old)
    if ok then
      lib.update_to(ticket, update.path, new)
    else
      lib.update_drop(ticket)
      updates[ticket] = nil
      answer(update.callback, errors.normalised(new))
    end
  end,
  updated = function(ticket, err)
    local update = updates[ticket]
    updates[ticket] = nil
    if update then
      answer(update.callback, err)
    end
  end,
}

--- Watches for the moments at which kept references are looked at, and at which what could not be saved is tried again.
function M.watch()
  local lib = native.get()
  if watching or not lib then
    return
  end
  watching = true
  lib.flush_at_exit(vim.fs.joinpath(vim.fn.stdpath("log") --[[@as string]], "nvim-project-config.log"))
  local group = vim.api.nvim_create_augroup("nvim-project-config.saving", {})
  local function on(occasions, desc, work)
    vim.api.nvim_create_autocmd(occasions, { group = group, desc = "nvim-project-config: " .. desc, callback = work })
  end
  local function look()
    compare_all()
  end
  on("FocusLost", "take up changes of the settings", look)
  on(
    { "CursorHold", "CursorHoldI", "BufWritePost" },
    "take up changes of the settings, save what could not be saved",
    function()
      look()
      lib.retry()
    end
  )
  on("FocusGained", "save what could not be saved", lib.retry)
  -- Twice: what is changed after the first of the two is not forgotten.
  on({ "VimLeavePre", "VimLeave" }, "save the settings", function()
    compare_all(true)
    lib.leave(waited_ms)
    waited_ms = 0 -- counted
  end)
end

return M
