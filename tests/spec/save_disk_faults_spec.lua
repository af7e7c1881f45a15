-- A disk that fails while a change is saved: the file keeps every byte or is saved, the error is reported once with its errno, the
-- value stays in memory and is saved once the fault is gone, and no temporary file is left. The same for files and directories
-- that may not be written, and for a lock that somebody else holds.
local editor = require("tests.support.fault_editor")
local faults = require("tests.support.faults")
local support = require("tests.support")
local tries = require("tests.support.tries")
local workspace = require("tests.support.workspace")

-- The numbers of Linux; only there can the faults be made.
local ERRNO = { EIO = 5, EACCES = 13, EMFILE = 24, EFBIG = 27, ENOSPC = 28, EROFS = 30, EDQUOT = 122 }

local LOCK_DEADLINE_MS = 2000
local SLACK_MS = 500
local LONGEST_STALL_MS = 50

---@param n integer
---@param padding? integer bytes that make the file longer
local function document(n, padding)
  return ('{\n\t"before": [1.0, 2], // stays\n\t"value": %d,\n\t"after": "%s"\n}\n'):format(n, ("x"):rep(padding or 0))
end

---@param padding? integer
local function new_workspace(padding)
  return workspace.new({ config = { ["alpha.json"] = document(0, padding) } })
end

--- Waits until a file has this text, which is saved without anybody waiting for it.
local function becomes(path, text, label)
  vim.wait(10000, function()
    return support.read(path) == text
  end, 1)
  assert.are.equal(text, support.read(path), label)
end

---@class test.Fault
---@field child test.Child
---@field path string the file
---@field names string[] what lies in its directory before and after
---@field label string
---@field errno? integer what the fault gives, if it is not transparent
---@field replaced? boolean whether it comes when the new file is in place: what cannot be undone is reported all the same
---@field padding? integer
---@field repair fun() ends the fault

--- Sets a value while a fault is there, and ends the fault. Expects what this file's head says.
---@param fault test.Fault
---@param n integer the value, the one before being there
---@return boolean transparent whether it was saved in spite of the fault
local function suffer(fault, n)
  local child, label = fault.child, fault.label
  local before, after = support.read(fault.path), document(n, fault.padding)
  child:lua("_G.errors = {}")
  local answer = child:lua("assert(npc.set('value', ...)); return save_now()", n)
  local transparent = answer.ok
  if transparent then
    assert.are.equal(after, support.read(fault.path), label)
    assert.are.same({}, child:lua("return errors"), label)
  else
    assert.is_truthy(fault.errno, ("%s: %s"):format(label, vim.inspect(answer)))
    local text = support.read(fault.path)
    -- Which call of a name is the first one behind the replacement differs by a thread's first calls.
    assert.are.equal(fault.replaced and text == after and after or before, text, label)
    assert.are.equal(fault.errno, answer.err.errno, label .. ": " .. answer.err.message)
    assert.are.same(fault.names, editor.names(vim.fs.dirname(fault.path)), label)
    -- Tried again in vain: it fails for the same reason, which is no news. (Another thread may get through.)
    transparent = child:lua("return save_now()").ok
    local errors = child:lua("return errors")
    assert.are.equal(1, #errors, label .. ": " .. vim.inspect(errors))
    assert.are.equal(fault.errno, errors[1].errno, label)
    assert.are.equal(n, child:lua("return npc.get('value')"), label)
  end
  fault.repair()
  if not transparent then
    child:lua("vim.api.nvim_exec_autocmds('FocusGained', {})")
    becomes(fault.path, after, label)
    assert.are.same({ ok = true }, child:lua("return save_now()"), label)
    assert.are.equal(1, #child:lua("return errors"), label)
  end
  assert.are.same(fault.names, editor.names(vim.fs.dirname(fault.path)), label)
  return transparent
end

describe("a system call that fails while a change is saved", function()
  -- What can fail for which reason. A `close` that is made to fail is not carried out, which no system does.
  local kinds = {
    EIO = {
      "^open",
      "stat",
      "read",
      "write",
      "trunc",
      "alloc",
      "sync",
      "rename",
      "link",
      "chmod",
      "chown",
      "flock",
      "xattr",
    },
    EACCES = { "^open", "rename" },
    EROFS = { "^open", "rename", "chmod" },
    EDQUOT = { "^open", "write", "sync", "rename" },
    ENOSPC = { "^open", "write", "sync", "rename" },
    EMFILE = { "^open" },
  }

  --- An editor, and the system calls of its saves.
  local function open()
    local w = new_workspace()
    local child = editor.open(w, "alpha")
    local n = 0
    local function save()
      n = n + 1
      assert.are.same({ ok = true }, child:lua("npc.set('value', ...); return save_now()", n))
    end
    save()
    local calls = faults.calls(child, w.config_dir, save)

    --- The calls whose name fits.
    ---@param patterns string[]
    local function chosen(patterns)
      return vim.tbl_filter(function(call)
        return not call.name:find("^unlink")
          and vim.iter(patterns):any(function(pattern)
            return call.name:find(pattern) ~= nil
          end)
      end, calls.list)
    end
    assert.is_true(#chosen({ "sync" }) > 0 and #chosen({ "rename" }) > 0, vim.inspect(calls))
    local replaced = false
    for _, call in ipairs(calls.list) do
      call.replaced = replaced
      replaced = replaced or call.name:find("rename") ~= nil
    end

    --- Saves while one of the calls is tampered with.
    ---@return boolean transparent
    local function tamper(call, how, errno)
      local tracer = faults.inject(child, calls, call.name, how)
      n = n + 1
      return suffer({
        child = child,
        path = w.config_dir .. "/alpha.json",
        names = { "alpha.json" },
        label = ("%s of %s"):format(how, call.name),
        errno = errno,
        replaced = call.replaced,
        repair = function()
          -- Calls after the first of a name may be made in another thread, where they are the first.
          assert.is_true(call.nth > 1 or tracer:hits() > 0, call.name .. " was not called")
          tracer:detach()
        end,
      }, n)
    end
    return child, chosen, tamper
  end

  for name, patterns in pairs(kinds) do
    it(("with %s loses nothing"):format(name), function()
      local missing = faults.missing("strace")
      if missing then
        return pending(missing)
      end
      local child, chosen, tamper = open()
      local failed = 0
      for _, call in ipairs(chosen(patterns)) do
        local transparent = tamper(call, ("error=%s:when=%d+"):format(name, call.nth), ERRNO[name])
        failed = failed + (transparent and 0 or 1)
      end
      assert.is_true(failed > 0, "nothing failed")
      child:stop()
    end)
  end

  it("with EINTR is called again", function()
    local missing = faults.missing("strace")
    if missing then
      return pending(missing)
    end
    local child, chosen, tamper = open()
    for _, call in ipairs(chosen({ "^open", "read", "write", "sync" })) do
      assert.is_true(tamper(call, "error=EINTR:when=" .. call.nth, nil))
    end
    child:stop()
  end)
end)

describe("a file system of its own", function()
  --- An editor whose config_dir is a small file system that only it sees, and the way there from here.
  ---@param padding integer
  ---@param size string
  local function open(padding, size)
    local w = workspace.new()
    local child = editor.open(w, "alpha", {
      through = {
        "unshare",
        "-m",
        "sh",
        "-c",
        ('mount -t tmpfs -o size=%s tmpfs "$0" && exec "$@"'):format(size),
        w.config_dir,
      },
    })
    local dir = ("/proc/%d/root%s"):format(child.pid, w.config_dir)
    support.write(dir .. "/alpha.json", document(0, padding))
    child:lua("assert(load_now())")
    return child, dir, w
  end

  it("that is full loses nothing, whatever room is left", function()
    local missing = vim.uv.getuid() ~= 0 and "only root can mount" or faults.missing("unshare")
    if missing then
      return pending(missing)
    end
    local uv = vim.uv
    local page = 4096
    local padding = 5 * page
    local child, dir = open(padding, "256k")
    local balloon = assert(uv.fs_open(dir .. "/balloon", "w", tonumber("644", 8)))
    local failed = 0
    local pages = math.ceil(#document(0, padding) / page)
    for room = 0, 2 * pages do
      assert(uv.fs_ftruncate(balloon, 0))
      local free = assert(uv.fs_statfs(dir)).bavail
      assert(uv.fs_write(balloon, ("b"):rep((free - room) * page), 0))
      assert.are.equal(room, assert(uv.fs_statfs(dir)).bavail)
      local transparent = suffer({
        child = child,
        path = dir .. "/alpha.json",
        names = { "alpha.json", "balloon" },
        label = ("room for %d pages"):format(room),
        errno = ERRNO.ENOSPC,
        padding = padding,
        repair = function()
          assert(uv.fs_ftruncate(balloon, 0))
        end,
      }, room + 1)
      assert.are.equal(room >= pages, transparent, ("room for %d pages"):format(room))
      failed = failed + (transparent and 0 or 1)
    end
    assert.are.equal(pages, failed)
    assert(uv.fs_close(balloon))
    child:stop()
  end)

  it("that turns read-only is written again when it may be", function()
    local missing = vim.uv.getuid() ~= 0 and "only root can mount" or faults.missing("unshare", "nsenter")
    if missing then
      return pending(missing)
    end
    local child, dir, w = open(0, "256k")
    local function remount(how)
      local command = { "nsenter", "-m", "-t", tostring(child.pid), "mount", "-o", "remount," .. how, w.config_dir }
      local result = vim.system(command, { text = true }):wait()
      assert(result.code == 0, result.stderr)
    end
    for n = 1, 3 do
      remount("ro")
      local transparent = suffer({
        child = child,
        path = dir .. "/alpha.json",
        names = { "alpha.json" },
        label = "read-only",
        errno = ERRNO.EROFS,
        repair = function()
          remount("rw")
        end,
      }, n)
      assert.is_false(transparent)
    end
    child:stop()
  end)
end)

it("a write that is cut short at any byte loses nothing", function()
  local missing = faults.missing("prlimit")
  if missing then
    return pending(missing)
  end
  local w = new_workspace()
  -- Beyond its limit a file takes what fits, and then no byte more. The signal would end the editor.
  local child = editor.open(w, "alpha", { through = { "sh", "-c", 'trap "" XFSZ; exec "$@"', "sh" } })
  -- The limit is one for all files: what the load still writes has to be there.
  child:wait("vim.uv.fs_stat(vim.fn.stdpath('state') .. '/nvim-project-config/names.json')")
  local function limit(bytes)
    local result = vim.system({ "prlimit", "--pid", tostring(child.pid), ("--fsize=%s:"):format(bytes) }):wait()
    assert(result.code == 0, result.stderr)
  end
  -- Three digits from the first value on: all texts have one length.
  local first = 100
  assert.are.same({ ok = true }, child:lua("npc.set('value', ...); return save_now()", first))
  for bytes = 0, 2 * #document(first) do
    limit(bytes)
    local transparent = suffer({
      child = child,
      path = w.config_dir .. "/alpha.json",
      names = { "alpha.json" },
      label = ("%d bytes"):format(bytes),
      errno = ERRNO.EFBIG,
      repair = function()
        limit("unlimited")
      end,
    }, first + 1 + bytes)
    assert.are.equal(bytes >= #document(first), transparent, ("%d bytes"):format(bytes))
  end
  child:stop()
end)

describe("without the right to write", function()
  local cases = {
    ["a file"] = { path = "/alpha.json", closed = "444", open = "644" },
    ["a directory"] = { path = "", closed = "555", open = "755" },
  }
  for what, case in pairs(cases) do
    it(what .. " is left as it is", function()
      local w = new_workspace()
      local child = editor.open(w, "alpha", { through = faults.without_privileges() })
      local function chmod(mode)
        assert(vim.uv.fs_chmod(w.config_dir .. case.path, tonumber(mode, 8)))
      end
      for n = 1, 3 do
        chmod(case.closed)
        local inode = assert(vim.uv.fs_stat(w.config_dir .. "/alpha.json")).ino
        local transparent = suffer({
          child = child,
          path = w.config_dir .. "/alpha.json",
          names = { "alpha.json" },
          label = what,
          errno = ERRNO.EACCES,
          repair = function()
            assert.are.equal(inode, assert(vim.uv.fs_stat(w.config_dir .. "/alpha.json")).ino)
            assert.are.equal("permission", child:lua("return errors[1].code"))
            chmod(case.open)
          end,
        }, n)
        assert.is_false(transparent)
      end
      child:stop()
    end)
  end
end)

it("a file that does not parse is not touched, and saved once it is mended", function()
  local w = new_workspace()
  local path = w.config_dir .. "/alpha.json"
  local child = editor.open(w, "alpha")
  local broken = '{\n\t"before": [1.0, 2],\n\t"value": oops\n}\n'
  editor.replace(path, broken)
  local answer = child:lua("npc.set('value', 1); return save_now()")
  assert.is_false(answer.ok)
  assert.are.equal("syntax", answer.err.code)
  assert.are.equal(broken, support.read(path))
  local errors = child:lua("return errors")
  assert.are.equal(1, #errors)
  assert.are.same({ "syntax", path, 3, 11 }, { errors[1].code, errors[1].path, errors[1].line, errors[1].column })
  assert.are.equal(1, child:lua("return npc.get('value')"))
  editor.replace(path, document(7))
  child:lua("vim.api.nvim_exec_autocmds('FocusGained', {})")
  becomes(path, document(1))
  assert.are.same({ "alpha.json" }, editor.names(w.config_dir))
  assert.are.equal(1, #child:lua("return errors"))
  child:stop()
end)

describe("a lock that somebody else holds", function()
  --- Sets a value, waits for what becomes of it, and measures meanwhile.
  local SAVE = [[
    _G.errors = {}
    watch_loop()
    local began = vim.uv.hrtime()
    assert(npc.set("value", ...))
    local answer = save_now()
    return { answer = answer, ms = (vim.uv.hrtime() - began) / 1e6, stall_ms = longest_stall() }
  ]]

  --- Expects that a save fails within the deadline without stalling the editor, and is done when the lock is free.
  ---@param child test.Child
  ---@param w test.Workspace
  ---@param n integer the value
  ---@param release fun()
  ---@return number stall_ms
  local function times_out(child, w, n, release)
    local path = w.config_dir .. "/alpha.json"
    local before = support.read(path)
    local outcome = child:lua(SAVE, n)
    assert.is_false(outcome.answer.ok)
    assert.are.equal("timeout", outcome.answer.err.code, outcome.answer.err.message)
    assert.is_true(outcome.ms <= LOCK_DEADLINE_MS + SLACK_MS, ("an error after %d ms"):format(outcome.ms))
    assert.are.equal(before, support.read(path))
    assert.are.equal(n, child:lua("return npc.get('value')"))
    local errors = child:lua("return errors")
    assert.are.equal(1, #errors, vim.inspect(errors))
    assert.are.same({ "timeout", path }, { errors[1].code, errors[1].path })
    release()
    child:lua("vim.api.nvim_exec_autocmds('FocusGained', {})")
    becomes(path, document(n))
    assert.are.same({ ok = true }, child:lua("return save_now()"))
    assert.are.equal(1, #child:lua("return errors"))
    return outcome.stall_ms
  end

  it("and who is stopped, is a time-out that the loop does not feel", function()
    local missing = faults.missing("flock")
    if missing then
      return pending(missing)
    end
    local w = new_workspace()
    local child = editor.open(w, "alpha")
    tries.within(LONGEST_STALL_MS, "longest stall of the loop, in ms", function(try)
      local holder = faults.lock_holder(w.config_dir)
      finally(function()
        holder:kill()
      end)
      holder:stop()
      return times_out(child, w, try, function()
        holder:kill()
      end)
    end)
    child:stop()
  end)

  it("and who is an editor, stopped in the middle of a save, is a time-out; killed, it holds nothing", function()
    local missing = faults.missing("strace")
    if missing then
      return pending(missing)
    end
    local w = new_workspace()
    local child, other = editor.open(w, "alpha"), editor.open(w, "alpha")
    -- The settings' file, before it is put in place: what else is saved is not meant.
    local tracer = faults.trace(other, {
      "-e",
      "trace=fsync,fdatasync",
      "-e",
      "inject=fsync,fdatasync:signal=STOP",
      "-P",
      w.config_dir .. "/.alpha.json.npc-tmp",
    })
    -- Once we have our answer: where it is stopped, it gives none.
    other:lua("vim.schedule(function() npc.set('value', 99); npc.save() end)")
    local stopped = vim.wait(10000, function()
      return (support.read(tracer.log) or ""):find("stopped by SIGSTOP", 1, true) ~= nil
    end, 1)
    assert.is_true(stopped)
    times_out(child, w, 1, function()
      vim.uv.kill(other.pid, "sigkill")
      other:ended()
      tracer:detach()
    end)
    assert.are.same({ "alpha.json" }, editor.names(w.config_dir))
    child:stop()
  end)

  it("and who is killed, is not waited for", function()
    local missing = faults.missing("flock")
    if missing then
      return pending(missing)
    end
    local w = new_workspace()
    local child = editor.open(w, "alpha")
    local holder = faults.lock_holder(w.config_dir)
    holder:kill()
    local outcome = child:lua(SAVE, 1)
    assert.are.same({ ok = true }, outcome.answer)
    assert.is_true(outcome.ms < LOCK_DEADLINE_MS / 2, ("waited for %d ms"):format(outcome.ms))
    assert.are.equal(document(1), support.read(w.config_dir .. "/alpha.json"))
    child:stop()
  end)
end)
