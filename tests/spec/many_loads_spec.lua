-- Loads asked for while others run: equal ones share a further run, different ones are independent.
local workspace = require("tests.support.workspace")

--- Gives back what every load did, after one more load has come through behind them all.
local COUNTING = [[{
  on_load = function(ctx) note("on_load " .. ctx.project_name) end,
}]]

describe("many equal loads at once", function()
  it("answer every callback exactly once, and run twice in all", function()
    local w = workspace.new({ config = { ["alpha.lua"] = 'note("alpha.lua")', ["alpha.json"] = '{"a": 1}' } })
    local child = w:open("alpha", { setup = COUNTING })
    local result = child:lua([[
      local answers, contexts = {}, {}
      for i = 1, 50 do
        npc.load(function(ctx, err)
          answers[i] = (answers[i] or 0) + 1
          contexts[ctx] = true
          assert(err == nil and ctx.json.a == 1)
        end)
      end
      assert(#answers == 0, "answered inside load_now()")
      assert(settle(function() return vim.tbl_count(answers) == 50 end), "some were never answered")
      local ran = vim.deepcopy(events)
      load_now()
      return { answers = answers, contexts = vim.tbl_count(contexts), ran = ran, runs = #events }
    ]])
    local once = {}
    for i = 1, 50 do
      once[i] = 1
    end
    assert.are.same(once, result.answers)
    assert.are.equal(1, result.contexts)
    assert.are.same({ "alpha.lua", "on_load alpha", "alpha.lua", "on_load alpha" }, result.ran)
    -- The fence is a third run: it proves that the counting works.
    assert.are.equal(6, result.runs)
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it("answer in the order in which they were asked for, after on_load", function()
    local w = workspace.new()
    local child = w:open("alpha", { setup = COUNTING })
    child:lua([[
      for i = 1, 3 do npc.load(function() note(i) end) end
      assert(settle(function() return #events == 5 end))
    ]])
    assert.are.same({ "on_load alpha", 1, "on_load alpha", 2, 3 }, child:lua("return events"))
    child:stop()
  end)

  it("see the files as they are when their own run begins", function()
    local w = workspace.new({
      config = {
        ["alpha.json"] = '{"round": 1}',
        ["alpha.lua"] = [[
      _G.held = _G.held or {}
      table.insert(held, (coroutine.running()))
      if #held == 1 then coroutine.yield() end
    ]],
      },
    })
    local child = w:open("alpha")
    child:lua([[
      npc.load(function(ctx) note(ctx.json.round) end)
      assert(settle(function() return held end), "the first load did not begin")
    ]])
    w:write("alpha.json", '{"round": 2}')
    child:lua([[
      npc.load(function(ctx) note(ctx.json.round) end)
      coroutine.resume(held[1])
      assert(settle(function() return #events == 2 end), "not answered")
    ]])
    assert.are.same({ 1, 2 }, child:lua("return events"))
    child:stop()
  end)
end)

describe("a load", function()
  it("belongs to the directory at the time of the call", function()
    local w = workspace.new({ config = { ["alpha.json"] = '{"from": "alpha"}', ["beta.json"] = '{"from": "beta"}' } })
    local child = w:open("alpha")
    local result = child:lua([[
      local found
      npc.load(function(ctx) found = { ctx.project_name, ctx.project_root, ctx.json.from } end)
      vim.cmd.cd(work .. "/beta")
      assert(settle(function() return found end))
      local there = load_now()
      vim.cmd.lcd(work .. "/alpha")
      return { found, there.project_name, load_now().project_name }
    ]])
    assert.are.same({ { "alpha", w.work .. "/alpha", "alpha" }, "beta", "alpha" }, result)
    child:stop()
  end)

  it("resolves a relative start directory when it is called", function()
    local w = workspace.new({ config = { ["beta.json"] = '{"from": "beta"}' } })
    local child = w:open("alpha")
    local result = child:lua([[
      local found
      npc.load({ loading = { start_dir = "../beta" } }, function(ctx)
        found = { ctx.project_root, ctx.json.from }
      end)
      vim.cmd.cd("/")
      assert(settle(function() return found end))
      return found
    ]])
    assert.are.same({ w.work .. "/beta", "beta" }, result)
    child:stop()
  end)

  it("does not disturb one of another directory", function()
    local w = workspace.new({
      config = {
        ["alpha.lua"] = "_G.held = coroutine.running(); coroutine.yield(); note('alpha.lua ends')",
        ["beta.lua"] = "note('beta.lua')",
      },
    })
    local child = w:open("alpha", { setup = COUNTING })
    local result = child:lua([[
      local names = {}
      npc.load(at("alpha"), function(ctx) table.insert(names, ctx.project_name) end)
      assert(settle(function() return held end))
      npc.load(at("beta"), function(ctx) table.insert(names, ctx.project_name) end)
      assert(settle(function() return #names == 1 end), "beta waits for alpha")
      assert(npc.ctx.project_name == "beta")
      coroutine.resume(held)
      assert(settle(function() return #names == 2 end))
      return { names = names, current = npc.ctx.project_name }
    ]])
    -- beta was asked for last, so it is the current project, though alpha's load ended later.
    assert.are.same({ names = { "beta", "alpha" }, current = "beta" }, result)
    assert.are.same({ "beta.lua", "on_load beta", "alpha.lua ends", "on_load alpha" }, child:lua("return events"))
    child:stop()
  end)

  it("that was asked for last is the current one, whichever is found first", function()
    local big = {}
    for i = 1, 20000 do
      big[i] = ('"key_%d": {"value": [%d, "some text"]}'):format(i, i)
    end
    local w = workspace.new({ config = { ["alpha.json"] = "{" .. table.concat(big, ",") .. "}" } })
    local child = w:open("alpha")
    local result = child:lua([[
      local order = {}
      npc.load(at("alpha"), function(ctx) table.insert(order, ctx.project_name) end)
      npc.load(at("beta"), function(ctx) table.insert(order, ctx.project_name) end)
      assert(settle(function() return #order == 2 end))
      local current = npc.ctx.project_name
      table.sort(order)
      return { order, current }
    ]])
    assert.are.same({ { "alpha", "beta" }, "beta" }, result)
    child:stop()
  end)

  it("of a context loads that context's project again, wherever the editor is by now", function()
    local w = workspace.new({ config = { ["alpha.json"] = '{"n": 1}', ["alpha.lua"] = 'note("alpha.lua")' } })
    local child = w:open("alpha")
    child:lua("_G.alpha = load_now(); vim.cmd.cd(work .. '/beta'); _G.beta = load_now()")
    w:write("alpha.json", '{"n": 2}')
    local result = child:lua([[
      assert(npc.ctx == beta)
      local again = load_now(alpha)
      return { again == alpha, npc.ctx == alpha, alpha.json.n, again.project_name }
    ]])
    assert.are.same({ true, true, 2, "alpha" }, result)
    assert.are.same({ "alpha.lua", "alpha.lua" }, child:lua("return events"))
    child:stop()
  end)

  it("cannot be confused by a table that looks like a context", function()
    local child = workspace.new():open("alpha")
    local ok, err = unpack(child:lua([[
      local fake = { project_root = work, project_name = "directory", json = {} }
      return { pcall(npc.load, fake) }
    ]]))
    assert.is_false(ok)
    assert.is_truthy(tostring(err):find("unknown option", 1, true), err)
    child:stop()
  end)
end)
