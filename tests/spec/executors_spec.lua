-- Executors: the user's own kinds of files, beside one another or one by one, and replacements for the built-in ones.
local workspace = require("tests.support.workspace")

--- An executor that takes until its own timer says so.
local SLOW = [[
  function _G.slow(ctx, path)
    local co = assert(coroutine.running(), "not in a coroutine")
    local name = vim.fs.basename(path)
    note("begin " .. name)
    local timer = vim.uv.new_timer()
    timer:start(({ ["a.toml"] = 60 })[name] or 20, 0, vim.schedule_wrap(function()
      timer:close()
      assert(coroutine.resume(co))
    end))
    coroutine.yield()
    note("end " .. name)
  end
]]

local ON_LOAD = "on_load = function() note('on_load') end"

describe("a kind of the user's own", function()
  it("gets its files with context and path, after Vim, kind by kind in order of their names", function()
    local w = workspace.new({
      config = {
        ["alpha.toml"] = "x = 1",
        ["alpha/z.toml"] = "",
        ["alpha/b.toml"] = "",
        ["alpha.cfg"] = "",
        ["alpha/c.unknown"] = "",
        ["alpha.json"] = '{"a": 1}',
        ["alpha.lua"] = "note('alpha.lua')",
        ["alpha.vim"] = "lua note('alpha.vim')",
      },
    })
    local child = w:open("alpha", {
      setup = [[{ executors = {
      toml = { run = function(ctx, path) note({ ctx == npc.ctx, ctx.json.a, path }) end },
      cfg = { run = function(ctx, path) note(vim.fs.basename(path)) end },
    }, ]] .. ON_LOAD .. "}",
    })
    child:lua("load_now()")
    assert.are.same({
      "alpha.lua",
      "alpha.vim",
      "alpha.cfg",
      { true, 1, w.config_dir .. "/alpha.toml" },
      { true, 1, w.config_dir .. "/alpha/b.toml" },
      { true, 1, w.config_dir .. "/alpha/z.toml" },
      "on_load",
    }, child:lua("return events"))
    assert.are.same({
      [w.config_dir .. "/alpha.json"] = true,
      [w.config_dir .. "/alpha.lua"] = true,
      [w.config_dir .. "/alpha.vim"] = true,
      [w.config_dir .. "/alpha.cfg"] = true,
      [w.config_dir .. "/alpha.toml"] = true,
      [w.config_dir .. "/alpha/b.toml"] = true,
      [w.config_dir .. "/alpha/z.toml"] = true,
    }, child:lua("return npc.ctx._files_loaded"))
    child:stop()
  end)

  local files = { ["alpha/a.toml"] = "", ["alpha/b.toml"] = "", ["alpha/c.zig"] = "" }

  it("is worked on side by side with async = true, and the next kind waits for all", function()
    local w = workspace.new({ config = files })
    local child = w:open("alpha", {
      before = SLOW,
      setup = "{ executors = { toml = { run = slow, async = true }, zig = { run = slow } }, " .. ON_LOAD .. "}",
    })
    child:lua("load_now()")
    assert.are.same(
      { "begin a.toml", "begin b.toml", "end b.toml", "end a.toml", "begin c.zig", "end c.zig", "on_load" },
      child:lua("return events")
    )
    child:stop()
  end)

  it("is worked on one by one without", function()
    local w = workspace.new({ config = files })
    local child = w:open("alpha", {
      before = SLOW,
      setup = "{ executors = { toml = { run = slow, async = false }, zig = { run = slow } }, " .. ON_LOAD .. "}",
    })
    child:lua("load_now()")
    assert.are.same(
      { "begin a.toml", "end a.toml", "begin b.toml", "end b.toml", "begin c.zig", "end c.zig", "on_load" },
      child:lua("return events")
    )
    child:stop()
  end)

  it("reports what an executor throws, before and after it has waited, and the rest runs", function()
    local w = workspace.new({ config = { ["alpha/a.toml"] = "", ["alpha/b.toml"] = "", ["alpha/c.toml"] = "" } })
    local child = w:open("alpha", {
      before = SLOW,
      setup = [[{ executors = { toml = { async = true, run = function(ctx, path)
        if path:find("a.toml", 1, true) then error("thrown at once") end
        slow(ctx, path)
        if path:find("b.toml", 1, true) then error("thrown late") end
      end } }, ]] .. ON_LOAD .. "}",
    })
    child:lua("assert(load_now())")
    assert.are.same(
      { "begin b.toml", "begin c.toml", "end b.toml", "end c.toml", "on_load" },
      child:lua("return events")
    )
    local errors = child:lua("return errors")
    assert.are.equal(2, #errors)
    for index, expected in ipairs({ { "a.toml", "thrown at once" }, { "b.toml", "thrown late" } }) do
      assert.are.equal(w.config_dir .. "/alpha/" .. expected[1], errors[index].file)
      assert.are.equal("runtime", errors[index].code)
      assert.is_truthy(errors[index].message:find(expected[2], 1, true), errors[index].message)
    end
    assert.are.same({ [w.config_dir .. "/alpha/c.toml"] = true }, child:lua("return npc.ctx._files_loaded"))
    child:stop()
  end)

  it("may load other projects while it works", function()
    local w = workspace.new({ config = { ["alpha.toml"] = "", ["beta.json"] = '{"from": "beta"}' } })
    local child = w:open("alpha", {
      setup = [[{ executors = { toml = { run = function(ctx)
      note({ npc.load_await(at("beta")).json.from, ctx.project_name, npc.ctx == ctx })
    end } } }]],
    })
    child:lua("load_now()")
    assert.are.same({ { "beta", "alpha", true } }, child:lua("return events"))
    child:stop()
  end)
end)

describe("a built-in kind", function()
  it("is taken over by an executor of the user's", function()
    local w = workspace.new({
      config = {
        ["alpha.lua"] = "note('executed')",
        ["alpha/more.lua"] = "note('executed')",
        ["alpha.vim"] = "lua note('alpha.vim')",
      },
    })
    local child = w:open("alpha", {
      setup = [[{ executors = { lua = { run = function(ctx, path)
      note({ ctx.project_name, vim.fs.basename(path) })
    end } } }]],
    })
    child:lua("load_now()")
    assert.are.same({ { "alpha", "alpha.lua" }, { "alpha", "more.lua" }, "alpha.vim" }, child:lua("return events"))
    child:stop()
  end)

  it("runs Lua files that wait side by side with async = true", function()
    local text = [[
      local name = vim.fs.basename(debug.getinfo(1, "S").source)
      slow(npc.ctx, name)
    ]]
    local w = workspace.new({ config = { ["alpha/a.lua"] = text, ["alpha/b.lua"] = text } })
    local child =
      w:open("alpha", { before = SLOW, setup = "{ executors = { lua = { async = true } }," .. ON_LOAD .. "}" })
    child:lua("load_now()")
    assert.are.same({ "begin a.lua", "begin b.lua" }, vim.list_slice(child:lua("return events"), 1, 2))
    assert.are.equal("on_load", child:lua("return events[5]"))
    child:lua("_G.events = {}; load_now({ executors = { lua = { async = false } } })")
    assert.are.same({ "begin a.lua", "end a.lua", "begin b.lua", "end b.lua", "on_load" }, child:lua("return events"))
    child:stop()
  end)

  it("keeps its own options when another kind is given", function()
    local w = workspace.new({ config = { ["alpha.json"] = '{"a": 1}', ["alpha.lua"] = "note('alpha.lua')" } })
    local child = w:open("alpha", { setup = "{ executors = { toml = { run = function() end } } }" })
    assert.are.same({ 1, { "alpha.lua" } }, child:lua("return { load_now().json.a, events }"))
    assert.are.same(
      { lua = false, vim = false, json = true, toml = false },
      child:lua("local r = {}; for k, v in pairs(npc.ctx.executors) do r[k] = v.async end; return r")
    )
    child:stop()
  end)
end)

describe("the load", function()
  it("waits as long as the user's code takes: deadlines are for disks", function()
    local w = workspace.new({ config = { ["alpha.toml"] = "" } })
    local child = w:open("alpha", {
      before = SLOW,
      setup = "{ cache = { timeout_ms = 1 }, executors = { toml = { run = function(ctx, path) slow(ctx, path) end } } }",
    })
    -- A busy machine may take longer than 1 ms for its disk: what is asked here is only that a load that began ends.
    local loaded = child:lua([[
      for _ = 1, 50 do
        _G.events = {}
        local ctx, err = load_now()
        if ctx and #events == 2 then return { true, events } end
        assert(ctx or err.code == "timeout", tostring(err))
      end
      return { false, errors }
    ]])
    assert.are.same({ true, { "begin alpha.toml", "end alpha.toml" } }, loaded)
    child:stop()
  end)
end)
