-- The contexts of a session that goes from project to project: which one a buffer has, which there are, what reads and clears them, and
-- that what is changed in one that is not current goes to its own files.
local following = require("tests.support.following")
local saving = require("tests.support.saving")

local BIG = {
  [".git"] = true,
  ["main.c"] = "",
  ["packages/web"] = { ["package.json"] = "{}", ["main.c"] = "", ["src/deep/main.c"] = "" },
}

---@param opts? test.FollowOptions
---@return test.Child, test.Workspace
local function open(opts)
  local w = following.workspace({ work = { big = BIG }, config = following.config({ "big", "big/web" }) })
  local child = following.open(w, "alpha", opts)
  child:lua([[
    -- The name of a context, as RPC cannot carry one.
    function _G.name_of(ctx) return ctx and ctx.project_name or "none" end
    function _G.names() return vim.tbl_map(name_of, npc.contexts()) end
    function _G.shown(buffer)
      local value = vim.b[buffer or 0].project_config
      return value and { value.root:sub(#work + 2), value.name } or "none"
    end
    function _G.buffer(path) return vim.fn.bufnr(work .. "/" .. path) end
    function _G.open(path) vim.cmd.edit(work .. "/" .. path) return vim.api.nvim_get_current_buf() end
  ]])
  return child, w
end

describe("npc.context(buf)", function()
  it("is the context of the buffer's project, whichever is current", function()
    local child = open()
    local result = child:lua([[
      local a, b = open("alpha/main.c"), open("beta/main.c")
      local before = { name_of(npc.context(a)), name_of(npc.context(b)), name_of(npc.context()) }
      local alpha, beta = load_now(at("alpha")), load_now(at("beta"))
      calm()
      return {
        before, npc.context(a) == alpha, npc.context(b) == beta, npc.context() == beta, npc.context(0) == beta,
        name_of(npc.context(open("gamma/main.c"))), npc.ctx == beta,
      }
    ]])
    assert.are.same({ { "none", "none", "none" }, true, true, true, true, "none", true }, result)
    child:stop()
  end)

  it("is nil for a package whose repository is loaded and which is not", function()
    local child = open()
    child:lua([[
      _G.outer, _G.inner = open("big/main.c"), open("big/packages/web/src/deep/main.c")
      _G.big = load_now(at("big"))
    ]])
    child:wait("shown(outer) ~= 'none'")
    child:lua("calm()")
    assert.are.same({ true, "none" }, child:lua("return { npc.context(outer) == big, name_of(npc.context(inner)) }"))
    assert.are.same({ { "big", "big" }, "none" }, child:lua("return { shown(outer), shown(inner) }"))
    child:lua("_G.web = load_now(at('big/packages/web'))")
    child:wait("shown(inner) ~= 'none'")
    assert.are.same({ true, true }, child:lua("return { npc.context(outer) == big, npc.context(inner) == web }"))
    assert.are.same(
      { { "big", "big" }, { "big/packages/web", "big/web" } },
      child:lua("return { shown(outer), shown(inner) }")
    )
    child:stop()
  end)

  it("stays what it was right after a write, while it is looked again", function()
    local child = open()
    child:lua("_G.outer, _G.inner = open('big/main.c'), open('big/packages/web/main.c') load_now(at('big'))")
    -- Both are looked for together.
    child:wait("shown(outer) ~= 'none'")
    assert.are.same(
      { "none", "big" },
      child:lua([[
        vim.cmd.write()
        vim.api.nvim_buf_call(outer, vim.cmd.write)
        return { name_of(npc.context(inner)), name_of(npc.context(outer)) }
      ]])
    )
    child:stop()
  end)

  it("is nil for buffers that are no files of a project", function()
    local child = open()
    local result = child:lua([[
      load_now(at("alpha"))
      local result = {}
      local function look() table.insert(result, name_of(npc.context())) end
      open("plain/main.c") calm() look()
      vim.cmd.edit("oil://" .. work .. "/alpha/") calm() look()
      vim.cmd.help() calm() look()
      open("alpha/sub/new.c") calm() look()
      return result
    ]])
    assert.are.same({ "none", "none", "none", "alpha" }, result)
    child:stop()
  end)

  it("is what it was called for in a function that runs before anything is known of the buffer", function()
    local child = open()
    child:lua("load_now(at('alpha')) load_now(at('beta'))")
    local result = child:lua([[
      local result = {}
      vim.api.nvim_create_autocmd("BufReadPost", { callback = function(event)
        table.insert(result, name_of(npc.context(event.buf)))
      end })
      open("alpha/main.c")
      open("beta/sub/other.c")
      return result
    ]])
    assert.are.same({ "alpha", "beta" }, result)
    child:stop()
  end)

  it("follows a buffer that gets another name", function()
    local child = open()
    child:lua([[
      load_now(at("beta"))
      load_now(at("alpha"))
      _G.here = open("alpha/main.c")
      settle(function() return name_of(npc.context(here)) == "alpha" and shown(here) ~= "none" end)
      vim.cmd.file(work .. "/beta/renamed.c")
    ]])
    child:wait("shown(here)[2] == 'beta'")
    assert.are.same({ "beta", { "beta", "beta" } }, child:lua("return { name_of(npc.context(here)), shown(here) }"))
    child:stop()
  end)

  it("says what is wrong with its argument, at the line that calls", function()
    local child = open()
    local result = child:lua([[
      local result = {}
      local function try(buf) table.insert(result, (select(2, pcall(npc.context, buf)))) end
      try("x") try({}) try(true) try(1.5) try(99999) try(-1)
      table.insert(result, (select(2, pcall(loadstring("require('nvim-project-config').context('x')", "=caller")))))
      return result
    ]])
    assert.are.equal(7, #result)
    for _, message in ipairs(result) do
      assert.are.equal("string", type(message))
      assert.is_truthy(message:find("buf", 1, true), message)
    end
    assert.is_truthy(result[7]:find("^caller:1:"), result[7])
    child:stop()
  end)
end)

describe("entering a loaded project", function()
  it("whose config_dir has gone brings back what that gave, and says so once", function()
    local child, w = open({ buffer = true })
    -- Neovim would open them again.
    for _, name in ipairs({ "alpha.vim", "beta.vim" }) do
      assert(os.remove(w.config_dir .. "/" .. name))
    end
    child:lua("_G.beta = load_now(at('beta')).json; load_now(at('alpha'))")
    local away = w.dir .. "/away"
    assert(vim.uv.fs_rename(w.config_dir, away))
    for _ = 1, 2 do
      local entered = following.after(child, "vim.cmd.edit(file('beta'))", "beta")
      local lines = vim.tbl_filter(function(line)
        return not line:find("^Error ")
      end, entered.events)
      assert.are.same({ "LoadPre beta buffer", "beta.lua", "on_load beta", "LoadPost beta buffer" }, lines)
      assert.are.same({ true, "beta" }, child:lua("return { npc.ctx.json == beta, beta.from }"))
      following.after(child, "vim.cmd.edit(file('alpha'))", "alpha")
    end
    local told = vim.tbl_map(function(err)
      return { err.code, err.path, err.project }
    end, child:lua("return errors"))
    assert.are.same({ { "not_found", w.config_dir, "beta" }, { "not_found", w.config_dir, "alpha" } }, told)
    assert(vim.uv.fs_rename(away, w.config_dir))
    w:write("beta.json", '{"from": "new"}')
    following.after(child, "vim.cmd.edit(file('beta'))", "beta")
    assert.are.same({ "new", true }, child:lua("return { beta.from, npc.ctx._trouble == nil }"))
    child:stop()
  end)

  it("whose files the user's code leaves out this time runs none of them", function()
    local child = open({
      buffer = true,
      before = [[
        local function stage(name, options) return require("nvim-project-config.stages." .. name)(options) end
        local function finder(ctx)
          return (not left_out and ctx.project_name == "alpha") and { config_dir .. "/alpha.lua" } or {}
        end
        options.pipeline = { stage("walk"), stage("detect"), stage("find_files", { finder = finder }), stage("execute") }
      ]],
    })
    child:lua("load_now(at('alpha')) load_now(at('beta')) _G.left_out = true")
    local entered = following.after(child, "vim.cmd.edit(file('alpha'))", "alpha")
    assert.are.same({ "LoadPre alpha buffer", "on_load alpha", "LoadPost alpha buffer" }, entered.events)
    child:stop()
  end)

  it("which came from another config_dir takes what there is in the one of now, also if that does not exist", function()
    local child = open({ buffer = true, setup = "{ config_dir = work .. '/nowhere' }" })
    child:lua([[
      for _, name in ipairs({ "alpha", "beta" }) do
        load_now({ config_dir = config_dir, loading = { start_dir = work .. "/" .. name } })
      end
    ]])
    local entered = following.after(child, "vim.cmd.edit(file('alpha'))", "alpha")
    assert.are.same({ "LoadPre alpha buffer", "on_load alpha", "LoadPost alpha buffer" }, entered.events)
    assert.are.same({ true, 0 }, child:lua("return { vim.tbl_isempty(npc.ctx.json), #errors }"))
    child:stop()
  end)
end)

describe("npc.contexts()", function()
  it("are all that are loaded, the current one first, then by root", function()
    local child = open()
    local result = child:lua([[
      local result = { names() }
      for _, dir in ipairs({ "gamma", "alpha", "big", "beta", "big/packages/web" }) do
        load_now(at(dir))
      end
      table.insert(result, names())
      load_now(at("beta"))
      table.insert(result, names())
      npc.clear(npc.contexts()[2])
      table.insert(result, names())
      npc.clear()
      table.insert(result, names())
      npc.setup(options)
      table.insert(result, names())
      return result
    ]])
    assert.are.same({
      {},
      { "big/web", "alpha", "beta", "big", "gamma" },
      { "beta", "alpha", "big", "big/web", "gamma" },
      { "beta", "big", "big/web", "gamma" },
      { "big", "big/web", "gamma" },
      {},
    }, result)
    child:stop()
  end)

  it("holds both contexts of a root whose project has got another name; its buffers get the current one", function()
    local child = open()
    local result = child:lua([[
      open("alpha/main.c")
      load_now(at("alpha"))
      load_now({ names = { [work .. "/alpha"] = "other" } })
      settle(function() return shown()[2] == "other" end)
      local result = { names(), name_of(npc.context()), shown()[2] }
      load_now(npc.contexts()[2])
      settle(function() return shown()[2] == "alpha" end)
      return vim.list_extend(result, { names(), name_of(npc.context()), shown()[2] })
    ]])
    assert.are.same({ { "other", "alpha" }, "other", "other", { "alpha", "other" }, "alpha", "alpha" }, result)
    child:stop()
  end)

  it("is a list of one's own, of the same contexts", function()
    local child = open()
    assert.is_true(child:lua([[
      local ctx = load_now(at("alpha"))
      local list = npc.contexts()
      list[1] = nil
      return npc.contexts()[1] == ctx and npc.ctx == ctx
    ]]))
    child:stop()
  end)

  it("does not hold independent ones", function()
    local child = open()
    assert.are.same(
      { "alpha" },
      child:lua([[
        load_now(at("alpha"))
        local own = npc.new({ config_dir = config_dir, loading = { start_dir = work .. "/beta" } })
        assert(load_now(own).project_name == "beta")
        return names()
      ]])
    )
    child:stop()
  end)
end)

describe("npc.get with a buffer", function()
  it("reads from the project of that buffer, and gives the default where none is loaded", function()
    local child = open()
    local result = child:lua([[
      local a, b, c = open("alpha/main.c"), open("beta/main.c"), open("gamma/main.c")
      load_now(at("alpha"))
      load_now(at("beta"))
      calm()
      return {
        npc.get("from", "default", { buf = a }), npc.get("from", "default", { buf = b }), npc.get("from", "default", { buf = c }),
        npc.get("not.there", "default", { buf = a }), npc.get("from", nil, { buf = a }), npc.get("from", "default", { buf = 0 }),
        npc.get("from", "default"), npc.get("from", "default", {}), vim.inspect(npc.get("from", nil, { buf = c })),
      }
    ]])
    assert.are.same({ "alpha", "beta", "default", "default", "alpha", "default", "beta", "beta", "nil" }, result)
    child:stop()
  end)

  it("says what is wrong with its arguments, at the line that calls", function()
    local child = open()
    local result = child:lua([[
      load_now(at("alpha"))
      local result = {}
      for _, opts in ipairs({ "'x'", "{ buf = 'x' }", "{ buf = 99999 }", "{ buff = 0 }", "7" }) do
        local call = ("require('nvim-project-config').get('from', nil, %s)"):format(opts)
        local _, message = pcall(loadstring(call, "=caller"))
        table.insert(result, message)
      end
      return result
    ]])
    assert.are.equal(5, #result)
    for _, message in ipairs(result) do
      assert.is_truthy(message:find("^caller:1:"), message)
    end
    child:stop()
  end)
end)

describe("vim.b.project_config", function()
  it("is there while the project of the buffer is loaded: after clear() gone, after a load there again", function()
    local child = open()
    child:lua("_G.a, _G.b = open('alpha/main.c'), open('beta/main.c') calm()")
    assert.are.same({ "none", "none" }, child:lua("return { shown(a), shown(b) }"))
    child:lua("load_now(at('alpha'))")
    child:wait("shown(a) ~= 'none'")
    assert.are.same({ { "alpha", "alpha" }, "none" }, child:lua("return { shown(a), shown(b) }"))
    child:lua("load_now(at('beta'))")
    child:wait("shown(b) ~= 'none'")
    assert.are.same({ { "alpha", "alpha" }, { "beta", "beta" } }, child:lua("return { shown(a), shown(b) }"))
    child:lua("npc.clear(npc.context(a)) calm()")
    assert.are.same({ "none", { "beta", "beta" } }, child:lua("return { shown(a), shown(b) }"))
    child:lua("npc.clear() calm()")
    assert.are.same({ "none", "none" }, child:lua("return { shown(a), shown(b) }"))
    child:lua("load_now(at('alpha'))")
    child:wait("shown(a) ~= 'none'")
    assert.are.same({ { "alpha", "alpha" }, "none" }, child:lua("return { shown(a), shown(b) }"))
    child:lua("npc.setup(options) calm()")
    assert.are.same({ "none", "none" }, child:lua("return { shown(a), shown(b) }"))
    child:stop()
  end)

  it("comes to buffers that are read later, also without watching", function()
    local child = open()
    child:lua("load_now(at('alpha')) _G.a = open('alpha/sub/other.c')")
    child:wait("shown(a) ~= 'none'")
    child:lua("_G.new = open('alpha/not/there/new.c')")
    child:wait("shown(new) ~= 'none'")
    assert.are.same({ { "alpha", "alpha" }, { "alpha", "alpha" } }, child:lua("return { shown(a), shown(new) }"))
    assert.are.same(
      { "none", "none" },
      child:lua([[
        local first = open("plain/main.c")
        vim.cmd.help()
        calm()
        return { shown(first), shown() }
      ]])
    )
    child:stop()
  end)

  it("has the two fields and no other", function()
    local child = open({ buffer = true })
    child:lua("vim.cmd.edit(file('alpha'))")
    child:wait("vim.b.project_config")
    assert.are.same(
      { root = child:lua("return work .. '/alpha'"), name = "alpha" },
      child:lua("return vim.b.project_config")
    )
    child:stop()
  end)
end)

describe("clear(ctx)", function()
  it("of one that is not current leaves the current one, and entering it loads it anew", function()
    local child = open({ buffer = true })
    following.after(child, "vim.cmd.edit(file('alpha')) _G.a = vim.api.nvim_get_current_buf()", "alpha")
    following.after(child, "vim.cmd.edit(file('beta'))", "beta")
    local cleared = following.after(child, "npc.clear(npc.context(a))")
    assert.are.equal("beta", cleared.current)
    assert.are.same(1, #cleared.events, vim.inspect(cleared.events))
    assert.are.same({ "beta" }, child:lua("return names()"))
    assert.are.same({ "none", "beta" }, child:lua("return { name_of(npc.context(a)), npc.get('from') }"))
    local again = following.after(child, "vim.cmd.buffer(a)", "alpha")
    assert.are.same({ current = "alpha", events = following.loaded("alpha", "buffer") }, again)
    assert.are.same({ "alpha", "beta" }, child:lua("return names()"))
    child:stop()
  end)

  it("saves what was changed in it to its own file", function()
    local child, w = open({ buffer = true })
    following.after(child, "vim.cmd.edit(file('alpha'))", "alpha")
    child:lua("_G.alpha = npc.ctx _G.json = alpha.json")
    following.after(child, "vim.cmd.edit(file('beta'))", "beta")
    child:lua("json.kept = true npc.clear(alpha)")
    saving.until_value(w.config_dir .. "/alpha.json", { from = "alpha", kept = true })
    assert.are.same({ from = "beta" }, saving.value(w.config_dir .. "/beta.json"))
    child:stop()
  end)

  it("twice does nothing the second time", function()
    local child = open()
    child:lua("_G.alpha = load_now(at('alpha')) load_now(at('beta')) npc.clear(alpha) calm()")
    assert.are.same({ current = "beta", events = {} }, following.after(child, "npc.clear(alpha)"))
    child:stop()
  end)
end)

describe("clear()", function()
  it("then entering a buffer loads again: the same one, another of the project, one of another project", function()
    local child = open({ buffer = true })
    following.after(child, "vim.cmd.edit(file('alpha'))", "alpha")
    local alone = following.after(child, "npc.clear()")
    assert.are.equal(false, alone.current)
    assert.are.equal(1, #alone.events, vim.inspect(alone.events))
    local again = { current = "alpha", events = following.loaded("alpha", "buffer") }
    assert.are.same(again, following.after(child, "vim.cmd.new() vim.cmd.close()", "alpha"))
    child:lua("npc.clear()")
    assert.are.same(again, following.after(child, "vim.cmd.edit(work .. '/alpha/sub/other.c')", "alpha"))
    child:lua("npc.clear()")
    local other = { current = "beta", events = following.loaded("beta", "buffer") }
    assert.are.same(other, following.after(child, "vim.cmd.edit(file('beta'))", "beta"))
    assert.are.same(again, following.after(child, "vim.cmd.edit(file('alpha'))", "alpha"))
    child:stop()
  end)

  it("and a directory change", function()
    local child = open({ cwd = true })
    following.after(child, "vim.cmd.cd(work .. '/beta')", "beta")
    child:lua("npc.clear()")
    local again = following.after(child, "vim.cmd.cd(work .. '/beta/sub')", "beta")
    assert.are.same({ current = "beta", events = following.loaded("beta", "cwd") }, again)
    child:stop()
  end)
end)

describe("a reference to the JSON of a project that is not current", function()
  ---@return test.Child, test.Workspace
  local function open_both()
    local child, w = open({ buffer = true })
    following.after(child, "vim.cmd.edit(file('alpha'))", "alpha")
    child:lua("_G.alpha = npc.ctx _G.json = npc.ctx.json json.lsp = { a = 1 } load_now(alpha)")
    following.after(child, "vim.cmd.edit(file('beta'))", "beta")
    child:lua("_G.beta_json = npc.ctx.json")
    saving.until_value(w.config_dir .. "/alpha.json", { from = "alpha", lsp = { a = 1 } })
    return child, w
  end

  ---@param w test.Workspace
  ---@param value table
  local function only_alpha_has(w, value)
    saving.until_value(w.config_dir .. "/alpha.json", value)
    assert.are.equal('{"from": "beta"}\n', require("tests.support").read(w.config_dir .. "/beta.json"))
  end

  it("changed through its context", function()
    local child, w = open_both()
    child:lua("alpha.json.x = 1 alpha.json.lsp.a = nil alpha.json.lsp.b = 2")
    only_alpha_has(w, { from = "alpha", x = 1, lsp = { b = 2 } })
    assert.are.same({ from = "beta" }, child:lua("return npc.ctx.json"))
    child:stop()
  end)

  it("changed without asking for it again: found at CursorHold", function()
    local child, w = open_both()
    child:lua("json.x = 1 json.lsp.a = 5 vim.cmd.doautocmd('CursorHold')")
    only_alpha_has(w, { from = "alpha", x = 1, lsp = { a = 5 } })
    child:stop()
  end)

  it("changed without asking for it again: found at save()", function()
    local child, w = open_both()
    child:lua("json.x = { 1, 2 } npc.save()")
    only_alpha_has(w, { from = "alpha", x = { 1, 2 }, lsp = { a = 1 } })
    child:stop()
  end)

  it("changed without asking for it again: found when the project is entered", function()
    local child, w = open_both()
    child:lua("json.x = 'entered'")
    local back = following.after(child, "vim.cmd.edit(file('alpha'))", "alpha")
    assert.are.same({ current = "alpha", events = following.loaded("alpha", "buffer") }, back)
    assert.are.equal("entered", child:lua("return json == npc.ctx.json and npc.ctx.json.x"))
    only_alpha_has(w, { from = "alpha", x = "entered", lsp = { a = 1 } })
    child:stop()
  end)

  it("changed without asking for it again: found at exit", function()
    local child, w = open_both()
    child:lua("json.x = 'left'")
    child:stop()
    assert.are.same({ from = "alpha", x = "left", lsp = { a = 1 } }, saving.value(w.config_dir .. "/alpha.json"))
    assert.are.same({ from = "beta" }, saving.value(w.config_dir .. "/beta.json"))
  end)

  it("changed in both: each in its own", function()
    local child, w = open_both()
    child:lua("npc.set('y', 2) json.x = 1 npc.save()")
    saving.until_value(w.config_dir .. "/alpha.json", { from = "alpha", x = 1, lsp = { a = 1 } })
    saving.until_value(w.config_dir .. "/beta.json", { from = "beta", y = 2 })
    child:stop()
  end)

  it("in a function that waits while the user moves on: set() is for the project the function runs for", function()
    local w = following.workspace({
      config = {
        ["alpha.lua"] = [[
          _G.held = coroutine.running()
          coroutine.yield()
          npc.set("late", npc.ctx.project_name)
        ]],
      },
    })
    local child = following.open(w, "alpha", { buffer = true })
    child:lua("vim.cmd.edit(file('alpha'))")
    child:wait("_G.held ~= nil")
    following.after(child, "vim.cmd.edit(file('beta'))", "beta")
    child:lua("coroutine.resume(held)")
    saving.until_value(w.config_dir .. "/alpha.json", { from = "alpha", late = "alpha" })
    assert.are.equal('{"from": "beta"}\n', require("tests.support").read(w.config_dir .. "/beta.json"))
    assert.are.equal("beta", child:lua("return npc.ctx.project_name"))
    child:stop()
  end)

  it("is the table that is shown when its project is entered again, also its parts", function()
    local child = open_both()
    child:lua("_G.lsp = json.lsp")
    following.after(child, "vim.cmd.edit(file('alpha'))", "alpha")
    assert.is_true(child:lua("return npc.ctx.json == json and npc.ctx.json.lsp == lsp and npc.ctx == alpha"))
    child:stop()
  end)
end)
