-- What goes wrong with disks and processes, made with real tools: system calls of a running editor that fail, stop, or kill it
-- (strace), a lock that somebody holds (flock), modes that count for root too (setpriv). It knows no path of the plugin's and
-- asserts nothing about the plugin.
local M = {}

local uv = vim.uv
local ATTACH_MS = 10000

--- Whether the fault tests run with the repetitions that the requirements name, not the fewer ones that suit every run.
M.full = vim.env.FULL == "1"

-- What .ci/run can expect on Linux: util-linux. strace is a package of its own, and a container may forbid mounts.
local EXPECTED_IN_CI = { flock = true, setpriv = true, prlimit = true }

local HANG = vim.fs.dirname(debug.getinfo(1, "S").source:sub(2)) .. "/hang.py"

-- How a tool shows that it not only exists but may do its work here.
local TRIALS = {
  hang = { "python3", HANG, "true" },
  strace = { "strace", "-o", "/dev/null", "true" },
  unshare = { "unshare", "-m", "true" },
  user_namespace = { "unshare", "-U", "-r", "sh", "-c", "echo 0 >/proc/sys/user/max_inotify_watches" },
  bindfs = {
    "unshare",
    "-m",
    "sh",
    "-c",
    'dir=$(mktemp -d) && mkdir "$dir/from" "$dir/to" && bindfs "$dir/from" "$dir/to"; code=$?; umount "$dir/to"; exit $code',
  },
}

--- Why a test cannot run here.
---@param ... string tools that it needs; "hang" is what `hang` does, "user_namespace" what `few` needs
---@return string|nil reason nil when it can
function M.missing(...)
  for _, tool in ipairs({ ... }) do
    local trial = TRIALS[tool]
    local works = vim.fn.executable(trial and trial[1] or tool) == 1
      and (not trial or vim.system(trial, { text = true }):wait().code == 0)
    if not works then
      assert((vim.env.CI or "") == "" or not EXPECTED_IN_CI[tool], tool .. " is part of every Linux that runs CI")
      return tool .. " does not work here"
    end
  end
end

--- Root reads and writes what nobody may. Without these two capabilities it is bound by modes like everybody else.
---@return string[]|nil through for a child editor; nil where nothing has to be dropped
function M.without_privileges()
  if uv.getuid() ~= 0 then
    return nil
  end
  assert(vim.fn.executable("setpriv") == 1, "run the tests as a user who is not root, or install setpriv (util-linux)")
  local dropped = "-dac_override,-dac_read_search"
  return { "setpriv", "--bounding-set", dropped, "--inh-caps", dropped }
end

--- Makes every fsync of a child editor hang for good, from its start. It can be killed, and may end.
---@return string[] through for a child editor; `missing("hang")` tells whether that works here
function M.hang()
  return { "python3", HANG }
end

--- Makes every opening of a file that is opened with care (O_NONBLOCK) hang for good; otherwise as `hang`.
---@return string[] through for a child editor
function M.hang_reads()
  return { "python3", HANG, "--reads" }
end

--- The kernel gives the editor so many watches (inotify), or so many queues of events, as if others had taken the rest. It may raise
--- the limit itself, by the file of `limit_file`.
---@param limit "watches"|"instances"
---@param count integer
---@return string[] through for a child editor
function M.few(limit, count)
  return { "unshare", "-U", "-r", "sh", "-c", ('echo %d >%s && exec "$@"'):format(count, M.limit_file(limit)), "sh" }
end

---@param limit "watches"|"instances"
---@return string path
function M.limit_file(limit)
  return "/proc/sys/user/max_inotify_" .. limit
end

--- Runs a command where a child editor has its mounts.
---@param child test.Child
---@param command string[]
function M.beside(child, command)
  local done = vim
    .system(vim.list_extend({ "nsenter", "-m", "-t", tostring(child.pid) }, command), { text = true })
    :wait(ATTACH_MS)
  assert(done.code == 0, done.stderr)
end

--- Gives a child editor a file system of its own at `dir`.
---@param dir string
---@return string[] through for a child editor
function M.own_disk(dir)
  return { "unshare", "-m", "sh", "-c", 'mount -t tmpfs tmpfs "$0" && cd "$PWD" && exec "$@"', dir }
end

---@class test.Mount
---@field through string[] for a child editor
---@field private to string
---@field private pid? integer of the process that serves it
local Mount = {}
Mount.__index = Mount

--- A directory that a process hands on to another one (bindfs), for a child editor only. That process can be stopped: then the disk
--- hangs.
---@param from string directory with the files
---@param to string directory at which they are seen
---@return test.Mount
function M.mount(from, to)
  vim.fn.mkdir(from, "p")
  vim.fn.mkdir(to, "p")
  -- Nothing is remembered by the kernel: changes made behind its back are seen at once, and every call asks.
  local options = "attr_timeout=0,entry_timeout=0,negative_timeout=0"
  local script = ('bindfs -o %s "$0" "$1" && shift && cd "$PWD" && exec "$@"'):format(options)
  return setmetatable({ to = to, through = { "unshare", "-m", "sh", "-c", script, from, to } }, Mount)
end

---@return integer pid of the process that serves it
function Mount:server()
  for name in vim.fs.dir("/proc") do
    local file = name:match("^%d+$") and io.open("/proc/" .. name .. "/cmdline", "rb")
    if file then
      local text = file:read("*a") or ""
      file:close()
      local words = vim.split(text, "\0", { plain = true })
      if vim.fs.basename(words[1] or "") == "bindfs" and vim.tbl_contains(words, self.to) then
        return assert(tonumber(name))
      end
    end
  end
  error("nobody serves " .. self.to, 0)
end

--- Stops a process, and returns when all of its threads have stopped. `sigcont` has it go on.
---@param pid integer
function M.stop(pid)
  assert(uv.kill(pid, "sigstop"))
  local tasks = ("/proc/%d/task"):format(pid)
  local stopped = vim.wait(ATTACH_MS, function()
    for thread in vim.fs.dir(tasks) do
      local file = io.open(("%s/%s/stat"):format(tasks, thread), "rb")
      local state = file and (file:read("*a") or ""):match("^.*%) (%a)")
      if file then
        file:close()
      end
      if state ~= "T" then
        return false
      end
    end
    return true
  end, 1)
  assert(stopped, ("process %d does not stop"):format(pid))
end

--- From now on every call on it hangs, but can be killed: a call that its server had begun with could not.
function Mount:stop()
  self.pid = self.pid or self:server()
  M.stop(self.pid)
end

--- All calls go on.
function Mount:go_on()
  assert(uv.kill(self.pid, "sigcont"))
end

--- Nobody serves it any more: every call on it fails, those that hang too. Without this it outlives its editor.
function Mount:kill()
  local found, pid = pcall(self.server, self)
  if found then
    assert(uv.kill(pid, "sigkill"))
  end
end

---@class test.Tracer
---@field log string path of what strace has written
---@field private process vim.SystemObj
local Tracer = {}
Tracer.__index = Tracer

local traces = 0

--- Attaches strace to an editor, all its threads and those to come, and returns once it is attached.
---@param child test.Child
---@param options string[] of strace
---@return test.Tracer
function M.trace(child, options)
  traces = traces + 1
  local self = setmetatable({ log = ("%s/strace-%d"):format(child.home, traces) }, Tracer)
  local command = { "strace", "-f", "-y", "-s", "0", "-o", self.log, "-p", tostring(child.pid) }
  local said = ""
  self.process = vim.system(vim.list_extend(command, options), {
    stderr = function(_, data)
      said = said .. (data or "")
    end,
  })
  local attached = vim.wait(ATTACH_MS, function()
    return said:find("attached", 1, true) ~= nil or self.process:is_closing()
  end, 1)
  assert(attached and not self.process:is_closing(), "strace is not attached: " .. said)
  return self
end

--- Lets the editor go on by itself; returns once no thread of it is traced.
function Tracer:detach()
  if not self.process:is_closing() then
    self.process:kill("sigint")
  end
  self.process:wait(ATTACH_MS)
end

---@return integer hits how often a call was tampered with so far
function Tracer:hits()
  local _, hits = (require("tests.support").read(self.log) or ""):gsub("%(INJECTED%)", "")
  return hits
end

---@class test.Call
---@field name string the system call
---@field nth integer which one of this name in its thread, from 1

---@class test.Calls
---@field list test.Call[] in their order
---@field paths string[] files and directories that they concern

--- The system calls by which an editor does something with a directory and what lies in it, found by tracing it once.
---@param child test.Child
---@param dir string
---@param act fun() makes the editor do it, and returns when it is done
---@return test.Calls
function M.calls(child, dir, act)
  local tracer = M.trace(child, { "-e", "trace=%file,%desc" })
  act()
  tracer:detach()
  local calls, paths, counts = { list = {}, paths = {} }, { [dir] = true }, {}
  for line in io.lines(tracer.log) do
    local thread, name, rest = line:match("^(%d+) +([%w_]+)%((.*)$")
    if thread and rest:find(dir, 1, true) then
      local key = thread .. name
      counts[key] = (counts[key] or 0) + 1
      table.insert(calls.list, { name = name, nth = counts[key] })
      for path in rest:gmatch("<(/[^>]*)>") do
        paths[path] = vim.startswith(path, dir) or nil
      end
      for path in rest:gmatch('"([^"]*)"') do
        path = vim.startswith(path, "/") and path or dir .. "/" .. path
        paths[path] = path ~= dir .. "/" and vim.startswith(path, dir) or nil
      end
    end
  end
  calls.paths = vim.tbl_keys(paths)
  return calls
end

--- Tampers with one kind of call on the paths of `calls`, until the tracer is detached.
---@param child test.Child
---@param calls test.Calls
---@param name string the system call
---@param how string as strace's `inject` takes it: "error=EIO:when=1+", "signal=KILL:when=2"
---@return test.Tracer
function M.inject(child, calls, name, how)
  local options = { "-e", "trace=" .. name, "-e", ("inject=%s:%s"):format(name, how) }
  for _, path in ipairs(calls.paths) do
    vim.list_extend(options, { "-P", path })
  end
  return M.trace(child, options)
end

---@class test.LockHolder
---@field private process vim.SystemObj
local LockHolder = {}
LockHolder.__index = LockHolder

--- Another process takes the lock of a directory, and returns once that has it.
---@param dir string
---@return test.LockHolder
function M.lock_holder(dir)
  local said = ""
  local self = setmetatable({}, LockHolder)
  self.process = vim.system({ "flock", "--no-fork", dir, "sh", "-c", "echo held; exec sleep 600" }, {
    stdout = function(_, data)
      said = said .. (data or "")
    end,
  })
  assert(
    vim.wait(ATTACH_MS, function()
      return said ~= ""
    end, 1),
    "nobody could lock " .. dir
  )
  return self
end

--- Stops it as Ctrl-Z does: it keeps the lock.
function LockHolder:stop()
  self.process:kill("sigstop")
end

--- Kills it: the lock is free when this returns.
function LockHolder:kill()
  if not self.process:is_closing() then
    self.process:kill("sigkill")
  end
  self.process:wait(ATTACH_MS)
end

return M
