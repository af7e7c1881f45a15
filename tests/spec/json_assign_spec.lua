-- ctx.json is an ordinary table: what is assigned to it, at any depth and by whomever, is saved without a further call.
local saving = require("tests.support.saving")
local support = require("tests.support")
local workspace = require("tests.support.workspace")

local BEFORE = [==[{
  "formatter": "prettier",
  "lsp": { "rust": { "enabled": true, "level": 3 }, "lua": { "enabled": false } },
  "list": ["a", "b", "c"],
  "tasks": [ { "name": "build", "env": { "A": "1" } }, { "name": "test" } ],
  "matrix": [[1, 2], [3, 4]],
  "null": null
}]==]

--- The document above, changed by a function.
local function with(change)
  local value = vim.json.decode(BEFORE)
  change(value)
  return value
end

---@type table<string, { run: string, expect: fun(json: table) }>
local changes = {
  ["a value at the root"] = {
    run = "json.formatter = 'stylua'",
    expect = function(json)
      json.formatter = "stylua"
    end,
  },
  ["a value far down"] = {
    run = "json.lsp.rust.enabled = false",
    expect = function(json)
      json.lsp.rust.enabled = false
    end,
  },
  ["a new key at the root"] = {
    run = "json.new = 'value'",
    expect = function(json)
      json.new = "value"
    end,
  },
  ["a new key far down"] = {
    run = "json.lsp.lua.version = 5.1",
    expect = function(json)
      json.lsp.lua.version = 5.1
    end,
  },
  ["a new object with objects in it"] = {
    run = "json.dap = { python = { port = 5678, args = { '-X', { deep = true } } } }",
    expect = function(json)
      json.dap = { python = { port = 5678, args = { "-X", { deep = true } } } }
    end,
  },
  ["an object that is filled after it was assigned"] = {
    run = "json.dap = {}; json.dap.python = {}; json.dap.python.port = 5678",
    expect = function(json)
      json.dap = { python = { port = 5678 } }
    end,
  },
  ["a deletion at the root"] = {
    run = "json.formatter = nil",
    expect = function(json)
      json.formatter = nil
    end,
  },
  ["a deletion far down"] = {
    run = "json.lsp.rust.level = nil",
    expect = function(json)
      json.lsp.rust.level = nil
    end,
  },
  ["the deletion of an object"] = {
    run = "json.lsp.rust = nil",
    expect = function(json)
      json.lsp.rust = nil
    end,
  },
  ["an element that is appended"] = {
    run = "table.insert(json.list, 'd')",
    expect = function(json)
      table.insert(json.list, "d")
    end,
  },
  ["an element that is put in front"] = {
    run = "table.insert(json.list, 1, 'z')",
    expect = function(json)
      table.insert(json.list, 1, "z")
    end,
  },
  ["an element that is removed from the middle"] = {
    run = "table.remove(json.list, 2)",
    expect = function(json)
      table.remove(json.list, 2)
    end,
  },
  ["an element that is replaced"] = {
    run = "json.list[2] = { now = 'an object' }",
    expect = function(json)
      json.list[2] = { now = "an object" }
    end,
  },
  ["a sorted list"] = {
    run = "table.sort(json.list, function(a, b) return a > b end)",
    expect = function(json)
      json.list = { "c", "b", "a" }
    end,
  },
  ["an object in a list"] = {
    run = "json.tasks[1].env.A = '2'; json.tasks[2].env = { B = '3' }",
    expect = function(json)
      json.tasks[1].env.A = "2"
      json.tasks[2].env = { B = "3" }
    end,
  },
  ["a list in a list"] = {
    run = "json.matrix[2][1] = 30; table.insert(json.matrix[1], 20)",
    expect = function(json)
      json.matrix = { { 1, 2, 20 }, { 30, 4 } }
    end,
  },
  ["values of another kind than before"] = {
    run = "json.lsp = { 'a list' }; json.list = { an = 'object' }; json.formatter = { 1 }; json.tasks = 0",
    expect = function(json)
      json.lsp, json.list, json.formatter, json.tasks = { "a list" }, { an = "object" }, { 1 }, 0
    end,
  },
  ["null, and what was null"] = {
    run = "json.null = 0; json.lsp.rust = vim.NIL",
    expect = function(json)
      json.null, json.lsp.rust = 0, vim.NIL
    end,
  },
  ["a table that has moved"] = {
    run = "json.servers, json.lsp = json.lsp, nil",
    expect = function(json)
      json.servers, json.lsp = json.lsp, nil
    end,
  },
  ["one table in two places"] = {
    run = "json.copy = json.lsp.rust; json.copy.level = 4",
    expect = function(json)
      json.lsp.rust.level = 4
      json.copy = { enabled = true, level = 4 }
    end,
  },
  ["keys of any kind"] = {
    run = [[json[""] = 1; json["a.b"] = 2; json["8080"] = 3; json["ключ"] = 4; json['q"\\\n'] = 5; json.__index = 6; json.lsp[""] = { [""] = 7 }]],
    expect = function(json)
      json[""], json["a.b"], json["8080"], json["ключ"], json['q"\\\n'], json.__index = 1, 2, 3, 4, 5, 6
      json.lsp[""] = { [""] = 7 }
    end,
  },
  ["strings of any kind"] = {
    run = [[json.strings = { "", "tab\there", "line\nend", "\"quoted\" \\ /", "Grüße, 世界 🚀", "nul\0byte", "\127\1" }]],
    expect = function(json)
      json.strings = { "", "tab\there", "line\nend", '"quoted" \\ /', "Grüße, 世界 🚀", "nul\0byte", "\127\1" }
    end,
  },
  ["numbers of any size"] = {
    run = "json.numbers = { 0, -1, 1.5, 1e300, -2.5e-7, 2 ^ 53, 0.1, 1e15 }",
    expect = function(json)
      json.numbers = { 0, -1, 1.5, 1e300, -2.5e-7, 2 ^ 53, 0.1, 1e15 }
    end,
  },
  ["many changes at once"] = {
    run = [[
      json.formatter = nil
      json.lsp.rust.enabled, json.lsp.new = false, { 1 }
      table.remove(json.tasks)
      json["more"] = { deep = { er = {} } }
      json.more.deep.er[1] = "x"
    ]],
    expect = function(json)
      json.formatter = nil
      json.lsp.rust.enabled, json.lsp.new = false, { 1 }
      table.remove(json.tasks)
      json.more = { deep = { er = { "x" } } }
    end,
  },
  ["a whole new table"] = {
    run = "npc.ctx.json = { formatter = 'stylua', lsp = { zig = { enabled = true } } }",
    expect = function(json)
      for key in pairs(json) do
        json[key] = nil
      end
      json.formatter, json.lsp = "stylua", { zig = { enabled = true } }
    end,
  },
  ["a whole new table that is filled afterwards"] = {
    run = "npc.ctx.json = {}; npc.ctx.json.only = { this = 1 }",
    expect = function(json)
      for key in pairs(json) do
        json[key] = nil
      end
      json.only = { this = 1 }
    end,
  },
  ["a whole new table made of the old one"] = {
    run = "npc.ctx.json = vim.tbl_deep_extend('force', npc.ctx.json, { lsp = { rust = { level = 4 } }, added = 1 })",
    expect = function(json)
      json.lsp.rust.level, json.added = 4, 1
    end,
  },
}

describe("assigned to ctx.json, and nothing else done, reaches the file and stays:", function()
  local w, child
  local names = vim.tbl_keys(changes)
  table.sort(names)
  local number = {}

  setup(function()
    -- A project each, so that none builds on what another has left.
    local work, config = {}, {}
    for index, name in ipairs(names) do
      number[name] = index
      work[("p%d/.git"):format(index)] = true
      config[("p%d.json"):format(index)] = BEFORE
    end
    w = workspace.new({ work = work, config = config })
    child = saving.open(w, "p1")
  end)

  teardown(function()
    child:stop()
  end)

  for _, name in ipairs(names) do
    it(name, function()
      local project = "p" .. number[name]
      local path = ("%s/%s.json"):format(w.config_dir, project)
      local expected = with(changes[name].expect)
      child:lua(("local json = load_now(at(%q)).json; %s"):format(project, changes[name].run))
      saving.until_value(path, expected)
      assert.are.same(expected, child:lua("return npc.ctx.json"))
      assert.are.same(expected, child:lua("return load_now(npc.ctx).json"))
      assert.are.same({}, child:lua("return errors"))
    end)
  end
end)

describe("ctx.json", function()
  local function open(config, opts)
    local w = workspace.new({ config = config })
    local child = saving.open(w, "alpha", opts)
    child:lua("load_now(); forget_changes()")
    return child, w.config_dir .. "/alpha.json", w
  end

  it("keeps the kind of what has become empty, and writes a new {} as vim.json.encode does", function()
    local child, path = open({ ["alpha.json"] = '{"object": {"a": 1}, "list": [1], "deep": {"list": [[1]]}}' })
    child:lua([[
      local json = npc.ctx.json
      json.object.a = nil
      table.remove(json.list)
      table.remove(json.deep.list[1])
      json.new, json.dict = {}, vim.empty_dict()
      saved()
    ]])
    local expected = ('{"deep":{"list":[[]]},"dict":{},"list":[],"new":%s,"object":{}}'):format(vim.json.encode({}))
    local on_disk = support.read(path)
    assert.are.equal(expected, child:lua("return canonical(vim.json.decode(...))", on_disk))
    child:stop()
    local again = saving.open(workspace.new({ config = { ["alpha.json"] = on_disk } }), "alpha")
    assert.are.equal(expected, again:lua("return canonical(load_now().json)"))
    again:stop()
  end)

  it("works with everything that takes a table", function()
    local child = open({ ["alpha.json"] = BEFORE })
    local result = child:lua([[
      local json = npc.ctx.json
      local keys, elements = {}, {}
      for key in pairs(json) do keys[#keys + 1] = key end
      table.sort(keys)
      for index, element in ipairs(json.list) do elements[index] = element end
      local copy = vim.deepcopy(json)
      local extended = vim.tbl_deep_extend("force", json, { lsp = { rust = { level = 4 } } })
      return {
        keys = keys, elements = elements, length = #json.list, next = next(json) ~= nil,
        rawget = rawget(json, "formatter"), concat = table.concat(json.list, ","), unpack = { unpack(json.list) },
        inspect = vim.inspect(json.tasks[2]), islist = { vim.islist(json.list), vim.islist(json) },
        copy = vim.deep_equal(copy, json) and copy.lsp ~= json.lsp,
        extended = { extended.lsp.rust.level, json.lsp.rust.level, extended.formatter },
        encoded = vim.json.decode(vim.json.encode(json)),
        count = vim.tbl_count(json), get = vim.tbl_get(json, "lsp", "rust", "level"),
        plain = getmetatable(json) == nil and getmetatable(json.lsp) == nil and getmetatable(json.list) == nil,
        vimscript = vim.fn.json_decode(vim.fn.json_encode(json.tasks)),
        same = npc.ctx.json == json and npc.ctx.json.lsp == json.lsp,
      }
    ]])
    assert.are.same({
      keys = { "formatter", "list", "lsp", "matrix", "null", "tasks" },
      elements = { "a", "b", "c" },
      length = 3,
      next = true,
      rawget = "prettier",
      concat = "a,b,c",
      unpack = { "a", "b", "c" },
      inspect = vim.inspect({ name = "test" }),
      islist = { true, false },
      copy = true,
      extended = { 4, 3, "prettier" },
      encoded = vim.json.decode(BEFORE),
      count = 6,
      get = 3,
      plain = true,
      vimscript = vim.json.decode(BEFORE).tasks,
      same = true,
    }, result)
    child:stop()
  end)

  it("is not written by being read, nor by values that are what they were", function()
    local child, path = open({ ["alpha.json"] = BEFORE })
    local before = saving.identity(path)
    child:lua([[
      local json = npc.ctx.json
      vim.inspect(json)
      json.formatter = "prettier"
      json.lsp.rust = { level = 3, enabled = true }
      json.list = vim.deepcopy(json.list)
      json.null = vim.NIL
      json.new = 1
      json.new = nil
      npc.ctx.json = vim.deepcopy(json)
      saved()
    ]])
    assert.are.same(before, saving.identity(path))
    assert.are.equal(BEFORE, support.read(path))
    assert.are.same({}, child:lua("return changes"))
    child:stop()
  end)

  it("makes one save of a thousand assignments in one tick", function()
    local child, path, w = open({ ["alpha.json"] = BEFORE })
    -- The directory is watched from here: each save shows as two events of the file's name, which changes places with the new
    -- file, in order.
    local events, ended = 0, false
    local watch = assert(vim.uv.new_fs_event())
    assert(watch:start(w.config_dir, {}, function(_, name)
      events = events + (name == "alpha.json" and 1 or 0)
      ended = ended or name == "end"
    end))
    local before = saving.identity(path)
    child:lua("for i = 1, 1000 do npc.ctx.json['key' .. i] = i end")
    saving.until_value(
      path,
      with(function(json)
        for i = 1, 1000 do
          json["key" .. i] = i
        end
      end)
    )
    local first = saving.identity(path)
    child:lua("idle(); saved()")
    w:write("end", "")
    assert.is_true(vim.wait(10000, function()
      return ended
    end, 5))
    watch:close()
    assert.are_not.equal(before.ino, first.ino)
    assert.are.same(first, saving.identity(path))
    assert.are.equal(2, events)
    local announced = child:lua("return vim.tbl_map(function(change) return #change.paths end, changes)")
    assert.are.same({ 1000 }, announced)
    child:stop()
  end)

  it("takes what another module does to a table that it was handed, then and later", function()
    local child, path = open({ ["alpha.json"] = '{"lsp": {"rust": {"level": 1}}}' })
    child:lua([[
      package.preload["another.plugin"] = function()
        local M = {}
        function M.configure(settings)
          M.settings = settings
          settings.configured = { by = "another plugin" }
        end
        function M.later() M.settings.configured.times = 2 end
        return M
      end
      require("another.plugin").configure(npc.ctx.json.lsp.rust)
    ]])
    local expected = { lsp = { rust = { level = 1, configured = { by = "another plugin" } } } }
    saving.until_value(path, expected)
    child:lua("require('another.plugin').later()")
    child:lua("local _ = npc.ctx.json")
    expected.lsp.rust.configured.times = 2
    saving.until_value(path, expected)
    child:stop()
  end)

  it("takes what the project's files and hooks assign while they run", function()
    local child, path = open({
      ["alpha.json"] = '{"n": 1}',
      ["alpha.lua"] = "npc.ctx.json.from_lua = npc.ctx.json.n; return function(ctx) ctx.json.returned = true end",
      ["alpha.vim"] = "lua npc.set('from.vim', 1)",
    }, { setup = "{ on_load = function(ctx) ctx.json.on_load = (ctx.json.on_load or 0) + 1 end }" })
    local expected = { n = 1, from_lua = 1, returned = true, from = { vim = 1 }, on_load = 1 }
    saving.until_value(path, expected)
    child:lua("load_now()")
    expected.on_load = 2
    saving.until_value(path, expected)
    assert.are.same(expected, child:lua("return npc.ctx.json"))
    child:stop()
  end)

  it("refuses to be anything but a table, and stays what it was", function()
    local child, path = open({ ["alpha.json"] = BEFORE })
    for _, value in ipairs({ "'text'", "1", "true", "false", "nil", "vim.NIL", "function() end" }) do
      child:lua(("_G.errors = {}; npc.ctx.json = %s"):format(value))
      child:wait("#errors == 1")
      assert.are.equal("unsupported_value", child:lua("return errors[1].code"), value)
      assert.are.same(vim.json.decode(BEFORE), child:lua("return npc.ctx.json"), value)
    end
    child:lua("saved()")
    assert.are.equal(BEFORE, support.read(path))
    child:stop()
  end)

  it("refuses to be a list at its root", function()
    local child, path = open({ ["alpha.json"] = BEFORE })
    child:lua("npc.ctx.json = { 1, 2 }; save_now()")
    child:wait("#errors > 0")
    assert.are.equal("unsupported_value", child:lua("return errors[1].code"))
    assert.are.equal(BEFORE, support.read(path))
    child:stop()
  end)
end)

describe("a value that JSON cannot hold", function()
  ---@type table<string, string> an expression, by what it is
  local refused = {
    ["a function"] = "print",
    ["userdata"] = "vim.uv.new_async(function() end)",
    ["a thread"] = "coroutine.create(function() end)",
    ["NaN"] = "0 / 0",
    ["infinity"] = "math.huge",
    ["minus infinity"] = "-math.huge",
    ["a cycle"] = "(function() local t = { a = {} }; t.a.t = t; return t end)()",
    ["a hole"] = "{ 1, nil, 3 }",
    ["mixed keys"] = "{ 1, 2, key = 3 }",
    ["a number as key"] = "{ [3.5] = 1 }",
    ["a boolean as key"] = "{ [false] = 1 }",
    ["text that is not UTF-8"] = [["\255\254"]],
    ["a key that is not UTF-8"] = [[{ ["\255"] = 1 }]],
    ["half of a surrogate pair"] = [["\237\160\128"]],
    ["an element that is a function"] = "{ 1, print }",
  }
  for name, expression in pairs(refused) do
    it(("(%s) is refused by its path, once, and everything else is saved"):format(name), function()
      local w = workspace.new({ config = { ["alpha.json"] = '{"bad": {"place": "old"}, "n": 1}' } })
      local child = saving.open(w, "alpha")
      local path = w.config_dir .. "/alpha.json"
      child:lua(([[
        local json = load_now().json
        json.bad.place = %s
        json.n, json.good, json.bad.beside = 2, { deep = true }, "saved too"
      ]]):format(expression))
      saving.until_value(path, { bad = { place = "old", beside = "saved too" }, n = 2, good = { deep = true } })
      child:wait("#errors > 0")
      -- Neither the next access, nor a save, nor a load tells it again.
      child:lua("local _ = npc.ctx.json; idle(); save_now(); load_now(); idle()")
      local errors = child:lua("return errors")
      assert.are.equal(1, #errors, vim.inspect(errors))
      assert.are.equal("unsupported_value", errors[1].code)
      assert.is_truthy(errors[1].message:find("bad.place", 1, true), errors[1].message)
      -- Mended in memory, it is saved.
      child:lua("npc.ctx.json.bad.place = 'mended'; saved()")
      assert.are.equal("mended", saving.value(path).bad.place)
      child:stop()
    end)
  end
end)

describe("a change through a table that was kept", function()
  local function open()
    local w = workspace.new({ config = { ["alpha.json"] = '{"lsp": {"level": 1}, "n": 1}' } })
    local child = saving.open(w, "alpha")
    -- After this nothing is left to be found: what comes next is not of this tick.
    child:lua("_G.kept = load_now().json.lsp; saved()")
    child:lua("idle()")
    return child, w.config_dir .. "/alpha.json", w
  end
  local CHANGED = { lsp = { level = 2 }, n = 1 }

  local moments = {
    ["at the next access"] = "local _ = npc.ctx.json",
    ["at npc.get"] = "npc.get('n')",
    ["at npc.set"] = "npc.set('n', 1)",
    ["at CursorHold"] = "vim.cmd.doautocmd('CursorHold')",
    ["at BufWritePost"] = "vim.cmd.edit(vim.fn.tempname()); vim.cmd.write()",
    ["at FocusLost"] = "vim.cmd.doautocmd('FocusLost')",
    ["at npc.save"] = "npc.save()",
    ["before a reload"] = "npc.load()",
    ["at :qa"] = "vim.cmd.qa()",
    ["at :qa!"] = "vim.cmd('qa!')",
    ["at :wqa"] = "vim.cmd.wqa()",
    ["at :cq"] = "vim.cmd.cq()",
    ["at SIGTERM"] = "vim.uv.kill(vim.uv.os_getpid(), 'sigterm')",
    ["at SIGHUP"] = "vim.uv.kill(vim.uv.os_getpid(), 'sighup')",
  }
  for name, code in pairs(moments) do
    it("is found " .. name, function()
      local child, path = open()
      child:lua("kept.level = 2")
      pcall(child.lua, child, code)
      saving.until_value(path, CHANGED)
      if name:find(":", 1, true) or name:find("SIG", 1, true) then
        child:ended()
      else
        assert.are.same(CHANGED, child:lua("return npc.ctx.json"))
        assert.is_true(child:lua("return npc.ctx.json.lsp == kept"))
        child:stop()
      end
    end)
  end

  it("is not undone by a reload that was asked for before or after it", function()
    local child, path, w = open()
    for level = 2, 5 do
      w:write("alpha.json", ('{"lsp": {"level": %d}, "n": %d}'):format(level - 1, level))
      local result = child:lua(
        [[
        local level, before = ...
        local ctx
        if before then kept.level = level end
        npc.load(function(loaded) ctx = loaded end)
        if not before then kept.level = level end
        assert(settle(function() return ctx end))
        return { kept.level, ctx.json.lsp == kept, ctx.json.n }
      ]],
        level,
        level % 2 == 0
      )
      assert.are.same({ level, true, level }, result)
      child:lua("saved()")
      assert.are.same({ lsp = { level = level }, n = level }, saving.value(path))
    end
    child:stop()
  end)

  it("in the last moment before the end is saved", function()
    for _, way in ipairs({ "qa!", "cq", "wqa" }) do
      local child, path = open()
      pcall(child.lua, child, ("npc.ctx.json.n = 7; kept.level = 2; vim.cmd(%q)"):format(way))
      child:ended()
      assert.are.same({ lsp = { level = 2 }, n = 7 }, saving.value(path), way)
    end
  end)

  it("made by VimLeavePre of the user's is saved", function()
    local child, path = open()
    child:lua([[
      vim.api.nvim_create_autocmd({ "QuitPre", "VimLeavePre" }, {
        callback = function() npc.ctx.json.closed = true; kept.level = 2 end,
      })
    ]])
    child:stop()
    assert.are.same({ lsp = { level = 2 }, n = 1, closed = true }, saving.value(path))
  end)
end)

describe("a document of over 256 KB", function()
  local function open()
    local members = {}
    for index = 1, 6000 do
      members[index] = ('  "server %d": { "name": "language server %d", "enabled": true }'):format(index, index)
    end
    local text = '{\n  "n": 1,\n' .. table.concat(members, ",\n") .. "\n}\n"
    assert(#text > 300 * 1024)
    local w = workspace.new({ config = { ["alpha.json"] = text } })
    local child = saving.open(w, "alpha")
    child:lua("_G.json = load_now().json")
    return child, w.config_dir .. "/alpha.json", text
  end
  --- The text with another `n`, and nothing else.
  local function expected(text, n)
    return (text:gsub('"n": 1,', ('"n": %d,'):format(n), 1))
  end

  it("is not compared by being touched, but at save()", function()
    local child, path, text = open()
    child:lua("npc.ctx.json.n = 2; idle(); local _ = npc.ctx.json; vim.cmd.doautocmd('CursorHold'); idle()")
    assert.are.equal(text, support.read(path))
    child:lua("saved()")
    assert.is_true(support.read(path) == expected(text, 2))
    child:stop()
  end)

  it("is compared at exit", function()
    local child, path, text = open()
    child:lua("npc.ctx.json.n = 2")
    child:stop()
    assert.is_true(support.read(path) == expected(text, 2))
  end)

  it("is compared before a reload", function()
    local child, path, text = open()
    assert.are.equal(2, child:lua("npc.ctx.json.n = 2; return load_now().json.n"))
    child:lua("saved()")
    assert.is_true(support.read(path) == expected(text, 2))
    child:stop()
  end)

  it("is changed by npc.set at once", function()
    local child, path, text = open()
    child:lua("npc.set('n', 2)")
    saving.until_text(path, expected(text, 2))
    assert.are.equal(2, child:lua("return json.n"))
    child:stop()
  end)
end)
