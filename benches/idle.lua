-- Ten seconds in which nobody does anything, with a project loaded and everything watched: the system calls of the editor's threads, beyond those
-- that Neovim makes without the plugin. A timer, a wake-up or a poll of ours is at least one.
--
-- Traced from outside (strace), between two marks. Neovim's own are the main thread's: its waits end at 'updatetime', and where the
-- benchmark's do.
local child = require("benches.child")
local fixture = require("benches.fixture")

local M = {}

local uv = vim.uv

local IDLE_MS = 10000
-- Threads without work leave after ten seconds.
local SETTLE_MS = 15000
-- The tracer may end after what it traces.
local END_MS = 5000

-- What is looked for at these paths marks the time.
local BEGIN, END = "/bench/idle-begins", "/bench/idle-ends"

--- Goes on after a time in which the main thread only waits.
---@param ms integer
---@param first? string path of the mark at its beginning
---@param last? string and at its end
local function pause(ms, first, last)
  local co = coroutine.running()
  local timer = assert(uv.new_timer())
  timer:start(ms, 0, function()
    uv.fs_stat(last or "")
    timer:close()
    vim.schedule(function()
      assert(coroutine.resume(co))
    end)
  end)
  uv.fs_stat(first or "")
  coroutine.yield()
end

--- Is traced from outside. Without the plugin, it is what Neovim does by itself.
---@param job { place: bench.Place, side: "plugin"|"floor" }
---@return boolean
function M.sample(job)
  if job.side == "plugin" then
    local plugin = require("benches.plugin")
    plugin.follow(job.place)
    vim.cmd.edit(job.place.start_dir .. "/a.ts")
    plugin.settle()
    assert(require("nvim-project-config").ctx.project_root, "no project is loaded")
  end
  pause(SETTLE_MS)
  pause(IDLE_MS, BEGIN, END)
  return true
end

--- How many system calls there are between the marks.
---@param log string
---@return integer
local function calls(log)
  local is_written = vim.wait(END_MS, function()
    local file = io.open(log, "rb")
    local text = file and file:read("*a") or ""
    return file ~= nil and file:close() and text:find("+++ exited with", 1, true) ~= nil
  end, 20)
  assert(is_written, "the trace has no end")
  local count, is_between, has_ended = 0, false, false
  for line in io.lines(log) do
    has_ended = has_ended or line:find(END, 1, true) ~= nil
    if is_between and not has_ended then
      count = count + 1
    end
    is_between = is_between or line:find(BEGIN, 1, true) ~= nil
  end
  assert(has_ended, "the marks are not in the trace")
  return count
end

---@param home string
---@return bench.Figure[]
function M.measure(home)
  local strace = vim.fn.exepath("strace")
  if strace == "" or vim.system({ strace, "-o", "/dev/null", "true" }):wait().code ~= 0 then
    return {}
  end
  fixture.settle(home)
  local counts = {}
  for _, side in ipairs({ "plugin", "floor" }) do
    local log = ("%s/%s.strace"):format(home, side)
    -- The tracer beside the editor, not before it: who kills the one must not leave the other.
    child.run(home, "idle", fixture.places(home).usual, { side = side }, { strace, "-D", "-f", "-q", "-o", log })
    counts[side] = calls(log)
  end
  local pair = { ours = math.max(0, counts.plugin - counts.floor), floor = counts.floor }
  return { { title = "idle for 10 s: system calls of ours", limit = 0, unit = "calls", pairs = { pair } } }
end

return M
