--- Independent contexts: with loads, project contexts and caches of their own.
---
--- What sets them apart is their family, which their loads carry to the library; see `loading.lua`. Never the current context.

local config = require("nvim-project-config.config")
local context = require("nvim-project-config.context")
local loading = require("nvim-project-config.loading")
local native = require("nvim-project-config.native")

--- Memory that its caches may hold.
local MAX_BYTES = 64 * 1024 * 1024

--- A context with these options over the defaults, kept until it is cleared.
---@param opts? project_config.Options
---@return project_config.Context
return function(opts)
  local options = config.resolve(opts)
  local lib, failure = native.get()
  local ctx = context.new(lib and lib.create_context() or 0, options)
  ctx._caches = { max_bytes = MAX_BYTES }
  ctx._family = { options = options, first = ctx._id, caches = ctx._caches }
  if lib then
    ctx._caches.handle = lib.caches(MAX_BYTES)
    ctx._family.handle = lib.create_family(ctx._caches.handle)
    loading.keep(ctx)
  else
    require("nvim-project-config.errors").notify(failure --[[@as project_config.Error]])
  end
  return ctx
end
