-- The editor of the fault specs: a workspace's editor (workspace.lua) with a loaded project, and how its directory looks to others.
-- What goes wrong is made by faults.lua. It knows the plugin's public API only, and asserts nothing about what is saved.
--
-- More globals in the editor: `save_now()` saves and waits, and returns `{ ok, err }`; `errors` have their `errno`;
-- `watch_loop()` and `longest_stall()` are those of stall.lua. Nothing is tried again before a spec says so.
local M = {}

local PRELUDE = [[
  -- CursorHold, which tries failed saves again, comes when a spec fires it.
  vim.o.updatetime = 3600000
  local record = options.on_error
  options.on_error = function(err, ...)
    record(err, ...)
    errors[#errors].errno = err.errno
  end
  function _G.save_now()
    local answer
    npc.save(function(ok, err)
      answer = { ok = ok == true, err = err and { code = err.code, message = tostring(err), errno = err.errno } }
    end)
    assert(settle(function() return answer end), "save() has not answered within 8 s")
    -- What is reported along with the answer, before or after it.
    local turned = false
    vim.schedule(function() turned = true end)
    settle(function() return turned end)
    return answer
  end
]]

--- Starts an editor in one of the workspace's projects and loads it.
---@param w test.Workspace
---@param dir string
---@param opts? test.OpenOptions
---@return test.Child
function M.open(w, dir, opts)
  opts = vim.tbl_extend("force", {}, opts or {})
  opts.before = table.concat({ PRELUDE, require("tests.support.stall"), opts.before or "" }, "\n")
  local child = w:open(dir, opts)
  child:lua("load_now()")
  return child
end

--- What lies in a directory, hidden files too.
---@param dir string
---@return string[] names sorted
function M.names(dir)
  local names = {}
  for name in vim.fs.dir(dir) do
    table.insert(names, name)
  end
  table.sort(names)
  return names
end

--- What another editor does when it saves: writes a new file beside the old one and renames it into place. It takes no lock.
---@param path string
---@param text string
function M.replace(path, text)
  require("tests.support").write(path .. "~", text)
  assert(vim.uv.fs_rename(path .. "~", path))
end

return M
