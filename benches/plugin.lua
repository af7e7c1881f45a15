-- Our side of the comparison: the public API, in a coroutine: a load, timed from the call of `load` to `on_load`, and waiting
-- for what has been changed to be saved.
local M = {}

local uv = vim.uv
-- Taken before main_thread.lua wraps it: what the benchmark schedules is not the plugin's time.
local schedule = vim.schedule

local loaded_at = 0
---@type string|nil
local problem

--- Nothing is loaded yet afterwards; the library is, because `setup` opens it (startup.lua measures that).
---@param place bench.Place
---@param pipeline? table[]
function M.setup(place, pipeline)
  require("nvim-project-config").setup({
    config_dir = place.config_dir,
    pipeline = pipeline,
    loading = { on = "manual", start_dir = place.start_dir },
    on_load = function()
      loaded_at = uv.hrtime()
    end,
    on_error = function(err)
      problem = err.message
    end,
  })
end

--- As `setup`, and the user is followed: everything that can be watched is. Nothing is loaded yet afterwards. Without a debounce, switches
--- that come one after the other are each as one that comes alone.
---@param place bench.Place
---@param on_load? fun()
function M.follow(place, on_load)
  require("nvim-project-config").setup({
    config_dir = place.config_dir,
    loading = {
      on = "manual",
      start_dir = place.start_dir,
      watch = { cwd = true, buffer = true, config_dir = true, debounce_ms = 0 },
    },
    on_load = on_load,
    on_error = function(err)
      problem = err.message
    end,
  })
end

--- Goes on once no load is under way and the plugin has let go of the main loop.
function M.settle()
  local loading = require("nvim-project-config.loading")
  local left = 3
  while left > 0 do
    M.next_tick()
    left = next(loading.runs) and 3 or left - 1
  end
  assert(not problem, problem)
end

--- How long a load takes, in nanoseconds. In a coroutine; it goes on once the plugin has let go of the main loop.
---@param opts? table options of this load
---@return integer elapsed, table json
function M.time(opts)
  local co = coroutine.running()
  local began = uv.hrtime()
  require("nvim-project-config").load(opts, function(ctx, err)
    schedule(function()
      assert(coroutine.resume(co, ctx, err))
    end)
  end)
  local ctx, err = coroutine.yield()
  assert(ctx, err)
  assert(not problem, problem)
  return loaded_at - began, ctx.json
end

--- Loads, and says when `on_load` was called. As `time`.
---@return integer
function M.loaded_at()
  M.time()
  return loaded_at
end

--- Goes on once the main loop has called what was scheduled until now: in the next tick.
function M.next_tick()
  local co = coroutine.running()
  schedule(function()
    assert(coroutine.resume(co))
  end)
  coroutine.yield()
end

--- Goes on once every change is on disk, and the plugin has let go of the main loop.
function M.save()
  local co = coroutine.running()
  require("nvim-project-config").save(function(saved, err)
    schedule(function()
      assert(coroutine.resume(co, saved, err))
    end)
  end)
  assert(coroutine.yield())
  assert(not problem, problem)
end

return M
