-- With `loading.watch.config_dir`, what changes below config_dir is loaded without anybody asking: files of each kind that come, change,
-- get another name or go, `<name>/` and config_dir itself, and links whose target changes. Each change is one load. What does not
-- concern the project is none.
local saving = require("tests.support.saving")
local support = require("tests.support")
local tries = require("tests.support.tries")
local watching = require("tests.support.watching")
local workspace = require("tests.support.workspace")

---@param name string
---@param version integer
---@return string
local function lua_file(name, version)
  return ("table.insert(_G.ran, %q)\n"):format(name .. " " .. version)
end

-- A file of each kind, and what an editor knows of it when it is loaded.
local KINDS = {
  lua = {
    text = function(version)
      return lua_file("lua", version)
    end,
    seen = "vim.tbl_contains(ran, 'lua %d')",
    runs = true,
  },
  vim = {
    text = function(version)
      return ("call luaeval('table.insert(_G.ran, _A)', 'vim %d')\n"):format(version)
    end,
    seen = "vim.tbl_contains(ran, 'vim %d')",
    runs = true,
  },
  json = {
    text = function(version)
      return ('{"json": %d}\n'):format(version)
    end,
    seen = "npc.ctx.json.json == %d",
    gone = "npc.ctx.json.json == nil",
  },
  jsonc = {
    text = function(version)
      return ('{"jsonc": %d} // a comment\n'):format(version)
    end,
    seen = "npc.ctx.json.jsonc == %d",
    gone = "npc.ctx.json.jsonc == nil",
  },
  -- A kind of the user's own.
  toml = {
    text = function(version)
      return ("toml %d"):format(version)
    end,
    seen = "vim.tbl_contains(ran, 'toml %d')",
    runs = true,
  },
}

local OWN_KIND = [[{ executors = { toml = { run = function(_, path)
  table.insert(_G.ran, vim.fn.readfile(path)[1])
end } } }]]

---@param config? test.Tree
---@param opts? test.WatchOptions
---@return test.Child, test.Workspace
local function open(config, opts)
  local w = workspace.new({ config = config or {} })
  return watching.open(w, "alpha", opts), w
end

---@param load { files: string[] }
---@param name string
---@return boolean
local function loaded(load, name)
  return vim.tbl_contains(load.files, name)
end

for kind, of in pairs(KINDS) do
  for _, place in ipairs({ "alpha.", "alpha/more." }) do
    local name = place .. kind

    describe(name, function()
      it("that comes, changes, gets another name and goes is loaded each time, once", function()
        local child, w = open({ ["alpha/base.json"] = '{"base": true}' }, { setup = OWN_KIND })
        local path = w.config_dir .. "/" .. name

        local function expect(label, condition, with)
          local load = watching.loaded_once(w, child, label)
          assert.are.equal("config_dir", load.reason, label)
          assert.are.equal("alpha", load.name, label)
          assert.are.equal(w.work .. "/alpha", load.root, label)
          assert.is_truthy(child:lua("return " .. condition), label)
          if with ~= nil then
            assert.are.equal(with, loaded(load, name), label .. ": " .. vim.inspect(load.files))
          end
          assert.are.same({}, child:lua("return errors"), label)
          child:lua("_G.ran = {}")
        end

        -- Of a file that is being written a half may be there for a while, which is a load of its own (watch_saves).
        local function write(version)
          watching.at_once(child, function()
            support.write(path, of.text(version))
          end)
        end

        write(1)
        expect("written", of.seen:format(1), true)
        write(2)
        expect("changed in place", of.seen:format(2), true)
        watching.replace(path, of.text(3))
        expect("replaced", of.seen:format(3), true)

        -- A name that is no project's.
        local aside = w.config_dir .. "/aside." .. kind
        assert(vim.uv.fs_rename(path, aside))
        expect("renamed away", of.gone or "#ran == 0")
        assert(vim.uv.fs_rename(aside, path))
        expect("renamed back", of.seen:format(3), true)
        vim.fn.delete(path)
        expect("deleted", of.gone or "#ran == 0")
        assert.is_true(child:lua("return npc.ctx.json.base"))
        child:stop()
      end)
    end)
  end
end

describe("a project's directory", function()
  it("is loaded when it is made with what lies in it, moved away and back, and deleted", function()
    local child, w = open({
      ["alpha.json"] = '{"base": true}',
      ["elsewhere/more.json"] = '{"more": 1}',
      ["elsewhere/more.lua"] = lua_file("more", 1),
    })
    local dir, elsewhere = w.config_dir .. "/alpha", w.config_dir .. "/elsewhere"
    for round = 1, 3 do
      child:lua("_G.ran = {}")
      assert(vim.uv.fs_rename(elsewhere, dir))
      child:wait("npc.ctx.json.more == 1 and vim.tbl_contains(ran, 'more 1')")
      assert(vim.uv.fs_rename(dir, elsewhere))
      child:wait("npc.ctx.json.more == nil")
      assert.are.same({ "more 1" }, child:lua("return ran"), "round " .. round)
      assert.are.equal(2, #watching.settled(w, child), "round " .. round)
      vim.fn.delete(dir, "rf")
      child:wait("npc.ctx.json.mark == nil")
      child:lua("forget()")
    end
    assert(vim.uv.fs_rename(elsewhere, dir))
    child:wait("npc.ctx.json.more == 1")
    vim.fn.delete(dir, "rf")
    child:wait("npc.ctx.json.more == nil")
    -- Made anew step by step: it is another directory of the same name.
    vim.fn.mkdir(dir)
    child:lua("idle()")
    support.write(dir .. "/more.json", '{"more": 2}')
    child:wait("npc.ctx.json.more == 2")
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it("with files that come one by one, each after the last was loaded", function()
    local child, w = open()
    for n = 1, 8 do
      support.write(("%s/alpha/%d.json"):format(w.config_dir, n), ('{"n%d": true}'):format(n))
      child:wait(("npc.ctx.json.n%d"):format(n))
    end
    assert.are.equal(8, vim.tbl_count(child:lua("return npc.ctx.json")))
    child:stop()
  end)
end)

describe("config_dir", function()
  ---@param setup? fun(w: test.Workspace): string|nil Lua that gives config_dir
  local function open_at(setup)
    local w = workspace.new({ config = { ["alpha.json"] = '{"n": 1}', ["alpha/more.json"] = '{"more": 1}' } })
    local dir = setup and setup(w)
    local child = watching.open(w, "alpha", { setup = dir and ("{ config_dir = %q }"):format(dir) })
    return child, w
  end

  ---@param child test.Child
  ---@param n integer
  ---@param more? integer
  local function shows(child, n, more)
    child:wait(("npc.ctx.json.n == %d and npc.ctx.json.more == %s"):format(n, more or "nil"))
  end

  it("that is deleted leaves what it gave, says so once, and is loaded when it is made anew", function()
    local child, w = open_at()
    for round = 1, 3 do
      -- Files are deleted one by one; nobody is to look in the middle of that.
      watching.at_once(child, function()
        vim.fn.delete(w.config_dir, "rf")
      end)
      child:wait("#errors > 0")
      child:lua("idle(); vim.api.nvim_exec_autocmds('FocusGained', {}); idle()")
      assert.are.same(
        { n = 2 * round - 1, more = round == 1 and 1 or nil },
        child:lua("return { n = npc.ctx.json.n, more = npc.ctx.json.more }")
      )
      local errors = child:lua("return errors")
      assert.are.equal(1, #errors, vim.inspect(errors))
      assert.is_truthy(errors[1].message:find(w.config_dir, 1, true), errors[1].message)
      support.write(w.config_dir .. "/alpha.json", ('{"n": %d}'):format(2 * round))
      shows(child, 2 * round)
      support.write(w.config_dir .. "/alpha.json", ('{"n": %d}'):format(2 * round + 1))
      shows(child, 2 * round + 1)
      -- It was right in between: that it is gone again is news.
      child:lua("_G.errors = {}")
    end
    child:stop()
  end)

  it("that is moved away and back is the same as before, without a load", function()
    local child, w = open_at()
    local away = w.dir .. "/away"
    assert(vim.uv.fs_rename(w.config_dir, away))
    child:wait("#errors > 0")
    assert(vim.uv.fs_rename(away, w.config_dir))
    child:lua("idle()")
    assert.are.same({}, watching.settled(w, child))
    watching.replace(w.config_dir .. "/alpha.json", '{"n": 2}')
    shows(child, 2, 1)
    assert.are.equal(1, #child:lua("return errors"))
    child:stop()
  end)

  it("that is moved away is not made anew by a save, which comes when it is back", function()
    local child, w = open_at()
    local away, path = w.dir .. "/away", w.config_dir .. "/alpha.json"
    assert(vim.uv.fs_rename(w.config_dir, away))
    child:wait("#errors > 0")
    child:lua("npc.set('m', 7)")
    assert.are.equal("not_found", child:lua("local _, err = save_now() return err and err.code"))
    assert.is_nil(vim.uv.fs_stat(w.config_dir))
    assert.are.same({ 1, 7 }, child:lua("return { npc.ctx.json.n, npc.ctx.json.m }"))
    assert(vim.uv.fs_rename(away, w.config_dir))
    local is_saved = vim.wait(10000, function()
      local value = saving.decode(support.read(path))
      return value ~= nil and value.m == 7 and value.n == 1
    end)
    assert.is_true(is_saved, support.read(path))
    assert.are.same({}, watching.settled(w, child))
    child:stop()
  end)

  it("that is moved away between a look and the load that follows leaves what it gave, and says so once", function()
    local child, w = open_at()
    child:lua([[_G.json, _G.away = npc.ctx.json, ...]], w.dir .. "/away")
    for round = 1, 2 do
      local n = 10 * round
      watching.replace(w.dir .. "/new.json", ('{"n": %d}'):format(n))
      child:lua(([[
        assert(vim.uv.fs_rename(%q, config_dir .. "/alpha.json"))
        -- The main loop stands still until the library has something for it.
        local lib, deadline = require("nvim-project-config.native").get(), vim.uv.hrtime() + 8e9
        repeat
          assert(vim.uv.hrtime() < deadline, "the library has seen nothing within 8 s")
        until lib.has_replies()
        assert(vim.uv.fs_rename(config_dir, away))
      ]]):format(w.dir .. "/new.json"))
      child:wait("#errors > 0")
      child:lua("idle(); vim.api.nvim_exec_autocmds('FocusGained', {}); idle()")
      local before = round == 1 and 1 or 10
      assert.are.same({ before, 1, true }, child:lua("return { json.n, json.more, npc.ctx.json == json }"))
      local errors = child:lua("return errors")
      assert.are.equal(1, #errors, vim.inspect(errors))
      assert.are.same({ "not_found", w.config_dir }, { errors[1].code, errors[1].path })
      assert(vim.uv.fs_rename(w.dir .. "/away", w.config_dir))
      shows(child, n, 1)
      child:lua("idle(); _G.errors = {}")
    end
    child:stop()
  end)

  it("that is moved away leaves what it gave, with code of the user's in the pipeline", function()
    local w = workspace.new({ config = { ["alpha.json"] = '{"n": 1}' } })
    local child = watching.open(w, "alpha", {
      before = [[
        local function stage(name) return require("nvim-project-config.stages." .. name)() end
        local function pass(_, rx, tx)
          for item in rx do tx(item) end
        end
        options.pipeline = { stage("walk"), pass, stage("detect"), stage("find_files"), stage("execute") }
      ]],
    })
    assert(vim.uv.fs_rename(w.config_dir, w.dir .. "/away"))
    child:wait("#errors > 0")
    child:lua("idle(); vim.api.nvim_exec_autocmds('FocusGained', {}); idle()")
    assert.are.same({ 1, 1 }, child:lua("return { npc.ctx.json.n, #errors }"))
    assert.are.equal("not_found", child:lua("return errors[1].code"))
    assert(vim.uv.fs_rename(w.dir .. "/away", w.config_dir))
    watching.replace(w.config_dir .. "/alpha.json", '{"n": 2}')
    shows(child, 2)
    child:stop()
  end)

  it("that is replaced by another directory is loaded from that", function()
    local child, w = open_at()
    support.write(w.dir .. "/other/alpha.json", '{"n": 2}')
    vim.fn.rename(w.config_dir, w.dir .. "/away")
    vim.fn.rename(w.dir .. "/other", w.config_dir)
    shows(child, 2)
    watching.replace(w.config_dir .. "/alpha.json", '{"n": 3}')
    shows(child, 3)
    -- The directory of before is of no interest any more.
    child:lua("forget()")
    watching.replace(w.dir .. "/away/alpha.json", '{"n": 4}')
    child:lua("idle()")
    assert.are.same({}, watching.settled(w, child))
    assert.are.equal(3, child:lua("return npc.ctx.json.n"))
    child:stop()
  end)

  it("that does not exist, nor several directories above it, is found when they are made one by one", function()
    local child, w = open_at(function(w)
      return w.dir .. "/some/where/below/projects"
    end)
    assert.are.same({}, child:lua("return errors"))
    local dir = w.dir
    for _, name in ipairs({ "some", "where", "below", "projects" }) do
      dir = dir .. "/" .. name
      vim.fn.mkdir(dir)
      child:lua("idle()")
    end
    assert.are.same({}, child:lua("return loads"))
    support.write(dir .. "/alpha.json", '{"n": 1}')
    shows(child, 1)
    vim.fn.delete(w.dir .. "/some", "rf")
    child:wait("#errors > 0")
    -- All at once this time.
    watching.at_once(child, function()
      support.tree({ ["where/below/projects/alpha.json"] = '{"n": 2}' }, w.dir .. "/some")
    end)
    shows(child, 2)
    assert.are.equal(1, #child:lua("return errors"))
    child:stop()
  end)

  it("that is a link is loaded from the link's new target", function()
    local child, w = open_at(function(w)
      support.write(w.dir .. "/second/alpha.json", '{"n": 2}')
      assert(vim.uv.fs_symlink("projects", w.dir .. "/link"))
      return w.dir .. "/link"
    end)
    shows(child, 1, 1)
    -- As `ln -sfn` does it: a new link, renamed over the old one.
    assert(vim.uv.fs_symlink("second", w.dir .. "/link.new"))
    assert(vim.uv.fs_rename(w.dir .. "/link.new", w.dir .. "/link"))
    shows(child, 2)
    watching.replace(w.dir .. "/second/alpha.json", '{"n": 3}')
    shows(child, 3)
    -- Removed and made anew.
    assert(vim.uv.fs_unlink(w.dir .. "/link"))
    assert(vim.uv.fs_symlink("projects", w.dir .. "/link"))
    shows(child, 1, 1)
    child:lua("forget()")
    watching.replace(w.dir .. "/second/alpha.json", '{"n": 4}')
    child:lua("idle()")
    assert.are.same({}, child:lua("return loads"))
    child:stop()
  end)

  it("that lies behind a link is loaded from that link's new target", function()
    local child, w = open_at(function(w)
      support.tree({
        ["first/deep/projects/alpha.json"] = '{"n": 1}',
        ["second/deep/projects/alpha.json"] = '{"n": 2}',
        -- Links to links, one of them with an absolute target.
        ["hop"] = { link = "first" },
        ["link"] = { link = w.dir .. "/hop" },
      }, w.dir)
      return w.dir .. "/link/deep/projects"
    end)
    shows(child, 1)
    for _, link in ipairs({ "hop", "link" }) do
      assert(vim.uv.fs_symlink("second", w.dir .. "/new"))
      assert(vim.uv.fs_rename(w.dir .. "/new", w.dir .. "/" .. link))
      shows(child, 2)
      if link == "hop" then
        assert(vim.uv.fs_symlink("first", w.dir .. "/new"))
        assert(vim.uv.fs_rename(w.dir .. "/new", w.dir .. "/hop"))
        shows(child, 1)
      end
    end
    watching.replace(w.dir .. "/second/deep/projects/alpha.json", '{"n": 3}')
    shows(child, 3)
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)
end)

describe("a config file that is a link", function()
  it("is loaded when its target is edited, replaced, removed and made anew, and when it leads elsewhere", function()
    local w = workspace.new({ config = { ["alpha.json"] = { link = "../dotfiles/one.json" } } })
    local one, two = w.dir .. "/dotfiles/one.json", w.dir .. "/dotfiles/two.json"
    support.write(one, '{"n": 1}')
    support.write(two, '{"n": 10}')
    local child = watching.open(w, "alpha")
    local function shows(n)
      child:wait(("npc.ctx.json.n == %s"):format(n))
    end
    shows(1)
    support.write(one, '{"n": 2}')
    shows(2)
    watching.replace(one, '{"n": 3}')
    shows(3)
    watching.replace(one, '{"n": 4}')
    shows(4)
    vim.fn.delete(one)
    -- A link that leads nowhere is an error.
    child:wait("#errors > 0")
    watching.settled(w, child)
    support.write(one, '{"n": 5}')
    shows(5)
    assert(vim.uv.fs_symlink("../dotfiles/two.json", w.config_dir .. "/new"))
    assert(vim.uv.fs_rename(w.config_dir .. "/new", w.config_dir .. "/alpha.json"))
    shows(10)
    support.write(two, '{"n": 11}')
    shows(11)
    -- Files beside the target, and the target of before, are none of ours.
    child:lua("forget()")
    support.write(one, '{"n": 6}')
    support.write(w.dir .. "/dotfiles/other.json", "{}")
    child:lua("idle()")
    assert.are.same({}, watching.settled(w, child))
    child:stop()
  end)
end)

describe("what is nobody's business", function()
  it("causes no load: files of other projects, files that are none, our own temporary names, attributes", function()
    local child, w = open({
      ["alpha.json"] = '{"n": 1}',
      ["alpha.lua"] = lua_file("alpha", 1),
      ["beta.json"] = "{}",
      ["beta/more.lua"] = "",
    })
    local function write(name, text)
      support.write(w.config_dir .. "/" .. name, text)
    end
    write("beta.json", '{"n": 2}')
    write("beta/more.lua", "error('ran')")
    write("gamma.lua", "error('ran')")
    write("alphabet.lua", "error('ran')")
    write("alpha.txt", "text")
    write("alpha.lua~", "error('ran')")
    write("alpha/.more.lua.swp", "error('ran')")
    write("alpha/notes.md", "text")
    vim.fn.mkdir(w.config_dir .. "/delta")
    assert.are.same({}, watching.settled(w, child))
    -- The same text once more, another time stamp, another mode.
    watching.at_once(child, function()
      write("alpha.lua", lua_file("alpha", 1))
    end)
    watching.replace(w.config_dir .. "/alpha.json", '{"n": 1}')
    assert(vim.uv.fs_utime(w.config_dir .. "/alpha.lua", 1, 1))
    assert(vim.uv.fs_chmod(w.config_dir .. "/alpha.json", tonumber("600", 8)))
    assert.are.same({}, watching.settled(w, child))
    assert.are.same({}, child:lua("return ran"))
    assert.are.same({}, child:lua("return hooks"))
    assert.are.same({}, child:lua("return changes"))
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it("is all of it with `watch.config_dir = false`: only a load sees it", function()
    local child, w = open({ ["alpha.json"] = '{"n": 1}', ["alpha.lua"] = lua_file("alpha", 1) }, {
      setup = "{ loading = { watch = { config_dir = false } } }",
    })
    local watched = watching.open(w, "alpha")
    support.write(w.config_dir .. "/alpha.json", '{"n": 2}')
    support.write(w.config_dir .. "/alpha.lua", lua_file("alpha", 2))
    -- Who watches has seen it by now.
    watched:wait("npc.ctx.json.n == 2 and vim.tbl_contains(ran, 'alpha 2')")
    child:lua("idle(); vim.api.nvim_exec_autocmds('FocusGained', {}); idle()")
    assert.are.same({}, child:lua("return loads"))
    assert.are.same({}, child:lua("return ran"))
    assert.are.equal(1, child:lua("return npc.ctx.json.n"))
    assert.are.equal(2, child:lua("return load_now().json.n"))
    child:stop()
    watched:stop()
  end)

  it("is what another project's editor sees: both have one config_dir", function()
    local w = workspace.new({ config = { ["alpha.json"] = '{"n": 1}', ["beta.json"] = '{"n": 1}' } })
    local alpha, beta = watching.open(w, "alpha"), watching.open(w, "beta")
    watching.replace(w.config_dir .. "/beta.json", '{"n": 2}')
    beta:wait("npc.ctx.json.n == 2")
    assert.are.same({}, watching.settled(w, alpha))
    watching.replace(w.config_dir .. "/alpha.json", '{"n": 3}')
    alpha:wait("npc.ctx.json.n == 3")
    assert.are.equal(2, beta:lua("return npc.ctx.json.n"))
    assert.are.equal(1, #watching.settled(w, beta))
    alpha:stop()
    beta:stop()
  end)
end)

it("the editor's own `:w` of a config file is loaded, once", function()
  local debounce_ms = 200
  local child, w = open(
    { ["alpha.json"] = '{"n": 1}', ["alpha.lua"] = lua_file("alpha", 1) },
    { debounce_ms = debounce_ms }
  )
  for _, backupcopy in ipairs({ "yes", "no", "auto" }) do
    local text
    -- What takes longer may be seen half done, and is loaded twice then.
    tries.within(debounce_ms, "milliseconds that :w took", function(try)
      watching.settled(w, child)
      text = lua_file(backupcopy, try)
      return child:lua(
        [[
          local text, backupcopy = ...
          _G.ran, vim.o.backupcopy = {}, backupcopy
          vim.cmd.edit(config_dir .. "/alpha.lua")
          vim.api.nvim_buf_set_lines(0, 0, -1, false, { text })
          local began = vim.uv.hrtime()
          vim.cmd("silent write")
          return (vim.uv.hrtime() - began) / 1e6
        ]],
        vim.trim(text),
        backupcopy
      )
    end)
    watching.loaded_once(w, child, backupcopy)
    assert.are.same({ text:match('"(.*)"') }, child:lua("return ran"))
  end
  child:stop()
end)

it("a change in the config_dir of one call is loaded from there, with the options of that call", function()
  local child, w = open({ ["alpha.json"] = '{"from": "usual"}', ["alpha.lua"] = lua_file("usual", 1) }, { stay = true })
  local other =
    support.tree({ ["alpha.json"] = '{"from": "other"}', ["alpha.lua"] = lua_file("other", 1) }, w.dir .. "/other")
  child:lua("assert(load_now({ config_dir = ... })) forget()", other)
  support.write(other .. "/alpha.json", '{"from": "other", "n": 2}')
  child:wait("#loads > 0")
  support.write(other .. "/alpha.lua", lua_file("other", 2))
  child:wait("#ran > 0")
  child:lua("idle()")
  assert.are.same({ from = "other", n = 2 }, child:lua("return npc.ctx.json"))
  assert.are.same({ "other 2" }, child:lua("return ran"))
  child:stop()
end)
