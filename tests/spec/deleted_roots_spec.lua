-- Projects whose directory goes away while they are loaded: those one is not in are dropped, with their changes saved; the one that one is
-- in stays as it is, with one message.
local following = require("tests.support.following")
local saving = require("tests.support.saving")

---@param opts? test.FollowOptions
---@return test.Child, test.Workspace child with `alpha` loaded and `beta` current
local function open(opts)
  local w = following.workspace()
  local all = { cwd = true, buffer = true, config_dir = true }
  local child = following.open(w, "gamma", vim.tbl_extend("force", all, opts or {}))
  following.after(child, "vim.cmd.edit(file('alpha')) _G.a = vim.api.nvim_get_current_buf()", "alpha")
  child:lua("_G.alpha, _G.alpha_json = npc.ctx, npc.ctx.json")
  following.after(child, "vim.cmd.edit(file('beta'))", "beta")
  child:lua("_G.beta = npc.ctx")
  return child, w
end

---@param child test.Child
---@return string[]
local function names(child)
  return child:lua("return vim.tbl_map(function(ctx) return ctx.project_name end, npc.contexts())")
end

describe("the context of a root that no longer exists", function()
  it("is dropped if it is not current: saved, cleared, told by ClearPost", function()
    local child, w = open()
    -- Its own save may be what has it look, too.
    child:lua("forget() alpha_json.unsaved = { 1 }")
    vim.fn.delete(w.work .. "/alpha", "rf")
    child:lua("vim.cmd.doautocmd('FocusGained')")
    child:wait("#npc.contexts() == 1")
    local state = following.state(child)
    assert.are.equal("beta", state.current)
    assert.are.equal(1, #state.events, vim.inspect(state.events))
    assert.is_truthy(state.events[1]:find("^ClearPost alpha"), state.events[1])
    assert.are.same({ "beta" }, names(child))
    assert.is_true(
      child:lua("return alpha.project_root == nil and npc.context(a) == nil and vim.b[a].project_config == nil")
    )
    saving.until_value(w.config_dir .. "/alpha.json", { from = "alpha", unsaved = { 1 } })
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it("is dropped also where only buffers are watched", function()
    local child, w = open({ cwd = false, config_dir = false })
    vim.fn.delete(w.work .. "/alpha", "rf")
    child:lua("forget() vim.cmd.doautocmd('FocusGained')")
    child:wait("#npc.contexts() == 1")
    assert.are.same({ "beta" }, names(child))
    child:stop()
  end)

  it("is dropped when something changes in config_dir", function()
    local child, w = open({ cwd = false, buffer = true })
    vim.fn.delete(w.work .. "/alpha", "rf")
    child:lua("forget()")
    w:write("somebody-else.lua", "")
    child:wait("#npc.contexts() == 1")
    assert.are.same({ "beta" }, names(child))
    child:stop()
  end)

  it("is dropped when it was moved; the project is another one where it is now", function()
    local child, w = open()
    assert(vim.uv.fs_rename(w.work .. "/alpha", w.work .. "/moved"))
    w:write("moved.lua", "note('moved.lua')")
    w:write("moved.vim", "lua note('moved.vim')")
    child:lua("forget() vim.cmd.doautocmd('FocusGained')")
    child:wait("#npc.contexts() == 1")
    local entered = following.after(child, "vim.cmd.edit(file('moved'))", "moved")
    assert.are.same({ current = "moved", events = following.loaded("moved", "buffer") }, entered)
    child:stop()
  end)

  it("is loaded anew when the root is there again and is entered", function()
    local child, w = open()
    assert(vim.uv.fs_rename(w.work .. "/alpha", w.work .. "/away"))
    child:lua("forget() vim.cmd.doautocmd('FocusGained')")
    child:wait("#npc.contexts() == 1")
    assert(vim.uv.fs_rename(w.work .. "/away", w.work .. "/alpha"))
    local entered = following.after(child, "vim.cmd.buffer(a)", "alpha")
    assert.are.same({ current = "alpha", events = following.loaded("alpha", "buffer") }, entered)
    child:stop()
  end)

  it("stays if it is current, with one message", function()
    local child, w = open()
    child:lua("npc.ctx.json.changed = true")
    vim.fn.delete(w.work .. "/beta", "rf")
    child:lua("forget() vim.cmd.doautocmd('FocusGained')")
    child:wait("#errors > 0")
    for _ = 1, 3 do
      child:lua("vim.cmd.doautocmd('FocusGained') calm()")
    end
    assert.are.same({ "beta", "beta" }, child:lua("return { npc.ctx.project_name, npc.ctx.json.from }"))
    local errors = child:lua("return errors")
    assert.are.equal(1, #errors, vim.inspect(errors))
    assert.is_truthy(errors[1].message:find(w.work .. "/beta", 1, true), errors[1].message)
    for _, event in ipairs(child:lua("return events")) do
      assert.is_truthy(event:find("^Error "), event)
    end
    saving.until_value(w.config_dir .. "/beta.json", { from = "beta", changed = true })
    -- One goes on from there, and then nothing holds it any more.
    local entered = following.after(child, "vim.cmd.edit(file('alpha'))", "alpha")
    assert.are.equal("alpha", entered.current)
    child:lua("vim.cmd.doautocmd('FocusGained')")
    child:wait("#npc.contexts() == 1")
    child:stop()
  end)

  it("stays as long as it is there: looking again drops nothing", function()
    local child = open()
    for _ = 1, 3 do
      local state = following.after(child, "vim.cmd.doautocmd('FocusGained')")
      assert.are.same({ current = "beta", events = {} }, state)
    end
    assert.are.same({ "beta", "alpha" }, names(child))
    child:stop()
  end)
end)

describe("entering a buffer of a root that is gone", function()
  it("leaves the current project, without an error", function()
    local child, w = open({ cwd = false, config_dir = false })
    vim.fn.delete(w.work .. "/alpha", "rf")
    local state = following.after(child, "vim.cmd.buffer(a)")
    assert.are.equal("beta", state.current)
    assert.are.same(
      {},
      vim.tbl_filter(function(event)
        return not event:find("^ClearPost alpha")
      end, state.events)
    )
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)
end)
