-- What is named like a config file and is none, or may not be read: one error each, and the editor never waits for it.
local faults = require("tests.support.faults")
local project = require("tests.support.project")
local stall = require("tests.support.stall")
local support = require("tests.support")
local tries = require("tests.support.tries")

local TIMEOUT_MS = 2000
local LONGEST_STALL_MS = 50

local function run(command)
  local result = vim.system(command, { text = true }):wait()
  assert(result.code == 0, table.concat(command, " ") .. ": " .. result.stderr)
end

--- How each kind is made at a path, and the code of its error.
local kinds = {
  fifo = {
    code = "not_a_file",
    make = function(path)
      run({ "mkfifo", path })
    end,
  },
  socket = {
    code = "not_a_file",
    make = function(path)
      -- The socket stays behind when whoever listened is gone.
      local pipe = assert(vim.uv.new_pipe())
      assert(pipe:bind(path))
    end,
  },
  device = {
    code = "not_a_file",
    make = function(path)
      assert(vim.uv.fs_symlink("/dev/zero", path))
    end,
  },
  terminal = {
    code = "not_a_file",
    make = function(path)
      assert(vim.uv.fs_symlink("/dev/ptmx", path))
    end,
  },
  directory = {
    code = "not_a_file",
    make = function(path)
      assert(vim.uv.fs_mkdir(path, tonumber("755", 8)))
    end,
  },
  link_to_directory = {
    code = "not_a_file",
    make = function(path)
      assert(vim.uv.fs_symlink("..", path))
    end,
  },
  dangling = {
    code = "not_found",
    make = function(path)
      assert(vim.uv.fs_symlink("nowhere", path))
    end,
  },
  looping = {
    code = "not_found",
    make = function(path)
      assert(vim.uv.fs_symlink(vim.fs.basename(path), path))
    end,
  },
  unreadable = {
    code = "permission",
    make = function(path)
      support.write(path, "{}")
      assert(vim.uv.fs_chmod(path, 0))
    end,
  },
  world_writable = {
    code = "untrusted",
    make = function(path)
      support.write(path, path:match("%.json$") and '{"bad": 1}' or "lua table.insert(_G.ran, 'bad')")
      assert(vim.uv.fs_chmod(path, tonumber("666", 8)))
    end,
  },
}

--- A project whose directory in config_dir holds every kind, named like a JSON, a Lua and a Vim file.
---@return test.Project, table<string, string> codes by file name
local function fixture()
  local p = project.new({
    files = {
      ["proj.json"] = '{"json": 1}',
      ["proj.lua"] = "table.insert(_G.ran, 'proj.lua')",
      ["proj/zz.lua"] = "table.insert(_G.ran, 'zz.lua')",
      ["proj/zz.vim"] = "lua table.insert(_G.ran, 'zz.vim')",
    },
  })
  local codes = {}
  for kind, how in pairs(kinds) do
    for _, extension in ipairs({ "json", "lua", "vim" }) do
      local name = ("proj/%s.%s"):format(kind, extension)
      how.make(p.config_dir .. "/" .. name)
      codes[name] = how.code
    end
  end
  return p, codes
end

local OPEN = {
  setup = ("{ cache = { timeout_ms = %d } }"):format(TIMEOUT_MS),
  before = stall,
}

---@param p test.Project
local function open(p)
  return p:open(vim.tbl_extend("keep", { child = { through = faults.without_privileges() } }, OPEN))
end

describe("special files named like config files", function()
  it("give one error each within the deadline, and the rest loads", function()
    local p, codes = fixture()
    open(p)
    local began = vim.uv.hrtime()
    assert.are.same({ loaded = true }, p:load())
    assert.is_true((vim.uv.hrtime() - began) / 1e6 < TIMEOUT_MS)
    local errors, counts = p:errors_by_file()
    for name, code in pairs(codes) do
      assert.is_truthy(errors[name], name .. " was not reported")
      assert.are.equal(1, counts[name], name)
      assert.are.equal(code, errors[name].code, errors[name].message)
      assert.are.equal(p.config_dir .. "/" .. name, errors[name].path)
      assert.are.equal(p.config_dir .. "/" .. name .. ": ", errors[name].message:sub(1, #p.config_dir + #name + 3))
    end
    assert.are.equal(vim.tbl_count(codes), #p:errors())
    assert.are.same({ json = 1 }, p:json())
    assert.are.same({ "proj.lua", "zz.lua", "zz.vim" }, p:ran())
    p.child:stop()
  end)

  it("do not hold up the editor's loop", function()
    tries.within(LONGEST_STALL_MS, "longest stall of the loop, in ms, in an editor each", function()
      local p = fixture()
      open(p)
      p.child:lua("_G.watch_loop()")
      p:load()
      local stall_ms = p.child:lua("return _G.longest_stall()")
      assert.is_true(#p:errors() > 0)
      p.child:stop()
      return stall_ms
    end)
  end)

  it("do not hold up :qa!, during a load and after it", function()
    local during = open((fixture()))
    during.child:lua([[require("nvim-project-config").load()]])
    local ended = during.child:stop()
    assert.are.equal(0, ended.code)
    assert.is_true(ended.elapsed_ms < 1000, ended.elapsed_ms)

    local after = open((fixture()))
    after:load()
    ended = after.child:stop()
    assert.are.equal(0, ended.code)
    assert.is_true(ended.elapsed_ms < 1000, ended.elapsed_ms)
  end)

  it("are looked at again by each load: what has become a file loads", function()
    local p = project.new({ files = { proj = true } })
    for _, kind in ipairs({ "fifo", "dangling", "directory", "unreadable", "world_writable" }) do
      kinds[kind].make(p.config_dir .. "/proj/" .. kind .. ".json")
    end
    open(p):load()
    assert.are.equal(5, #p:errors())
    for _, kind in ipairs({ "fifo", "dangling", "directory", "unreadable", "world_writable" }) do
      local path = p.config_dir .. "/proj/" .. kind .. ".json"
      vim.fn.delete(path, kind == "directory" and "d" or "")
      support.write(path, ('{"%s": true}'):format(kind))
    end
    assert.are.same({ loaded = true }, p:load())
    assert.are.equal(5, #p:errors())
    assert.are.same(
      { fifo = true, dangling = true, directory = true, unreadable = true, world_writable = true },
      p:json()
    )
    p.child:stop()
  end)
end)

describe("the project's own files and directory", function()
  it("may be special files as well", function()
    local p = project.new({ files = { ["proj/zz.lua"] = "table.insert(_G.ran, 'zz.lua')" } })
    kinds.fifo.make(p.config_dir .. "/proj.json")
    kinds.device.make(p.config_dir .. "/proj.lua")
    kinds.looping.make(p.config_dir .. "/proj.vim")
    open(p)
    assert.are.same({ loaded = true }, p:load())
    local errors = p:errors_by_file()
    assert.are.equal(3, #p:errors())
    assert.are.equal("not_a_file", errors["proj.json"].code)
    assert.are.equal("not_a_file", errors["proj.lua"].code)
    assert.are.equal("not_found", errors["proj.vim"].code)
    assert.are.same({ "zz.lua" }, p:ran())
    p.child:stop()
  end)

  it("may be unreadable as a directory, which is one error", function()
    local p = project.new({ files = { ["proj.json"] = '{"own": 1}', ["proj/a.json"] = '{"a": 1}' } })
    assert(vim.uv.fs_chmod(p.config_dir .. "/proj", 0))
    open(p)
    assert.are.same({ loaded = true }, p:load())
    assert.are.equal(1, #p:errors())
    assert.are.equal("permission", p:errors()[1].code)
    assert.are.equal(p.config_dir .. "/proj", p:errors()[1].path)
    assert.are.same({ own = 1 }, p:json())
    p.child:stop()
  end)
end)

it("a link to a regular file is that file", function()
  local p = project.new({ files = { proj = true } })
  support.write(p.outside .. "/dotfiles/settings.json", '{"linked": true}')
  assert(vim.uv.fs_symlink(p.outside .. "/dotfiles/settings.json", p.config_dir .. "/proj.json"))
  p:open():load()
  assert.are.same({ linked = true }, p:json())
  assert.are.same({}, p:errors())
  p.child:stop()
end)

it("a file that belongs to somebody else is not trusted", function()
  if vim.uv.getuid() ~= 0 then
    return pending("only root can give a file away")
  end
  local p = project.new({ files = { ["proj.lua"] = "table.insert(_G.ran, 'bad')", ["proj.json"] = '{"own": 1}' } })
  assert(vim.uv.fs_chown(p.config_dir .. "/proj.lua", 12345, 12345))
  p:open():load()
  assert.are.equal(1, #p:errors())
  assert.are.equal("untrusted", p:errors()[1].code)
  assert.are.same({}, p:ran())
  assert.are.same({ own = 1 }, p:json())
  p.child:stop()
end)

it("a config_dir that is a FIFO is one error, and the editor goes on", function()
  local p = project.new()
  kinds.fifo.make(p.config_dir)
  open(p)
  local answer = p:load()
  assert.are.equal(1, #p:errors())
  assert.are.equal(p.config_dir, p:errors()[1].path)
  assert.are.equal("not_a_file", p:errors()[1].code)
  assert.is_true(answer.loaded or answer.err.code == "not_a_file")
  assert.is_true(p.child:stop().elapsed_ms < 1000)
end)
