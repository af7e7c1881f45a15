--- The context that the code of a pipeline gets while its load is planned, so that what it sets is nobody's before the project is known.
---
--- What is set there of the project goes to the library with each answer (`changed`); all else is handed over to the context in which the load
--- ends (`carry`, from `run.lua`).

local config = require("nvim-project-config.config")
local context = require("nvim-project-config.context")
local native = require("nvim-project-config.native")

local M = {}

--- What a context has of its own, whatever the code sets there.
local PRIVATE = {
  _base = true,
  _caches = true,
  _clash = true,
  _clearing = true,
  _config_dir = true,
  _family = true,
  _files_loaded = true,
  _id = true,
  _json = true,
  _json_target = true,
  _options = true,
  _report = true,
  _shows_json = true,
  _trouble = true,
  project_name = true,
  project_root = true,
  projects = true,
}

--- The project as the fields of a context tell it.
---@param ctx project_config.Context
---@return { root?: string, name?: string, projects: project_config.Project[] }
local function told(ctx)
  return { root = ctx.project_root, name = ctx.project_name, projects = vim.deepcopy(ctx.projects) }
end

--- Makes the context of this run, unless there is one.
---@param run project_config.AskingRun
function M.make(run)
  if run.own then
    return
  end
  local own = context.new(native.get().create_context(), run.asked)
  own._base, own._family, own._caches = run.draft, run.draft._family, run.draft._caches
  context.show_config_dir(own, run.config_dir)
  run.own, run.own_before = own, {}
  for key, value in pairs(own) do
    local copy = (key == "pipeline" and vim.list_slice or config.schema[key] and vim.deepcopy) --[[@as (fun(value: any): any)?]]
    run.own_before[key] = copy and type(value) == "table" and copy(value) or value
  end
  run.told = told(own)
end

--- Shows the user's code which projects the library knows.
---@param run project_config.AskingRun
---@param projects? project_config.Project[] nil: as before
function M.show(run, projects)
  if projects then
    local own, innermost = run.own, projects[#projects] or {}
    own.projects, own.project_root, own.project_name = projects, innermost.root, innermost.name
    run.told = told(own)
  end
end

--- Takes back what the code has made of the project.
---@param run project_config.AskingRun
---@param before { root?: string, name?: string, projects: project_config.Project[] }
function M.restore(run, before)
  local own = run.own
  own.projects, own.project_root, own.project_name = vim.deepcopy(before.projects), before.root, before.name
  run.told = before
end

--- The projects that a context tells of, or what is wrong with them.
---@param ctx project_config.Context
---@return project_config.Project[]?, string? problem
local function projects_of(ctx)
  for key, wanted in pairs({ project_root = "string", project_name = "string", projects = "table" }) do
    local found = type(ctx[key])
    if found ~= wanted and ctx[key] ~= nil then
      return nil, ("ctx.%s: expected %s, got %s"):format(key, wanted, found)
    end
  end
  -- Nothing else of them counts, whatever it holds.
  local projects = {}
  for index, project in ipairs(ctx.projects or {}) do
    if type(project) ~= "table" or type(project.root) ~= "string" or type(project.name) ~= "string" then
      return nil, ("ctx.projects[%d]: expected { root = string, name = string }"):format(index)
    end
    projects[index] = { root = project.root, name = project.name }
  end
  return projects
end

--- The projects, if the user's code has changed them since they were shown or asked for; or what is wrong with them, which is taken back.
---@param run project_config.AskingRun
---@return project_config.Project[]?, string? problem
function M.changed(run)
  local own, before = run.own, run.told
  local projects, problem = projects_of(own)
  if not projects then
    M.restore(run, before)
    return nil, problem
  end
  local root, name = own.project_root, own.project_name
  if vim.deep_equal(projects, before.projects) then
    if root == before.root and name == before.name then
      return nil
    end
    -- The innermost one, unless all of it was taken away.
    projects = vim.list_slice(projects, 1, #projects - 1)
    if root or name then
      root = root or run.start_dir
      projects[#projects + 1] = { root = root, name = name or vim.fs.basename(root) }
    end
  end
  M.show(run, projects)
  return projects
end

--- Hands over an option of which a part was changed: the rest of it may be that of one call.
---@param fields table<string, any> of the context
---@param key string
---@param value any
---@param before any
local function carry_option(fields, key, value, before)
  if type(value) ~= "table" or type(before) ~= "table" or type(fields[key]) ~= "table" then
    fields[key] = value
    return
  end
  for name, part in pairs(value) do
    if not vim.deep_equal(part, before[name]) then
      fields[key][name] = part
    end
  end
end

--- Hands what the code of a pipeline has set over to the context that its load ends in. True if there are options among it.
---@param run project_config.Run
---@param ctx project_config.Context
---@return boolean
function M.carry(run, ctx)
  ---@cast run project_config.AskingRun
  local fields, own, before =
    ctx, --[[@as table<string, any>]]
    run.own, --[[@as table<string, any>]]
    run.own_before
  local has_options = false
  for key in pairs(vim.tbl_extend("keep", {}, own, before)) do
    local value, old = own[key], before[key]
    local is_new = not PRIVATE[key] and not rawequal(value, old)
    if is_new and key == "pipeline" then
      is_new = not vim.deep_equal(value, old)
      if is_new then
        fields.pipeline = value
      end
    elseif is_new and config.schema[key] then
      is_new = not vim.deep_equal(value, old)
      if is_new then
        carry_option(fields, key, value, old)
      end
    elseif is_new then
      fields[key] = value
    end
    has_options = has_options or is_new and config.schema[key] ~= nil
  end
  return has_options
end

return M
