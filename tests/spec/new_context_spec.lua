-- `npc.new(opts)`: a context with options, loads, project contexts and caches of its own, beside those of the session.
local saving = require("tests.support.saving")
local workspace = require("tests.support.workspace")

local CONFIG = {
  ["alpha.json"] = '{"from": "alpha"}',
  ["beta.json"] = '{"from": "beta"}',
}

--- `fresh(dir, more)` makes one that loads from below `work`, with the workspace's config_dir.
local PRELUDE = [[
  function _G.fresh(dir, more)
    return npc.new(vim.tbl_deep_extend("force", { config_dir = config_dir, loading = at(dir).loading }, more or {}))
  end
]]

---@param config? test.Tree
---@param opts? test.OpenOptions
---@return test.Child, test.Workspace
local function editor(config, opts)
  local w = workspace.new({ config = config or CONFIG })
  opts = vim.tbl_extend("force", {}, opts or {})
  opts.before = PRELUDE .. (opts.before or "")
  return saving.open(w, "alpha", opts), w
end

describe("npc.new", function()
  it("takes options over the defaults, not over those of setup", function()
    local child = editor(nil, { setup = "{ cache = { timeout_ms = 1234 }, executors = { lua = { async = true } } }" })
    local result = child:lua([[
      local ctx = npc.new({ cache = { trust_mtime = false } })
      return {
        npc.ctx.cache.timeout_ms, ctx.cache.timeout_ms, ctx.cache.trust_mtime, ctx.executors.lua.async,
        ctx.on_error == nil, ctx.loading.on, ctx.config_dir(ctx), ctx.project_root == nil, ctx.json,
      }
    ]])
    local default = child:lua([[return vim.fn.stdpath("config") .. "/projects"]])
    assert.are.same({ 1234, 5000, false, false, true, "startup", default, true, vim.empty_dict() }, result)
    child:stop()
  end)

  it("checks its options as setup does", function()
    local child = editor()
    local problem = child:lua([[
      local messages = {}
      for _, opts in ipairs({ { caches = {} }, { cache = { timeout_ms = "1" } }, "text" }) do
        messages[#messages + 1] = select(2, pcall(npc.new, opts))
      end
      return messages
    ]])
    assert.are.same({
      "nvim-project-config: unknown option 'caches'; the nearest one is 'cache'",
      "nvim-project-config: cache.timeout_ms: expected number, got string",
      "nvim-project-config: options: expected table, got string",
    }, problem)
    child:stop()
  end)

  it("loads nothing by itself, whatever loading.on says", function()
    local child = editor({ ["alpha.lua"] = 'note("ran")' }, { without_setup = true })
    local result = child:lua([[
      local ctx = fresh("alpha", { loading = { on = "startup" } })
      vim.cmd.edit("some.file")
      idle()
      return { ctx.project_root == nil, #events }
    ]])
    assert.are.same({ true, 0 }, result)
    child:stop()
  end)

  it("works before setup, and neither it nor its loads call setup", function()
    local child = editor({ ["alpha.lua"] = "note(npc.ctx.project_name)" }, { without_setup = true })
    local result = child:lua([[
      local calls, setup = 0, require("nvim-project-config").setup
      require("nvim-project-config").setup = function(...) calls = calls + 1; return setup(...) end
      local ctx = fresh("alpha")
      local loaded = load_now(ctx)
      local awaited = npc.load_await(ctx)()
      npc.clear(ctx)
      local before = calls
      return { loaded == ctx, awaited == ctx, before, npc.ctx ~= ctx, calls, events }
    ]])
    assert.are.same({ true, true, 0, true, 1, { "alpha", "alpha" } }, result)
    child:stop()
  end)

  it("is an error of each load, and one message, where the library is missing", function()
    local plugin = require("tests.support.plugin")
    local copy = plugin.copy()
    local child = editor(nil, { rtp = { copy }, without_setup = true })
    local result = child:lua([[
      local ctx = fresh("alpha")
      local loaded, err = load_now(ctx)
      npc.clear(ctx)
      idle()
      return { loaded == nil, err.code, #_G.test_notifications }
    ]])
    assert.are.same({ true, "library", 1 }, result)
    child:stop()
  end)
end)

describe("an independent context", function()
  it("is never the current one, and has its own context of a project that the session has loaded too", function()
    local child = editor()
    local result = child:lua([[
      local own = fresh("alpha")
      local session = load_now()
      local loaded = load_now(own)
      local current = npc.ctx == session
      own.json.only_here = true
      local again = load_now()
      return {
        loaded == own, current, session ~= own, session.json ~= own.json, again == session, npc.ctx == session,
        load_now(own) == own, own.project_name, session.project_name,
      }
    ]])
    assert.are.same({ true, true, true, true, true, true, true, "alpha", "alpha" }, result)
    child:stop()
  end)

  it("is not brought back by the session's load of its project, nor found around a directory", function()
    local child = editor()
    local result = child:lua([[
      local own = fresh("alpha", { on_load = function() note("own") end })
      load_now(own)
      local session = load_now(at("alpha"))
      return { session ~= own, npc.ctx == session, events }
    ]])
    assert.are.same({ true, true, { "own" } }, result)
    child:stop()
  end)

  it("has a family of its own each", function()
    local child = editor()
    local result = child:lua([[
      local one, two = fresh("alpha"), fresh("alpha")
      return { load_now(one) == one, load_now(two) == two, one.json ~= two.json, two.json.from }
    ]])
    assert.are.same({ true, true, true, "alpha" }, result)
    child:stop()
  end)

  it("is npc.ctx in the files and hooks of its own loads", function()
    local child = editor({
      ["alpha.json"] = '{"from": "alpha"}',
      ["alpha.lua"] = [[
        note({ "lua", npc.ctx == own, npc.get("from") })
        return function(ctx) note({ "returned", ctx == own and npc.ctx == own }) end
      ]],
      ["alpha.vim"] = "lua note({ 'vim', npc.ctx == own })",
      ["alpha/broken.lua"] = "error('broken')",
    })
    child:lua([[
      local session = load_now(at("beta"))
      _G.own = fresh("alpha", {
        on_load = function(ctx) note({ "on_load", ctx == own and npc.ctx == own }) end,
        on_error = function(_, ctx) note({ "on_error", ctx == own and npc.ctx == own }) end,
        on_clear = function(ctx) note({ "on_clear", ctx == own and npc.ctx == own }) end,
      })
      npc.load(own, function() note({ "callback", npc.ctx == session }) end)
      assert(settle(function() return events[#events] and events[#events][1] == "callback" end))
      npc.clear(own)
      note({ "after", npc.ctx == session })
    ]])
    assert.are.same({
      { "lua", true, "alpha" },
      { "returned", true },
      { "on_error", true },
      { "vim", true },
      { "on_load", true },
      { "callback", true },
      { "on_clear", true },
      { "after", true },
    }, child:lua("return events"))
    child:stop()
  end)

  it("can be awaited, in a coroutine and elsewhere", function()
    local child = editor()
    local result = child:lua([[
      local own, awaited = fresh("beta"), nil
      coroutine.wrap(function() awaited = npc.load_await(own) end)()
      assert(settle(function() return awaited end))
      return { awaited == own, npc.load_await(own)() == own, own.json.from }
    ]])
    assert.are.same({ true, true, "beta" }, result)
    child:stop()
  end)

  it("begins where the user is, where no start_dir is set, and from then on at its project", function()
    local child = editor()
    local result = child:lua([[
      local own = npc.new({ config_dir = config_dir })
      load_now(own)
      vim.cmd.cd(work .. "/beta")
      return { load_now(own) == own, own.project_name }
    ]])
    assert.are.same({ true, "alpha" }, result)
    child:stop()
  end)

  it("has caches of its own", function()
    local child = editor({ ["alpha.json"] = '{"from": "alpha"}' }, {
      before = [[
        function _G.entry_of(ctx)
          local answer
          ctx.file_cache:get(config_dir .. "/alpha.json", function(entry, err) answer = assert(entry, err) end)
          assert(settle(function() return answer end))
          return answer
        end
      ]],
    })
    local result = child:lua([[
      local own, other, session = fresh("alpha"), fresh("alpha"), load_now()
      load_now(own)
      local entry = entry_of(own)
      return {
        entry.json.from, entry == entry_of(own), entry ~= entry_of(session), entry ~= entry_of(other),
        own.file_cache ~= session.file_cache, own.dir_cache ~= session.dir_cache,
      }
    ]])
    assert.are.same({ "alpha", true, true, true, true, true }, result)
    child:stop()
  end)

  it("has a pipeline of its own", function()
    local child = editor({ ["alpha.json"] = '{"from": "alpha"}', ["alpha.lua"] = 'note("ran")' })
    local result = child:lua([[
      local session, own = load_now(), fresh("alpha")
      events = {}
      own.pipeline[3] = require("nvim-project-config.stages.find_files")({ extensions = { ".json" } })
      load_now(own)
      local by_own = #events
      load_now()
      return { own.pipeline ~= session.pipeline, own.json.from, by_own, #events }
    ]])
    assert.are.same({ true, "alpha", 0, 1 }, result)
    child:stop()
  end)

  it("is answered busy where a file waits for the load that runs it, also through a load of the session", function()
    local child = editor({
      ["alpha.lua"] = [[
        if npc.ctx == own then
          note(select(2, npc.load_await(own)).code)
          note(select(2, npc.load_await(at("beta"))) == nil)
        end
      ]],
      ["beta.lua"] = [[note(select(2, npc.load_await(own)).code)]],
    })
    child:lua([[
      load_now()
      _G.own = fresh("alpha")
      load_now(own)
    ]])
    assert.are.same({ "busy", "busy", true }, child:lua("return events"))
    child:stop()
  end)

  it("is what clear() without an argument leaves, in its own files", function()
    local child = editor({
      ["alpha.json"] = '{"from": "alpha"}',
      ["alpha.lua"] = "if npc.ctx == own then npc.clear() end",
    })
    local result = child:lua([[
      local session = load_now()
      _G.own = fresh("alpha")
      local ctx, err = load_now(own)
      return { ctx == nil, err.code, own.project_root == nil, session.project_name, npc.ctx == session }
    ]])
    assert.are.same({ true, "cancelled", true, "alpha", true }, result)
    child:stop()
  end)

  it("gives, when a load finds another project, another context of its family, with its options", function()
    local w = workspace.new({
      work = { ["big/.git"] = true, ["big/packages/web/package.json"] = "{}" },
      config = { ["big.json"] = '{"from": "big"}' },
    })
    local child = saving.open(w, "big", { before = PRELUDE })
    local result = child:lua([[
      local session = load_now()
      local own = fresh("big/packages/web", { on_load = function(ctx) note(ctx.project_name) end })
      load_now(own)
      os.remove(work .. "/big/packages/web/package.json")
      local outer = load_now(own)
      local again = load_now(outer)
      local names = { own.project_name, outer.project_name, outer.json.from }
      local current = npc.ctx == session
      _G.dropped = setmetatable({ own, outer }, { __mode = "v" })
      npc.clear(own)
      local left = { own.project_name == nil, outer.project_name == nil }
      return { names, current, left, events }
    ]])
    assert.are.same({ { "big/web", "big", "big" }, true, { true, true }, { "big/web", "big", "big" } }, result)
    child:wait("is_collected(dropped)")
    child:stop()
  end)
end)

describe("setup", function()
  it("neither cancels nor drops an independent context", function()
    local child, w =
      editor({ ["alpha.json"] = "{}", ["alpha.lua"] = "_G.held = coroutine.running() coroutine.yield()" })
    local result = child:lua([[
      local own, answer = fresh("alpha"), nil
      npc.load(own, function(ctx, err) answer = { ctx == own, err } end)
      assert(settle(function() return held end))
      npc.setup(options)
      local early = answer
      coroutine.resume(held)
      assert(settle(function() return answer end))
      npc.setup(options)
      own.json.after = "setup"
      saved()
      return { early == nil, answer, own.project_name, npc.ctx ~= own, npc.ctx.project_name == nil }
    ]])
    assert.are.same({ true, { true }, "alpha", true, true }, result)
    saving.until_value(w.config_dir .. "/alpha.json", { after = "setup" })
    child:stop()
  end)
end)

describe("clear", function()
  it("of the current context ends all loads but those of independent ones, which end their own", function()
    local child = editor({ ["alpha.lua"] = "_G.held = (_G.held or 0) + 1 coroutine.yield()" })
    local result = child:lua([[
      local own, other, answers = fresh("alpha"), fresh("alpha"), {}
      local function ask(name, what)
        npc.load(what, function(_, err) answers[name] = err and err.code or "loaded" end)
      end
      ask("session", nil)
      ask("own", own)
      ask("other", other)
      assert(settle(function() return held == 3 end))
      npc.clear()
      assert(settle(function() return answers.session end))
      idle()
      local first = vim.deepcopy(answers)
      npc.clear(own)
      assert(settle(function() return answers.own end))
      idle()
      return { first, answers }
    ]])
    assert.are.same({ { session = "cancelled" }, { session = "cancelled", own = "cancelled" } }, result)
    child:stop()
  end)

  it("leaves nothing of an independent context, and it can be loaded again", function()
    local child = editor()
    local result = child:lua([[
      local own = fresh("alpha")
      load_now(own)
      _G.weak = setmetatable({ own, own._family, own._family.handle }, { __mode = "v" })
      own = nil
      collectgarbage() collectgarbage()
      local kept = vim.tbl_count(weak)
      npc.clear(weak[1])
      local emptied = weak[1].project_root == nil
      local again = load_now(weak[1])
      local same, from = again == weak[1], again.json.from
      npc.clear(again)
      return { kept, emptied, same, from }
    ]])
    assert.are.same({ 3, true, true, "alpha" }, result)
    child:wait("is_collected(weak)")
    child:stop()
  end)
end)

describe("the json of an independent context", function()
  it("saves itself, and save() waits for it", function()
    local child, w = editor()
    child:lua([[
      local own = fresh("beta")
      load_now(own)
      own.json.lsp = { level = 2 }
      saved()
    ]])
    assert.are.same({ from = "beta", lsp = { level = 2 } }, saving.value(w.config_dir .. "/beta.json"))
    child:stop()
  end)

  it("is kept in step with the session's context of the same file, both ways", function()
    local child, w = editor()
    local result = child:lua([[
      local own, session = fresh("alpha"), load_now()
      load_now(own)
      forget_changes()
      own.json.a = 1
      saved()
      assert(settle(function() return session.json.a == 1 end))
      session.json.b = 2
      saved()
      assert(settle(function() return own.json.b == 2 end))
      load_now(own)
      load_now()
      return { own.json, session.json, #changes }
    ]])
    local all = { from = "alpha", a = 1, b = 2 }
    -- Each change is announced for the context in which it was made, and for the one that it has reached.
    assert.are.same({ all, all, 4 }, result)
    assert.are.same(all, saving.value(w.config_dir .. "/alpha.json"))
    child:stop()
  end)

  it("is not announced as changed because the session reads the file too", function()
    local child = editor()
    local result = child:lua([[
      local own, session = fresh("alpha"), load_now()
      load_now(own)
      forget_changes()
      for _ = 1, 3 do load_now(); load_now(own) end
      idle()
      return { changes, own.json, session.json }
    ]])
    assert.are.same({ {}, { from = "alpha" }, { from = "alpha" } }, result)
    child:stop()
  end)

  it("keeps what is set before the first load, which save() says", function()
    local child, w = editor()
    local result = child:lua([[
      load_now(at("beta"))
      local own = fresh("alpha")
      own.json.early = true
      local _, err = save_now()
      load_now(own)
      saved()
      return { err.code, own.json }
    ]])
    assert.are.same({ "no_project", { from = "alpha", early = true } }, result)
    assert.are.same({ from = "alpha", early = true }, saving.value(w.config_dir .. "/alpha.json"))
    child:stop()
  end)
end)

describe("any context", function()
  it("that was cleared can be loaded, from where the user is, and cleared again", function()
    local child = editor()
    local result = child:lua([[
      local alpha = load_now()
      load_now(at("beta"))
      npc.clear(alpha)
      npc.clear(alpha)
      local again = load_now(alpha)
      return { again == alpha, alpha.project_name, npc.ctx == alpha, alpha.json.from }
    ]])
    assert.are.same({ true, "alpha", true, "alpha" }, result)
    child:stop()
  end)

  it("that setup has dropped is inert until it is loaded; then it belongs to its project like a new one", function()
    local child, w = editor()
    local result = child:lua([[
      local old = load_now()
      npc.setup(options)
      old.json.lost = true
      local unsaved = save_now()
      local revived = load_now(old)
      local first = { revived == old, npc.ctx == old, old.json.from, old.json.lost == nil, unsaved }
      npc.setup(options)
      local new = load_now()
      return { first, load_now(old) == new, new ~= old, npc.ctx == new }
    ]])
    assert.are.same({ { true, true, "alpha", true, true }, true, true, true }, result)
    assert.are.same({ from = "alpha" }, saving.value(w.config_dir .. "/alpha.json"))
    child:stop()
  end)

  it("that setup has dropped can be cleared, which cancels nobody else", function()
    local child = editor()
    local result = child:lua([[
      local old, answer = load_now(), nil
      npc.setup(options)
      npc.load(function(ctx, err) answer = { ctx ~= nil, err } end)
      npc.clear(old)
      assert(settle(function() return answer end))
      return { old.project_name == nil, answer, npc.ctx.project_name }
    ]])
    assert.are.same({ true, { true }, "alpha" }, result)
    child:stop()
  end)

  it("whose project is gone answers not_found, keeps what it has, and can be cleared", function()
    local child, w = editor()
    local result = child:lua([[
      local beta = load_now(at("beta"))
      vim.fn.delete(work .. "/beta", "rf")
      local ctx, err = load_now(beta)
      local before = { ctx == nil, err.code, err.path, beta.json.from }
      npc.clear(beta)
      return { before, beta.project_root == nil, beta.json }
    ]])
    assert.are.same({ { true, "not_found", w.work .. "/beta", "beta" }, true, vim.empty_dict() }, result)
    child:stop()
  end)

  it("is what load and clear take; anything else raises, naming argument and type", function()
    local child = editor()
    local result = child:lua([[
      local messages = {}
      local function try(f, ...) messages[#messages + 1] = select(2, pcall(f, ...)):gsub("^[^:]+:%d+: ", ""):gsub("; .*", "") end
      try(npc.load, 42)
      try(npc.load_await, "ctx")
      try(npc.load, { project_root = "/" })
      try(npc.clear, 42)
      try(npc.clear, false)
      try(npc.clear, { project_root = "/" })
      return messages
    ]])
    assert.are.same({
      "nvim-project-config: options: expected table, got number",
      "nvim-project-config: options: expected table, got string",
      "nvim-project-config: unknown option 'project_root'",
      "nvim-project-config: ctx: expected a context, got number",
      "nvim-project-config: ctx: expected a context, got boolean",
      "nvim-project-config: ctx: expected a context, got table",
    }, result)
    child:stop()
  end)

  it("is not held when it was cleared and somebody else is current", function()
    local child = editor()
    child:lua([[
      _G.weak = setmetatable({ load_now() }, { __mode = "v" })
      load_now(at("beta"))
      npc.clear(weak[1])
    ]])
    child:wait("is_collected(weak)")
    assert.are.equal("alpha", child:lua("return load_now(at('alpha')).json.from"))
    child:stop()
  end)
end)

describe("stopping a context's loads", function()
  it("ends them with cancelled, and forgets nothing; other loads go on", function()
    local child = editor({
      ["alpha.json"] = '{"from": "alpha"}',
      ["alpha.lua"] = "if hold then _G.held = coroutine.running() coroutine.yield() end",
      ["beta.lua"] = "if hold then _G.other = coroutine.running() coroutine.yield() end",
    })
    local result = child:lua([[
      local ctx, answers = load_now(), {}
      _G.hold = true
      npc.load(ctx, function(_, err) answers.alpha = err and err.code or "loaded" end)
      npc.load(at("beta"), function(_, err) answers.beta = err and err.code or "loaded" end)
      assert(settle(function() return held and other end))
      require("nvim-project-config.pipeline").stop(ctx)
      assert(settle(function() return answers.alpha end))
      coroutine.resume(other)
      assert(settle(function() return answers.beta end))
      _G.hold = false
      return { answers, ctx.project_name, ctx.json.from, load_now(ctx) == ctx }
    ]])
    assert.are.same({ { alpha = "cancelled", beta = "loaded" }, "alpha", "alpha", true }, result)
    child:stop()
  end)
end)
