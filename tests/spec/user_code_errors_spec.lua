-- What a user's own Lua and Vim files throw: reported once with file and line, and nothing else suffers.
local project = require("tests.support.project")

local lua_files = {
  ["proj/syntax.lua"] = { text = "local a = 1\nlocal = 2\n", line = 2, code = "syntax" },
  ["proj/unfinished.lua"] = { text = "if true then\n", line = 2, code = "syntax" },
  ["proj/string.lua"] = { text = "\n\nerror('thrown on purpose')\n", line = 3, says = "thrown on purpose" },
  ["proj/level_zero.lua"] = { text = "\nerror('without a position', 0)\n", line = 2, says = "without a position" },
  ["proj/table.lua"] = { text = "\nerror({ reason = 'in a table' })\n", line = 2, says = "in a table" },
  ["proj/empty_table.lua"] = { text = "error({})\n", line = 1 },
  ["proj/nothing.lua"] = { text = "\n\n\nerror(nil)\n", line = 4 },
  ["proj/index.lua"] = { text = "local t\nreturn t.x.y\n", line = 2, says = "nil value" },
  ["proj/in_function.lua"] = {
    text = "local function f()\n  error('deep')\nend\nf()\n",
    line = 2,
    says = "deep",
  },
  ["proj/in_returned.lua"] = { text = "return function()\n  error('late')\nend\n", line = 2, says = "late" },
  ["proj/in_module.lua"] = { text = "\nrequire('no.such.module')\n", line = 2, says = "no.such.module" },
  ["proj/in_command.lua"] = { text = "\nvim.cmd('call NoSuchFunction()')\n", line = 2, says = "E117" },
}

local vim_files = {
  ["proj/function.vim"] = { text = "let a = 1\n\ncall NoSuchFunction()\nlet g:went_on = 1\n", says = "E117" },
  ["proj/command.vim"] = { text = '" first\n\nnosuchcommand\nlet g:went_on = 1\n', says = "E492" },
  ["proj/variable.vim"] = { text = "let a = 1\n\necho g:no_such_variable\nlet g:went_on = 1\n", says = "E121" },
  ["proj/throw.vim"] = { text = "\n\nthrow 'thrown on purpose'\nlet g:went_on = 1\n", says = "thrown on purpose" },
  ["proj/echoerr.vim"] = { text = "\n\nechoerr 'said aloud'\nlet g:went_on = 1\n", says = "said aloud" },
  ["proj/lua.vim"] = { text = "\n\nlua error('from Lua')\nlet g:went_on = 1\n", says = "from Lua" },
  ["proj/continued.vim"] = { text = "\n\ncall call('NoSuchFunction',\n  \\ [])\nlet g:went_on = 1\n", says = "E117" },
}

---@param files table<string, { text: string }>
---@return table<string, string>
local function tree(files)
  local texts = {
    ["proj.json"] = '{"json": "read"}',
    ["proj.lua"] = "table.insert(_G.ran, 'first.lua')",
    ["proj/zz.lua"] = "table.insert(_G.ran, 'last.lua')",
    ["proj.vim"] = "lua table.insert(_G.ran, 'first.vim')",
    ["proj/zz.vim"] = "lua table.insert(_G.ran, 'last.vim')",
  }
  for name, file in pairs(files) do
    texts[name] = file.text
  end
  return texts
end

---@param files table<string, { text: string, line?: integer, code?: string, says?: string }>
---@param default_line? integer
local function check(files, default_line)
  local p = project.start({ files = tree(files) })
  assert.are.same({ loaded = true }, p:load())
  local errors, counts = p:errors_by_file()
  for name, file in pairs(files) do
    local err = errors[name]
    assert.is_truthy(err, name .. " was not reported")
    assert.are.equal(1, counts[name], name)
    local path = p.config_dir .. "/" .. name
    local line = file.line or default_line
    assert.are.equal(path, err.path)
    assert.are.equal(line, err.line, name .. ": " .. err.message)
    assert.are.equal(file.code or "runtime", err.code, name)
    local place = ("%s:%d:"):format(path, line)
    assert.are.equal(place, err.message:sub(1, #place))
    assert.is_truthy(err.message:find(file.says or "", 1, true), err.message)
    -- The place is said once: no shortened chunk name behind the full one.
    assert.is_nil(err.message:find(":" .. line .. ":", #place + 1, true), err.message)
  end
  assert.are.equal(vim.tbl_count(files), #p:errors())
  assert.are.same({ "first.lua", "last.lua", "first.vim", "last.vim" }, p:ran())
  assert.are.same({ json = "read" }, p:json())
  assert.are.equal(1, p.child:lua("return _G.loads"))
  assert.is_nil(p.child:lua("return vim.g.went_on"))
  -- on_error is told instead of the user's screen.
  assert.are.same({}, p.child:notifications())
  assert.are.equal("", p.child:messages())
  assert.are.equal("", p.child:stderr())
  p.child:stop()
end

describe("an error in a user's file is reported with file and line, once, and every other file runs:", function()
  it("Lua", function()
    check(lua_files)
  end)

  it("Vim script, which ends at its first error", function()
    check(vim_files, 3)
  end)

  it("Vim script that fails inside a function of its own", function()
    check({
      ["proj/defined.vim"] = {
        text = "function! s:fails() abort\n  call NoSuchFunction()\nendfunction\ncall s:fails()\nlet g:went_on = 1\n",
        line = 4,
        says = "E117",
      },
    })
  end)
end)

it("a file that has failed runs again at the next load, and is quiet once mended", function()
  local support = require("tests.support")
  local p = project.start({ files = { ["proj.lua"] = "error('broken')", ["proj.vim"] = "throw 'broken'" } })
  p:load()
  assert.are.equal(2, #p:errors())
  support.write(p.config_dir .. "/proj.lua", "table.insert(_G.ran, 'mended.lua')")
  support.write(p.config_dir .. "/proj.vim", "lua table.insert(_G.ran, 'mended.vim')")
  p:load()
  assert.are.equal(2, #p:errors())
  assert.are.same({ "mended.lua", "mended.vim" }, p:ran())
  p.child:stop()
end)

it("only files that ran to their end count as loaded", function()
  local p = project.start({ files = { ["proj.lua"] = "error('x')", ["proj/good.lua"] = "" } })
  p:load()
  assert.are.same(
    { [p.config_dir .. "/proj/good.lua"] = true },
    p.child:lua([[return require("nvim-project-config").ctx._files_loaded]])
  )
  p.child:stop()
end)
