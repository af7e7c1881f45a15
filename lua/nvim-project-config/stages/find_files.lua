--- The stage that finds the project's files in `config_dir`.

---@class project_config.FindFilesOptions
---@field extensions? string[] with their dots; nil: those of all executors
---@field matcher? project_config.Matcher on the file name
---@field finder? fun(ctx: project_config.Context): string[] absolute paths, instead of the search; it may await

---@param value any
---@param where string
---@return string[]
local function read_extensions(value, where)
  if type(value) ~= "table" or not vim.islist(value) then
    error(("nvim-project-config: %s: expected a list of extensions, got %s"):format(where, type(value)), 0)
  end
  for index, extension in ipairs(value) do
    if type(extension) ~= "string" or not extension:find("^%.[^/%z]+$") then
      local found = vim.inspect(extension, { newline = " ", indent = "" })
      local text = "nvim-project-config: %s[%d]: expected an extension with its dot, got %s"
      error(text:format(where, index, found), 0)
    end
  end
  return vim.list_slice(value)
end

---@param opts? project_config.FindFilesOptions
---@return project_config.NativeStage
return function(opts)
  local constructor = require("nvim-project-config.constructor")
  local options = constructor.stage("find_files", opts, {
    extensions = { nil, {}, read = read_extensions },
    matcher = constructor.matcher,
    finder = { nil, { "function" } },
  })
  return { stage = "find_files", extensions = options.extensions, matcher = options.matcher, finder = options.finder }
end
