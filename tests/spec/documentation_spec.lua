-- Every example of the README and of the help runs, in a real editor, in the place that it speaks of, and does what is said there. An
-- example that is not listed here is a failure, and so is an entry without its example.
local examples = require("tests.support.examples")
local support = require("tests.support")

local HOME_PROJECTS = "/config/nvim/projects"

-- What the checks use beside the example: a load that is waited for.
local PRELUDE = [[
  _G.npc = require("nvim-project-config")
  function _G.settle(condition, what)
    assert(vim.wait(8000, condition, 1), (what or "that") .. " has not come within 8 s")
  end
  function _G.load_now(what)
    local answer
    npc.load(what, function(...) answer = { ... } end)
    settle(function() return answer end, "the answer of load()")
    return answer[1], answer[2]
  end
  function _G.save_now()
    local answer
    npc.save(function(...) answer = { ... } end)
    settle(function() return answer end, "the answer of save()")
    assert(answer[1], tostring(answer[2]))
  end
]]

---@class test.PlaceOptions
---@field work? test.Tree directories of source code (default: the repository `rad-project`)
---@field config? test.Tree what lies in `~/.config/nvim/projects`
---@field cwd? string below `work` (default: "rad-project")
---@field init? string the editor's init.lua
---@field rtp? string[]
---@field home? string

---@class test.Place
---@field child test.Child
---@field home string
---@field work string
---@field config string
local Place = {}
Place.__index = Place

--- An editor among projects, as a user starts it.
---@param opts? test.PlaceOptions
---@return test.Place
local function place(opts)
  opts = opts or {}
  local self = setmetatable({ home = opts.home or support.tmpdir() }, Place)
  self.work = support.tree(opts.work or { ["rad-project/.git"] = true }, self.home .. "/src")
  self.config = support.tree(opts.config or {}, self.home .. HOME_PROJECTS)
  self.child = support.child({
    home = self.home,
    cwd = self.work .. "/" .. (opts.cwd or "rad-project"),
    init = support.room_for_messages .. (opts.init or ""),
    rtp = opts.rtp,
  })
  return self
end

--- Runs Lua behind what the checks use.
---@param code string
---@param ... any
---@return any
function Place:lua(code, ...)
  return self.child:lua(PRELUDE .. code, ...)
end

---@param name string below config_dir
---@return string?
function Place:read(name)
  return support.read(self.config .. "/" .. name)
end

--- What was notified so far.
---@return string[]
function Place:told()
  return vim.tbl_map(function(notification)
    return notification.message
  end, self.child:notifications())
end

--- An example that cannot run as it stands: it only has to compile, with this before it.
---@param reason string
---@param before? string
local function compiled(reason, before)
  return { reason = reason, before = before or "" }
end

---@type table<string, fun(text: string)|{ reason: string, before: string }>
local expected = {}

-- Installation: the same three examples in both.
for file, heading in pairs({ README = "Install", help = "nvim-project-config-install" }) do
  expected[("%s: %s 1"):format(file, heading)] =
    compiled("a plugin spec, with a placeholder for the address", "return ")
  expected[("%s: %s 2"):format(file, heading)] = compiled("installs from an address, which is a placeholder")
  expected[("%s: %s 3"):format(file, heading)] = function(text)
    local home = support.tree({ ["src/nvim-project-config"] = { link = support.root } })
    local p = place({ home = home, rtp = {}, init = text, config = { ["rad-project.json"] = '{ "here": true }' } })
    p.child:poll([[require("nvim-project-config").ctx.json.here]])
    assert.are.same({}, p:told())
  end
end

expected["README: Quick start 1"] = function(text)
  local p = place({ init = text, config = { ["rad-project.json"] = '{ "formatter": "prettier" }' } })
  p.child:wait("test_notifications[1]")
  assert.are.same({ "rad-project: formatter is prettier" }, p:told())
end

expected["help: nvim-project-config-quick-start 1"] = function(text)
  local p = place({ init = text, config = { ["rad-project.json"] = '{ "formatter": "prettier" }' } })
  p.child:wait("test_notifications[1]")
  assert.are.same({ "rad-project: prettier" }, p:told())
end

expected["README: Quick start 2"] = function(text)
  local p = place()
  p:lua("load_now()")
  p:lua(text .. "save_now()")
  assert.are.equal('{\n  "formatter": "stylua",\n  "tab_width": 2\n}\n', p:read("rad-project.json"))
end

expected["help: nvim-project-config-quick-start 2"] = function(text)
  local p = place()
  p:lua("load_now(); vim.lsp.enable = function(name) _G.enabled = name end")
  p:lua(text .. "save_now()")
  assert.are.equal("rust_analyzer", p.child:lua("return enabled"))
  assert.are.equal('{\n  "formatter": "stylua",\n  "tab_width": 2\n}\n', p:read("rad-project.json"))
end

-- A config file.
for _, key in ipairs({ "README: Lua 1", "help: nvim-project-config-lua 1" }) do
  expected[key] = function(text)
    local p = place({
      init = [[vim.g.mapleader = " "]],
      config = { ["rad-project.lua"] = text, ["rad-project.json"] = '{ "test_command": "echo tested" }' },
    })
    p:lua("load_now()")
    assert.are.equal(2, p.child:lua("return vim.o.shiftwidth"))
    p.child:lua([[vim.fn.maparg("<leader>t", "n", false, true).callback()]])
    assert.are.equal("terminal", p.child:lua("return vim.bo.buftype"))
    assert.is_truthy(p.child:lua("return vim.api.nvim_buf_get_name(0)"):find("echo tested", 1, true))
    assert.are.same({}, p:told())
  end
end

-- A file as git writes it, of a repository that was cloned.
local CLONED = { [".git/config"] = '[remote "origin"]\n\turl = git@example.org:owner/repo.git\n' }

for _, key in ipairs({ "README: Names that fit 1", "help: nvim-project-config-names 1" }) do
  expected[key] = function(text)
    local home = support.tree({
      [".git"] = true,
      ["plain"] = true,
      ["work/api"] = { [".git"] = true, ["web/package.json"] = "{}" },
      ["cloned"] = vim.tbl_extend("error", { ["part"] = { ["package.json"] = "{}", [".no-project"] = "" } }, CLONED),
      ["dotfiles"] = CLONED,
      ["tmp/deep/down"] = CLONED,
    })
    local p = place({ home = home, init = text })
    for dir, name in pairs({
      ["work/api/web"] = "work-api/web",
      ["cloned/part"] = "owner/repo",
      ["dotfiles"] = "no_project",
      ["tmp/deep/down"] = "no_project",
      ["plain"] = "plain",
    }) do
      local code = [[
        local ctx, err = load_now({ loading = { start_dir = "~/" .. ... } })
        return ctx and ctx.project_name or err.code
      ]]
      assert.are.equal(name, p:lua(code, dir), dir)
    end
  end
end

-- What of `loading.watch` each of them sets.
for key, follows_files in pairs({
  ["README: Following you 1"] = true,
  ["help: nvim-project-config-following 1"] = false,
}) do
  expected[key] = function(text)
    local p = place({
      init = text,
      work = { ["rad-project/.git"] = true, ["other/.git"] = true, ["other/main.c"] = "" },
    })
    local function is_in(name)
      p.child:poll(([[require("nvim-project-config").ctx.project_name == %q]]):format(name))
    end
    is_in("rad-project")
    p.child:lua("vim.cmd.edit(...)", p.work .. "/other/main.c")
    is_in("other")
    p.child:lua("vim.cmd.cd(...)", p.work .. "/other")
    p.child:lua("vim.cmd.cd(...)", p.work .. "/rad-project")
    is_in("rad-project")
    if follows_files then
      support.write(p.config .. "/rad-project.json", '{ "here": true }')
      p.child:poll([[require("nvim-project-config").ctx.json.here]])
    end
    assert.are.same({}, p:told())
  end
end

for _, file in ipairs({ "README: Files that run twice", "help: nvim-project-config-following-twice" }) do
  expected[file .. " 1"] = function(text)
    local p = place({
      init = [[vim.g.mapleader = " "]],
      work = { ["rad-project/.git"] = true, ["other/.git"] = true },
      config = { ["rad-project.lua"] = text },
    })
    p:lua("load_now() load_now()")
    assert.are.same(
      { 1, ".," .. p.work .. "/rad-project/src/**", "<Cmd>make test<CR>" },
      p.child:lua([[
        return { #vim.api.nvim_get_autocmds({ group = "rad-project" }), vim.o.path, vim.fn.maparg("<leader>t", "n") }
      ]])
    )
    for name, written in pairs({ ["rad-project"] = "a\n", other = "a  \n" }) do
      local path = ("%s/%s/new.txt"):format(p.work, name)
      p.child:lua([[vim.cmd.edit(...) vim.fn.setline(1, "a  ") vim.cmd.write()]], path)
      assert.are.equal(written, support.read(path), name)
    end
    assert.are.same({}, p:told())
  end

  expected[file .. " 2"] = function(text)
    local p = place({ config = { ["rad-project.vim"] = text } })
    p:lua("load_now() load_now()")
    assert.are.same(
      { 1, 2, "neovim", "# new" },
      p.child:lua([[
        vim.cmd.edit("new.md")
        return {
          #vim.api.nvim_get_autocmds({ group = "rad_project" }), vim.fn.exists(":Serve"), vim.g["test#strategy"], vim.fn.getline(1),
        }
      ]])
    )
    assert.are.same({}, p:told())
  end
end

-- A statusline shows the project of each window's buffer.
for _, key in ipairs({ "README: API 2", "help: nvim-project-config-cookbook 11" }) do
  expected[key] = function(text)
    local p = place({ work = { ["rad-project/.git"] = true, ["rad-project/main.c"] = "", ["plain.c"] = "" } })
    p:lua(text .. [[
      load_now()
      vim.cmd.edit("main.c")
      settle(function() return vim.b.project_config end, "vim.b.project_config")
    ]])
    local shown = [[return vim.api.nvim_eval_statusline(vim.o.statusline, { maxwidth = 200 }).str]]
    assert.is_truthy(p.child:lua(shown):find("^main%.c .* rad%-project  %d+,%d+$"))
    p.child:lua("vim.cmd.split(...)", p.work .. "/plain.c")
    assert.is_nil(p.child:lua(shown):find("rad-project", 1, true))
    assert.are.same({}, p:told())
  end
end

expected["help: ProjectConfigNameClash 1"] = function(text)
  local p = place({ config = { ["rad-project.json"] = "{}", ["rad-project.lua"] = "" } })
  p:lua(text .. "load_now()")
  p.child:wait("#test_notifications == 1")
  p:lua("npc.clear()")
  p.child:wait("#test_notifications == 2")
  assert.are.same({ "rad-project: 2 files, manual", "rad-project: 0 files, manual" }, p:told())
end

expected["README: Changing settings 1"] = function(text)
  local p =
    place({ config = { ["rad-project.json"] = '{\n  // mine\n  "formatters": ["prettier"],\n  "starts": 2\n}\n' } })
  p:lua("load_now()")
  p:lua(text)
  p.child:poll([[require("nvim-project-config").ctx.json.starts == 3]])
  p:lua("save_now()")
  p.child:poll([[vim.api.nvim_exec2("messages", { output = true }).output:find("saved")]])
  assert.are.equal(
    vim.trim([[
{
  // mine
  "formatters": ["stylua"],
  "starts": 3,
  "lsp": {
    "eslint": {
      "enable": true
    }
  },
  "files": {
    "a.b": [
      "x",
      "y"
    ]
  },
  "formatter": "prettier"
}]]),
    vim.trim(p:read("rad-project.json"))
  )
  assert.is_truthy(p.child:messages():find(p.config .. "/rad-project.json", 1, true))
end

for key, printed in pairs({
  ["README: Changing settings 2"] = 'lsp", "eslint", "enable"',
  ["help: ProjectConfigJsonChanged 1"] = "local lsp.eslint.enable",
}) do
  expected[key] = function(text)
    local p = place()
    p:lua("load_now()")
    p:lua(text .. 'npc.set("lsp.eslint.enable", true)')
    p.child:poll(([[vim.api.nvim_exec2("messages", { output = true }).output:find(%q, 1, true)]]):format(printed))
  end
end

-- All options with their defaults: the same as none.
for _, key in ipairs({ "README: Options 1", "help: nvim-project-config-options 1" }) do
  expected[key] = function(text)
    local p = place()
    assert.is_true(p:lua(text .. [[
      local given = vim.deepcopy(npc.ctx._options)
      local none = vim.deepcopy(npc.setup()._options)
      assert(none.config_dir() == given.config_dir)
      none.config_dir, given.config_dir = nil, nil
      return vim.deep_equal(given, none)
    ]]))
    local names = p:lua([[return vim.tbl_keys(require("nvim-project-config.config").schema)]])
    for _, name in ipairs(names) do
      assert.is_truthy(text:find("\n  " .. name .. " = "), name .. " is not shown")
    end
  end
end

-- A list of calls with the names of their arguments: that the functions exist, and no other ones.
expected["README: API 1"] = function(text)
  local named = {}
  for name in text:gmatch("\nnpc%.([%w_]+)%(") do
    named[name] = true
  end
  local p = place()
  local exist = p:lua([[
    local names = {}
    for name, value in pairs(npc) do
      names[name] = type(value) == "function" or nil
    end
    return names
  ]])
  assert.are.same(exist, named)
end

expected["README: Kinds of your own 1"] = function(text)
  local p = place({
    init = text,
    config = {
      ["rad-project.toml"] = 'formatter = "stylua"\n# comment\ntab-width = 2\r\n',
      ["rad-project/more.toml"] = 'list = ["a", "b"]\n',
    },
  })
  p.child:poll([[(require("nvim-project-config").ctx.toml or {}).list]])
  assert.are.same(
    { formatter = "stylua", ["tab-width"] = 2, list = { "a", "b" } },
    p.child:lua([[return require("nvim-project-config").ctx.toml]])
  )
  assert.are.same({}, p:told())
end

-- The default pipeline, in words.
expected["README: Pipelines 1"] = function(text)
  local p = place({
    init = text,
    work = { ["big/.git"] = true, ["big/packages/frontend/package.json"] = "{}" },
    cwd = "big/packages/frontend",
    config = { ["big.json"] = '{ "a": 1 }', ["big/frontend.lua"] = "_G.ran = true" },
  })
  p.child:poll("_G.ran")
  assert.are.same(
    { "big/frontend", { a = 1 } },
    p.child:lua([[local ctx = require("nvim-project-config").ctx return { ctx.project_name, ctx.json }]])
  )
end

expected["README: Pipelines 2"] = function(text)
  local p = place({
    config = {
      ["rad-project.lua"] = "_G.ran = (ran or '') .. 'own '",
      ["rad-project/keys.lua"] = "_G.ran = (ran or '') .. 'keys '",
      ["rad-project/draft-keys.lua"] = "_G.ran = (ran or '') .. 'draft '",
    },
  })
  p:lua(text .. [[
    local stages = "nvim-project-config.stages."
    assert(load_now({ pipeline = {
      require(stages .. "walk")(), require(stages .. "detect")(), require(stages .. "find_files")(), without_drafts,
      require(stages .. "execute")(),
    } }))
  ]])
  assert.are.equal("own keys ", p.child:lua("return ran"))
  assert.are.same({}, p:told())
end

expected["README: Pipelines 3"] = function(text)
  local p = place({
    work = { ["some/where/package.json"] = '{ "name": "@rad/app" }', ["other/package.json"] = "{}" },
    cwd = "some/where",
  })
  local code = [[
    local stages = "nvim-project-config.stages."
    local dir = ...
    local ctx = assert(load_now({ loading = { start_dir = dir ~= "" and dir or nil }, pipeline = { require(stages .. "walk")(),
  ]] .. text .. [[ } }))
    return { ctx.project_name, ctx.project_root }
  ]]
  assert.are.same({ "@rad/app", p.work .. "/some/where" }, p:lua(code, ""))
  assert.are.same({ "other", p.work .. "/other" }, p:lua(code, p.work .. "/other"))
  assert.are.same({}, p:told())
end

expected["README: Pipelines 4"] = function(text)
  local p = place({
    work = { ["sln/a.sln"] = "", ["make/Makefile"] = "", ["not/Makefile"] = "", ["not/.nomake"] = "" },
    cwd = "sln",
    config = {
      ["sln/a.lua"] = "",
      ["sln/10-x.lua"] = "",
      ["sln/lsp.lua"] = "",
      ["sln/other.lua"] = "",
    },
  })
  local code = text
    .. [[
    local stages = "nvim-project-config.stages."
    local ctx = assert(load_now({ loading = { start_dir = ... }, pipeline = {
      require(stages .. "walk")(), require(stages .. "detect")({ matcher = m.any(workspace, own) }),
      require(stages .. "find_files")({ matcher = named }), require(stages .. "execute")(),
    } }))
    local files = {}
    for _, file in ipairs(ctx._report.files) do table.insert(files, vim.fs.basename(file.path)) end
    return { vim.fs.basename(ctx.project_root), files }
  ]]
  assert.are.same({ "sln", { "10-x.lua", "a.lua", "lsp.lua" } }, p:lua(code, p.work .. "/sln"))
  assert.are.equal("make", p:lua(code, p.work .. "/make")[1])
  assert.are.same({}, p:told())
end

expected["README: Caches 1"] = function(text)
  local p = place()
  local printed = p:lua([[
    local lines = {}
    vim.print = function(...) table.insert(lines, { ... }) end
  ]] .. text .. [[
    settle(function() return #lines == 2 end, "an answer")
    table.sort(lines, function(a, b) return #a < #b end)
    return lines
  ]])
  local size = assert(vim.uv.fs_stat("/etc/hosts")).size
  local names = #vim.fn.readdir("/etc")
  assert.are.same({ { size }, { size, names, true } }, printed)
  assert.are.equal('{ "a": 1 }', support.read(p.home .. "/state/nvim/notes.json"))
end

expected["help: nvim-project-config-functions 1"] = function(text)
  local p = place({ config = { ["rad-project.json"] = '{ "a": 1 }' } })
  local runs = text .. "return { vim.tbl_count(require('nvim-project-config.loading').runs), npc.ctx.json.a == nil }"
  assert.are.same({ 0, true }, p:lua(runs))
  assert.are.equal(1, p:lua("load_now() return npc.ctx.json.a"))
end

expected["help: nvim-project-config.new() 1"] = function(text)
  local p = place()
  local dir = support.tree({ ["proj.json"] = '{ "answer": 42 }' })
  local root = support.tree({ ["proj/.git"] = true }) .. "/proj"
  p:lua(
    "local dir, root = ...\nlocal before = npc.ctx\n" .. text .. "assert(npc.ctx == before and ctx ~= before)",
    dir,
    root
  )
  p.child:poll([[vim.api.nvim_exec2("messages", { output = true }).output:find("42")]])
end

expected["help: nvim-project-config.load_await() 1"] = function(text)
  local p = place()
  assert.are.same({ "rad-project" }, p:lua(text .. "return { ctx.project_name, err }"))
end

expected["help: nvim-project-config.get() 1"] = function(text)
  local p = place({
    config = { ["rad-project.json"] = '{ "formatters": ["stylua"], "files": { "a.b": 2 } }' },
  })
  p:lua("load_now()")
  local code = text:gsub("(npc%.get%b())[^\n]*", "table.insert(got, %1)")
  assert.are.same({ true, 2, "stylua" }, p:lua("local got = {}\n" .. code .. "return got"))
end

expected["help: nvim-project-config.update() 1"] = function(text)
  local p = place({ config = { ["rad-project.json"] = '{ "starts": 4 }' } })
  p:lua("load_now()")
  p:lua(text)
  p.child:poll([[require("nvim-project-config").ctx.json.starts == 5]])
  assert.are.equal('{ "starts": 5 }', p:read("rad-project.json"))
end

expected["help: nvim-project-config-saving 1"] = function(text)
  local p = place()
  p:lua("load_now()")
  p:lua(text .. "save_now()")
  assert.are.equal(
    vim.trim([[
{
  "lsp": {
    "eslint": {
      "enable": true
    }
  }
}]]),
    vim.trim(p:read("rad-project.json"))
  )
end

expected["help: :ProjectConfig 1"] = function(text)
  local p = place()
  p:lua(text:gsub("%s*:(ProjectConfig [^\n]*)\n", "vim.cmd([==[%1]==])\n"))
  p.child:poll([[require("nvim-project-config").ctx.json.test_command == "make -j8 test"]])
  p:lua("save_now()")
  assert.are.same(
    { lsp = { eslint = { enable = false } }, test_command = "make -j8 test" },
    vim.json.decode(p:read("rad-project.json"))
  )
end

expected["help: nvim-project-config-kinds 1"] = function(text)
  local p = place({ init = text, config = { ["rad-project.env"] = "NAME=value\n# no\n" } })
  p.child:poll([[vim.env.NAME == "value"]])
end

expected["help: nvim-project-config-troubleshooting 1"] = function(text)
  local p = place({ config = { ["rad-project.lua"] = "coroutine.yield()" } })
  p:lua((text:gsub("5000", "500")))
  p.child:poll([[vim.api.nvim_exec2("messages", { output = true }).output:find("cancelled") or nil]])
end

expected["help: nvim-project-config-troubleshooting 2"] = function(text)
  local p = place()
  p:lua("load_now(); npc.set('a', 1)")
  p:lua(text)
  p.child:poll([[vim.api.nvim_exec2("messages", { output = true }).output:find("true")]])
  assert.are.equal('{\n  "a": 1\n}\n', p:read("rad-project.json"))
end

expected["help: nvim-project-config-executors 1"] = function(text)
  local p = place({ init = text, config = { ["rad-project.lua"] = "_G.ran = true" } })
  p.child:poll("_G.ran")
  assert.are.same({ "running rad-project.lua" }, p:told())
end

expected["help: nvim-project-config-pipeline 1"] = function(text)
  local p = place()
  assert.is_true(p:lua(text .. "return vim.deep_equal(pipeline, npc.ctx.pipeline)"))
end

expected["help: nvim-project-config-stage-functions 1"] = function(text)
  local p = place({
    config = {
      ["rad-project/a.on_unix.lua"] = "_G.ran = (ran or '') .. 'unix '",
      ["rad-project/a.on_win32.lua"] = "_G.ran = (ran or '') .. 'windows '",
      ["rad-project/b.lua"] = "_G.ran = (ran or '') .. 'all '",
    },
  })
  p:lua(text .. [[
    local default = npc.ctx.pipeline
    assert(load_now({ pipeline = { default[1], default[2], default[3], for_this_system, default[4] } }))
  ]])
  assert.are.equal("unix all ", p.child:lua("return ran"))
  assert.are.same({}, p:told())
end

expected["help: nvim-project-config.pipeline 1"] = function(text)
  local p = place({ config = { ["rad-project.lua"] = "_G.ran = true" } })
  p:lua(text)
  p.child:poll([[vim.api.nvim_exec2("messages", { output = true }).output:find("rad%-project")]])
  assert.is_nil(p.child:lua("return ran"))
end

expected["help: nvim-project-config-matchers 1"] = function(text)
  local p = place()
  local holding = {
    { ["Cargo.toml"] = "" },
    { ["Makefile"] = "" },
    { ["a.csproj"] = "" },
    { ["Makefile"] = "" },
    { ["a*b"] = "" },
    { ["01-a"] = "" },
    { ["keys.lua"] = "" },
    {},
  }
  for index, tree in ipairs(holding) do
    local root = index == 8 and "/work" or support.tree({ project = tree }) .. "/project"
    local count, found = unpack(p:lua(text .. [[
        local root, index = ...
        local ctx = assert(load_now({ loading = { start_dir = root }, pipeline = {
          require("nvim-project-config.stages.detect")({ matcher = matchers[index], on_match = function() _G.found = index end }),
        } }))
        return { #matchers, found }
      ]], root, index))
    assert.are.same({ #holding, index == 8 and 7 or index }, { count, found }, "matcher " .. index)
  end
  assert.is_true(p:lua(text .. "return matchers[8].fn('/srv/a') and not matchers[8].fn('/home/a')"))
  assert.are.same({}, p:told())
end

-- What all recipes begin with.
local recipe = ""
expected["help: nvim-project-config-cookbook 1"] = function(text)
  recipe = text
  assert(loadstring(text))
end

--- An editor whose init.lua is a recipe, after its load.
---@param text string
---@param opts test.PlaceOptions
---@return test.Place, { name: string, root: string, ran: string[] } told
local function cook(text, opts)
  opts.init = recipe .. text
  local p = place(opts)
  p.child:poll([[require("nvim-project-config").ctx.project_root]])
  p:lua("load_now(npc.ctx)")
  assert.are.same({}, p:told())
  return p,
    p:lua([[
      local ran = {}
      for _, file in ipairs(npc.ctx._report.files) do table.insert(ran, vim.fs.basename(file.path)) end
      return { name = npc.ctx.project_name, root = npc.ctx.project_root, ran = ran }
    ]])
end

expected["help: nvim-project-config-cookbook 2"] = function(text)
  local _, told = cook(text, {
    work = { ["some/.git"] = true, ["some/package.json"] = '{ "name": "@rad/app" }' },
    cwd = "some",
    config = { ["@rad/app.json"] = "{}" },
  })
  assert.are.same({ "@rad/app", { "app.json" } }, { told.name, told.ran })
  for _, manifest in ipairs({ "{}", "{ malformed" }) do
    _, told = cook(text, { work = { ["some/.git"] = true, ["some/package.json"] = manifest }, cwd = "some" })
    assert.are.equal("some", told.name)
  end
  _, told = cook(text, {})
  assert.are.equal("rad-project", told.name)
end

expected["help: nvim-project-config-cookbook 3"] = function(text)
  local p, told = cook(text, {
    work = { ["mono/WORKSPACE"] = "", ["mono/tool/.git"] = true, ["mono/tool/flake.nix"] = "" },
    cwd = "mono/tool",
  })
  assert.are.equal("mono", told.name)
  assert.are.equal(p.work .. "/mono/tool", p:lua("return npc.ctx.flake"))
  p, told = cook(text, { work = { ["single/.git"] = true, ["single/sub/x"] = "" }, cwd = "single/sub" })
  assert.are.equal("single", told.name)
  assert.is_nil(p:lua("return npc.ctx.flake"))
end

expected["help: nvim-project-config-cookbook 4"] = function(text)
  local p = cook(text, { config = { ["rad-project.toml"] = 'a = "b"\nn = 2\n' } })
  assert.are.same({ a = "b", n = 2 }, p:lua("return npc.ctx.toml"))
end

expected["help: nvim-project-config-cookbook 5"] = function(text)
  local config = { ["rad-project/a.gui.lua"] = "", ["rad-project/b.lua"] = "" }
  local _, told = cook(text, { config = config })
  assert.are.same({ "b.lua" }, told.ran)
  _, told = cook("vim.g.neovide = true\n" .. text, { config = config })
  assert.are.same({ "a.gui.lua", "b.lua" }, told.ran)
end

expected["help: nvim-project-config-cookbook 6"] = function(text)
  local tree = { [".git"] = true, [".nvim"] = { ["a.lua"] = "", ["b.vim"] = "", ["c.txt"] = "" } }
  local opts = { work = { ["mine/app"] = tree, ["theirs"] = tree }, config = { ["app.lua"] = "", ["theirs.lua"] = "" } }
  opts.cwd = "mine/app"
  local _, told = cook(text, opts)
  assert.are.same({ "app.lua", "a.lua", "b.vim" }, told.ran)
  opts.cwd = "theirs"
  _, told = cook(text, opts)
  assert.are.same({ "theirs.lua" }, told.ran)
end

expected["help: nvim-project-config-cookbook 7"] = function(text)
  local home = support.tree({ ["config/nvim/branches/rad-project-fix-a.lua"] = "" })
  local function on(head)
    local _, told = cook(text, { home = home, work = { ["rad-project/.git/HEAD"] = head } })
    return told.ran
  end
  assert.are.same({ "rad-project-fix-a.lua" }, on("ref: refs/heads/fix/a\n"))
  assert.are.same({}, on("ref: refs/heads/main\n"))
  assert.are.same({}, on("3f786850e387550fdab836ed7e6dc881de23001b\n"))
end

expected["help: nvim-project-config-cookbook 8"] = function(text)
  local p = cook(text, {
    config = { ["rad-project/lsp.lua"] = "_G.lsp = true", ["rad-project/other.lua"] = "_G.other = true" },
  })
  assert.are.same({ other = true }, p.child:lua("return { lsp = lsp, other = other }"))
  p.child:lua("vim.cmd.edit(...)", support.write(p.home .. "/a.txt", ""))
  p.child:poll("_G.lsp")
end

-- Two directories of one name.
for number, names in pairs({ [9] = { "work-api", "api" }, [10] = { "work-api", "home-api" } }) do
  expected["help: nvim-project-config-cookbook " .. number] = function(text)
    local p, told = cook(text, {
      work = { ["work/api/.git"] = true, ["home/api/.git"] = true },
      cwd = "work/api",
      config = { ["work-api.json"] = "{}", ["work-api/keys.lua"] = "", ["api.json"] = "{}" },
    })
    assert.are.same({ names[1], { "work-api.json", "keys.lua" } }, { told.name, told.ran })
    local other = [[return load_now({ loading = { start_dir = ... } }).project_name]]
    assert.are.equal(names[2], p:lua(other, p.work .. "/home/api"))
    assert.are.same({}, p:told())
  end
end

expected["help: nvim-project-config-cookbook 12"] = function(text)
  local p = place({
    work = { ["rad-project/.git"] = true, ["rad-project/a.lua"] = "", ["other/.git"] = true },
    config = {
      ["rad-project.json"] = '{ "lsp": { "lua_ls": { "Lua": { "hint": { "enable": true } } } } }',
      ["other.json"] = '{ "lsp": { "lua_ls": {} } }',
    },
  })
  if p.child:lua("return vim.fn.has('nvim-0.11')") == 0 then
    text = text:gsub("client:notify", "client.notify")
  end
  -- A server inside the editor.
  p:lua([[
    _G.got = {}
    vim.cmd.edit("a.lua")
    vim.lsp.start({
      name = "lua_ls",
      cmd = function()
        return {
          request = function(method, _, callback)
            if method == "initialize" then callback(nil, { capabilities = {} }) end
            return true, 1
          end,
          notify = function(method, params)
            if method == "workspace/didChangeConfiguration" then table.insert(got, params.settings) end
            return true
          end,
          is_closing = function() return false end,
          terminate = function() end,
        }
      end,
    })
    settle(function() return next(vim.lsp.get_clients({ name = "lua_ls", bufnr = 0 })) end, "the server")
  ]] .. text)
  p:lua([[load_now({ loading = { start_dir = ... } })]], p.work .. "/other")
  assert.are.same({}, p.child:lua("return got"))
  p:lua("load_now()")
  assert.are.same({ { Lua = { hint = { enable = true } } } }, p.child:lua("return got"))
  p:lua([[load_now({ loading = { start_dir = ... } })]], p.work .. "/other")
  assert.are.equal(1, p.child:lua("return #got"))
  assert.are.same({}, p:told())
end

expected["help: nvim-project-config-caches 1"] = function(text)
  local p = place()
  local size = tostring(assert(vim.uv.fs_stat("/etc/hosts")).size)
  p:lua(text)
  p.child:poll(([[vim.api.nvim_exec2("messages", { output = true }).output:find("%s")]]):format(size))
end

expected["help: nvim-project-config-cache-own 1"] = function(text)
  local p = place()
  local answer = p:lua(text .. [[
      local dir = ...
      local got = {}
      files:write(dir .. "/a", { content = "text" }, function(ok) got.written = ok end)
      files:get(dir .. "/a", function(entry) got.content = entry.content end)
      dirs:get("/", function(entry) got.root = entry.path end)
      settle(function() return got.written and got.content and got.root end)
      return got
    ]], support.tmpdir())
  assert.are.same({ written = true, content = "text", root = "/" }, answer)
  -- What is shown are the defaults.
  assert.is_true(p:lua(text .. [[
    return vim.deep_equal(files._limits, require("nvim-project-config.cache.file").new()._limits)
      and vim.deep_equal(dirs._limits, require("nvim-project-config.cache.directory").new()._limits)
  ]]))
end

expected["help: nvim-project-config-awaiting 1"] = function(text)
  local p = place({ work = { ["rad-project/.git"] = true, ["rad-project/README.md"] = "12345" } })
  p:lua(text)
  p.child:poll([[vim.api.nvim_exec2("messages", { output = true }).output:find("rad%-project.*5")]])
  assert.are.same({}, p:told())
end

expected["help: nvim-project-config-awaiting 2"] = function(text)
  local p = place({ config = { ["rad-project.lua"] = text, ["rad-project.vim"] = "let g:after = g:git_version" } })
  p:lua("load_now()")
  assert.are.same({}, p:told())
  assert.is_truthy(p.child:lua("return vim.g.after"):find("^git version "))
end

expected["help: nvim-project-config-awaiting-on_load 1"] = function(text)
  local p = place({
    init = "vim.o.expandtab = true\n" .. text,
    work = { ["rad-project/.git"] = true, ["rad-project/.editorconfig"] = "indent_style = tab\n" },
  })
  p.child:poll("not vim.o.expandtab")
  assert.are.same({}, p:told())
end

expected["help: nvim-project-config-awaiting-load 1"] = function(text)
  local p = place()
  assert.are.same({ "rad-project" }, p:lua(text .. "return { ctx.project_name, err }"))
end

expected["help: nvim-project-config-awaiting-load 2"] = function(text)
  local p = place({
    init = text,
    work = { ["rad-project/.git"] = true, ["library/.git"] = true },
    config = { ["rad-project.json"] = '{ "library": "~/src/library" }', ["library.json"] = '{ "of": "the library" }' },
  })
  p.child:lua([[
    local npc = require("nvim-project-config")
    _G.first = nil
    npc.load(function(ctx) _G.first = ctx end)
  ]])
  p.child:poll("first and first.library_json")
  assert.are.same({ of = "the library" }, p.child:lua("return first.library_json"))
  assert.are.same({}, p:told())
end

local all = vim.list_extend(
  examples.of_markdown("README", assert(support.read(support.root .. "/README.md"))),
  examples.of_help("help", assert(support.read(support.root .. "/doc/nvim-project-config.txt")))
)

local known = {}
for _, example in ipairs(all) do
  local entry = expected[example.key]
  known[example.key] = true
  it(("%s (line %d)"):format(example.key, example.line), function()
    assert(entry, "this example is not in the table: what does it need, and what has to come of it?\n" .. example.text)
    if type(entry) == "function" then
      entry(example.text)
    else
      assert(loadstring(entry.before .. example.text))
    end
  end)
end

it("names no example that does not exist", function()
  local gone = vim.tbl_filter(function(key)
    return not known[key]
  end, vim.tbl_keys(expected))
  assert.are.same({}, gone)
end)

it("links in the help to nothing that does not exist", function()
  local text = assert(support.read(support.root .. "/doc/nvim-project-config.txt"))
  local tags = {}
  for tag in text:gmatch("%*(%S+)%*") do
    tags[tag] = true
  end
  local broken = {}
  for link in text:gmatch("|(%S-)|") do
    -- Others are Neovim's, or not links: a choice of words.
    if link:find("nvim%-project%-config") and not tags[link] then
      table.insert(broken, link)
    end
  end
  assert.is_true(tags["nvim-project-config-caches"])
  assert.are.same({}, broken)
end)

it("links in the README to no heading or file that does not exist", function()
  local text = assert(support.read(support.root .. "/README.md"))
  local anchors = {}
  for heading in text:gmatch("\n#+ ([^\n]+)") do
    anchors[heading:lower():gsub("[^%w -]", ""):gsub(" ", "-")] = true
  end
  local broken = {}
  for target in text:gmatch("%]%(([^)]+)%)") do
    local anchor = target:match("^#(.*)")
    local exists = anchor and anchors[anchor] or not anchor and vim.uv.fs_stat(support.root .. "/" .. target)
    if not exists then
      table.insert(broken, target)
    end
  end
  assert.is_true(anchors["kinds-of-your-own"])
  assert.are.same({}, broken)
end)

it("names in the README only chapters of the help that exist", function()
  local help = assert(support.read(support.root .. "/doc/nvim-project-config.txt"))
  for tag in assert(support.read(support.root .. "/README.md")):gmatch("`:help (%S+)`") do
    assert.is_truthy(help:find("*" .. tag .. "*", 1, true), tag)
  end
end)
