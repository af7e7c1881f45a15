--- Leaving a project.

local context = require("nvim-project-config.context")
local errors = require("nvim-project-config.errors")
local leaving = require("nvim-project-config.leaving")

--- Calls the context's `on_clear`, while it still holds what it is about to lose; then ends its loads and empties it.
---@param ctx project_config.Context
local function clear(ctx)
  if ctx._clearing then
    return -- called from its own on_clear
  end
  ctx._clearing = true
  if ctx.on_clear then
    local ok, err = require("nvim-project-config.running").call_hook(ctx, ctx.on_clear, ctx)
    if not ok then
      errors.report(err --[[@as project_config.Error]], ctx, ctx.on_error)
    end
  end
  leaving.unbind(ctx)
  ctx._clearing = nil
end

--- An independent context takes with it what its loads have found beside its own project.
---@param ctx project_config.Context
return function(ctx)
  if not context.is(ctx) then
    error("nvim-project-config: ctx: expected a context, got " .. type(ctx), 3)
  end
  ctx = context.base(ctx)
  clear(ctx)
  if ctx._family and ctx._family.first == ctx._id then
    for _, other in ipairs(leaving.family(ctx._family)) do
      clear(other)
    end
  end
end
