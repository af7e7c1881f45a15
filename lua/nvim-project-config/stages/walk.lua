--- The stage that walks from the start directory towards the root of the file system (or down from it).

---@class project_config.WalkOptions
---@field direction? "up"|"down"
---@field matcher? project_config.Matcher only directories that match are passed on

---@param opts? project_config.WalkOptions
---@return project_config.NativeStage
return function(opts)
  local constructor = require("nvim-project-config.constructor")
  local options = constructor.stage("walk", opts, {
    direction = { "up", { "string" }, one_of = { "up", "down" } },
    matcher = constructor.matcher,
  })
  return { stage = "walk", direction = options.direction, matcher = options.matcher }
end
