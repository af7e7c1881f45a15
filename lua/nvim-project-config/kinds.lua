--- Who runs which file, from the options of a load.

local M = {}

--- By name, so that no other name ever reaches `require`.
local builtin = {
  json = "nvim-project-config.executors.json",
  jsonc = "nvim-project-config.executors.json",
  lua = "nvim-project-config.executors.lua",
  vim = "nvim-project-config.executors.vim",
}

---@param runners? project_config.FileRunner|project_config.FileRunner[]
---@return project_config.FileRunner[]?
local function listed(runners)
  return type(runners) == "function" and { runners } or runners --[[@as project_config.FileRunner[]?]]
end

--- The runners that a router of the pipeline names: for a route (from 1), else for a kind.
---@param pipeline? project_config.Stage[]
---@param kind string
---@param route? integer
---@return project_config.FileRunner[]?
local function routed(pipeline, kind, route)
  for _, stage in ipairs(pipeline or {}) do
    local is_table = type(stage) == "table"
    local runners = is_table and route and stage.routes and stage.routes[route] and stage.routes[route].runners
    local router = is_table and not route and stage.router
    runners = runners or (router and (router[kind] or router["." .. kind]))
    if runners then
      return listed(runners)
    end
  end
end

--- How files of this kind, which took this route, are run.
---@param run project_config.Run
---@param kind string
---@param route? integer
---@return project_config.Kind
function M.resolve(run, kind, route)
  local executors = run.options.executors
  local executor = executors[kind] or run.asked.executors[kind] or {}
  -- The routers are those that the library has planned with.
  local runners = routed(run.pipeline, kind, route)
    or routed(run.pipeline, kind)
    or listed(executor.run)
    or {
      require(builtin[kind] --[[@as string]]),
    }
  local async = executor.async
  if async == nil and kind == "jsonc" then
    async = executors.json.async
  end
  return { async = async or false, runners = runners, of_content = package.loaded[builtin.lua] }
end

return M
