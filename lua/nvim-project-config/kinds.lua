--- The kinds of files and who runs them, from the options of a load.

local M = {}

---@class project_config.Kind
---@field name string
---@field merged boolean the engine merges these files into `ctx.json`; nothing runs
---@field async boolean
---@field run? (fun(ctx: project_config.Context, path: string, content: string))[] one after the other
---@field [integer] string extensions with their dots

--- The kinds that need no `run`, in the order in which they are worked on.
local builtin = { "json", "lua", "vim" }
local builtin_extensions = { json = { ".json", ".jsonc" }, lua = { ".lua" }, vim = { ".vim" } }

---@param pipeline? project_config.Stage[]
---@return table<string, project_config.FileRunner[]>
local function routes(pipeline)
  local by_name = {}
  for _, stage in ipairs(pipeline or {}) do
    for key, run in pairs(type(stage) == "table" and stage.router or {}) do
      by_name[key:gsub("^%.", "")] = type(run) == "table" and run or { run }
    end
  end
  return by_name
end

--- In order: JSON, Lua, Vim, then the user's own kinds by name.
---@param config project_config.Config
---@return project_config.Kind[]
function M.of(config)
  local routed = routes(config.pipeline)
  local names, own = vim.list_slice(builtin), {}
  for name in pairs(vim.tbl_extend("keep", {}, config.executors, routed)) do
    if not builtin_extensions[name] then
      own[#own + 1] = name
    end
  end
  table.sort(own)
  vim.list_extend(names, own)
  local kinds = {}
  for _, name in ipairs(names) do
    local options = config.executors[name] or { async = false }
    local run = routed[name] or (options.run and { options.run })
    local kind = vim.list_slice(builtin_extensions[name] or { "." .. name })
    kind.name, kind.async, kind.merged = name, options.async, name == "json" and not run
    kind.run = run or (not kind.merged and { require("nvim-project-config.executors." .. name) } or nil)
    kinds[#kinds + 1] = kind
  end
  return kinds
end

return M
