--- Waits that could never end: a file that waits for the load that runs it, directly or through others.
---
--- Such a call is answered with `busy`. Who runs is known by `run.lua`.

local loading = require("nvim-project-config.loading")
local native = require("nvim-project-config.native")
local running = require("nvim-project-config.running")

local M = {}

--- Calls that may be waiting in a place where no answer can come: the coroutine that made the call.
---@type table<integer, thread>
local doubtful = {}

--- Whether the end of `run` waits, directly or through others, for the end of `target`: a run waits for the one it is queued
--- behind, and for those that its files await.
---@param run project_config.Run?
---@param target project_config.Run
---@param seen table<project_config.Run, true>
---@return boolean
local function waits_for(run, target, seen)
  if not run or seen[run] then
    return false
  elseif run == target then
    return true
  end
  seen[run] = true
  if waits_for(loading.runs[run.behind], target, seen) then
    return true
  end
  for id in pairs(run.awaited) do
    if waits_for(loading.runs[id], target, seen) then
      return true
    end
  end
  return false
end

--- Finds out whether the file that made this call would wait for itself.
---@param id integer the run that will answer the call
---@param request integer
---@param yields boolean the caller is about to yield until the answer comes
function M.check(id, request, yields)
  local co, own = running.requester()
  if not co or not own then
    return
  end
  local answering = loading.runs[id]
  local never = waits_for(answering, own, {})
  if yields then
    own.awaited[id] = true
    if never then
      native.get().refuse_busy(request)
    end
    return
  end
  -- A run further down the stack cannot end either, as long as this one waits.
  for worker, below in pairs(running.run_of) do
    never = never or (running.is_on_stack(worker) and waits_for(answering, below, {}))
  end
  if never then
    doubtful[request] = co
    native.get().check_wait(request)
  end
end

--- The loop turns again: a caller that is still on the stack waits for the answer, inside a call. One that has gone on does not, and is
--- answered later.
---@param request integer
function M.check_wait(request)
  local co = doubtful[request]
  doubtful[request] = nil
  if co and running.is_on_stack(co) then
    native.get().refuse_busy(request)
  end
end

return M
