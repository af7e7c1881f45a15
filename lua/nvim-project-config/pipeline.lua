--- Pipelines as users run them: `DONE`, `run`, `stop`. The constructors of the native stages are in `stages/`.

local await = require("nvim-project-config.await")
local context = require("nvim-project-config.context")
local loading = require("nvim-project-config.loading")

local M = {}

--- What `rx` gives at the end, and what ends the output when it is sent.
M.DONE = require("nvim-project-config.channels").DONE

---@param ctx any
local function check_context(ctx)
  if not context.is(ctx) then
    error("nvim-project-config: ctx: expected a context, got " .. type(ctx), 3)
  end
end

--- Loads on this context with these stages, from this directory. The options of the context count for the rest.
---
--- With a callback it returns at once, and `callback(ctx|nil, err)` is called once, later. Without one it awaits in a coroutine, and
--- elsewhere only starts the load. Raises an error for invalid arguments.
---@param ctx project_config.Context
---@param stages (project_config.Stage|project_config.StageFunction)[]
---@param start_dir? string default: the project's root, else the current directory
---@param callback? fun(ctx?: project_config.Context, err?: project_config.Error)
---@return project_config.Context? ctx, project_config.Error? err
function M.run(ctx, stages, start_dir, callback)
  check_context(ctx)
  if stages == nil then
    error("nvim-project-config: stages: expected a list of stages, got nil", 2)
  end
  if callback ~= nil and type(callback) ~= "function" then
    error("nvim-project-config: callback: expected function, got " .. type(callback), 2)
  end
  if start_dir ~= nil and type(start_dir) ~= "string" then
    error("nvim-project-config: start_dir: expected string, got " .. type(start_dir), 2)
  end
  local opts = { pipeline = stages, loading = { start_dir = start_dir } }
  require("nvim-project-config.config").resolve(opts)
  local asked = { ctx = ctx, opts = opts }
  if callback then
    loading.submit(asked, callback)
  elseif await.can_yield() then
    asked.yields = true
    return await.await(loading.submit(asked))
  else
    loading.submit(asked, function() end)
  end
end

--- Ends the loads of a context with `cancelled`. What the context has stays.
---@param ctx project_config.Context
function M.stop(ctx)
  check_context(ctx)
  require("nvim-project-config.leaving").stop(context.base(ctx))
end

return M
