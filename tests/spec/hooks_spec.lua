-- What hooks and callbacks of the user's may do: throw, load, clear. Each is reported once, queued or ended; nothing recurses.
local workspace = require("tests.support.workspace")

describe("on_load", function()
  it("that throws is reported once, and the load has succeeded all the same", function()
    local w = workspace.new({ config = { ["alpha.json"] = '{"a": 1}' } })
    local child = w:open("alpha", { setup = "{ on_load = function() error('thrown in on_load') end }" })
    local result = child:lua("local ctx, err = load_now(); idle(); return { ctx.json.a, err == nil, errors }")
    assert.are.equal(1, result[1])
    assert.is_true(result[2])
    assert.are.equal(1, #result[3])
    assert.are.equal("runtime", result[3][1].code)
    assert.is_truthy(result[3][1].message:find("thrown in on_load", 1, true))
    assert.are.equal("", child:messages())
    child:stop()
  end)

  it("that throws is one notification where nobody listens", function()
    local w = workspace.new()
    local child = w:open("alpha", {
      before = "options.on_error = nil",
      setup = "{ on_load = function() error('thrown in on_load') end }",
    })
    child:lua("load_now(); load_now(); idle()")
    local seen = child:notifications()
    assert.are.equal(1, #seen)
    assert.are.equal(vim.log.levels.ERROR, seen[1].level)
    assert.is_truthy(seen[1].message:find("thrown in on_load", 1, true), seen[1].message)
    assert.is_nil(seen[1].message:find("stack traceback", 1, true))
    child:stop()
  end)

  it("that loads gets a load of its own, after its own call has ended", function()
    local w = workspace.new({ config = { ["alpha.lua"] = "note('alpha.lua')" } })
    local child = w:open("alpha", {
      setup = [[{
      on_load = function()
        _G.inside = (inside or 0) + 1
        assert(inside == 1, "on_load was called inside itself")
        _G.round = (round or 0) + 1
        note("on_load " .. round)
        if round < 3 then npc.load(function() note("answered") end) end
        inside = inside - 1
      end,
    }]],
    })
    child:lua("load_now(); assert(settle(function() return #events == 8 end)); idle()")
    assert.are.same(
      { "alpha.lua", "on_load 1", "alpha.lua", "on_load 2", "answered", "alpha.lua", "on_load 3", "answered" },
      child:lua("return events")
    )
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it("that waits for another load gets it", function()
    local w = workspace.new({ config = { ["alpha.json"] = '{"a": 1}' } })
    local child = w:open("alpha", {
      setup = [[{
      on_load = function()
        if _G.waited then return end
        _G.waited = "waiting"
        local ctx, err = npc.load_await()(8000)
        _G.waited = ctx and ctx.json.a or tostring(err)
      end,
    }]],
    })
    child:lua("load_now(); assert(settle(function() return waited ~= 'waiting' end))")
    assert.are.equal(1, child:lua("return waited"))
    child:stop()
  end)

  it("that has resumed itself is driven again after it has awaited something of the plugin's", function()
    local w = workspace.new({ config = { ["alpha.json"] = "{}" } })
    local child = w:open("alpha", {
      setup = [[{ on_load = function(ctx)
        local co = coroutine.running()
        vim.schedule(function() assert(coroutine.resume(co)) end)
        coroutine.yield()
        local entry = assert(ctx.file_cache:get(config_dir .. "/alpha.json"))
        note(entry.content)
        note(coroutine.yield(function(step) vim.schedule(function() step("driven") end) end, 1))
      end }]],
    })
    child:lua("load_now()")
    child:wait("#events == 2")
    assert.are.same({ "{}", "driven" }, child:lua("return events"))
    child:stop()
  end)

  it("that clears leaves an empty context, and callbacks still come", function()
    local w = workspace.new({ config = { ["alpha.json"] = '{"a": 1}' } })
    local child = w:open("alpha", { setup = "{ on_load = function() note('on_load'); npc.clear() end }" })
    local result = child:lua([[
      local answers = 0
      npc.load(function() answers = answers + 1 end)
      assert(settle(function() return answers == 1 end))
      idle()
      return { answers, npc.ctx.project_root == nil, next(npc.ctx.json) == nil, #events, #errors }
    ]])
    assert.are.same({ 1, true, true, 1, 0 }, result)
    child:stop()
  end)

  it("may call setup again", function()
    local w = workspace.new()
    local child = w:open("alpha", {
      setup = [[{
      on_load = function()
        note("old")
        npc.setup(vim.tbl_extend("force", options, { on_load = function() note("new") end }))
      end,
    }]],
    })
    child:lua("load_now(); load_now(); idle()")
    assert.are.same({ "old", "new" }, child:lua("return events"))
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)
end)

describe("a callback", function()
  it("that throws is reported, and the others still come", function()
    local child = workspace.new():open("alpha")
    local result = child:lua([[
      local answers = 0
      npc.load(function() error("thrown in a callback") end)
      npc.load(function() error("thrown in another") end)
      npc.load(function() answers = answers + 1 end)
      assert(settle(function() return answers == 1 end))
      return errors
    ]])
    assert.are.equal(2, #result)
    assert.is_truthy(result[1].message:find("thrown in a callback", 1, true))
    assert.is_truthy(result[2].message:find("thrown in another", 1, true))
    child:stop()
  end)

  it("that waits for another load gets it", function()
    local w = workspace.new({ config = { ["beta.json"] = '{"from": "beta"}' } })
    local child = w:open("alpha")
    local result = child:lua([[
      local seen = {}
      npc.load(function()
        npc.load(at("beta"), function(ctx) seen.other = ctx.json.from end)
        seen.other_in_time = vim.wait(8000, function() return seen.other end, 1)
        npc.load(function(ctx) seen.same = ctx.project_name end)
        seen.same_in_time = vim.wait(8000, function() return seen.same end, 1)
        seen.finished = true
      end)
      assert(settle(function() return seen.finished end))
      return seen
    ]])
    assert.are.same(
      { other = "beta", other_in_time = true, same = "alpha", same_in_time = true, finished = true },
      result
    )
    child:stop()
  end)
end)

describe("on_error", function()
  it("that throws loses neither the error nor the load", function()
    local w = workspace.new({ config = { ["alpha.lua"] = "error('in the file')", ["alpha.vim"] = "let g:ran = 1" } })
    local child = w:open("alpha", { setup = "{ on_error = function() error('in on_error') end }" })
    child:lua("assert(load_now()); idle()")
    assert.are.equal(1, child:lua("return vim.g.ran"))
    local text = vim.inspect(child:notifications())
    assert.is_truthy(text:find("in the file", 1, true), text)
    assert.is_truthy(text:find("in on_error", 1, true), text)
    child:stop()
  end)
end)

describe("on_clear", function()
  it("sees the context as it was, once", function()
    local w = workspace.new({ config = { ["alpha.json"] = '{"a": 1}' } })
    local child = w:open("alpha", {
      setup = [[{
      on_clear = function(ctx)
        note({ ctx.project_name, ctx.json.a, ctx == npc.ctx })
        npc.clear()
      end,
    }]],
    })
    child:lua("load_now(); npc.clear(); idle()")
    assert.are.same({ { "alpha", 1, true } }, child:lua("return events"))
    child:stop()
  end)

  it("that throws is reported, and the context is emptied", function()
    local child = workspace.new():open("alpha", { setup = "{ on_clear = function() error('in on_clear') end }" })
    local result = child:lua("load_now(); npc.clear(); return { npc.ctx.project_root == nil, errors }")
    assert.is_true(result[1])
    assert.are.equal(1, #result[2])
    assert.is_truthy(result[2][1].message:find("in on_clear", 1, true))
    child:stop()
  end)
end)
