-- An editor that follows the user from project to project, and what it tells of that. The editor of workspace.lua with `loading.watch`:
-- `events` (forget them with `forget()`) gets a line for each `User ProjectConfig…` event, for each of the projects' files that runs and for
-- each `on_load`, in order; `fired` gets the events with their data. Asserts nothing about the plugin.
local M = {}

--- The debounce of these editors. Small: what happens by itself has happened after `calm()`.
M.debounce_ms = 20

local PRELUDE = [[
  vim.o.updatetime = 3600000
  _G.fired = {}
  for _, kind in ipairs({ "LoadPre", "LoadPost", "ClearPost", "Error", "NameClash" }) do
    vim.api.nvim_create_autocmd("User", {
      pattern = "ProjectConfig" .. kind,
      callback = function(event)
        local data = event.data
        table.insert(_G.fired, { kind = kind, data = data })
        note(("%%s %%s %%s"):format(kind, data.name, data.reason))
      end,
    })
  end
  options.on_load = function(ctx) note("on_load " .. ctx.project_name) end
  options.loading = vim.json.decode(%q)
  function _G.forget() _G.events, _G.fired = {}, {} end
  function _G.file(project) return work .. "/" .. project .. "/main.c" end
  -- Returns once nothing has happened for longer than the debounce and a load take.
  function _G.calm()
    local count
    repeat
      count = #events
      idle()
      idle()
    until #events == count
  end
  function _G.is_in(project)
    if npc.ctx.project_name ~= project then return false end
    for _, event in ipairs(events) do
      if type(event) == "string" and event:find("LoadPost " .. project .. " ", 1, true) then return true end
    end
    return false
  end
]]

---@class test.FollowOptions: test.OpenOptions
---@field cwd? boolean `loading.watch.cwd`
---@field buffer? boolean `loading.watch.buffer`
---@field config_dir? boolean `loading.watch.config_dir`
---@field debounce_ms? integer
---@field on? string `loading.on` (default "manual")

--- Files of a project that say that they ran, and JSON that says whose it is.
---@param names string[]
---@return test.Tree
function M.config(names)
  local tree = {}
  for _, name in ipairs(names) do
    tree[name .. ".json"] = ('{"from": %q}\n'):format(name)
    tree[name .. ".lua"] = ("note(%q)"):format(name .. ".lua")
    tree[name .. ".vim"] = ("lua note(%q)"):format(name .. ".vim")
  end
  return tree
end

--- A repository with two source files.
M.repository = { [".git"] = true, ["main.c"] = "int main;\n", ["sub/other.c"] = "int other;\n" }

--- The repositories `alpha`, `beta`, `gamma`, each with files for it, and `plain`, a directory that is no project.
---@param more? { work?: test.Tree, config?: test.Tree }
---@return test.Workspace
function M.workspace(more)
  more = more or {}
  local work = { alpha = M.repository, beta = M.repository, gamma = M.repository, ["plain/main.c"] = "int plain;\n" }
  return require("tests.support.workspace").new({
    work = vim.tbl_extend("force", work, more.work or {}),
    config = vim.tbl_extend("force", M.config({ "alpha", "beta", "gamma" }), more.config or {}),
  })
end

---@param w test.Workspace
---@param dir string where it starts
---@param opts? test.FollowOptions
---@return test.Child
function M.open(w, dir, opts)
  opts = vim.tbl_extend("force", {}, opts or {})
  local loading = {
    on = opts.on or "manual",
    watch = {
      cwd = opts.cwd or false,
      buffer = opts.buffer or false,
      config_dir = opts.config_dir or false,
      debounce_ms = opts.debounce_ms or M.debounce_ms,
    },
  }
  opts.before = PRELUDE:format(vim.json.encode(loading)) .. (opts.before or "")
  -- Of the editor it would be the directory that it starts in.
  opts.cwd = nil
  return w:open(dir, opts)
end

--- What a load of one of these projects tells.
---@param name string
---@param reason string
---@return string[]
function M.loaded(name, reason)
  local pre, post = ("LoadPre %s %s"):format(name, reason), ("LoadPost %s %s"):format(name, reason)
  return { pre, name .. ".lua", name .. ".vim", "on_load " .. name, post }
end

---@class test.Followed
---@field current string|false name of the current project
---@field events any[] what was told

--- Runs Lua in the editor and says what came of it, once nothing happens any more.
---@param child test.Child
---@param code string
---@param name? string a project that has to be loaded and current before
---@return test.Followed
function M.after(child, code, name)
  child:lua("forget()\n" .. code)
  return M.state(child, name)
end

--- The same of what has happened since `forget()`.
---@param child test.Child
---@param name? string
---@return test.Followed
function M.state(child, name)
  if name then
    -- What comes instead is shown by whoever compares.
    pcall(child.wait, child, ("is_in(%q)"):format(name))
  end
  return child:lua("calm() return { current = npc.ctx.project_name or false, events = events }")
end

return M
