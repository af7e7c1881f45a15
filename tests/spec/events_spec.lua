-- `User ProjectConfigLoadPre`, `LoadPost`, `ClearPost`, `Error`: what they carry, in which order they come, that nothing is fired where
-- nothing changes, and that a listener can neither break a load nor be broken by one.
local following = require("tests.support.following")
local support = require("tests.support")

---@param more? { work?: test.Tree, config?: test.Tree }
---@param opts? test.FollowOptions
---@return test.Child, test.Workspace
local function open(more, opts)
  local w = following.workspace(more)
  return following.open(w, "alpha", opts), w
end

--- The events as they came, without the errors' texts.
---@param child test.Child
---@return { kind: string, data: table }[]
local function fired(child)
  return child:lua([[
    return vim.tbl_map(function(event)
      local data = vim.deepcopy(event.data)
      data.error = data.error and { code = data.error.code, path = data.error.path, line = data.error.line }
      return { kind = event.kind, data = data }
    end, fired)
  ]])
end

--- Adds a listener to one kind of event.
---@param child test.Child
---@param kind string
---@param body string Lua; `data` is the event's
local function listen(child, kind, body)
  child:lua(([[
    vim.api.nvim_create_autocmd("User", { pattern = "ProjectConfig%s", nested = true, callback = function(event)
      local data = event.data
      %s
    end })
  ]]):format(kind, body))
end

describe("a load", function()
  it("fires LoadPre before anything of it runs, and LoadPost after on_load, with all fields", function()
    local child, w = open({ config = { ["alpha/more.lua"] = "note('alpha/more.lua')", ["alpha/more.json"] = "{}" } })
    child:lua("load_now() calm()")
    local data = {
      root = w.work .. "/alpha",
      name = "alpha",
      reason = "manual",
      files = {
        w.config_dir .. "/alpha.json",
        w.config_dir .. "/alpha/more.json",
        w.config_dir .. "/alpha.lua",
        w.config_dir .. "/alpha/more.lua",
        w.config_dir .. "/alpha.vim",
      },
    }
    assert.are.same({ { kind = "LoadPre", data = data }, { kind = "LoadPost", data = data } }, fired(child))
    assert.are.same(
      { "LoadPre alpha manual", "alpha.lua", "alpha/more.lua", "alpha.vim", "on_load alpha", "LoadPost alpha manual" },
      child:lua("return events")
    )
    child:stop()
  end)

  it("of a package: its own root and name, and all files", function()
    local child, w = open({
      work = { ["big/.git"] = true, ["big/packages/web/package.json"] = "{}" },
      config = following.config({ "big", "big/web" }),
    })
    child:lua("load_now(at('big/packages/web')) calm()")
    local events = fired(child)
    assert.are.equal(2, #events)
    for _, event in ipairs(events) do
      assert.are.same({
        root = w.work .. "/big/packages/web",
        name = "big/web",
        reason = "manual",
        files = {
          w.config_dir .. "/big.json",
          w.config_dir .. "/big/web.json",
          w.config_dir .. "/big.lua",
          w.config_dir .. "/big/web.lua",
          w.config_dir .. "/big.vim",
          w.config_dir .. "/big/web.vim",
        },
      }, event.data)
    end
    child:stop()
  end)

  it("without any files fires too, with an empty list", function()
    local child, w = open({ work = { ["bare/.git"] = true } })
    child:lua("load_now(at('bare')) calm()")
    local data = { root = w.work .. "/bare", name = "bare", reason = "manual", files = {} }
    assert.are.same({ { kind = "LoadPre", data = data }, { kind = "LoadPost", data = data } }, fired(child))
    child:stop()
  end)

  it("has at LoadPre the context current, and at LoadPost the JSON merged", function()
    local child = open()
    listen(child, "LoadPre", "note({ 'pre', npc.ctx.project_name, npc.ctx.project_root == data.root })")
    listen(child, "LoadPost", "note({ 'post', npc.ctx.project_name, npc.ctx.json.from, npc.get('from') })")
    child:lua("load_now() forget() load_now(at('beta')) calm()")
    local events = child:lua("return vim.tbl_filter(function(event) return type(event) == 'table' end, events)")
    assert.are.same({ { "pre", "beta", true }, { "post", "beta", "beta", "beta" } }, events)
    child:stop()
  end)

  it("that several share fires once", function()
    local child = open()
    child:lua([[
      local answered = 0
      for _ = 1, 5 do npc.load(function() answered = answered + 1 end) end
      assert(settle(function() return answered == 5 end))
      calm()
    ]])
    local loads = child:lua([[
      local counts = {}
      for _, event in ipairs(events) do counts[event] = (counts[event] or 0) + 1 end
      return counts
    ]])
    assert.are.equal(loads["LoadPre alpha manual"], loads["LoadPost alpha manual"])
    assert.are.equal(loads["on_load alpha"], loads["LoadPost alpha manual"])
    assert.is_true(loads["LoadPost alpha manual"] <= 2)
    child:stop()
  end)

  it("that finds no project, or is cancelled, fires no LoadPost", function()
    local child = open({ config = { ["alpha.lua"] = "_G.held = coroutine.running() coroutine.yield()" } })
    child:lua("load_now({ config_dir = function() return 7 end }) calm()")
    assert.are.same({}, child:lua("return vim.tbl_filter(function(event) return event:find('^Load') end, events)"))
    child:lua("forget() npc.load(function(_, err) note('answer ' .. err.code) end)")
    child:wait("_G.held ~= nil")
    child:lua("npc.clear() calm()")
    local events = child:lua("return events")
    assert.are.same("LoadPre alpha manual", events[1])
    assert.is_true(vim.tbl_contains(events, "answer cancelled"))
    for _, event in ipairs(events) do
      assert.is_nil(event:find("^LoadPost"), event)
      assert.is_nil(event:find("^on_load"), event)
    end
    child:stop()
  end)
end)

describe("the reason", function()
  it("is startup at start-up, and for a lazy load", function()
    local child = open(nil, { on = "startup" })
    assert.are.same(following.loaded("alpha", "startup"), following.state(child, "alpha").events)
    child:stop()
    child = open(nil, { on = "lazy" })
    assert.are.same({}, following.state(child).events)
    local loaded = following.after(child, "vim.cmd.edit('main.c')", "alpha")
    assert.are.same(following.loaded("alpha", "startup"), loaded.events)
    child:stop()
  end)

  it("is manual for load(), load_await() and the command", function()
    local child = open()
    assert.are.same(following.loaded("alpha", "manual"), following.after(child, "npc.load()", "alpha").events)
    assert.are.same(following.loaded("alpha", "manual"), following.after(child, "npc.load(npc.ctx)", "alpha").events)
    local awaited = following.after(child, "assert(npc.load_await()(8000))", "alpha")
    assert.are.same(following.loaded("alpha", "manual"), awaited.events)
    local commanded = following.after(child, "vim.cmd('silent ProjectConfig load')", "alpha")
    assert.are.same(following.loaded("alpha", "manual"), commanded.events)
    child:stop()
  end)

  it("is cwd or buffer for what was followed", function()
    local child = open(nil, { cwd = true, buffer = true })
    local by_buffer = following.after(child, "vim.cmd.edit(file('beta'))", "beta")
    assert.are.same(following.loaded("beta", "buffer"), by_buffer.events)
    local by_cwd = following.after(child, "vim.cmd.cd(work .. '/gamma')", "gamma")
    assert.are.same(following.loaded("gamma", "cwd"), by_cwd.events)
    child:stop()
  end)

  it("is config_dir for what was changed there", function()
    local child, w = open(nil, { config_dir = true })
    following.after(child, "npc.load()", "alpha")
    child:lua("forget()")
    require("tests.support.watching").replace(w.config_dir .. "/alpha.lua", "note('changed')")
    local state = following.state(child, "alpha")
    local expected = following.loaded("alpha", "config_dir")
    expected[2] = "changed"
    assert.are.same(expected, state.events)
    child:stop()
  end)
end)

describe("ClearPost", function()
  it("says what was left, once, after on_clear, when the context is empty", function()
    local child, w =
      open(nil, { before = "options.on_clear = function(ctx) note('on_clear ' .. ctx.project_name) end" })
    listen(child, "ClearPost", "note({ npc.ctx.project_name == nil, npc.ctx.json })")
    child:lua("load_now() calm() forget() npc.clear() calm()")
    assert.are.same(
      { { kind = "ClearPost", data = { root = w.work .. "/alpha", name = "alpha", reason = "manual", files = {} } } },
      fired(child)
    )
    assert.are.same({ "on_clear alpha", "ClearPost alpha manual", { true, {} } }, child:lua("return events"))
    child:stop()
  end)

  it("is fired for one that is not current, and not for what was never loaded", function()
    local child = open()
    assert.are.same({ current = false, events = {} }, following.after(child, "npc.clear()"))
    child:lua("_G.alpha = load_now() load_now(at('beta'))")
    local left = following.after(child, "npc.clear(alpha)")
    assert.are.same({ current = "beta", events = { "ClearPost alpha manual" } }, left)
    child:lua("npc.clear() calm()")
    assert.are.same({ current = false, events = {} }, following.after(child, "npc.clear()"))
    child:stop()
  end)
end)

describe("Error", function()
  it("carries the error and its file, for each error that is told", function()
    local child, w = open({
      config = { ["alpha.lua"] = "\nerror('broken')", ["alpha.json"] = '{\n  "a": ,\n}', ["alpha/good.lua"] = "" },
    })
    child:lua("load_now() calm()")
    local root = w.work .. "/alpha"
    local events = vim.tbl_filter(function(event)
      return event.kind == "Error"
    end, fired(child))
    local json, lua = w.config_dir .. "/alpha.json", w.config_dir .. "/alpha.lua"
    assert.are.same({
      {
        kind = "Error",
        data = {
          root = root,
          name = "alpha",
          reason = "manual",
          files = { json },
          error = { code = "syntax", path = json, line = 2 },
        },
      },
      {
        kind = "Error",
        data = {
          root = root,
          name = "alpha",
          reason = "manual",
          files = { lua },
          error = { code = "runtime", path = lua, line = 2 },
        },
      },
    }, events)
    -- And as before, for who has set it.
    assert.are.same({ "syntax", "runtime" }, child:lua("return vim.tbl_map(function(err) return err.code end, errors)"))
    assert.is_true(child:lua("return fired[2].data.error.message == errors[1].message"))
    child:stop()
  end)

  it("comes between LoadPre and LoadPost of its load", function()
    local child = open({ config = { ["alpha.lua"] = "error('broken')" } })
    child:lua("load_now() calm()")
    assert.are.same({
      "LoadPre alpha manual",
      "Error alpha manual",
      "alpha.vim",
      "on_load alpha",
      "LoadPost alpha manual",
    }, child:lua("return events"))
    child:stop()
  end)

  it("comes without on_error too, beside the notification", function()
    local child = open(
      { config = { ["alpha.lua"] = "error('broken')" } },
      { before = require("tests.support").room_for_messages .. "options.on_error = nil" }
    )
    child:lua("load_now() calm()")
    assert.is_true(vim.tbl_contains(child:lua("return events"), "Error alpha manual"))
    assert.are.equal(1, #child:notifications())
    child:stop()
  end)
end)

describe("nothing is fired", function()
  it("where nothing has changed: following to where one is, saving, reading, info", function()
    local child = open(nil, { cwd = true, buffer = true, config_dir = true })
    following.after(child, "vim.cmd.edit(file('alpha'))", "alpha")
    for _, code in ipairs({
      "vim.cmd.edit(work .. '/alpha/sub/other.c')",
      "vim.cmd.cd(work .. '/alpha/sub')",
      "vim.cmd.doautocmd('FocusGained')",
      "npc.get('from') npc.context() npc.contexts() npc.origin('from')",
      "local done npc.set('x', 1) npc.save(function() done = true end) settle(function() return done end)",
      "vim.cmd('silent ProjectConfig info')",
      "vim.fn.writefile({ 'note(1)' }, config_dir .. '/somebody-else.lua')",
    }) do
      assert.are.same({ current = "alpha", events = {} }, following.after(child, code), code)
    end
    child:stop()
  end)
end)

describe("a listener that throws", function()
  local function open_with_room(more)
    return open(more, { before = support.room_for_messages })
  end

  it("is told of by Neovim; the load, on_load and the other listeners have nothing of it", function()
    for _, kind in ipairs({ "LoadPre", "LoadPost" }) do
      local child = open_with_room()
      listen(child, kind, "error('listener of " .. kind .. "')")
      listen(child, kind, "note('second listener')")
      local loaded = child:lua("local ctx = load_now() calm() return ctx and ctx.json.from")
      assert.are.equal("alpha", loaded)
      assert.is_truthy(child:messages():find("listener of " .. kind, 1, true), child:messages())
      local events = child:lua("return events")
      for _, event in ipairs({ "alpha.lua", "alpha.vim", "on_load alpha", "LoadPost alpha manual", "second listener" }) do
        assert.is_true(vim.tbl_contains(events, event), event .. vim.inspect(events))
      end
      child:stop()
    end
  end)

  it("of ClearPost and Error: the same", function()
    local child = open_with_room({ config = { ["alpha.lua"] = "error('broken')" } })
    listen(child, "Error", "if not _G.thrown then _G.thrown = true error('listener of Error') end")
    listen(child, "ClearPost", "error('listener of ClearPost')")
    child:lua("load_now() calm() npc.clear() calm()")
    local events = child:lua("return events")
    for _, event in ipairs({ "on_load alpha", "LoadPost alpha manual", "ClearPost alpha manual" }) do
      assert.is_true(vim.tbl_contains(events, event), event .. vim.inspect(events))
    end
    local messages = child:messages()
    assert.is_truthy(messages:find("listener of Error", 1, true), messages)
    assert.is_truthy(messages:find("listener of ClearPost", 1, true), messages)
    assert.is_true(child:lua("return npc.ctx.project_root == nil and next(npc.ctx.json) == nil"))
    child:stop()
  end)

  it("of Error each time does not go round in circles", function()
    local child = open_with_room({ config = { ["alpha.lua"] = "error('broken')" } })
    listen(child, "Error", "_G.count = (_G.count or 0) + 1 error('listener of Error')")
    child:lua("load_now() calm()")
    assert.is_true(child:lua("return count") <= 3)
    assert.is_true(vim.tbl_contains(child:lua("return events"), "LoadPost alpha manual"))
    child:stop()
  end)
end)

describe("a listener may", function()
  it("set values at LoadPost, which are saved", function()
    local child, w = open()
    listen(child, "LoadPost", "npc.set('by.listener', data.reason) npc.ctx.json.assigned = true")
    child:lua("load_now() calm()")
    require("tests.support.saving").until_value(
      w.config_dir .. "/alpha.json",
      { from = "alpha", by = { listener = "manual" }, assigned = true }
    )
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it("load another project at LoadPost, once", function()
    local child = open()
    listen(child, "LoadPost", "if data.name == 'alpha' then npc.load(at('beta'), function() note('answered') end) end")
    local state = following.after(child, "npc.load()", "beta")
    local expected = vim.list_extend(following.loaded("alpha", "manual"), following.loaded("beta", "manual"))
    local events = vim.tbl_filter(function(event)
      return event ~= "answered"
    end, state.events)
    assert.are.same({ "beta", expected, 11 }, { state.current, events, #state.events })
    child:stop()
  end)

  it("wait for another load at LoadPost", function()
    local child = open()
    listen(
      child,
      "LoadPost",
      "if data.name == 'alpha' then local ctx, err = npc.load_await(at('beta'))(8000) note('waited ' .. tostring(ctx and ctx.project_name or err.code)) end"
    )
    child:lua("forget() npc.load()")
    child:poll("vim.tbl_contains(events, 'waited beta')")
    local state = following.state(child, "beta")
    assert.are.equal("beta", state.current)
    child:stop()
  end)

  it("clear at LoadPre: the load ends with cancelled, and nothing of it runs", function()
    local child = open()
    listen(child, "LoadPre", "npc.clear()")
    child:lua([[
      forget()
      npc.load(function(ctx, err) note("answer " .. tostring(ctx or err.code)) end)
      settle(function() return vim.tbl_contains(events, "answer cancelled") end)
      calm()
    ]])
    local events = child:lua("return events")
    assert.is_true(vim.tbl_contains(events, "answer cancelled"), vim.inspect(events))
    for _, event in ipairs(events) do
      assert.is_nil(event:find("^alpha%."), event)
      assert.is_nil(event:find("^on_load"), event)
      assert.is_nil(event:find("^LoadPost"), event)
    end
    assert.is_nil(child:lua("return npc.ctx.project_root"))
    child:stop()
  end)

  it("clear at LoadPost, and load again at ClearPost", function()
    local child = open()
    listen(child, "LoadPost", "if not _G.cleared then _G.cleared = true npc.clear() end")
    listen(child, "ClearPost", "npc.load()")
    following.after(child, "npc.load()")
    child:wait("#vim.tbl_filter(function(event) return event == 'LoadPost alpha manual' end, events) == 2")
    local state = following.state(child)
    local expected = following.loaded("alpha", "manual")
    table.insert(expected, "ClearPost alpha manual")
    vim.list_extend(expected, following.loaded("alpha", "manual"))
    assert.are.same({ current = "alpha", events = expected }, state)
    child:stop()
  end)

  it("of ProjectConfigLoad* get LoadPre and LoadPost, and nothing else", function()
    local child = open()
    child:lua([[
      vim.api.nvim_clear_autocmds({ event = "User" })
      vim.api.nvim_create_autocmd("User", { pattern = "ProjectConfigLoad*", callback = function(event) note(event.match) end })
    ]])
    local state = following.after(child, "load_now() npc.clear()")
    local expected = { "ProjectConfigLoadPre", "alpha.lua", "alpha.vim", "on_load alpha", "ProjectConfigLoadPost" }
    assert.are.same({ current = false, events = expected }, state)
    child:stop()
  end)

  it("are told of nothing more once on_load has cleared the context", function()
    local child = open()
    child:lua("npc.ctx.on_load = function(ctx) npc.clear(ctx) note('cleared') end")
    child:lua("forget() npc.load()")
    child:wait("vim.tbl_contains(events, 'cleared')")
    local state = following.state(child)
    local expected = { "LoadPre alpha manual", "alpha.lua", "alpha.vim", "ClearPost alpha manual", "cleared" }
    assert.are.same({ current = false, events = expected }, state)
    child:stop()
  end)

  it("enter a buffer of another project at LoadPost, and is followed", function()
    local child = open(nil, { buffer = true })
    listen(child, "LoadPost", "if data.name == 'alpha' then vim.cmd.edit(file('beta')) end")
    local state = following.after(child, "vim.cmd.edit(file('alpha'))", "beta")
    local expected = vim.list_extend(following.loaded("alpha", "buffer"), following.loaded("beta", "buffer"))
    assert.are.same({ current = "beta", events = expected }, state)
    child:stop()
  end)
end)
