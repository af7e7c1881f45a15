-- Several projects side by side, one config_dir, and an editor among them. In the editor, a few globals make short tests
-- possible: `npc` is the plugin, `note(x)` appends to `events`, `load_now(what)` loads and waits, `errors` holds what
-- on_error got. It knows the plugin's public API only, and asserts nothing.
local M = {}

local PRELUDE = [[
  _G.events, _G.errors, _G.config_dir, _G.work = {}, {}, %q, %q
  function _G.note(event) table.insert(_G.events, event) end
  _G.npc = setmetatable({}, {
    __index = function(_, key) return require("nvim-project-config")[key] end,
  })
  function _G.load_now(what)
    local answered, ctx, err = false, nil, nil
    npc.load(what, function(...) answered, ctx, err = true, ... end)
    assert(vim.wait(8000, function() return answered end, 1), "load() has not answered within 8 s")
    return ctx, err
  end
  function _G.at(dir) return { loading = { start_dir = work .. "/" .. dir } } end
  function _G.settle(condition)
    return vim.wait(8000, condition, 1)
  end
  -- Turns of the main loop in which nothing is waited for: what was going to happen by itself has a chance to.
  function _G.idle()
    for _ = 1, 3 do
      local turned, timer = false, vim.uv.new_timer()
      timer:start(20, 0, vim.schedule_wrap(function() turned = true end))
      vim.wait(8000, function() return turned end, 1)
      timer:close()
    end
  end
  -- Whether all that a weak table held has been collected. To be waited for from outside, with nothing of the spec on the stack. A
  -- compiled trace holds the closures that were called when it was recorded.
  function _G.is_collected(weak)
    jit.flush()
    collectgarbage() collectgarbage()
    return next(weak) == nil
  end
  _G.options = {
    config_dir = config_dir,
    loading = { on = "manual" },
    on_error = function(err, ctx, file)
      table.insert(_G.errors, {
        code = err.code, message = tostring(err), path = err.path, line = err.line, column = err.column,
        project = ctx and ctx.project_name, file = file,
      })
    end,
  }
]]

---@class test.WorkspaceOptions
---@field work? test.Tree directories of source code, usually projects (default: `alpha` and `beta`, each with a `.git`)
---@field config? test.Tree what lies in config_dir

---@class test.OpenOptions: test.ChildOptions
---@field setup? string a Lua table: options of `setup`, over a manual one that records errors
---@field before? string Lua that runs in init.lua before `setup`
---@field after? string Lua that runs in init.lua after `setup`
---@field without_setup? boolean do not call `setup`

---@class test.Workspace
---@field dir string directory of everything
---@field work string directory of the source code
---@field config_dir string
local Workspace = {}
Workspace.__index = Workspace

---@param opts? test.WorkspaceOptions
---@return test.Workspace
function M.new(opts)
  local support = require("tests.support")
  opts = opts or {}
  local self = setmetatable({ dir = support.tmpdir() }, Workspace)
  self.work = support.tree(opts.work or { ["alpha/.git"] = true, ["beta/.git"] = true }, self.dir .. "/work")
  self.config_dir = support.tree(opts.config or {}, self.dir .. "/projects")
  return self
end

--- Starts an editor in one of the directories below `work`.
---@param dir string
---@param opts? test.OpenOptions
---@return test.Child
function Workspace:open(dir, opts)
  opts = opts or {}
  local setup = opts.without_setup and ""
    or ('npc.setup(vim.tbl_deep_extend("force", options, %s))'):format(opts.setup or "{}")
  local init = { PRELUDE:format(self.config_dir, self.work), opts.before or "", setup, opts.after or "" }
  return require("tests.support").child({
    cwd = self.work .. "/" .. dir,
    init = table.concat(init, "\n"),
    home = opts.home,
    args = opts.args,
    env = opts.env,
    rtp = opts.rtp,
    through = opts.through,
    timeout_ms = opts.timeout_ms,
  })
end

--- Writes a file below config_dir.
---@param name string
---@param text string
---@return string path
function Workspace:write(name, text)
  return require("tests.support").write(self.config_dir .. "/" .. name, text)
end

return M
