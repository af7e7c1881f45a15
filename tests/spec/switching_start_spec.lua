-- Where one is when the editor has started, and when a session has been restored: exactly one load, that of the right project.
local following = require("tests.support.following")

local BOTH = { cwd = true, buffer = true }

---@param opts test.FollowOptions
---@param more? { work?: test.Tree, config?: test.Tree }
---@return test.Child
local function open_in_alpha(opts, more)
  return following.open(following.workspace(more), "alpha", opts)
end

--- Starts an editor in `alpha`, and says what it has loaded.
---@param opts test.FollowOptions
---@param name string|nil
---@return test.Followed
local function start(opts, name)
  local child = open_in_alpha(opts)
  local state = following.state(child, name)
  assert.are.same({}, child:lua("return errors"))
  child:stop()
  return state
end

---@param opts test.FollowOptions
---@param name string
---@param reason string
local function starts_in(opts, name, reason)
  assert.are.same({ current = name, events = following.loaded(name, reason) }, start(opts, name))
end

describe("start-up", function()
  it("without a file: the current directory, once", function()
    starts_in({ on = "startup", cwd = true }, "alpha", "startup")
    starts_in({ on = "startup", buffer = true }, "alpha", "startup")
    starts_in({ on = "startup", cwd = true, buffer = true }, "alpha", "startup")
    assert.are.same({ current = false, events = {} }, start({ on = "manual", cwd = true, buffer = true }))
    assert.are.same({ current = false, events = {} }, start({ on = "lazy", cwd = true, buffer = true }))
  end)

  it("with a file of the project one is in: once", function()
    for _, on in ipairs({ "startup", "lazy", "manual" }) do
      for _, watch in ipairs({ { buffer = true }, BOTH }) do
        local state = start(vim.tbl_extend("force", { on = on, args = { "sub/other.c" } }, watch), "alpha")
        local reason = state.events[1] == "LoadPre alpha buffer" and "buffer" or "startup"
        assert.are.same({ current = "alpha", events = following.loaded("alpha", reason) }, state, on)
      end
    end
  end)

  it("with a file of another project: that one, once, and nothing of the one of the current directory", function()
    for _, on in ipairs({ "startup", "lazy", "manual" }) do
      starts_in({ on = on, buffer = true, args = { "../beta/main.c" } }, "beta", "buffer")
      starts_in({ on = on, cwd = true, buffer = true, args = { "../beta/main.c" } }, "beta", "buffer")
    end
  end)

  it("with a file of another project and without watch.buffer: the current directory", function()
    starts_in({ on = "startup", cwd = true, args = { "../beta/main.c" } }, "alpha", "startup")
    assert.are.same({ current = false, events = {} }, start({ on = "manual", cwd = true, args = { "../beta/main.c" } }))
  end)

  it("with a file of no project: the current directory", function()
    starts_in({ on = "startup", buffer = true, args = { "../plain/main.c" } }, "alpha", "startup")
  end)

  it("that has found the directory's project long before the editor is ready waits for what its file says", function()
    -- The loop turns meanwhile: what could be delivered early would be.
    local slow = "note(vim.wait(300, function() return #events > 0 end))"
    for file, expected in pairs({
      ["../beta/main.c"] = following.loaded("beta", "buffer"),
      ["../plain/main.c"] = following.loaded("alpha", "startup"),
      ["oil://x"] = following.loaded("alpha", "startup"),
    }) do
      local name = expected[2]:match("%a+")
      table.insert(expected, 1, false)
      local state = start({ on = "startup", cwd = true, buffer = true, args = { file }, after = slow }, name)
      assert.are.same({ current = name, events = expected }, state, file)
    end
  end)

  it("with several files, in windows or tabs: that of the current window", function()
    starts_in({ on = "startup", buffer = true, args = { "-o", "../beta/main.c", "../gamma/main.c" } }, "beta", "buffer")
    starts_in({ on = "startup", buffer = true, args = { "-p", "../gamma/main.c", "main.c" } }, "gamma", "buffer")
    starts_in({ on = "startup", buffer = true, args = { "main.c", "-c", "edit ../gamma/main.c" } }, "gamma", "buffer")
  end)

  it("with a directory: its project", function()
    local without_netrw = "vim.g.loaded_netrw, vim.g.loaded_netrwPlugin = 1, 1"
    for _, before in ipairs({ "", without_netrw }) do
      starts_in({ on = "startup", buffer = true, before = before, args = { "../beta/sub" } }, "beta", "buffer")
      starts_in({ on = "startup", buffer = true, before = before, args = { "../beta" } }, "beta", "buffer")
      starts_in({ on = "manual", cwd = true, buffer = true, before = before, args = { "../beta" } }, "beta", "buffer")
      -- Whether start-up or the buffer was first does not matter, as it is the same project.
      local state = start({ on = "startup", buffer = true, before = before, args = { "." } }, "alpha")
      assert.are.same({ "alpha", 5 }, { state.current, #state.events }, vim.inspect(state))
    end
  end)

  it("with a directory change in init.lua or on the command line and watch.cwd: the last directory", function()
    starts_in({ on = "startup", cwd = true, args = { "-c", "cd ../beta" } }, "beta", "cwd")
    starts_in({ on = "startup", cwd = true, after = "vim.cmd.cd('../gamma')" }, "gamma", "cwd")
  end)

  it("follows from there", function()
    local child = open_in_alpha({ on = "startup", buffer = true, args = { "../beta/main.c" } })
    following.state(child, "beta")
    local back = following.after(child, "vim.cmd.edit(file('alpha'))", "alpha")
    assert.are.same({ current = "alpha", events = following.loaded("alpha", "buffer") }, back)
    local again = following.after(child, "vim.cmd.buffer(file('beta'))", "beta")
    assert.are.same({ current = "beta", events = following.loaded("beta", "buffer") }, again)
    child:stop()
  end)

  it("that somebody waits for in init.lua ends with the project of the file all the same", function()
    local child = open_in_alpha({
      on = "startup",
      buffer = true,
      args = { "../beta/main.c" },
      after = "local ctx = npc.load_await()(8000) note('waited ' .. tostring(ctx and ctx.project_name))",
    })
    local state = following.state(child, "beta")
    assert.are.equal("beta", state.current)
    assert.is_true(vim.tbl_contains(state.events, "waited alpha"), vim.inspect(state.events))
    child:stop()
  end)
end)

describe("setup long after start-up", function()
  it(
    "in a buffer of another project, or before one is entered: that one, and nothing of the current directory's",
    function()
      for _, code in ipairs({
        "vim.cmd.edit(file('beta')) npc.setup(options)",
        "npc.setup(options) vim.cmd.edit(file('beta'))",
      }) do
        local child = open_in_alpha({ on = "startup", buffer = true, without_setup = true })
        local state = following.after(child, code, "beta")
        assert.are.same({ current = "beta", events = following.loaded("beta", "buffer") }, state, code)
        child:stop()
      end
    end
  )

  it("in a buffer of no project: the current directory's", function()
    local child = open_in_alpha({ on = "startup", buffer = true, without_setup = true })
    local state = following.after(child, "vim.cmd.edit(work .. '/plain/main.c') npc.setup(options)", "alpha")
    assert.are.same({ current = "alpha", events = following.loaded("alpha", "startup") }, state)
    child:stop()
  end)
end)

describe("entering a directory", function()
  it("is entering its project", function()
    for _, before in ipairs({ "", "vim.g.loaded_netrw, vim.g.loaded_netrwPlugin = 1, 1" }) do
      local child = open_in_alpha({ buffer = true, before = before })
      for _, name in ipairs({ "beta", "gamma", "beta" }) do
        local entered = following.after(child, ("vim.cmd.edit(work .. '/%s/sub')"):format(name), name)
        assert.are.same({ current = name, events = following.loaded(name, "buffer") }, entered)
      end
      child:stop()
    end
  end)
end)

describe("a session", function()
  --- Writes a session of an editor in `beta` with windows on `gamma` and, current, on `beta`.
  ---@param w test.Workspace
  ---@param file? string the current buffer
  ---@return string path
  local function made(w, file)
    local path = w.dir .. "/session.vim"
    local child = w:open("beta", { args = { "../gamma/main.c" } })
    child:lua("vim.cmd.split(work .. ...)", file or "/beta/main.c")
    child:lua("vim.cmd.mksession(...)", path)
    child:stop()
    return path
  end

  it("that is sourced: its current buffer with watch.buffer, one load", function()
    local w = following.workspace()
    local session = made(w)
    local child = following.open(w, "alpha", { on = "startup", buffer = true })
    following.state(child, "alpha")
    local sourced = following.after(child, ("vim.cmd.source(%q)"):format(session), "beta")
    assert.are.same({ current = "beta", events = following.loaded("beta", "buffer") }, sourced)
    local back = following.after(child, "vim.cmd.edit(file('alpha'))", "alpha")
    assert.are.same({ current = "alpha", events = following.loaded("alpha", "buffer") }, back)
    child:stop()
  end)

  it("that is sourced: its directory with watch.cwd, one load", function()
    local w = following.workspace()
    local session = made(w)
    local child = following.open(w, "alpha", { on = "startup", cwd = true })
    following.state(child, "alpha")
    local sourced = following.after(child, ("vim.cmd.source(%q)"):format(session), "beta")
    assert.are.same({ current = "beta", events = following.loaded("beta", "cwd") }, sourced)
    child:stop()
  end)

  it("that is sourced: with both, one load, of the buffer it ends in", function()
    local w = following.workspace()
    local session = made(w, "/gamma/sub/other.c")
    local child = following.open(w, "alpha", { on = "startup", cwd = true, buffer = true })
    following.state(child, "alpha")
    local sourced = following.after(child, ("vim.cmd.source(%q)"):format(session), "gamma")
    assert.are.same({ current = "gamma", events = following.loaded("gamma", "buffer") }, sourced)
    child:stop()
  end)

  it("that the editor starts with: one load", function()
    local w = following.workspace()
    local session = made(w)
    for watch, reason in pairs({ cwd = "cwd", buffer = "buffer" }) do
      for _, on in ipairs({ "startup", "manual" }) do
        local child = following.open(w, "alpha", { on = on, [watch] = true, args = { "-S", session } })
        local state = following.state(child, "beta")
        assert.are.same({ current = "beta", events = following.loaded("beta", reason) }, state, watch .. " " .. on)
        child:stop()
      end
    end
    local child = following.open(w, "alpha", { on = "startup", cwd = true, buffer = true, args = { "-S", session } })
    local state = following.state(child, "beta")
    assert.are.same({ "beta", 5 }, { state.current, #state.events }, vim.inspect(state))
    child:stop()
  end)

  it("that this editor has written brings it back to where it was", function()
    local child = open_in_alpha({ cwd = true, buffer = true })
    following.after(child, "vim.cmd.edit(file('alpha'))", "alpha")
    child:lua("vim.cmd.mksession(work .. '/session.vim')")
    following.after(child, "vim.cmd.cd(work .. '/beta') vim.cmd.edit(file('beta'))", "beta")
    local back = following.after(child, "vim.cmd.source(work .. '/session.vim')", "alpha")
    assert.are.equal("alpha", back.current)
    assert.are.equal(5, #back.events, vim.inspect(back.events))
    child:stop()
  end)
end)
