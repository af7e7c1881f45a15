--- The stage that reads the files, merges the JSON and runs the rest.

---@class project_config.ExecuteOptions
---@field router? table<string, project_config.FileRunner|project_config.FileRunner[]> by extension (`lua` or `.lua`), over `executors`

---@param opts? project_config.ExecuteOptions
---@return project_config.Stage
return function(opts)
  local options = require("nvim-project-config.validate").stage("execute", opts, {
    router = { nil, { "table" } },
  })
  return { stage = "execute", router = options.router }
end
