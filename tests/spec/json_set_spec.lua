-- Single settings by their path: npc.set, npc.get after it, npc.update, npc.save, npc.origin.
local saving = require("tests.support.saving")
local support = require("tests.support")
local workspace = require("tests.support.workspace")

local BEFORE = [[{
  "lsp": { "enabled": true, "level": 3 },
  "list": ["a", "b"],
  "tasks": [ { "name": "build" }, { "name": "test" } ],
  "digits": { "1": "one" },
  "a.b": ["first"],
  "null": null,
  "text": "scalar"
}]]

---@param config? test.Tree
---@param opts? test.OpenOptions
local function open(config, opts)
  local w = workspace.new({ config = config or { ["alpha.json"] = BEFORE } })
  local child = saving.open(w, "alpha", opts)
  child:lua("load_now(); forget_changes()")
  return child, w.config_dir .. "/alpha.json", w
end

local function with(change)
  local value = vim.json.decode(BEFORE)
  change(value)
  return value
end

describe("npc.set by a path", function()
  ---@type table<string, { [1]: string, [2]: fun(json: table) }> arguments, and what they do
  local cases = {
    ["follows a dotted path"] = {
      "'lsp.enabled', false",
      function(json)
        json.lsp.enabled = false
      end,
    },
    ["follows a list of keys"] = {
      "{ 'lsp', 'enabled' }, false",
      function(json)
        json.lsp.enabled = false
      end,
    },
    ["takes a key with a dot from a list of keys"] = {
      "{ 'a.b', 1 }, 'second'",
      function(json)
        json["a.b"] = { "second" }
      end,
    },
    ["takes a dot in a string for a step"] = {
      "'a.b', 1",
      function(json)
        json.a = { b = 1 }
      end,
    },
    ["takes the empty key"] = {
      "{ '' }, 1",
      function(json)
        json[""] = 1
      end,
    },
    ["takes the empty key on the way"] = {
      "{ 'lsp', '', 'x' }, 1",
      function(json)
        json.lsp[""] = { x = 1 }
      end,
    },
    ["counts the elements of a list from 1"] = {
      "{ 'list', 2 }, 'B'",
      function(json)
        json.list[2] = "B"
      end,
    },
    ["takes a number in a string for a position where there is a list"] = {
      "'list.1', 'A'",
      function(json)
        json.list[1] = "A"
      end,
    },
    ["takes a number in a string for a key where there is an object"] = {
      "'digits.1', 'uno'",
      function(json)
        json.digits["1"] = "uno"
      end,
    },
    ["takes a number in a string for a new key where there is an object"] = {
      "'digits.2', 'two'",
      function(json)
        json.digits["2"] = "two"
      end,
    },
    ["appends right behind the end of a list"] = {
      "'list.3', 'c'",
      function(json)
        json.list[3] = "c"
      end,
    },
    ["goes through the elements of a list"] = {
      "'tasks.2.env.A', '1'",
      function(json)
        json.tasks[2].env = { A = "1" }
      end,
    },
    ["makes the objects that are missing on the way"] = {
      "'dap.python.port', 5678",
      function(json)
        json.dap = { python = { port = 5678 } }
      end,
    },
    ["puts a value in the place of a scalar, of an object, of a list"] = {
      "'text', { 1 }); npc.set('lsp', 'scalar'); npc.set('list', { a = 1 }",
      function(json)
        json.text, json.lsp, json.list = { 1 }, "scalar", { a = 1 }
      end,
    },
    ["writes null"] = {
      "'lsp.level', vim.NIL",
      function(json)
        json.lsp.level = vim.NIL
      end,
    },
    ["writes false"] = {
      "'lsp.level', false",
      function(json)
        json.lsp.level = false
      end,
    },
    ["writes a table"] = {
      "'lsp.settings', { { a = { 1, { b = vim.NIL } } }, 'c' }",
      function(json)
        json.lsp.settings = { { a = { 1, { b = vim.NIL } } }, "c" }
      end,
    },
    ["deletes with nil"] = {
      "'lsp.level', nil",
      function(json)
        json.lsp.level = nil
      end,
    },
    ["deletes an object with nil"] = {
      "'lsp', nil",
      function(json)
        json.lsp = nil
      end,
    },
    ["deletes an element with nil, and those behind it move up"] = {
      "'list.1', nil",
      function(json)
        json.list = { "b" }
      end,
    },
    ["deletes what is not there without making anything on the way"] = {
      "'dap.python.port', nil",
      function() end,
    },
    ["deletes null"] = {
      "'null', nil",
      function(json)
        json.null = nil
      end,
    },
  }

  local w, child
  local names = vim.tbl_keys(cases)
  table.sort(names)
  setup(function()
    local work, config = {}, {}
    for index in ipairs(names) do
      work[("p%d/.git"):format(index)] = true
      config[("p%d.json"):format(index)] = BEFORE
    end
    w = workspace.new({ work = work, config = config })
    child = saving.open(w, "p1")
  end)
  teardown(function()
    child:stop()
  end)

  for index, name in ipairs(names) do
    it(name .. ", at once in the table and soon on disk", function()
      local arguments, change = unpack(cases[name])
      local expected = with(change)
      local result = child:lua(([[
        local ctx = load_now(at("p%d"))
        local ok, err = npc.set(%s)
        return { ok = ok, err = err and err.message, json = vim.deepcopy(ctx.json) }
      ]]):format(index, arguments))
      assert.are.same({ ok = true, json = expected }, result)
      saving.until_value(("%s/p%d.json"):format(w.config_dir, index), expected)
      assert.are.same({}, child:lua("return errors"))
    end)
  end

  it("is what npc.get returns, by any form of the path", function()
    assert.are.same(
      { 1, 1, 2, "b", "default", true },
      child:lua([[
        npc.set("x.y", 1); npc.set({ "with.dot", "z" }, 2)
        return {
          npc.get("x.y"), npc.get({ "x", "y" }), npc.get({ "with.dot", "z" }), npc.get({ "list", 2 }),
          npc.get("with.dot.z", "default"), npc.get("x") == npc.ctx.json.x,
        }
      ]])
    )
  end)
end)

describe("npc.set", function()
  it("keeps the tables that it goes through", function()
    local child, path = open()
    assert.are.same(
      { true, 4, true },
      child:lua([[
        local json = npc.ctx.json
        local lsp = json.lsp
        npc.set("lsp.level", 4)
        return { npc.ctx.json == json and json.lsp == lsp, lsp.level, lsp.enabled }
      ]])
    )
    saving.until_value(
      path,
      with(function(json)
        json.lsp.level = 4
      end)
    )
    child:stop()
  end)

  it("takes up what was assigned before it in the same tick, in the order of the calls", function()
    local child, path = open()
    child:lua([[
      local json = npc.ctx.json
      json.lsp.level = 4
      npc.set("lsp.level", 5)
      npc.set("lsp.more", 1)
      json.lsp.more = 2
      json.assigned = true
    ]])
    saving.until_value(
      path,
      with(function(json)
        json.lsp.level, json.lsp.more, json.assigned = 5, 2, true
      end)
    )
    child:stop()
  end)

  it("writes nothing where the value is what it was", function()
    local child, path = open()
    local before = saving.identity(path)
    child:lua("npc.set('lsp.level', 3); npc.set('list', { 'a', 'b' }); npc.set('none', nil); saved()")
    assert.are.same(before, saving.identity(path))
    assert.are.same({}, child:lua("return changes"))
    child:stop()
  end)

  it("returns an error where the path leads through a scalar or beyond a list, and changes nothing", function()
    local child, path = open()
    for _, at in ipairs({
      "'text.below'",
      "'lsp.level.below.it'",
      "'null.below'",
      "{ 'list', 1, 'below' }",
      "'list.4'",
      "{ 'list', 4 }",
      "{ 'list', 0 }",
      "'list.key'",
      "{ 'list', -1 }",
    }) do
      local result =
        child:lua(("local ok, err = npc.set(%s, 1); return { ok == nil, err.code, tostring(err) }"):format(at))
      assert.are.same({ true, "invalid_argument" }, { result[1], result[2] }, at)
      assert.is_true(#result[3] > 0)
    end
    assert.are.same(vim.json.decode(BEFORE), child:lua("return npc.ctx.json"))
    child:lua("saved()")
    assert.are.equal(BEFORE, support.read(path))
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it("returns an error for a value that JSON cannot hold, and changes nothing", function()
    local child, path = open()
    for _, value in ipairs({
      "print",
      "vim.uv.new_async(function() end)",
      "coroutine.create(function() end)",
      "0 / 0",
      "math.huge",
      "-math.huge",
      "(function() local t = {}; t.t = t; return t end)()",
      "{ 1, nil, 3 }",
      "{ 1, key = 2 }",
      "{ [true] = 1 }",
      "{ [2] = 1 }",
      "{ deep = { er = { 1, { print } } } }",
      [["\255"]],
      [[{ ["\255"] = 1 }]],
    }) do
      local result = child:lua(([[
        local ok, err = npc.set("lsp.level", %s)
        return { ok == nil, err.code, tostring(err) }
      ]]):format(value))
      assert.are.same({ true, "unsupported_value" }, { result[1], result[2] }, value)
      assert.is_truthy(result[3]:find("lsp.level", 1, true), result[3])
    end
    assert.are.same(vim.json.decode(BEFORE), child:lua("return npc.ctx.json"))
    child:lua("saved()")
    assert.are.equal(BEFORE, support.read(path))
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it("refuses what is nested deeper than a file may be", function()
    local child, path = open()
    local result = child:lua([[
      local deep = {}
      for _ = 1, 1000000 do deep = { deep } end
      local ok, err = npc.set("deep", deep)
      return { ok == nil, type(err.code), npc.ctx.json.deep == nil }
    ]])
    assert.are.same({ true, "string", true }, result)
    child:lua("saved()")
    assert.are.equal(BEFORE, support.read(path))
    child:stop()
  end)

  it("raises for what is no path", function()
    local child = open()
    for _, path in ipairs({ "nil", "1", "true", "{}", "{ 'a', {} }", "{ true }", "{ 1.5 }", "print", "vim.NIL" }) do
      local ok, err = unpack(child:lua(("return { pcall(npc.set, %s, 1) }"):format(path)))
      assert.is_false(ok, path)
      assert.is_truthy(tostring(err):find("path", 1, true), tostring(err))
    end
    child:stop()
  end)

  it("works before anything is loaded, and keeps the value for the project", function()
    local w = workspace.new({ config = { ["alpha.json"] = '{"b": 1}' } })
    local child = saving.open(w, "alpha", { without_setup = true })
    assert.are.same(
      { true, 1 },
      child:lua("local ok = npc.set('a.x', 1); npc.ctx.config_dir = config_dir; return { ok, npc.get('a.x') }")
    )
    assert.are.same({ a = { x = 1 }, b = 1 }, child:lua("return load_now({ config_dir = config_dir }).json"))
    saving.until_value(w.config_dir .. "/alpha.json", { a = { x = 1 }, b = 1 })
    child:stop()
  end)
end)

describe("npc.update", function()
  it("gives the function what is on disk at that moment, and writes what it returns", function()
    local child, path = open({ ["alpha.json"] = '{"count": 1, "other": 1}' })
    support.write(path, '{"count": 41, "other": 2, "new": true}')
    local answer = child:lua([[
      return answer_of(function(callback)
        npc.update("count", function(old) note(old); return old + 1 end, callback)
      end)
    ]])
    assert.are.same({ ok = true, inside = false, count = 1 }, answer)
    assert.are.equal('{"count": 42, "other": 2, "new": true}', support.read(path))
    assert.are.same({ 41 }, child:lua("return events"))
    assert.are.equal(42, child:lua("return npc.ctx.json.count"))
    child:stop()
  end)

  it("gives nil where there is nothing, and makes the file if need be", function()
    local child, path = open({})
    child:lua([[
      answer_of(function(callback)
        npc.update("a.b", function(old) note(old == nil); return { 1 } end, callback)
      end)
      answer_of(function(callback)
        npc.update({ "a", "b" }, function(old) table.insert(old, 2); return old end, callback)
      end)
    ]])
    assert.are.same({ true }, child:lua("return events"))
    assert.are.same({ a = { b = { 1, 2 } } }, saving.value(path))
    assert.are.same({ a = { b = { 1, 2 } } }, child:lua("return npc.ctx.json"))
    child:stop()
  end)

  it("deletes where the function returns nil", function()
    local child, path = open({ ["alpha.json"] = '{"a": 1, "b": 2}' })
    assert.is_true(child:lua([[
      return answer_of(function(callback) npc.update("a", function() return nil end, callback) end).ok
    ]]))
    assert.are.same({ b = 2 }, saving.value(path))
    assert.are.same({ b = 2 }, child:lua("return npc.ctx.json"))
    child:stop()
  end)

  it("counts up under every update of a tick, and after what was set before it", function()
    local child, path = open({ ["alpha.json"] = '{"n": 0}' })
    child:lua([[
      npc.set("n", 100)
      local left = 50
      for _ = 1, 50 do
        npc.update("n", function(old) return old + 1 end, function(ok, err)
          assert(ok, tostring(err))
          left = left - 1
        end)
      end
      assert(settle(function() return left == 0 end))
    ]])
    assert.are.same({ n = 150 }, saving.value(path))
    child:wait("npc.ctx.json.n == 150")
    child:stop()
  end)

  it("asks the function again when somebody else has written in between", function()
    local child, path = open({ ["alpha.json"] = '{"n": 1}' })
    local answer = child:lua(
      [[
      local path = ...
      return answer_of(function(callback)
        npc.update("n", function(old)
          note(old)
          if #events == 1 then vim.fn.writefile({ '{"n": 100, "theirs": true}' }, path) end
          return old + 1
        end, callback)
      end)
    ]],
      path
    )
    assert.is_true(answer.ok)
    assert.are.same({ 1, 100 }, child:lua("return events"))
    assert.are.same({ n = 101, theirs = true }, saving.value(path))
    child:stop()
  end)

  it("lets the function call the plugin: no lock is held meanwhile", function()
    local child, path = open({ ["alpha.json"] = '{"n": 1}' })
    local answer = child:lua([[
      local inner
      return answer_of(function(callback)
        npc.update("n", function(old)
          if not inner then
            inner = true
            npc.set("set.inside", true)
            saved()
          end
          return old + 1
        end, callback)
      end)
    ]])
    assert.is_true(answer.ok)
    assert.are.same({ n = 2, set = { inside = true } }, saving.value(path))
    child:stop()
  end)

  it("says what went wrong and leaves the file as it was", function()
    local failures = {
      { "function() error('thrown on purpose') end", "runtime", "thrown on purpose" },
      { "function(old) table.insert(old, 4) end", "invalid_argument", "returned nothing" },
      { "function() end", "invalid_argument", "returned nothing", path = "{ 'list', 1 }" },
      { "function() error({ an = 'object' }) end", "runtime", "object" },
      { "function() return print end", "unsupported_value", "list" },
      { "function() return 0 / 0 end", "unsupported_value", "list" },
      { "function(old) old[4] = 1; return old end", "unsupported_value", "list" },
      { "function() return 1 end", "invalid_argument", "text", path = "'text.below'" },
    }
    local child, path = open()
    for _, case in ipairs(failures) do
      local answer = child:lua(([[
        return answer_of(function(callback) npc.update(%s, %s, callback) end)
      ]]):format(case.path or "'list'", case[1]))
      assert.are.same({ case[2], 1, false }, { answer.code, answer.count, answer.inside }, case[1])
      assert.is_nil(answer.ok)
      assert.is_truthy(answer.message:find(case[3], 1, true), answer.message)
    end
    assert.are.equal(BEFORE, support.read(path))
    assert.are.same(vim.json.decode(BEFORE), child:lua("return npc.ctx.json"))
    support.write(path, '{\n  "n": ,\n}')
    local answer = child:lua([[
      return answer_of(function(callback)
        npc.update("n", function() note("called"); return 1 end, callback)
      end)
    ]])
    assert.are.same({ "syntax", path, 2 }, { answer.code, answer.path, answer.line })
    assert.are.same({}, child:lua("return events"))
    assert.are.equal('{\n  "n": ,\n}', support.read(path))
    child:stop()
  end)

  it("answers no_project before anything is loaded", function()
    local child = saving.open(workspace.new(), "alpha")
    local answer = child:lua([[
      return answer_of(function(callback) npc.update("n", function() return 1 end, callback) end)
    ]])
    assert.are.same({ code = "no_project", count = 1 }, { code = answer.code, count = answer.count })
    child:stop()
  end)

  it("reports what goes wrong where there is no callback", function()
    local child, path = open({ ["alpha.json"] = '{"n": {}}' })
    child:lua([[
      npc.update("n.a", function() error("first") end)
      npc.update("n.a", function() return print end)
      npc.update({ "\255" }, function() return 1 end)
      assert(settle(function() return #errors == 3 end))
      npc.clear()
      npc.update("n.a", function() return 1 end)
      assert(settle(function() return #errors == 4 end))
    ]])
    local codes = vim.tbl_map(function(err)
      return err.code
    end, child:lua("return errors"))
    table.sort(codes)
    assert.are.same({ "no_project", "runtime", "unsupported_value", "unsupported_value" }, codes)
    assert.are.same({ n = {} }, saving.value(path))
    child:stop()
  end)

  it("may be called without a callback, from a coroutine, and from a fast event", function()
    local child, path = open({ ["alpha.json"] = '{"n": 0}' })
    child:lua("npc.update('n', function(old) return old + 1 end)")
    saving.until_value(path, { n = 1 })
    child:lua([[
      coroutine.wrap(function()
        npc.update("n", function(old) return old + 1 end, function(ok) note({ "coroutine", ok }) end)
      end)()
      assert(settle(function() return #events == 1 end))
      local timer = vim.uv.new_timer()
      timer:start(0, 0, function()
        timer:close()
        npc.update("n", function(old) note(vim.in_fast_event()); return old + 1 end, function(ok)
          note({ "fast event", ok, vim.in_fast_event() })
        end)
      end)
      assert(settle(function() return #events == 3 end))
    ]])
    assert.are.same({ { "coroutine", true }, false, { "fast event", true, false } }, child:lua("return events"))
    assert.are.same({ n = 3 }, saving.value(path))
    child:stop()
  end)

  it("raises for wrong arguments", function()
    local child = open()
    for arguments, named in pairs({
      ["nil, print"] = "path",
      ["{}, print"] = "path",
      ["1, print"] = "path",
      ["'a', 1"] = "function",
      ["'a'"] = "function",
      ["'a', print, 1"] = "callback",
    }) do
      local ok, err = unpack(child:lua(("return { pcall(npc.update, %s) }"):format(arguments)))
      assert.is_false(ok, arguments)
      assert.is_truthy(tostring(err):find(named, 1, true), tostring(err))
    end
    child:stop()
  end)
end)

describe("npc.save", function()
  it("answers once the data is on disk, later, and once", function()
    local child, path = open()
    local result = child:lua(
      [[
      local path = ...
      npc.ctx.json.lsp.level = 4
      local text
      local answer = answer_of(function(callback)
        npc.save(function(...)
          text = table.concat(vim.fn.readfile(path), "\n")
          callback(...)
        end)
      end)
      return { answer, vim.json.decode(text).lsp.level }
    ]],
      path
    )
    assert.are.same({ { ok = true, count = 1, inside = false }, 4 }, result)
    child:stop()
  end)

  it("with nothing to save answers and writes nothing", function()
    local child, path = open()
    local before = saving.identity(path)
    assert.are.same(
      { ok = true, count = 1, inside = false },
      child:lua("return answer_of(function(callback) npc.save(callback) end)")
    )
    assert.are.same(before, saving.identity(path))
    child:stop()
  end)

  it("answers no_project while a context without a project holds values, and true while it holds none", function()
    local w = workspace.new()
    local child = saving.open(w, "alpha")
    assert.is_true(child:lua("return (save_now())"))
    child:lua("npc.ctx.json.a = 1")
    local answer = child:lua("return answer_of(function(callback) npc.save(callback) end)")
    assert.are.same({ "no_project", 1 }, { answer.code, answer.count })
    assert.are.same({}, vim.fn.readdir(w.config_dir))
    child:lua("load_now(); saved()")
    assert.are.same({ a = 1 }, saving.value(w.config_dir .. "/alpha.json"))
    child:stop()
  end)

  it("saves every context, the current one or not", function()
    local child, _, w = open({ ["alpha.json"] = '{"a": {}}', ["beta.json"] = '{"b": {}}' })
    child:lua([[
      local alpha = npc.ctx.json.a
      local beta = load_now(at("beta")).json.b
      saved()
      idle()
      alpha.n, beta.n = 1, 2
      saved()
    ]])
    assert.are.same({ a = { n = 1 } }, saving.value(w.config_dir .. "/alpha.json"))
    assert.are.same({ b = { n = 2 } }, saving.value(w.config_dir .. "/beta.json"))
    child:stop()
  end)

  it("answers everybody who asked, also without a callback", function()
    local child, path = open({ ["alpha.json"] = '{"n": 0}' })
    local result = child:lua([[
      local answers, oks = 0, 0
      npc.save()
      for i = 1, 100 do
        npc.ctx.json.n = i
        npc.save(function(ok) answers, oks = answers + 1, oks + (ok == true and 1 or 0) end)
      end
      assert(settle(function() return answers >= 100 end))
      idle()
      return { answers, oks }
    ]])
    assert.are.same({ 100, 100 }, result)
    assert.are.same({ n = 100 }, saving.value(path))
    child:stop()
  end)

  it("answers with the error of the file that cannot be saved, and saves the others", function()
    local child, path, w = open({ ["alpha.json"] = '{"n": 1}', ["beta.json"] = '{"n": 1}' })
    support.write(path, '{\n  "n": 1,\n  oops\n}')
    local answer = child:lua([[
      npc.ctx.json.n = 2
      load_now(at("beta")).json.n = 3
      return answer_of(function(callback) npc.save(callback) end)
    ]])
    assert.are.same({ "syntax", path, 3, 3, 1 }, { answer.code, answer.path, answer.line, answer.column, answer.count })
    assert.are.same({ n = 3 }, saving.value(w.config_dir .. "/beta.json"))
    assert.are.equal('{\n  "n": 1,\n  oops\n}', support.read(path))
    child:stop()
  end)

  it("survives a callback that throws", function()
    local child = open()
    child:lua([[
      npc.ctx.json.lsp.level = 4
      npc.save(function() error("thrown on purpose") end)
      saved()
    ]])
    child:stop()
  end)

  it("raises for a callback that is none", function()
    local child = open()
    local ok, err = unpack(child:lua("return { pcall(npc.save, 1) }"))
    assert.is_false(ok)
    assert.is_truthy(tostring(err):find("callback", 1, true), tostring(err))
    child:stop()
  end)
end)

describe("npc.origin", function()
  local NEST = { ["big/.git"] = true, ["big/packages/web/package.json"] = "{}" }

  it("names the file and the line of a setting, an object, an element", function()
    local w = workspace.new({
      work = NEST,
      config = {
        ["big.json"] = '{\n  // ours\n  "outer": {\n    "x": 1\n  },\n  "shared": 1\n}\n',
        ["big/web.json"] = '{\n  "lsp": {\n    "enabled": true,\n    "a.b": 1\n  },\n  "list": [\n    "a",\n    { "k": 1 }\n  ]\n}\n',
        ["big/web/more.json"] = '{\n\n  "shared": 2, "same line": { "z": 1 }\n}',
      },
    })
    local child = saving.open(w, "big/packages/web")
    child:lua("load_now()")
    for path, expected in pairs({
      ["'lsp.enabled'"] = { "big/web.json", 3 },
      ["'lsp'"] = { "big/web.json", 2 },
      ["{ 'lsp', 'a.b' }"] = { "big/web.json", 4 },
      ["'list'"] = { "big/web.json", 6 },
      ["'list.1'"] = { "big/web.json", 7 },
      ["{ 'list', 2, 'k' }"] = { "big/web.json", 8 },
      ["'outer.x'"] = { "big.json", 4 },
      ["'shared'"] = { "big/web/more.json", 3 },
      ["'same line.z'"] = { "big/web/more.json", 3 },
    }) do
      assert.are.same(
        { w.config_dir .. "/" .. expected[1], expected[2] },
        child:lua(("return { npc.origin(%s) }"):format(path)),
        path
      )
    end
    for _, path in ipairs({ "'none'", "'lsp.none'", "'lsp.enabled.below'", "'list.3'", "{ 'shared', 1 }" }) do
      assert.is_true(child:lua(("return npc.origin(%s) == nil"):format(path)), path)
    end
    child:stop()
  end)

  it("follows what is saved: no line before, the line of now after", function()
    local child, path = open({ ["alpha.json"] = '{\n  "a": 1,\n  "z": 1\n}\n' })
    assert.are.same({ path }, child:lua("npc.set('new', 1); return { npc.origin('new') }"))
    assert.are.same({ path, 4 }, child:lua("saved(); return { npc.origin('new') }"))
    assert.are.same({ path, 2 }, child:lua("npc.set('a', nil); saved(); return { npc.origin('z') }"))
    assert.are.same({ path, 3 }, child:lua("return { npc.origin('new') }"))
    assert.is_true(child:lua("return npc.origin('a') == nil"))
    child:stop()
  end)

  it("of an unsaved value is the file that it will be written to", function()
    local child, path = open({})
    assert.are.same({ path }, child:lua("npc.ctx.json.new = { deep = 1 }; return { npc.origin('new.deep') }"))
    assert.are.same({ path, 3 }, child:lua("saved(); return { npc.origin('new.deep') }"))
    child:stop()
  end)

  it("follows a change on disk that a load has merged", function()
    local child, path = open({ ["alpha.json"] = '{\n  "a": 1\n}\n' })
    support.write(path, '{\n\n\n  "a": 1\n}\n')
    assert.are.same({ path, 4 }, child:lua("load_now(); return { npc.origin('a') }"))
    child:stop()
  end)
end)
