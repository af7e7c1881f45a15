-- What `:ProjectConfig` is about while the user is followed: the project that he is in, wherever the current directory is; and what looking
-- at the configuration's own files, or losing them, does to that.
local following = require("tests.support.following")
local support = require("tests.support")

--- An editor in `alpha` that follows buffers, and is in `beta`.
---@return test.Child, test.Workspace
local function open(opts)
  local w = following.workspace()
  local child = following.open(w, "alpha", vim.tbl_extend("force", { buffer = true }, opts or {}))
  assert.are.equal("beta", following.after(child, "vim.cmd.edit(file('beta'))", "beta").current)
  child:lua("forget()")
  return child, w
end

describe("with watch.buffer, :ProjectConfig", function()
  it("set writes to the followed project's file, and loads nothing", function()
    local child, w = open()
    local before = support.read(w.config_dir .. "/alpha.json")
    child:lua("vim.cmd('ProjectConfig set port 9')")
    child:wait(("(vim.fn.readfile(%q)[1] or ''):find('port')"):format(w.config_dir .. "/beta.json"))
    child:lua("calm()")
    assert.are.equal(before, support.read(w.config_dir .. "/alpha.json"))
    assert.are.same({ current = "beta", events = {} }, following.state(child))
    child:stop()
  end)

  it("load loads the followed project again", function()
    local child = open()
    local state = following.after(child, "vim.cmd('ProjectConfig load')", "beta")
    assert.are.same({ current = "beta", events = following.loaded("beta", "manual") }, state)
    child:stop()
  end)

  it("edit opens its file, and one stays in the project, also where config_dir is a repository", function()
    local child, w = open()
    vim.fn.mkdir(w.config_dir .. "/.git", "p")
    child:lua("vim.cmd('ProjectConfig edit lua') calm()")
    assert.are.equal(w.config_dir .. "/beta.lua", child:lua("return vim.api.nvim_buf_get_name(0)"))
    assert.are.same({ current = "beta", events = {} }, following.state(child))
    child:stop()
  end)

  it("says nothing of the current directory", function()
    local child = open()
    local shown = child:lua("return vim.api.nvim_exec2('ProjectConfig', { output = true }).output")
    assert.is_truthy(shown:find("project beta", 1, true), shown)
    assert.is_nil(shown:find("You are in", 1, true), shown)
    child:stop()
  end)
end)

it("a value that an outer project gives is no more removed at the second try than at the first", function()
  local w = following.workspace({
    work = { ["alpha/.git"] = true, ["alpha/sub/package.json"] = "{}" },
    config = { ["alpha.json"] = '{"port": 1}', ["alpha/sub.json"] = "{}" },
  })
  local child = following.open(w, "alpha/sub", { before = support.room_for_messages .. "options.on_error = nil\n" })
  child:lua("load_now()")
  for try = 1, 2 do
    child:lua("vim.cmd('messages clear') vim.cmd('ProjectConfig unset port')")
    child:wait(("#test_notifications >= %d"):format(try))
    child:lua("idle()")
    assert.is_truthy(child:notifications()[try].message:find("outer project", 1, true))
    assert.is_nil(child:messages():find("removed", 1, true), child:messages())
  end
  assert.are.equal(1, child:lua("return npc.get('port')"))
  child:stop()
end)

it("b:project_config is in the statusline as soon as it is known", function()
  local w = following.workspace()
  local child = following.open(w, "alpha", { buffer = true })
  child:lua([[
    _G.drawn = {}
    function _G.draw() table.insert(drawn, vim.b.project_config and vim.b.project_config.name or "") return "" end
    vim.o.laststatus, vim.o.statusline = 2, "%{v:lua.draw()}"
    vim.cmd.edit(file("alpha"))
  ]])
  child:wait("drawn[#drawn] == 'alpha'")
  child:stop()
end)
