--- Leaving a project.

local context = require("nvim-project-config.context")
local errors = require("nvim-project-config.errors")
local loading = require("nvim-project-config.loading")

--- Calls the context's `on_clear`, while it still holds what it is about to lose; then ends its loads and empties it.
---@param ctx project_config.Context
return function(ctx)
  if not context.is(ctx) then
    error("nvim-project-config: ctx: expected a context, got " .. type(ctx), 3)
  end
  if ctx._clearing then
    return -- called from its own on_clear
  end
  ctx._clearing = true
  if ctx.on_clear then
    local ok, err = xpcall(ctx.on_clear, errors.thrown, ctx)
    if not ok then
      errors.report(err --[[@as project_config.Error]], ctx, ctx.on_error)
    end
  end
  loading.unbind(ctx)
  ctx._clearing = nil
end
