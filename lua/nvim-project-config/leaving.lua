--- Ends of loads that come from outside: `clear`, `stop`; and what then becomes of a context and of the code that still runs.
---
--- Apart from `loading.lua`, which knows all contexts and loads, as nothing of it is needed at start-up.

local context = require("nvim-project-config.context")
local loading = require("nvim-project-config.loading")
local native = require("nvim-project-config.native")

local M = {}

--- Ends the code of a pipeline that still runs.
---@param run project_config.Run
function M.end_functions(run)
  local errors = require("nvim-project-config.errors")
  require("nvim-project-config.flows").cancel(run, errors.new("cancelled", "cancelled: the load has ended"))
end

--- The contexts of an independent one's family that are not left.
---@param family project_config.Family
---@return project_config.Context[]
function M.family(family)
  return vim.tbl_filter(function(ctx)
    return ctx._family == family
  end, vim.tbl_keys(loading.kept))
end

--- The ids of a context's loads.
---@param ctx project_config.Context
---@return integer[]
local function runs_of(ctx)
  local ids = {}
  for id, run in pairs(loading.runs) do
    ids[#ids + 1] = (run.ctx or run.draft) == ctx and id or nil
  end
  return ids
end

--- Ends the loads of a context. Forgets nothing.
---@param ctx project_config.Context
function M.stop(ctx)
  local lib = native.get()
  if lib then
    lib.stop(runs_of(ctx))
    loading.sweep()
  end
end

--- Ends the loads of a context; of the current one, all but those of independent contexts. Forgets what they found.
---@param ctx project_config.Context
function M.unbind(ctx)
  loading.save(ctx)
  local lib = native.get()
  if lib then
    lib.clear(ctx._id, ctx ~= loading.current() and runs_of(ctx) or nil)
    loading.sweep()
  end
  loading.kept[ctx] = nil
  context.empty(ctx)
end

return M
