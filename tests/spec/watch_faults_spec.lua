-- What is watched goes away, or its disk hangs: the last good state stays, there is one message, the editor never waits and ends at once;
-- and when it is there again, all is as before. For the project's directory and for config_dir.
local faults = require("tests.support.faults")
local support = require("tests.support")
local tries = require("tests.support.tries")
local watching = require("tests.support.watching")
local workspace = require("tests.support.workspace")

local LONGEST_STALL_MS = 50
local ENDED_WITHIN_MS = faults.full and 1000 or 3000
local TIMEOUT_MS = 500
-- How long the message about a disk that hangs may take, and that all is well again: it may be looked at now and then only.
local NOTICED_MS = 15000

local FOCUS = "vim.api.nvim_exec_autocmds('FocusGained', {}); idle()"

local CONFIG = {
  ["alpha.json"] = '{"n": 1, "kept": {"x": 1}}',
  ["alpha.lua"] = "table.insert(_G.ran, 'alpha.lua')",
  ["beta.json"] = '{"n": 100}',
}

---@param child test.Child
---@param condition string Lua that is true when it is noticed that all is well again
local function heals(child, condition)
  local deadline = vim.uv.hrtime() + NOTICED_MS * 1e6
  repeat
    -- The user comes back to the editor, now and then.
    child:lua(FOCUS)
    if child:lua("return " .. condition) then
      return
    end
  until vim.uv.hrtime() > deadline
  error(
    ("%s: not true after %d ms; errors: %s"):format(condition, NOTICED_MS, vim.inspect(child:lua("return errors"))),
    0
  )
end

--- Expects one message, however often it is looked.
---@param child test.Child
---@param path string that it names
---@param label? string
local function told_once(child, path, label)
  child:wait("#errors > 0", NOTICED_MS)
  for _ = 1, 3 do
    child:lua(FOCUS)
  end
  local errors = child:lua("return errors")
  assert.are.equal(1, #errors, (label or "") .. vim.inspect(errors))
  assert.is_truthy(errors[1].message:find(path, 1, true), errors[1].message)
end

describe("a project's directory that is", function()
  local WAYS = {
    deleted = function(root)
      vim.fn.delete(root, "rf")
    end,
    moved = function(root)
      assert(vim.uv.fs_rename(root, root .. "-moved"))
    end,
    replaced = function(root)
      vim.fn.delete(root, "rf")
      support.write(root, "a file")
    end,
  }
  for way, act in pairs(WAYS) do
    it(way .. " leaves the project as it was, says so once, and is found again", function()
      local w = workspace.new({ config = CONFIG })
      local child = watching.open(w, "beta", { stay = true })
      child:lua("assert(load_now(at('alpha'))); _G.json = npc.ctx.json; _G.kept = json.kept; forget()")
      local root = w.work .. "/alpha"
      for round = 1, 2 do
        act(root)
        child:lua(FOCUS)
        told_once(child, root, ("%s, round %d: "):format(way, round))
        watching.replace(w.config_dir .. "/alpha.json", ('{"n": %d, "kept": {"x": 1}}'):format(round + 1))
        child:lua("idle()")
        assert.are.same(
          { "alpha", round, true },
          child:lua("return { npc.ctx.project_name, npc.ctx.json.n, npc.ctx.json == json and json.kept == kept }")
        )
        vim.fn.delete(root)
        vim.fn.delete(root .. "-moved", "rf")
        vim.fn.mkdir(root .. "/.git", "p")
        heals(child, "json.n == " .. round + 1)
        watching.replace(w.config_dir .. "/alpha.json", ('{"n": %d, "kept": {"x": 1}}'):format(round + 10))
        child:wait("json.n == " .. round + 10)
        watching.replace(w.config_dir .. "/alpha.json", ('{"n": %d, "kept": {"x": 1}}'):format(round + 1))
        child:wait("json.n == " .. round + 1)
        child:lua("forget()")
      end
      child:stop()
    end)
  end

  it("deleted, of a project that is not current, is forgotten: saved, cleared, and told", function()
    local w = workspace.new({ config = CONFIG })
    local child = watching.open(w, "beta", { stay = true })
    child:lua([[
      assert(load_now(at("alpha")))
      _G.alpha = npc.ctx
      assert(load_now(at("beta")))
      forget()
      alpha.json.unsaved = true
    ]])
    local root = w.work .. "/alpha"
    vim.fn.delete(root, "rf")
    child:lua(FOCUS)
    child:wait("#vim.tbl_filter(function(entry) return entry.kind == 'ClearPost' end, told) > 0", NOTICED_MS)
    child:lua(FOCUS)
    local cleared = vim.tbl_filter(function(entry)
      return entry.kind == "ClearPost"
    end, child:lua("return told"))
    assert.are.equal(1, #cleared)
    assert.are.same({ "alpha", root, {} }, { cleared[1].name, cleared[1].root, cleared[1].files })
    local left = child:lua([[
      return {
        is_bound = alpha.project_root ~= nil,
        projects = vim.tbl_map(function(ctx) return ctx.project_name end, npc.contexts()),
      }
    ]])
    assert.are.same({ is_bound = false, projects = { "beta" } }, left)
    child:lua("saved()")
    require("tests.support.saving").until_value(
      w.config_dir .. "/alpha.json",
      { n = 1, kept = { x = 1 }, unsaved = true }
    )
    assert.are.same({}, child:lua("return ran"))
    child:stop()
  end)

  it("deleted below the editor's own feet is no more than a message", function()
    local w = workspace.new({ config = CONFIG })
    local child = watching.open(w, "alpha")
    vim.fn.delete(w.work .. "/alpha", "rf")
    child:lua(FOCUS)
    told_once(child, w.work .. "/alpha")
    assert.are.equal(1, child:lua("return npc.ctx.json.n"))
    assert.is_true(child:stop().elapsed_ms <= ENDED_WITHIN_MS)
  end)
end)

for where, below in pairs({ [" in a directory"] = "/projects", [" at its top"] = "" }) do
  it(
    ("a disk with config_dir%s that is unmounted leaves what it gave, says so once, and is loaded again"):format(where),
    function()
      local missing = vim.uv.getuid() ~= 0 and "only root can mount" or faults.missing("unshare", "nsenter")
      if missing then
        return pending(missing)
      end
      local w = workspace.new()
      local disk = w.dir .. "/disk"
      vim.fn.mkdir(disk)
      local dir = disk .. below
      local child = watching.open(w, "alpha", {
        through = faults.own_disk(disk),
        setup = ("{ config_dir = %q }"):format(dir),
        stay = true,
      })
      local function inside(path)
        return ("/proc/%d/root%s"):format(child.pid, path)
      end
      local function write(n)
        watching.replace(inside(dir) .. "/alpha.json", ('{"n": %d}'):format(n))
      end
      support.write(inside(dir) .. "/alpha.lua", "table.insert(_G.ran, 'alpha.lua')")
      write(1)
      -- A project without files, which loses nothing, does not take what is left there for the disk.
      child:lua("assert(load_now(at('beta'))); _G.json = assert(load_now()).json; forget()")
      write(2)
      child:wait("json.n == 2")
      for round = 1, 2 do
        local n = 10 * round
        write(n)
        child:wait("json.n == " .. n)
        child:lua("forget()")
        -- The system need not tell, and does not while somebody still uses the disk.
        faults.beside(child, { "umount", "--lazy", disk })
        child:lua(FOCUS)
        told_once(child, dir)
        assert.are.same({ n, true }, child:lua("return { npc.ctx.json.n, npc.ctx.json == json }"))
        assert.are.same({}, child:lua("return ran"))
        faults.beside(child, { "mount", "-t", "tmpfs", "tmpfs", disk })
        child:lua("forget()")
        support.write(inside(dir) .. "/alpha.lua", "table.insert(_G.ran, 'alpha.lua')")
        write(n + 1)
        heals(child, "json.n == " .. n + 1)
        write(n + 2)
        child:wait("json.n == " .. n + 2)
      end
      child:stop()
    end
  )
end

describe("a disk that hangs", function()
  ---@return string|nil
  local function missing()
    return vim.uv.getuid() ~= 0 and "only root can mount" or faults.missing("unshare", "nsenter", "bindfs")
  end

  local SETUP = ("{ cache = { timeout_ms = %d } }"):format(TIMEOUT_MS)

  ---@class test.Hang
  ---@field child test.Child
  ---@field w test.Workspace
  ---@field mount test.Mount
  ---@field path string what hangs
  ---@field write fun(n: integer) changes alpha.json, whether its disk hangs or not

  --- Where the disk lies below config_dir, or below the project.
  ---@type table<string, fun(): test.Hang>
  local PLACES = {
    ["with config_dir"] = function()
      local w = workspace.new()
      local from = support.tree(CONFIG, w.dir .. "/disk")
      local mount = faults.mount(from, w.config_dir)
      local opts = { through = mount.through, before = require("tests.support.stall"), setup = SETUP, stay = true }
      return {
        w = w,
        mount = mount,
        path = w.config_dir,
        child = watching.open(w, "alpha", opts),
        write = function(n)
          watching.replace(from .. "/alpha.json", ('{"n": %d, "kept": {"x": 1}}'):format(n))
        end,
      }
    end,
    ["with the project"] = function()
      local w = workspace.new({ config = CONFIG, work = { ["alpha"] = true, ["beta/.git"] = true } })
      local from = support.tree({ [".git"] = true }, w.dir .. "/disk")
      local mount = faults.mount(from, w.work .. "/alpha")
      local opts = { through = mount.through, before = require("tests.support.stall"), setup = SETUP, stay = true }
      return {
        w = w,
        mount = mount,
        path = w.work .. "/alpha",
        -- Elsewhere: whether Neovim itself waits for its working directory is not our affair.
        child = watching.open(w, "beta", opts),
        write = function(n)
          watching.replace(w.config_dir .. "/alpha.json", ('{"n": %d, "kept": {"x": 1}}'):format(n))
        end,
      }
    end,
  }

  for place, open in pairs(PLACES) do
    it(place .. " leaves what is loaded, is told of once, holds nobody up, and heals", function()
      local reason = missing()
      if reason then
        return pending(reason)
      end
      local hang = open()
      local child = hang.child
      finally(function()
        hang.mount:kill()
      end)
      child:lua("_G.json = assert(load_now(at('alpha'))).json; _G.kept = json.kept; forget()")
      local threads = child:lua("return #vim.fn.readdir('/proc/self/task')")
      local notifications = #child:notifications()
      local stalls = {}
      for round = 1, 3 do
        child:lua("watch_loop()")
        hang.mount:stop()
        hang.write(10 * round)
        child:lua(FOCUS)
        told_once(child, hang.path)
        assert.are.equal("timeout", child:lua("return errors[1].code"))
        assert.are.same(
          { "alpha", true },
          child:lua("return { npc.ctx.project_name, npc.ctx.json == json and json.kept == kept and kept.x == 1 }")
        )
        assert.are.equal(round == 1 and 1 or 10 * (round - 1) + 1, child:lua("return json.n"))
        table.insert(stalls, child:lua("return longest_stall()"))
        local now = child:lua("return #vim.fn.readdir('/proc/self/task')")
        assert.is_true(now <= threads + 20, ("%d threads, before %d"):format(now, threads))

        hang.mount:go_on()
        heals(child, "json.n == " .. 10 * round)
        hang.write(10 * round + 1)
        heals(child, "json.n == " .. 10 * round + 1)
        assert.are.same({}, child:lua("return ran"))
        child:lua("forget()")
      end
      -- Others' work on the machine makes it only longer.
      assert.is_true(math.min(unpack(stalls)) <= LONGEST_STALL_MS, vim.inspect(stalls))
      -- That such a file system does not tell of what others do may have been said, once.
      assert.is_true(#child:notifications() <= notifications + 1, vim.inspect(child:notifications()))
      child:stop()
    end)

    --- One more test: of an editor whose disk has stopped answering.
    local function it_hangs(what, work)
      it(place .. what, function()
        local reason = missing()
        if reason then
          return pending(reason)
        end
        local hang = open()
        finally(function()
          hang.mount:kill()
        end)
        hang.child:lua("assert(load_now(at('alpha'))); forget()")
        hang.mount:stop()
        work(hang)
        local elapsed_ms = hang.child:stop().elapsed_ms
        assert.is_true(elapsed_ms <= ENDED_WITHIN_MS, ("ended after %d ms"):format(elapsed_ms))
      end)
    end

    it_hangs(" does not keep the editor from ending", function(hang)
      hang.write(2)
      hang.child:lua(FOCUS)
      hang.child:wait("#errors > 0", NOTICED_MS)
    end)

    it_hangs(" at once after a look began does not keep the editor from ending either", function(hang)
      hang.child:lua("vim.api.nvim_exec_autocmds('FocusGained', {})")
    end)
  end

  it("with one project does not hold up the others", function()
    local reason = missing()
    if reason then
      return pending(reason)
    end
    local hang = PLACES["with the project"]()
    local child, w = hang.child, hang.w
    finally(function()
      hang.mount:kill()
    end)
    child:lua("assert(load_now(at('alpha'))); assert(load_now(at('beta'))); forget()")
    hang.mount:stop()
    for n = 1, 5 do
      watching.replace(w.config_dir .. "/beta.json", ('{"n": %d}'):format(n))
      child:wait("npc.ctx.json.n == " .. n)
    end
    hang.mount:go_on()
    hang.write(9)
    child:lua("assert(load_now(at('alpha')))")
    child:wait("npc.ctx.json.n == 9")
    child:stop()
  end)

  it("where a watch is to be set holds nobody up: config_dir hangs from the start", function()
    local reason = missing()
    if reason then
      return pending(reason)
    end
    local w = workspace.new()
    local from = support.tree(CONFIG, w.dir .. "/disk")
    local mount = faults.mount(from, w.config_dir)
    finally(function()
      mount:kill()
    end)
    local child = watching.open(w, "alpha", {
      through = mount.through,
      before = require("tests.support.stall"),
      setup = SETUP,
      stay = true,
    })
    mount:stop()
    tries.within(LONGEST_STALL_MS, "longest stall in ms", function()
      child:lua("_G.answered = nil; watch_loop(); npc.load(function() _G.answered = true end)")
      child:wait("answered", NOTICED_MS)
      child:lua(FOCUS)
      return child:lua("return longest_stall()")
    end)
    mount:go_on()
    child:lua("forget(); assert(load_now())")
    watching.replace(from .. "/alpha.json", '{"n": 5}')
    heals(child, "npc.ctx.json.n == 5")
    child:stop()
  end)
end)

it("a project's directory that goes twice is notified twice: it was there again in between", function()
  local w = workspace.new({ config = CONFIG })
  local child = watching.open(w, "alpha", {
    before = [[
      options.on_error, _G.notified = nil, {}
      vim.notify = function(text) table.insert(_G.notified, text) end
    ]],
  })
  for round = 1, 2 do
    assert(vim.uv.fs_rename(w.work .. "/alpha", w.work .. "/away"))
    watching.replace(w.config_dir .. "/alpha.json", ('{"n": %d}'):format(round))
    child:wait("#notified == " .. round, NOTICED_MS)
    assert(vim.uv.fs_rename(w.work .. "/away", w.work .. "/alpha"))
    watching.replace(w.config_dir .. "/alpha.json", ('{"n": %d}'):format(round + 10))
    child:wait("npc.ctx.json.n == " .. round + 10, NOTICED_MS)
  end
  child:stop()
end)
