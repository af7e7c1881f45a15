--- The pipeline that is in force where none is given.

---@return project_config.Stage[]
return function()
  local stages = {}
  for _, name in ipairs({ "walk", "detect", "find_files", "execute" }) do
    stages[#stages + 1] = require("nvim-project-config.stages." .. name)()
  end
  return stages
end
