-- What the user's code of a pipeline does wrong: told once, with the stage's name, and the load ends all the same.
local stages = require("tests.support.stages")
local workspace = require("tests.support.workspace")

local CONFIG = { ["alpha.json"] = '{ "json": "read" }', ["alpha.lua"] = "note('alpha.lua')" }

--- Loads with this pipeline, in an editor of its own. Whatever it is, the load ends and on_load is called.
---@param pipeline string Lua
---@param timeout_ms? integer
---@return { errors: test.Reported[], events: any[], told: table }, test.Child
local function load(pipeline, timeout_ms)
  local w = workspace.new({ config = CONFIG })
  local child = stages.open(w, "alpha", {
    setup = ([[{
      pipeline = %s,
      on_load = function(ctx) note("on_load " .. ctx.project_name) end,
    }]]):format(pipeline),
  })
  child:lua("npc.load(function(...) _G.answer = told(...) end)")
  child:wait("answer and vim.list_contains(events, 'on_load alpha') or nil", timeout_ms)
  child:lua("idle()")
  local result =
    { errors = child:lua("return errors"), events = child:lua("return events"), told = child:lua("return answer") }
  assert.are.equal("alpha", result.told.name)
  assert.are.same({}, child:notifications())
  -- Nothing was left behind that hinders the next load.
  assert.are.equal("alpha", child:lua("return told(load_with({ walk(), detect() })).name"))
  return result, child
end

--- One error, of this stage.
---@param result { errors: test.Reported[] }
---@param pattern string what the message begins with
---@param says? string what else is in it
local function assert_told_once(result, pattern, says)
  assert.are.equal(1, #result.errors, vim.inspect(result.errors))
  local err = result.errors[1]
  assert.is_truthy(err.message:find("^" .. pattern), err.message)
  assert.is_truthy(err.message:find(says or "", 1, true), err.message)
  assert.is_nil(err.message:find("stack traceback", 1, true), err.message)
end

local FUNCTION = "pipeline stage %d %%(function at init.lua:%%d+%%): "

describe("a stage that throws counts as one that has returned:", function()
  it("at once", function()
    local result = load("{ walk(), detect(), find_files(), function() error('on purpose') end, execute() }")
    assert_told_once(result, FUNCTION:format(4), "on purpose")
    assert.are.same({ "on_load alpha" }, result.events)
  end)

  it("in the middle: what it has sent counts", function()
    local result = load([[{ walk(), detect(), find_files(), function(_, rx, tx)
      tx(rx()) tx(rx())
      error({ reason = "in a table" })
    end, execute() }]])
    assert_told_once(result, FUNCTION:format(4), "in a table")
    assert.are.same({ "alpha.lua", "on_load alpha" }, result.events)
    assert.are.same({ "alpha.json", "alpha.lua" }, result.told.files)
  end)

  it("after it has waited", function()
    local result = load(
      "{ function(_, rx, tx) tx(rx()) pause() error('on purpose') end, walk(), detect(), find_files(), execute() }"
    )
    assert_told_once(result, FUNCTION:format(1), "on purpose")
    assert.are.same({ "alpha.lua", "on_load alpha" }, result.events)
  end)

  it("nil, and a string without a place", function()
    for _, thrown in ipairs({
      "error()",
      "error('bare', 0)",
      "error(nil, 0)",
      "error(setmetatable({}, { __tostring = error }))",
    }) do
      local result = load(("{ walk(), detect(), function() %s end, find_files(), execute() }"):format(thrown))
      assert_told_once(result, FUNCTION:format(3))
    end
  end)

  it("two of them are two errors", function()
    local result = load("{ function() error('one') end, walk(), function() error('two') end, detect() }")
    assert.are.equal(2, #result.errors)
    local text = result.errors[1].message .. result.errors[2].message
    assert.is_truthy(text:find("pipeline stage 1 (function", 1, true), text)
    assert.is_truthy(text:find("pipeline stage 3 (function", 1, true), text)
  end)

  it("behind execute", function()
    local result = load("{ walk(), detect(), find_files(), execute(), function(_, rx) rx() error('on purpose') end }")
    assert_told_once(result, FUNCTION:format(5), "on purpose")
    assert.are.same({ "alpha.lua", "on_load alpha" }, result.events)
  end)
end)

describe("a stage is no error that", function()
  it("returns early", function()
    local result = load(
      "{ walk(), function(_, rx, tx) tx(rx()) end, detect(), find_files(), function(_, rx, tx) tx(rx()) end, execute() }"
    )
    assert.are.same({}, result.errors)
    assert.are.same({ "alpha.json" }, result.told.files)
  end)

  it("never reads, and returns", function()
    local result = load("{ walk(), function() end, detect(), find_files(), execute(), function() end }")
    assert.are.same({}, result.errors)
    assert.are.same({ "alpha.lua", "on_load alpha" }, result.events)
  end)

  it("never reads, and lives on for a while: who sends to it waits, and is told when it has gone", function()
    local result, child = load([[{
      function(_, rx, tx)
        local sent = 0
        while tx(sent) do sent = sent + 1 end
        note({ "sent", sent })
        note(tx("nobody takes it"))
      end,
      function() for _ = 1, 20 do pause() end note("gone") end,
    }]])
    assert.are.same({}, result.errors)
    assert.are.same({ "gone", { "sent", 64 }, false, "on_load alpha" }, result.events)
    child:stop()
  end)

  it("sends where nobody receives", function()
    local result = load(
      "{ walk(), detect(), find_files(), execute(), function(_, rx, tx) for i = 1, 1000 do tx(i) end note('sent') end }"
    )
    assert.are.same({}, result.errors)
    assert.are.same({ "alpha.lua", "sent", "on_load alpha" }, result.events)
  end)

  it("asks for more after the end", function()
    local result =
      load("{ walk(), function(_, rx) while rx() ~= DONE do end for _ = 1, 10 do note(rx() == DONE) end end }")
    assert.are.same({}, result.errors)
    assert.are.equal(11, #result.events)
  end)
end)

describe("what a stage must not send raises in it:", function()
  --- What `tx(...)` raises in the stage, if it catches it.
  ---@param send string
  ---@param next_stage string
  ---@return string
  local function raised(send, next_stage)
    local result = load(([[{ walk(), detect(), function(_, rx, tx)
      local ok, err = pcall(function() %s end)
      note({ ok, tostring(err) })
    end, %s }]]):format(send, next_stage))
    assert.are.same({}, result.errors)
    local caught = result.events[1]
    assert.is_false(caught[1])
    return caught[2]
  end

  it("anything after DONE", function()
    assert.is_truthy(raised("tx(DONE) tx('late')", "pass()"):find("after DONE", 1, true))
    assert.is_truthy(raised("tx.send(DONE) tx.send('late')", "find_files()"):find("after DONE", 1, true))
  end)

  it("nil", function()
    assert.is_truthy(raised("tx(nil)", "pass()"):find("expected a value, got nil", 1, true))
    assert.is_truthy(raised("tx()", "find_files()"):find("got nil", 1, true))
  end)

  it("what is no string, to a native stage", function()
    for value, type_name in pairs({ ["{}"] = "table", ["5"] = "number", ["true"] = "boolean", ["print"] = "function" }) do
      local message = raised(("tx(%s)"):format(value), "find_files(), execute()")
      assert.is_truthy(message:find("expected a string", 1, true), message)
      assert.is_truthy(message:find("got " .. type_name, 1, true), message)
    end
  end)

  it("and is told once where the stage does not catch it", function()
    local result = load("{ walk(), detect(), function(_, rx, tx) tx(DONE) tx('late') end, find_files(), execute() }")
    assert_told_once(result, FUNCTION:format(3), "after DONE")
    assert.are.same({ "alpha.lua", "on_load alpha" }, result.events)
    result = load("{ walk(), detect(), function(_, rx, tx) tx({}) end, find_files(), execute() }")
    assert_told_once(result, FUNCTION:format(3), "expected a string")
  end)
end)

describe("strings that are no paths, sent to", function()
  local strings =
    [[{ "", "relative", "a\0b", "/absent/" .. ("x"):rep(300), "/dev/null", ("/x"):rep(5000), "\255\254", "/", "//", "/.." }]]

  it("detect: no match, no harm", function()
    local result = load(
      ([[{ function(_, rx, tx)
      for _, text in ipairs(%s) do tx(text) end
      tx(rx())
    end, detect({ matcher = ".git" }), detect({ matcher = m.pattern("^absent$") }), find_files(), execute() }]]):format(
        strings
      )
    )
    assert.are.same({ "alpha.lua", "on_load alpha" }, result.events)
  end)

  it("execute: an error for each at most, and the rest loads", function()
    local result = load(([[{ walk(), detect(), find_files(), function(_, rx, tx)
      for _, text in ipairs(%s) do tx(text) end
      for item in rx do if item == DONE then break end tx(item) end
    end, execute() }]]):format(strings))
    assert.are.same({ "alpha.lua", "on_load alpha" }, result.events)
    assert.are.same({ "alpha.json", "alpha.lua" }, result.told.files)
    for _, err in ipairs(result.errors) do
      assert.is_nil(err.message:find("defect", 1, true), err.message)
    end
  end)
end)

describe("a million items", function()
  it("from function to function", function()
    local result, child = load(
      [[{
      function(_, rx, tx) rx() for i = 1, 1e6 do tx(i) end end,
      function(_, rx) local sum = 0 for item in rx do if item == DONE then break end sum = sum + item end note(sum) end,
    }]],
      60000
    )
    assert.are.same({ 500000500000, "on_load alpha" }, result.events)
    assert.are.same({}, result.errors)
    child:stop()
  end)

  it("into native stages, one directory a million times", function()
    local result, child = load(
      [[{
      function(_, rx, tx) local dir = rx() for i = 1, 1e6 do tx(dir) end end,
      detect({ matcher = "absent" }),
      function(_, rx) local count = 0 while rx() ~= DONE do count = count + 1 end note(count) end,
    }]],
      90000
    )
    assert.are.same({ 1000000, "on_load alpha" }, result.events)
    assert.are.same({}, result.errors)
    child:stop()
  end)

  it("into execute, one file a million times: it runs once", function()
    local result, child = load(
      [[{
      walk(), detect(), find_files({ extensions = { ".lua" } }),
      function(_, rx, tx) local path = rx() for i = 1, 1e6 do tx(path) end end,
      execute(),
    }]],
      90000
    )
    assert.are.same({ "alpha.lua", "on_load alpha" }, result.events)
    assert.are.same({ "alpha.lua" }, result.told.files)
    child:stop()
  end)

  it("to nobody", function()
    local result, child = load("{ function(_, rx, tx) for i = 1, 1e6 do tx('x') end note('sent') end }", 60000)
    assert.are.same({ "sent", "on_load alpha" }, result.events)
    child:stop()
  end)

  it("do not keep the editor from answering", function()
    local w = workspace.new({ config = CONFIG })
    local child = stages.open(w, "alpha")
    local longest = child:lua([[
      -- The process's own time: on a machine that others use too, only that says who stood in the way.
      local last, longest, ended = os.clock(), 0, false
      local timer = vim.uv.new_timer()
      npc.load({ pipeline = {
        function(_, rx, tx) for i = 1, 3e5 do tx(i) end end,
        function(_, rx) while rx() ~= DONE do end end,
      } }, function() ended = true end)
      timer:start(0, 1, function()
        local now = os.clock()
        longest, last = math.max(longest, now - last), now
      end)
      assert(vim.wait(30000, function() return ended end, 1))
      timer:close()
      return longest * 1000
    ]])
    -- The plugin's own work holds the loop for 3 ms at a time.
    assert.is_true(longest < 20, ("the loop stood still for %.1f ms"):format(longest))
    child:stop()
  end)
end)

describe("a stage that yields nonsense", function()
  for _, value in ipairs({ "5", "'text'", "{}", "true" }) do
    it(value, function()
      local result = load(
        ("{ walk(), function(_, rx, tx) tx(rx()) coroutine.yield(%s) note('went on') end, detect(), find_files(), execute() }"):format(
          value
        )
      )
      local type_name = type(loadstring("return " .. value)())
      assert_told_once(result, FUNCTION:format(2), "yielded a " .. type_name)
      assert.are.same({ "alpha.lua", "on_load alpha" }, result.events)
    end)
  end

  it("an awaitable that throws", function()
    local result = load(
      "{ walk(), function(_, rx, tx) tx(rx()) coroutine.yield(function() error('on purpose') end, 1) end, detect(), find_files(), execute() }"
    )
    assert_told_once(result, FUNCTION:format(2), "on purpose")
    assert.are.same({ "alpha.lua", "on_load alpha" }, result.events)
  end)

  it("an awaitable that answers twice", function()
    local result = load([[{ walk(), function(_, rx, tx)
      coroutine.yield(function(step) vim.schedule(step) vim.schedule(step) end, 1)
      local dir = rx()
      pause()
      tx(dir)
    end, detect(), find_files(), execute() }]])
    assert.are.same({}, result.errors)
    assert.are.same({ "alpha.lua", "on_load alpha" }, result.events)
  end)
end)

describe("on_match", function()
  it("that throws accepts the directory, told once", function()
    local result = load(
      "{ walk(), detect({ matcher = '.git', on_match = function() error('on purpose') end }), find_files(), execute() }"
    )
    assert_told_once(result, "pipeline stage 2 %(detect%): on_match: ", "on purpose")
    assert.are.same({ "alpha.lua", "on_load alpha" }, result.events)
  end)

  it("that yields nonsense accepts the directory, told once", function()
    local result =
      load("{ walk(), detect({ on_match = function() coroutine.yield({}) end }), find_files(), execute() }")
    assert_told_once(result, "pipeline stage 2 %(detect%): on_match: ", "yielded a table")
    assert.are.same({ "alpha.lua", "on_load alpha" }, result.events)
  end)

  it("that writes nonsense into the project is told, and the load ends", function()
    for _, nonsense in ipairs({
      "ctx.project_name = 5",
      "ctx.project_root = {}",
      "ctx.projects = 'x'",
      "ctx.projects = { 5 }",
      "ctx.projects = { {} }",
      "ctx.projects = { { root = 'relative', name = 'alpha' } }",
      "ctx.project_name = ''",
    }) do
      local result =
        load(("{ walk(), detect({ on_match = function(ctx) %s end }), find_files(), execute() }"):format(nonsense))
      assert_told_once(result, "pipeline stage 2 %(detect%): on_match: ")
      assert.are.same({ "alpha.lua", "on_load alpha" }, result.events, nonsense)
    end
  end)
end)

describe("a finder", function()
  for finder, says in pairs({
    ["error('on purpose')"] = "on purpose",
    ["return 5"] = "expected a list of paths, got number",
    ["return nil"] = "expected a list of paths, got nil",
    ["return { 'relative.lua' }"] = "absolute",
    ["return { config_dir .. '/alpha.lua', 5 }"] = "expected string, got number",
    ["coroutine.yield(5)"] = "yielded a number",
  }) do
    it("that does " .. finder .. " finds nothing, told once", function()
      local result =
        load(("{ walk(), detect(), find_files({ finder = function() %s end }), execute() }"):format(finder))
      assert_told_once(result, "pipeline stage 3 %(find_files%): finder: ", says)
      assert.are.same({ "on_load alpha" }, result.events)
    end)
  end
end)

describe("a stage that does not look for DONE", function()
  for name, code in pairs({
    ["in a for loop"] = "function(_, rx, tx) for path in rx do tx(path) end end",
    ["in a loop without end"] = "function(_, rx, tx) while true do local p = rx() if p ~= DONE then tx(p) end end end",
  }) do
    it(name .. " is told so, and does not hold up the editor", function()
      local result = load(("{ walk(), detect(), find_files(), %s, execute() }"):format(code))
      assert_told_once(result, FUNCTION:format(4), "return when rx() gives pipeline.DONE")
      assert.are.same({ "alpha.lua", "on_load alpha" }, result.events)
    end)
  end
end)

describe("a stage's constructor that is not called", function()
  it("is told so", function()
    local result = load("{ walk(), detect(), find_files(), execute(), detect }")
    assert_told_once(
      result,
      "pipeline stage 5 %(function at detect.lua:%d+%): ",
      'put require("nvim-project-config.stages.detect")()'
    )
    assert.are.same({ "alpha.lua", "on_load alpha" }, result.events)
  end)
end)

describe("a matcher", function()
  it("that throws in walk, detect, find_files and a router is told once for each stage", function()
    local result = load([[{
      walk({ matcher = m.any(".git", function() error("one") end) }),
      detect({ matcher = m.all(".git", function() error("two") end) }),
      find_files({ matcher = m.any("alpha.lua", function() error("three") end) }),
      execute({ router = { { function() error("four") end, function() note("routed") end } } }),
    }]])
    assert.are.equal(4, #result.errors, vim.inspect(result.errors))
    for index, stage in ipairs({ "walk", "detect", "find_files", "execute" }) do
      local prefix = ("pipeline stage %d (%s): matcher: "):format(index, stage)
      local found = vim.tbl_filter(function(err)
        return vim.startswith(err.message, prefix)
      end, result.errors)
      assert.are.equal(1, #found, prefix)
    end
    assert.are.same({ "alpha.lua", "on_load alpha" }, result.events)
  end)
end)
