--- The stage that decides which project the directories belong to.

---@class project_config.DetectOptions
---@field matcher? project_config.Matcher nil: the rules for repositories, packages and manifests
---@field on_match? fun(ctx: project_config.Context, dir: string): boolean? called for the directory that matches; false: it does not
---@field override? boolean also where an earlier stage has found a project; with a matcher: the last directory that matches

---@param opts? project_config.DetectOptions
---@return project_config.NativeStage
return function(opts)
  local constructor = require("nvim-project-config.constructor")
  local options = constructor.stage("detect", opts, {
    matcher = constructor.matcher,
    on_match = { nil, { "function" } },
    override = { false, { "boolean" } },
  })
  return { stage = "detect", matcher = options.matcher, on_match = options.on_match, override = options.override }
end
