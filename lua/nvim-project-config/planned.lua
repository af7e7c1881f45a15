--- What the built-in executors, called from wherever, know of the load they work for.
---
--- Neighbours: `run.lua`, which runs the files, and `executors/`, which asks here.

local loading = require("nvim-project-config.loading")
local native = require("nvim-project-config.native")
local running = require("nvim-project-config.running")

local M = {}

--- Raises an error for what is no context and no absolute path, at the caller of the executor.
---@param name string of the executor
---@param ctx any
---@param path any
---@param level? integer where the executor was called, from here; default: by the caller's caller
function M.check(name, ctx, path, level)
  local problem
  if not require("nvim-project-config.context").is(ctx) then
    problem = "ctx: expected a context, got " .. type(ctx)
  elseif type(path) ~= "string" then
    problem = "path: expected string, got " .. type(path)
  elseif path:find("%z") then
    problem = "path: expected a path without NUL"
  elseif not loading.is_absolute(path) then
    problem = ("path: expected an absolute path, got '%s'"):format(path)
  end
  if problem then
    error(("nvim-project-config: executors.%s: %s"):format(name, problem), level or 3)
  end
end

--- The load for which the calling code runs: that of its coroutine, else the latest of those that run files of this context.
---@param ctx project_config.Context
---@return project_config.BegunRun?
function M.run_of(ctx)
  local run = running.run_of[coroutine.running()]
  if run and run.ctx == ctx then
    return run
  end
  local latest
  for id, other in pairs(loading.runs) do
    if other.ctx == ctx and not other.result and (not latest or id > latest.id) then
      latest = other
    end
  end
  return latest --[[@as project_config.BegunRun?]]
end

--- The content of a file: what the load has read and checked, else what the context's file cache has. Raises what is wrong.
---@param name string of the executor
---@param ctx project_config.Context
---@param path string
---@return string
function M.content(name, ctx, path)
  M.check(name, ctx, path, 4)
  local run = M.run_of(ctx)
  local content = run and native.get().content(run.id, path)
  if content then
    return content
  elseif not require("nvim-project-config.await").can_yield() then
    local text = "nvim-project-config: executors.%s: not in a coroutine, and no file of the load that runs: %s"
    error(text:format(name, path), 3)
  end
  local entry, err = ctx.file_cache:get(path)
  if not entry then
    error(err, 0)
  end
  return entry.content
end

--- Lets the context know which file gets new settings.
---@param ctx project_config.Context
---@param target string
function M.show_target(ctx, target)
  if ctx._last_project_json == nil or ctx._last_project_json == ctx._json_target then
    ctx._last_project_json = target -- else the user has set it
  end
  ctx._json_target = target
end

return M
