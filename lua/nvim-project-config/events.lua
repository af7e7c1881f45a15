--- The plugin's `User` events, `ProjectConfig…`: fired where somebody listens, and never in a fast event.
---
--- When one is due is decided by those who fire it: `run.lua` (loads), `clear.lua`, `errors.lua`, `saving.lua` (changes of the settings).

local M = {}

local PREFIX = "ProjectConfig"

--- Whether somebody may listen to events of plugins: to this one, or to a pattern of which only Neovim knows what it matches.
---@return boolean
function M.is_heard()
  return vim.in_fast_event() or vim.fn.exists("#User") == 1 -- it cannot be asked in a fast event
end

--- Fires an event with just this data. What a listener throws, Neovim shows, or it goes to `on_error`; the other listeners are called.
---@param kind string without `ProjectConfig`
---@param ctx? project_config.Context whose `on_error` counts
---@param data table
function M.announce(kind, ctx, data)
  if vim.in_fast_event() then
    return vim.schedule(function()
      M.announce(kind, ctx, data)
    end)
  elseif not M.is_heard() then
    return
  end
  local errors = require("nvim-project-config.errors")
  local ok, err = xpcall(vim.api.nvim_exec_autocmds, errors.thrown, "User", {
    pattern = PREFIX .. kind,
    modeline = false,
    data = data,
  })
  if not ok then
    -- Of an error in a listener to errors nobody is told by that event: it would not end.
    local tell = kind == "Error" and errors.tell or errors.report
    tell(errors.normalised(err), ctx, ctx and ctx.on_error)
  end
end

--- Fires an event of a context.
---@param kind "LoadPre"|"LoadPost"|"ClearPost"|"Error"|"NameClash"
---@param ctx? project_config.Context
---@param data? table|fun(): table what differs from `{ root, name, files = {} }` of the context; a function is called if somebody listens
function M.fire(kind, ctx, data)
  if not M.is_heard() then
    return
  end
  local result = { root = ctx and ctx.project_root, name = ctx and ctx.project_name, files = {} }
  for key, value in pairs(type(data) == "function" and data() or data or {}) do
    result[key] = value
  end
  M.announce(kind, ctx, result)
end

return M
