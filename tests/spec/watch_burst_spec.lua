-- Tens of thousands of file events in config_dir: the editor answers all the time, and shows what is on disk soon after the last one,
-- also where the kernel's queue of events overflows, so that the events that count are lost.
local support = require("tests.support")
local tries = require("tests.support.tries")
local watching = require("tests.support.watching")
local workspace = require("tests.support.workspace")

-- A file that is made, written and removed is four events that are watched for.
local FILES = 15000
local SEEN_WITHIN_MS = 1000
local LONGEST_STALL_MS = 50

local uv = vim.uv

local function open()
  local w = workspace.new({ config = { ["alpha.json"] = '{"n": 0}', ["alpha.lua"] = "_G.lua_n = 0" } })
  local child = watching.open(w, "alpha", { debounce_ms = 100, before = require("tests.support.stall") })
  return child, w
end

---@param dir string
---@param changed? fun(index: integer)
local function burst(dir, changed)
  for index = 1, FILES do
    local path = ("%s/burst-%d.json"):format(dir, index)
    local fd = assert(uv.fs_open(path, "wx", tonumber("644", 8)))
    assert(uv.fs_write(fd, "{}"))
    assert(uv.fs_close(fd))
    assert(uv.fs_unlink(path))
    if changed then
      changed(index)
    end
  end
end

--- Waits until the editor shows both numbers, and says how long ago they were written.
---@param child test.Child
---@param n integer
---@param since_ns integer
local function shows(child, n, since_ns)
  child:wait(("npc.ctx.json.n == %d and lua_n == %d"):format(n, n))
  local took = (uv.hrtime() - since_ns) / 1e6
  assert.is_true(took <= watching.within(SEEN_WITHIN_MS), ("seen after %d ms"):format(took))
end

---@param w test.Workspace
---@param n integer
local function change(w, n)
  watching.replace(w.config_dir .. "/alpha.lua", ("_G.lua_n = %d"):format(n))
  watching.replace(w.config_dir .. "/alpha.json", ('{"n": %d}'):format(n))
end

describe("60,000 file events in a burst", function()
  it("end with the right state, and do not hold the editor", function()
    local child, w = open()
    tries.within(LONGEST_STALL_MS, "longest stall in ms", function(try)
      child:lua("watch_loop()")
      burst(w.config_dir, function(index)
        if index % 1000 == 0 then
          change(w, try * FILES + index)
        end
      end)
      shows(child, (try + 1) * FILES, uv.hrtime())
      return child:lua("return longest_stall()")
    end)
    assert.are.same({}, child:lua("return errors"))
    assert.are.same({}, child:notifications())
    child:stop()
  end)

  it("in the project's directory too", function()
    local child, w = open()
    vim.fn.mkdir(w.config_dir .. "/alpha")
    burst(w.config_dir .. "/alpha", function(index)
      if index % 1000 == 0 then
        change(w, index)
      end
    end)
    shows(child, FILES, uv.hrtime())
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it("that overflow the queue, so that the last change is not told of", function()
    local file = io.open("/proc/sys/fs/inotify/max_queued_events")
    local most = file and file:read("*n")
    if not most or most >= FILES * 3 then
      return pending("the queue of events cannot overflow here")
    end
    assert(file):close()
    local child, w = open()
    for round = 1, 3 do
      -- It reads no event meanwhile.
      assert(uv.kill(child.pid, "sigstop"))
      burst(w.config_dir)
      change(w, round)
      -- The directory is new too.
      support.write(w.config_dir .. "/alpha/more.json", ('{"more": %d}'):format(round))
      assert(uv.kill(child.pid, "sigcont"))
      shows(child, round, uv.hrtime())
      child:wait("npc.ctx.json.more == " .. round)
      -- Watching goes on.
      watching.settled(w, child)
    end
    assert.are.same({}, child:lua("return errors"))
    assert.are.same({}, child:notifications())
    child:stop()
  end)
end)

it("events without an end do not put a look off for ever", function()
  -- Each comes before the debounce of the one before is over.
  local child, w = open()
  change(w, 1)
  local writing = assert(vim.system({
    "sh",
    "-c",
    'while :; do echo >"$0/noise.json"; rm "$0/noise.json"; done',
    w.config_dir,
  }))
  finally(function()
    writing:kill("sigkill")
    writing:wait(1000)
  end)
  child:wait("npc.ctx.json.n == 1 and lua_n == 1", 30000)
  child:stop()
end)
