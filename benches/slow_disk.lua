-- A cold load from a disk on which every call takes its time: how many of those delays one after the other it takes, and
-- whether the main loop notices. slow_disk.py delays each file system call on the project's and the settings' directories,
-- closing included; without a delay it only looks on, so that what it costs itself is on both sides. (A FUSE mount would count
-- the kernel's own look-ups of each component of a path, which nobody can save.)
local child = require("benches.child")
local fixture = require("benches.fixture")

local M = {}

local PAIRS = 21
local DELAY_MS = 5
local DELAY = vim.fs.dirname(debug.getinfo(1, "S").source:sub(2)) .. "/slow_disk.py"

---@param job { place: bench.Place }
---@return { ns: integer, stall: integer }
function M.sample(job)
  local plugin = require("benches.plugin")
  plugin.setup(job.place)
  collectgarbage()
  local timer = assert(vim.uv.new_timer())
  local longest, last = 0, vim.uv.hrtime()
  local function tick()
    local now = vim.uv.hrtime()
    longest, last = math.max(longest, now - last), now
  end
  timer:start(0, 1, tick)
  local ns, json = plugin.time()
  tick()
  timer:close()
  assert(next(json) and vim.g.bench_ran == 2, "not all files were loaded")
  return { ns = ns, stall = longest }
end

---@param home string
---@param place bench.Place
---@param delay_ms integer
local function run(home, place, delay_ms)
  local through = { vim.fn.exepath("python3"), DELAY, tostring(delay_ms), home .. "/src", place.config_dir, "--" }
  return child.run(home, "slow_disk", place, {}, through)
end

---@param home string
---@return bench.Figure[]
function M.measure(home)
  if vim.uv.os_uname().sysname ~= "Linux" then
    return {}
  end
  fixture.settle(home)
  local place = fixture.places(home).twelve_deep
  local loads, stalls = {}, {}
  for index = 1, PAIRS do
    local slow, fast
    if index % 2 == 1 then
      slow, fast = run(home, place, DELAY_MS), run(home, place, 0)
    else
      fast, slow = run(home, place, 0), run(home, place, DELAY_MS)
    end
    loads[index] = { ours = slow.ns - fast.ns, floor = DELAY_MS * 1e6 }
    stalls[index] = { ours = slow.stall - fast.stall, floor = DELAY_MS * 1e6 }
  end
  return {
    { title = "each disk call 5 ms: cold load, in calls", limit = 12, pairs = loads },
    -- One call of the main thread's would be 1; the rest of the limit is for what a busy machine does to a maximum.
    { title = "each disk call 5 ms: stall beyond that without", limit = 0.3, pairs = stalls },
  }
end

return M
