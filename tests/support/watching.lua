-- An editor that watches config_dir, and what specs ask of it: the editor of saving.lua, with four more globals. `loads` holds what
-- each `LoadPost` said (`reason`, `name`, `files` below config_dir, `at` in milliseconds of the machine's clock), `told` all events of
-- the plugin in their order, `ran` what the fixture's files append, `hooks` the projects for which on_load ran. Asserts nothing about
-- the plugin but that it answers.
local M = {}

local faults = require("tests.support.faults")
local saving = require("tests.support.saving")
local support = require("tests.support")

--- Where nothing is measured: what waits is quicker with a short one.
M.DEBOUNCE_MS = 20

-- A file of its own, in the project's directory, whose change proves that all that came before has been looked at.
local MARK = "zz-mark.json"
-- Figures of a machine that does nothing else; an ordinary run may share it with others.
local GENEROSITY = 10

local PRELUDE = [[
  _G.loads, _G.told, _G.ran, _G.hooks = {}, {}, {}, {}
  for _, kind in ipairs({ "LoadPre", "LoadPost", "ClearPost", "Error", "NameClash" }) do
    vim.api.nvim_create_autocmd("User", {
      pattern = "ProjectConfig" .. kind,
      callback = function(event)
        local data, files = event.data, {}
        for index, path in ipairs(data.files or {}) do
          files[index] = vim.startswith(path, config_dir .. "/") and path:sub(#config_dir + 2) or path
        end
        local entry = {
          kind = kind, reason = data.reason, name = data.name, root = data.root, files = files,
          at = vim.uv.hrtime() / 1e6,
        }
        table.insert(_G.told, entry)
        if kind == "LoadPost" then table.insert(_G.loads, entry) end
      end,
    })
  end
  options.on_load = function(ctx) table.insert(_G.hooks, ctx.project_name) end
  -- What was loaded, ran and was told up to now is not of interest.
  function _G.forget()
    forget_changes()
    _G.loads, _G.told, _G.ran, _G.hooks, _G.errors = {}, {}, {}, {}, {}
  end
]]

--- How long something may take that has to be done within `ms` by contract: that under `FULL=1`, else more.
---@param ms integer
---@return integer
function M.within(ms)
  return faults.full and ms or ms * GENEROSITY
end

---@class test.WatchOptions: test.OpenOptions
---@field debounce_ms? integer default: a short one
---@field stay? boolean do not load

--- Starts an editor in one of the workspace's projects that watches config_dir, and loads.
---@param w test.Workspace
---@param dir string
---@param opts? test.WatchOptions
---@return test.Child
function M.open(w, dir, opts)
  opts = vim.tbl_extend("force", {}, opts or {})
  local watch = "options.loading.watch = { config_dir = true, debounce_ms = %d }\n"
  opts.before = PRELUDE .. watch:format(opts.debounce_ms or M.DEBOUNCE_MS) .. (opts.before or "")
  local child = saving.open(w, dir, opts)
  if not opts.stay then
    child:lua("assert(load_now()); forget()")
  end
  return child
end

--- Waits until there were so many loads since the last `forget` or `settled`.
---@param child test.Child
---@param count integer
---@param timeout_ms? integer
function M.until_loads(child, count, timeout_ms)
  child:wait(("#loads >= %d"):format(count), timeout_ms)
end

local marks = 0

--- What was loaded since the last `forget` or `settled`, when all that has happened in config_dir so far has been looked at. One more
--- change, to a file of the current project's, is made for that; its own load is left out.
---@param w test.Workspace
---@param child test.Child
---@return { reason: string, name: string, root: string, files: string[], at: number }[]
function M.settled(w, child)
  child:lua("idle()")
  marks = marks + 1
  local before = child:lua("return #loads")
  local name = child:lua("return npc.ctx.project_name")
  M.replace(("%s/%s/%s"):format(w.config_dir, name, MARK), ('{"mark": %d}'):format(marks))
  child:wait(("npc.ctx.json.mark == %d and #loads > %d"):format(marks, before))
  child:lua("idle()")
  local loads = child:lua([[
    local taken = loads
    _G.loads = {}
    for index = #changes, 1, -1 do
      if vim.deep_equal(changes[index].paths, { { "mark" } }) then table.remove(changes, index) end
    end
    return taken
  ]])
  table.remove(loads)
  return loads
end

--- The one load since then. It is an error if there was none, or another one.
---@param w test.Workspace
---@param child test.Child
---@param label? string for the message
function M.loaded_once(w, child, label)
  M.until_loads(child, 1)
  local loads = M.settled(w, child)
  if #loads ~= 1 then
    error(("%sone load was expected, there were: %s"):format(label and label .. ": " or "", vim.inspect(loads)), 0)
  end
  return loads[1]
end

--- Does something to files while the editor is stopped: it sees nothing of that or all, however long it takes.
---@param child test.Child
---@param act fun()
function M.at_once(child, act)
  faults.stop(child.pid)
  local ok, problem = pcall(act)
  assert(vim.uv.kill(child.pid, "sigcont"))
  assert(ok, problem)
end

local replacements = 0

--- Puts a file in place by rename, as many editors do: nobody sees half of it.
---@param path string
---@param text string
function M.replace(path, text)
  replacements = replacements + 1
  local dir = vim.fs.dirname(path)
  vim.fn.mkdir(dir, "p")
  local temporary = ("%s/.replacement-%d"):format(dir, replacements)
  support.write(temporary, text)
  assert(vim.uv.fs_rename(temporary, path))
end

return M
