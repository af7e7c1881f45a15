-- What specs about saving share: an editor that records the changes that were announced, and waiting, out here, for files
-- to become what they should. The editor of workspace.lua, with three more globals: `changes` holds the data of each
-- `ProjectConfigJsonChanged`, `answer_of(start)` waits for what a callback gets, `save_now()` saves and waits.
-- Asserts nothing about the plugin but that it answers.
local M = {}

local WAIT_MS = 10000

local PRELUDE = [[
  -- CursorHold comes when a spec fires it, never by itself.
  vim.o.updatetime = 3600000
  _G.changes = {}
  vim.api.nvim_create_autocmd("User", {
    pattern = "ProjectConfigJsonChanged",
    callback = function(event) table.insert(_G.changes, event.data) end,
  })
  -- What was announced up to now is not of interest: a first load may say that it has brought something, or not.
  function _G.forget_changes()
    idle()
    _G.changes = {}
  end
  -- `start` is given a callback; what that gets is `{ ok, code, message, path, line, column, errno, count }`, where `count`
  -- is how often it was called and `inside` whether it was called before `start` had returned.
  function _G.answer_of(start)
    local answer, count, returned = nil, 0, false
    start(function(ok, err)
      count = count + 1
      err = err or {}
      answer = {
        ok = ok, code = err.code, message = err.message, path = err.path, line = err.line, column = err.column,
        errno = err.errno, inside = not returned,
      }
    end)
    returned = true
    assert(settle(function() return answer end), "not answered within 8 s")
    idle()
    answer.count = count
    return answer
  end
  function _G.save_now()
    local answered, ok, err = false, nil, nil
    npc.save(function(...) answered, ok, err = true, ... end)
    assert(settle(function() return answered end), "save() has not answered within 8 s")
    return ok, err
  end
  -- The same for specs that only want the files to be up to date.
  function _G.saved()
    local ok, err = save_now()
    assert(ok, tostring(err))
  end
  -- JSON of a value that is the same for equal values: keys in order, numbers to the last digit. An empty table has the
  -- kind that Neovim gives it, unless `empty` says what all of them are.
  function _G.canonical(value, empty)
    if type(value) == "number" then
      return ("%.17g"):format(value)
    elseif type(value) ~= "table" or next(value) == nil then
      return type(value) == "table" and empty or vim.json.encode(value)
    end
    local parts = {}
    if vim.islist(value) then
      for index, element in ipairs(value) do parts[index] = canonical(element, empty) end
      return "[" .. table.concat(parts, ",") .. "]"
    end
    local keys = vim.tbl_keys(value)
    table.sort(keys)
    for index, key in ipairs(keys) do parts[index] = vim.json.encode(key) .. ":" .. canonical(value[key], empty) end
    return "{" .. table.concat(parts, ",") .. "}"
  end
]]

--- Like `Workspace:open`, with the globals above.
---@param w test.Workspace
---@param dir string
---@param opts? test.OpenOptions
---@return test.Child
function M.open(w, dir, opts)
  opts = vim.tbl_extend("force", {}, opts or {})
  opts.before = PRELUDE .. (opts.before or "")
  return w:open(dir, opts)
end

--- Waits until something holds of a file's text; nothing is asked of any editor meanwhile.
---@param path string
---@param holds fun(text: string|nil): boolean
---@param wanted string what is waited for, for the message
local function wait_for(path, holds, wanted)
  local text
  local seen = vim.wait(WAIT_MS, function()
    text = require("tests.support").read(path)
    return holds(text)
  end, 5)
  if not seen then
    error(
      ("%s:\n  expected: %s\n  got:      %s"):format(
        path,
        wanted:sub(1, 4000),
        text and text:sub(1, 4000) or "(no file)"
      ),
      0
    )
  end
end

--- Waits until a file has a text, byte for byte.
---@param path string
---@param text string
function M.until_text(path, text)
  wait_for(path, function(now)
    return now == text
  end, text)
end

--- The value of a text of strict JSON, or nil.
---@param text string|nil
---@return any
function M.decode(text)
  local ok, value = pcall(vim.json.decode, text or "")
  return ok and value or nil
end

--- Waits until a file of strict JSON holds a value.
---@param path string
---@param value any
function M.until_value(path, value)
  wait_for(path, function(text)
    return vim.deep_equal(M.decode(text), value)
  end, vim.inspect(value))
end

--- The value that a file of strict JSON holds now.
---@param path string
---@return any
function M.value(path)
  return M.decode(require("tests.support").read(path))
end

--- What changes when a file is replaced or written.
---@param path string
---@return { ino: integer, size: integer, mtime: table, ctime: table }
function M.identity(path)
  local stat = assert(vim.uv.fs_stat(path))
  return { ino = stat.ino, size = stat.size, mtime = stat.mtime, ctime = stat.ctime }
end

return M
