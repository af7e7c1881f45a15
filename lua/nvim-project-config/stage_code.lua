--- Code of the user's that belongs to a stage: run in a coroutine, given the loop back in time, and told of if it fails.
---
--- What it is called for is known to `host.lua` (questions) and `flows.lua` (functions); how it awaits, to `await.lua`.

local await = require("nvim-project-config.await")
local errors = require("nvim-project-config.errors")
local native = require("nvim-project-config.native")

local M = {}

--- What users call a stage.
---@param stage any
---@return string
local function name_of(stage)
  if type(stage) == "function" then
    local info = debug.getinfo(stage, "S")
    return ("function at %s:%d"):format(vim.fs.basename(info.short_src), info.linedefined)
  end
  return stage.stage
end

--- What was told of last, by stage or option.
---@type table<integer|string, string>
local last_told = {}

--- Tells that the code of a stage has failed: once a stage. Loads that nobody has asked for come with each step of the user, so they tell of
--- nothing that was told of last.
---@param run project_config.AskingRun
---@param index integer? of the stage, from 1; nil: the code of an option
---@param what string? which part of it; the option
---@param thrown any
function M.failed(run, index, what, thrown)
  run.failed_stages = run.failed_stages or {}
  local key = index or what --[[@as integer|string]]
  if run.failed_stages[key] then
    return
  end
  run.failed_stages[key] = true
  local err = vim.tbl_extend("force", {}, errors.normalised(thrown)) --[[@as project_config.Error]]
  err.message = (what and what .. ": " or "") .. err.message
  if index then
    err.message = ("pipeline stage %d (%s): %s"):format(index, name_of(run.pipeline[index]), err.message)
  end
  setmetatable(err, errors.metatable)
  local list = run.report and run.report.errors or run.early_errors or {}
  run.early_errors = list
  list[#list + 1] = err
  local is_asked_for = run.reason == "manual" or run.reason == "startup"
  if is_asked_for or last_told[key] ~= err.message then
    last_told[key] = err.message
    errors.report(err, run.ctx or run.own, run.options.on_error, nil, run.reason)
  end
end

--- Runs code of the user's for this load, in a coroutine.
---@param run project_config.AskingRun
---@param code fun(): any
---@param on_end fun(ok: boolean, result: any)
function M.start(run, code, on_end)
  local run_of = require("nvim-project-config.running").run_of
  local weak = setmetatable({}, { __mode = "v" }) -- a coroutine that nobody will resume is to be freed
  await.run(function()
    weak.co = assert(coroutine.running())
    run_of[weak.co] = run --[[@as project_config.BegunRun]]
    return code()
  end, function(ok, result)
    run_of[weak.co] = nil
    on_end(ok, result)
  end)
end

--- Gives the loop back if this slice of its time is used up. In a coroutine of the run's; if the run ends meanwhile, that goes on no more.
---@param run project_config.AskingRun
function M.give_way(run)
  if native.slice_is_over() then
    await.await(function(step)
      run.turns = run.turns or {}
      table.insert(run.turns, step)
      native.get().resume(run.id)
    end)
  end
end

--- The loop turns: goes on with what gave it back.
---@param run project_config.AskingRun
function M.go_on(run)
  local steps = run.turns or {}
  run.turns = nil
  for _, step in ipairs(steps) do
    step()
  end
end

return M
