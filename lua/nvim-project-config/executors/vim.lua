--- Runs Vim script files with `:source`, by path: nothing else gives `s:`, `<SID>`, `<sfile>` and `:verbose` their right meaning.
---
--- So this is the one kind of file that is opened a second time, on the main thread, after it was checked.

--- Parsed when something has gone wrong.
local function errors()
  return require("nvim-project-config.errors")
end

--- The line of the file in which an exception began: in the file itself, or where it called the function that failed.
---@param throwpoint string `v:throwpoint`
---@param path string
---@return integer?
local function line_of(throwpoint, path)
  local _, name_end = throwpoint:find("script " .. path, 1, true)
  local rest = name_end and throwpoint:sub(name_end + 1) or throwpoint
  return tonumber(rest:match("^%[(%d+)%]") or rest:match("line (%d+)$")) --[[@as integer?]]
end

--- Sources one file. Raises an error with path and line.
---@param ctx project_config.Context
---@param path string absolute
return function(ctx, path)
  -- So that what `:lua` in it calls is known to be the load's.
  local run = require("nvim-project-config.running").run_of[coroutine.running()]
  if not (run and run.ctx == ctx and type(path) == "string" and path:byte() == 47) then
    require("nvim-project-config.planned").check("vim", ctx, path)
  end
  if run then
    run.sourcing = true
  end
  local called, problem = pcall(vim.fn["nvim_project_config#source"], path)
  if run then
    run.sourcing = false
  end
  if not called then
    error(problem, 0)
  end
  if problem[1] then
    local line = line_of(problem[2], path)
    local place = line and ("%s:%d"):format(path, line) or path
    -- `:lua` puts a stack trace behind its errors, most of which is ours.
    local text = problem[1]:gsub("^Vim%b():", ""):gsub("^Vim:", ""):gsub("\nstack traceback:.*$", "")
    error(errors().new("runtime", place .. ": " .. text, { path = path, line = line }), 0)
  end
end
