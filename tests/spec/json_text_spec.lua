-- What a save leaves of the text: everything that was not changed, byte for byte; and of the file: its links and its mode.
-- The editing itself is the engine's, with tests of its own; here it is seen from the editor, through real files.
local saving = require("tests.support.saving")
local support = require("tests.support")
local workspace = require("tests.support.workspace")

--- As somebody writes it by hand: comments everywhere, odd spacing, numbers and strings that no encoder would write so.
local REALISTIC = [==[
// Settings of this project; ask before you change the linters.
{
  "formatter": "prettier", // the team's choice

  /* Language servers,
     by name */
  "lsp": {
    "rust-analyzer": {
      "enable": true,
      "checkOnSave": { "command": "clippy", "extraArgs": [ "--", "-W", "clippy::all" ] },
      // "procMacro": false,
      "limits": [1, 2.50, 1E3, -0, 1.0, 9007199254740993, 18446744073709551615, 123456789012345678901234567890]
    },
    "eslint":{"run":"onSave","nested":{}},
    "empty": {},
    "comment only": {
      // nothing here yet
    }
  },
  "tasks": [
    { "name": "build", "args": [] }, // first
    {
      "name": "test",
      "env": { "RUST_LOG": "debug" }
    }
  ],
  "none": [],
  "file.associations" : { "*.h":   "cpp" },
  "escaped": "\u00e9\/ \ud83d\ude80 tab\t",
  "last": null // no comma
}
// the end
]==]

---@type table<string, fun(text: string): string>
local writings = {
  ["two spaces, LF"] = function(text)
    return text
  end,
  ["tabs"] = function(text)
    return (text:gsub("\n( +)", function(indent)
      return "\n" .. ("\t"):rep(#indent / 2)
    end))
  end,
  ["CRLF"] = function(text)
    return (text:gsub("\n", "\r\n"))
  end,
  ["a byte order mark"] = function(text)
    return "\239\187\191" .. text
  end,
  ["no final newline"] = function(text)
    return (text:gsub("\n$", ""))
  end,
  ["a byte order mark, tabs, CRLF, no final newline"] = function(text)
    local tabs = text:gsub("\n( +)", function(indent)
      return "\n" .. ("\t"):rep(#indent / 2)
    end)
    return "\239\187\191" .. tabs:gsub("\n$", ""):gsub("\n", "\r\n")
  end,
}

--- Replaces the one place where a text has a piece.
local function replaced(text, piece, new)
  local first, last = text:find(piece, 1, true)
  assert(first, piece)
  assert(not text:find(piece, last + 1, true), piece)
  return text:sub(1, first - 1) .. new .. text:sub(last + 1)
end

for name, writing in pairs(writings) do
  describe(("a file with %s"):format(name), function()
    local w, child, path
    local text = writing(REALISTIC)

    setup(function()
      w = workspace.new({ config = { ["alpha.json"] = text } })
      path = w.config_dir .. "/alpha.json"
      child = saving.open(w, "alpha")
      child:lua("load_now()")
      assert.are.same({}, child:lua("return errors"))
    end)
    teardown(function()
      child:stop()
    end)

    it("changes in the one place where a value was set, and back", function()
      for _, case in ipairs({
        { "'formatter', 'stylua'", '"prettier"', '"stylua"', "'formatter', 'prettier'" },
        {
          "'lsp.rust-analyzer.enable', false",
          '"enable": true',
          '"enable": false',
          "'lsp.rust-analyzer.enable', true",
        },
        { "'lsp.eslint.run', 7", '"onSave"', "7", "'lsp.eslint.run', 'onSave'" },
        {
          "'lsp.rust-analyzer.checkOnSave.extraArgs.2', '-D'",
          '"-W"',
          '"-D"',
          "{ 'lsp', 'rust-analyzer', 'checkOnSave', 'extraArgs', 2 }, '-W'",
        },
        { "'tasks.1.name', 'make'", '"build"', '"make"', "'tasks.1.name', 'build'" },
        { "{ 'file.associations', '*.h' }, 'c'", '"cpp"', '"c"', "{ 'file.associations', '*.h' }, 'cpp'" },
        { "'last', true", '"last": null', '"last": true', "'last', vim.NIL" },
      }) do
        child:lua(("assert(npc.set(%s)); saved()"):format(case[1]))
        assert.are.equal(replaced(text, case[2], case[3]), support.read(path))
        child:lua(("assert(npc.set(%s)); saved()"):format(case[4]))
        assert.are.equal(text, support.read(path))
      end
    end)

    it("is what it was once what was set is unset", function()
      for _, at in ipairs({
        "'new'",
        "'new.object.deep'",
        "'lsp.new'",
        "'lsp.rust-analyzer.new'",
        "'lsp.eslint.new'",
        "'lsp.eslint.nested.new'",
        "'lsp.empty.new'",
        "{ 'lsp', 'comment only', 'new' }",
        "'tasks.2.env.NEW'",
        "'tasks.1.args.1'",
        "'none.1'",
        "'lsp.rust-analyzer.limits.9'",
      }) do
        for _, value in ipairs({ "true", "'text'", "{ a = { 1, { b = 2 } } }" }) do
          child:lua(("assert(npc.set(%s, %s)); saved()"):format(at, value))
          local changed = support.read(path)
          assert.are_not.equal(text, changed)
          -- What was made on the way goes with what was set.
          local unset = at == "'new.object.deep'" and "'new'" or at
          child:lua(("assert(npc.set(%s, nil)); saved()"):format(unset))
          assert.are.equal(text, support.read(path), at)
        end
      end
    end)

    it("gets new keys in its own indentation and line ends", function()
      child:lua("npc.set('lsp.new', { deep = { list = { 1, { x = 2 } } } }); npc.set('another', 1); saved()")
      local changed = assert(support.read(path))
      local new_line, tabs = name:find("CRLF") and "\r\n" or "\n", name:find("tabs") ~= nil
      local kept, at = 0, 1
      -- Every line of the old text is still there, in order; only a comma may have come.
      for _, line in ipairs(vim.split(text, new_line, { plain = true })) do
        local first, last = changed:find(line, at, true)
        if not first then
          local with_comma = line:gsub("(%S)(%s*//[^/]*)$", "%1,%2")
          with_comma = with_comma == line and line .. "," or with_comma
          first, last = changed:find(with_comma, at, true)
        end
        assert.is_truthy(first, ("lost: %s\nin: %s"):format(line, changed))
        kept, at = kept + 1, last + 1
      end
      assert.is_true(kept > 20)
      for line in vim.gsplit((changed:gsub("^\239\187\191", "")), new_line, { plain = true }) do
        assert.is_nil(line:find("[\r\n]"), line)
        local indent = line:match("^%s*")
        if not line:find("by name", 1, true) then
          assert.is_nil(indent:find(tabs and " " or "\t"), ("%q in:\n%s"):format(line, changed))
          assert.is_true(tabs or #indent % 2 == 0, ("%q in:\n%s"):format(line, changed))
        end
      end
      child:lua("npc.set('lsp.new', nil); npc.set('another', nil); saved()")
      assert.are.equal(text, support.read(path))
      assert.are.same({}, child:lua("return errors"))
    end)

    it("means the same to another editor", function()
      local other = saving.open(w, "alpha")
      assert.are.equal(child:lua("return canonical(npc.ctx.json)"), other:lua("return canonical(load_now().json)"))
      assert.are.same({}, other:lua("return errors"))
      other:stop()
    end)
  end)
end

describe("a new key", function()
  ---@type { [1]: string, [2]: string, [3]: string, [4]: string }[] what, before, arguments, after
  local cases = {
    { "comes last, laid out as its neighbours are", '{\n  "a": 1\n}\n', "'b', 2", '{\n  "a": 1,\n  "b": 2\n}\n' },
    { "stays on the line where its neighbours are", '{ "a": 1 }', "'b', 2", '{ "a": 1, "b": 2 }' },
    { "takes the indentation of tabs", '{\n\t"a": 1\n}\n', "'b', 2", '{\n\t"a": 1,\n\t"b": 2\n}\n' },
    {
      "takes an indentation of four",
      '{\n    "o": {\n        "a": 1\n    }\n}\n',
      "'o.b', 2",
      '{\n    "o": {\n        "a": 1,\n        "b": 2\n    }\n}\n',
    },
    { "takes CRLF", '{\r\n  "a": 1\r\n}\r\n', "'b', 2", '{\r\n  "a": 1,\r\n  "b": 2\r\n}\r\n' },
    {
      "leaves the comment behind its neighbour where it is",
      '{\n  "a": 1 // one\n}\n',
      "'b', 2",
      '{\n  "a": 1, // one\n  "b": 2\n}\n',
    },
    {
      "of an element takes its line",
      '{\n  "l": [\n    1,\n    2\n  ]\n}\n',
      "'l.3', 3",
      '{\n  "l": [\n    1,\n    2,\n    3\n  ]\n}\n',
    },
    { "of an element takes its place in a line", '{ "l": [1, 2] }', "'l.3', 3", '{ "l": [1, 2, 3] }' },
    {
      "is written as strings are",
      '{\n  "a": 1\n}\n',
      [['q"\\\n', 'é\t"/']],
      '{\n  "a": 1,\n  "q\\"\\\\\\n": "é\\t\\"/"\n}\n',
    },
    { "is written as whole numbers are", '{\n  "a": 1\n}\n', "'b', 1e3", '{\n  "a": 1,\n  "b": 1000\n}\n' },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      local w = workspace.new({ config = { ["alpha.json"] = case[2] } })
      local child = saving.open(w, "alpha")
      child:lua(("load_now(); assert(npc.set(%s)); saved()"):format(case[3]))
      assert.are.equal(case[4], support.read(w.config_dir .. "/alpha.json"))
      child:stop()
    end)
  end
end)

describe("a key that is deleted", function()
  local TEXT = '{\n  "a": 1,\n  "b": { "c": 2 },\n  // about d\n\n  "d": [3, 4, 5]\n}\n'
  for at, after in pairs({
    ["'a'"] = '{\n  "b": { "c": 2 },\n  // about d\n\n  "d": [3, 4, 5]\n}\n',
    ["'b'"] = '{\n  "a": 1,\n  // about d\n\n  "d": [3, 4, 5]\n}\n',
    ["'d.2'"] = '{\n  "a": 1,\n  "b": { "c": 2 },\n  // about d\n\n  "d": [3, 5]\n}\n',
    ["'d.3'"] = '{\n  "a": 1,\n  "b": { "c": 2 },\n  // about d\n\n  "d": [3, 4]\n}\n',
  }) do
    it(("(%s) takes its line along, and nothing else"):format(at), function()
      local w = workspace.new({ config = { ["alpha.json"] = TEXT } })
      local child = saving.open(w, "alpha")
      child:lua(("load_now(); assert(npc.set(%s, nil)); saved()"):format(at))
      assert.are.equal(after, support.read(w.config_dir .. "/alpha.json"))
      child:stop()
    end)
  end

  it("takes every one of its duplicates along", function()
    local w = workspace.new({ config = { ["alpha.json"] = '{\n  "a": 1,\n  "twice": 1,\n  "twice": 2\n}\n' } })
    local child = saving.open(w, "alpha")
    child:lua("load_now(); npc.set('twice', 3); saved()")
    assert.are.same({ a = 1, twice = 3 }, child:lua("npc.setup(options); return load_now().json"))
    child:lua("npc.set('twice', nil); saved()")
    assert.are.same({ a = 1 }, child:lua("npc.setup(options); return load_now().json"))
    child:stop()
  end)
end)

describe("a list that was assigned as a whole", function()
  it("keeps the bytes and comments of the elements that stay", function()
    local text =
      '{\n  "l": [\n    1.0, // one\n    { "k": 1e2, /* k */ "v": "\\u0061" },\n    "gone",\n    [ 3 ]\n  ]\n}\n'
    local w = workspace.new({ config = { ["alpha.json"] = text } })
    local child = saving.open(w, "alpha")
    child:lua([[
      local json = load_now().json
      json.l = vim.deepcopy(json.l)
      json.l[2].v = "b"
      saved()
    ]])
    local path = w.config_dir .. "/alpha.json"
    assert.are.equal(replaced(text, '"\\u0061"', '"b"'), support.read(path))
    child:lua("table.remove(npc.ctx.json.l, 3); saved()")
    assert.are.equal(replaced(replaced(text, '"\\u0061"', '"b"'), '    "gone",\n', ""), support.read(path))
    child:stop()
  end)
end)

describe("a file that does not exist", function()
  it("is made with an indentation of two, and its directories with it", function()
    local w = workspace.new({ work = { ["big/.git"] = true, ["big/packages/web/package.json"] = "{}" } })
    vim.fn.delete(w.config_dir, "rf")
    local child = saving.open(w, "big/packages/web")
    child:lua("load_now(); npc.ctx.json.lsp = { enabled = true }")
    local path = w.config_dir .. "/big/web.json"
    saving.until_text(path, '{\n  "lsp": {\n    "enabled": true\n  }\n}\n')
    -- A file that everybody may write would be refused by the next load.
    assert.are.same({ lsp = { enabled = true } }, child:lua("npc.setup(options); return load_now().json"))
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it("leaves nothing beside it", function()
    local w = workspace.new()
    local child = saving.open(w, "alpha")
    child:lua("load_now(); for i = 1, 20 do npc.ctx.json.n = i; saved() end")
    assert.are.same({ "alpha.json" }, vim.fn.readdir(w.config_dir))
    child:stop()
    assert.are.same({ "alpha.json" }, vim.fn.readdir(w.config_dir))
  end)

  it("or is empty, or holds comments only, gets an object", function()
    for _, text in ipairs({ "", "\n", "// to be written\n", "{}", "{\n}\n" }) do
      local w = workspace.new({ config = { ["alpha.json"] = text } })
      local child = saving.open(w, "alpha")
      child:lua("load_now(); npc.set('a', 1); saved()")
      local changed = support.read(w.config_dir .. "/alpha.json")
      assert.is_true(not text:find("//", 1, true) or vim.startswith(changed, "// to be written\n"), changed)
      assert.are.same({ a = 1 }, child:lua("npc.setup(options); return load_now().json"), text)
      child:stop()
    end
  end)
end)

describe("the file that is written", function()
  local function open(w)
    local child = saving.open(w, "alpha")
    child:lua("load_now()")
    return child
  end

  it("is the .jsonc where the project has one", function()
    local w = workspace.new({ config = { ["alpha.jsonc"] = '{\n  "a": 1, // one\n}\n' } })
    local child = open(w)
    child:lua("npc.ctx.json.a = 2; saved()")
    assert.are.equal('{\n  "a": 2, // one\n}\n', support.read(w.config_dir .. "/alpha.jsonc"))
    child:lua("npc.ctx.json.b = 3; saved()")
    assert.are.same({ a = 2, b = 3 }, child:lua("npc.setup(options); return load_now().json"))
    assert.are.same({ "alpha.jsonc" }, vim.fn.readdir(w.config_dir))
    child:stop()
  end)

  it("stays a symbolic link, to a file or to another link", function()
    local w = workspace.new()
    local target = support.write(w.dir .. "/dotfiles/alpha.json", '{"a": 1}')
    assert(vim.uv.fs_symlink("alpha.json", w.dir .. "/dotfiles/link"))
    assert(vim.uv.fs_symlink("../dotfiles/link", w.config_dir .. "/alpha.json"))
    local child = open(w)
    child:lua("npc.ctx.json.a = 2; saved()")
    assert.are.equal("../dotfiles/link", vim.uv.fs_readlink(w.config_dir .. "/alpha.json"))
    assert.are.equal("alpha.json", vim.uv.fs_readlink(w.dir .. "/dotfiles/link"))
    assert.are.equal("file", vim.uv.fs_lstat(target).type)
    assert.are.equal('{"a": 2}', support.read(target))
    assert.are.same({ "alpha.json", "link" }, vim.fn.readdir(w.dir .. "/dotfiles"))
    assert.are.same({ "alpha.json" }, vim.fn.readdir(w.config_dir))
    child:stop()
  end)

  it("stays linked to its other names", function()
    local w = workspace.new({ config = { ["alpha.json"] = '{"a": 1, "long": "enough to become shorter"}' } })
    local path = w.config_dir .. "/alpha.json"
    assert(vim.uv.fs_link(path, w.dir .. "/other name"))
    local before = vim.uv.fs_stat(path)
    local child = open(w)
    child:lua("npc.ctx.json.a, npc.ctx.json.long = 2, nil; saved()")
    local after = vim.uv.fs_stat(path)
    assert.are.same({ before.ino, 2 }, { after.ino, after.nlink })
    assert.are.equal('{"a": 2}', support.read(path))
    assert.are.equal('{"a": 2}', support.read(w.dir .. "/other name"))
    assert.are.same({ "alpha.json" }, vim.fn.readdir(w.config_dir))
    child:stop()
  end)

  it("keeps its mode", function()
    for _, mode in ipairs({ "600", "640", "644", "755" }) do
      local w = workspace.new({ config = { ["alpha.json"] = '{"a": 1}' } })
      local path = w.config_dir .. "/alpha.json"
      assert(vim.uv.fs_chmod(path, tonumber(mode, 8)))
      local child = open(w)
      child:lua("npc.ctx.json.a = 2; saved()")
      assert.are.equal('{"a": 2}', support.read(path))
      assert.are.equal(mode, ("%o"):format(vim.uv.fs_stat(path).mode % 4096))
      child:stop()
    end
  end)
end)
