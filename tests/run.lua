-- The spec runner: every tests/spec/*_spec.lua in a process and a home of its own, on each Neovim given as
-- `label=path`. It starts, times, kills and counts; it does not know busted (support/spec.lua runs one spec with it).
local uv = vim.uv

local TIMEOUT_MS = (tonumber(vim.env.SPEC_TIMEOUT) or 120) * 1000
local JOBS = tonumber(vim.env.JOBS) or math.min(uv.available_parallelism(), 4)
-- A child editor whose spec has ended gets this long to notice before it counts as left behind.
local LEFTOVER_GRACE_MS = 3000

local root = vim.fs.dirname(vim.fs.dirname(uv.fs_realpath(debug.getinfo(1, "S").source:sub(2))))

---@class test.Job
---@field label string Neovim's version, for people
---@field nvim string path of the executable
---@field spec string path of the spec file

---@param nvims string[] `label=path`
---@return test.Job[]
local function plan(nvims)
  local jobs = {}
  local specs = vim.fn.sort(vim.fn.globpath(root .. "/tests/spec", "*_spec.lua", true, true))
  for _, spec in ipairs(specs) do
    if vim.fs.basename(spec):find(vim.env.SPEC or "", 1, true) then
      for _, nvim in ipairs(nvims) do
        local label, path = nvim:match("^(.-)=(.*)$")
        table.insert(jobs, { label = label, nvim = path, spec = spec })
      end
    end
  end
  return jobs
end

--- The environment of one spec: nothing of the user's but PATH, every directory below `home`.
---@param home string
---@return string[]
local function environment(home)
  local env = { "PATH=" .. vim.env.PATH, "HOME=" .. home, "LANG=C.UTF-8", "LC_ALL=C.UTF-8" }
  for _, name in ipairs({ "CI", "FULL", "SEED", "PLENARY", "NIO", "ASYNC" }) do
    table.insert(env, name .. "=" .. (vim.env[name] or ""))
  end
  for name, dir in pairs({
    TMPDIR = "tmp",
    XDG_CONFIG_HOME = "config",
    XDG_DATA_HOME = "data",
    XDG_STATE_HOME = "state",
    XDG_CACHE_HOME = "cache",
    XDG_RUNTIME_DIR = "run",
    XDG_CONFIG_DIRS = "none",
    XDG_DATA_DIRS = "none",
  }) do
    vim.fn.mkdir(home .. "/" .. dir, "p", "0700")
    table.insert(env, name .. "=" .. home .. "/" .. dir)
  end
  return env
end

--- Processes that were started with `home` in their environment and still run (Linux; elsewhere none are found).
---@param home string
---@return integer[]
local function leftovers(home)
  local found = {}
  for name in vim.fs.dir("/proc") do
    local file = name:match("^%d+$") and io.open("/proc/" .. name .. "/environ", "rb")
    if file then
      local text = file:read("*a") or ""
      file:close()
      if text:find(home, 1, true) then
        table.insert(found, tonumber(name))
      end
    end
  end
  return found
end

---@param home string
---@return boolean found whether something had to be killed
local function kill_leftovers(home)
  local still = {}
  vim.wait(LEFTOVER_GRACE_MS, function()
    still = leftovers(home)
    return #still == 0
  end, 20)
  for _, pid in ipairs(still) do
    uv.kill(pid, "sigkill")
  end
  return #still > 0
end

---@param path string
---@return string
local function read(path)
  local file = io.open(path, "rb")
  local text = file and file:read("*a") or ""
  if file then
    file:close()
  end
  return text
end

local totals = { passed = 0, failed = 0, skipped = 0 }
-- Told once more at the end: a log is long, and often only its end is kept.
local failures = {} ---@type string[]

--- Counts one finished spec and prints its line; what it wrote follows only when something is wrong.
---@param job test.Job
---@param outcome { code: integer, signal: integer, timed_out: boolean, left: boolean, elapsed_ms: number, result: string, output: string }
local function report(job, outcome)
  local passed, failed, skipped = outcome.result:match("^(%d+) (%d+) (%d+)$")
  passed, failed, skipped = tonumber(passed) or 0, tonumber(failed) or 0, tonumber(skipped) or 0
  local problem
  if outcome.timed_out then
    problem = ("killed after %d s"):format(TIMEOUT_MS / 1000)
  elseif outcome.result == "" then
    problem = ("crashed: exit code %d, signal %d"):format(outcome.code, outcome.signal)
  elseif failed == 0 and (outcome.code ~= 0 or outcome.signal ~= 0) then
    problem = ("crashed at exit: exit code %d, signal %d"):format(outcome.code, outcome.signal)
  elseif outcome.left then
    problem = "left processes behind that do not end"
  elseif passed + failed + skipped == 0 then
    problem = "ran no test"
  end
  if problem then
    failed = failed + 1
  end
  totals.passed, totals.failed, totals.skipped =
    totals.passed + passed, totals.failed + failed, totals.skipped + skipped
  local name = vim.fs.basename(job.spec):gsub("_spec%.lua$", "")
  local line = ("%s %-5s %-24s %3d passed %3d failed %6.2f s%s\n"):format(
    failed == 0 and "  " or "✗ ",
    job.label,
    name,
    passed,
    failed,
    outcome.elapsed_ms / 1000,
    problem and ("  " .. problem) or ""
  )
  local details = outcome.output:gsub("([^\n]+)", "      %1") .. "\n"
  io.stdout:write(line, (failed > 0 or vim.env.VERBOSE) and details or "")
  io.stdout:flush()
  if failed > 0 then
    table.insert(failures, line .. details)
  end
end

---@param job test.Job
---@param done fun()
local function start(job, done)
  local home = assert(uv.fs_mkdtemp(uv.fs_realpath(uv.os_tmpdir()) .. "/npc-XXXXXX"))
  local result_path, output_path = home .. "/result", home .. "/output"
  local output = assert(uv.fs_open(output_path, "w", tonumber("600", 8)))
  local began, timed_out = uv.hrtime(), false
  local timer = assert(uv.new_timer())
  local handle, pid
  handle, pid = uv.spawn(job.nvim, {
    args = { "--clean", "-l", root .. "/tests/support/spec.lua", job.spec, result_path },
    env = environment(home),
    cwd = root,
    -- A file, not a pipe: a process left behind would hold a pipe open.
    stdio = { nil, output, output },
    -- Its own process group, so that a kill reaches what it started.
    detached = true,
  }, function(code, signal)
    local elapsed_ms = (uv.hrtime() - began) / 1e6
    timer:close()
    handle:close()
    uv.fs_close(output)
    vim.schedule(function()
      local left = kill_leftovers(home)
      report(job, {
        code = code,
        signal = signal,
        timed_out = timed_out,
        left = left,
        elapsed_ms = elapsed_ms,
        result = read(result_path),
        output = read(output_path),
      })
      vim.fn.system({ "chmod", "-R", "u+rwX", home })
      vim.fn.delete(home, "rf")
      done()
    end)
  end)
  assert(handle, pid)
  timer:start(TIMEOUT_MS, 0, function()
    timed_out = true
    uv.kill(-pid, "sigkill")
  end)
end

local jobs = plan(arg)
local running, next_job = 0, 1
local function pump()
  while running < JOBS and next_job <= #jobs do
    running, next_job = running + 1, next_job + 1
    start(jobs[next_job - 1], function()
      running = running - 1
      pump()
    end)
  end
end
pump()
vim.wait(2 ^ 31 - 1, function()
  return running == 0 and next_job > #jobs
end, 50)

if #failures > 0 then
  io.stdout:write("\nWhat failed, once more:\n", table.concat(failures))
end
if totals.skipped > 0 then
  io.stdout:write(("%d skipped\n"):format(totals.skipped))
end
local nothing = totals.passed + totals.failed == 0
if nothing then
  io.stdout:write(("no test ran (SPEC=%s)\n"):format(vim.env.SPEC or ""))
end
io.stdout:write(("%d passed, %d failed\n"):format(totals.passed, totals.failed))
io.stdout:flush()
os.exit((totals.failed > 0 or nothing) and 1 or 0)
