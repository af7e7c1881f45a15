-- An editor in which nobody does anything, with a project loaded and everything watched: no thread of ours does anything either, and no timer
-- ends a wait of the main thread's. Seen from outside, as system calls. `FULL=1` looks as long as the requirements say.
local faults = require("tests.support.faults")
local workspace = require("tests.support.workspace")

local IDLE_MS = faults.full and 10000 or 3000
-- A load leaves threads that wait for more work, ten seconds long.
local LEAVE_MS, WINDOWS = 10500, 20

-- What is looked for at these paths marks the time.
local BEGIN, END = "/idle-begins-%d-", "/idle-ends-%d-"

--- The system calls that end between two marks: all of the other threads', and the main one's waits that end because their time is over. Of one
--- that takes longer, its end counts.
---@param child test.Child
---@param log string
---@param nth integer
---@return string[] calls, boolean has_left whether a thread has ended since the first of the marks
local function calls(child, log, nth)
  local found, is_between, has_ended, has_left = {}, false, false, false
  local first, last = BEGIN:format(nth), END:format(nth)
  for line in io.lines(log) do
    local thread, call = line:match("^(%d+) +(.*)$")
    has_ended = has_ended or line:find(last, 1, true) ~= nil
    local counts = tonumber(thread) ~= child.pid or call:find("^epoll_p?wait.*%], %d+, [1-9]%d*[,)].* = 0$")
    if is_between and not has_ended and counts and not call:find("<unfinished ...>", 1, true) then
      table.insert(found, line)
    end
    has_left = has_left or is_between and call:find("^%+%+%+ exited") ~= nil
    is_between = is_between or line:find(first, 1, true) ~= nil
  end
  assert(has_ended, "the marks are not in the trace")
  return found, has_left
end

it("nothing happens in an editor that is left alone, until a file changes", function()
  local missing = faults.missing("strace")
  if missing then
    return pending(missing)
  end
  local w =
    workspace.new({ work = { ["alpha/.git"] = true, ["alpha/a.txt"] = "" }, config = { ["alpha.json"] = "{}" } })
  local child = w:open("alpha", {
    args = { w.work .. "/alpha/a.txt" },
    setup = "{ loading = { watch = { cwd = true, buffer = true, config_dir = true } } }",
    -- Neovim's own timer, for CursorHold.
    after = "vim.o.updatetime = 1000000",
  })
  child:wait("npc.ctx.project_name == 'alpha'")
  -- One for all: to be found by it interrupts what a thread waits for.
  local tracer, windows = faults.trace(child, {}), 0

  --- What happens in the editor in this time, while `act` has been done.
  ---@param ms integer
  ---@param act? fun()
  local function watched(ms, act)
    windows = windows + 1
    child:lua("vim.uv.fs_stat(...)", BEGIN:format(windows))
    if act then
      act()
    end
    vim.wait(ms)
    child:lua("vim.uv.fs_stat(...)", END:format(windows))
    return calls(child, tracer.log, windows)
  end

  watched(LEAVE_MS)
  local found, has_left
  repeat
    -- Threads that have had something to do for longer leave later.
    found, has_left = watched(IDLE_MS)
  until not has_left or windows == WINDOWS
  assert.are.same({}, found)
  found = watched(0, function()
    w:write("alpha.json", '{ "a": 1 }')
    child:wait("npc.get('a') == 1")
  end)
  assert.is_true(#found > 0, "what our threads do is not seen")
  assert.are.same({}, child:lua("return errors"))
  tracer:detach()
  child:stop()
end)
