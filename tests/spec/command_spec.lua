-- :ProjectConfig, and that the plugin is not there until it is used.
local support = require("tests.support")
local workspace = require("tests.support.workspace")

local CONFIG = {
  ["alpha.json"] = '{"a": 1}',
  ["alpha.lua"] = "note('alpha.lua')",
  ["alpha/broken.lua"] = "\nerror('thrown on purpose')",
  ["alpha.vim"] = "lua note('alpha.vim')",
}

--- What a command shows.
local function shown(child, command)
  return child:lua("return vim.api.nvim_exec2(..., { output = true }).output", command)
end

describe("the plugin", function()
  it("requires nothing until it is used", function()
    local child = support.child()
    local loaded = child:lua([[
      local found = {}
      for name in pairs(package.loaded) do
        if name:find("project.config") then table.insert(found, name) end
      end
      return found
    ]])
    assert.are.same({}, loaded)
    assert.are.equal(2, child:lua("return vim.fn.exists(':ProjectConfig')"))
    child:stop()
  end)

  it("loads no native library by being required", function()
    local child = support.child({ init = [[require("nvim-project-config")]] })
    assert.is_nil(child:lua([[
      local maps = io.open("/proc/self/maps")
      return maps and maps:read("*a"):match("[^\n]*nvim_project_config[^\n]*")
    ]]))
    child:stop()
  end)
end)

describe(":ProjectConfig info", function()
  it("says what the project is, what ran with its time, and what went wrong", function()
    local w = workspace.new({ config = CONFIG })
    local child = w:open("alpha")
    child:lua("load_now()")
    for _, command in ipairs({ "ProjectConfig", "ProjectConfig info" }) do
      local text = shown(child, command)
      assert.is_truthy(text:find("alpha", 1, true), text)
      assert.is_truthy(text:find(w.work .. "/alpha", 1, true), text)
      local last = 0
      for _, name in ipairs({ "alpha.json", "alpha.lua", "alpha/broken.lua", "alpha.vim" }) do
        local at = text:find("  " .. name .. "\n", last + 1, true)
        assert.is_truthy(at, name .. " is not named in its place:\n" .. text)
        last = at
      end
      assert.is_truthy(text:find(w.config_dir, 1, true), text)
      assert.is_truthy(text:find("[%d.]+ ms[^\n]*alpha%.lua"), text)
      assert.is_truthy(text:find("failed[^\n]*alpha/broken%.lua"), text)
      assert.is_truthy(text:find("broken.lua:2: thrown on purpose", 1, true), text)
    end
    child:stop()
  end)

  it("names the levels of a monorepo", function()
    local w = workspace.new({
      work = { ["big/.git"] = true, ["big/packages/web/package.json"] = "{}" },
      config = { ["big.json"] = "{}", ["big/web.json"] = "{}" },
    })
    local child = w:open("big/packages/web")
    child:lua("load_now()")
    local text = shown(child, "ProjectConfig")
    assert.is_truthy(text:find("big/web", 1, true), text)
    assert.is_truthy(text:find("(" .. w.work .. "/big)", 1, true), text)
    child:stop()
  end)

  it("says what to do before anything is loaded, and where no file was found", function()
    local w = workspace.new()
    local child = w:open("alpha")
    assert.is_truthy(shown(child, "ProjectConfig"):find(":ProjectConfig load", 1, true))
    child:lua("load_now()")
    local text = shown(child, "ProjectConfig info")
    assert.is_truthy(text:find(":ProjectConfig edit", 1, true), text)
    assert.is_truthy(text:find(w.config_dir .. "\n", 1, true), text)
    assert.is_truthy(text:find("alpha.*, alpha/*", 1, true), text)
    child:stop()
  end)

  it("says that another project is near, and edit opens the file of that one", function()
    local w = workspace.new({ config = CONFIG })
    local child = w:open("alpha")
    child:lua("load_now()")
    child:lua("vim.cmd.cd(...)", w.work .. "/beta")
    assert.is_truthy(shown(child, "ProjectConfig"):find("You are in " .. w.work .. "/beta", 1, true))
    child:lua("vim.cmd('ProjectConfig edit lua')")
    child:wait("vim.api.nvim_buf_get_name(0):find('beta.lua', 1, true)")
    child:stop()
  end)

  it("works without setup", function()
    local child = workspace.new():open("alpha", { without_setup = true })
    assert.is_truthy(shown(child, "ProjectConfig"):find(":ProjectConfig load", 1, true))
    assert.are.same({}, child:notifications())
    child:stop()
  end)
end)

describe(":ProjectConfig load", function()
  it("loads the project of the current directory", function()
    local w = workspace.new({ config = CONFIG })
    local child = w:open("alpha")
    child:lua("vim.cmd('ProjectConfig load')")
    child:wait("#events == 2 and npc.ctx.project_name == 'alpha'")
    assert.are.same({ "alpha.lua", "alpha.vim" }, child:lua("return events"))
    child:stop()
  end)
end)

describe(":ProjectConfig clear", function()
  it("leaves the project", function()
    local w = workspace.new({ config = CONFIG })
    local child = w:open("alpha", { setup = "{ on_clear = function(ctx) note('clear ' .. ctx.project_name) end }" })
    child:lua("load_now(); vim.cmd('ProjectConfig clear')")
    assert.are.same({ true, "clear alpha" }, child:lua("return { npc.ctx.project_root == nil, events[#events] }"))
    child:stop()
  end)
end)

describe(":ProjectConfig edit", function()
  it("opens the project's own file of each kind, JSON by default", function()
    local w = workspace.new({ config = CONFIG })
    local child = w:open("alpha")
    child:lua("load_now()")
    for command, name in pairs({
      ["edit"] = "alpha.json",
      ["edit json"] = "alpha.json",
      ["edit lua"] = "alpha.lua",
      ["edit vim"] = "alpha.vim",
    }) do
      child:lua("vim.cmd(...)", "ProjectConfig " .. command)
      assert.are.equal(w.config_dir .. "/" .. name, child:lua("return vim.api.nvim_buf_get_name(0)"))
    end
    child:stop()
  end)

  it("opens the .jsonc that was loaded", function()
    local w = workspace.new({ config = { ["alpha.jsonc"] = "{} // settings" } })
    local child = w:open("alpha")
    child:lua("load_now(); vim.cmd('ProjectConfig edit json')")
    assert.are.equal(w.config_dir .. "/alpha.jsonc", child:lua("return vim.api.nvim_buf_get_name(0)"))
    child:stop()
  end)

  it("loads first if need be", function()
    local w = workspace.new({ config = CONFIG })
    local child = w:open("alpha")
    child:lua("vim.cmd('ProjectConfig edit vim')")
    child:wait(("vim.api.nvim_buf_get_name(0) == %q"):format(w.config_dir .. "/alpha.vim"))
    child:stop()
  end)

  it("makes the directories of a new file when it is written, not before", function()
    local w = workspace.new({ work = { ["big/.git"] = true, ["big/packages/web/package.json"] = "{}" } })
    vim.fn.delete(w.config_dir, "rf")
    local child = w:open("big/packages/web")
    child:lua("load_now(); vim.cmd('ProjectConfig edit lua')")
    assert.is_nil(vim.uv.fs_stat(w.config_dir))
    child:lua("vim.api.nvim_buf_set_lines(0, 0, -1, false, { 'note(\"made by hand\")' }); vim.cmd.write()")
    assert.are.equal('note("made by hand")\n', support.read(w.config_dir .. "/big/web.lua"))
    child:lua("load_now()")
    assert.are.same({ "made by hand" }, child:lua("return events"))
    child:stop()
  end)

  it("takes odd names for names, not for commands", function()
    local w = workspace.new({ work = { ["a b#c `echo` $HOME [x]/.git"] = true } })
    local child = w:open("a b#c `echo` $HOME [x]")
    child:lua("load_now(); vim.cmd('ProjectConfig edit lua'); vim.cmd.write()")
    assert.are.same({ "a b#c `echo` $HOME [x].lua" }, vim.fn.readdir(w.config_dir))
    child:stop()
  end)
end)

describe(":ProjectConfig with anything else", function()
  it("says what is known", function()
    local child = workspace.new():open("alpha")
    for _, arguments in ipairs({ "refresh", "edit toml", "load now" }) do
      -- In a script an error message ends the command that showed it.
      child:lua("pcall(vim.cmd, ...)", "ProjectConfig " .. arguments)
    end
    local seen = child:notifications()
    assert.are.equal(3, #seen)
    for index, expected in ipairs({
      { "refresh", "clear, edit, get, info, load, set, unset" },
      { "edit", "json, lua, vim" },
      { "load", "takes no argument" },
    }) do
      assert.are.equal(vim.log.levels.ERROR, seen[index].level)
      assert.is_truthy(seen[index].message:find(expected[1], 1, true), seen[index].message)
      assert.is_truthy(seen[index].message:find(expected[2], 1, true), seen[index].message)
    end
    child:stop()
  end)

  it("completes subcommands and their arguments", function()
    local child = workspace.new():open("alpha", { without_setup = true })
    local function complete(line)
      return child:lua("return vim.fn.getcompletion(..., 'cmdline')", line)
    end
    assert.are.same({ "clear", "edit", "get", "info", "load", "set", "unset" }, complete("ProjectConfig "))
    assert.are.same({ "load" }, complete("ProjectConfig l"))
    assert.are.same({ "json", "lua", "vim" }, complete("ProjectConfig edit "))
    assert.are.same({ "lua" }, complete("ProjectConfig edit l"))
    assert.are.same({}, complete("ProjectConfig info "))
    assert.are.same({}, complete("ProjectConfig x"))
    assert.are.same({ "json", "lua", "vim" }, complete("silent! ProjectConfig edit "))
    child:stop()
  end)
end)
