--- The functions of a pipeline: their coroutines, and the channels (`channels.lua`) before, between and behind them.
---
--- Functions in a row are a *flow*. What comes from native stages, and what goes to them, is handed over in batches to and from the library;
--- behind the last native stage there is none. Which stages there are and when they are asked for is `host.lua`'s.

local channels = require("nvim-project-config.channels")
local errors = require("nvim-project-config.errors")
local native = require("nvim-project-config.native")
local own_context = require("nvim-project-config.own_context")
local stage_code = require("nvim-project-config.stage_code")

local M = {}

---@class project_config.Flow
---@field run project_config.AskingRun
---@field id? integer of the library's question; none behind the last native stage
---@field last integer index in the pipeline of its last function, from 1
---@field channels project_config.Channel[] one more than there are functions
---@field live integer functions that have not ended
---@field ready fun()[] steps to be called, from `next_ready` to `last_ready`
---@field next_ready integer
---@field last_ready integer
---@field pumping boolean
---@field scheduled boolean
---@field room boolean the library takes another batch
---@field ended? boolean the library knows that nothing more comes
---@field cancelled? boolean
---@field on_end? fun() all functions have ended

--- What the last function of a flow has made of the projects, for the library.
---@param flow project_config.Flow
---@return project_config.Project[]?
local function changed(flow)
  local projects, problem = own_context.changed(flow.run)
  if problem then
    stage_code.failed(flow.run, flow.last, nil, problem)
  end
  return projects
end

---@param flow project_config.Flow
local function flush(flow)
  local sink = flow.channels[#flow.channels]
  if not flow.id or flow.ended then
    return
  end
  local lib = native.get()
  while flow.room and sink:count() > 0 do
    local items = {}
    while sink:count() > 0 do
      items[#items + 1] = sink:take()
    end
    local room = lib.stage_send(flow.id, items, changed(flow))
    flow.room = room == true
    if room == nil then
      sink:close()
    end
  end
  if sink.ended and sink:count() == 0 then
    flow.ended = true
    lib.stage_end(flow.id, changed(flow))
  elseif not sink.receivers[1] then
    -- The next item, or the end, has the flow pumped.
    sink.receivers[1] = function() end
  end
end

--- Whether the loop has to be given back. What ends after its load was cancelled is pumped outside of the slices.
---@param flow project_config.Flow
---@return boolean
local function has_to_pause(flow)
  return not flow.cancelled and native.slice_is_over()
end

---@param flow project_config.Flow
local function pump(flow)
  if flow.pumping then
    return
  end
  flow.pumping = true
  repeat
    while flow.ready[flow.next_ready] and not has_to_pause(flow) do
      local step = flow.ready[flow.next_ready]
      flow.ready[flow.next_ready] = nil
      flow.next_ready = flow.next_ready + 1
      local ok, problem = xpcall(step, errors.thrown)
      if not ok then
        errors.report(problem --[[@as project_config.Error]], flow.run.ctx or flow.run.own, flow.run.options.on_error)
      end
    end
    if not flow.cancelled then
      flush(flow)
    end
  until not flow.ready[flow.next_ready] or has_to_pause(flow)
  flow.pumping = false
  if flow.ready[flow.next_ready] then
    M.pump_later(flow)
  end
end

--- Has the flow pumped in a later turn of the loop.
---@param flow project_config.Flow
function M.pump_later(flow)
  if flow.scheduled or flow.pumping then
    return
  end
  flow.scheduled = true
  if flow.cancelled then
    vim.schedule(function()
      flow.scheduled = false
      pump(flow)
    end)
  else
    native.get().resume(flow.run.id)
  end
end

--- The loop turns: goes on with what the run's functions wait for.
---@param run project_config.AskingRun
function M.pump(run)
  stage_code.go_on(run)
  -- A list, as code that waits in a call turns the loop itself, and so may bring another flow.
  for _, flow in ipairs(vim.tbl_values(run.flows or {})) do
    if flow.scheduled then
      flow.scheduled = false
      pump(flow)
    end
  end
end

--- Functions in a row, not started yet.
---@param run project_config.AskingRun
---@param ctx project_config.Context
---@param first integer index in the pipeline, from 1
---@param count integer
---@param id? integer
---@return project_config.Flow flow, fun() begin
function M.new(run, ctx, first, count, id)
  local flow = {
    run = run,
    id = id,
    last = first + count - 1,
    channels = {},
    live = count,
    ready = {},
    next_ready = 1,
    last_ready = 0,
    pumping = true,
    scheduled = false,
    room = true,
  } ---@type project_config.Flow
  local function wake(step)
    flow.last_ready = flow.last_ready + 1
    flow.ready[flow.last_ready] = step
    M.pump_later(flow)
  end
  for index = 1, count + 1 do
    flow.channels[index] = channels.new(wake, native.slice_is_over)
  end
  run.flows = run.flows or {}
  run.flows[id or 0] = flow
  return flow,
    function()
      for index = 1, count do
        local input, output = flow.channels[index], flow.channels[index + 1]
        local rx = channels.as_end("recv", function()
          return input:receive()
        end)
        local tx = channels.as_end("send", function(item)
          return output:send(item)
        end)
        stage_code.start(run, function()
          run.pipeline[first + index - 1](ctx, rx, tx)
        end, function(ok, thrown)
          input:close()
          output:finish()
          if index == 1 and id then
            native.get().stage_close(id)
          end
          flow.live = flow.live - 1
          if not ok and not (flow.cancelled and errors.is(thrown, "cancelled")) then
            stage_code.failed(run, first + index - 1, nil, thrown)
          end
          if flow.live == 0 and flow.on_end then
            flow.on_end()
          end
        end)
      end
      flow.pumping = false
      pump(flow)
    end
end

--- Has the functions behind the last native stage see the files that ran. Calls `on_end` when all of them have ended.
---@param run project_config.BegunRun
---@param first integer index in the pipeline of the first one, from 1
---@param paths string[]
---@param on_end fun()
function M.run_tail(run, first, paths, on_end)
  local flow, begin = M.new(run --[[@as project_config.AskingRun]], run.ctx, first, #run.pipeline - first + 1)
  local input = flow.channels[1]
  local at = 0
  input.refill = function()
    for _ = 1, math.min(channels.CAPACITY, #paths - at) do
      at = at + 1
      input:put(paths[at])
    end
    if at == #paths then
      input:finish()
    end
  end
  flow.channels[#flow.channels]:close()
  flow.on_end = on_end
  begin()
end

--- Has the functions of a run that was cancelled, or has ended, end.
---@param run project_config.AskingRun
---@param err project_config.Error
function M.cancel(run, err)
  run.turns = nil -- what gave way would hold the run, and the run it
  for _, flow in pairs(run.flows or {}) do
    if not flow.cancelled then
      flow.cancelled = true
      flow.scheduled = false
      for _, channel in ipairs(flow.channels) do
        channel:cancel(err)
      end
      if flow.ready[flow.next_ready] then
        M.pump_later(flow) -- woken before, by the load that is no more
      end
    end
  end
end

--- The library has items for functions, or takes some again.
---@param run project_config.AskingRun
---@param id integer
---@param room boolean
function M.turn(run, id, room)
  local flow = run.flows and run.flows[id]
  if not flow or flow.cancelled then
    return
  end
  local input = flow.channels[1]
  if room then
    flow.room = true
  elseif input.receivers[1] then
    input.refill()
  end
  flow.scheduled = false
  pump(flow)
end

return M
