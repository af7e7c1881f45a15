-- pipeline.run and pipeline.stop: a load on a context with stages of one's own, in every form.
local stages = require("tests.support.stages")
local workspace = require("tests.support.workspace")

local WORK = { ["alpha/.git"] = true, ["alpha/src"] = true, ["beta/.git"] = true }
local CONFIG = { ["alpha.lua"] = "note('alpha.lua')", ["beta.lua"] = "note('beta.lua')", ["alpha.json"] = '{ "a": 1 }' }
local STAGES = "{ walk(), pass(), detect({ matcher = '.git' }), find_files(), execute() }"

---@param setup? string
---@return test.Child, test.Workspace
local function open(setup)
  local w = workspace.new({ work = WORK, config = CONFIG })
  local child =
    stages.open(w, "alpha", { setup = setup, before = ("function _G.stages_() return %s end"):format(STAGES) })
  return child, w
end

describe("pipeline.run(ctx, stages, start_dir", function()
  it(", callback): returns at once, and answers once, later", function()
    local child = open()
    local result = child:lua([[
      local answers = {}
      local returned = { pipeline.run(npc.ctx, stages_(), work .. "/alpha/src", function(...) table.insert(answers, { ... }) end) }
      local inside = #answers
      assert(settle(function() return #answers > 0 end))
      idle()
      return { #returned, inside, #answers, answers[1][1] == npc.ctx, answers[1][2] == nil, npc.ctx.project_name, npc.ctx.json.a }
    ]])
    assert.are.same({ 0, 0, 1, true, true, "alpha", 1 }, result)
    assert.are.same({ "alpha.lua" }, child:lua("return events"))
    child:stop()
  end)

  it(") in a coroutine: awaits", function()
    local child = open()
    local result = child:lua([[
      local result
      coroutine.wrap(function()
        local ctx, err = pipeline.run(npc.ctx, stages_(), work .. "/beta")
        local none, problem = pipeline.run(npc.ctx, stages_(), work .. "/absent")
        result = { ctx.project_name, err == nil, none == nil, problem.code }
      end)()
      assert(settle(function() return result end))
      return result
    ]])
    assert.are.same({ "beta", true, true, "not_found" }, result)
    child:stop()
  end)

  it(") elsewhere: only starts it", function()
    local child = open("{ on_load = function(ctx) note('on_load ' .. ctx.project_name) end }")
    local result = child:lua([[
      local returned = { pipeline.run(npc.ctx, stages_(), work .. "/beta") }
      assert(settle(function() return #events == 2 end))
      return { #returned, events }
    ]])
    assert.are.same({ 0, { "beta.lua", "on_load beta" } }, result)
    child:stop()
  end)

  it(") without a directory begins at the project's root, else at the current one", function()
    local child = open()
    local result = child:lua([[
      local seen = {}
      local function run(ctx)
        local ended
        pipeline.run(ctx, { collect(seen) }, nil, function() ended = true end)
        assert(settle(function() return ended end))
      end
      run(npc.ctx)
      local beta = load_now(at("beta"))
      vim.cmd.cd(work)
      run(beta)
      return vim.tbl_map(function(dir) return dir:sub(#work + 2) end, seen)
    ]])
    assert.are.same({ "alpha", "beta" }, result)
    child:stop()
  end)

  it(") leaves the context's own pipeline as it is", function()
    local child = open("{ pipeline = { walk(), detect({ matcher = '.git' }), find_files(), execute() } }")
    local result = child:lua([[
      local own = npc.ctx.pipeline
      local ctx
      pipeline.run(npc.ctx, { detect({ matcher = ".git" }) }, work .. "/alpha", function(loaded) ctx = loaded end)
      assert(settle(function() return ctx end))
      local same = ctx.pipeline == own
      local before = #events
      return { same, before, load_now(ctx).project_name, events }
    ]])
    assert.are.same({ true, 0, "alpha", { "alpha.lua" } }, result)
    child:stop()
  end)

  it(") without an execute stage leaves the settings as they are", function()
    local child = open()
    local result = child:lua([[
      local ctx = load_now(at("alpha"))
      local json, before = ctx.json, vim.deepcopy(ctx.json)
      ctx.json.changed = true
      local again
      pipeline.run(ctx, { walk(), detect({ matcher = ".git" }) }, nil, function(loaded) again = loaded end)
      assert(settle(function() return again end))
      before.changed = true
      return { again == ctx, ctx.json == json, vim.deep_equal(json, before), next(before) ~= "changed" or next(before, "changed") ~= nil }
    ]])
    assert.are.same({ true, true, true, true }, result)
    child:stop()
  end)

  it(") inside a coroutine of a stage, for another directory", function()
    local child = open()
    local result = child:lua([[
      local current = npc.ctx
      return told(load_with({ walk(), detect({ matcher = ".git" }), function(ctx, rx)
        while rx() ~= DONE do end
        local other, err = pipeline.run(current, stages_(), work .. "/beta")
        note(other and other.project_name or err.code)
      end, find_files(), execute() }))
    ]])
    assert.are.equal("alpha", result.name)
    assert.are.same({ "beta.lua", "beta", "alpha.lua" }, child:lua("return events"))
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it(") on an independent context", function()
    local child = open()
    local result = child:lua([[
      local mine = npc.new({ config_dir = config_dir, loading = { on = "manual" } })
      local ctx
      pipeline.run(mine, stages_(), work .. "/beta", function(loaded) ctx = loaded end)
      assert(settle(function() return ctx end))
      return { ctx.project_name, npc.ctx ~= ctx, npc.ctx.project_name == nil }
    ]])
    assert.are.same({ "beta", true, true }, result)
    child:stop()
  end)

  it(") with wrong arguments raises, naming the argument", function()
    local child = open()
    for call, says in pairs({
      ["pipeline.run(nil, {}, '/')"] = "ctx: expected a context, got nil",
      ["pipeline.run({}, {}, '/')"] = "ctx: expected a context, got table",
      ["pipeline.run(npc.ctx, 5, '/')"] = "expected table, got number",
      ["pipeline.run(npc.ctx, nil, '/')"] = "got nil",
      ["pipeline.run(npc.ctx, { walk = true }, '/')"] = "expected a list of stages",
      ["pipeline.run(npc.ctx, {}, 5)"] = "start_dir: expected string, got number",
      ["pipeline.run(npc.ctx, {}, '/', 5)"] = "callback: expected function, got number",
      ["pipeline.stop()"] = "ctx: expected a context, got nil",
      ["pipeline.stop({})"] = "ctx: expected a context, got table",
    }) do
      local result = child:lua(("return { pcall(function() %s end) }"):format(call))
      assert.is_false(result[1], call .. " raised no error")
      assert.are.equal("nvim-project-config: ", result[2]:match("nvim%-project%-config: "), call)
      assert.is_truthy(result[2]:find(says, 1, true), ("%s: %s"):format(call, result[2]))
    end
    child:stop()
  end)
end)

describe("pipeline.stop(ctx)", function()
  it("ends the context's loads with cancelled and forgets nothing", function()
    local child = open()
    local result = child:lua([[
      local alpha = load_now()
      alpha.mine = "kept"
      local codes = {}
      for _ = 1, 3 do
        npc.load({ pipeline = { walk(), function(_, rx) _G.held = true coroutine.yield() end } }, function(_, err) table.insert(codes, err.code) end)
      end
      assert(settle(function() return held end))
      pipeline.stop(alpha)
      assert(settle(function() return #codes == 3 end))
      idle()
      return { codes, npc.ctx == alpha, alpha.project_name, alpha.project_root ~= nil, alpha.mine, alpha.json.a, vim.tbl_count(alpha._files_loaded), #events }
    ]])
    assert.are.same({ { "cancelled", "cancelled", "cancelled" }, true, "alpha", true, "kept", 1, 2, 1 }, result)
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it("leaves the loads of other contexts alone", function()
    local child = open()
    local result = child:lua([[
      local alpha = load_now()
      local beta = load_now(at("beta"))
      local answer, held
      pipeline.run(alpha, { walk(), function(_, rx, tx) rx() held = coroutine.running() coroutine.yield() tx(work .. "/alpha") end, detect() }, nil,
        function(ctx, err) answer = ctx and ctx.project_name or err.code end)
      assert(settle(function() return held end))
      pipeline.stop(beta)
      idle()
      assert(answer == nil, answer)
      coroutine.resume(held)
      assert(settle(function() return answer end))
      return answer
    ]])
    assert.are.equal("alpha", result)
    child:stop()
  end)

  it("does nothing where nothing runs, as often as one likes", function()
    local child = open()
    local result = child:lua([[
      pipeline.stop(npc.ctx)
      local ctx = load_now()
      pipeline.stop(ctx)
      pipeline.stop(ctx)
      return { npc.ctx == ctx, ctx.project_name, load_now(ctx).project_name }
    ]])
    assert.are.same({ true, "alpha", "alpha" }, result)
    child:stop()
  end)

  it("calls no on_clear", function()
    local child = open("{ on_clear = function() note('on_clear') end }")
    child:lua("load_now() pipeline.stop(npc.ctx) idle()")
    assert.are.same({ "alpha.lua" }, child:lua("return events"))
    child:stop()
  end)

  it("called in a config file ends that very load", function()
    local w = workspace.new({
      config = {
        ["alpha.lua"] = "require('nvim-project-config.pipeline').stop(npc.ctx) note('after')",
        ["alpha/more.lua"] = "note('more.lua')",
      },
    })
    local child = stages.open(w, "alpha")
    assert.are.same({ "cancelled" }, child:lua("local _, err = load_now() idle() return { err and err.code }"))
    assert.are.same({ "after" }, child:lua("return events"))
    child:stop()
  end)
end)
