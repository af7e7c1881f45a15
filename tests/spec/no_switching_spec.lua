-- Buffers that are no files of a project: entering them leaves everything as it is.
local following = require("tests.support.following")

---@param opts? test.FollowOptions
---@param more? { work?: test.Tree, config?: test.Tree }
---@return test.Child child in a buffer of `alpha`
local function open(opts, more)
  local both = { cwd = true, buffer = true }
  local child = following.open(following.workspace(more), "alpha", vim.tbl_extend("force", both, opts or {}))
  local entered = following.after(child, "vim.cmd.edit(file('alpha'))", "alpha")
  assert.are.equal("alpha", entered.current)
  return child
end

---@param child test.Child
---@param code string
local function stays(child, code)
  assert.are.same({ current = "alpha", events = {} }, following.after(child, code), code)
end

--- That what stays is the buffer and not the editor: `beta` is still followed.
---@param child test.Child
local function still_follows(child)
  local entered = following.after(child, "vim.cmd.edit(file('beta'))", "beta")
  assert.are.same({ current = "beta", events = following.loaded("beta", "buffer") }, entered)
  child:stop()
end

describe("nothing is switched by", function()
  it("help", function()
    local child = open()
    stays(child, "vim.cmd.help()")
    assert.are.equal("help", child:lua("return vim.bo.buftype"))
    stays(child, "vim.cmd.help('options')")
    stays(child, "vim.cmd.helpclose()")
    still_follows(child)
  end)

  it("a terminal", function()
    local child = open()
    stays(child, "vim.cmd.lcd(work .. '/alpha/sub') vim.cmd.terminal('cat')")
    assert.are.equal("terminal", child:lua("return vim.bo.buftype"))
    stays(child, "vim.cmd.startinsert()")
    stays(child, "vim.cmd.stopinsert() vim.cmd.bdelete({ bang = true })")
    still_follows(child)
  end)

  it("the quickfix and the location window", function()
    local child = open()
    stays(
      child,
      [[
      vim.fn.setqflist({ { filename = file("beta"), lnum = 1, text = "here" } })
      vim.fn.setloclist(0, { { filename = file("beta"), lnum = 1, text = "here" } })
      vim.cmd.copen()
    ]]
    )
    assert.are.equal("quickfix", child:lua("return vim.bo.buftype"))
    stays(child, "vim.cmd.cclose() vim.cmd.lopen()")
    stays(child, "vim.cmd.lclose()")
    local entered = following.after(child, "vim.cmd.copen() vim.cmd.cfirst()", "beta")
    assert.are.same({ current = "beta", events = following.loaded("beta", "buffer") }, entered)
    child:stop()
  end)

  it("unnamed buffers", function()
    local child = open()
    stays(child, "vim.cmd.new()")
    stays(child, "vim.cmd.tabnew()")
    stays(child, "vim.cmd.enew()")
    still_follows(child)
  end)

  it("prompt, nofile, nowrite and acwrite buffers, also with the name of a file of another project", function()
    local child = open()
    for _, kind in ipairs({ "prompt", "nofile", "nowrite", "acwrite" }) do
      stays(
        child,
        ([[
          local buffer = vim.api.nvim_create_buf(true, false)
          vim.bo[buffer].buftype = %q
          vim.api.nvim_buf_set_name(buffer, work .. "/beta/%s")
          vim.api.nvim_set_current_buf(buffer)
        ]]):format(kind, kind)
      )
      assert.are.equal(kind, child:lua("return vim.bo.buftype"))
    end
    stays(
      child,
      [[
      local scratch = vim.api.nvim_create_buf(false, true)
      vim.api.nvim_buf_set_name(scratch, file("beta") .. ".scratch")
      vim.api.nvim_open_win(scratch, true, { relative = "editor", row = 1, col = 1, width = 9, height = 3 })
    ]]
    )
    stays(child, "vim.cmd.close()")
    still_follows(child)
  end)

  it("buffers with a scheme, whatever the current directory is and contains", function()
    local child = open({ cwd = false })
    child:lua("vim.cmd.cd(work .. '/beta') vim.fn.mkdir('oil:' .. work .. '/beta', 'p')")
    for _, name in ipairs({
      "oil://%s/beta/",
      "fugitive://%s/beta/.git//0/main.c",
      "oil-ssh://%s/beta/main.c",
      "term-like+x.y-z://%s/beta/main.c",
      "file2://%s/beta/main.c",
    }) do
      stays(child, ("vim.cmd.edit(vim.fn.fnameescape((%q):format(work)))"):format(name))
      assert.is_truthy(child:lua("return vim.api.nvim_buf_get_name(0):find('://', 1, true)"))
    end
    still_follows(child)
  end)

  it("a file in a directory that is no project", function()
    local child = open()
    stays(child, "vim.cmd.edit(file('plain'))")
    stays(child, "vim.cmd.edit(work .. '/plain/new/dir/x.c')")
    stays(child, "vim.cmd.edit(work .. '/nowhere/x.c')")
    stays(child, "vim.cmd.edit(vim.env.HOME .. '/notes.txt')")
    stays(child, "vim.cmd.edit('/notes.txt')")
    stays(child, "vim.cmd.edit(file('alpha'))")
    still_follows(child)
  end)

  it("a file that is a device, a pipe, or below a file", function()
    local child = open()
    stays(child, "vim.cmd.edit('/dev/null')")
    stays(child, "vim.cmd.edit(work .. '/plain/main.c/below')")
    still_follows(child)
  end)
end)

describe("a file in a directory without markers", function()
  local PLAIN = { config = { ["plain.lua"] = "note('plain.lua')", ["plain.vim"] = "lua note('plain.vim')" } }

  it("is entered as a project if there are config files for it", function()
    local child = open({ cwd = false }, PLAIN)
    local entered = following.after(child, "vim.cmd.edit(file('plain'))", "plain")
    assert.are.same({ current = "plain", events = following.loaded("plain", "buffer") }, entered)
    local back = following.after(child, "vim.cmd.edit(file('alpha'))", "alpha")
    assert.are.same({ current = "alpha", events = following.loaded("alpha", "buffer") }, back)
    local again = following.after(child, "vim.cmd.buffer(file('plain'))", "plain")
    assert.are.same({ current = "plain", events = following.loaded("plain", "buffer") }, again)
    child:stop()
  end)

  it("is entered as a project once there are some", function()
    local w = following.workspace()
    local child = following.open(w, "alpha", { buffer = true })
    following.after(child, "vim.cmd.edit(file('alpha'))", "alpha")
    stays(child, "vim.cmd.edit(file('plain'))")
    stays(child, "vim.cmd.edit(file('alpha'))")
    for name, text in pairs(PLAIN.config) do
      w:write(name, text)
    end
    local entered = following.after(
      child,
      "vim.cmd.edit(file('alpha')) vim.cmd.doautocmd('FocusGained') vim.cmd.buffer(file('plain'))",
      "plain"
    )
    assert.are.same({ current = "plain", events = following.loaded("plain", "buffer") }, entered)
    child:stop()
  end)

  it("is entered as a project if that is loaded already", function()
    local child = open({ cwd = false })
    child:lua("load_now(at('plain')) load_now(at('alpha'))")
    local entered = following.after(child, "vim.cmd.edit(file('plain'))", "plain")
    assert.are.same(
      { current = "plain", events = { "LoadPre plain buffer", "on_load plain", "LoadPost plain buffer" } },
      entered
    )
    child:stop()
  end)
end)
