--- Reading single settings from a context's JSON.

local M = {}

--- The keys of a path: `"a.b"` or `{ "a", "b" }`.
---@param path any
---@return (string|integer)[]
local function keys_of(path)
  if type(path) == "string" then
    return vim.split(path, ".", { plain = true })
  elseif type(path) == "table" then
    return path
  end
  error("nvim-project-config: path: expected string or list, got " .. type(path), 4)
end

--- The value at a path of `ctx.json`, or the default.
---@param ctx project_config.Context
---@param path any
---@param default any
---@return any
function M.get(ctx, path, default)
  local value = ctx.json ---@type any
  for _, key in ipairs(keys_of(path)) do
    if type(value) ~= "table" then
      return default
    end
    local member = value[key]
    if member == nil and tonumber(key) then
      member = value[tonumber(key)] -- "formatters.1"
    end
    value = member
  end
  if value == nil then
    return default
  end
  return value
end

return M
