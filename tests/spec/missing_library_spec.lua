-- An install whose native library is missing, too old, or not for this machine: one message that says what to run, and
-- everything that a user might try next still answers.
local plugin = require("tests.support.plugin")
local support = require("tests.support")

local library = assert(support.read(plugin.library(support.root)), "the library is not built: run `make build`")

--- How the install is broken → a directory for 'runtimepath'.
local broken = {
  ["the library is missing"] = function()
    return plugin.copy()
  end,
  ["the library is empty"] = function()
    return plugin.copy("")
  end,
  ["the library is no library"] = function()
    return plugin.copy("#!/bin/sh\necho not a library\n")
  end,
  ["the library is cut short"] = function()
    return plugin.copy(library:sub(1, 40))
  end,
  ["the library is a directory"] = function()
    local dir = plugin.copy()
    vim.fn.mkdir(plugin.library(dir))
    return dir
  end,
  ["the library is a link to nothing"] = function()
    local dir = plugin.copy()
    assert(vim.uv.fs_symlink("nowhere", plugin.library(dir)))
    return dir
  end,
  ["the library is older than the Lua files"] = function()
    local dir = plugin.copy(library)
    local path = dir .. "/lua/nvim-project-config/native.lua"
    local newer, count = support.read(path):gsub("local INTERFACE = (%d+)", function(interface)
      return "local INTERFACE = " .. interface + 1
    end)
    assert.are.equal(1, count)
    support.write(path, newer)
    return dir
  end,
}

if library:sub(1, 4) == "\127ELF" then
  broken["the library is for another processor"] = function()
    -- e_machine, byte 18 of an ELF header: 2 is SPARC.
    return plugin.copy(library:sub(1, 18) .. "\2\0" .. library:sub(21))
  end
  broken["the library is of 32 bits"] = function()
    -- EI_CLASS, byte 4 of an ELF header.
    return plugin.copy(library:sub(1, 4) .. "\1" .. library:sub(6))
  end
  broken["the library is another one"] = function()
    return plugin.copy(assert(support.read(assert(package.searchpath("lfs", package.cpath), "lfs is not installed"))))
  end
end

---@param dir string
---@param init? string
---@return test.Child
local function start(dir, init)
  init = init or [[require("nvim-project-config").setup()]]
  return support.child({ rtp = { dir }, init = support.room_for_messages .. init })
end

---@param text string
---@param dir string
local function assert_says_what_to_run(text, dir)
  assert.is_truthy(text:find("make build", 1, true), text)
  assert.is_truthy(text:find(dir, 1, true), text)
  assert.is_nil(text:find("traceback", 1, true), text)
end

for name, make in pairs(broken) do
  describe("when " .. name, function()
    it("start-up shows one message that says what to run, and no stack trace", function()
      local dir = make()
      local child = start(dir)
      child:wait("#_G.test_notifications > 0")
      assert_says_what_to_run(child:notifications()[1].message, dir)
      -- Whatever is tried afterwards, the user has been told.
      child:lua([[
        local npc = require("nvim-project-config")
        npc.setup()
        npc.load()
        npc.load(function(ctx, err) _G.answer = { ctx == nil, err.code, tostring(err) } end)
      ]])
      child:wait("_G.answer")
      assert.are.equal(1, #child:notifications(), vim.inspect(child:notifications()))
      local shown = child:messages() .. child:stderr()
      assert.is_nil(shown:find("traceback", 1, true), shown)
      assert.is_nil(shown:find("E5108", 1, true), shown)
      local _, count = child:messages():gsub("make build", "")
      assert.are.equal(1, count, child:messages())
      assert.are.equal(0, child:stop().code)
    end)
  end)
end

-- What comes after start-up does not depend on why there is no library, as long as some of it is there or none.
for _, name in ipairs({ "the library is missing", "the library is older than the Lua files" }) do
  local make = broken[name]
  describe("when " .. name, function()
    it("every function answers with the error", function()
      local dir = make()
      local child = start(dir, "_G.errors = {}")
      local result = child:lua([[
        local npc = require("nvim-project-config")
        local ctx = npc.setup({ loading = { on = "manual" }, on_error = function(err) table.insert(_G.errors, err.code) end })
        local result = { same = ctx == npc.ctx, json = next(ctx.json) == nil, default = npc.get("a.b", "default") }
        npc.load(function(loaded, err) _G.answer = { loaded == nil, err.code, tostring(err) } end)
        local waited, err = npc.load_await()(5000)
        result.waited = { waited == nil, err.code }
        coroutine.wrap(function()
          local awaited, problem = npc.load_await()
          _G.awaited = { awaited == nil, problem.code }
        end)()
        npc.clear()
        return result
      ]])
      assert.are.same({ same = true, json = true, default = "default", waited = { true, "library" } }, result)
      local answer = child:wait("_G.answer")
      assert.are.same({ true, "library" }, { answer[1], answer[2] })
      assert_says_what_to_run(answer[3], dir)
      assert.are.same({ true, "library" }, child:wait("_G.awaited"))
      -- Whoever has a hook is told there.
      assert.are.equal("library", child:lua("return _G.errors[1]"))
      child:stop()
    end)

    it(":ProjectConfig says what to run, with each subcommand", function()
      local dir = make()
      local child = start(dir, "")
      local shown = child:lua([[return vim.api.nvim_exec2("ProjectConfig", { output = true }).output]])
      assert_says_what_to_run(shown, dir)
      local subcommands = { "info", "load", "clear", "edit", "edit lua", "get a", "set a 1", "unset a" }
      for _, subcommand in ipairs(subcommands) do
        child:lua("vim.cmd('ProjectConfig ' .. ...)", subcommand)
      end
      assert.are.same(
        { "clear", "edit", "get", "info", "load", "set", "unset" },
        child:lua("return vim.fn.getcompletion('ProjectConfig ', 'cmdline')")
      )
      child:wait("#_G.test_notifications > 0")
      assert_says_what_to_run(child:notifications()[1].message, dir)
      assert.are.equal(1, #child:notifications(), vim.inspect(child:notifications()))
      assert.is_nil(child:messages():find("traceback", 1, true), child:messages())
      child:stop()
    end)

    it(":checkhealth says what to run", function()
      local dir = make()
      local child = start(dir, "")
      child:lua("vim.cmd('checkhealth nvim-project-config')")
      local report = child:lua("return table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), '\\n')")
      assert_says_what_to_run(report, dir)
      assert.is_truthy(report:find("ERROR", 1, true), report)
      assert.is_nil(report:find("Failed to run healthcheck", 1, true), report)
      child:stop()
    end)
  end)
end

describe("a whole install", function()
  it("works as a copy, says so in :checkhealth, and needs the library for nothing but use", function()
    local child = start(plugin.copy(library), "")
    assert.is_false(child:lua("return package.loaded['nvim-project-config'] ~= nil"))
    child:lua([[require("nvim-project-config").load(function(ctx) _G.loaded = ctx ~= nil end)]])
    assert.is_true(child:wait("_G.loaded"))
    child:lua("vim.cmd('checkhealth nvim-project-config')")
    local report = child:lua("return table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), '\\n')")
    assert.is_truthy(report:find("OK", 1, true), report)
    assert.is_nil(report:find("ERROR", 1, true), report)
    child:stop()
  end)

  it("is never replaced by a library in the current directory", function()
    local cwd = support.tmpdir()
    support.write(plugin.library(cwd), library)
    support.write(cwd .. "/" .. vim.fs.basename(plugin.library(cwd)), library)
    local dir = plugin.copy()
    local child = support.child({ rtp = { dir }, cwd = cwd, init = [[require("nvim-project-config").setup()]] })
    child:wait("#_G.test_notifications > 0")
    assert_says_what_to_run(child:notifications()[1].message, dir)
    child:stop()
  end)
end)
