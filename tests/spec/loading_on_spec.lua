-- When the first load happens: at start-up, at the first file, or when it is asked for.
local support = require("tests.support")
local workspace = require("tests.support.workspace")

local CONFIG = { ["alpha.json"] = '{"from": "alpha"}', ["alpha.lua"] = "note({ 'alpha.lua', vim.v.vim_did_enter })" }
local ON_LOAD = "on_load = function(ctx) note({ 'on_load', vim.v.vim_did_enter, ctx.json.from }) end"

local function options(on)
  return ("{ loading = { on = %q }, %s }"):format(on, ON_LOAD)
end

describe("loading.on = startup", function()
  it("is the default", function()
    local w = workspace.new({ config = CONFIG })
    local child = w:open("alpha", { before = "options.loading = nil", setup = "{" .. ON_LOAD .. "}" })
    child:wait("#events == 2")
    assert.are.same({ { "alpha.lua", 1 }, { "on_load", 1, "alpha" } }, child:lua("return events"))
    child:stop()
  end)

  it("delivers after VimEnter, however long the rest of init.lua takes", function()
    local w = workspace.new({ config = CONFIG })
    local child = w:open("alpha", {
      before = "vim.api.nvim_create_autocmd('VimEnter', { callback = function() note('VimEnter') end })",
      setup = options("startup"),
      -- The loop turns meanwhile: what could be delivered early would be.
      after = "note({ 'delivered in init.lua', (vim.wait(300, function() return #events > 0 end)) })"
        .. " vim.api.nvim_create_autocmd('VimEnter', { callback = function() note('later VimEnter') end })",
    })
    child:wait("#events == 5")
    child:lua("idle()")
    assert.are.same({
      { "delivered in init.lua", false },
      "VimEnter",
      "later VimEnter",
      { "alpha.lua", 1 },
      { "on_load", 1, "alpha" },
    }, child:lua("return events"))
    child:stop()
  end)

  it("delivers earlier to somebody who waits", function()
    local w = workspace.new({ config = CONFIG })
    local child = w:open("alpha", {
      setup = options("startup"),
      after = [[
        local ctx, err = npc.load_await()(8000)
        note({ "waited", vim.v.vim_did_enter, ctx and ctx.json.from or tostring(err) })
      ]],
    })
    child:lua("idle()")
    local events = child:lua("return events")
    local waited
    for index, event in ipairs(events) do
      waited = waited or (event[1] == "waited" and index)
    end
    assert.are.same({ "waited", 0, "alpha" }, events[waited])
    assert.are.same({ { "alpha.lua", 0 }, { "on_load", 0, "alpha" } }, { events[1], events[2] })
    assert.is_true(waited > 2)
    child:stop()
  end)

  it("begins at once when setup is called after VimEnter", function()
    local w = workspace.new({ config = CONFIG })
    local child = w:open("alpha", { without_setup = true })
    child:lua("options.loading = nil; options.on_load = function(ctx) note(ctx.project_name) end; npc.setup(options)")
    child:wait("#events == 2")
    child:lua("idle()")
    assert.are.equal("alpha", child:lua("return events[2]"))
    assert.are.equal(2, child:lua("return #events"))
    child:stop()
  end)

  it("belongs to the directory at setup", function()
    local w = workspace.new({ config = CONFIG })
    local child = w:open("alpha", { setup = options("startup"), after = "vim.cmd.cd(work .. '/beta')" })
    child:wait("#events == 2")
    assert.are.equal("alpha", child:lua("return npc.ctx.project_name"))
    child:stop()
  end)

  it("loads once even when setup is called twice", function()
    local w = workspace.new({ config = CONFIG })
    local child = w:open("alpha", {
      setup = options("startup"),
      after = "npc.setup(vim.tbl_extend('force', options, " .. options("startup") .. "))",
    })
    child:wait("#events == 2")
    child:lua("idle()")
    assert.are.equal(2, child:lua("return #events"))
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)
end)

describe("loading.on = lazy", function()
  ---@param trigger string Lua that is the first file
  local function loads_at(trigger)
    local w = workspace.new({ work = { ["alpha/.git"] = true, ["alpha/main.c"] = "int main;\n" }, config = CONFIG })
    local child = w:open("alpha", { setup = options("lazy") })
    child:lua("idle()")
    assert.are.same({}, child:lua("return events"))
    assert.is_nil(child:lua("return npc.ctx.project_root"))
    child:lua(trigger)
    child:wait("#events == 2")
    child:lua("vim.cmd.edit('another.c'); vim.cmd.edit('main.c'); vim.bo.filetype = 'lua'; idle()")
    assert.are.same({ { "alpha.lua", 1 }, { "on_load", 1, "alpha" } }, child:lua("return events"))
    child:stop()
  end

  it("waits for the first file that is read", function()
    loads_at("vim.cmd.edit('main.c')")
  end)

  it("waits for the first new file", function()
    loads_at("vim.cmd.edit('new.c')")
  end)

  it("waits for the first file type", function()
    loads_at("vim.bo.filetype = 'lua'")
  end)

  it("loads for a file of the command line, after VimEnter", function()
    local w = workspace.new({ work = { ["alpha/.git"] = true, ["alpha/main.c"] = "int main;\n" }, config = CONFIG })
    local child = w:open("alpha", { setup = options("lazy"), args = { "main.c" } })
    child:wait("#events == 2")
    child:lua("idle()")
    assert.are.same({ { "alpha.lua", 1 }, { "on_load", 1, "alpha" } }, child:lua("return events"))
    child:stop()
  end)

  it("does not keep load() from working before", function()
    local w = workspace.new({ config = CONFIG })
    local child = w:open("alpha", { setup = options("lazy") })
    assert.are.equal("alpha", child:lua("return load_now().project_name"))
    child:stop()
  end)
end)

describe("loading.on = manual", function()
  it("loads nothing until it is asked to", function()
    local w = workspace.new({ config = CONFIG })
    local child = w:open("alpha", { setup = options("manual") })
    child:lua("vim.cmd.edit('main.c'); vim.bo.filetype = 'c'; idle()")
    assert.are.same({}, child:lua("return events"))
    child:lua("load_now()")
    assert.are.same({ { "alpha.lua", 1 }, { "on_load", 1, "alpha" } }, child:lua("return events"))
    child:stop()
  end)

  it("is what holds without setup", function()
    local w = workspace.new()
    local child = w:open("alpha", { without_setup = true })
    support.write(child.home .. "/config/nvim/projects/alpha.json", '{"from": "the default config_dir"}')
    assert.is_nil(child:lua("return npc.ctx.project_root"))
    child:lua("vim.cmd.edit('main.c'); idle()")
    assert.is_nil(child:lua("return npc.ctx.project_root"))
    assert.are.equal("the default config_dir", child:lua("return load_now().json.from"))
    child:stop()
  end)
end)
