-- Executors: the user's own kinds of files, beside one another or one by one, and replacements for the built-in ones.
local workspace = require("tests.support.workspace")

--- An executor that takes until its own timer says so.
local SLOW = [[
  function _G.slow(ctx, path)
    local co = assert(coroutine.running(), "not in a coroutine")
    local name = vim.fs.basename(path)
    note("begin " .. name)
    local timer = vim.uv.new_timer()
    timer:start(({ ["a.toml"] = 60, ["longer.toml"] = 1500 })[name] or 20, 0, vim.schedule_wrap(function()
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

describe("a list of executors", function()
  it("runs one after the other for each file, and ends with the first that fails", function()
    local w = workspace.new({ config = { ["alpha/a.toml"] = "", ["alpha/b.toml"] = "" } })
    local child = w:open("alpha", {
      before = SLOW,
      setup = [[{ executors = { toml = { run = {
        function(ctx, path) note("1 " .. vim.fs.basename(path)) end,
        slow,
        function(ctx, path) if path:find("a.toml", 1, true) then error("failed") end end,
        function(ctx, path) note("4 " .. vim.fs.basename(path)) end,
      } } }, ]] .. ON_LOAD .. "}",
    })
    child:lua("assert(load_now())")
    assert.are.same(
      { "1 a.toml", "begin a.toml", "end a.toml", "1 b.toml", "begin b.toml", "end b.toml", "4 b.toml", "on_load" },
      child:lua("return events")
    )
    assert.are.equal(w.config_dir .. "/alpha/a.toml", child:lua("return errors[1].file"))
    child:stop()
  end)

  it("has to hold functions, at least one", function()
    local w = workspace.new()
    local child = w:open("alpha")
    for run, expected in pairs({
      ["{}"] = "executors.toml.run: expected function or a list of functions, got an empty table",
      ["{ a = print }"] = "executors.toml.run: expected function or a list of functions, got another table",
      ["{ print, 3 }"] = "executors.toml.run[2]: expected function, got number",
      ["7"] = "executors.toml.run: expected function or a list of functions, got number",
    }) do
      local ok, problem =
        unpack(child:lua(("return { pcall(npc.setup, { executors = { toml = { run = %s } } }) }"):format(run)))
      assert.is_false(ok)
      assert.are.equal("nvim-project-config: " .. expected, problem)
    end
    child:stop()
  end)
end)

describe("an executor", function()
  local three = { ["alpha/a.toml"] = "", ["alpha/b.toml"] = "", ["alpha/c.toml"] = "" }

  --- What becomes of `a.toml`, whose executor does this; the other files and the load have to be all right.
  ---@param code string
  ---@param async boolean
  ---@return test.Child, test.Workspace
  local function run(code, async)
    local w = workspace.new({ config = three })
    local child = w:open("alpha", {
      setup = ([[{ executors = { toml = { async = %s, run = function(ctx, path)
        local name = vim.fs.basename(path)
        if name == "a.toml" then %s end
        note(name)
      end } }, %s }]]):format(async, code, ON_LOAD),
    })
    return child, w
  end

  for _, async in ipairs({ false, true }) do
    local mode = async and " (side by side)" or " (one by one)"

    it("may yield awaitables of anybody's" .. mode, function()
      -- As plenary.async has them: the function, where its callback goes, its arguments.
      local child = run(
        [[
          local answer = coroutine.yield(function(a, b, step) vim.schedule(function() step(a .. b) end) end, 3, "x", "y")
          local at_once = coroutine.yield(function(step) step(1, nil, 3) step("twice") end)
          local stat = coroutine.yield(function(step)
            vim.uv.fs_stat("/", function(_, stat) step(stat) end)
          end)
          note({ answer, at_once, stat.type, vim.in_fast_event(), vim.fn.exists("*strlen") })
        ]],
        async
      )
      child:lua("assert(load_now())")
      local events = child:lua("return events")
      assert.are.equal("on_load", table.remove(events))
      assert.is_true(vim.list_contains(events, "a.toml"))
      assert.are.same(
        { "xy", 1, "directory", false, 1 },
        vim.tbl_filter(function(event)
          return type(event) == "table"
        end, events)[1]
      )
      assert.are.same({}, child:lua("return errors"))
      child:stop()
    end)

    for what, case in pairs({
      ["yields a number"] = { "coroutine.yield(42)", "yielded a number" },
      ["yields a table"] = { "coroutine.yield({})", "yielded a table" },
      ["yields false"] = { "coroutine.yield(false)", "yielded a boolean" },
      ["yields an awaitable that throws"] = { "coroutine.yield(function() error('leaf') end)", "leaf" },
      ["yields nonsense after it has waited"] = {
        "coroutine.yield(function(step) vim.schedule(step) end) coroutine.yield('text')",
        "yielded a string",
      },
    }) do
      it(what .. ": an error for its file, and the rest runs" .. mode, function()
        local child, w = run(case[1], async)
        child:lua("assert(load_now())")
        assert.are.same({ "b.toml", "c.toml", "on_load" }, child:lua("return events"))
        local errors = child:lua("return errors")
        assert.are.equal(1, #errors)
        local path = w.config_dir .. "/alpha/a.toml"
        assert.are.same({ "runtime", path }, { errors[1].code, errors[1].file })
        assert.are.equal(path .. ": ", errors[1].message:sub(1, #path + 2))
        assert.is_truthy(errors[1].message:find(case[2], 1, true), errors[1].message)
        -- Again, with nothing left over from the first time.
        child:lua("_G.events = {}; assert(load_now())")
        assert.are.same({ "b.toml", "c.toml", "on_load" }, child:lua("return events"))
        child:stop()
      end)
    end

    it("that was given up and is resumed later changes nothing" .. mode, function()
      local child = run("_G.left = coroutine.running() coroutine.yield(42) note('woken')", async)
      child:lua([[
        assert(load_now())
        _G.events = {}
        local ok, problem = coroutine.resume(left)
        note(ok) note(problem)
        idle()
      ]])
      local events = child:lua("return events")
      assert.are.same({ "woken", "a.toml", true }, { events[1], events[2], events[3] })
      assert.are.equal(3, #events)
      assert.are.equal(1, #child:lua("return errors"))
      assert.are.equal(3, child:lua("return #npc.ctx._report.files"))
      child:stop()
    end)

    it("that is never resumed holds the load until it is cleared" .. mode, function()
      local child = run("_G.held = true coroutine.yield()", async)
      child:lua("npc.load(function(ctx, err) note({ ctx ~= nil, err and err.code }) end)")
      child:wait(async and "held and #events == 2" or "held")
      child:lua("idle()")
      assert.are.same(async and { "b.toml", "c.toml" } or {}, child:lua("return events"))
      child:lua("_G.events = {} npc.clear()")
      child:wait("events[1]")
      assert.are.same({ { false, "cancelled" } }, child:lua("return events"))
      assert.are.same({}, child:lua("return errors"))
      child:stop()
    end)
  end

  it("is timed, and its failure noted", function()
    local w = workspace.new({ config = three })
    local child = w:open("alpha", {
      setup = [[{ executors = { toml = { run = function(ctx, path)
        if path:find("b.toml", 1, true) then error("failed") end
        local began, text = vim.uv.hrtime(), ""
        for _ = 1, path:find("c.toml", 1, true) and 200 or 1 do text = text .. table.concat(vim.fn.readfile(path)) end
        took[vim.fs.basename(path)] = (vim.uv.hrtime() - began) / 1e6
      end } } }]],
      before = "_G.took = {}",
    })
    local files, took, all = unpack(child:lua([[
      local began = vim.uv.hrtime()
      local files = load_now()._report.files
      return { files, took, (vim.uv.hrtime() - began) / 1e6 }
    ]]))
    assert.are.same({ vim.NIL, true, vim.NIL }, {
      files[1].failed or vim.NIL,
      files[2].failed or vim.NIL,
      files[3].failed or vim.NIL,
    })
    assert.is_true(files[2].ms > 0)
    for _, file in ipairs(files) do
      local own = took[vim.fs.basename(file.path)] or 0
      assert.is_true(
        file.ms > own and file.ms < all,
        ("%s: %f ms of %f, its own %f"):format(file.path, file.ms, all, own)
      )
    end
    child:stop()
  end)

  it("gets context and path, and nothing else", function()
    local w =
      workspace.new({ config = { ["alpha.lua"] = "", ["alpha.vim"] = "", ["alpha.toml"] = "", ["alpha.json"] = "{}" } })
    local child = w:open("alpha", {
      before = "function _G.count(...) note(select('#', ...)) end",
      setup = "{ executors = { lua = { run = count }, vim = { run = count }, toml = { run = count }, json = { run = count } } }",
    })
    child:lua("load_now()")
    assert.are.same({ 2, 2, 2, 2 }, child:lua("return events"))
    child:stop()
  end)
end)

describe("a router", function()
  local function stages(router)
    return ([[{ pipeline = {
      require("nvim-project-config.stages.walk")(), require("nvim-project-config.stages.detect")(),
      require("nvim-project-config.stages.find_files")(),
      require("nvim-project-config.stages.execute")({ router = %s }),
    } }]]):format(router)
  end

  it("names executors by extension, before those of the options", function()
    local w = workspace.new({
      config = {
        ["alpha.lua"] = "note('file')",
        ["alpha.toml"] = "",
        ["alpha.cfg"] = "",
        ["alpha.vim"] = "lua note('vim')",
      },
    })
    local child = w:open("alpha", {
      setup = stages([[{
        toml = function(_, path) note("toml " .. vim.fs.basename(path)) end,
        [".cfg"] = { function() note("cfg 1") end, function() note("cfg 2") end },
        lua = { function() note("before") end, require("nvim-project-config.executors.lua") },
      }]]),
    })
    child:lua("load_now()")
    assert.are.same({ "before", "file", "vim", "cfg 1", "cfg 2", "toml alpha.toml" }, child:lua("return events"))
    child:stop()
  end)

  it("tries its list part first, in its order, on the file's name", function()
    local w = workspace.new({
      config = {
        ["alpha/a.lua"] = "note('a')",
        ["alpha/b.lua"] = "note('b')",
        ["alpha/c.lua"] = "note('c')",
        ["alpha/x.json"] = '{"x": 1}',
        ["alpha/y.json"] = '{"x": 2}',
      },
    })
    local child = w:open("alpha", {
      setup = stages([[{
        { "b.lua", function() note("only b") end },
        { { "b.lua", "c.lua" }, { function() note("first") end, require("nvim-project-config.executors.lua") } },
        { "x.json", function(ctx) note({ "x", ctx.json.x }) end },
      }]]),
    })
    child:lua("load_now()")
    assert.are.same({ { "x", 2 }, "a", "only b", "first", "c" }, child:lua("return events"))
    child:stop()
  end)
end)

describe("the load", function()
  it("waits as long as the user's code takes: deadlines are for disks", function()
    local w = workspace.new({ config = { ["alpha/longer.toml"] = "" } })
    local child = w:open("alpha", {
      before = SLOW,
      setup = "{ cache = { timeout_ms = 1000 }, executors = { toml = { run = function(ctx, path) slow(ctx, path) end } } }",
    })
    child:lua("assert(load_now())")
    assert.are.same({ "begin longer.toml", "end longer.toml" }, child:lua("return events"))
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)
end)
