-- A fresh Neovim for a sample. Both halves: `run` starts it and takes its answer, `main` is what it executes. What is sampled
-- lies in the figure's own file, in its function `sample`.
local M = {}

local DEADLINE_MS = 60000

local root = vim.fs.dirname(vim.fs.dirname(vim.uv.fs_realpath(debug.getinfo(1, "S").source:sub(2))))

--- Nothing of the user's but PATH. VIMRUNTIME is handed on, because the executable is started directly: a wrapper script
--- would be part of what start-up costs.
---@param home string
---@param more? table<string, string>
---@return string[]
function M.environment(home, more)
  local env = {
    PATH = vim.env.PATH,
    HOME = home,
    TMPDIR = home,
    LC_ALL = "C.UTF-8",
    VIMRUNTIME = vim.env.VIMRUNTIME,
    XDG_CONFIG_HOME = home .. "/config",
    XDG_DATA_HOME = home .. "/data",
    XDG_STATE_HOME = home .. "/state",
    XDG_CACHE_HOME = home .. "/cache",
    XDG_RUNTIME_DIR = home,
    XDG_CONFIG_DIRS = home .. "/none",
    XDG_DATA_DIRS = home .. "/none",
  }
  local list = {}
  for name, value in pairs(vim.tbl_extend("force", env, more or {})) do
    table.insert(list, name .. "=" .. value)
  end
  return list
end

--- Starts a Neovim with the checkout in 'runtimepath' and waits for its end.
---@param home string
---@param cwd string
---@param args string[]
---@param more? table<string, string> environment
---@param through? string[] a command that runs it, by its full path
---@return string stdout, integer began nanoseconds, just before the process was created
function M.start(home, cwd, args, more, through)
  local stdout, stderr = assert(vim.uv.new_pipe()), assert(vim.uv.new_pipe())
  local output, errors = {}, {}
  local open, code, signal = 3, nil, nil
  local command = vim.list_extend(vim.list_slice(through or {}), { vim.v.progpath })
  vim.list_extend(command, { "--clean", "--headless", "-n", "-i", "NONE", "--cmd", "set rtp^=" .. root })
  vim.list_extend(command, args)
  local options = {
    args = vim.list_slice(command, 2),
    cwd = cwd,
    env = M.environment(home, more),
    stdio = { nil, stdout, stderr },
  }
  local began = vim.uv.hrtime()
  local handle, pid = vim.uv.spawn(command[1], options, function(exit_code, exit_signal)
    code, signal, open = exit_code, exit_signal, open - 1
  end)
  assert(handle, pid)
  for pipe, into in pairs({ [stdout] = output, [stderr] = errors }) do
    pipe:read_start(function(_, chunk)
      if chunk then
        table.insert(into, chunk)
      else
        pipe:close()
        open = open - 1
      end
    end)
  end
  local in_time = vim.wait(DEADLINE_MS, function()
    return open == 0
  end, 20)
  if not in_time then
    vim.uv.kill(pid, "sigkill")
    error("a child has not ended in time; so far: " .. table.concat(errors), 0)
  end
  handle:close()
  if code ~= 0 then
    error(("a child ended with code %d, signal %d: %s"):format(code, signal, table.concat(errors)), 0)
  end
  return table.concat(output), began
end

--- Runs `require("benches.<figure>").sample(job)` in a fresh Neovim, after its VimEnter.
---@param home string
---@param figure string
---@param place bench.Place
---@param job? table what JSON can carry
---@param through? string[] a command that runs it, by its full path
---@return any answer
function M.run(home, figure, place, job, through)
  job = vim.tbl_extend("force", { figure = figure, place = place }, job or {})
  local bootstrap = ("lua package.path = %q .. package.path; require('benches.child').main()"):format(root .. "/?.lua;")
  local stdout = M.start(home, place.start_dir, { "-c", bootstrap }, { BENCH_JOB = vim.json.encode(job) }, through)
  return vim.json.decode(stdout)
end

--- The child's half. The sample begins in the main loop, as a load in an editor does, and runs in a coroutine.
function M.main()
  local job = vim.json.decode(vim.env.BENCH_JOB)
  local function fail(problem)
    io.stderr:write(tostring(problem), "\n")
    vim.cmd("1cquit")
  end
  local co = coroutine.create(function()
    local ok, answer = xpcall(require("benches." .. job.figure).sample, debug.traceback, job)
    if not ok then
      return fail(answer)
    end
    io.stdout:write(vim.json.encode(answer))
    vim.cmd("qall!")
  end)
  vim.api.nvim_create_autocmd("VimEnter", {
    callback = vim.schedule_wrap(function()
      local ok, problem = coroutine.resume(co)
      if not ok then
        fail(problem)
      end
    end),
  })
end

return M
