--- The options that say what projects are called and which directories are none: checked, and as the library wants them.
---
--- What follows from them, the library decides (`engine/src/pipeline/naming.rs`); the function of `project_name` is called in `host.lua`.
--- Required only where one of these options is given.

local M = {}

local wanted_paths = "an absolute path, or one that begins with ~"

---@param where string
---@param wanted string
---@param found any
local function mismatch(where, wanted, found)
  found = type(found) == "string" and vim.inspect(found) or type(found)
  error(("nvim-project-config: %s: expected %s, got %s"):format(where, wanted, found), 0)
end

--- A path that a user wrote, with `~` and, if so wanted, variables expanded, without slashes at its end.
---@param path string
---@param with_variables boolean
---@return string? nil: it is not absolute
local function expanded(path, with_variables)
  if path:find("^~[^/\\]") then
    return nil -- another user's home, which `normalize` does not know
  end
  if path:find("^~") or with_variables and path:find("$", 1, true) or jit.os == "Windows" then
    path = vim.fs.normalize(path, { expand_env = with_variables })
  end
  local trimmed = path:gsub("(.)/+$", "%1")
  return require("nvim-project-config.loading").is_absolute(path) and trimmed or nil
end

--- The condition of a string or glob with a slash: about the path of a directory.
---@param op "literal"|"glob"
---@param path string
---@param where string
---@return project_config.MatcherNode
local function of_path(op, path, where)
  local absolute = expanded(path, false) or op == "glob" and path:find("^%*%*/") and path
  if not absolute or absolute:find("%z") then
    mismatch(where, wanted_paths .. ", or a name without a slash", path)
  end
  return require("nvim-project-config.matchers").node(op, { absolute })
end

--- A matcher in which paths are such; what is wrong with it otherwise, `matchers.normalise` says.
---@param value any
---@param where string
---@param depth integer
---@return any
local function with_paths(value, where, depth)
  local matchers = require("nvim-project-config.matchers")
  if type(value) == "string" and (value:find("/", 1, true) or value == "~") then
    return of_path("literal", value, where)
  elseif type(value) ~= "table" or depth > matchers.MAX_DEPTH then
    return value
  elseif value.op == "glob" and value[1]:find("/", 1, true) then
    return of_path("glob", value[1], where)
  end
  local copy = setmetatable(vim.tbl_extend("force", {}, value), getmetatable(value))
  for index, item in ipairs(value) do
    -- The arguments of other nodes are no matchers.
    if not value.op or type(item) == "table" then
      copy[index] = with_paths(item, ("%s[%d]"):format(where, index), depth + 1)
    end
  end
  return copy
end

--- The condition on directories that are no project.
---@param value project_config.Matcher
---@param where string
---@return project_config.MatcherNode
function M.exclude(value, where)
  return require("nvim-project-config.matchers").normalise(with_paths(value, where, 1), where)
end

--- The directories before which a walk ends.
---@param value string|string[]
---@param where string
---@return string[]
function M.stop_at(value, where)
  local dirs = {}
  for index, dir in ipairs(type(value) == "table" and value or { value }) do
    local place = type(value) == "table" and ("%s[%d]"):format(where, index) or where
    dirs[index] = expanded(dir, true) or mismatch(place, wanted_paths, dir)
  end
  return dirs
end

--- Directories and the names of the projects in them, in byte order.
---@param value table<string, string>
---@param where string
---@return { [1]: string, [2]: string }[]
function M.names(value, where)
  local names = {}
  for dir, name in pairs(value) do
    local place = ("%s[%s]"):format(where, type(dir) == "string" and vim.inspect(dir) or tostring(dir))
    local absolute = type(dir) == "string" and expanded(dir, true)
    if not absolute then
      mismatch(place, "as key " .. wanted_paths, dir)
    elseif type(name) ~= "string" or ("/" .. name .. "/"):find("//", 1, true) or name:find("%z") then
      mismatch(place, "a name, its parts joined by single slashes", name)
    end
    names[#names + 1] = { absolute, name }
  end
  table.sort(names, function(a, b)
    return a[1] < b[1]
  end)
  return names
end

--- What came of the options that were asked for last, nearly always the same: loads follow each step of the user, and a hundred names take
--- half a millisecond.
local last_options ---@type project_config.Config?
local last_naming ---@type project_config.Naming

--- What the library gets.
---@param options project_config.Config
---@return project_config.Naming
function M.of(options)
  if last_options == options then
    return last_naming
  end
  local from = options.project_name
  last_naming = {
    from = type(from) == "function" and "host" or from --[[@as "directory"|"remote"]],
    names = M.names(options.names, "names"),
    exclude = options.exclude and M.exclude(options.exclude, "exclude"),
    stop_at = options.stop_at and M.stop_at(options.stop_at, "stop_at"),
  }
  last_options = options
  return last_naming
end

return M
