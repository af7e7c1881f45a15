-- A real Neovim beside the spec, with a home of its own: started as a user starts it (init.lua, plugins, VimEnter),
-- driven over RPC. Every call has a deadline, so that a child that hangs is an error with a name and not a dead run.
local M = {}

local ANSWER_MS = 10000

---@class test.ChildOptions
---@field cwd? string where it starts (default: an empty directory)
---@field init? string text of its init.lua
---@field home? string directory of an earlier child (`child.home`), to start again with the same files and state
---@field rtp? string[] put before its 'runtimepath' (default: the checkout)
---@field args? string[] more arguments, such as a file to open
---@field env? table<string, string> more environment
---@field through? string[] a command that becomes the editor by exec, such as `setpriv` with its options
---@field timeout_ms? integer how long it may take to VimEnter (default 10 s)

---@class test.Child
---@field home string its home directory: config/nvim/init.lua, data/, state/, cache/, run/
---@field pid integer
---@field code integer|nil exit code, once it has ended
---@field private job integer
---@field private started_ns integer
---@field private ended_ns integer|nil
---@field private errors string[]
local Child = {}
Child.__index = Child

---@type table<integer, test.Child> every child that runs, by its job
local running = {}
---@type table<integer, { ok: boolean, value: any }> answers that have arrived, by the number of the call
local answers = {}
local last_call = 0

--- Called by a child, over RPC.
function M._answer(call, ok, value)
  answers[call] = { ok = ok, value = value }
end

-- Before the child's init.lua: remembers what vim.notify was given, then lets it through.
local PRELUDE = [[
  _G.test_notifications = {};
  local notify = vim.notify;
  vim.notify = function(message, level, opts)
    table.insert(_G.test_notifications, { message = message, level = level });
    return notify(message, level, opts);
  end;
]]

-- Answers by notification: rpcrequest has no deadline.
local CALL = [[
  local call, code, args = ...
  local function traceback(err) return debug.traceback(type(err) == "string" and err or vim.inspect(err), 2) end
  local chunk, syntax = loadstring(code, "=child")
  local ok, value = false, syntax
  if chunk then ok, value = xpcall(function() return chunk(unpack(args)) end, traceback) end
  local reply = [=[require("tests.support.child")._answer(...)]=]
  if not pcall(vim.rpcnotify, 1, "nvim_exec_lua", reply, { call, ok, value }) then
    vim.rpcnotify(1, "nvim_exec_lua", reply, { call, false, "cannot be sent: " .. vim.inspect(value) })
  end
]]

---@param home string
---@return table<string, string>
local function environment(home)
  local env =
    { PATH = vim.env.PATH, HOME = home, LANG = "C.UTF-8", LC_ALL = "C.UTF-8", VIMRUNTIME = vim.env.VIMRUNTIME }
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
    env[name] = home .. "/" .. dir
    vim.fn.mkdir(env[name], "p", "0700")
  end
  return env
end

--- Starts an editor and returns once its VimEnter is over.
---@param opts? test.ChildOptions
---@return test.Child
function M.start(opts)
  opts = opts or {}
  local support = require("tests.support")
  local self = setmetatable({ errors = {}, home = opts.home or support.tmpdir() }, Child)
  if opts.init then
    support.write(self.home .. "/config/nvim/init.lua", opts.init)
  end
  local prelude = PRELUDE
    .. ("vim.opt.runtimepath:prepend(vim.json.decode(%q))"):format(vim.json.encode(opts.rtp or { support.root }))
  local command = vim.list_extend({}, opts.through or {})
  vim.list_extend(command, { vim.v.progpath, "--headless", "--embed", "-n", "-i", "NONE" })
  vim.list_extend(command, { "--cmd", "lua " .. prelude:gsub("%s*\n%s*", " ") })
  vim.list_extend(command, opts.args or {})
  self.started_ns = vim.uv.hrtime()
  self.job = vim.fn.jobstart(command, {
    rpc = true,
    cwd = opts.cwd or support.tmpdir(),
    clear_env = true,
    env = vim.tbl_extend("force", environment(self.home), opts.env or {}),
    on_stderr = function(_, lines)
      table.insert(self.errors, table.concat(lines, "\n"))
    end,
    on_exit = function(job, code)
      running[job] = nil
      self.code, self.ended_ns = code, vim.uv.hrtime()
    end,
  })
  assert(self.job > 0, "the child editor does not start")
  running[self.job] = self
  self.pid = vim.fn.jobpid(self.job)
  self:poll("vim.v.vim_did_enter == 1", opts.timeout_ms or ANSWER_MS)
  return self
end

--- Runs Lua in the child.
---@param timeout_ms integer
---@param code string a chunk; `...` are the arguments
---@param args any[] values that RPC can carry, none of them nil
---@return any value the chunk's first value
function Child:_call(timeout_ms, code, args)
  last_call = last_call + 1
  local call = last_call
  local sent = not self.code and pcall(vim.rpcnotify, self.job, "nvim_exec_lua", CALL, { call, code, args })
  local answered = sent
    and vim.wait(timeout_ms, function()
      return answers[call] ~= nil or self.code ~= nil
    end, 5)
  local answer = answers[call]
  answers[call] = nil
  if answer and answer.ok then
    return answer.value
  end
  local problem = answer and answer.value
    or self.code and ("the child has ended with code %d"):format(self.code)
    or not answered and ("the child has not answered within %d ms"):format(timeout_ms)
  local stderr = self:stderr()
  error(("%s\n  in: %s%s"):format(problem, code, stderr ~= "" and "\n  child's stderr: " .. stderr or ""), 0)
end

--- Runs Lua in the child's main loop and returns its first value; an error there is an error here, with its traceback.
---@param code string a chunk, such as `return vim.fn.getcwd()`; `...` are the arguments
---@param ... any values that RPC can carry, none of them nil
---@return any
function Child:lua(code, ...)
  return self:_call(ANSWER_MS, code, { ... })
end

--- Waits in the child, its event loop running, until an expression is neither nil nor false.
---@param expression string of Lua
---@param timeout_ms? integer default 10 s
---@return any value of the expression
function Child:wait(expression, timeout_ms)
  timeout_ms = timeout_ms or ANSWER_MS
  local code = ([[
    local value
    local function probe() value = %s; return value ~= nil and value ~= false end
    if not vim.wait(%d, probe, 2) then error("still not true after %d ms", 0) end
    return value
  ]]):format(expression, timeout_ms, timeout_ms)
  return self:_call(timeout_ms + ANSWER_MS, code, {})
end

--- The same, asked from here again and again: for a child whose own code waits, which could not go on below our wait.
---@param expression string of Lua
---@param timeout_ms? integer default 10 s
---@return any value of the expression
function Child:poll(expression, timeout_ms)
  timeout_ms = timeout_ms or ANSWER_MS
  local deadline = vim.uv.hrtime() + timeout_ms * 1e6
  repeat
    local value = self:_call(math.max(timeout_ms, ANSWER_MS), "return " .. expression, {})
    if value ~= nil and value ~= false and value ~= vim.NIL then
      return value
    end
    -- Questions without a pause would keep the child's own `vim.wait` from ever ending.
    vim.wait(10)
  until vim.uv.hrtime() > deadline
  error(("%s: still not true after %d ms"):format(expression, timeout_ms), 0)
end

---@return string text of `:messages`
function Child:messages()
  return self:lua([[return vim.api.nvim_exec2("messages", { output = true }).output]])
end

--- What vim.notify was given so far, in order.
---@return { message: string, level: integer|nil }[]
function Child:notifications()
  return self:lua("return _G.test_notifications")
end

---@return string text everything that it wrote to stderr so far
function Child:stderr()
  return table.concat(self.errors)
end

--- Waits for it to end by itself; one that does not is killed, and an error.
---@param timeout_ms? integer default 10 s
---@return { code: integer, elapsed_ms: number } elapsed_ms counts from this call
function Child:ended(timeout_ms)
  timeout_ms = timeout_ms or ANSWER_MS
  local asked_ns = vim.uv.hrtime()
  if vim.fn.jobwait({ self.job }, timeout_ms)[1] == -1 then
    vim.uv.kill(self.pid, "sigkill")
    vim.fn.jobwait({ self.job }, 1000)
    error(("the child has not ended within %d ms"):format(timeout_ms), 0)
  end
  return { code = self.code, elapsed_ms = math.max(0, (self.ended_ns - asked_ns) / 1e6) }
end

--- Ends it as a user does, with `:qa!`, and says how long that took. One that has ended already is no error.
---@param timeout_ms? integer default 10 s
---@return { code: integer, elapsed_ms: number }
function Child:stop(timeout_ms)
  pcall(vim.rpcnotify, self.job, "nvim_command", "qa!")
  return self:ended(timeout_ms)
end

--- Kills what a spec has left running, at its end.
function M.kill_all()
  for job, child in pairs(running) do
    vim.uv.kill(child.pid, "sigkill")
    vim.fn.jobwait({ job }, 1000)
  end
end

return M
