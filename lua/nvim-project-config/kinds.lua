--- Who runs which kind of file, from the options of a load.

local M = {}

--- The runners that a pipeline's router names, by kind.
---@param pipeline? project_config.Stage[]
---@return table<string, project_config.FileRunner[]>
function M.routed(pipeline)
  local by_kind = {}
  for _, stage in ipairs(pipeline or {}) do
    for key, runner in pairs(type(stage) == "table" and stage.router or {}) do
      by_kind[key:gsub("^%.", "")] = type(runner) == "table" and runner or { runner }
    end
  end
  return by_kind
end

--- The user's own runners for a kind.
---@param options project_config.Config
---@param kind string
---@return project_config.FileRunner[]?
local function own_runners(options, kind)
  local executor = options.executors[kind]
  return M.routed(options.pipeline)[kind] or (executor and executor.run and { executor.run })
end

--- What the library has to know: the kinds that are not built in, and whether it merges the JSON files.
---@param options project_config.Config
---@return string[] own_kinds, boolean merge_json
function M.for_library(options)
  local own = {}
  for kind in pairs(vim.tbl_extend("keep", M.routed(options.pipeline), options.executors)) do
    own[#own + 1] = kind
  end
  return own, own_runners(options, "json") == nil
end

--- How files of this kind are run.
---@param options project_config.Config
---@param kind string
---@return project_config.Kind
function M.resolve(options, kind)
  local executor = options.executors[kind]
  return {
    async = executor ~= nil and executor.async,
    runners = own_runners(options, kind) or { require("nvim-project-config.executors." .. kind) },
  }
end

return M
