--- Replies of the library that belong to no load: where buffers lie, what has changed or gone on disk, names that clash.
---
--- Apart from `run.lua`, as nothing of it is needed for a load. What follows from most of them is `watching.lua`'s.

local loading = require("nvim-project-config.loading")
local native = require("nvim-project-config.native")

local M = {}

--- The context, unless it has been left meanwhile.
---@param id integer
---@return project_config.Context?
local function bound(id)
  local ctx = loading.context_by_id(id)
  return ctx and ctx.project_root and ctx or nil
end

---@param ctx project_config.Context
---@param err project_config.Error
---@param reason? project_config.Reason
local function report(ctx, err, reason)
  require("nvim-project-config.errors").report(err, ctx, ctx.on_error, "", reason)
end

M.handlers = {
  located = function(request, projects)
    local callback = native.callbacks[request]
    native.callbacks[request] = nil
    if callback then
      callback(projects)
    end
  end,
  stale = function(context_id)
    require("nvim-project-config.watching").stale(context_id)
  end,
  gone = function(context_id)
    require("nvim-project-config.watching").gone(context_id)
  end,
  name_clash = function(context_id, clash, is_news)
    local ctx = bound(context_id)
    if ctx then
      require("nvim-project-config.clash").note(ctx, clash, is_news)
    end
  end,
  trouble = function(context_id, err)
    local ctx = bound(context_id)
    if not ctx then
      return
    end
    ctx._trouble = err
    if err then
      if err.path then
        require("nvim-project-config.errors").forget(err.path) -- that it is news has been found out already
      end
      report(ctx, err, "config_dir")
    end
  end,
  complaint = function(context_id, err)
    local ctx = bound(context_id)
    if ctx then
      report(ctx, err)
    end
  end,
  blind = function(err)
    require("nvim-project-config.watching").blind(err)
  end,
}

return M
