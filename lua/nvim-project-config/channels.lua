--- Bounded channels between coroutines on the main loop: what one stage sends and the next one receives.
---
--- Whoever waits is woken through a queue that its owner pumps (`host.lua`), never from inside the call that wakes it: so the stack does not
--- grow with the number of stages. Where the items come from or go to, a channel does not know: `refill` and `drained` tell its owner.

local await = require("nvim-project-config.await")

local M = {}

--- So many items wait in a channel at most.
M.CAPACITY = 64

--- So often the end may be received. Whoever does not look for it would go round for ever, and the editor with it.
local MOST_ENDS = 1000

--- The end of a stream.
M.DONE = setmetatable({}, {
  __tostring = function()
    return "DONE"
  end,
})

---@class project_config.Channel
---@field items any[] from `first` to `last`
---@field first integer
---@field last integer
---@field ended boolean no more items come
---@field ends integer how often the end was received
---@field closed boolean nobody takes items any more
---@field cancelled? project_config.Error what waits, and what comes after, raises this
---@field receivers fun()[] the steps of those who wait for an item
---@field senders fun()[] the steps of those who wait for room
---@field wake fun(step: fun()) has a step called soon
---@field is_late fun(): boolean the loop should be given back
---@field refill? fun() asked before a receiver waits: may put items in
---@field checks? fun(item: any): string? what is wrong with an item
local Channel = {}
Channel.__index = Channel

---@param wake fun(step: fun())
---@param is_late fun(): boolean
---@return project_config.Channel
function M.new(wake, is_late)
  return setmetatable({
    items = {},
    first = 1,
    last = 0,
    ended = false,
    ends = 0,
    closed = false,
    receivers = {},
    senders = {},
    wake = wake,
    is_late = is_late,
  }, Channel)
end

---@param channel project_config.Channel
---@param list fun()[]
local function wake_all(channel, list)
  for index = 1, #list do
    channel.wake(list[index])
    list[index] = nil
  end
end

--- Yields until a step that lies in `list` is called.
---@param list fun()[]
---@param what string of the call
local function park(list, what)
  if not await.can_yield() then
    error(("nvim-project-config: %s: not in a coroutine, so it cannot wait"):format(what), 0)
  end
  await.await(function(step)
    list[#list + 1] = step
  end)
end

---@return integer
function Channel:count()
  return self.last - self.first + 1
end

--- The oldest item; there has to be one.
function Channel:take()
  local item = self.items[self.first]
  self.items[self.first] = nil
  self.first = self.first + 1
  if self.senders[1] and self:count() <= M.CAPACITY / 2 then
    wake_all(self, self.senders)
  end
  return item
end

--- The next item, or `DONE` after the last one. Waits for it. Raises an error for one who does not stop at `DONE`.
function Channel:receive()
  while true do
    if self.cancelled then
      error(self.cancelled, 0)
    end
    if self.refill and self.first > self.last and not self.ended then
      self.refill()
    end
    if self.first <= self.last then
      return self:take()
    elseif self.ended then
      self.ends = self.ends + 1
      if self.ends > MOST_ENDS then
        error("rx: the input has ended, and is still read; return when rx() gives pipeline.DONE", 0)
      end
      return M.DONE
    end
    park(self.receivers, "rx")
  end
end

--- Puts an item in, whatever room there is.
function Channel:put(item)
  self.last = self.last + 1
  self.items[self.last] = item
  if self.receivers[1] then
    self.wake(table.remove(self.receivers, 1))
  end
end

--- Sends an item; waits for room. False if nobody takes it.
---@param item any
---@return boolean
function Channel:send(item)
  if item == M.DONE then
    self:finish()
    return true
  end
  local has_given_way = false
  while true do
    if self.cancelled then
      error(self.cancelled, 0)
    elseif self.ended then
      error("tx: sent after DONE", 0)
    end
    local problem = item == nil and "expected a value, got nil" or self.checks and self.checks(item)
    if problem then
      error("tx: " .. problem, 0)
    elseif self.closed and (has_given_way or not self.is_late() or not await.can_yield()) then
      return false
    elseif self.closed then
      -- Whoever sends on and on into nothing never waits for room.
      has_given_way = true
      await.await(self.wake)
    elseif self:count() < M.CAPACITY then
      self:put(item)
      return true
    else
      park(self.senders, "tx")
    end
  end
end

--- No more items come.
function Channel:finish()
  if not self.ended then
    self.ended = true
    wake_all(self, self.receivers)
    wake_all(self, self.senders)
  end
end

--- Nobody takes items any more: those in it are dropped, and so is what still comes.
function Channel:close()
  self.closed = true
  self.items, self.first, self.last = {}, 1, 0
  wake_all(self, self.senders)
end

--- Has all who wait, or come later, raise the error.
---@param err project_config.Error
function Channel:cancel(err)
  self.cancelled = err
  wake_all(self, self.receivers)
  wake_all(self, self.senders)
end

--- An end of a channel as users see it: a callable table with one method.
---@param name string
---@param call fun(...): any
---@return table
function M.as_end(name, call)
  return setmetatable({ [name] = call }, {
    __call = function(_, ...)
      return call(...)
    end,
  })
end

return M
