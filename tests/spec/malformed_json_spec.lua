-- JSON that is wrong in every way seen in the wild: one error with file, line and column, and everything else loads.
local project = require("tests.support.project")
local support = require("tests.support")

-- `@` marks where the error is; two of them the first and the last column that a reader would accept.
local malformed = {
  nan = '{\n  "a": @NaN\n}',
  infinity = '{"a": @Infinity}',
  minus_infinity = '{"a": @-@Infinity}',
  hexadecimal = '{\n\n  "a": @0@x10\n}',
  leading_zero = '{"a": @0@1}',
  minus_leading_zero = '{"a": @-0@1}',
  unary_plus = '{"a": @+1}',
  bare_fraction = '{"a": @.5}',
  bare_point = '{"a": @1.@}',
  bare_exponent = '{"a": @1e@}',
  raw_newline = '{"a": @"b@\nc"}',
  raw_return = '{"a": @"b@\rc"}',
  raw_tab = '{"a": @"b@\tc"}',
  raw_nul = '{"a": @"b@\0c"}',
  raw_escape = '{"a": @"b@\27c"}',
  nul_outside = '{"a": 1@\0}',
  nul_after = '{"a": 1}\n@\0',
  form_feed = '{@\f"a": 1}',
  vertical_tab = '{"a":@\v1}',
  no_break_space = '{\n@\194\160"a": 1}',
  line_separator = '{"a": 1@\226\128\168}',
  second_bom = '\239\187\191@\239\187\191{"a": 1}',
  bom_inside = '{@\239\187\191"a": 1}',
  single_quotes = "{@'a': 1}",
  single_quoted_value = "{\"a\": @'b'}",
  bare_key = "{\n@a: 1}",
  number_as_key = "{@1: 1}",
  missing_comma = '{"a": 1@\n "b": 2}',
  missing_colon = '{"a"@ @1}',
  missing_value = '{"a": @}',
  two_commas = '{"a": 1,@,}',
  only_comma = "{@,}",
  comma_as_value = '{"a": [1,@,2]}',
  wrong_bracket = '{"a": [1@}}',
  extra_bracket = '{"a": 1}@}',
  unclosed = '{"a": 1@\n@',
  unclosed_string = '{"a": @"b@',
  unclosed_comment = '{"a": 1}\n@/* b@',
  nested_comment = '{"a": 1 /* /* */ @*/ }',
  hash_comment = '{"a": 1}\n@# b',
  two_values = '{"a": 1}\n@{"b": 2}',
  unknown_word = '{"a": @True}',
  unknown_escape = '{"a": @"\\@x41"}',
  short_escape = '{"a": @"\\@u00G0"}',
  half_pair = '{"a": @"@\\ud800"}',
  python_none = '{"a": @None}',
  yaml = "@a: 1\n",
  garbage = "@\1\2\3",
}

local not_utf8 = {
  invalid_byte = '{"a": "@\255"}',
  latin1 = '{"a": "a@\233"}',
  overlong = '{"a": "@\192\128"}',
  surrogate = '{"a": "@\237\160\128"}',
  utf16 = "@\255\254{\0}\0",
  cut_short = '{"a": 1}\n// @\226\130',
}

local not_an_object = {
  array = "@[1]",
  string = '\n  @"text"',
  number = "@1",
  null = "@null",
}

--- The text without its marks, and where they were.
---@param marked string
---@return string text, integer line, integer first_column, integer last_column
local function unmarked(marked)
  local first = assert(marked:find("@", 1, true))
  local last = (marked:find("@", first + 1, true) or first + 1) - 1
  local text = marked:gsub("@", "")
  local before = text:sub(1, first - 1):gsub("^\239\187\191", "")
  local _, breaks = before:gsub("\n", "")
  local column = #before:match("[^\n]*$") + 1
  return text, breaks + 1, column, column + last - first
end

describe("a malformed JSON file gives one error with file, line and column, and the other files load:", function()
  local function check(cases, code)
    local files = {
      ["proj.json"] = '{"first": 1}',
      ["proj/zz.json"] = '{"last": 1}',
      ["proj.lua"] = 'table.insert(_G.ran, "lua")',
    }
    for name, marked in pairs(cases) do
      files["proj/" .. name .. ".json"] = (unmarked(marked))
    end
    local p = project.start({ files = files })
    assert.are.same({ loaded = true }, p:load())
    local errors, counts = p:errors_by_file()
    for name, marked in pairs(cases) do
      local _, line, first, last = unmarked(marked)
      local file = "proj/" .. name .. ".json"
      local err = errors[file]
      assert.is_truthy(err, file .. " was not reported")
      assert.are.equal(1, counts[file], file)
      assert.are.equal(code, err.code, err.message)
      local place = ("%s/%s:%d:%d: "):format(p.config_dir, file, err.line, err.column)
      assert.are.equal(place, err.message:sub(1, #place))
      assert.are.equal(line, err.line, err.message)
      local fits = err.column >= first and err.column <= last
      assert.is_true(fits, ("%s\nwanted column %d to %d"):format(err.message, first, last))
    end
    assert.are.equal(vim.tbl_count(cases), #p:errors())
    assert.are.same({ first = 1, last = 1 }, p:json())
    assert.are.same({ "lua" }, p:ran())
    assert.are.equal(0, p.child:stop().code)
  end

  it("syntax", function()
    check(malformed, "syntax")
  end)

  it("bytes that are not UTF-8", function()
    check(not_utf8, "encoding")
  end)

  it("values that are not settings", function()
    check(not_an_object, "unsupported_value")
  end)
end)

describe("a million brackets are one error and overflow no stack:", function()
  local count = 1000000
  local texts = {
    arrays = '{"a": ' .. ("["):rep(count),
    closed_arrays = '{"a": ' .. ("["):rep(count) .. ("]"):rep(count) .. "}",
    objects = ('{"a":'):rep(count),
    closed_objects = ('{"a":'):rep(count) .. "1" .. ("}"):rep(count),
    lines = ("[\n"):rep(count),
  }
  it("open and closed ones", function()
    local files = { ["proj/zz.json"] = '{"last": 1}' }
    for name, text in pairs(texts) do
      files["proj/" .. name .. ".json"] = text
    end
    local p = project.start({ files = files })
    assert.are.same({ loaded = true }, p:load())
    local errors, counts = p:errors_by_file()
    for name in pairs(texts) do
      local err = errors["proj/" .. name .. ".json"]
      assert.is_truthy(err, name)
      assert.are.equal(1, counts["proj/" .. name .. ".json"])
      assert.are.equal("depth", err.code, err.message)
      -- It is found where the nesting becomes too deep, long before the end.
      assert.is_true(err.line * err.column > 1 and err.line * err.column < count, err.message)
    end
    assert.are.equal(vim.tbl_count(texts), #p:errors())
    assert.are.same({ last = 1 }, p:json())
    assert.are.equal(0, p.child:stop().code)
  end)

  it("closing ones without an opening one are a syntax error", function()
    local p = project.start({ files = { ["proj.json"] = ("]"):rep(count) } })
    assert.are.same({ loaded = true }, p:load())
    assert.are.equal(1, #p:errors())
    assert.are.same({ "syntax", 1, 1 }, { p:errors()[1].code, p:errors()[1].line, p:errors()[1].column })
    p.child:stop()
  end)

  it("in a string they are text", function()
    local text = '{"a": "' .. ("["):rep(count) .. '"}'
    local p = project.start({ files = { ["proj.json"] = text } })
    assert.are.same({ loaded = true }, p:load())
    assert.are.same({}, p:errors())
    assert.are.equal(count, p.child:lua([[return #require("nvim-project-config").ctx.json.a]]))
    p.child:stop()
  end)
end)

describe("a file over the size limit", function()
  -- What the child's threads have read from files so far; nil where the system does not say.
  local function bytes_read(p)
    local text = support.read(("/proc/%d/io"):format(p.child.pid))
    return text and tonumber(text:match("rchar: (%d+)"))
  end

  it("of 1 GB is refused unread", function()
    local p = project.new({ files = { ["proj.json"] = "", ["proj/zz.json"] = '{"last": 1}' } })
    local file = assert(vim.uv.fs_open(p.config_dir .. "/proj.json", "r+", 0))
    assert(vim.uv.fs_ftruncate(file, 2 ^ 30))
    vim.uv.fs_close(file)
    p:open()
    local before = bytes_read(p)
    assert.are.same({ loaded = true }, p:load())
    if before then
      local read = bytes_read(p) - before
      assert.is_true(read < 2 ^ 24, ("%d bytes were read"):format(read))
    end
    assert.are.equal(1, #p:errors())
    local err = p:errors()[1]
    assert.are.equal("too_large", err.code)
    assert.are.equal(p.config_dir .. "/proj.json", err.path)
    assert.is_truthy(err.message:find("max_file_size", 1, true), err.message)
    assert.are.same({ last = 1 }, p:json())
    p.child:stop()
  end)

  it("is refused by one byte, of each kind, and loads once the limit allows it", function()
    local files = {
      ["proj.json"] = '{"json": 10}',
      ["proj.lua"] = "table.insert(_G.ran, 'lua')",
      ["proj.vim"] = "lua table.insert(_G.ran, 'vim')",
    }
    local p = project.start({ files = files, setup = "{ cache = { max_file_size = 11 } }" })
    assert.are.same({ loaded = true }, p:load())
    local errors = p:errors_by_file()
    assert.are.equal(3, #p:errors())
    for name in pairs(files) do
      assert.are.equal("too_large", errors[name].code)
    end
    assert.are.same({}, p:ran())
    p:load("{ cache = { max_file_size = 12 } }")
    assert.are.same({ json = 10 }, p:json())
    assert.are.equal(5, #p:errors())
    p:load("{ cache = { max_file_size = 31 } }")
    assert.are.same({ "lua", "vim" }, p:ran())
    assert.are.equal(5, #p:errors())
    p.child:stop()
  end)
end)

describe("a file with nothing wrong in it loads:", function()
  it("with a byte order mark, and with nothing in it", function()
    local bom = "\239\187\191"
    local p = project.start({
      files = {
        ["proj/bom.json"] = bom .. '{"bom": true}',
        ["proj/bom.jsonc"] = bom .. '// c\n{"jsonc": true}',
        ["proj/bom_only.json"] = bom,
        ["proj/empty.json"] = "",
        ["proj/blank.json"] = " \r\n\t\n",
        ["proj/comment.json"] = "// nothing yet\n/* nor here */",
        ["proj/object.json"] = "{}",
      },
    })
    assert.are.same({ loaded = true }, p:load())
    assert.are.same({}, p:errors())
    assert.are.same({ bom = true, jsonc = true }, p:json())
    assert.are.equal(7, vim.tbl_count(p.child:lua([[return require("nvim-project-config").ctx._files_loaded]])))
    p.child:stop()
  end)

  it("with comments, one trailing comma, and line ends of every kind", function()
    local p = project.start({
      files = { ["proj.json"] = '// head\r\n{ /* a */ "a": [1, 2,], // b\r\n "b": {"c": null,},\r\n}\r\n' },
    })
    assert.are.same({ loaded = true }, p:load())
    assert.are.same({}, p:errors())
    assert.are.same({ a = { 1, 2 }, b = { c = vim.NIL } }, p:json())
    p.child:stop()
  end)
end)

it("a file that becomes malformed keeps its last good values until it is mended", function()
  local p = project.start({ files = { ["proj.json"] = '{"a": 1}', ["proj/b.json"] = '{"b": 1}' } })
  p:load()
  support.write(p.config_dir .. "/proj.json", '{"a": 2')
  support.write(p.config_dir .. "/proj/b.json", '{"b": 2}')
  assert.are.same({ loaded = true }, p:load())
  assert.are.same({ a = 1, b = 2 }, p:json())
  assert.are.equal(1, #p:errors())
  support.write(p.config_dir .. "/proj.json", '{"a": 3}')
  p:load()
  assert.are.same({ a = 3, b = 2 }, p:json())
  assert.are.equal(1, #p:errors())
  p.child:stop()
end)
