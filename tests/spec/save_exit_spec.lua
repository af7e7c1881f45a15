-- Leaving the editor right after a change: whichever way it is left, what was changed is on disk; and a disk that hangs does not
-- keep the editor. How long leaving takes when there is nothing to save is exit_spec.lua's.
local editor = require("tests.support.fault_editor")
local faults = require("tests.support.faults")
local support = require("tests.support")
local workspace = require("tests.support.workspace")

local AT_MOST_MS = 1000
local AT_MOST_HUNG_MS = 2000
-- For the machine: scheduling, the end of the process.
local SLACK_MS = 500

--- Runs Lua that ends the editor, and waits for the end.
---@param child test.Child
---@param code string
---@return { code: integer, elapsed_ms: number }
local function leave(child, code)
  local began = vim.uv.hrtime()
  pcall(child.lua, child, code)
  local exit = child:ended()
  return { code = exit.code, elapsed_ms = (vim.uv.hrtime() - began) / 1e6 }
end

---@return table
local function saved(w, name)
  return vim.json.decode(support.read(w.config_dir .. "/" .. name) or error(name .. " does not exist"))
end

local ways = {
  [":qa"] = { code = 0, leave = "vim.cmd('qa')" },
  [":qa!"] = { code = 0, leave = "vim.cmd('qa!')" },
  [":cq"] = { code = 1, leave = "vim.cmd('cq')" },
  [":wqa"] = { code = 0, leave = "vim.cmd('wqa')" },
  -- The exit code differs from one Neovim to the next.
  SIGTERM = { leave = "vim.uv.kill(vim.uv.os_getpid(), 'sigterm')" },
  SIGHUP = { leave = "vim.uv.kill(vim.uv.os_getpid(), 'sighup')" },
}

for name, way in pairs(ways) do
  describe("leaving by " .. name, function()
    it("saves what was changed until then", function()
      local w = workspace.new({ config = { ["alpha.json"] = '{\n  "lsp": { "enabled": false },\n  "list": [1]\n}\n' } })
      local child = editor.open(w, "alpha", {
        before = [[
          local function last_moment(key)
            vim.api.nvim_create_autocmd("VimLeavePre", { callback = function() npc.ctx.json[key] = true end })
          end
          last_moment("leave_before_setup")
          _G.last_moment = last_moment
        ]],
        after = "last_moment('leave_after_setup')",
      })
      child:lua([[
        last_moment("leave_after_load")
        _G.lsp = npc.ctx.json.lsp
        vim.api.nvim_create_autocmd("VimLeavePre", { callback = function() lsp.last = "moment" end })
      ]])
      local exit = leave(child, [[
          lsp.enabled = true
          npc.set("set.deep", 1)
          npc.ctx.json.assigned = { 1, 2 }
          table.insert(npc.ctx.json.list, 2)
        ]] .. way.leave)
      assert.are.same({
        lsp = { enabled = true, last = "moment" },
        list = { 1, 2 },
        set = { deep = 1 },
        assigned = { 1, 2 },
        leave_before_setup = true,
        leave_after_setup = true,
        leave_after_load = true,
      }, saved(w, "alpha.json"))
      assert.are.same({ "alpha.json" }, editor.names(w.config_dir))
      assert.is_true(exit.elapsed_ms < AT_MOST_MS, ("took %d ms"):format(exit.elapsed_ms))
      assert.are.equal(way.code or exit.code, exit.code)
    end)

    it("lets an update end that is under way", function()
      local w = workspace.new({ config = { ["alpha.json"] = '{ "n": 1 }' } })
      local child = editor.open(w, "alpha")
      local exit = leave(child, "npc.update('n', function(old) return old + 1 end); " .. way.leave)
      assert.are.same({ n = 2 }, saved(w, "alpha.json"))
      assert.is_true(exit.elapsed_ms < AT_MOST_MS, ("took %d ms"):format(exit.elapsed_ms))
    end)

    it("saves the projects that were left before, and one without a file", function()
      local w = workspace.new({ config = { ["alpha.json"] = "{}" } })
      local child = editor.open(w, "alpha")
      child:lua("_G.alpha = npc.ctx; load_now(at('beta'))")
      local exit = leave(child, "alpha.json.a = 1; npc.ctx.json.b = 2; " .. way.leave)
      assert.are.same({ a = 1 }, saved(w, "alpha.json"))
      assert.are.same({ b = 2 }, saved(w, "beta.json"))
      assert.is_true(exit.elapsed_ms < AT_MOST_MS, ("took %d ms"):format(exit.elapsed_ms))
    end)
  end)
end

describe("leaving with a change of a reference that was kept since an earlier tick", function()
  it("saves it", function()
    local w = workspace.new({ config = { ["alpha.json"] = '{ "lsp": { "servers": { "lua": false } } }' } })
    local child = editor.open(w, "alpha")
    child:lua("_G.servers = npc.ctx.json.lsp.servers")
    child:lua("idle(); servers.lua = true")
    child:lua("idle()")
    child:stop()
    assert.are.same({ lsp = { servers = { lua = true } } }, saved(w, "alpha.json"))
  end)
end)

describe("os.exit()", function()
  it("saves all that set() took", function()
    local w = workspace.new({ config = { ["alpha.json"] = "{}" } })
    local child = editor.open(w, "alpha")
    local exit = leave(child, "for i = 1, 100 do npc.set('key' .. i, i) end; os.exit(3)")
    local expected = {}
    for i = 1, 100 do
      expected["key" .. i] = i
    end
    assert.are.same(expected, saved(w, "alpha.json"))
    assert.are.equal(3, exit.code)
    assert.is_true(exit.elapsed_ms < AT_MOST_MS, ("took %d ms"):format(exit.elapsed_ms))
  end)

  it("saves what a comparison had found", function()
    local w = workspace.new({ config = { ["alpha.json"] = "{}" } })
    local child = editor.open(w, "alpha")
    child:lua([[
      npc.ctx.json.assigned = { deep = true }
      -- In the next tick, before anybody has waited for a disk.
      vim.schedule(function() vim.schedule(function() os.exit(0) end) end)
    ]])
    assert.are.equal(0, child:ended().code)
    assert.are.same({ assigned = { deep = true } }, saved(w, "alpha.json"))
  end)
end)

describe("leaving while the disk cannot be written", function()
  --- The lines of the log that name a file.
  local function lost(log, path)
    return vim.tbl_filter(function(line)
      return line:find(path, 1, true) ~= nil
    end, vim.split(support.read(log) or "", "\n"))
  end

  local function log_of(child)
    return child:lua([[return vim.fn.stdpath("log") .. "/nvim-project-config.log"]])
  end

  for name, exit_by in pairs({ [":qa"] = "vim.cmd('qa')", ["os.exit()"] = "os.exit(0)" }) do
    it(("which hangs, takes two seconds at most by %s, and logs each file that was lost"):format(name), function()
      local missing = faults.missing("hang")
      if missing then
        return pending(missing)
      end
      local w = workspace.new({ config = { ["alpha.json"] = '{ "a": 0 }', ["beta.json"] = '{ "b": 0 }' } })
      local child = editor.open(w, "alpha", { through = faults.hang() })
      local log = log_of(child)
      child:lua("_G.alpha = npc.ctx; load_now(at('beta'))")
      local exit = leave(child, [[
          alpha.json.a = 1
          npc.ctx.json.b = 1
          npc.save()
        ]] .. exit_by)
      assert.is_true(exit.elapsed_ms < AT_MOST_HUNG_MS + SLACK_MS, ("took %d ms"):format(exit.elapsed_ms))
      assert.are.equal(0, exit.code)
      for _, file in ipairs({ "alpha.json", "beta.json" }) do
        local path = w.config_dir .. "/" .. file
        assert.are.equal(1, #lost(log, path), support.read(log))
        assert.is_truthy(support.read(path):find("0", 1, true))
      end
      -- The next editor finds a free lock and clears up.
      child = editor.open(w, "alpha")
      assert.are.same({ ok = true }, child:lua("npc.set('a', 2); return save_now()"))
      child:stop()
      assert.are.same({ a = 2 }, saved(w, "alpha.json"))
    end)
  end

  it("because somebody holds the lock, takes two seconds at most and logs the file", function()
    local missing = faults.missing("flock")
    if missing then
      return pending(missing)
    end
    local w = workspace.new({ config = { ["alpha.json"] = "{}" } })
    local child = editor.open(w, "alpha")
    local log = log_of(child)
    local holder = faults.lock_holder(w.config_dir)
    finally(function()
      holder:kill()
    end)
    holder:stop()
    local exit = leave(child, "npc.ctx.json.a = 1; vim.cmd('qa')")
    assert.is_true(exit.elapsed_ms < AT_MOST_HUNG_MS + SLACK_MS, ("took %d ms"):format(exit.elapsed_ms))
    assert.are.equal(0, exit.code)
    assert.are.equal(1, #lost(log, w.config_dir .. "/alpha.json"), support.read(log))
    assert.are.equal("{}", support.read(w.config_dir .. "/alpha.json"))
  end)

  it("leaves no log when nothing was lost", function()
    local w = workspace.new({ config = { ["alpha.json"] = "{}" } })
    local child = editor.open(w, "alpha")
    local log = log_of(child)
    leave(child, "npc.ctx.json.a = 1; vim.cmd('qa')")
    assert.are.same({ a = 1 }, saved(w, "alpha.json"))
    assert.are.same({}, lost(log, w.config_dir))
  end)

  it(
    "to one file saves the others, what was changed at the last moment too, and logs the loss for nobody else to read",
    function()
      local w = workspace.new({ config = { ["alpha.json"] = "{}", ["beta.json"] = "{}" } })
      local child = editor.open(w, "alpha")
      child:lua("_G.alpha = npc.ctx; load_now(at('beta')); _G.beta = npc.ctx")
      w:write("alpha.json", "{ broken")
      child:lua([[
      alpha.json.a = 1
      vim.api.nvim_create_autocmd("VimLeavePre", { callback = function() beta.json.last = "moment" end })
    ]])
      local log = log_of(child)
      local exit = leave(child, "vim.cmd('qa')")
      assert.is_true(exit.elapsed_ms < AT_MOST_MS, ("took %d ms"):format(exit.elapsed_ms))
      assert.are.same({ last = "moment" }, saved(w, "beta.json"))
      assert.are.equal("{ broken", support.read(w.config_dir .. "/alpha.json"))
      assert.are.equal(1, #lost(log, w.config_dir .. "/alpha.json"), support.read(log))
      assert.is_truthy(support.read(log):find("a = 1", 1, true))
      assert.are.equal(tonumber("600", 8), vim.uv.fs_stat(log).mode % 512)
    end
  )
end)

describe("leaving after everything was saved", function()
  it("takes no longer than without the plugin, but for 150 ms", function()
    local function quickest(start)
      local best
      for _ = 1, 5 do
        local exit = start():stop()
        assert.are.equal(0, exit.code)
        best = math.min(best or exit.elapsed_ms, exit.elapsed_ms)
      end
      return best
    end
    local w = workspace.new({ config = { ["alpha.json"] = '{ "n": 0 }' } })
    local without = quickest(function()
      return support.child()
    end)
    local with = quickest(function()
      local child = editor.open(w, "alpha")
      assert.are.same({ ok = true }, child:lua("npc.set('n', npc.get('n') + 1); return save_now()"))
      return child
    end)
    assert.is_true(with < without + 150, ("with %.1f ms, without %.1f ms"):format(with, without))
    assert.are.same({ n = 5 }, saved(w, "alpha.json"))
  end)
end)
