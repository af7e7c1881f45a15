-- The forms of waiting for a load: callbacks, coroutines of every kind, and a function that waits.
local workspace = require("tests.support.workspace")

local CONFIG = { ["alpha.json"] = '{"from": "alpha"}' }

local function open(config)
  return workspace.new({ config = config or CONFIG }):open("alpha")
end

describe("load(callback)", function()
  it("calls back on the main loop, later, with the context", function()
    local child = open()
    local result = child:lua([[
      local answers, inside = {}, true
      npc.load(function(...)
        table.insert(answers, { select("#", ...), (...) == npc.ctx, inside, vim.in_fast_event(), vim.fn.getcwd() == vim.uv.cwd() })
      end)
      inside = false
      assert(settle(function() return #answers > 0 end))
      return answers
    ]])
    assert.are.equal(1, #result)
    assert.are.same({ true, false, false, true }, vim.list_slice(result[1], 2))
    child:stop()
  end)

  it("works without a callback, with nil, and with an empty table", function()
    local child = open()
    child:lua("npc.load(); npc.load(nil); npc.load({}); load_now()")
    assert.are.equal("alpha", child:lua("return npc.ctx.json.from"))
    child:stop()
  end)

  it("refuses a callback that is no function", function()
    local child = open()
    local ok, err = unpack(child:lua("return { pcall(npc.load, {}, 'no function') }"))
    assert.is_false(ok)
    assert.is_truthy(err:find("callback: expected function, got string", 1, true), err)
    child:stop()
  end)

  it("may be called in a fast event", function()
    local child = open()
    local result = child:lua([[
      local seen = {}
      local timer = vim.uv.new_timer()
      timer:start(1, 0, function()
        timer:close()
        seen.fast = vim.in_fast_event()
        npc.load(function(ctx, err) seen.from, seen.in_callback = ctx and ctx.json.from or tostring(err), vim.in_fast_event() end)
      end)
      assert(settle(function() return seen.from end))
      return seen
    ]])
    assert.are.same({ fast = true, from = "alpha", in_callback = false }, result)
    child:stop()
  end)
end)

describe("load_await in a coroutine", function()
  it("yields and returns the context", function()
    local child = open()
    local result = child:lua([[
      local seen
      local co = coroutine.create(function()
        local ctx, err = npc.load_await()
        seen = { ctx.json.from, err == nil, ctx == npc.ctx }
      end)
      assert(coroutine.resume(co))
      local yielded = coroutine.status(co) == "suspended" and seen == nil
      assert(settle(function() return seen end))
      return { yielded, seen }
    ]])
    assert.are.same({ true, { "alpha", true, true } }, result)
    child:stop()
  end)

  it("takes options and contexts, again and again", function()
    local child = open()
    local result = child:lua([[
      local seen
      coroutine.wrap(function()
        local alpha = npc.load_await()
        local beta = npc.load_await(at("beta"))
        local again = npc.load_await(alpha)
        seen = { alpha.project_name, beta.project_name, again == alpha }
      end)()
      assert(settle(function() return seen end))
      return seen
    ]])
    assert.are.same({ "alpha", "beta", true }, result)
    child:stop()
  end)

  it("returns nil and an error for a load that cannot start", function()
    local child = open()
    local result = child:lua([[
      local seen
      coroutine.wrap(function()
        local ctx, err = npc.load_await(at("missing"))
        seen = { ctx == nil, err.code }
      end)()
      assert(settle(function() return seen end))
      return { seen, #errors, errors[1] and errors[1].code }
    ]])
    assert.are.same({ { true, "not_found" }, 1, "not_found" }, result)
    child:stop()
  end)

  it("is driven by a runner that hands out steps, as plenary.async does", function()
    local child = open()
    local result = child:lua([[
      -- The protocol: a coroutine yields `function(step), argument count`; the runner calls it and resumes in the step.
      local results
      local co = coroutine.create(function()
        local ctx, err = npc.load_await()
        local beta = npc.load_await(at("beta"))
        return ctx and ctx.json.from, err, beta.project_name
      end)
      local function step(...)
        local ret = { coroutine.resume(co, ...) }
        assert(ret[1], ret[2])
        if coroutine.status(co) == "dead" then
          results = { ret[2], ret[3] == nil, ret[4] }
        else
          assert(type(ret[2]) == "function" and ret[3] == 1, vim.inspect(ret))
          ret[2](step)
        end
      end
      step()
      assert(settle(function() return results end))
      return results
    ]])
    assert.are.same({ "alpha", true, "beta" }, result)
    child:stop()
  end)

  it("is driven by Neovim's own vim._async, where that exists", function()
    local child = open()
    local result = child:lua([[
      local ok, async = pcall(require, "vim._async")
      if not ok then return "absent" end
      local from
      async.run(function()
        local ctx = npc.load_await()
        from = ctx.json.from
      end)
      assert(settle(function() return from end))
      return from
    ]])
    if result ~= "absent" then
      assert.are.equal("alpha", result)
    else
      assert.is_nil(vim.uv.fs_stat(vim.env.VIMRUNTIME .. "/lua/vim/_async.lua"))
    end
    child:stop()
  end)
end)

describe("the function that load_await returns outside a coroutine", function()
  it("waits and returns the context, and again the same", function()
    local child = open()
    local result = child:lua([[
      local wait = npc.load_await()
      local ctx, err = wait()
      local again = wait(1)
      return { type(wait), ctx.json.from, err == nil, ctx == again }
    ]])
    assert.are.same({ "function", "alpha", true, true }, result)
    child:stop()
  end)

  it("keeps the editor alive meanwhile", function()
    local child = open({ ["alpha.lua"] = "_G.held = coroutine.running(); coroutine.yield()" })
    local result = child:lua([[
      local timer = vim.uv.new_timer()
      timer:start(0, 5, vim.schedule_wrap(function()
        note("tick")
        if #events >= 3 and held then
          local file = held
          held = nil
          assert(coroutine.resume(file))
        end
      end))
      local ctx = npc.load_await()(8000)
      timer:close()
      return { ctx.project_name, #events >= 3 }
    ]])
    assert.are.same({ "alpha", true }, result)
    child:stop()
  end)

  it("gives up after timeout_ms with an error, and the load goes on", function()
    local child = open({ ["alpha.lua"] = "_G.held = coroutine.running(); coroutine.yield()" })
    local result = child:lua([[
      local wait = npc.load_await()
      assert(settle(function() return held end))
      local began = vim.uv.hrtime()
      local ctx, err = wait(50)
      local ms = (vim.uv.hrtime() - began) / 1e6
      assert(coroutine.resume(held))
      local later, none = wait(8000)
      return { ctx == nil, err.code, tostring(err), ms, later.project_name, none == nil, #errors }
    ]])
    assert.are.same({ true, "timeout" }, { result[1], result[2] })
    assert.is_truthy(result[3]:find("50 ms", 1, true), result[3])
    assert.is_true(result[4] >= 49 and result[4] < 2000, result[4] .. " ms")
    assert.are.same({ "alpha", true, 0 }, { result[5], result[6], result[7] })
    child:stop()
  end)

  it("awaits when it is called in a coroutine", function()
    local child = open()
    local result = child:lua([[
      local wait = npc.load_await()
      local seen
      local co = coroutine.create(function() seen = wait().json.from end)
      assert(coroutine.resume(co))
      local yielded = coroutine.status(co) == "suspended"
      assert(settle(function() return seen end))
      return { yielded, seen }
    ]])
    assert.are.same({ true, "alpha" }, result)
    child:stop()
  end)

  it("answers every waiter, also several coroutines", function()
    local child = open()
    local result = child:lua([[
      local wait = npc.load_await()
      for i = 1, 3 do
        coroutine.wrap(function() note(i .. wait().json.from) end)()
      end
      assert(wait(8000).json.from == "alpha")
      assert(settle(function() return #events == 3 end))
      return events
    ]])
    assert.are.same({ "1alpha", "2alpha", "3alpha" }, result)
    child:stop()
  end)

  it("returns nil and the error of a load that cannot start", function()
    local child = open()
    local result = child:lua("local ctx, err = npc.load_await(at('missing'))(8000); return { ctx == nil, err.code }")
    assert.are.same({ true, "not_found" }, result)
    child:stop()
  end)
end)
