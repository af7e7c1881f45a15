--- The stage that decides which project the directories belong to.

---@class project_config.DetectOptions
---@field matcher? project_config.Matcher nil: the rules for repositories, packages and manifests
---@field override? boolean with a matcher: the last directory that matches wins, not the first

---@param opts? project_config.DetectOptions
---@return project_config.Stage
return function(opts)
  local options = require("nvim-project-config.validate").stage("detect", opts, {
    matcher = { nil, { "string", "table" } },
    override = { false, { "boolean" } },
  })
  return { stage = "detect", matcher = options.matcher, override = options.override }
end
