-- Loads that follow the user and loads, clears and setups that the user asks for: each call is answered, and what was asked for last counts.
local following = require("tests.support.following")

---@param opts? test.FollowOptions
---@param more? { work?: test.Tree, config?: test.Tree }
---@return test.Child, test.Workspace
local function open(opts, more)
  local w = following.workspace(more)
  local both = { cwd = true, buffer = true }
  local child = following.open(w, "alpha", vim.tbl_extend("force", both, opts or {}))
  child:lua([[
    -- A load whose answer is noted.
    function _G.ask(what)
      npc.load(what, function(ctx, err) note("answer " .. (ctx and ctx.project_name or err.code)) end)
    end
    function _G.answered(count)
      local found = 0
      for _, event in ipairs(events) do found = found + (tostring(event):find("^answer ") and 1 or 0) end
      return found >= (count or 1)
    end
    function _G.answers()
      local found = {}
      for _, event in ipairs(events) do
        if tostring(event):find("^answer ") then table.insert(found, event) end
      end
      return found
    end
  ]])
  following.after(child, "vim.cmd.edit(file('alpha'))", "alpha")
  return child, w
end

---@param child test.Child
---@param code string
---@param name string the project that has to become current
---@param count? integer
---@return { current: string, answers: string[], events: any[] }
local function asked(child, code, name, count)
  child:lua("forget() " .. code)
  child:wait(("answered(%d)"):format(count or 1))
  local state = following.state(child, name)
  return { current = state.current, answers = child:lua("return answers()"), events = state.events }
end

---@param result { events: any[] }
---@param name string
---@return integer
local function times_loaded(result, name)
  local count = 0
  for _, event in ipairs(result.events) do
    count = count + (event == "on_load " .. name and 1 or 0)
  end
  return count
end

describe("a load that the user asks for", function()
  it("after entering a buffer is answered, and its project is current", function()
    local child = open()
    local result = asked(child, "vim.cmd.edit(file('beta')) ask(at('gamma'))", "gamma")
    assert.are.same({ { "answer gamma" }, "gamma" }, { result.answers, result.current })
    assert.are.equal(1, times_loaded(result, "gamma"))
    child:stop()
  end)

  it("after changing the directory is answered, and its project is current", function()
    local child = open()
    local result = asked(child, "vim.cmd.cd(work .. '/beta') ask(at('gamma'))", "gamma")
    assert.are.same({ { "answer gamma" }, "gamma" }, { result.answers, result.current })
    child:stop()
  end)

  it("before entering a buffer is answered with its project; the buffer's is current", function()
    local child = open()
    local result = asked(child, "ask(at('gamma')) vim.cmd.edit(file('beta'))", "beta")
    assert.are.same({ { "answer gamma" }, "beta" }, { result.answers, result.current })
    assert.are.same({ 1, 1 }, { times_loaded(result, "gamma"), times_loaded(result, "beta") })
    child:stop()
  end)

  it("of the project of the buffer that is entered: one of both is enough", function()
    local child = open()
    local result = asked(child, "ask(at('beta')) vim.cmd.edit(file('beta'))", "beta")
    assert.are.same({ { "answer beta" }, "beta" }, { result.answers, result.current })
    assert.is_true(times_loaded(result, "beta") <= 2)
    child:stop()
  end)

  it("of the project that is changed to runs its files alone, where both were planned before", function()
    local child = open()
    -- Neither is carried out before the other is planned: what is scheduled here comes before any answer of the library.
    local result = asked(
      child,
      [[vim.schedule(function()
        ask(at('beta'))
        vim.cmd.cd(work .. '/beta/sub')
        vim.schedule(function()
          local lib, runs = require("nvim-project-config.native").get(), require("nvim-project-config.loading").runs
          local deadline, planned = vim.uv.hrtime() + 8e9, 0
          repeat
            planned = 0
            for id in pairs(runs) do planned = planned + (lib.paths(id) and 1 or 0) end
            assert(vim.uv.hrtime() < deadline, "two loads have not been planned within 8 s")
          until planned >= 2
        end)
      end)]],
      "beta"
    )
    assert.are.same({ { "answer beta" }, "beta" }, { result.answers, result.current })
    assert.are.equal(1, times_loaded(result, "beta"))
    child:stop()
  end)

  it("while a followed load runs is answered, and its project is current", function()
    local held =
      "if not _G.was_held then _G.was_held = true _G.held = coroutine.running() coroutine.yield() end note('beta.lua')"
    local child = open(nil, { config = { ["beta.lua"] = held } })
    child:lua("vim.cmd.edit(file('beta'))")
    child:wait("_G.held ~= nil")
    local result = asked(child, "ask(at('gamma'))", "gamma")
    assert.are.same({ { "answer gamma" }, "gamma" }, { result.answers, result.current })
    child:lua("coroutine.resume(held) calm()")
    assert.are.equal("gamma", child:lua("return npc.ctx.project_name"))
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it("is not cancelled by any number of buffers that are entered meanwhile", function()
    local child = open({ debounce_ms = 0 })
    local result = asked(
      child,
      [[
        for round = 1, 30 do
          ask(at(({ "alpha", "beta", "gamma" })[round % 3 + 1]))
          vim.cmd.edit(file(({ "gamma", "alpha", "beta" })[round % 3 + 1]))
          if round % 5 == 0 then idle() end
        end
      ]],
      "gamma",
      30
    )
    local counts = {}
    for _, answer in ipairs(result.answers) do
      counts[answer] = (counts[answer] or 0) + 1
    end
    assert.are.same({ ["answer alpha"] = 10, ["answer beta"] = 10, ["answer gamma"] = 10 }, counts)
    -- 30 % 3 + 1 is the first.
    assert.are.equal("gamma", result.current)
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it("of a project that is not that of the buffer keeps it until something is entered", function()
    local child = open()
    local result = asked(child, "ask(at('gamma'))", "gamma")
    assert.are.same({ { "answer gamma" }, "gamma" }, { result.answers, result.current })
    local entered = following.after(child, "vim.cmd.edit(work .. '/alpha/sub/other.c')", "alpha")
    assert.are.same({ current = "alpha", events = following.loaded("alpha", "buffer") }, entered)
    child:lua("load_now(at('gamma'))")
    local again = following.after(child, "vim.cmd.buffer(file('alpha'))", "alpha")
    assert.are.same({ current = "alpha", events = following.loaded("alpha", "buffer") }, again)
    child:stop()
  end)

  it("with options of its own counts as any", function()
    local child = open()
    local result = asked(
      child,
      "vim.cmd.edit(file('beta')) ask({ loading = { start_dir = work .. '/gamma' }, on_load = function() note('own') end })",
      "gamma"
    )
    assert.are.same({ { "answer gamma" }, "gamma" }, { result.answers, result.current })
    assert.is_true(vim.tbl_contains(result.events, "own"))
    child:stop()
  end)
end)

describe("a followed load whose files wait", function()
  local HELD =
    "if not _G.was_held then _G.was_held = true _G.held = coroutine.running() coroutine.yield() end note('beta.lua')"

  it("does not hold up the next one, and its project is loaded whole when it is entered again", function()
    local child = open({ cwd = false }, { config = { ["beta.lua"] = HELD } })
    child:lua("vim.cmd.edit(file('beta'))")
    child:wait("_G.held ~= nil")
    local next_one = following.after(child, "vim.cmd.edit(file('gamma'))", "gamma")
    assert.are.equal("gamma", next_one.current)
    child:lua("forget() vim.cmd.buffer(file('beta'))")
    child:wait("is_in('beta')")
    child:lua("coroutine.resume(held)")
    local state = following.state(child, "beta")
    assert.are.equal("beta", state.current)
    for _, event in ipairs({ "LoadPre beta buffer", "beta.vim", "on_load beta", "LoadPost beta buffer" }) do
      local times = #vim.tbl_filter(function(other)
        return other == event
      end, state.events)
      assert.are.equal(1, times, event .. vim.inspect(state.events))
    end
    assert.are.equal("beta", child:lua("return npc.get('from')"))
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it("is not begun again while one stays in its project", function()
    local child = open({ cwd = false }, { config = { ["beta.lua"] = HELD } })
    child:lua("vim.cmd.edit(file('beta'))")
    child:wait("_G.held ~= nil")
    child:lua(
      "vim.cmd.edit(work .. '/beta/sub/other.c') calm() vim.cmd.edit(file('beta')) calm() coroutine.resume(held)"
    )
    local state = following.state(child, "beta")
    assert.are.equal("beta", state.current)
    assert.are.equal(1, #vim.tbl_filter(function(event)
      return event == "on_load beta"
    end, state.events))
    child:stop()
  end)
end)

describe("setup() again", function()
  it("while a load follows: the new options count, and nothing follows twice", function()
    local child = open()
    local result =
      following.after(child, "vim.cmd.edit(file('beta')) npc.setup(options) vim.cmd.edit(file('gamma'))", "gamma")
    assert.are.same({ current = "gamma", events = following.loaded("gamma", "buffer") }, result)
    local back = following.after(child, "vim.cmd.buffer(file('beta'))", "beta")
    assert.are.same({ current = "beta", events = following.loaded("beta", "buffer") }, back)
    child:stop()
  end)

  it("without watching ends it", function()
    local child = open()
    local result = following.after(
      child,
      "vim.cmd.edit(file('beta')) npc.setup(vim.tbl_extend('force', options, { loading = { on = 'manual' } }))"
    )
    assert.are.equal(false, result.current)
    local after = following.after(child, "vim.cmd.edit(file('gamma')) vim.cmd.cd(work .. '/beta')")
    assert.are.same({ current = false, events = {} }, after)
    child:stop()
  end)

  it("with watching begins it: the next buffer that is entered counts", function()
    local child = following.open(following.workspace(), "alpha")
    local none = following.after(child, "vim.cmd.edit(file('alpha'))")
    assert.are.same({ current = false, events = {} }, none)
    child:lua("options.loading.watch.buffer = true npc.setup(options) calm()")
    local entered = following.after(child, "vim.cmd.edit(file('beta'))", "beta")
    assert.are.same({ current = "beta", events = following.loaded("beta", "buffer") }, entered)
    child:stop()
  end)

  it("with only one of the two leaves the other", function()
    local child = open()
    child:lua("options.loading.watch.buffer = false npc.setup(options) calm()")
    local entered = following.after(child, "vim.cmd.edit(file('beta'))")
    assert.are.same({ current = false, events = {} }, entered)
    local changed = following.after(child, "vim.cmd.cd(work .. '/gamma')", "gamma")
    assert.are.same({ current = "gamma", events = following.loaded("gamma", "cwd") }, changed)
    child:stop()
  end)
end)

describe("clear()", function()
  it("while a load follows ends that, and entering the buffer again loads it", function()
    local child = open({ cwd = false }, {
      config = {
        ["beta.lua"] = "if not _G.held then _G.held = coroutine.running() coroutine.yield() end note('beta.lua')",
      },
    })
    child:lua("vim.cmd.edit(file('beta'))")
    child:wait("_G.held ~= nil")
    local cleared = following.after(child, "npc.clear()")
    assert.are.equal(false, cleared.current)
    assert.is_false(vim.tbl_contains(cleared.events, "on_load beta"))
    local again = following.after(child, "vim.cmd.new() vim.cmd.close()", "beta")
    assert.are.same({ current = "beta", events = following.loaded("beta", "buffer") }, again)
    child:stop()
  end)

  it("right after entering a buffer: what was entered before it is not loaded", function()
    local child = open({ cwd = false })
    local cleared = following.after(child, "vim.cmd.edit(file('beta')) npc.clear()")
    assert.is_true(cleared.current == false or cleared.current == "beta", vim.inspect(cleared))
    assert.is_false(vim.tbl_contains(cleared.events, "on_load alpha"))
    local entered = following.after(child, "vim.cmd.edit(file('gamma'))", "gamma")
    assert.are.same({ current = "gamma", events = following.loaded("gamma", "buffer") }, entered)
    child:stop()
  end)
end)

describe("a load that follows and fails", function()
  it("leaves the current project as it is, is told, and the next one works", function()
    local child = open({
      cwd = false,
      before = [[
        options.config_dir = function()
          if _G.broken then error("no config_dir today") end
          return config_dir
        end
      ]],
    })
    local failed = following.after(child, "_G.broken = true vim.cmd.edit(file('beta'))")
    assert.are.equal("alpha", failed.current)
    assert.is_true(#child:lua("return errors") >= 1)
    local entered = following.after(child, "_G.broken = false vim.cmd.edit(file('gamma'))", "gamma")
    assert.are.same({ current = "gamma", events = following.loaded("gamma", "buffer") }, entered)
    child:stop()
  end)
end)
