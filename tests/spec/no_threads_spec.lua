-- A system that gives no more threads: whoever waits for the disk is answered all the same, once.
local caching = require("tests.support.caching")
local faults = require("tests.support.faults")

local CALLS = {
  ["a call of a cache"] = 'files:get(dir .. "/old", answer)',
  ["a write"] = 'files:write(dir .. "/new", { content = "new" }, answer)',
  ["a load"] = "npc.load(answer)",
}

for name, call in pairs(CALLS) do
  it(
    name .. " as the first thing of a session is answered, whichever of the threads that it takes is missing",
    function()
      local missing = faults.missing("prlimit")
      if missing then
        return pending(missing)
      end
      local answers = {}
      -- From no room for the stack of a single thread, of 2 MiB, to room for several; and always some for the rest.
      for room = 1024, 11 * 1024, 2048 do
        local child = caching.open({ tree = { old = "old" } })
        local status = io.open(("/proc/%d/status"):format(child.pid)):read("*a")
        local bytes = (tonumber(status:match("VmSize:%s+(%d+)")) + room) * 1024
        local limited = vim.system({ "prlimit", "--pid", tostring(child.pid), ("--as=%d:"):format(bytes) }):wait()
        assert.are.equal(0, limited.code, limited.stderr)
        child:lua("npc.ctx.cache.timeout_ms = 500; _G.answers = {}")
        child:lua("local function answer(ok, err) table.insert(answers, ok and 'done' or err.code) end " .. call)
        child:lua("settle(function() return #answers > 0 end); idle()")
        local got = child:lua("return answers")
        assert.are.equal(1, #got, ("with room for %d KiB"):format(room))
        answers[got[1]] = true
        child:stop()
      end
      assert.is_true(answers.done and answers.runtime, vim.inspect(answers))
    end
  )
end
