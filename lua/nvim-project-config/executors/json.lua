--- Merges JSON files into `ctx.json`, as one more of the project's own: what is changed in it later is saved to the file.
---
--- Without an executor of the user's, JSON is merged before anything runs, and nobody comes here. How a file is merged is the library's to
--- say; here is who waits for it.

local await = require("nvim-project-config.await")
local native = require("nvim-project-config.native")
local planned = require("nvim-project-config.planned")

--- Merges one file, and waits until `ctx.json` shows it. Nothing is written. Raises an error with the path, and the line of what is no
--- JSON. Only in a coroutine.
---@param ctx project_config.Context
---@param path string absolute
return function(ctx, path)
  planned.check("json", ctx, path)
  if not await.can_yield() then
    error("nvim-project-config: executors.json: not in a coroutine; call it from an executor, a stage or on_load", 2)
  end
  local run = planned.run_of(ctx)
  local lib = native.get()
  local target, err = await.await(function(step)
    native.callbacks[lib.merge(ctx._id, path, run and run.id)] = step
  end)
  if not target then
    error(err, 0)
  end
  planned.show_target(ctx, target)
end
