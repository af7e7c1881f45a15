--- The stage that finds the project's files in `config_dir`.

---@class project_config.FindFilesOptions
---@field extensions? string[] with their dots; nil: those of all executors
---@field matcher? project_config.Matcher on the file name

---@param opts? project_config.FindFilesOptions
---@return project_config.Stage
return function(opts)
  local options = require("nvim-project-config.validate").stage("find_files", opts, {
    extensions = { nil, { "table" }, is_list = "extensions" },
    matcher = { nil, { "string", "table" } },
  })
  return { stage = "find_files", extensions = options.extensions, matcher = options.matcher }
end
