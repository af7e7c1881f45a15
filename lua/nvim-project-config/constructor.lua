--- Checks the options of what users construct: stages and caches. The rules are those of `validate.lua`, which is parsed at start-up.

local config = require("nvim-project-config.config")
local validate = require("nvim-project-config.validate")

local M = {}

--- The leaf of a stage's option that is a matcher.
M.matcher = {
  nil,
  {},
  read = function(value, where)
    return require("nvim-project-config.matchers").normalise(value, where)
  end,
}

--- Raises an error for a key that is no option.
---@param where string
---@param given any
---@param branch table
local function check_keys(where, given, branch)
  for key in pairs(type(given) == "table" and given or {}) do
    if branch[key] == nil then
      local known = vim.tbl_keys(branch)
      table.sort(known)
      validate.fail(("%s: unknown option '%s'; known are %s"):format(where, tostring(key), table.concat(known, ", ")))
    end
  end
end

--- The options of a stage, checked; a leaf with `read` says itself what becomes of the value. Raises an error that names the stage
--- and the key.
---@param stage string
---@param given any
---@param branch table leaves by key
---@return table
function M.stage(stage, given, branch)
  local where = "stages." .. stage
  if require("nvim-project-config.context").is(given) then
    -- It was put into a pipeline itself, and called as a function there.
    validate.fail(
      ('%s: this makes a stage: put require("nvim-project-config.%s")() into the pipeline'):format(where, where)
    )
  end
  local result = config.defaults(branch)
  validate.check_table(given == nil and {} or given, where)
  check_keys(where, given, branch)
  for key, value in pairs(given or {}) do
    local leaf = branch[key]
    local place = where .. ": " .. key
    if leaf.read then
      result[key] = leaf.read(value, place)
    else
      validate.check_leaf(leaf, value, place)
      result[key] = value
    end
  end
  return result
end

--- The options of a cache, checked. Raises an error that names the key.
---@param name string of the function that takes them
---@param given any
---@param branch table
---@return any
function M.cache(name, given, branch)
  check_keys(name, given, branch)
  return validate.branch(branch, given == nil and {} or given, config.defaults(branch), name)
end

return M
