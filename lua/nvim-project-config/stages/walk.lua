--- The stage that walks from the start directory towards the root of the file system (or down from it).

---@class project_config.WalkOptions
---@field direction? "up"|"down"
---@field matcher? project_config.Matcher only directories that match are passed on

---@param opts? project_config.WalkOptions
---@return project_config.Stage
return function(opts)
  opts = opts or {}
  return { stage = "walk", direction = opts.direction or "up", matcher = opts.matcher }
end
