-- A config file that waits for a load: its own can never come, and it is told so at once; every other comes while it waits.
local workspace = require("tests.support.workspace")

--- Far below the time that the files are ready to wait, far above what an answer takes.
local AT_ONCE_MS = 2000

--- Loads alpha, whose file stores what it saw in `_G.seen`.
---@param config test.Tree
---@param last? string Lua that holds when all has been seen (default: it is once the load has ended)
local function load_alpha(config, last)
  local w = workspace.new({ config = config })
  local child = w:open("alpha", { setup = "{ on_load = function(ctx) note('on_load ' .. ctx.project_name) end }" })
  local loaded = child:lua(([[
    local answers, name = 0, nil
    npc.load(function(ctx, err) answers, name = answers + 1, ctx and ctx.project_name or tostring(err) end)
    assert(settle(function() return answers > 0 end), "the load itself has not ended")
    assert(settle(function() return %s end))
    idle()
    return { name, answers }
  ]]):format(last or "true"))
  assert.are.same({ "alpha", 1 }, loaded)
  local seen, events, errors = unpack(child:lua("return { seen or false, events, errors }"))
  child:stop()
  return seen, events, errors
end

describe("a Lua file that waits for its own load", function()
  it("with vim.wait and a callback gets busy at once", function()
    local seen, events, errors = load_alpha({
      ["alpha.lua"] = [[
      local began, answers = vim.uv.hrtime(), {}
      npc.load(function(ctx, err) table.insert(answers, { ctx == nil, err and err.code }) end)
      local in_time = vim.wait(8000, function() return #answers > 0 end, 1)
      _G.seen = { in_time = in_time, ms = (vim.uv.hrtime() - began) / 1e6, answers = answers }
    ]],
    })
    assert.are.same({ { true, "busy" } }, seen.answers)
    assert.is_true(seen.in_time)
    assert.is_true(seen.ms < AT_ONCE_MS, seen.ms .. " ms")
    assert.are.same({ "on_load alpha" }, events)
    assert.are.same({}, errors)
  end)

  it("with load_await() gets nil, busy", function()
    local seen, events, errors = load_alpha({
      ["alpha.lua"] = [[
      local began = vim.uv.hrtime()
      local ctx, err = npc.load_await()
      _G.seen = { ctx == nil, err.code, (vim.uv.hrtime() - began) / 1e6 < 2000 }
    ]],
    })
    assert.are.same({ true, "busy", true }, seen)
    assert.are.same({ "on_load alpha" }, events)
    assert.are.same({}, errors)
  end)

  it("by the context gets busy as well", function()
    local seen = load_alpha({
      ["alpha.lua"] = [[
      return function(ctx)
        if ctx.project_root ~= vim.uv.cwd() then return end
        local _, err = npc.load_await()
        _G.seen = err.code
      end
    ]],
    })
    assert.are.equal("busy", seen)
  end)

  it("does not disturb its files: those after it run", function()
    local seen, events = load_alpha({
      ["alpha.lua"] = "local _, err = npc.load_await(); _G.seen = err.code",
      ["alpha/more.lua"] = "note('more.lua')",
      ["alpha.vim"] = "lua note('alpha.vim')",
    })
    assert.are.equal("busy", seen)
    assert.are.same({ "more.lua", "alpha.vim", "on_load alpha" }, events)
  end)
end)

describe("a Vim file that waits for its own load", function()
  it("gets nil, busy from load_await()()", function()
    local seen, events, errors = load_alpha({
      ["alpha.vim"] = [[
      let s:began = reltime()
      lua local ctx, err = require("nvim-project-config").load_await()(); _G.seen = { ctx == nil, err.code }
      let g:waited_ms = reltimefloat(reltime(s:began)) * 1000
      lua table.insert(seen, vim.g.waited_ms < 2000)
    ]],
    })
    assert.are.same({ true, "busy", true }, seen)
    assert.are.same({ "on_load alpha" }, events)
    assert.are.same({}, errors)
  end)
end)

describe("a file that asks for its own load and does not wait", function()
  it("gets it, from one further run", function()
    local seen, events = load_alpha({
      ["alpha.lua"] = [[
      note("alpha.lua")
      if not _G.seen then
        _G.seen = "asked"
        npc.load(function(ctx) _G.seen = ctx.project_name end)
      end
    ]],
    }, "seen == 'alpha'")
    assert.are.equal("alpha", seen)
    assert.are.same({ "alpha.lua", "on_load alpha", "alpha.lua", "on_load alpha" }, events)
  end)
end)

describe("a file that waits for the load of another project", function()
  local beta = { ["beta.json"] = '{"from": "beta"}', ["beta.lua"] = "note('beta.lua')" }

  it("gets it with load_await()", function()
    local seen, events = load_alpha(vim.tbl_extend("error", beta, {
      ["alpha.lua"] = [[
      local ctx, err = npc.load_await(at("beta"))
      _G.seen = { ctx and ctx.json.from or err.code, npc.ctx.project_name }
    ]],
    }))
    assert.are.same({ "beta", "alpha" }, seen)
    assert.are.same({ "beta.lua", "on_load beta", "on_load alpha" }, events)
  end)

  it("gets it with vim.wait and a callback", function()
    local seen, events = load_alpha(vim.tbl_extend("error", beta, {
      ["alpha.lua"] = [[
      local from
      npc.load(at("beta"), function(ctx, err) from = ctx and ctx.json.from or err.code end)
      _G.seen = { vim.wait(8000, function() return from ~= nil end, 1), from, npc.ctx.project_name }
    ]],
    }))
    assert.are.same({ true, "beta", "alpha" }, seen)
    assert.are.same({ "beta.lua", "on_load beta", "on_load alpha" }, events)
  end)

  it("gets it in a Vim file with load_await()()", function()
    local seen = load_alpha(vim.tbl_extend("error", beta, {
      ["alpha.vim"] = [[
      lua local ctx, err = npc.load_await(at("beta"))(8000); _G.seen = ctx and ctx.json.from or err.code
    ]],
    }))
    assert.are.equal("beta", seen)
  end)

  it("gets busy where that one waits for it in turn", function()
    local seen, _, errors = load_alpha({
      ["alpha.lua"] = [[
        local ctx, err = npc.load_await(at("beta"))
        _G.seen = vim.tbl_extend("error", _G.seen or {}, { alpha = ctx and ctx.project_name or err.code })
      ]],
      ["beta.lua"] = [[
        local ctx, err = npc.load_await({ loading = { start_dir = work .. "/alpha" } })
        _G.seen = vim.tbl_extend("error", _G.seen or {}, { beta = ctx and ctx.project_name or err.code })
      ]],
    })
    -- alpha's second load is another one than the first (its options differ), runs alpha.lua again, and that waits for beta again.
    assert.is_truthy(vim.tbl_contains(vim.tbl_values(seen or {}), "busy"), vim.inspect({ seen, errors }))
  end)
end)

describe("waiting outside a file", function()
  it("for a load that runs is not busy", function()
    local w = workspace.new({
      config = {
        ["alpha.lua"] = [[
      note("alpha.lua")
      if not _G.held then
        _G.held = coroutine.running()
        coroutine.yield()
      end
    ]],
      },
    })
    local child = w:open("alpha")
    local result = child:lua([[
      npc.load(function() note("first") end)
      assert(settle(function() return held end))
      vim.defer_fn(function() coroutine.resume(held) end, 20)
      local ctx, err = npc.load_await()(8000)
      return { ctx and ctx.project_name or err.code, events }
    ]])
    assert.are.same({ "alpha", { "alpha.lua", "first", "alpha.lua" } }, result)
    child:stop()
  end)
end)

describe("a condition that looks at ctx.json", function()
  it("lets the loop turn, so that it can come true", function()
    local w = workspace.new({ config = { ["alpha.json"] = '{ "starts": 4 }' } })
    local child = w:open("alpha")
    local result = child:lua([[
      load_now()
      npc.update("starts", function(old) return old + 1 end)
      local ticks, timer = 0, vim.uv.new_timer()
      timer:start(0, 1, function() ticks = ticks + 1 end)
      local saved = vim.wait(8000, function() return npc.ctx.json.starts == 5 end, 20)
      npc.ctx.json.later = true
      local loaded
      npc.load(function(ctx) loaded = ctx end)
      local seen = vim.wait(8000, function() return loaded and npc.ctx.json.later and ticks > 2 end)
      timer:close()
      return { saved, seen }
    ]])
    assert.are.same({ true, true }, result)
    child:stop()
  end)
end)
