--- The stage that reads the files, merges the JSON and runs the rest.

---@class project_config.ExecuteOptions
---@field router? project_config.Router over `executors`

---@param where string
---@param what string
local function fail(where, what)
  error(("nvim-project-config: %s: %s"):format(where, what), 0)
end

---@param value any an executor or a list of them
---@param where string
---@return project_config.FileRunner[]
local function read_runners(value, where)
  if type(value) == "function" then
    return { value }
  elseif type(value) ~= "table" or not vim.islist(value) or #value == 0 then
    fail(where, "expected an executor or a list of executors, got " .. (value == nil and "nil" or type(value)))
  end
  for index, runner in ipairs(value) do
    if type(runner) ~= "function" then
      fail(("%s[%d]"):format(where, index), "expected an executor, got " .. type(runner))
    end
  end
  return vim.list_slice(value)
end

--- A route of the list part: `{ matcher, executor or list }`.
---@param value any
---@param where string
---@return project_config.Route
local function read_route(value, where)
  if type(value) ~= "table" or not vim.islist(value) or #value ~= 2 then
    fail(where, "expected { matcher, executor }, got " .. type(value))
  end
  return {
    matcher = require("nvim-project-config.matchers").normalise(value[1], where .. "[1]"),
    runners = read_runners(value[2], where .. "[2]"),
  }
end

---@param value any
---@param where string
---@return { kinds: table<string, project_config.FileRunner[]>, routes: project_config.Route[] }
local function read_router(value, where)
  if type(value) ~= "table" then
    fail(where, "expected table, got " .. type(value))
  end
  local kinds, routes = {}, {}
  for key, target in pairs(value) do
    if type(key) == "string" then
      local kind = key:gsub("^%.", "", 1)
      local place = where .. "." .. key
      if not kind:find("^[%w_-]+$") then
        fail(place, "expected a file name extension as key")
      elseif kinds[kind] then
        fail(where, ("expected one of the keys '%s' and '.%s', got both"):format(kind, kind))
      end
      kinds[kind] = read_runners(target, place)
    elseif type(key) ~= "number" or key < 1 or key > #value or key % 1 ~= 0 then
      fail(where, ("expected file name extensions or positions in a list as keys, got %s"):format(vim.inspect(key)))
    end
  end
  for index = 1, #value do
    routes[index] = read_route(value[index], ("%s[%d]"):format(where, index))
  end
  return { kinds = kinds, routes = routes }
end

---@param opts? project_config.ExecuteOptions
---@return project_config.NativeStage
return function(opts)
  local options = require("nvim-project-config.constructor").stage("execute", opts, {
    router = { nil, {}, read = read_router },
  })
  local router = options.router
  return { stage = "execute", router = router and router.kinds, routes = router and router.routes }
end
