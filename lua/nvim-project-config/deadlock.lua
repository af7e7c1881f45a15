--- Waits that could never end: a file that waits for the load that runs it, directly or through others.
---
--- Such a call is answered with `busy`. Who runs is known by `run.lua`.

local loading = require("nvim-project-config.loading")
local native = require("nvim-project-config.native")
local run_module = require("nvim-project-config.run")

local M = {}

--- Calls that may be waiting in a place where no answer can come: the coroutine that made the call.
---@type table<integer, thread>
local doubtful = {}

--- Whether `run` waits, directly or through others, for `target`.
---@param run project_config.Run?
---@param target project_config.Run
---@return boolean
local function awaits(run, target)
  local steps = 0
  while run and steps < 1000 do
    if run == target then
      return true
    end
    run, steps = loading.runs[run.awaited], steps + 1
  end
  return false
end

--- Finds out whether whoever made this call may be waiting for itself.
---@param run integer the run that will answer the call
---@param request integer
---@param behind? integer the run that has to end first
---@param yields boolean the caller is about to yield until the answer comes
function M.check(run, request, behind, yields)
  local co, own = run_module.requester()
  if not co or not own then
    return
  end
  local on_stack = false
  for worker, other in pairs(run_module.run_of) do
    on_stack = on_stack or (other.id == behind and run_module.is_on_stack(worker))
  end
  local ahead = behind and loading.runs[behind]
  local never = ahead ~= nil and awaits(ahead, own)
  if yields then
    own.awaited = run
    if never then
      native.get().refuse_busy(request)
    end
  elseif never or on_stack then
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
  if co and run_module.is_on_stack(co) then
    native.get().refuse_busy(request)
  end
end

return M
