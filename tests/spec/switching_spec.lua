-- Following the user: after each step the context of the project that one is in is current, it was loaded once for that, and what does
-- not leave the project loads nothing.
local following = require("tests.support.following")
local tries = require("tests.support.tries")

---@param child test.Child
---@param name string
---@param reason string
---@param code string
local function switches(child, name, reason, code)
  local expected = { current = name, events = following.loaded(name, reason) }
  assert.are.same(expected, following.after(child, code, name), code)
end

---@param child test.Child
---@param name string|false
---@param code string
local function stays(child, name, code)
  assert.are.same({ current = name, events = {} }, following.after(child, code), code)
end

describe("with watch.buffer", function()
  ---@param opts? test.FollowOptions
  local function open(opts, more)
    return following.open(following.workspace(more), "alpha", vim.tbl_extend("force", { buffer = true }, opts or {}))
  end

  it("A, B, A by buffers: each time that project, loaded once, the same table", function()
    local child = open()
    switches(child, "alpha", "buffer", "vim.cmd.edit(file('alpha'))")
    child:lua("_G.a, _G.a_json = npc.ctx, npc.ctx.json")
    switches(child, "beta", "buffer", "vim.cmd.edit(file('beta'))")
    child:lua("_G.b = npc.ctx")
    switches(child, "alpha", "buffer", "vim.cmd.buffer(file('alpha'))")
    switches(child, "beta", "buffer", "vim.cmd('buffer #')")
    switches(child, "alpha", "buffer", "vim.cmd.bprevious()")
    assert.is_true(child:lua("return npc.ctx == a and npc.ctx.json == a_json and a ~= b and b.json.from == 'beta'"))
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it("nothing is loaded for the project that one is in", function()
    local child = open()
    switches(child, "alpha", "buffer", "vim.cmd.edit(file('alpha'))")
    stays(child, "alpha", "vim.cmd.edit(work .. '/alpha/sub/other.c')")
    stays(child, "alpha", "vim.cmd.edit(work .. '/alpha/new.c')")
    stays(child, "alpha", "vim.cmd.edit({ bang = true })")
    stays(child, "alpha", "vim.cmd.write()")
    stays(child, "alpha", "vim.cmd.split() vim.cmd.edit(file('alpha')) vim.cmd.wincmd('w') vim.cmd.only()")
    stays(child, "alpha", "vim.cmd.tabnew(file('alpha')) vim.cmd.tabclose()")
    stays(child, "alpha", "vim.cmd.bdelete()")
    child:stop()
  end)

  it("A, B, A within one tick loads nothing, and one tick with many ends with one load", function()
    local child = open()
    switches(child, "alpha", "buffer", "vim.cmd.edit(file('alpha'))")
    stays(child, "alpha", "vim.cmd.edit(file('beta')) vim.cmd.edit(file('gamma')) vim.cmd.edit(file('alpha'))")
    switches(
      child,
      "beta",
      "buffer",
      "vim.cmd.edit(file('gamma')) vim.cmd.edit(file('alpha')) vim.cmd.edit(file('beta'))"
    )
    child:stop()
  end)

  it("by windows and tabs", function()
    local child = open()
    switches(child, "alpha", "buffer", "vim.cmd.edit(file('alpha'))")
    switches(child, "beta", "buffer", "vim.cmd.split(file('beta'))")
    switches(child, "alpha", "buffer", "vim.cmd.wincmd('w')")
    switches(child, "beta", "buffer", "vim.cmd.wincmd('w')")
    switches(child, "alpha", "buffer", "vim.cmd.close()")
    switches(child, "gamma", "buffer", "vim.cmd.tabnew(file('gamma'))")
    switches(child, "alpha", "buffer", "vim.cmd.tabprevious()")
    switches(child, "gamma", "buffer", "vim.api.nvim_set_current_tabpage(vim.api.nvim_list_tabpages()[2])")
    switches(child, "alpha", "buffer", "vim.cmd.tabclose()")
    switches(
      child,
      "beta",
      "buffer",
      [[
      local buffer = vim.fn.bufnr(file("beta"))
      vim.api.nvim_open_win(buffer, true, { relative = "editor", row = 1, col = 1, width = 9, height = 3 })
    ]]
    )
    switches(child, "alpha", "buffer", "vim.cmd.close()")
    child:stop()
  end)

  it("by marks, jumps and the argument list", function()
    local child = open()
    switches(child, "alpha", "buffer", "vim.cmd.edit(file('alpha')) vim.cmd.normal('mA')")
    switches(child, "beta", "buffer", "vim.cmd.edit(file('beta'))")
    switches(child, "alpha", "buffer", "vim.cmd.normal({ '`A', bang = true })")
    switches(child, "beta", "buffer", [[vim.cmd.execute([["normal! \<C-o>"]] .. "]])")
    switches(child, "gamma", "buffer", "vim.cmd.args(file('gamma'), file('alpha'))")
    switches(child, "alpha", "buffer", "vim.cmd.next()")
    child:stop()
  end)

  it("not by the current directory", function()
    local child = open()
    stays(child, false, "vim.cmd.cd(work .. '/beta')")
    switches(child, "alpha", "buffer", "vim.cmd.edit(file('alpha'))")
    stays(child, "alpha", "vim.cmd.cd(work .. '/gamma') vim.cmd.tcd(work .. '/beta') vim.cmd.lcd(work .. '/gamma')")
    child:stop()
  end)

  it("by what happens without entering a window: nothing", function()
    local child = open()
    switches(child, "alpha", "buffer", "vim.cmd.edit(file('alpha'))")
    stays(child, "alpha", "vim.fn.bufload(vim.fn.bufadd(file('beta')))")
    stays(
      child,
      "alpha",
      [[
      vim.api.nvim_buf_call(vim.fn.bufnr(file("beta")), function() vim.cmd("silent normal! ggdd") end)
    ]]
    )
    stays(
      child,
      "alpha",
      [[
      local buffer = vim.fn.bufnr(file("beta"))
      vim.api.nvim_open_win(buffer, false, { relative = "editor", row = 1, col = 1, width = 9, height = 3 })
    ]]
    )
    child:stop()
  end)

  it("a package is a project of its own", function()
    local child = open(nil, {
      work = {
        big = { [".git"] = true, ["main.c"] = "", ["packages/web"] = { ["package.json"] = "{}", ["main.c"] = "" } },
      },
      config = following.config({ "big", "big/web" }),
    })
    switches(child, "big", "buffer", "vim.cmd.edit(file('big'))")
    local entered = following.after(child, "vim.cmd.edit(file('big/packages/web'))", "big/web")
    assert.are.equal("big/web", entered.current)
    assert.are.same({
      "LoadPre big/web buffer",
      "big.lua",
      "big/web.lua",
      "big.vim",
      "big/web.vim",
      "on_load big/web",
      "LoadPost big/web buffer",
    }, entered.events)
    switches(child, "big", "buffer", "vim.cmd.buffer(file('big'))")
    child:stop()
  end)

  it("a file that is reached by a link belongs where it lies", function()
    local child = open(nil, { work = { link = { link = "beta" } } })
    switches(child, "beta", "buffer", "vim.cmd.edit(file('link'))")
    assert.are.equal(child:lua("return work .. '/beta'"), child:lua("return npc.ctx.project_root"))
    stays(child, "beta", "vim.cmd.edit(work .. '/beta/sub/other.c')")
    stays(child, "beta", "vim.cmd.edit(work .. '/link/sub/new.c')")
    child:stop()
  end)

  it("a new file in a directory that does not exist yet belongs to the project around it", function()
    local child = open()
    switches(child, "beta", "buffer", "vim.cmd.edit(work .. '/beta/not/there/yet.c')")
    stays(child, "beta", "vim.cmd.edit(work .. '/beta/not/either/yet.c')")
    switches(child, "gamma", "buffer", "vim.cmd.edit(work .. '/gamma/not/there/yet.c')")
    child:stop()
  end)

  it("a buffer that gets another name goes to the project of that", function()
    local child = open()
    switches(child, "alpha", "buffer", "vim.cmd.edit(file('alpha'))")
    switches(child, "beta", "buffer", "vim.cmd.file(work .. '/beta/renamed.c')")
    switches(child, "gamma", "buffer", "vim.cmd.saveas(work .. '/gamma/saved.c')")
    stays(child, "gamma", "vim.cmd.write(work .. '/beta/copy.c')")
    stays(child, "gamma", "vim.cmd.file(work .. '/gamma/again.c')")
    switches(child, "alpha", "buffer", "vim.cmd.edit(file('alpha'))")
    switches(child, "gamma", "buffer", "vim.cmd.buffer('again.c')")
    child:stop()
  end)

  it("an unnamed buffer goes to a project when it gets a name", function()
    local child = open()
    stays(child, false, "vim.cmd.enew() vim.api.nvim_buf_set_lines(0, 0, -1, false, { 'text' })")
    switches(child, "beta", "buffer", "vim.cmd.write(work .. '/beta/first.c')")
    child:stop()
  end)

  it("a directory that has become a project is one at the next write", function()
    local child = open(nil, { config = following.config({ "fresh" }) })
    switches(child, "alpha", "buffer", "vim.cmd.edit(file('alpha'))")
    stays(child, "alpha", "vim.cmd.edit(work .. '/fresh/src/main.c')")
    child:lua("vim.fn.mkdir(work .. '/fresh/.git', 'p') vim.fn.mkdir(work .. '/fresh/src', 'p')")
    switches(child, "fresh", "buffer", "vim.cmd.write()")
    child:stop()
  end)

  it("a manifest that is written makes a package of its directory", function()
    local child = open(nil, { config = following.config({ "alpha/sub" }) })
    following.after(child, "vim.cmd.edit(file('alpha'))", "alpha")
    stays(child, "alpha", "vim.cmd.edit(work .. '/alpha/sub/package.json')")
    local entered = following.after(child, "vim.fn.setline(1, '{}') vim.cmd.write()", "alpha/sub")
    assert.are.equal("alpha/sub", entered.current)
    assert.are.equal(7, #entered.events, vim.inspect(entered.events))
    child:stop()
  end)

  it("a directory that a shell command has made a project is one when it is entered again", function()
    local child = open(nil, { config = following.config({ "sub" }) })
    switches(child, "alpha", "buffer", "vim.cmd.edit(file('alpha'))")
    stays(child, "alpha", "vim.cmd.edit(work .. '/alpha/sub/other.c')")
    stays(child, "alpha", "vim.cmd.edit(file('alpha'))")
    stays(child, "alpha", "vim.cmd('silent !mkdir ' .. work .. '/alpha/sub/.git')")
    switches(child, "sub", "buffer", "vim.cmd.buffer('sub/other.c')")
    switches(child, "alpha", "buffer", "vim.cmd.buffer(file('alpha'))")
    child:stop()
  end)

  it("leaving the last buffer of a project does not leave the project", function()
    local child = open()
    switches(child, "beta", "buffer", "vim.cmd.edit(file('beta'))")
    stays(child, "beta", "vim.cmd.bwipeout()")
    stays(child, "beta", "vim.cmd.enew()")
    stays(child, "beta", "vim.cmd.edit(file('beta'))")
    child:stop()
  end)

  it("names with all sorts of signs", function()
    local name = "we ird [x] $HOME %41 'q' ~"
    local child = open(nil, { work = { [name] = following.repository } })
    child:lua("_G.odd = work .. '/' .. ...", name)
    local entered = following.after(child, "vim.cmd.edit(vim.fn.fnameescape(odd .. '/main.c'))", name)
    assert.are.same(
      { name, { "LoadPre " .. name .. " buffer", "on_load " .. name, "LoadPost " .. name .. " buffer" } },
      {
        entered.current,
        entered.events,
      }
    )
    assert.is_true(child:lua("return npc.ctx.project_root == odd"))
    child:stop()
  end)
end)

describe("with watch.cwd", function()
  ---@param opts? test.FollowOptions
  local function open(opts)
    return following.open(following.workspace(), "alpha", vim.tbl_extend("force", { cwd = true }, opts or {}))
  end

  it("A, B, A by :cd", function()
    local child = open()
    switches(child, "beta", "cwd", "vim.cmd.cd(work .. '/beta')")
    switches(child, "alpha", "cwd", "vim.cmd.cd('../alpha/sub')")
    switches(child, "beta", "cwd", "vim.cmd.cd('../../beta/sub')")
    stays(child, "beta", "vim.cmd.cd('..')")
    stays(child, "beta", "vim.cmd.cd('.')")
    switches(child, "alpha", "cwd", "vim.fn.chdir(work .. '/alpha')")
    switches(child, "gamma", "cwd", "vim.api.nvim_set_current_dir(work .. '/gamma')")
    stays(child, "gamma", "vim.cmd.cd('../alpha') vim.cmd.cd('../gamma')")
    child:stop()
  end)

  it("by :tcd, and by going from tab to tab", function()
    local child = open()
    switches(child, "alpha", "cwd", "vim.cmd.tcd(work .. '/alpha/sub')")
    switches(child, "beta", "cwd", "vim.cmd.tabnew() vim.cmd.tcd(work .. '/beta')")
    switches(child, "alpha", "cwd", "vim.cmd.tabprevious()")
    switches(child, "beta", "cwd", "vim.cmd.tabprevious()")
    switches(child, "alpha", "cwd", "vim.cmd.tabclose()")
    child:stop()
  end)

  it("by :lcd, and by going from window to window", function()
    local child = open()
    switches(child, "beta", "cwd", "vim.cmd.lcd(work .. '/beta')")
    switches(child, "gamma", "cwd", "vim.cmd.split() vim.cmd.lcd(work .. '/gamma')")
    switches(child, "beta", "cwd", "vim.cmd.wincmd('w')")
    switches(child, "gamma", "cwd", "vim.cmd.wincmd('w')")
    switches(child, "beta", "cwd", "vim.cmd.close()")
    -- A new window has the directory of the one that it was opened from.
    stays(child, "beta", "vim.cmd.tabnew()")
    switches(child, "alpha", "cwd", "vim.cmd.cd(work .. '/alpha')")
    switches(child, "beta", "cwd", "vim.cmd.tabprevious()")
    stays(child, "beta", "vim.cmd.split()")
    child:stop()
  end)

  it("by 'autochdir'", function()
    local child = open()
    switches(child, "beta", "cwd", "vim.o.autochdir = true vim.cmd.edit(file('beta'))")
    stays(child, "beta", "vim.cmd.edit(work .. '/beta/sub/other.c')")
    switches(child, "gamma", "cwd", "vim.cmd.edit(file('gamma'))")
    child:stop()
  end)

  it("not by buffers", function()
    local child = open()
    stays(child, false, "vim.cmd.edit(file('beta'))")
    switches(child, "alpha", "cwd", "vim.cmd.cd(work .. '/alpha/sub')")
    stays(child, "alpha", "vim.cmd.edit(file('gamma')) vim.cmd.split(file('beta')) vim.cmd.tabnew(file('gamma'))")
    child:stop()
  end)

  it("a directory without any marker is a project too, as for load()", function()
    local child = open()
    local entered = following.after(child, "vim.cmd.cd(work .. '/plain')", "plain")
    assert.are.same({ "LoadPre plain cwd", "on_load plain", "LoadPost plain cwd" }, entered.events)
    switches(child, "beta", "cwd", "vim.cmd.cd(work .. '/beta')")
    child:stop()
  end)

  it("not by the directory of a window that is not the current one", function()
    local child = open()
    switches(child, "beta", "cwd", "vim.cmd.cd(work .. '/beta')")
    stays(
      child,
      "beta",
      [[
      local here = vim.api.nvim_get_current_win()
      vim.cmd("noautocmd split | noautocmd lcd " .. work .. "/beta/sub")
      local other = vim.api.nvim_get_current_win()
      vim.cmd("noautocmd wincmd p")
      vim.api.nvim_win_call(other, function() vim.cmd.lcd(work .. "/gamma") end)
      assert(vim.api.nvim_get_current_win() == here)
    ]]
    )
    child:stop()
  end)
end)

describe("with both, the latest of the two decides:", function()
  ---@param opts? test.FollowOptions
  local function open(opts)
    local both = { cwd = true, buffer = true }
    return following.open(following.workspace(), "alpha", vim.tbl_extend("force", both, opts or {}))
  end

  it("one after the other", function()
    local child = open()
    switches(child, "alpha", "buffer", "vim.cmd.edit(file('alpha'))")
    switches(child, "beta", "cwd", "vim.cmd.cd(work .. '/beta')")
    stays(child, "beta", "vim.cmd.edit(work .. '/beta/sub/other.c')")
    switches(child, "alpha", "buffer", "vim.cmd.edit(file('alpha'))")
    switches(child, "gamma", "cwd", "vim.cmd.cd(work .. '/gamma')")
    stays(child, "gamma", "vim.cmd.split()")
    switches(child, "alpha", "buffer", "vim.cmd.edit(work .. '/alpha/sub/other.c')")
    stays(child, "alpha", "vim.cmd.cd(work .. '/alpha')")
    child:stop()
  end)

  it("within one tick", function()
    local child = open()
    switches(child, "gamma", "cwd", "vim.cmd.edit(file('beta')) vim.cmd.cd(work .. '/gamma')")
    switches(child, "beta", "buffer", "vim.cmd.cd(work .. '/alpha') vim.cmd.edit(work .. '/beta/sub/other.c')")
    child:stop()
  end)

  it("a window that has a directory and a buffer of two projects: its buffer is entered last", function()
    local child = open()
    switches(child, "alpha", "buffer", "vim.cmd.edit(file('alpha'))")
    switches(child, "gamma", "cwd", "vim.cmd.split(file('beta')) vim.cmd.lcd(work .. '/gamma')")
    switches(child, "alpha", "buffer", "vim.cmd.wincmd('w')")
    switches(child, "beta", "buffer", "vim.cmd.wincmd('w')")
    child:stop()
  end)

  it("a window that has only a directory of another project", function()
    local child = open()
    switches(child, "alpha", "buffer", "vim.cmd.edit(file('alpha'))")
    switches(child, "gamma", "cwd", "vim.cmd.new() vim.cmd.lcd(work .. '/gamma')")
    switches(child, "alpha", "buffer", "vim.cmd.wincmd('w')")
    switches(child, "gamma", "cwd", "vim.cmd.wincmd('w')")
    child:stop()
  end)

  it("with 'autochdir' one load is enough", function()
    local child = open()
    child:lua("vim.o.autochdir = true")
    local entered = following.after(child, "vim.cmd.edit(file('beta'))", "beta")
    assert.are.equal("beta", entered.current)
    assert.are.equal(5, #entered.events, vim.inspect(entered.events))
    child:stop()
  end)
end)

describe("with neither", function()
  it("nothing follows", function()
    local child = following.open(following.workspace(), "alpha", { on = "startup" })
    assert.are.same(
      { current = "alpha", events = following.loaded("alpha", "startup") },
      following.state(child, "alpha")
    )
    stays(child, "alpha", "vim.cmd.edit(file('beta')) vim.cmd.cd(work .. '/beta') vim.cmd.tabnew(file('gamma'))")
    child:stop()
  end)
end)

describe("debounce_ms", function()
  it("holds back further switches after one, until it has been quiet for so long", function()
    local debounce_ms = 700
    local child, held_back
    -- The first one comes at once, so all of it is over before anything that was held back may come.
    tries.within(debounce_ms, "milliseconds for three buffers", function(try)
      if try > 1 then
        child:stop()
      end
      child = following.open(following.workspace(), "alpha", { buffer = true, debounce_ms = debounce_ms })
      local result = child:lua([[
        local began = vim.uv.hrtime()
        vim.cmd.edit(file("alpha"))
        settle(function() return is_in("alpha") end)
        forget()
        vim.cmd.edit(file("beta"))
        idle()
        vim.cmd.edit(file("gamma"))
        idle()
        return { held_back = { #events, npc.ctx.project_name }, took = (vim.uv.hrtime() - began) / 1e6 }
      ]])
      held_back = result.held_back
      return result.took
    end)
    -- Of those that follow only the last one counts.
    assert.are.same({ 0, "alpha" }, held_back)
    local expected = { current = "gamma", events = following.loaded("gamma", "buffer") }
    assert.are.same(expected, following.state(child, "gamma"))
    child:stop()
  end)
end)
