--- The stage that decides which project the directories belong to.

---@class project_config.DetectOptions
---@field matcher? project_config.Matcher nil: the rules for repositories, packages and manifests
---@field override? boolean with a matcher: the last directory that matches wins, not the first

---@param opts? project_config.DetectOptions
---@return project_config.Stage
return function(opts)
  opts = opts or {}
  return { stage = "detect", matcher = opts.matcher, override = opts.override or false }
end
