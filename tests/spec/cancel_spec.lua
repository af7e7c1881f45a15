-- What ends a load before its time: clear() and a second setup(), and nothing else.
local workspace = require("tests.support.workspace")

local HELD = [[
  note("begins")
  _G.held = coroutine.running()
  coroutine.yield()
  note("goes on")
]]

local OPTIONS = [[{
  on_load = function(ctx) note("on_load " .. ctx.project_name) end,
  on_clear = function(ctx) note("on_clear") end,
}]]

describe("clear()", function()
  it("during planning answers every load with cancelled, and nothing runs", function()
    local w = workspace.new({ config = { ["alpha.lua"] = "note('alpha.lua')" } })
    local child = w:open("alpha", { setup = OPTIONS })
    local answers = child:lua([[
      local answers = {}
      for i = 1, 3 do
        npc.load(function(ctx, err) table.insert(answers, { ctx == nil, err.code, tostring(err) == err.message }) end)
      end
      npc.load(at("beta"), function(ctx, err) table.insert(answers, { ctx == nil, err.code, tostring(err) == err.message }) end)
      npc.clear()
      assert(#answers == 0, "answered inside clear()")
      assert(settle(function() return #answers == 4 end))
      idle()
      return answers
    ]])
    local cancelled = { true, "cancelled", true }
    assert.are.same({ cancelled, cancelled, cancelled, cancelled }, answers)
    assert.are.same({ "on_clear" }, child:lua("return events"))
    -- Nobody needs to hear of what they asked for themselves.
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it("during a file stops what would come after it", function()
    local w = workspace.new({ config = { ["alpha.lua"] = HELD, ["alpha/more.lua"] = "note('more.lua')" } })
    local child = w:open("alpha", { setup = OPTIONS })
    local result = child:lua([[
      local answers = {}
      npc.load(function(...) table.insert(answers, { ... }) end)
      npc.load(function(...) table.insert(answers, { ... }) end)
      assert(settle(function() return held end))
      npc.clear()
      assert(settle(function() return #answers == 2 end))
      local root = npc.ctx.project_root
      coroutine.resume(held)
      idle()
      return { answers[1][1] == nil, answers[1][2].code, answers[2][2].code, root == nil, #answers, vim.deepcopy(npc.ctx._files_loaded) }
    ]])
    assert.are.same({ true, "cancelled", "cancelled", true, 2, {} }, result)
    assert.are.same({ "begins", "on_clear", "goes on" }, child:lua("return events"))
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it("called by a file that runs ends that very load", function()
    local w = workspace.new({
      config = {
        ["alpha.lua"] = "npc.clear(); note('after clear')",
        ["alpha/more.lua"] = "note('more.lua')",
      },
    })
    local child = w:open("alpha", { setup = OPTIONS })
    local code = child:lua("local ctx, err = load_now(); assert(not ctx); return err.code")
    assert.are.equal("cancelled", code)
    child:lua("idle()")
    assert.are.same({ "on_clear", "after clear" }, child:lua("return events"))
    child:stop()
  end)

  it("of another context leaves the current one's load alone", function()
    local w = workspace.new({ config = { ["beta.lua"] = HELD } })
    local child = w:open("alpha", { setup = OPTIONS })
    local result = child:lua([[
      local alpha = load_now()
      local answer
      npc.load(at("beta"), function(ctx) answer = ctx end)
      assert(settle(function() return held end))
      assert(npc.ctx ~= alpha)
      npc.clear(alpha)
      coroutine.resume(held)
      assert(settle(function() return answer end), "beta's load was ended too")
      return { answer.project_name, alpha.project_root == nil, npc.ctx.project_name }
    ]])
    assert.are.same({ "beta", true, "beta" }, result)
    child:stop()
  end)

  it("leaves the way free for the next load", function()
    local w = workspace.new({ config = { ["alpha.json"] = '{"a": 1}' } })
    local child = w:open("alpha")
    assert.are.same(
      { 1, "alpha" },
      child:lua("npc.load(); npc.clear(); local ctx = load_now(); return { ctx.json.a, npc.ctx.project_name }")
    )
    child:stop()
  end)
end)

describe("a second setup()", function()
  it("cancels what runs and drops every context", function()
    local w = workspace.new({ config = { ["alpha.json"] = '{"a": 1}', ["beta.lua"] = HELD } })
    local child = w:open("alpha", { setup = OPTIONS })
    local result = child:lua([[
      local old = load_now()
      local answer
      npc.load(at("beta"), function(...) answer = { ... } end)
      assert(settle(function() return held end))
      local new = npc.setup(vim.tbl_extend("force", options, { on_load = function() note("new on_load") end }))
      assert(settle(function() return answer end))
      coroutine.resume(held)
      local fresh = { new ~= old, npc.ctx == new, new.project_root == nil, next(new.json) == nil }
      local loaded = load_now()
      idle()
      return { answer[1] == nil, answer[2].code, fresh, loaded == new, loaded ~= old, loaded.json.a, loaded.json ~= old.json }
    ]])
    assert.are.same({ true, "cancelled", { true, true, true, true }, true, true, 1, true }, result)
    assert.are.same({ "on_load alpha", "begins", "goes on", "new on_load" }, child:lua("return events"))
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)
end)
