-- What the code of a pipeline sets on its context, and what becomes of it once the project is known.
local stages = require("tests.support.stages")
local workspace = require("tests.support.workspace")

--- What a piece of Lua says in an editor whose project has one Lua file, and how that was reported.
---@param code string
---@param opts? test.OpenOptions
---@return any result, test.Reported[] errors, test.Child child
local function ask(code, opts)
  local w = workspace.new({ config = { ["alpha.lua"] = "note('alpha.lua')" } })
  local child = stages.open(w, "alpha", opts)
  return child:lua(code), child:lua("return errors"), child
end

local LOAD = [[
  -- The default pipeline, with an on_match, and a function behind it.
  function _G.with(on_match, fn)
    return { walk(), detect({ on_match = on_match }), fn or pass(), find_files(), execute() }
  end
]]

describe("what is set on the context of a pipeline's code is handed over:", function()
  for what, case in pairs({
    ["fields of any name"] = {
      [[ctx.project_kind, ctx.kind = "rust", { 1 }]],
      "ctx.project_kind, ctx.kind",
      { "rust", { 1 } },
    },
    ["a part of an option"] = {
      "ctx.cache.timeout_ms = 77",
      "ctx.cache.timeout_ms, ctx.cache.trust_mtime",
      { 77, true },
    },
    ["an option that is taken away"] = { "ctx.on_clear = nil", "ctx.on_clear == nil", { true } },
    ["the file for new settings"] = { [[ctx._last_project_json = "x.json"]], "ctx._last_project_json", { "x.json" } },
    ["settings"] = { "ctx.json.a = 1", "ctx.json", { { a = 1 } } },
    ["settings that are assigned"] = { "ctx.json = { b = { c = 2 } }", "ctx.json", { { b = { c = 2 } } } },
    ["a pipeline that was only looked at is not one"] = {
      "_G.seen = #ctx.pipeline",
      "seen, rawget(ctx, 'pipeline') == nil",
      { 5, true },
    },
  }) do
    it(what, function()
      for _, pipeline in ipairs({
        ("with(function(ctx) %s end)"):format(case[1]),
        ("with(nil, function(ctx, rx, tx) pass()(ctx, rx, tx) %s end)"):format(case[1]),
      }) do
        local by_setup = what:find("pipeline") and "npc.ctx.pipeline = nil" or ""
        local result, errors, child = ask(
          ([[
            options.on_clear = function() end
            npc.setup(options) %s
            local ctx, err = load_with(%s)
            assert(ctx, err and err.message)
            return { %s }
          ]]):format(by_setup, pipeline, case[2]),
          { before = LOAD }
        )
        assert.are.same(case[3], result)
        assert.are.same({}, errors)
        child:stop()
      end
    end)
  end

  it("its hooks count for this very load", function()
    local result, errors, child = ask(
      [[
        load_with(with(function(ctx) ctx.on_load = function(c) note({ "on_load", c == npc.ctx }) end end))
        idle()
        return events
      ]],
      { before = LOAD }
    )
    assert.are.same({ "alpha.lua", { "on_load", true } }, result)
    assert.are.same({}, errors)
    child:stop()
  end)

  it("an option that is none ends the load, and the next load says so again", function()
    local result, _, child = ask(
      [[
        local ctx, err = load_with(with(function(ctx) ctx.cache = 5 end))
        local answered = npc.ctx.project_name
        npc.clear()
        npc.setup(options)
        return { ctx == nil, err and err.code, err and err.message, load_now() ~= nil }
      ]],
      { before = LOAD }
    )
    assert.are.same(
      { true, "invalid_argument", "nvim-project-config: cache: expected table, got number", true },
      result
    )
    child:stop()
  end)
end)

it("a pipeline that its own code changes goes on as it was, and counts from the next load", function()
  local result, errors, child = ask(
    [[
      options.pipeline = with(function(ctx)
        if not _G.once then
          _G.once = true
          table.insert(ctx.pipeline, 1, pass("first"))
          table.insert(ctx.pipeline, pass("last"))
        end
      end)
      npc.setup(options)
      local ctx, err = load_now()
      local first = { err and err.message, vim.deepcopy(events), #ctx.pipeline, #options.pipeline }
      _G.events = {}
      load_now(ctx)
      return { first, events }
    ]],
    { before = LOAD }
  )
  assert.are.same({ { vim.NIL, { "alpha.lua" }, 7, 5 }, 3 }, { result[1], #result[2] })
  assert.are.same({}, errors)
  child:stop()
end)

it("config_dir is the directory that the load uses, and what is set there counts from the next one", function()
  local result, errors, child = ask(
    [[
      npc.setup(vim.tbl_extend("force", options, { config_dir = function() return config_dir end }))
      local seen
      local ctx = load_with({ walk(), detect(), find_files({ finder = function(ctx)
        seen = ctx.config_dir
        ctx.config_dir = work
        return { ctx.config_dir:gsub("work$", "projects") .. "/alpha.lua" }
      end }), execute() })
      local again = load_now(ctx)
      return { seen == config_dir, events, again.config_dir == work }
    ]],
    { before = LOAD }
  )
  assert.are.same({ true, { "alpha.lua" }, true }, result)
  assert.are.same({}, errors)
  child:stop()
end)

it("projects of which an entry holds itself are as good as others", function()
  local result, errors, child = ask(
    [[
      local function name(ctx)
        local project = { root = work .. "/alpha", name = "named" }
        project.itself = project
        ctx.projects = { project }
      end
      local ctx, err = load_with({ walk(), detect(), function(ctx, rx, tx) pass()(ctx, rx, tx) name(ctx) end, pass(),
        detect({ on_match = name }), pass(), find_files(), execute() })
      return { err and err.message, ctx and ctx.project_name }
    ]],
    { before = LOAD }
  )
  assert.are.same({ vim.NIL, "named" }, result)
  assert.are.same({}, errors)
  child:stop()
end)

it("an on_error that yields holds back nobody, and has npc.ctx to itself", function()
  local result, _, child = ask([[
    local function on_error(err, ctx)
      note({ "told", npc.ctx == ctx })
      pause()
      note({ "later", npc.ctx == ctx })
    end
    local answer
    npc.load({ on_error = on_error, pipeline = {
      walk(), function(ctx, rx, tx) pass()(ctx, rx, tx) error("boom") end,
      function(ctx, rx, tx) pass()(ctx, rx, tx) note({ "next stage", npc.ctx == ctx }) end,
      detect(), find_files(), execute(),
    } }, function(ctx) answer = { npc.ctx == ctx } end)
    -- Nobody says which comes first: the answer, or what is behind the yield.
    assert(settle(function() return answer and #events == 4 end))
    return { events, answer[1] }
  ]])
  table.sort(result[1], function(a, b)
    return (a[1] or a) < (b[1] or b)
  end)
  assert.are.same({ { "alpha.lua", { "later", true }, { "next stage", true }, { "told", true } }, true }, {
    vim.tbl_map(function(event)
      return event
    end, result[1]),
    result[2],
  })
  child:stop()
end)

it("what a hook throws after it has yielded is shown", function()
  local _, _, child = ask([[
    npc.load({ on_error = function() pause() error("too late") end, pipeline = {
      walk(), function(ctx, rx, tx) pass()(ctx, rx, tx) error("boom") end, detect(), find_files(), execute(),
    } }, function() note("answer") end)
    settle(function() return vim.list_contains(events, "answer") end)
    idle()
  ]])
  local shown = child:notifications()
  assert.are.equal(1, #shown)
  assert.is_truthy(shown[1].message:find("too late", 1, true))
  child:stop()
end)

it("a stage that its own code has resumed may yield anything once it has awaited something of the plugin", function()
  local result, errors, child = ask([[
    local ctx, err = load_with({ walk(), function(ctx, rx, tx)
      pass()(nil, rx, tx)
      pause()
      ctx.file_cache:get(work .. "/none")
      note(coroutine.yield(function(step) vim.schedule(function() step("answer") end) end))
    end, detect() })
    return { err and err.message, events }
  ]])
  assert.are.same({ vim.NIL, { "answer" } }, result)
  assert.are.same({}, errors)
  child:stop()
end)

it("code that nobody will resume is freed with its load", function()
  local result, errors, child = ask([[
    _G.threads, _G.hanging = setmetatable({}, { __mode = "k" }), 0
    local function hang()
      hanging, threads[coroutine.running()] = hanging + 1, true
      coroutine.yield()
    end
    for _, stages in ipairs({
      { walk({ matcher = hang }) },
      { walk(), detect({ on_match = hang }) },
      { walk(), detect(), find_files({ finder = hang }), execute() },
      { walk(), function(_, rx) rx() hang() end, detect() },
      { walk(), detect(), find_files(), execute(), function(_, rx) rx() hang() end },
    }) do
      for _ = 1, 5 do
        local before, answered = hanging, false
        npc.load({ pipeline = stages }, function() answered = true end)
        assert(settle(function() return hanging > before end))
        npc.clear()
        assert(settle(function() return answered end))
      end
    end
    function _G.left()
      jit.flush() -- a compiled trace holds closures that were called when it was recorded
      collectgarbage() collectgarbage()
      return vim.tbl_count(threads) + vim.tbl_count(require("nvim-project-config.running").run_of)
    end
    return hanging
  ]])
  assert.are.equal(25, result)
  child:wait("left() == 0", 10000)
  assert.are.same({}, errors)
  child:stop()
end)
