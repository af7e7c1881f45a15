--- What is wrong with a Lua pattern. `string.find` says so only once it comes to the place, which depends on the subject; a
--- matcher has to know when it is made.

local MAX_CAPTURES = 32

--- The position after a set, of which `at` is the position after `[`; nil if it does not end.
---@param pattern string
---@param at integer
---@return integer?
local function after_set(pattern, at)
  if pattern:sub(at, at) == "^" then
    at = at + 1
  end
  -- A `]` that comes first stands for itself.
  local first = at
  while at <= #pattern do
    local char = pattern:sub(at, at)
    if char == "]" and at > first then
      return at + 1
    end
    at = at + (char == "%" and 2 or 1)
  end
end

---@class project_config.PatternScan
---@field open integer[] captures that have begun and not ended
---@field closed table<integer, true>
---@field count integer

--- What follows a `%`: the position after it, or nil and what is wrong.
---@param pattern string
---@param at integer the position after `%`
---@param scan project_config.PatternScan
---@return integer?, string? problem
local function after_escape(pattern, at, scan)
  local char = pattern:sub(at, at)
  if char == "" then
    return nil, "it ends with '%'"
  elseif char == "b" then
    if at + 2 > #pattern then
      return nil, "'%b' needs two characters"
    end
    return at + 3
  elseif char == "f" then
    if pattern:sub(at + 1, at + 1) ~= "[" then
      return nil, "'%f' needs a set"
    end
    local after = after_set(pattern, at + 2)
    return after, not after and "a ']' is missing" or nil
  elseif char:find("%d") and not scan.closed[tonumber(char)] then
    return nil, ("there is no capture %%%s before it"):format(char)
  end
  return at + 1
end

--- What is wrong with the pattern; nil if nothing is.
---@param pattern string
---@return string?
return function(pattern)
  local scan = { open = {}, closed = {}, count = 0 } ---@type project_config.PatternScan
  local at, problem = 1, nil ---@type integer?, string?
  while at and at <= #pattern do
    local char = pattern:sub(at, at)
    if char == "%" then
      at, problem = after_escape(pattern, at + 1, scan)
    elseif char == "[" then
      at = after_set(pattern, at + 1)
      problem = not at and "a ']' is missing" or nil
    elseif char == "(" then
      scan.count = scan.count + 1
      table.insert(scan.open, scan.count)
      at = at + 1
      if scan.count > MAX_CAPTURES then
        return "it has too many captures"
      end
    elseif char == ")" then
      local closed = table.remove(scan.open)
      if not closed then
        return "a '(' is missing"
      end
      scan.closed[closed] = true
      at = at + 1
    else
      at = at + 1
    end
  end
  return problem or (scan.open[1] and "a ')' is missing") or nil
end
