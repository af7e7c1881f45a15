-- An editor in which nobody does anything, with a project loaded and everything watched: no thread of ours does anything either, and no timer
-- ends a wait of the main thread's. Seen from outside, as system calls. `FULL=1` looks as long as the requirements say.
local faults = require("tests.support.faults")
local workspace = require("tests.support.workspace")

local IDLE_MS = faults.full and 10000 or 3000
-- A load leaves threads that wait for more work, ten seconds long.
local LEAVE_MS, WINDOW_MS, WINDOWS = 10500, 1000, 20

-- What is looked for at these paths marks the time.
local BEGIN, END = "/idle-begins", "/idle-ends"

--- The system calls that end between the marks: all of the other threads', and the main one's waits that end because their time is over. One
--- that only begins is where the tracer has found its thread.
---@param child test.Child
---@param log string
---@return string[]
local function calls(child, log)
  local found, is_between, has_ended = {}, false, false
  for line in io.lines(log) do
    local thread, call = line:match("^(%d+) +(.*)$")
    has_ended = has_ended or line:find(END, 1, true) ~= nil
    local counts = tonumber(thread) ~= child.pid or call:find("^epoll_p?wait.*%], %d+, [1-9]%d*[,)].* = 0$")
    if is_between and not has_ended and counts and not call:find("<unfinished ...>", 1, true) then
      table.insert(found, line)
    end
    is_between = is_between or line:find(BEGIN, 1, true) ~= nil
  end
  assert(has_ended, "the marks are not in the trace")
  return found
end

--- What happens in an editor in this time, while `act` has been done.
---@param child test.Child
---@param ms integer
---@param act? fun()
---@return string[]
local function watched(child, ms, act)
  local tracer = faults.trace(child, {})
  child:lua(("vim.uv.fs_stat(%q)"):format(BEGIN))
  if act then
    act()
  end
  vim.wait(ms)
  child:lua(("vim.uv.fs_stat(%q)"):format(END))
  tracer:detach()
  return calls(child, tracer.log)
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
  watched(child, LEAVE_MS)
  local windows = 0
  repeat
    windows = windows + 1
  until #watched(child, WINDOW_MS) == 0 or windows == WINDOWS
  assert.are.same({}, watched(child, IDLE_MS))
  local found = watched(child, 0, function()
    w:write("alpha.json", '{ "a": 1 }')
    child:wait("npc.get('a') == 1")
  end)
  assert.is_true(#found > 0, "what our threads do is not seen")
  assert.are.same({}, child:lua("return errors"))
  child:stop()
end)
