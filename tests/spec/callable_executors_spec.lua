-- The built-in executors as functions that the user's own executors, and anybody else, can call.
local workspace = require("tests.support.workspace")

local EXECUTORS = [[
  _G.lua = function(...) return require("nvim-project-config.executors.lua")(...) end
  _G.vimscript = function(...) return require("nvim-project-config.executors.vim")(...) end
  function _G.in_coroutine(work)
    coroutine.wrap(function()
      local ok, err = pcall(work)
      note(ok or type(err) == "table" and { err.code, err.path, err.line } or err)
    end)()
  end
]]

---@param w test.Workspace
---@param setup? string
local function open(w, setup)
  return w:open("alpha", { before = EXECUTORS, setup = setup })
end

describe("executors.lua", function()
  it("runs a file of the load, in an executor of the user's, from the bytes that were read", function()
    local w = workspace.new({
      config = {
        ["alpha.lua"] = "note('file') return function(ctx) note(ctx.project_name) end",
        ["alpha/b.lua"] = "note('b')",
      },
    })
    local child = open(
      w,
      [[{ executors = { lua = { run = function(ctx, path, ...)
        note("before")
        note(select("#", ...))
        vim.fn.writefile({ "note('written since')" }, path)
        lua(ctx, path)
        note("after")
      end } } }]]
    )
    child:lua("load_now()")
    assert.are.same({ "before", 0, "file", "alpha", "after", "before", 0, "b", "after" }, child:lua("return events"))
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it("reports what the file throws for the file, with its line", function()
    local w = workspace.new({ config = { ["alpha/a.lua"] = "\nerror('thrown')", ["alpha/b.lua"] = "x = = 1" } })
    local child =
      open(w, "{ executors = { lua = { run = { function() note('first') end, lua, function() note('last') end } } } }")
    child:lua("assert(load_now())")
    -- What follows in the list does not run for a file that has failed.
    assert.are.same({ "first", "first" }, child:lua("return events"))
    local found = {}
    for index, err in ipairs(child:lua("return errors")) do
      found[index] = { err.code, err.path, err.line, err.file }
    end
    local a, b = w.config_dir .. "/alpha/a.lua", w.config_dir .. "/alpha/b.lua"
    assert.are.same({ { "runtime", a, 2, a }, { "syntax", b, 1, b } }, found)
    child:stop()
  end)

  it("is the built-in way if it is named itself: first in its list, and alone", function()
    local w = workspace.new({ config = { ["alpha.lua"] = "note('file')" } })
    local child = open(
      w,
      [[{ executors = { lua = { run = {
        require("nvim-project-config.executors.lua"), function(_, path) note(vim.fs.basename(path)) end,
      } } } }]]
    )
    child:lua("load_now(); npc.ctx.executors.lua.run = require('nvim-project-config.executors.lua'); load_now()")
    assert.are.same({ "file", "alpha.lua", "file" }, child:lua("return events"))
    child:stop()
  end)

  it("runs other files through the context's cache, from anywhere that can wait", function()
    local w = workspace.new({ config = { ["alpha.toml"] = "", ["alpha.json"] = "{}" } })
    local other = require("tests.support").write(
      w.dir .. "/other.lua",
      "note('other') return function(ctx) note(ctx.project_name) end"
    )
    local child = open(w, ("{ executors = { toml = { run = function(ctx) lua(ctx, %q) end } } }"):format(other))
    child:lua("load_now()")
    assert.are.same({ "other", "alpha" }, child:lua("return events"))
    child:lua(("_G.events = {}; in_coroutine(function() lua(npc.ctx, %q) end)"):format(other))
    child:wait("#events == 3")
    assert.are.same({ "other", "alpha", true }, child:lua("return events"))
    -- Written since: it is run as it is now.
    require("tests.support").write(other, "error('mended')")
    child:lua(("_G.events = {}; in_coroutine(function() lua(npc.ctx, %q) end)"):format(other))
    child:wait("#events == 1")
    assert.are.same({ { "runtime" } }, { { child:lua("return type(events[1]) == 'string' and 'runtime'") } })
    child:lua(("_G.events = {}; in_coroutine(function() lua(npc.ctx, %q) end)"):format(w.dir .. "/none.lua"))
    child:wait("#events == 1")
    assert.are.same({ { "not_found", w.dir .. "/none.lua" } }, child:lua("return events"))
    child:stop()
  end)

  it("says what is wrong with its arguments, and where it cannot wait", function()
    local w = workspace.new({ config = { ["alpha.json"] = "{}" } })
    local child = open(w)
    child:lua("load_now()")
    for code, expected in pairs({
      ["lua(npc.ctx, nil)"] = "executors.lua: path: expected string, got nil",
      ["lua(npc.ctx, 'a.lua')"] = "executors.lua: path: expected an absolute path, got 'a.lua'",
      ["lua(nil, '/a.lua')"] = "executors.lua: ctx: expected a context, got nil",
      ["lua(npc.ctx, '/a.lua')"] = "executors.lua: not in a coroutine",
    }) do
      local ok, problem = unpack(child:lua(("return { pcall(function() %s end) }"):format(code)))
      assert.is_false(ok)
      assert.is_truthy(problem:find(expected, 1, true), problem)
    end
    child:stop()
  end)
end)

describe("executors.vim", function()
  it("sources a file of the load, and any other, with its own error and line", function()
    local w = workspace.new({ config = { ["alpha.vim"] = "let g:from = expand('<sfile>:t')", ["alpha.toml"] = "" } })
    local other = require("tests.support").write(w.dir .. "/other.vim", "let g:other = 1\n\nthrow 'on purpose'\n")
    local child = open(
      w,
      ([[{ executors = {
        vim = { run = { function() note("before") end, vimscript, function() note(vim.g.from) end } },
        toml = { run = function(ctx) vimscript(ctx, %q) end },
      } }]]):format(other)
    )
    child:lua("assert(load_now())")
    assert.are.same({ "before", "alpha.vim" }, child:lua("return events"))
    local errors = child:lua("return errors")
    assert.are.equal(1, #errors)
    assert.are.same({ other, 3, w.config_dir .. "/alpha.toml" }, {
      errors[1].path,
      errors[1].line,
      child:lua("return npc.ctx._report.files[2].path"),
    })
    assert.are.equal(1, child:lua("return vim.g.other"))
    child:stop()
  end)

  it("knows which load its `:lua` belongs to, whoever sources it", function()
    local w = workspace.new({
      config = { ["alpha.vim"] = "lua note(npc.ctx.project_name)", ["beta.vim"] = "lua note(npc.ctx.project_name)" },
    })
    local child = open(w, "{ executors = { vim = { run = vimscript } } }")
    child:lua("npc.load(at('beta')); load_now()")
    child:wait("#events == 2")
    local events = child:lua("return events")
    table.sort(events)
    assert.are.same({ "alpha", "beta" }, events)
    child:stop()
  end)
end)

describe("an executor", function()
  it("that gets nonsense says so where it was called", function()
    local child = open(workspace.new())
    child:lua([[
      load_now()
      for _, name in ipairs({ "lua", "vim", "json" }) do
        in_coroutine(function() local _ = require("nvim-project-config.executors." .. name)(npc.ctx, "relative") end)
      end
    ]])
    local expected = {}
    for index, name in ipairs({ "lua", "vim", "json" }) do
      local text = "child:3: nvim-project-config: executors.%s: path: expected an absolute path, got 'relative'"
      expected[index] = text:format(name)
    end
    assert.are.same(expected, child:lua("return events"))
    child:stop()
  end)

  it("that fails in a bare coroutine is reported to the current context's on_error", function()
    local child = open(workspace.new())
    child:lua([[
      load_now()
      coroutine.wrap(function() require("nvim-project-config.executors.json")(npc.ctx, config_dir .. "/none.json") end)()
      assert(settle(function() return #errors > 0 end))
      idle()
    ]])
    local errors = child:lua("return errors")
    assert.are.equal(1, #errors)
    assert.is_truthy(errors[1].message:find("/none.json", 1, true), errors[1].message)
    assert.are.same({}, child:notifications())
    child:stop()
  end)
end)
