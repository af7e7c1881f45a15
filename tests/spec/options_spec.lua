-- The options that say where and how to load: of setup, of one call, of one context.
local support = require("tests.support")
local workspace = require("tests.support.workspace")

describe("config_dir", function()
  it("as a function is asked at each load, with the context", function()
    local w = workspace.new()
    support.tree({ ["one/alpha.json"] = '{"from": "one"}', ["two/alpha.json"] = '{"from": "two"}' }, w.dir)
    local child = w:open("alpha", {
      before = ("_G.choice = 'one'; _G.dir = %q"):format(w.dir),
      setup = [[{
      config_dir = function(ctx)
        note(ctx == npc.ctx)
        return dir .. "/" .. choice
      end,
    }]],
    })
    local result = child:lua([[
      local first = load_now()
      local seen = { first.json.from, first.config_dir }
      _G.choice = "two"
      local second = load_now()
      return { seen, { second.json.from, second.config_dir }, first == second, events }
    ]])
    assert.are.same({ { "one", w.dir .. "/one" }, { "two", w.dir .. "/two" }, true, { true, true } }, result)
    child:stop()
  end)

  it("as a function that throws or returns no string is an error of that load", function()
    local child = workspace.new():open("alpha")
    local result = child:lua([[
      local _, thrown = load_now({ config_dir = function() error("no idea where") end })
      local _, wrong = load_now({ config_dir = function() return 42 end })
      return { tostring(thrown), tostring(wrong), #errors, load_now().project_name }
    ]])
    assert.is_truthy(result[1]:find("no idea where", 1, true), result[1])
    assert.is_truthy(result[2]:find("config_dir: expected a string from the function, got number", 1, true), result[2])
    assert.are.same({ 2, "alpha" }, { result[3], result[4] })
    child:stop()
  end)

  it("of one call counts for that call only", function()
    local w = workspace.new({ config = { ["alpha.json"] = '{"from": "setup"}' } })
    support.tree({ ["alpha.json"] = '{"from": "call"}' }, w.dir .. "/once")
    local result = w:open("alpha"):lua(
      [[
      local once = load_now({ config_dir = ... .. "/once" }).json.from
      return { once, load_now().json.from }
    ]],
      w.dir
    )
    assert.are.same({ "call", "setup" }, result)
  end)

  it("is shown by the context that the load ends in, also when it was asked on another one", function()
    local w = workspace.new({ work = { ["big/.git"] = true, ["big/web/package.json"] = "{}" } })
    local result = w:open("big"):lua([[
      local outer = load_now()
      local inner = load_now(at("big/web"))
      return { inner.project_name, inner.config_dir == outer.config_dir, type(inner.config_dir) }
    ]])
    assert.are.same({ "big/web", true, "string" }, result)
  end)

  it("may begin with ~ or hold variables", function()
    local w = workspace.new()
    local child = w:open("alpha")
    support.write(child.home .. "/settings/alpha.json", '{"from": "home"}')
    assert.are.equal("home", child:lua("return load_now({ config_dir = '~/settings' }).json.from"))
    assert.are.equal("home", child:lua("return load_now({ config_dir = '$HOME/settings' }).json.from"))
    assert.are.equal(
      "home",
      child:lua("return load_now({ config_dir = function() return '~/settings' end }).json.from")
    )
    child:stop()
  end)

  it("is refused where it would lie in the project that one visits", function()
    local w = workspace.new()
    support.write(w.work .. "/alpha/projects/alpha.lua", "_G.ran = true")
    local child = w:open("alpha")
    for _, dir in ipairs({ "projects", "", "./projects", "$NOT_SET_ANYWHERE/projects" }) do
      local result = child:lua(
        [[
        local found
        npc.load({ config_dir = ..., on_error = function() end }, function(ctx, err) found = { ctx == nil, err and err.code } end)
        assert(settle(function() return found end))
        return found
      ]],
        dir
      )
      assert.are.same({ true, "invalid_argument" }, result, dir)
    end
    assert.are.equal(vim.NIL, child:lua("return _G.ran or vim.NIL"))
    child:stop()
  end)

  it("may be a symbolic link", function()
    local w = workspace.new({ config = { ["alpha.json"] = '{"from": "behind a link"}' } })
    assert(vim.uv.fs_symlink(w.config_dir, w.dir .. "/link"))
    local child = w:open("alpha")
    local result = child:lua("local ctx = load_now({ config_dir = ... }); return { ctx.json.from }", w.dir .. "/link")
    assert.are.same({ "behind a link" }, result)
    child:stop()
  end)
end)

describe("loading.start_dir", function()
  it("of setup is where every load begins", function()
    local w = workspace.new({ config = { ["beta.json"] = '{"from": "beta"}' } })
    local child = w:open("alpha", { setup = ("{ loading = { start_dir = %q } }"):format(w.work .. "/beta") })
    assert.are.same(
      { "beta", w.work .. "/beta" },
      child:lua("local ctx = load_now(); return { ctx.json.from, ctx.project_root }")
    )
    child:stop()
  end)

  it("of one call counts for that call only", function()
    local child = workspace.new():open("alpha")
    assert.are.same(
      { "beta", "alpha" },
      child:lua("return { load_now(at('beta')).project_name, load_now().project_name }")
    )
    child:stop()
  end)

  it("may begin with ~ and lead through symbolic links", function()
    local w = workspace.new()
    local child = w:open("alpha")
    support.tree(
      { ["code/gamma/.git"] = true, ["code/gamma/src"] = true, there = { link = "code/gamma/src" } },
      child.home
    )
    assert.are.same(
      { child.home .. "/code/gamma", child.home .. "/code/gamma" },
      child:lua([[
        local function root(dir) return load_now({ loading = { start_dir = dir } }).project_root end
        return { root("~/code/gamma"), root("~/there") }
      ]])
    )
    child:stop()
  end)
end)

describe("the current directory", function()
  it("is taken for what it is called", function()
    local w = workspace.new({
      work = { ["$HOME/.git"] = true, ["~/.git"] = true, ["$NOTHING/src"] = true, ["$NOTHING/.git"] = true },
      config = {
        ["$HOME.json"] = '{"from": "$HOME"}',
        ["~.json"] = '{"from": "~"}',
        ["$NOTHING.json"] = '{"from": "$NOTHING"}',
      },
    })
    local child = w:open("$HOME")
    local result = child:lua([[
      local function from(dir)
        vim.api.nvim_set_current_dir(work .. "/" .. dir)
        local ctx, err = load_now()
        return ctx and { ctx.project_root, ctx.json.from, load_now(ctx) == ctx } or tostring(err)
      end
      return { from("$HOME"), from("~"), from("$NOTHING/src") }
    ]])
    assert.are.same({
      { w.work .. "/$HOME", "$HOME", true },
      { w.work .. "/~", "~", true },
      { w.work .. "/$NOTHING", "$NOTHING", true },
    }, result)
    child:stop()
  end)
end)

describe("the cache options", function()
  it("are accepted and shown", function()
    local child = workspace.new({ config = { ["alpha.json"] = '{"a": 1}' } }):open("alpha", {
      setup = "{ cache = { trust_mtime = false, timeout_ms = 2500, max_file_size = 1000 } }",
    })
    assert.are.same(
      { 1, { trust_mtime = false, timeout_ms = 2500, max_file_size = 1000 } },
      child:lua("local ctx = load_now(); return { ctx.json.a, ctx.cache }")
    )
    child:stop()
  end)

  it("max_file_size refuses the larger file and loads the rest", function()
    local w = workspace.new({
      config = {
        ["alpha.json"] = '{"small": true}',
        ["alpha/large.json"] = '{"large": "' .. ("x"):rep(1000) .. '"}',
        ["alpha/large.lua"] = "note('ran')" .. ("\n"):rep(1000),
      },
    })
    local child = w:open("alpha", { setup = "{ cache = { max_file_size = 1000 } }" })
    assert.are.same({ { small = true }, {} }, child:lua("return { load_now().json, events }"))
    local files = {}
    for _, err in ipairs(child:lua("return errors")) do
      assert.are.equal("too_large", err.code)
      files[#files + 1] = err.file
    end
    table.sort(files)
    assert.are.same({ w.config_dir .. "/alpha/large.json", w.config_dir .. "/alpha/large.lua" }, files)
    child:stop()
  end)

  it("trust_mtime = false reads a file again whose times were put back", function()
    local w = workspace.new({ config = { ["alpha.json"] = '{"n": 1}' } })
    local path = w.config_dir .. "/alpha.json"
    local child = w:open("alpha", { setup = "{ cache = { trust_mtime = false } }" })
    for n = 1, 5 do
      w:write("alpha.json", ('{"n": %d}'):format(n))
      assert(vim.uv.fs_utime(path, 1e9, 1e9))
      assert.are.equal(n, child:lua("return load_now().json.n"))
    end
    child:stop()
  end)
end)

describe("options of one call", function()
  it("may be any of setup's, and count for that load only", function()
    local w = workspace.new({ config = { ["alpha.lua"] = "note('alpha.lua')", ["alpha.toml"] = "" } })
    local child = w:open("alpha", { setup = "{ on_load = function() note('setup') end }" })
    child:lua([[
      load_now({
        on_load = function() note("call") end,
        executors = { toml = { run = function() note("alpha.toml") end } },
      })
      load_now()
    ]])
    assert.are.same({ "alpha.lua", "alpha.toml", "call", "alpha.lua", "setup" }, child:lua("return events"))
    child:stop()
  end)

  it("do not make two loads equal that differ in them", function()
    local w = workspace.new()
    local child = w:open("alpha")
    child:lua([[
      local answers = 0
      for _, name in ipairs({ "one", "two" }) do
        npc.load({ on_load = function() note(name) end }, function() answers = answers + 1 end)
      end
      assert(settle(function() return answers == 2 end))
      table.sort(events)
    ]])
    assert.are.same({ "one", "two" }, child:lua("return events"))
    child:stop()
  end)

  it("with an error are refused at the call, and nothing is loaded", function()
    local child = workspace.new():open("alpha", { setup = "{ on_load = function() note('on_load') end }" })
    local ok, err = unpack(child:lua("local r = { pcall(npc.load, { loading = { start = '/' } }) }; idle(); return r"))
    assert.is_false(ok)
    assert.is_truthy(err:find("loading.start", 1, true) and err:find("start_dir", 1, true), err)
    assert.are.same({}, child:lua("return events"))
    child:stop()
  end)
end)

describe("options on a context", function()
  it("are setup's to begin with", function()
    local w = workspace.new()
    local child =
      w:open("alpha", { setup = "{ cache = { timeout_ms = 1234 }, executors = { toml = { run = print } } }" })
    assert.are.same(
      { 1234, true, "manual", 4 },
      child:lua([[
        local ctx = load_now(at("beta"))
        return { ctx.cache.timeout_ms, ctx.executors.toml.run == print, ctx.loading.on, #ctx.pipeline }
      ]])
    )
    child:stop()
  end)

  it("may be changed, and count from the context's next load", function()
    local w =
      workspace.new({ config = { ["alpha.json"] = '{"from": "projects"}', ["alpha.lua"] = "note('alpha.lua')" } })
    support.tree({ ["other/alpha.json"] = '{"from": "other"}', ["other/alpha.lua"] = "note('other alpha.lua')" }, w.dir)
    local child = w:open("alpha", { setup = "{ on_load = function() note('old') end }" })
    local result = child:lua(
      [[
      local ctx = load_now()
      local before = ctx.json.from
      ctx.config_dir = ...
      ctx.on_load = function() note("new") end
      local unchanged = ctx.json.from
      load_now()
      local after = ctx.json.from
      ctx.executors.lua = { run = function(_, path) note(vim.fs.basename(path) .. " by hand") end }
      load_now(ctx)
      return { before, unchanged, after }
    ]],
      w.dir .. "/other"
    )
    assert.are.same({ "projects", "projects", "other" }, result)
    assert.are.same(
      { "alpha.lua", "old", "other alpha.lua", "new", "alpha.lua by hand", "new" },
      child:lua("return events")
    )
    child:stop()
  end)

  it("do not touch other contexts", function()
    local w = workspace.new()
    local child = w:open("alpha", { setup = "{ on_load = function(ctx) note('setup ' .. ctx.project_name) end }" })
    child:lua([[
      local alpha = load_now()
      alpha.on_load = function() note("own") end
      alpha.cache.timeout_ms = 77
      local beta = load_now(at("beta"))
      assert(beta.cache.timeout_ms == 5000)
      load_now(alpha)
    ]])
    assert.are.same({ "setup alpha", "setup beta", "own" }, child:lua("return events"))
    child:stop()
  end)

  it("are kept over clear()", function()
    local child = workspace.new():open("alpha")
    child:lua("local ctx = load_now(); ctx.on_load = function() note('own') end; npc.clear(); load_now()")
    assert.are.same({ "own" }, child:lua("return events"))
    child:stop()
  end)

  it("of a wrong type are an error at the next load, with their name", function()
    local child = workspace.new():open("alpha")
    local ok, err = unpack(child:lua("load_now().config_dir = 42; return { pcall(npc.load) }"))
    assert.is_false(ok)
    assert.is_truthy(err:find("config_dir: expected string or function, got number", 1, true), err)
    child:stop()
  end)
end)
