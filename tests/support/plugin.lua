-- Copies of the plugin: an install whose library is missing, broken or too old, made from the files of this checkout.
local M = {}

local extension = ({ Windows = "dll", OSX = "dylib" })[jit.os] or "so"

---@param root string
---@return string
function M.library(root)
  return root .. "/lua/nvim_project_config." .. extension
end

--- Copies everything that a user's 'runtimepath' needs except the library.
---@param library? string bytes of its library (default: it has none)
---@return string dir
function M.copy(library)
  local support = require("tests.support")
  local dir = support.tmpdir()
  for _, part in ipairs({ "lua", "plugin", "autoload" }) do
    for name, kind in vim.fs.dir(support.root .. "/" .. part, { depth = 9 }) do
      if kind == "file" and (name:match("%.lua$") or name:match("%.vim$")) then
        local path = part .. "/" .. name
        support.write(dir .. "/" .. path, assert(support.read(support.root .. "/" .. path)))
      end
    end
  end
  if library then
    support.write(M.library(dir), library)
  end
  return dir
end

return M
