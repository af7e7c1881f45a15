-- What JSON cannot hold is refused with its path, and everything else that was changed in the same tick is saved. What JSON can hold
-- comes back as what it was; what nobody changed keeps its bytes, however odd.
local editor = require("tests.support.fault_editor")
local support = require("tests.support")
local workspace = require("tests.support.workspace")

--- Key under which each is assigned → Lua expression.
local refused = {
  bad_function = "function() end",
  bad_builtin = "print",
  bad_userdata = "io.stdout",
  bad_timer = "vim.uv.new_timer()",
  bad_thread = "coroutine.create(function() end)",
  bad_cdata = "require('ffi').new('int64_t', 1)",
  bad_nan = "0 / 0",
  bad_infinite = "math.huge",
  bad_minus_infinite = "-math.huge",
  bad_cycle_direct = "(function() local t = {}; t.again = t; return t end)()",
  bad_cycle_by_list = "(function() local t = {}; t[1] = { t }; return t end)()",
  bad_hole = "{ 1, nil, 3 }",
  bad_hole_at_first = "{ [2] = 1 }",
  bad_sparse = "{ [1] = 1, [1000000000] = 2 }",
  bad_mixed = "{ 1, named = 2 }",
  bad_key_false = "{ [false] = 1 }",
  bad_key_zero = "{ [0] = 1 }",
  bad_key_negative = "{ [-1] = 1 }",
  bad_key_fraction = "{ [1.5] = 1 }",
  bad_key_table = "{ [{}] = 1 }",
  bad_key_not_utf8 = [[{ ["\255"] = 1 }]],
  bad_not_utf8 = [["\255"]],
  bad_half_character = [["\226\130"]],
  bad_surrogate = [["\237\160\128"]],
  bad_in_list = "{ 1, print, 3 }",
  bad_deeper_than_files_are_read = "nested(300)",
  bad_million_deep = "nested(1000000)",
  bad_million_lists_deep = "nested(1000000, true)",
}

-- Around those that are refused: what was assigned before, between and after them, in the same tick.
local NESTED = [[
  function _G.nested(depth, lists)
    local value = {}
    for _ = 1, depth do value = lists and { value } or { deeper = value } end
    return value
  end
]]

describe("a value that JSON cannot hold", function()
  local w, child

  before_each(function()
    w = workspace.new({ config = { ["alpha.json"] = '{\n  "keep": { "x": 1.0 }, // as it is\n  "n": 0\n}\n' } })
    child = editor.open(w, "alpha", { before = NESTED })
  end)

  after_each(function()
    child:stop()
  end)

  it("is refused with its path, and what was assigned in the same tick is saved", function()
    local names = vim.fn.sort(vim.tbl_keys(refused))
    local code = { "local json = npc.ctx.json", "json.n = 1" }
    for index, name in ipairs(names) do
      table.insert(code, ("json.%s = %s"):format(name, refused[name]))
      table.insert(code, ("json.good_%d = %d"):format(index, index))
    end
    child:lua(table.concat(code, "\n"))
    assert.are.same({ ok = true }, child:lua("return save_now()"))
    local errors = child:lua("return errors")
    -- Each is named by one error.
    local unnamed = {}
    for _, err in ipairs(errors) do
      assert.are.equal("unsupported_value", err.code, err.message)
      assert.is_true(#err.message < 10000, "nobody can read that")
    end
    for _, name in ipairs(names) do
      local about = vim.tbl_filter(function(err)
        return err.message:find("%f[%w_]" .. name .. "%f[^%w_]") ~= nil
      end, errors)
      if #about ~= 1 then
        table.insert(unnamed, ("%s: %d"):format(name, #about))
      end
    end
    assert.are.same({}, unnamed)

    local expected = { keep = { x = 1 }, n = 1 }
    for index in ipairs(names) do
      expected["good_" .. index] = index
    end
    local text = support.read(w.config_dir .. "/alpha.json")
    local document = vim.json.decode((text:gsub("// as it is", "")))
    for _, name in ipairs(names) do
      -- Where a key or something deeper is refused, what lies above it may be there, if it is sound.
      local above = name:find("^bad_key") or name:find("^bad_cycle") or name:find("deep")
      assert.is_true(document[name] == nil or above ~= nil and vim.tbl_count(document[name]) <= 1, name)
      document[name] = nil
    end
    assert.are.same(expected, document)
    assert.is_truthy(text:find('"keep": { "x": 1.0 }, // as it is', 1, true), text)
    assert.are.equal("", child:messages())

    -- A file that a later load cannot read would be worse than a value that was not saved.
    local second = editor.open(w, "alpha")
    assert.are.same({}, second:lua("return errors"))
    assert.are.equal(1, second:lua("return npc.get('n')"))
    second:stop()
  end)

  it("is reported once, however often ctx.json is looked at", function()
    child:lua("npc.ctx.json.bad = print")
    child:wait("#errors > 0")
    for n = 2, 5 do
      assert.are.same({ ok = true }, child:lua("npc.ctx.json.n = ...; idle(); return save_now()", n))
    end
    assert.are.equal(1, #child:lua("return errors"))
    assert.are.equal(
      '{\n  "keep": { "x": 1.0 }, // as it is\n  "n": 5\n}\n',
      support.read(w.config_dir .. "/alpha.json")
    )
  end)

  it("is never reported in a fast event, where a hook can do next to nothing", function()
    child:stop()
    w = workspace.new({ config = { ["alpha.json"] = "{}" } })
    child = editor.open(w, "alpha", {
      setup = "{ on_error = function(err) note({ vim.in_fast_event(), err.code }) end }",
    })
    child:lua([[
      local ctx = load_now()
      local json = ctx.json
      idle()
      vim.uv.new_timer():start(0, 0, function()
        json.bad = print
        npc.save()
        ctx.json = 1
      end)
    ]])
    child:wait("#events == 2")
    assert.are.same(
      { { false, "unsupported_value" }, { false, "unsupported_value" } },
      child:lua("idle(); return events")
    )
    child:stop()
  end)

  it("leaves the value on disk that it would have replaced", function()
    child:lua("npc.ctx.json.keep = print; npc.ctx.json.n = 1")
    assert.are.same({ ok = true }, child:lua("return save_now()"))
    assert.are.equal(
      '{\n  "keep": { "x": 1.0 }, // as it is\n  "n": 1\n}\n',
      support.read(w.config_dir .. "/alpha.json")
    )
    assert.are.equal(1, #child:lua("return errors"))
  end)

  it("is refused alone, deep in new objects too", function()
    child:lua("npc.ctx.json.new = { deep = { bad = print, good = 1 }, good = 2 }")
    assert.are.same({ ok = true }, child:lua("return save_now()"))
    local errors = child:lua("return errors")
    assert.are.equal(1, #errors, vim.inspect(errors))
    assert.is_truthy(errors[1].message:find("new.deep.bad", 1, true), errors[1].message)
    local text = support.read(w.config_dir .. "/alpha.json"):gsub("// as it is", "")
    assert.are.same({ deep = { good = 1 }, good = 2 }, vim.json.decode(text).new)
  end)

  it("is refused as a key of the root, and the other keys are saved", function()
    child:lua("local json = npc.ctx.json; json[1] = 'x'; json[false] = 'y'; json.n = 1")
    assert.are.same({ ok = true }, child:lua("return save_now()"))
    assert.are.equal(
      '{\n  "keep": { "x": 1.0 }, // as it is\n  "n": 1\n}\n',
      support.read(w.config_dir .. "/alpha.json")
    )
    local errors = child:lua("return errors")
    assert.is_true(#errors > 0)
    for _, err in ipairs(errors) do
      assert.are.equal("unsupported_value", err.code, err.message)
    end
  end)

  it("is refused in place of the whole table", function()
    local before = support.read(w.config_dir .. "/alpha.json")
    for _, value in ipairs({ "1", "'text'", "true", "vim.NIL", "print" }) do
      child:lua("_G.errors = {}; npc.ctx.json = " .. value)
      child:wait("#errors > 0")
      assert.are.same(
        { "unsupported_value" },
        child:lua("return vim.tbl_map(function(e) return e.code end, errors)"),
        value
      )
      assert.are.equal(0, child:lua("return npc.get('n')"))
    end
    child:lua("save_now()")
    assert.are.equal(before, support.read(w.config_dir .. "/alpha.json"))
  end)

  it("is answered by set() and update(), which change nothing", function()
    local before = support.read(w.config_dir .. "/alpha.json")
    local names = vim.fn.sort(vim.tbl_keys(refused))
    for _, name in ipairs(names) do
      local code, unchanged = unpack(child:lua(([[
        local value = %s
        local ok, err = npc.set("keep.x", value)
        return { ok == nil and err.code or "taken", npc.get("keep.x") == 1 }
      ]]):format(refused[name])))
      assert.are.same({ "unsupported_value", true }, { code, unchanged }, name)
      child:lua(([[
        _G.answer = nil
        local value = %s
        npc.update("keep.x", function() return value end, function(ok, err)
          _G.answer = ok == nil and err.code or "taken"
        end)
      ]]):format(refused[name]))
      assert.are.equal("unsupported_value", child:wait("_G.answer"), name)
    end
    assert.are.same({ ok = true }, child:lua("return save_now()"))
    assert.are.equal(before, support.read(w.config_dir .. "/alpha.json"))
    assert.are.same({}, child:lua("return errors"))
  end)
end)

describe("a value that JSON can hold", function()
  local values = {
    "true",
    "false",
    "vim.NIL",
    "{}",
    "vim.empty_dict()",
    "{ {} }",
    "{ vim.empty_dict() }",
    "{ object = vim.empty_dict() }",
    "{ vim.NIL, 1, vim.NIL }",
    "0",
    "-0.0",
    "0.1",
    "1 / 3",
    "1.0",
    "-1",
    "1e15",
    "1e17",
    "1e21",
    "1e308",
    "5e-324",
    "1.7976931348623157e308",
    "2 ^ 53 - 1",
    "2 ^ 53",
    "2 ^ 53 + 2",
    "-2 ^ 53",
    "2 ^ 63",
    "2 ^ 64",
    [[""]],
    [["a\0b"]],
    [["\1\31\127\"\\/\b\f\n\r\t"]],
    [["Grüße, 世界 🚀"]],
    [["\226\128\168\226\128\169"]],
    [["\239\187\191"]],
    [[("long"):rep(100000)]],
    [[{ ["a.b"] = { [""] = { ["c.d"] = 1 } } }]],
    [[{ ["a\0b"] = 1 }]],
    [[{ ["1"] = "digits" }]],
    [[{ __index = 1, __newindex = 2 }]],
    "nested(200)",
    "nested(200, true)",
  }

  it("is the same in the editor that saves it and in the next one", function()
    local w = workspace.new()
    local child = editor.open(w, "alpha", { before = NESTED })
    local code = { "local json = npc.ctx.json" }
    for index, value in ipairs(values) do
      table.insert(code, ("json.v%d = %s"):format(index, value))
    end
    child:lua(table.concat(code, "\n"))
    assert.are.same({ ok = true }, child:lua("return save_now()"))
    assert.are.same({}, child:lua("return errors"))
    -- Encoded, for kinds of empty tables; signs of zeros are compared as what they divide into.
    local compare = [[
      local function written(value)
        return type(value) == "number" and ("%%.17g %%s"):format(value, tostring(1 / value)) or vim.json.encode(value)
      end
      local expected, found = %s, npc.ctx.json.v%d
      return { written(expected), written(found), vim.deep_equal(expected, found) }
    ]]
    local second = editor.open(w, "alpha", { before = NESTED })
    assert.are.same({}, second:lua("return errors"))
    for _, each in ipairs({ child, second }) do
      for index, value in ipairs(values) do
        local expected, found, equal = unpack(each:lua(compare:format(value, index)))
        -- Two keys have no order.
        if not value:find("__index", 1, true) then
          assert.are.equal(expected, found, value)
        end
        assert.is_true(equal, value)
      end
      each:stop()
    end
  end)

  it("keeps the kind of a table that has become empty", function()
    local w = workspace.new({ config = { ["alpha.json"] = '{\n  "list": [1],\n  "object": { "a": 1 }\n}\n' } })
    local child = editor.open(w, "alpha")
    child:lua("local json = npc.ctx.json; table.remove(json.list); json.object.a = nil")
    assert.are.same({ ok = true }, child:lua("return save_now()"))
    local document = vim.json.decode(support.read(w.config_dir .. "/alpha.json"))
    assert.are.equal("[]", vim.json.encode(document.list))
    assert.are.equal("{}", vim.json.encode(document.object))
    child:stop()
  end)
end)

describe("what nobody changed", function()
  local DIGITS = ("1234567890"):rep(10)
  local ODD = table.concat({
    "{",
    '  "below": 9007199254740991, "at": 9007199254740992, "above": 9007199254740993, "u64": 18446744073709551615,',
    '  "huge": 1e400, "minus_huge": -1e400, "tiny": 1e-400, "digits": ' .. DIGITS .. ",",
    '  "minus_zero": -0, "minus_zero_point": -0.0, "one": 1.0, "exponent": 1E+2, "long": 0.1000000000000000000000000000,',
    '  "twice": 1, "twice": 2, "inner": { "twice": 1, "twice": { "a": 1 }, "twice": 3 },',
    '  "a.b": { "c.d": 1 }, "": { "": "empty" }, "nul": "a\\u0000b", "nul\\u0000key": 1, "slash": "\\/\\u0041\\ud83d\\ude80",',
    '  "null": null, "object": {}, "list": [], "lists": [ [ ], [{ }], [ null ] ], "blank": {   }, /* a comment */',
    "  // another one",
    '  "value": 0,',
    '  "last": true,',
    "}",
    "",
  }, "\r\n")

  local function odd(value)
    return (ODD:gsub('"value": 0', '"value": ' .. value))
  end

  it("keeps its bytes when something else is set, and nothing of it is refused", function()
    local w = workspace.new({ config = { ["alpha.json"] = odd(0) } })
    local path = w.config_dir .. "/alpha.json"
    local child = editor.open(w, "alpha")
    assert.are.same({}, child:lua("return errors"))
    assert.are.same({ ok = true }, child:lua("npc.set('value', 1); return save_now()"))
    assert.are.equal(odd(1), support.read(path))
    assert.are.same({ ok = true }, child:lua("npc.ctx.json.value = 2; return save_now()"))
    assert.are.equal(odd(2), support.read(path))
    -- To itself is no change, whatever Lua makes of the number.
    assert.are.same(
      { ok = true },
      child:lua([[
        local json = npc.ctx.json
        for key, value in pairs(json) do json[key] = value end
        return save_now()
      ]])
    )
    assert.are.equal(odd(2), support.read(path))
    assert.are.same({ ok = true }, child:lua("npc.ctx.json = vim.deepcopy(npc.ctx.json); return save_now()"))
    assert.are.equal(odd(2), support.read(path))
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it("keeps its bytes when something is set and unset", function()
    local w = workspace.new({ config = { ["alpha.json"] = odd(0) } })
    local child = editor.open(w, "alpha")
    for _, key in ipairs({ "'fresh'", "{ 'inner', 'fresh' }", "{ 'a.b', 'x.y' }", "{ '', 'fresh' }" }) do
      assert.are.same({ ok = true }, child:lua(("npc.set(%s, { 1, 2 }); return save_now()"):format(key)), key)
      assert.are_not.equal(odd(0), support.read(w.config_dir .. "/alpha.json"), key)
      assert.are.same({ ok = true }, child:lua(("npc.set(%s, nil); return save_now()"):format(key)), key)
      assert.are.equal(odd(0), support.read(w.config_dir .. "/alpha.json"), key)
    end
    child:stop()
  end)

  it("is told apart by its key: with a dot, empty, NUL, twice there", function()
    local w = workspace.new({ config = { ["alpha.json"] = odd(0) } })
    local child = editor.open(w, "alpha")
    assert.are.same(
      { ok = true },
      child:lua([[
        local json = npc.ctx.json
        npc.set({ "a.b", "c.d" }, 2)
        json[""][""] = "filled"
        json["nul\0key"] = 2
        json.twice = 3
        json.inner.twice = 4
        json.above = 2 ^ 53 + 4
        return save_now()
      ]])
    )
    local second = editor.open(w, "alpha")
    assert.are.same(
      { 2, "filled", 2, 3, 4, 2 ^ 53 + 4 },
      second:lua([[
        local json = npc.ctx.json
        return { json["a.b"]["c.d"], json[""][""], json["nul\0key"], json.twice, json.inner.twice, json.above }
      ]])
    )
    assert.are.same({}, second:lua("return errors"))
    local text = support.read(w.config_dir .. "/alpha.json")
    for _, kept in ipairs({
      "18446744073709551615",
      "1e400",
      DIGITS,
      '"minus_zero": -0,',
      '"one": 1.0',
      "// another one",
    }) do
      assert.is_truthy(text:find(kept, 1, true), kept)
    end
    second:stop()
    child:stop()
  end)
end)

describe("a file that holds no settings", function()
  local texts = {
    { "[1]", "unsupported_value" },
    { "[]", "unsupported_value" },
    { "3", "unsupported_value" },
    { '"text"', "unsupported_value" },
    { "null", "unsupported_value" },
    { "true", "unsupported_value" },
    { '{ "a": "\\ud800" }', "syntax" },
    { '{ "a": "\255" }', "encoding" },
    { ('{ "a": '):rep(300) .. "1" .. ("}"):rep(300), "depth" },
  }

  it("is refused at the load, is not written over, and saved once it is mended", function()
    for _, case in ipairs(texts) do
      local text, code = unpack(case)
      local w = workspace.new({ config = { ["alpha.json"] = text } })
      local path = w.config_dir .. "/alpha.json"
      local child = editor.open(w, "alpha")
      local errors = child:lua("return errors")
      assert.are.same({ 1, code, path }, { #errors, errors[1].code, errors[1].path }, text)
      local answer = child:lua("npc.set('b', 1); return save_now()")
      assert.is_false(answer.ok, text)
      assert.are.equal(code, answer.err.code, text)
      assert.are.equal(text, support.read(path))
      assert.are.equal(1, child:lua("return npc.get('b')"))
      editor.replace(path, '{ "a": 1 }')
      assert.are.same({ ok = true }, child:lua("return save_now()"), text)
      assert.are.same({ a = 1, b = 1 }, vim.json.decode(support.read(path)))
      assert.are.same({ "alpha.json" }, editor.names(w.config_dir))
      child:stop()
    end
  end)
end)
