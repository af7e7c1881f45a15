--- Who runs which kind of file, from the options of a load.

local M = {}

--- By name, so that no other name ever reaches `require`.
local builtin = {
  lua = "nvim-project-config.executors.lua",
  vim = "nvim-project-config.executors.vim",
}

--- The runners that a pipeline's router names for a kind.
---@param pipeline? project_config.Stage[]
---@param kind string
---@return project_config.FileRunner[]?
local function routed(pipeline, kind)
  for _, stage in ipairs(pipeline or {}) do
    local runner = stage.router and (stage.router[kind] or stage.router["." .. kind])
    if runner then
      return type(runner) == "table" and runner or { runner }
    end
  end
end

--- How files of this kind are run.
---@param options project_config.Config
---@param kind string
---@return project_config.Kind
function M.resolve(options, kind)
  local executor = options.executors[kind] or {}
  local own = routed(options.pipeline, kind) or (executor.run and { executor.run })
  return {
    async = executor.async or false,
    runners = own or {
      require(builtin[kind] --[[@as string]]),
    },
  }
end

return M
