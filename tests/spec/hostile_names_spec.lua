-- Whoever wrote a repository chose its name. Whatever that is, the right file loads or none: never one outside
-- config_dir, and no part of a name runs as a command.
local project = require("tests.support.project")
local support = require("tests.support")

-- Name of the directory → name in config_dir, by the encoding that the manual promises.
local names = {
  -- like `.` and `..`
  ["..."] = "%2E%2E%2E",
  ["...."] = "%2E%2E%2E%2E",
  [".. "] = "%2E%2E%20",
  [". ."] = "%2E%20%2E",
  ["..x"] = "..x",
  ["x.."] = "x%2E%2E",
  [".dotfiles"] = ".dotfiles",
  [" "] = "%20",
  -- one separator too many
  ["..\\..\\evil"] = "..%5C..%5Cevil",
  ["..%2fevil"] = "..%252fevil",
  ["C:evil"] = "C%3Aevil",
  -- special in commands, patterns and shells
  ["a\nb"] = "a%0Ab",
  ["a\rb\tc\27d\127"] = "a%0Db%09c%1Bd%7F",
  ["a%b"] = "a%25b",
  ["%"] = "%25",
  ["%:p:h"] = "%25%3Ap%3Ah",
  ["#"] = "#",
  ["#1"] = "#1",
  ["<sfile>"] = "%3Csfile%3E",
  ['a"b'] = "a%22b",
  ["a'b"] = "a'b",
  ["a|b"] = "a%7Cb",
  ["a\\b"] = "a%5Cb",
  ["a b"] = "a b",
  ["a*?b"] = "a%2A%3Fb",
  ["[ab]"] = "[ab]",
  ["{a,b}"] = "{a,b}",
  ["~"] = "~",
  ["$HOME"] = "$HOME",
  ["${HOME}"] = "${HOME}",
  ["-"] = "-",
  ["+"] = "+",
  ["--cmd"] = "--cmd",
  ["+let g:canary = 1"] = "+let g%3Acanary = 1",
  ["x|let g:canary = 1"] = "x%7Clet g%3Acanary = 1",
  ["x\nlet g:canary = 1"] = "x%0Alet g%3Acanary = 1",
  ["x' | let g:canary = 1 | '"] = "x' %7C let g%3Acanary = 1 %7C '",
  ['x" | let g:canary = 1 "'] = "x%22 %7C let g%3Acanary = 1 %22",
  ["`touch canary`"] = "`touch canary`",
  ["$(touch canary)"] = "$(touch canary)",
  ["`=writefile([],'canary')`"] = "`=writefile([],'canary')`",
  ["%{writefile([],'canary')}"] = "%25{writefile([],'canary')}",
  ["; touch canary;"] = "; touch canary;",
  ["!touch canary"] = "!touch canary",
  ["]] vim.g.canary = 1 --[["] = "]] vim.g.canary = 1 --[[",
  -- other alphabets, and none
  ["é"] = "é",
  ["日本語"] = "日本語",
  ["a\194\133b"] = "a%C2%85b",
  ["a\255b"] = "a%FFb",
  ["\255\254"] = "%FF%FE",
  ["a\233"] = "a%E9",
  ["\237\160\128"] = "%ED%A0%80",
  ["a\226\130"] = "a%E2%82",
  -- named like a config file
  ["fzf.vim"] = "fzf.vim",
  ["x.json"] = "x.json",
}

-- What a wrong name might reach: beside config_dir, above it, and the raw name in it.
local EVIL = "vim.g.canary = 'evil'"

---@return test.Project
local function fixture(files)
  local p = project.new({ files = files })
  for _, path in ipairs({ "/evil", "/work/evil", "/projects/evil", "/.", "/projects/.", "/projects/..", "/projects/" }) do
    support.write(p.outside .. path .. ".lua", EVIL)
    support.write(p.outside .. path .. ".json", '{"canary": true}')
  end
  return p
end

---@param p test.Project
---@param dir string
local function go_to(p, dir)
  p.child:lua("assert(vim.uv.chdir(...)); _G.ran = {}", dir)
end

--- Goes to a project of this name, which may be new.
---@param p test.Project
---@param name string
local function enter(p, name)
  local root = p.outside .. "/work/" .. name
  vim.fn.mkdir(root .. "/.git", "p")
  go_to(p, root)
end

--- Nothing ran that was only a name.
---@param p test.Project
local function assert_no_canary(p)
  assert.is_nil(p.child:lua("return vim.g.canary"))
  assert.is_nil(p.child:lua([[return require("nvim-project-config").ctx.json.canary]]))
  assert.are.same({}, vim.fs.find("canary", { path = p.outside, limit = math.huge }))
end

--- What loaded, all of which has to lie in config_dir.
---@param p test.Project
---@return string[] paths below config_dir
local function loaded(p)
  local paths = p.child:lua([[return vim.tbl_keys(require("nvim-project-config").ctx._files_loaded)]])
  local relative = {}
  for _, path in ipairs(paths) do
    assert.are.equal(p.config_dir .. "/", path:sub(1, #p.config_dir + 1))
    assert.is_nil((path:sub(#p.config_dir) .. "/"):find("/../", 1, true), path)
    table.insert(relative, path:sub(#p.config_dir + 2))
  end
  table.sort(relative)
  return relative
end

--- Files that tell by which name they were found.
local function files_of(encoded)
  local name = encoded:gsub("'", "''")
  return {
    [encoded .. ".json"] = vim.json.encode({ json = encoded }),
    [encoded .. ".lua"] = ("table.insert(_G.ran, %q)"):format(encoded .. " lua"),
    [encoded .. ".vim"] = ("call luaeval('table.insert(_G.ran, _A)', '%s vim')"):format(name),
  }
end

describe("a hostile directory name", function()
  it("loads the files of its encoded name and nothing else", function()
    local files = {}
    for _, encoded in pairs(names) do
      files = vim.tbl_extend("error", files, files_of(encoded))
    end
    local p = fixture(files):open()
    for name, encoded in pairs(names) do
      enter(p, name)
      assert.are.same({ loaded = true }, p:load())
      local label = vim.inspect(name)
      assert.are.same({ json = encoded }, p:json(), label)
      assert.are.same({ encoded .. " lua", encoded .. " vim" }, p:ran(), label)
      assert.are.same({ encoded .. ".json", encoded .. ".lua", encoded .. ".vim" }, loaded(p), label)
      assert.are.same({}, p:errors(), label)
      assert_no_canary(p)
    end
    assert.are.equal("", p.child:messages())
    p.child:stop()
  end)

  it("without files of its own loads nothing, also where the raw name leads to a file", function()
    local p = fixture({})
    for name in pairs(names) do
      pcall(support.write, p.config_dir .. "/" .. name .. "/evil.lua", EVIL)
    end
    -- Those whose raw name is the encoded one have just been given a file of their own.
    for name, encoded in pairs(names) do
      if name == encoded then
        vim.fn.delete(p.config_dir .. "/" .. name, "rf")
      end
    end
    p:open()
    for name in pairs(names) do
      enter(p, name)
      assert.are.same({ loaded = true }, p:load())
      assert.are.same({}, loaded(p), vim.inspect(name))
      assert.are.same({}, p:ran())
      assert_no_canary(p)
    end
    p.child:stop()
  end)

  it("is shown by :ProjectConfig, and its files are opened for editing, without running any of it", function()
    local p = fixture({}):open()
    for name, encoded in pairs(names) do
      enter(p, name)
      p:load()
      local shown = p.child:lua([[return vim.api.nvim_exec2("ProjectConfig info", { output = true }).output]])
      assert.is_truthy(shown:find(" " .. encoded .. ".*", 1, true), shown)
      for _, kind in ipairs({ "json", "lua", "vim" }) do
        p.child:lua("vim.cmd('ProjectConfig edit ' .. ...)", kind)
        assert.are.equal(
          p.config_dir .. "/" .. encoded .. "." .. kind,
          p.child:lua("return vim.api.nvim_buf_get_name(0)"),
          vim.inspect(name)
        )
      end
      assert_no_canary(p)
    end
    p.child:stop()
  end)

  it("is where the editor starts", function()
    local name = "x|let g:canary = 1"
    local p = project.new({ name = name, files = files_of(names[name]) })
    p:open()
    assert.are.same({ loaded = true }, p:load())
    assert.are.same({ names[name] .. " lua", names[name] .. " vim" }, p:ran())
    assert.are.equal(name, p.child:lua([[return require("nvim-project-config").ctx.project_name]]))
    assert.are.equal(p.root, p.child:lua([[return require("nvim-project-config").ctx.project_root]]))
    assert_no_canary(p)
    p.child:stop()
  end)

  it("of a package nests under the repository's", function()
    local p = fixture({
      ["proj/dots%2E%2E.lua"] = "table.insert(_G.ran, 'dots')",
      ["proj/dots%2E%2E/a.vim"] = "lua table.insert(_G.ran, 'inside')",
      ["proj/a%7Cb.lua"] = "table.insert(_G.ran, 'bar')",
      ["a ~/b.vim"] = "lua table.insert(_G.ran, 'tilde')",
    })
    support.write(p.root .. "/dots../package.json", "{}")
    support.write(p.root .. "/a|b/package.json", "{}")
    support.tree({ [".git"] = true, ["b/package.json"] = "{}" }, p.outside .. "/work/a ~")
    p:open()
    go_to(p, p.root .. "/dots..")
    p:load()
    assert.are.same({ "dots", "inside" }, p:ran())
    go_to(p, p.root .. "/a|b")
    p:load()
    assert.are.same({ "bar" }, p:ran())
    -- After a blank, `~/` would be the home directory to some commands.
    go_to(p, p.outside .. "/work/a ~/b")
    p:load()
    assert.are.same({ "tilde" }, p:ran())
    assert.are.same({}, p:errors())
    assert_no_canary(p)
    p.child:stop()
  end)
end)

describe("names that differ only after encoding", function()
  local groups = {
    { "a%b", "a%25b", "a%2525b" },
    { "a:b", "a%3Ab" },
    { "a\nb", "a%0Ab" },
    { "x.", "x%2E", "x%252E" },
    { "x ", "x%20", "x" },
    { "a\255", "a%FF", "a\195\191" },
  }
  it("never share a file", function()
    local p = fixture({}):open()
    for _, group in ipairs(groups) do
      local owner = {}
      for _, name in ipairs(group) do
        enter(p, name)
        p:load()
        local target = p.child:lua([[return require("nvim-project-config").ctx._last_project_json]])
        assert.is_nil(owner[target], vim.inspect({ name, owner[target] }))
        owner[target] = name
        assert.are.equal(p.config_dir, vim.fs.dirname(target))
        support.write(target, ('{"owner": %d}'):format(vim.tbl_count(owner)))
      end
      for index, name in ipairs(group) do
        enter(p, name)
        p:load()
        assert.are.same({ owner = index }, p:json(), vim.inspect(name))
      end
    end
    assert.are.same({}, p:errors())
    p.child:stop()
  end)
end)

describe("a name of 255 bytes", function()
  local long = {
    ("n"):rep(255),
    ("n"):rep(254) .. "m",
    ("日"):rep(85),
    ("日"):rep(84) .. "本",
    ("%"):rep(255),
    ("\255"):rep(255),
    ("n"):rep(250) .. ".json",
    ("n"):rep(200),
    ("n"):rep(201),
  }
  it("has files of its own, whose names the file system takes", function()
    local p = fixture({}):open()
    local seen = {}
    for index, name in ipairs(long) do
      enter(p, name)
      assert.are.same({ loaded = true }, p:load())
      local target = p.child:lua([[return require("nvim-project-config").ctx._last_project_json]])
      assert.are.equal(p.config_dir, vim.fs.dirname(target))
      assert.is_true(#vim.fs.basename(target) <= 255)
      assert.are.equal(target, vim.fn.strtrans(target), "the name holds half a character")
      assert.is_nil(seen[target])
      seen[target] = true
      support.write(target, ('{"index": %d}'):format(index))
      support.write(target:gsub("%.json$", "/a.lua"), ("table.insert(_G.ran, %d)"):format(index))
    end
    for index, name in ipairs(long) do
      enter(p, name)
      p:load()
      assert.are.same({ index = index }, p:json())
      -- A directory that would look like a file of the kind has another name, which is not tested here.
      if not name:match("%.json$") then
        assert.are.same({ index }, p:ran())
      end
    end
    assert.are.same({}, p:errors())
    p.child:stop()
  end)
end)

describe("files with hostile names in the project's directory", function()
  local in_directory = {
    "a|let g:canary = 1",
    "`touch canary`",
    "$(touch canary)",
    "`=writefile([],'canary')`",
    "%",
    "#",
    "a'b",
    'a"b',
    "a b",
    "$HOME",
    "[ab]",
    "{a,b}",
    "*",
    "a\\b",
    "~",
    "-",
    "+let g:canary = 1",
    "!touch canary",
    "<sfile>",
    "a\255b",
    "a\nlet g:canary = 1\n",
    "a\rb",
    "x ~",
    "~root",
  }
  it("run as themselves", function()
    local files, wanted = {}, {}
    for index, name in ipairs(in_directory) do
      files["proj/" .. name .. ".lua"] = ("table.insert(_G.ran, 'lua %d')"):format(index)
      files["proj/" .. name .. ".vim"] = ("lua table.insert(_G.ran, 'vim %d')"):format(index)
      files["proj/" .. name .. ".json"] = ('{"json %d": true}'):format(index)
      vim.list_extend(wanted, { "lua " .. index, "vim " .. index })
    end
    local p = fixture(files):open()
    assert.are.same({ loaded = true }, p:load())
    local ran = p:ran()
    table.sort(ran)
    table.sort(wanted)
    assert.are.same(wanted, ran)
    assert.are.equal(#in_directory, vim.tbl_count(p:json()))
    assert.are.same({}, p:errors())
    assert_no_canary(p)
    p.child:stop()
  end)
end)
