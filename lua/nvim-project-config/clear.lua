--- Leaving a project.

local context = require("nvim-project-config.context")
local errors = require("nvim-project-config.errors")
local leaving = require("nvim-project-config.leaving")

--- Tells of a context that is emptied now.
---@param ctx project_config.Context
---@param left { root?: string, name?: string, reason: project_config.Reason } what it was
local function tell(ctx, left)
  for _, name in ipairs({ "watching", "buffers" }) do
    local module = package.loaded["nvim-project-config." .. name]
    if module then
      module.left(ctx)
    end
  end
  if left.root then
    require("nvim-project-config.events").fire("ClearPost", ctx, left)
  end
end

--- Calls the context's `on_clear`, while it still holds what it is about to lose; then ends its loads and empties it.
---@param ctx project_config.Context
---@param reason project_config.Reason
local function clear(ctx, reason)
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
  local left = { root = ctx.project_root, name = ctx.project_name, reason = reason }
  leaving.unbind(ctx)
  ctx._clearing = nil
  tell(ctx, left)
end

--- An independent context takes with it what its loads have found beside its own project.
---@param ctx project_config.Context
---@param reason? project_config.Reason default: somebody has asked for it
return function(ctx, reason)
  if not context.is(ctx) then
    error("nvim-project-config: ctx: expected a context, got " .. type(ctx), 3)
  end
  ctx, reason = context.base(ctx), reason or "manual"
  clear(ctx, reason)
  if ctx._family and ctx._family.first == ctx._id then
    for _, other in ipairs(leaving.family(ctx._family)) do
      clear(other, reason)
    end
  end
end
