--- Runs Lua files from the bytes that were read and checked.

--- Parsed when something has gone wrong.
local function errors()
  return require("nvim-project-config.errors")
end

--- Runs one file; a function that it returns is called with the context. Raises an error with path and line.
---@param ctx project_config.Context
---@param path string
---@param content string
return function(ctx, path, content)
  if content:byte() == 0x1b then
    error(errors().new("syntax", path .. ": is LuaJIT bytecode; only source text is run", { path = path }), 0)
  end
  if content:byte() == 0x23 then
    -- As `dofile` does: a first line that starts with `#` is for the shell.
    content = "--" .. content
  end
  local chunk, problem = load(content, "@" .. path, "t")
  if not chunk then
    error(errors().uncompiled(problem --[[@as string]], path), 0)
  end
  local result = chunk()
  if type(result) == "function" then
    result(ctx)
  end
end
