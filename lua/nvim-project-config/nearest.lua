--- The message for an option that does not exist, with the nearest one that does. Loaded only when it is needed.

local M = {}

--- Edit distance (Levenshtein) of two short strings.
---@param a string
---@param b string
---@return integer
local function distance(a, b)
  ---@type table<integer, integer>
  local row = {}
  for j = 0, #b do
    row[j] = j
  end
  for i = 1, #a do
    local diagonal
    diagonal, row[0] = row[0], i
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      diagonal, row[j] = row[j], math.min(row[j] + 1, row[j - 1] + 1, diagonal + cost)
    end
  end
  return row[#b]
end

---@param known string[]
---@param word string
---@return string? nearest, number distance infinite if none is known
local function nearest(known, word)
  local best, best_distance = nil, math.huge
  for _, candidate in ipairs(known) do
    local d = distance(candidate, word)
    if d < best_distance then
      best, best_distance = candidate, d
    end
  end
  return best, best_distance
end
M.nearest = nearest

local function collect(node, path, keys)
  for key, child in pairs(node) do
    if type(key) == "string" and type(child) == "table" then
      local full = path == "" and key or (path .. "." .. key)
      keys[#keys + 1] = full
      local is_map = child[1] == "map"
      if not is_map and type(child[2]) ~= "table" then
        collect(child, full, keys)
      elseif is_map then
        collect(child[2], full .. ".*", keys)
      end
    end
  end
  return keys
end

--- What to say of the unknown option `key` below `path`.
---@param schema table
---@param path string
---@param key any
---@return string
function M.unknown_option(schema, path, key)
  local full = path == "" and tostring(key) or (path .. "." .. tostring(key))
  local keys = collect(schema, "", {})
  table.sort(keys)
  local siblings, others = {}, {}
  local name = path:match("^executors%.") and "executors.*" or path
  for _, known in ipairs(keys) do
    local parent, leaf = known:match("^(.*)%.([^.]+)$")
    if (parent or "") == name then
      siblings[leaf or known] = true
    end
    others[leaf or known] = known
  end
  local near, d = nearest(vim.tbl_keys(siblings), tostring(key))
  local elsewhere, d_elsewhere = nearest(vim.tbl_keys(others), tostring(key))
  local suggestion = near and (path == "" and near or (path .. "." .. near))
  if elsewhere and d_elsewhere < d then
    suggestion = others[elsewhere]
  end
  return ("unknown option '%s'; the nearest one is '%s'"):format(full, suggestion)
end

return M
