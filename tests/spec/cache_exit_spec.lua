-- Leaving the editor while the caches work: what is being written is on disk, and nobody waits for what is being read.
local caching = require("tests.support.caching")
local faults = require("tests.support.faults")
local support = require("tests.support")

local AT_MOST_MS = 1000
local AT_MOST_HUNG_MS = 2000
-- For the machine: scheduling, the end of the process.
local SLACK_MS = 500

--- Runs Lua that ends the editor, and waits for the end.
---@return { code: integer, elapsed_ms: number }
local function leave(child, code)
  local began = vim.uv.hrtime()
  pcall(child.lua, child, code)
  local exit = child:ended()
  return { code = exit.code, elapsed_ms = (vim.uv.hrtime() - began) / 1e6 }
end

for name, exit_by in pairs({
  [":qa"] = "vim.cmd('qa')",
  [":cq"] = "vim.cmd('cq')",
  ["os.exit()"] = "os.exit(0)",
  SIGTERM = "vim.uv.kill(vim.uv.os_getpid(), 'sigterm')",
}) do
  describe("leaving by " .. name, function()
    it("right after a write has it on disk, also when it is the first thing that the caches do", function()
      for _, before in ipairs({ "", "get(files, dir .. '/old')", "npc.ctx.json.touched = nil" }) do
        local child, dir = caching.open({ tree = { old = "old" } })
        child:lua(before)
        local exit = leave(child, [[
            local own = require("nvim-project-config.cache.file").new()
            for i = 1, 20 do files:write(("%s/%d"):format(dir, i), { content = "written " .. i }, function() end) end
            own:write(dir .. "/own", { content = "own" }, function() end)
            own = nil
            coroutine.wrap(function() files:write(dir .. "/old", { content = "new" }) end)()
          ]] .. exit_by)
        for i = 1, 20 do
          assert.are.equal("written " .. i, support.read(("%s/%d"):format(dir, i)))
        end
        assert.are.equal("own", support.read(dir .. "/own"))
        assert.are.equal("new", support.read(dir .. "/old"))
        assert.are.equal(22, #vim.fn.readdir(dir))
        assert.is_true(exit.elapsed_ms < AT_MOST_MS + SLACK_MS, ("took %d ms"):format(exit.elapsed_ms))
      end
    end)
  end)
end

describe("a write from VimLeave", function()
  it("is on disk", function()
    local child, dir = caching.open()
    child:lua([[
      vim.api.nvim_create_autocmd("VimLeavePre", { callback = function() files:write(dir .. "/pre", { content = "a" }, function() end) end })
      vim.api.nvim_create_autocmd("VimLeave", { callback = function() files:write(dir .. "/last", { content = "b" }, function() end) end })
    ]])
    assert.are.equal(0, child:stop().code)
    assert.are.same({ "a", "b" }, { support.read(dir .. "/pre"), support.read(dir .. "/last") })
    assert.are.equal("", child:stderr())
  end)
end)

describe("leaving while a disk hangs", function()
  it("does not wait for what is being read", function()
    local missing = faults.missing("hang")
    if missing then
      return pending(missing)
    end
    local child = caching.open({ tree = { a = "text", b = "text" }, through = faults.hang_reads() })
    child:lua([[
      _G.answered = 0
      for i = 1, 100 do
        files:get(dir .. (i % 2 == 0 and "/a" or "/b"), function() answered = answered + 1 end)
      end
      coroutine.wrap(function() files:get(dir .. "/a") answered = answered + 1 end)()
      idle()
      assert(answered == 0, "the disk does not hang")
    ]])
    local exit = leave(child, "vim.cmd('qa')")
    assert.are.equal(0, exit.code)
    assert.is_true(exit.elapsed_ms < AT_MOST_MS, ("took %d ms"):format(exit.elapsed_ms))
    assert.are.equal("", child:stderr())
  end)

  it("does not wait for reads that nobody has begun", function()
    local child, dir = caching.open()
    for i = 1, 1000 do
      support.write(("%s/%d"):format(dir, i), "text")
    end
    local exit = leave(
      child,
      [[
      for i = 1, 10000 do files:get(("%s/%d"):format(dir, i % 1000 + 1), function() end) end
      vim.cmd("qa")
    ]]
    )
    assert.are.equal(0, exit.code)
    assert.is_true(exit.elapsed_ms < AT_MOST_MS, ("took %d ms"):format(exit.elapsed_ms))
    assert.are.equal("", child:stderr())
  end)

  it("waits for a write for two seconds at most", function()
    local missing = faults.missing("hang")
    if missing then
      return pending(missing)
    end
    local child, dir = caching.open({ tree = { a = "old" }, through = faults.hang() })
    local exit = leave(child, "files:write(dir .. '/a', { content = 'new' }, function() end) vim.cmd('qa')")
    assert.is_true(exit.elapsed_ms < AT_MOST_HUNG_MS + SLACK_MS, ("took %d ms"):format(exit.elapsed_ms))
    assert.are.equal(0, exit.code)
    assert.are.equal("old", support.read(dir .. "/a"))
  end)
end)
