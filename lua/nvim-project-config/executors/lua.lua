--- Runs Lua files from the bytes that were read and checked.
---
--- `run.lua` hands them over; whoever else calls it gets those of the load that runs, or what the file cache has (`planned.lua`).

--- Parsed when something has gone wrong.
local function errors()
  return require("nvim-project-config.errors")
end

--- What was compiled last, by path. A chunk has no state of its own but its environment.
---@type table<string, { content: string, chunk: function }>
local compiled = {}
--- Bytes of content that `compiled` holds at most; beyond that it begins anew.
local MAX_BYTES = 4 * 1024 * 1024
local bytes = 0

--- Compiles a file, unless it is the same as at the last load. Raises an error with path and line.
---@param path string
---@param content string
---@return function
local function compile(path, content)
  local last = compiled[path]
  if last and last.content == content and getfenv(last.chunk) == _G then
    return last.chunk
  end
  if content:byte() == 0x1b then
    error(errors().new("syntax", path .. ": is LuaJIT bytecode; only source text is run", { path = path }), 0)
  end
  -- As `dofile` does: a first line that starts with `#` is for the shell.
  local text = content:byte() == 0x23 and "--" .. content or content
  local chunk, problem = load(text, "@" .. path, "t")
  if not chunk then
    error(errors().uncompiled(problem --[[@as string]], path), 0)
  end
  bytes = bytes + #content
  if bytes > MAX_BYTES then
    compiled, bytes = {}, #content
  end
  compiled[path] = { content = content, chunk = chunk }
  return chunk
end

--- Runs one file; a function that it returns is called with the context. Raises an error with path and line.
---@param ctx project_config.Context
---@param path string absolute
---@param content? string
return function(ctx, path, content)
  content = content or require("nvim-project-config.planned").content("lua", ctx, path)
  local result = compile(path, content)()
  if type(result) == "function" then
    result(ctx)
  end
end
