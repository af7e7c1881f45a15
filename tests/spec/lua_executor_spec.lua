-- Lua files run as `dofile` runs them, from the bytes that were checked.
local project = require("tests.support.project")

---@param files test.Tree
---@return test.Project
local function loaded(files)
  local p = project.start({ files = files })
  assert.are.same({ loaded = true }, p:load())
  return p
end

describe("a Lua file", function()
  it("knows its own path and the lines that run", function()
    local p = loaded({
      ["proj.lua"] = [[
        local info = debug.getinfo(1, "S")
        table.insert(_G.ran, { source = info.source, what = info.what, line = debug.getinfo(1, "l").currentline })
      ]],
    })
    assert.are.same({ { source = "@" .. p.config_dir .. "/proj.lua", what = "main", line = 2 } }, p:ran())
    p.child:stop()
  end)

  it("is named by path and line in the stack traces of what it leaves behind", function()
    local p = loaded({
      ["proj/deep/er.lua"] = "not loaded",
      ["proj/a.lua"] = "function _G.left_behind()\n  local trace = debug.traceback('here')\n  return trace\nend",
    })
    local info = p.child:lua("return debug.getinfo(_G.left_behind, 'S')")
    assert.are.equal("@" .. p.config_dir .. "/proj/a.lua", info.source)
    assert.is_truthy(p.child:lua("return _G.left_behind()"):find("proj/a.lua:2: in function", 1, true))
    assert.are.same({}, p:errors())
    p.child:stop()
  end)

  it("may begin with a line for the shell, and keeps its line numbers", function()
    local p = loaded({
      ["proj/bang.lua"] = "#!/usr/bin/env lua\ntable.insert(_G.ran, debug.getinfo(1, 'l').currentline)",
      ["proj/fails.lua"] = "#!/usr/bin/env lua\n\nerror('on line 3')",
      ["proj/only.lua"] = "#!/usr/bin/env lua",
    })
    assert.are.same({ 2 }, p:ran())
    assert.are.equal(1, #p:errors())
    assert.are.equal(3, p:errors()[1].line)
    p.child:stop()
  end)

  it("may be empty, begin with a byte order mark, and end its lines like DOS", function()
    local p = loaded({
      ["proj/bom.lua"] = "\239\187\191table.insert(_G.ran, 'bom')",
      ["proj/dos.lua"] = "table.insert(_G.ran,\r\n  'dos')\r\n",
      ["proj/empty.lua"] = "",
      ["proj/nul.lua"] = "table.insert(_G.ran, #'a\0b')",
    })
    assert.are.same({ "bom", "dos", 3 }, p:ran())
    assert.are.same({}, p:errors())
    p.child:stop()
  end)

  it("that returns a function has it called with the context", function()
    local p = loaded({
      ["proj.json"] = '{"a": {"b": 1}}',
      ["proj.lua"] = [[
        return function(...)
          local ctx = ...
          table.insert(_G.ran, {
            arguments = select("#", ...),
            is_ctx = ctx == require("nvim-project-config").ctx,
            b = ctx.json.a.b,
            name = ctx.project_name,
          })
        end
      ]],
    })
    assert.are.same({ { arguments = 1, is_ctx = true, b = 1, name = "proj" } }, p:ran())
    p.child:stop()
  end)

  it("that returns anything else just ran", function()
    local p = loaded({
      ["proj/a.lua"] = "return 5",
      ["proj/b.lua"] = "return { setup = error }",
      ["proj/c.lua"] = "return nil, error",
    })
    assert.are.same({}, p:errors())
    p.child:stop()
  end)

  it("gets no arguments, has locals of its own, and shares the globals", function()
    local p = loaded({
      ["proj/a.lua"] = "local x = 1; shared = 2; table.insert(_G.ran, select('#', ...))",
      ["proj/b.lua"] = "table.insert(_G.ran, { tostring(x), shared })",
    })
    assert.are.same({ 0, { "nil", 2 } }, p:ran())
    p.child:stop()
  end)

  it("reaches the settings and the project by `ctx`", function()
    local p = loaded({
      ["proj.json"] = '{"tab": 4}',
      ["proj.lua"] = [[
        local npc = require("nvim-project-config")
        table.insert(_G.ran, { npc.ctx.json.tab, npc.get("tab"), npc.ctx.project_root })
      ]],
    })
    assert.are.same({ { 4, 4, p.root } }, p:ran())
    p.child:stop()
  end)

  it("runs again at each load", function()
    local p = loaded({ ["proj.lua"] = "table.insert(_G.ran, #_G.ran)" })
    p:load()
    p:load()
    assert.are.same({ 0, 1, 2 }, p:ran())
    p.child:stop()
  end)
end)

describe("LuaJIT bytecode named like a Lua file", function()
  local bytecode = string.dump(loadstring("table.insert(_G.ran, 'bytecode')"))

  it("is refused with one error, and the rest runs", function()
    assert.are.equal("\27LJ", bytecode:sub(1, 3))
    local p = loaded({
      ["proj.lua"] = bytecode,
      ["proj/after_shebang.lua"] = "#!/usr/bin/env luajit\n" .. bytecode,
      ["proj/stripped.lua"] = string.dump(loadstring("table.insert(_G.ran, 'bytecode')"), true),
      ["proj/broken.lua"] = bytecode:sub(1, 12),
      ["proj/bom.lua"] = "\239\187\191" .. bytecode,
      ["proj/zz.lua"] = "table.insert(_G.ran, 'text')",
    })
    assert.are.same({ "text" }, p:ran())
    local errors, counts = p:errors_by_file()
    for _, name in ipairs({
      "proj.lua",
      "proj/after_shebang.lua",
      "proj/stripped.lua",
      "proj/broken.lua",
      "proj/bom.lua",
    }) do
      assert.are.equal(1, counts[name], name)
      assert.are.equal("syntax", errors[name].code)
      assert.is_truthy(errors[name].message:find(p.config_dir .. "/" .. name, 1, true))
    end
    assert.are.equal(5, #p:errors())
    assert.is_truthy(errors["proj.lua"].message:find("bytecode", 1, true))
    assert.are.equal(0, p.child:stop().code)
  end)
end)
