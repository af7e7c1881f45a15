-- Vim files are sourced as `:source` sources them, whatever the path looks like.
local project = require("tests.support.project")

---@param fixture test.ProjectOptions
---@return test.Project
local function loaded(fixture)
  local p = project.start(fixture)
  assert.are.same({ loaded = true }, p:load())
  assert.are.same({}, p:errors())
  return p
end

---@param p test.Project
---@param name string
---@return any value of a global variable of the child
local function global(p, name)
  return p.child:lua("return vim.g[...]", name)
end

describe("a Vim file", function()
  it("has variables and functions of its own", function()
    local p = loaded({
      files = {
        ["proj/a.vim"] = [[
let s:own = 'a'
function! s:twice(x) abort
  return a:x . a:x
endfunction
let g:a = s:twice(s:own)
]],
        ["proj/b.vim"] = "let g:b = [exists('s:own'), exists('*s:twice')]",
      },
    })
    assert.are.equal("aa", global(p, "a"))
    assert.are.same({ 0, 0 }, global(p, "b"))
    p.child:stop()
  end)

  it("keeps its script's variables when it is loaded again", function()
    local p = loaded({ files = { ["proj.vim"] = "let s:count = get(s:, 'count', 0) + 1\nlet g:count = s:count" } })
    p:load()
    p:load()
    assert.are.equal(3, global(p, "count"))
    p.child:stop()
  end)

  it("gives its mappings and autocommands an <SID> that works later", function()
    local p = loaded({
      files = {
        ["proj.vim"] = [[
function! s:note(what) abort
  let g:noted = a:what
endfunction
nnoremap <Plug>(mapped) <Cmd>call <SID>note('mapped')<CR>
autocmd User Later call s:note('autocommand')
let g:sid = expand('<SID>')
let g:Reference = function('s:note')
]],
      },
    })
    p.child:lua([[vim.cmd('execute "normal \\<Plug>(mapped)"')]])
    assert.are.equal("mapped", global(p, "noted"))
    p.child:lua([[vim.cmd('doautocmd User Later')]])
    assert.are.equal("autocommand", global(p, "noted"))
    p.child:lua([[vim.cmd("call g:Reference('reference')")]])
    assert.are.equal("reference", global(p, "noted"))
    assert.is_truthy(global(p, "sid"):match("^<SNR>%d+_$"))
    p.child:stop()
  end)

  it("knows its path and its lines", function()
    local p = loaded({
      files = {
        ["proj/a.vim"] = [[
let g:sfile = expand('<sfile>')
let g:script = expand('<script>')
let g:slnum = expand('<slnum>')
let g:head = expand('<sfile>:p:h')
]],
      },
    })
    local path = p.config_dir .. "/proj/a.vim"
    assert.are.equal(path, global(p, "sfile"))
    assert.are.equal(path, global(p, "script"))
    assert.are.equal("3", global(p, "slnum"))
    assert.are.equal(p.config_dir .. "/proj", global(p, "head"))
    assert.is_truthy(p.child:lua("return vim.fn.execute('scriptnames')"):find("proj/a.vim", 1, true))
    p.child:stop()
  end)

  it("ends at :finish", function()
    local p = loaded({
      files = { ["proj/a.vim"] = "let g:before = 1\nfinish\nlet g:after = 1\n", ["proj/b.vim"] = "let g:next = 1" },
    })
    assert.are.same({ 1, 1 }, { global(p, "before"), global(p, "next") })
    assert.is_nil(global(p, "after"))
    p.child:stop()
  end)

  it("may continue its lines, with comments between them", function()
    local p = loaded({
      files = {
        ["proj.vim"] = "let g:list = [\n  \\ 1,\n  \"\\ a comment\n  \\ 2,\n  \\ ]\nlet g:line = expand('<slnum>')\n",
      },
    })
    assert.are.same({ 1, 2 }, global(p, "list"))
    assert.are.equal("6", global(p, "line"))
    p.child:stop()
  end)

  it("may continue its lines where 'cpoptions' would forbid it", function()
    local p = project.start({ files = { ["proj.vim"] = "let g:list = [\n  \\ 1]\n" } })
    p.child:lua("vim.o.cpoptions = vim.o.cpoptions .. 'C'")
    p:load()
    -- As under `:source`: the option decides, and it is left as it was.
    local sourced = p.child:lua("return pcall(vim.cmd.source, ...)", p.config_dir .. "/proj.vim")
    assert.are.equal(sourced, #p:errors() == 0)
    assert.is_truthy(p.child:lua("return vim.o.cpoptions"):find("C", 1, true))
    p.child:stop()
  end)

  it("may hold texts and Lua", function()
    local p = loaded({
      files = {
        ["proj.vim"] = [[
lua << EOF
local value = 6
vim.g.from_lua = value * 7
EOF
let g:text =<< trim END
  first
    second | "quoted" % #
END
  lua << trim END
    vim.g.trimmed = true
  END
let g:last = 1
]],
      },
    })
    assert.are.equal(42, global(p, "from_lua"))
    assert.are.same({ "first", '  second | "quoted" % #' }, global(p, "text"))
    assert.is_true(global(p, "trimmed"))
    assert.are.equal(1, global(p, "last"))
    p.child:stop()
  end)

  it("is named by :verbose as where an option was set", function()
    local p = loaded({ files = { ["proj.vim"] = "\n\nset shiftwidth=7\ncommand! Mine echo 1\n" } })
    local shown = p.child:lua("return vim.fn.execute('verbose set shiftwidth?')")
    assert.is_truthy(shown:find("shiftwidth=7", 1, true), shown)
    assert.is_truthy(shown:find(("Last set from %s/proj.vim line 3"):format(p.config_dir), 1, true), shown)
    shown = p.child:lua("return vim.fn.execute('verbose command Mine')")
    assert.is_truthy(shown:find(("Last set from %s/proj.vim line 4"):format(p.config_dir), 1, true), shown)
    p.child:stop()
  end)

  it("may define functions that end without `abort`, and use `|` and `<sfile>` in commands", function()
    local p = loaded({
      files = { ["proj.vim"] = "let g:a = 1 | let g:b = 2\nexecute 'let g:c = ' . string(expand('<sfile>:t'))\n" },
    })
    assert.are.same({ 1, 2, "proj.vim" }, { global(p, "a"), global(p, "b"), global(p, "c") })
    p.child:stop()
  end)

  it("may catch its own errors and clean up after itself", function()
    local p = loaded({
      files = {
        ["proj.vim"] = "try\n  call NoSuchFunction()\ncatch /E117/\n  let g:caught = 1\nfinally\n  let g:cleaned = 1\nendtry\n",
      },
    })
    assert.are.same({ 1, 1 }, { global(p, "caught"), global(p, "cleaned") })
    p.child:stop()
  end)

  it("may use `silent!` as everywhere", function()
    local p = loaded({ files = { ["proj.vim"] = "silent! call NoSuchFunction()\nlet g:after = 1\n" } })
    assert.are.equal(1, global(p, "after"))
    p.child:stop()
  end)

  it("leaves the window, the buffer and the last search alone", function()
    local p = project.start({ files = { ["proj.vim"] = "let g:ran_here = 1" } })
    p.child:lua("vim.fn.setreg('/', 'searched'); vim.cmd('edit file')")
    p:load()
    assert.are.equal("searched", p.child:lua("return vim.fn.getreg('/')"))
    assert.are.equal("file", p.child:lua("return vim.fn.expand('%:t')"))
    assert.are.equal(1, global(p, "ran_here"))
    p.child:stop()
  end)
end)

describe("paths that mean something to a command line are sourced as they are:", function()
  local hostile = {
    "%",
    "#",
    "# %",
    "a|b",
    "it's",
    'quo"ted',
    "two words",
    " lead",
    "tab\tbed",
    "~",
    "[a]",
    "`pwd`",
    "back\\slash",
    "*",
    "<sfile>",
    "a\233",
    "a\nb",
    "a ~",
  }
  for _, name in ipairs(hostile) do
    it(vim.inspect(name), function()
      local p = loaded({
        config_dir = name,
        files = {
          ["proj.vim"] = "let g:sfile = expand('<sfile>')",
          ["proj/" .. name .. ".vim"] = "\nlet s:own = 1\nlet g:inner = expand('<sfile>')\nset shiftwidth=7\n",
          ["proj/zz.lua"] = "table.insert(_G.ran, debug.getinfo(1, 'S').source)",
        },
      })
      assert.are.equal(p.config_dir .. "/proj.vim", global(p, "sfile"))
      assert.are.equal(p.config_dir .. "/proj/" .. name .. ".vim", global(p, "inner"))
      assert.are.same({ "@" .. p.config_dir .. "/proj/zz.lua" }, p:ran())
      assert.are.equal(7, p.child:lua("return vim.go.shiftwidth"))
      p.child:stop()
    end)
  end

  it("an error in one has its line too", function()
    local p = project.start({
      config_dir = "% # | it's [1] line 9",
      files = { ["proj.vim"] = "\n\ncall NoSuchFunction()\n", ["proj.lua"] = "\n\nerror('x')\n" },
    })
    p:load()
    local errors = p:errors_by_file()
    assert.are.equal(3, errors["proj.vim"].line, errors["proj.vim"].message)
    assert.are.equal(3, errors["proj.lua"].line, errors["proj.lua"].message)
    assert.are.equal(p.config_dir .. "/proj.vim", errors["proj.vim"].path)
    p.child:stop()
  end)
end)
