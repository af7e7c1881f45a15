--- `:checkhealth nvim-project-config`

local native = require("nvim-project-config.native")

local M = {}

--- Whether watching works.
---@param health table
local function watched(health)
  local watching = package.loaded["nvim-project-config.watching"]
  local what = watching and watching.watched() or {}
  if watching and watching.blindness then
    health.warn(watching.blindness.message)
  elseif #what > 0 then
    health.ok("watched: " .. table.concat(what, ", "))
  end
end

function M.check()
  local health = vim.health
  health.start("nvim-project-config")
  if vim.fn.has("nvim-0.10") == 0 then
    health.error("Neovim 0.10 or newer is needed")
  end
  local lib, failure = native.get()
  if not lib then
    health.error(failure and failure.message or "the native library is missing")
    return
  end
  health.ok(("native library %s: %s"):format(lib.version, native.library_path()))
  watched(health)
  local ctx = require("nvim-project-config").ctx
  if not ctx.project_root then
    health.info("no project is loaded; :ProjectConfig load loads the one you are in")
    return
  end
  health.ok(("project %s at %s"):format(ctx.project_name, ctx.project_root))
  health.info("configuration: " .. ctx._report.stem)
  for _, err in ipairs(ctx._report.errors) do
    health.error(err.message)
  end
  for _, unsaved in ipairs(lib.unsaved()) do
    local why = unsaved.message or (unsaved.path .. ": the disk has not answered yet")
    health.warn(("not saved: %s; %s"):format(table.concat(unsaved.changes, ", "), why))
  end
  if #ctx._report.files == 0 and #ctx._report.errors == 0 then
    health.info("no file of this project was found; :ProjectConfig edit lua makes one")
  end
end

return M
