--- Errors as users see them: their shape, where they come from in user code, and where they go.

local M = {}

--- Errors print and concatenate as their message. The library gives this table to its errors too.
M.metatable = require("nvim-project-config.native").error_metatable
function M.metatable.__tostring(err)
  return err.message
end
function M.metatable.__concat(a, b)
  return tostring(a) .. tostring(b)
end

--- Messages that the user has been shown, by the path they are about.
---@type table<string, table<string, true>>
local notified = {}
--- So many are remembered at most; beyond that it begins anew.
local MOST_REMEMBERED = 1000
local remembered = 0

--- How many notifications there have been.
M.notifications = 0

---@param code string
---@param message string
---@param place? { path?: string, line?: integer }
---@return project_config.Error
function M.new(code, message, place)
  local err = { code = code, message = message, path = place and place.path, line = place and place.line }
  return setmetatable(err, M.metatable)
end

--- Whether it is an error of the plugin with this code.
---@param value any
---@param code string
---@return boolean
function M.is(value, code)
  return getmetatable(value) == M.metatable and value.code == code
end

--- What `xpcall` gave, as an error about `path`: its handler may have failed itself (for want of memory), and what was thrown on may
--- be an error without a place.
---@param err any
---@param path? string
---@return project_config.Error
function M.normalised(err, path)
  if getmetatable(err) ~= M.metatable then
    return M.new("runtime", (path and path .. ": " or "") .. tostring(err), { path = path })
  elseif path and not err.path then
    local placed = setmetatable(vim.tbl_extend("force", {}, err), M.metatable)
    placed.path, placed.message = path, path .. ": " .. err.message
    return placed
  end
  return err
end

--- The error for a value thrown by the user's code in `path`. For use as a message handler of `xpcall`: it looks at the stack for
--- the line.
---@param thrown any
---@param path? string
---@return project_config.Error
function M.thrown(thrown, path)
  if getmetatable(thrown) == M.metatable then
    return M.normalised(thrown, path)
  end
  local line
  for level = 2, 200 do
    local info = debug.getinfo(level, "Sl")
    if not info then
      break
    elseif path and info.source == "@" .. path and info.currentline > 0 then
      line = info.currentline
      break
    end
  end
  local text = type(thrown) == "string" and thrown or ("error object: " .. vim.inspect(thrown))
  if not path then
    return M.new("runtime", text)
  end
  -- LuaJIT puts a shortened name before the text; the full one goes there.
  local place = line and ("%s:%d"):format(path, line) or path
  local bare = line and text:match("^[^\n]-:" .. line .. ": (.*)$") or text
  return M.new("runtime", place .. ": " .. bare, { path = path, line = line })
end

--- The error for a Lua file that does not compile.
---@param text string the message of `load`
---@param path string
---@return project_config.Error
function M.uncompiled(text, path)
  local line, bare = text:match("^[^\n]-:(%d+): (.*)$")
  if not line then
    return M.new("syntax", path .. ": " .. text, { path = path })
  end
  return M.new("syntax", ("%s:%s: %s"):format(path, line, bare), { path = path, line = tonumber(line) })
end

--- Tells the user: through their hook, else by one notification for each cause.
---@param err project_config.Error
---@param ctx? project_config.Context none if there is no hook
---@param hook? project_config.ErrorHook
---@param hint? string what a notification adds
function M.tell(err, ctx, hook, hint)
  if hook then
    local ok, problem = require("nvim-project-config.running").call_hook(ctx, hook, err, ctx, err.path)
    if ok then
      return
    end
    M.notify(M.new("runtime", "on_error failed: " .. tostring(problem)))
  end
  M.notify(err, hint)
end

--- Tells the user, and everybody who listens to errors of a context.
---@param err project_config.Error
---@param ctx? project_config.Context none if there is no hook
---@param hook? project_config.ErrorHook
---@param hint? string what a notification adds
---@param reason? project_config.Reason of the load that it belongs to; default: the context's last one
function M.report(err, ctx, hook, hint, reason)
  M.tell(err, ctx, hook, hint)
  if ctx then
    local data = { error = err, files = { err.path }, reason = reason or ctx._report.reason }
    require("nvim-project-config.events").fire("Error", ctx, data)
  end
end

--- The message with the path as short as it can be read.
---@param err project_config.Error
---@return string
function M.brief(err)
  local path = err.path
  if path and vim.startswith(err.message, path) then
    return vim.fn.fnamemodify(path, ":~") .. err.message:sub(#path + 1)
  end
  return err.message
end

--- Shows an error unless the same was shown before.
---@param err project_config.Error
---@param hint? string default: how to load again, if there is something to mend
---@param level? integer default: `vim.log.levels.ERROR`
function M.notify(err, hint, level)
  if remembered >= MOST_REMEMBERED then
    notified, remembered = {}, 0
  end
  local shown = notified[err.path or ""] or {}
  notified[err.path or ""] = shown
  if shown[err.message] then
    return
  end
  shown[err.message] = true
  remembered = remembered + 1
  M.notifications = M.notifications + 1
  -- One line: what needs more makes a headless editor wait a second, and another one ask for a key.
  if not hint then
    local watching = package.loaded["nvim-project-config.watching"]
    local is_seen = err.code == "no_project" or watching and vim.list_contains(watching.watched(), "config_dir")
    hint = err.path and not is_seen and " (mend it, then :ProjectConfig load)" or ""
  end
  -- Later: inside a Vim command, an error message becomes an exception with a stack trace.
  vim.schedule(function()
    vim.notify("nvim-project-config: " .. M.brief(err) .. hint, level or vim.log.levels.ERROR)
  end)
end

--- An awaitable that answers with an error, which `on_error` gets too.
---@param err project_config.Error
---@param ctx project_config.Context
---@param hook? project_config.ErrorHook
---@param reason project_config.Reason of the load that is refused
---@return fun(step: fun(ctx: nil, err: project_config.Error))
function M.refusal(err, ctx, hook, reason)
  return vim.schedule_wrap(function(step)
    M.report(err, ctx, hook, nil, reason)
    step(nil, err)
  end)
end

--- The file is all right again: the next error in it is news.
---@param path string
function M.forget(path)
  notified[path] = nil
end

return M
