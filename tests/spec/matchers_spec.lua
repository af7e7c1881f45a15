-- Matchers: conditions on directories and on file names, of every kind, nested, and what goes wrong in the user's own ones.
local stages = require("tests.support.stages")
local workspace = require("tests.support.workspace")

local WORK = {
  ["top/.marker"] = "",
  ["top/.hidden"] = "",
  ["top/mid/package.json"] = "{}",
  ["top/mid/thing.cabal"] = "",
  ["top/mid/.marker"] = "",
  ["top/mid/Upper.TXT"] = "",
  ["top/mid/low/a[1].x"] = "",
  ["top/mid/low/b.sln"] = true,
  ["top/mid/low/deep/er"] = true,
}
local START = "top/mid/low/deep/er"

--- Which directory is the project with this matcher, in the same editor one after the other.
---@param cases { [1]: string, [2]: string }[] a matcher in Lua, the project's directory
---@param make? string stages in Lua; `matcher` is the matcher
local function check_detected(cases, make)
  local w = workspace.new({ work = WORK })
  local child = stages.open(w, START)
  for _, case in ipairs(cases) do
    local root = child:lua(([[
      local matcher = %s
      return told(load_with(%s)).root
    ]]):format(case[1], make or "{ walk(), detect({ matcher = matcher }), find_files(), execute() }"))
    assert.are.equal(case[2], root, case[1])
  end
  assert.are.same({}, child:lua("return errors"))
  child:stop()
end

-- The start directory is the project where nothing matches.
local NATIVE = {
  { "'.marker'", "top/mid" },
  { "'.marke'", START },
  { "'.MARKER'", START },
  { "{ '.hidden', 'absent' }", "top" },
  { "{}", START },
  { "m.literal('b.sln')", "top/mid/low" },
  { "m.literal('a[1].x')", "top/mid/low" },
  { "m.glob('*.cabal')", "top/mid" },
  { "m.glob('*.{sln,cabal}')", "top/mid/low" },
  { "m.glob('.hid*')", "top" },
  { "m.glob('thing.?abal')", "top/mid" },
  { "m.glob('[a-c].sln')", "top/mid/low" },
  { "m.glob('[!a-c].sln')", START },
  { "m.glob('cabal')", START },
  { "m.any('absent', '.hidden')", "top" },
  { "m.any()", START },
  { "m.all('.marker', '.hidden')", "top" },
  { "m.all('.marker', m.not_('.hidden'))", "top/mid" },
  { "m.all('.marker', m.not_('package.json'))", "top" },
  { "m.not_(m.not_('.hidden'))", "top" },
  { "m.any(m.all('.hidden', 'absent'), m.all('.marker', m.any('absent', '.hidden')))", "top" },
  { "{ m.glob('*.none'), m.all('.hidden', m.glob('.mark*')) }", "top" },
}

-- What is asked of the main loop.
local ASKED = {
  { "m.pattern('^%.hid')", "top" },
  { "m.pattern('cabal')", "top/mid" },
  { "m.pattern('^%u')", "top/mid" },
  { [[m.regex('\\.sln$')]], "top/mid/low" },
  { [[m.regex('^\\u')]], "top/mid" },
  { [[m.regex('\\cUPPER')]], "top/mid" },
  { "m.regex('UPPER')", START },
  { "function(dir) return dir == work .. '/top' end", "top" },
  { "m.fn(function(dir) return vim.uv.fs_stat(dir .. '/.hidden') end)", "top" },
  { "function() return true end", START },
  { "function() end", START },
  { "function() return 0 end", START },
  { "function() return '' end", START },
  { "m.not_(function(dir) return #dir > #work + 4 end)", "top" },
  { "m.all('.marker', function(dir) return vim.fs.basename(dir) == 'top' end)", "top" },
  { "m.any('.hidden', function(dir) return vim.fs.basename(dir) == 'mid' end)", "top/mid" },
  { "m.all(m.pattern('^%.marker$'), m.not_(m.regex('json$')))", "top" },
  {
    "m.all(m.any('absent', m.pattern('^%.hid')), m.not_(m.all('absent', function() error('never asked') end)))",
    "top",
  },
  { "{ m.pattern('^%.absent%-'), { m.regex('^[.]absent-'), function(dir) return dir == work .. '/top' end } }", "top" },
}

-- The nearest directory with one of the first group; only if there is none on the whole way, the next group.
local PRIORITY = {
  { "{ { '.hidden' }, 'b.sln' }", "top" },
  { "{ { 'absent', '.hidden' }, { 'b.sln' } }", "top" },
  { "{ 'absent', { '.hidden', '.marker' } }", "top/mid" },
  { "{ { 'absent' }, 'b.sln' }", "top/mid/low" },
  { "{ 'absent', { 'neither' } }", START },
  { "{ { m.pattern('^%.hid') }, 'b.sln' }", "top" },
  { "{ { function(dir) return dir == work .. '/top' end }, { m.glob('*.sln') } }", "top" },
  -- What `m.any` has made is no list: such a list is a flat one.
  { "{ m.any('.hidden'), 'b.sln' }", "top/mid/low" },
}

describe("a matcher of detect", function()
  it("that is native", function()
    check_detected(NATIVE)
  end)

  it("that is asked of the editor", function()
    check_detected(ASKED)
  end)

  it("in order of priority", function()
    check_detected(PRIORITY)
  end)

  it("means with override the last directory that matches", function()
    check_detected({
      { "'.marker'", "top" },
      { "m.pattern('^%.marker$')", "top" },
      { "function(dir) return vim.startswith(dir, work .. '/top') end", "top" },
    }, "{ walk(), detect({ matcher = matcher, override = true }), find_files(), execute() }")
  end)

  it("with lists in a list says what vim.fs.root says", function()
    local w = workspace.new({ work = WORK })
    local child = stages.open(w, START)
    local result = child:lua([[
      if not pcall(vim.fs.root, work, { { ".hidden" } }) then
        return {} -- Neovim 0.10 knows flat lists only
      end
      local lists = {
        { { ".hidden" }, "package.json" }, { { "absent", ".hidden" }, ".marker" }, { "b.sln", { ".hidden", ".marker" } },
        { "absent", { "package.json", ".hidden" }, "b.sln" }, { { "absent" }, { ".hidden", "b.sln" } },
        { { ".hidden", ".marker" } }, { { "package.json", ".hidden", "b.sln" } }, { { "absent" } },
      }
      local different = {}
      for _, list in ipairs(lists) do
        for _, dir in ipairs({ "top", "top/mid", "top/mid/low", "top/mid/low/deep/er" }) do
          local ctx = load_with({ walk(), detect({ matcher = list }) }, dir)
          local expected = vim.fs.root(work .. "/" .. dir, list) or work .. "/" .. dir
          if ctx.project_root ~= expected then
            table.insert(different, { list, dir, ctx.project_root, expected })
          end
        end
      end
      return different
    ]])
    assert.are.same({}, result)
    child:stop()
  end)
end)

describe("a matcher of walk", function()
  local FIRST = "{ walk({ matcher = matcher }), detect({ matcher = function() return true end }) }"

  it("that is native", function()
    check_detected(NATIVE, FIRST)
  end)

  it("that is asked of the editor", function()
    check_detected(ASKED, FIRST)
  end)

  it("has no use for priority: it takes any of them", function()
    check_detected({
      { "{ { '.hidden' }, 'b.sln' }", "top/mid/low" },
      { "{ { 'absent', '.hidden' }, { 'b.sln' } }", "top/mid/low" },
    }, FIRST)
  end)

  it("downwards", function()
    local w = workspace.new({ work = WORK })
    local child = stages.open(w, "top")
    for matcher, expected in pairs({
      ["'.marker'"] = { "top", "top/mid" },
      ["m.not_('.marker')"] = { "top/mid/low", "top/mid/low/b.sln", "top/mid/low/deep", "top/mid/low/deep/er" },
      ["m.pattern('sln$')"] = { "top/mid/low" },
      ["function(dir) return vim.fs.basename(dir) == 'er' end"] = { "top/mid/low/deep/er" },
    }) do
      local dirs = child:lua(([[
        local dirs = {}
        assert(load_with({ walk({ direction = "down", matcher = %s }), collect(dirs) }))
        return vim.tbl_map(function(dir) return dir:sub(#work + 2) end, dirs)
      ]]):format(matcher))
      assert.are.same(expected, dirs, matcher)
    end
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)
end)

describe("a matcher of find_files", function()
  local CONFIG = {
    ["top.json"] = "{}",
    ["top.lua"] = "",
    ["top/a.lua"] = "",
    ["top/b.lua"] = "",
    ["top/B2.lua"] = "",
    ["top/c.vim"] = "",
  }

  it("looks at the file's own name", function()
    local w = workspace.new({ work = { ["top/.git"] = true }, config = CONFIG })
    local child = stages.open(w, "top")
    for _, case in ipairs({
      { "'a.lua'", { "top/a.lua" } },
      { "{ 'c.vim', 'a.lua' }", { "top/a.lua", "top/c.vim" } },
      { "{ { 'c.vim' }, 'a.lua' }", { "top/a.lua", "top/c.vim" } },
      { "m.glob('?.lua')", { "top/a.lua", "top/b.lua" } },
      { "m.glob('top*')", { "top.json", "top.lua" } },
      { "m.all(m.glob('*.lua'), m.not_('top.lua'))", { "top/B2.lua", "top/a.lua", "top/b.lua" } },
      { "m.pattern('^%l%.')", { "top/a.lua", "top/b.lua", "top/c.vim" } },
      { [[m.regex('\\cb')]], { "top/B2.lua", "top/b.lua" } },
      { "function(name) return name == 'b.lua' end", { "top/b.lua" } },
      {
        "function(name, path) return path == config_dir .. '/top/' .. name end",
        { "top/B2.lua", "top/a.lua", "top/b.lua", "top/c.vim" },
      },
      {
        "m.any('c.vim', m.all(m.pattern('lua$'), function(name) return #name == 5 end))",
        { "top/a.lua", "top/b.lua", "top/c.vim" },
      },
      { "m.not_(m.any(m.pattern('.'), 'x'))", {} },
    }) do
      local files = child:lua(([[
        return told(load_with({ walk(), detect(), find_files({ matcher = %s }), execute() })).files
      ]]):format(case[1]))
      assert.are.same(case[2], files, case[1])
    end
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)
end)

describe("a matcher's function", function()
  --- Loads once with a detect stage of this matcher.
  ---@param matcher string
  ---@param check fun(child: test.Child, result: table)
  local function load(matcher, check)
    local w =
      workspace.new({ work = WORK, config = { ["top.lua"] = "note('top.lua')", ["er.lua"] = "note('er.lua')" } })
    local child = stages.open(w, START, {
      setup = ([[{
        pipeline = { walk(), detect({ matcher = %s }), find_files(), execute() },
        on_load = function() note("on_load") end,
      }]]):format(matcher),
    })
    check(child, child:lua("return told(load_now())"))
    child:stop()
  end

  it("gets each directory once, absolute, and only where the rest has not decided", function()
    load([[m.any("absent", m.all(m.not_(".hidden"), function(dir) note(dir) end))]], function(child, result)
      assert.are.equal(START, result.root)
      local dirs = child:lua("return vim.tbl_filter(function(event) return event:find('^/') end, events)")
      assert.are.equal(#dirs, #vim.fn.uniq(vim.fn.sort(vim.deepcopy(dirs))))
      local work = child:lua("return work")
      assert.is_true(vim.list_contains(dirs, work .. "/" .. START))
      assert.is_true(vim.list_contains(dirs, work .. "/top/mid"))
      assert.is_true(vim.list_contains(dirs, "/"))
      assert.is_false(vim.list_contains(dirs, work .. "/top"))
    end)
  end)

  it("that throws is no match, reported once with the stage", function()
    load("function() error('thrown on purpose') end", function(child, result)
      assert.are.equal(START, result.root)
      assert.are.same({ "er.lua", "on_load" }, child:lua("return events"))
      local errors = child:lua("return errors")
      assert.are.equal(1, #errors)
      assert.are.equal("runtime", errors[1].code)
      local message = errors[1].message
      assert.are.equal("pipeline stage 2 (detect): matcher: ", message:sub(1, 36))
      assert.is_truthy(message:find("thrown on purpose", 1, true), message)
    end)
  end)

  it("that throws for one directory still decides the others", function()
    load(
      "function(dir) if dir:find('deep') then error('deep') end return dir == work .. '/top' end",
      function(child, result)
        assert.are.equal("top", result.root)
        assert.are.equal(1, #child:lua("return errors"))
        assert.are.same({ "top.lua", "on_load" }, child:lua("return events"))
      end
    )
  end)

  it("may change the current directory", function()
    load("function(dir) vim.cmd.cd('/') return dir == work .. '/top' end", function(child, result)
      assert.are.equal("top", result.root)
      assert.are.equal("/", child:lua("return vim.fn.getcwd()"))
      assert.are.same({ "top.lua", "on_load" }, child:lua("return events"))
      assert.are.same({}, child:lua("return errors"))
    end)
  end)

  it("may await, and waits of its own do not hold back the editor", function()
    load("function(dir) pause() pause() return dir == work .. '/top' end", function(child, result)
      assert.are.equal("top", result.root)
      assert.are.same({}, child:lua("return errors"))
    end)
  end)

  it("may await what other runners know as an awaitable", function()
    load(
      [[function(dir)
        local found = coroutine.yield(function(step)
          vim.uv.fs_stat(dir .. "/.hidden", function(_, stat) step(stat) end)
        end, 1)
        return found
      end]],
      function(child, result)
        assert.are.equal("top", result.root)
        assert.are.same({}, child:lua("return errors"))
      end
    )
  end)

  it("that yields nonsense is no match, reported once with the stage", function()
    load("function() coroutine.yield(5) return true end", function(child, result)
      assert.are.equal(START, result.root)
      local errors = child:lua("return errors")
      assert.are.equal(1, #errors)
      assert.is_truthy(
        errors[1].message:find("^pipeline stage 2 %(detect%): matcher: yielded a number"),
        errors[1].message
      )
    end)
  end)

  it("may load another project and wait for it", function()
    load(
      [[function(dir)
        if dir ~= work .. "/top" then return false end
        local ctx = npc.load_await({ loading = { start_dir = work .. "/top/mid" }, pipeline = { detect({ matcher = "package.json" }) } })
        return ctx.project_name == "mid"
      end]],
      function(child, result)
        assert.are.equal("top", result.root)
        assert.are.same({}, child:lua("return errors"))
      end
    )
  end)
end)

describe("a matcher that is wrong", function()
  -- What is made → what the message says.
  local cases = {
    {
      "detect({ matcher = 5 })",
      "stages.detect: matcher: expected a string, a function, a list or a matcher, got number",
    },
    { "walk({ matcher = true })", "stages.walk: matcher: expected", "got boolean" },
    { "find_files({ matcher = print() or vim.NIL })", "stages.find_files: matcher: expected", "got userdata" },
    { "detect({ matcher = { '.git', { 5 } } })", "stages.detect: matcher[2][1]: expected", "got number" },
    { "detect({ matcher = { name = '.git' } })", "stages.detect: matcher: expected a list" },
    { "detect({ matcher = '' })", "stages.detect: matcher: expected a name, got an empty string" },
    {
      "detect({ matcher = 'src/main' })",
      "stages.detect: matcher: expected the name of a file or directory",
      "src/main",
    },
    { "detect({ matcher = 'a\\0b' })", "stages.detect: matcher: expected the name of a file or directory" },
    { "detect({ matcher = (function() local l = {} l[1] = l return l end)() })", "nested at most 100 deep" },
    { "m.any('a', nil, 'b')", "matchers.any: argument 2: expected", "got nil" },
    { "m.all({ 'a', 5 })", "matchers.all: argument 1[2]: expected", "got number" },
    { "m.not_()", "matchers.not_: expected", "got nil" },
    { "m.literal(5)", "matchers.literal: expected a name, got number" },
    { "m.pattern('[a')", "matchers.pattern: '[a' is no Lua pattern", "']'" },
    { "m.pattern('a%')", "matchers.pattern: 'a%' is no Lua pattern" },
    { "m.pattern('(a')", "matchers.pattern: '(a' is no Lua pattern" },
    { "m.pattern('x%b')", "matchers.pattern: 'x%b' is no Lua pattern" },
    { "m.pattern('x%2')", "matchers.pattern: 'x%2' is no Lua pattern" },
    { "m.pattern({})", "matchers.pattern: expected a Lua pattern, got table" },
    { "m.glob('[a')", "matchers.glob: the glob '[a' is not valid" },
    { "m.glob('{a')", "matchers.glob: the glob '{a' is not valid" },
    { "m.glob('a\\255')", "matchers.glob:", "UTF-8" },
    { "m.glob(5)", "matchers.glob: expected a glob, got number" },
    { "m.regex([[\\(]])", "matchers.regex: '\\(' is no regular expression: E54" },
    { "m.regex(5)", "matchers.regex: expected a Vim regular expression, got number" },
    { "m.fn('x')", "matchers.fn: expected a function, got string" },
    { "execute({ router = { { 5, print } } })", "stages.execute: router[1][1]: expected", "got number" },
  }

  it("is refused when it is made, in one line that says where and what is wanted", function()
    local child = stages.open(workspace.new(), "alpha")
    for _, case in ipairs(cases) do
      local result = child:lua(("return { pcall(function() return %s end) }"):format(case[1]))
      assert.is_false(result[1], case[1] .. " raised no error")
      local message = result[2]
      assert.are.equal("nvim-project-config: ", message:sub(1, 21), case[1])
      assert.is_nil(message:find("\n", 1, true), message)
      for index = 2, #case do
        assert.is_truthy(message:find(case[index], 1, true), ("%s: %s"):format(case[1], message))
      end
    end
    child:stop()
  end)

  it("is accepted where it only looks wrong", function()
    local child = stages.open(workspace.new(), "alpha")
    for _, text in ipairs({
      "m.pattern('[]]')",
      "m.pattern('[^]]')",
      "m.pattern('%[')",
      "m.pattern('(a)%1')",
      "m.pattern('%f[%w]a')",
      "m.pattern('%b()')",
      "m.pattern('^')",
      "m.glob('a]')",
      "m.glob('**')",
      "m.literal('[a')",
    }) do
      assert.are.same(
        { true },
        child:lua(
          ("local ok, err = pcall(function() return %s end) return { ok, err and err.op == nil and err or nil }"):format(
            text
          )
        ),
        text
      )
    end
    child:stop()
  end)
end)

it("a matcher that somebody has changed since is an error of the load", function()
  local child = stages.open(workspace.new(), "alpha")
  local result = child:lua([[
    local stage = detect({ matcher = ".git" })
    stage.matcher = ".hg"
    local cyclic = m.not_("x")
    cyclic[1] = cyclic
    local other = detect({ matcher = ".git" })
    other.matcher = cyclic
    return { told(load_with({ walk(), stage })), told(load_with({ walk(), other })) }
  ]])
  assert.are.equal("invalid_argument", result[1].err)
  assert.is_truthy(result[1].message:find("pipeline[2]: matcher: expected", 1, true), result[1].message)
  assert.are.equal("invalid_argument", result[2].err)
  child:stop()
end)
