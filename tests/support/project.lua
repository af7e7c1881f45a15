-- A project, its config_dir, and an editor in it that records what the plugin reports. It knows the plugin's public API
-- only, and asserts nothing: a spec says itself what it expects.
local M = {}

-- The child's init.lua. Files of a fixture append to `ran` what they want the spec to see.
local INIT = [[
_G.ran, _G.errors, _G.loads = {}, {}, 0
_G.options = vim.tbl_deep_extend("force", {
  config_dir = %q,
  loading = { on = "manual" },
  on_load = function() _G.loads = _G.loads + 1 end,
  on_error = function(err, _, file)
    table.insert(_G.errors, {
      code = err.code, message = tostring(err), path = err.path, line = err.line, column = err.column, file = file,
    })
  end,
}, %s)
%s
require("nvim-project-config").setup(_G.options)
]]

---@class test.ProjectOptions
---@field files? test.Tree what lies in config_dir (default: there is no config_dir)
---@field name? string name of the project's directory (default "proj")
---@field config_dir? string name of config_dir (default "projects")
---@field setup? string a Lua table: more options of `setup`
---@field before? string Lua that runs before `setup`
---@field child? test.ChildOptions more options of the editor

---@class test.Answer
---@field loaded boolean whether the callback got a context
---@field err? { code: string, message: string }

---@class test.Project
---@field child test.Child
---@field root string directory of the project
---@field config_dir string
---@field outside string directory that holds both of them
local Project = {}
Project.__index = Project

--- A project with a config_dir beside it, without an editor.
---@param opts? test.ProjectOptions
---@return test.Project
function M.new(opts)
  opts = opts or {}
  local support = require("tests.support")
  local outside = support.tmpdir()
  local self = setmetatable({ outside = outside }, Project)
  self.root = outside .. "/work/" .. (opts.name or "proj")
  self.config_dir = outside .. "/" .. (opts.config_dir or "projects")
  support.tree({ [".git"] = true }, self.root)
  if opts.files then
    support.tree(opts.files, self.config_dir)
  end
  return self
end

--- Starts the editor in the project's directory. Nothing is loaded unless `opts.setup` says so.
---@param opts? test.ProjectOptions
---@return test.Project self
function Project:open(opts)
  opts = opts or {}
  local init = INIT:format(self.config_dir, opts.setup or "{}", opts.before or "")
  local child = vim.tbl_extend("keep", { cwd = self.root, init = init }, opts.child or {})
  self.child = require("tests.support").child(child)
  return self
end

--- A new project with an editor in it.
---@param opts? test.ProjectOptions
---@return test.Project
function M.start(opts)
  return M.new(opts):open(opts)
end

--- Loads, and returns what the callback got once on_load has run too.
---@param options? string a Lua table: options of this call (default: none)
---@return test.Answer
function Project:load(options)
  local before = self.child:lua("return _G.loads")
  self.child:lua(([[
    _G.answer = nil
    require("nvim-project-config").load(%s, function(ctx, err)
      _G.answer = { loaded = ctx ~= nil, err = err and { code = err.code, message = tostring(err) } }
    end)
  ]]):format(options or "nil"))
  self.child:wait(("_G.answer and (not _G.answer.loaded or _G.loads > %d)"):format(before))
  return self.child:lua("return _G.answer")
end

---@class test.Reported
---@field code string
---@field message string
---@field path? string
---@field line? integer
---@field column? integer
---@field file? string third argument of on_error

--- What on_error got so far, in order.
---@return test.Reported[]
function Project:errors()
  return self.child:lua("return _G.errors")
end

--- The same by file name (below config_dir), and how often each file was reported.
---@return table<string, test.Reported>, table<string, integer>
function Project:errors_by_file()
  local by_file, counts = {}, {}
  for _, err in ipairs(self:errors()) do
    local name = err.file and err.file:sub(#self.config_dir + 2) or ""
    by_file[name], counts[name] = err, (counts[name] or 0) + 1
  end
  return by_file, counts
end

--- What the fixture's files appended to `ran`.
---@return any[]
function Project:ran()
  return self.child:lua("return _G.ran")
end

---@return table json of the current context
function Project:json()
  return self.child:lua([[return require("nvim-project-config").ctx.json]])
end

return M
