-- A load that ends before its time: what its stages see, and what is left of them.
local stages = require("tests.support.stages")
local workspace = require("tests.support.workspace")

-- What ends loads.
local ENDS = {
  ["clear()"] = "npc.clear()",
  ["setup()"] = "npc.setup(options)",
  ["pipeline.stop(ctx)"] = "pipeline.stop(npc.ctx)",
}

local RX = [[{
  function(_, rx, tx) tx(rx()) _G.held = coroutine.running() coroutine.yield() note("held goes on") tx("more") end,
  function(_, rx, tx)
    rx()
    _G.waits = true
    local ok, err = pcall(rx)
    note({ "rx", ok, err.code, tostring(err) == err.message })
    local again, other = pcall(tx, "x")
    note({ "tx", again, other.code })
    error(err, 0)
  end,
}]]

local TX = [[{
  function(_, rx, tx)
    local ok, err = pcall(function() while true do tx("x") end end)
    note({ "tx", ok, err.code })
    local again, other = pcall(rx)
    note({ "rx", again, other.code })
    error(err, 0)
  end,
  function(_, rx) rx() _G.held = coroutine.running() coroutine.yield() note("held goes on") end,
}]]

for name, ending in pairs(ENDS) do
  describe(name, function()
    --- Starts a load that waits, ends it, and lets everything come that was going to.
    ---@param pipeline string
    ---@param until_ string
    ---@return test.Child
    local function cut(pipeline, until_)
      local w = workspace.new({ config = { ["alpha.lua"] = "note('alpha.lua')" } })
      local child = stages.open(w, "alpha", { setup = "{ on_load = function() note('on_load') end }" })
      child:lua(([[
        _G.answers = {}
        npc.load({ pipeline = %s }, function(ctx, err) table.insert(answers, { ctx == nil, err and err.code }) end)
        assert(settle(function() return %s end), "the stage does not wait")
        idle()
        %s
        assert(#answers == 0, "answered inside")
        assert(settle(function() return #answers == 1 end), "the load is not answered")
        idle()
      ]]):format(pipeline, until_, ending))
      assert.are.same({ { true, "cancelled" } }, child:lua("return answers"))
      return child
    end

    --- The stage that its own code holds ends too, once that lets it go; and all of it is no error.
    ---@param child test.Child
    local function let_go(child)
      child:lua("assert(coroutine.resume(held)) idle()")
      assert.are.equal("held goes on", table.remove(child:lua("return events")))
      assert.are.same({}, child:lua("return errors"))
      assert.are.same({}, child:notifications())
      assert.are.equal("alpha", child:lua("return told(load_now()).name"))
      child:stop()
    end

    it("has a stage that waits in rx end with cancelled, each time it asks", function()
      local child = cut(RX, "waits and held")
      assert.are.same({ { "rx", false, "cancelled", true }, { "tx", false, "cancelled" } }, child:lua("return events"))
      let_go(child)
    end)

    it("has a stage that waits in tx end with cancelled", function()
      local child = cut(TX, "held")
      assert.are.same({ { "tx", false, "cancelled" }, { "rx", false, "cancelled" } }, child:lua("return events"))
      let_go(child)
    end)

    it("has a stage end that waits for a native one, or that a native one waits for", function()
      local child = cut(
        [[{
          function(_, rx, tx) tx(rx()) _G.held = coroutine.running() coroutine.yield() note("held goes on") end,
          detect({ matcher = ".git" }), find_files(),
          function(_, rx, tx)
            _G.waits = true
            local ok, err = pcall(rx)
            note({ ok, ok or err.code })
          end,
          execute(),
        }]],
        "waits and held"
      )
      assert.are.same({ { false, "cancelled" } }, child:lua("return events"))
      let_go(child)
    end)

    it("has what is behind execute end", function()
      local child = cut(
        [[{
          walk(), detect(), find_files(), execute(),
          function(_, rx, tx) tx(rx()) _G.held = coroutine.running() coroutine.yield() note("held goes on") end,
          function(_, rx) rx() local ok, err = pcall(rx) note({ ok, ok or err.code }) end,
        }]],
        "held"
      )
      assert.are.same({ "alpha.lua", { false, "cancelled" } }, child:lua("return events"))
      let_go(child)
    end)

    for what, pipeline in pairs({
      matcher = "{ walk(), detect({ matcher = function() %s end }), find_files(), execute() }",
      on_match = "{ walk(), detect({ on_match = function() %s end }), find_files(), execute() }",
      finder = "{ walk(), detect(), find_files({ finder = function() %s return {} end }), execute() }",
    }) do
      it("while a " .. what .. " waits: nothing comes after it", function()
        local child =
          cut(pipeline:format("_G.held = coroutine.running() coroutine.yield() note('held goes on')"), "held")
        assert.are.same({}, child:lua("return events"))
        let_go(child)
      end)
    end
  end)
end

describe("called by a stage, its own load ends with", function()
  for name, ending in pairs({
    ["clear()"] = "npc.clear()",
    ["setup()"] = "npc.setup(options)",
    ["stop()"] = "pipeline.stop(ctx)",
  }) do
    it(name, function()
      local w = workspace.new()
      local child = stages.open(w, "alpha")
      local result = child:lua(([[
        local _, err = load_with({ function(ctx, rx, tx)
          %s
          local ok, problem = pcall(function() while rx() ~= DONE do tx("x") end rx() end)
          note({ ok, ok or problem.code })
        end, function(_, rx) while rx() ~= DONE do end note("drained") end })
        idle()
        return err and err.code
      ]]):format(ending))
      assert.are.equal("cancelled", result)
      assert.are.same({ { false, "cancelled" } }, child:lua("return events"))
      assert.are.same({}, child:lua("return errors"))
      assert.are.equal("alpha", child:lua("return told(load_now()).name"))
      child:stop()
    end)
  end
end)

it("a stage that cleans up may take its time, and what it throws then is nobody's", function()
  local w = workspace.new()
  local child = stages.open(w, "alpha")
  child:lua([[
    npc.load({ pipeline = { function(_, rx, tx)
      rx()
      _G.waits = true
      local ok, err = pcall(function() while true do tx("x") end end)
      pause()
      note("cleaned up")
      error(err)
    end, function() _G.held = coroutine.running() coroutine.yield() end } }, function(_, err) note(err.code) end)
    assert(settle(function() return held and waits end))
    npc.clear()
    assert(settle(function() return #events == 2 end))
    idle()
  ]])
  local events = child:lua("return events")
  table.sort(events)
  assert.are.same({ "cancelled", "cleaned up" }, events)
  assert.are.same({}, child:lua("return errors"))
  child:stop()
end)

describe("nothing is left behind", function()
  local COUNTS = [[
    _G.threads = setmetatable({}, { __mode = "k" })
    -- Turns of the loop, without the timers of `idle`, which would be counted.
    function _G.turns()
      for _ = 1, 20 do
        local turned = false
        vim.schedule(function() turned = true end)
        vim.wait(1000, function() return turned end, 1)
      end
    end
    -- A compiled trace holds closures that were called when it was recorded, such as a step with its coroutine. They are freed with the trace.
    function _G.counts()
      jit.flush()
      collectgarbage() collectgarbage() collectgarbage()
      local function entries(dir)
        local count = 0
        for _ in vim.fs.dir(dir) do count = count + 1 end
        return count
      end
      local handles = 0
      -- On Neovim 0.10 `walk` aborts: it takes the editor's own handles for its own.
      if vim.fn.has("nvim-0.11") == 1 then
        vim.uv.walk(function(handle) if not handle:is_closing() then handles = handles + 1 end end)
      end
      local runs = vim.tbl_count(require("nvim-project-config.loading").runs)
      return {
        coroutines = vim.tbl_count(threads), handles = handles, runs = runs,
        callbacks = vim.tbl_count(require("nvim-project-config.native").callbacks),
        fds = entries("/proc/self/fd"), threads = entries("/proc/self/task"), kilobytes = collectgarbage("count"),
      }
    end
    -- What there is more than `before`, as text; nil if there is nothing.
    function _G.surplus()
      local now, more = counts(), {}
      for what, count in pairs(now) do
        local most = what == "coroutines" and 0 or before[what] + (what == "kilobytes" and 299 or 0)
        if count > most then table.insert(more, ("%s: %d, then %d"):format(what, before[what], count)) end
      end
      return #more > 0 and table.concat(more, "; ") or nil
    end
  ]]

  --- 1,000 rounds, and what there is more than after the first ones.
  ---@param round string Lua, one round
  local function check(round)
    if vim.fn.isdirectory("/proc/self/fd") == 0 then
      return pending("needs /proc")
    end
    local w = workspace.new({ config = { ["alpha.lua"] = "" } })
    local child = stages.open(w, "alpha", { before = COUNTS })
    child:lua(([[
      function _G.round() %s end
      for _ = 1, 50 do round() end
      turns()
      _G.before = counts()
    ]]):format(round))
    for _ = 1, 20 do
      child:lua("for _ = 1, 50 do round() end")
    end
    child:lua("turns()")
    -- Threads that have nothing to do leave after ten seconds. What the last rounds have left is freed when the loop has turned, what they
    -- have asked of the disk has been done, and all has been collected.
    local is_over = pcall(child.poll, child, "surplus() == nil", 25000)
    assert.is_true(is_over, child:lua("return surplus()"))
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end

  it("of 1,000 loads that are cleared while a stage waits in rx", function()
    check([[
      local waits, answer
      npc.load({ pipeline = {
        walk(),
        function(_, rx, tx)
          threads[coroutine.running()] = true
          tx(rx())
          local ok = pcall(function() for _ = 1, 1e9 do tx("x") end end)
        end,
        function(_, rx)
          threads[coroutine.running()] = true
          while true do rx() waits = true pause() end
        end,
        function(_, rx) threads[coroutine.running()] = true rx() end,
      } }, function(_, err) answer = err.code end)
      assert(settle(function() return waits end))
      npc.clear()
      assert(settle(function() return answer end) and answer == "cancelled", answer)
    ]])
  end)

  it("of 1,000 loads that are stopped while stages, matchers and hooks wait", function()
    check([[
      local waits, answer = 0, nil
      local function wait()
        threads[coroutine.running()] = true
        waits = waits + 1
        pause() pause()
        return true
      end
      npc.load({ pipeline = {
        walk({ matcher = wait }), pass(), detect({ matcher = wait, on_match = wait }), pass(),
        find_files({ finder = function() wait() return { config_dir .. "/alpha.lua" } end }), pass(), execute(), pass(),
      } }, function(ctx, err) answer = ctx and "loaded" or err.code end)
      _G.target = (_G.target or 0) % 30 + 1
      settle(function() return answer or waits >= target end)
      pipeline.stop(npc.ctx)
      assert(settle(function() return answer end))
      assert(answer == "cancelled" or answer == "loaded", answer)
    ]])
  end)

  it("of 1,000 loads that end well", function()
    check([[
      local ctx = load_with({
        function(_, rx, tx) threads[coroutine.running()] = true tx(rx()) end,
        walk(), pass(),
        detect({ matcher = m.any("absent", m.pattern("^%.git$")), on_match = function() threads[coroutine.running()] = true end }),
        find_files(), pass(), execute(), pass(),
      })
      assert(ctx.project_name == "alpha")
    ]])
  end)
end)
