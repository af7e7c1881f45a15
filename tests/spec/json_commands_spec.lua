-- :ProjectConfig get, set, unset: single settings by hand, with completion of their paths.
local saving = require("tests.support.saving")
local support = require("tests.support")
local workspace = require("tests.support.workspace")

local BEFORE = [[{
  "formatter": "prettier",
  "format_on_save": true,
  "lsp": { "rust": { "enabled": true, "level": 3 }, "lua": { "enabled": false }, "none": null },
  "list": ["a", { "k": "v" }],
  "text": "two words",
  "a.b": { "c.d": 1, "e": 2 },
  "with space": { "x": 1 },
  "empty": {}
}]]

---@param config? test.Tree
local function open(config)
  local w = workspace.new({ config = config or { ["alpha.json"] = BEFORE } })
  local child = saving.open(w, "alpha", { before = support.room_for_messages })
  child:lua("load_now()")
  return child, w.config_dir .. "/alpha.json"
end

--- What a command says: its output and the notifications that follow; and whether one of these is an error.
---@return string text, boolean is_error
local function said(child, arguments)
  local before = #child:notifications()
  local output = child:lua(
    [[
    local ok, result = pcall(vim.api.nvim_exec2, ..., { output = true })
    idle()
    return ok and result.output or tostring(result)
  ]],
    "ProjectConfig " .. arguments
  )
  local texts, is_error = { output }, false
  local seen = child:notifications()
  for index = before + 1, #seen do
    table.insert(texts, seen[index].message)
    is_error = is_error or seen[index].level == vim.log.levels.ERROR
  end
  return table.concat(texts, "\n"), is_error
end

local function complete(child, line)
  return child:lua("return vim.fn.getcompletion(..., 'cmdline')", "ProjectConfig " .. line)
end

describe("a path with backslashes", function()
  it("reaches keys with dots, spaces and backslashes in them", function()
    local child, path = open({ ["alpha.json"] = [[{"a b": {"c.d": 1}, "back\\": {"slash": 2}}]] })
    for command, shown in pairs({
      [ [[get a\ b.c\.d]] ] = "= 1",
      [ [[get back\\.slash]] ] = "= 2",
      [ [[get back\]] ] = "slash",
    }) do
      local text, is_error = said(child, command)
      assert.is_false(is_error, text)
      assert.is_truthy(text:find(shown, 1, true), text)
    end
    for _, candidate in ipairs(complete(child, "get back")) do
      assert.is_truthy(said(child, "get " .. candidate):find("slash", 1, true), candidate)
    end
    said(child, [[set a\ b.c\.d two words]])
    saving.until_value(path, { ["a b"] = { ["c.d"] = "two words" }, ["back\\"] = { slash = 2 } })
    child:stop()
  end)
end)

describe(":ProjectConfig get", function()
  local child
  setup(function()
    child = open()
  end)
  teardown(function()
    child:stop()
  end)

  it("shows what JSON cannot hold, too", function()
    child:lua("npc.ctx.json.odd = { print, [9] = 1 }")
    local text, is_error = said(child, "get odd")
    child:lua("npc.ctx.json.odd = nil")
    assert.is_false(is_error, text)
    assert.is_truthy(text:find("odd = { <function 1>", 1, true), text)
  end)

  it("shows a value", function()
    for path, pieces in pairs({
      ["formatter"] = { "prettier" },
      ["text"] = { "two words" },
      ["lsp.rust.enabled"] = { "true" },
      ["lsp.rust.level"] = { "3" },
      ["lsp.lua.enabled"] = { "false" },
      ["lsp.none"] = { "null" },
      ["list.1"] = { "a" },
      ["list.2.k"] = { "v" },
      ["lsp.rust"] = { "enabled", "true", "level", "3" },
      ["list"] = { "a", "k", "v" },
      ["empty"] = { "{}" },
    }) do
      local text, is_error = said(child, "get " .. path)
      assert.is_false(is_error, text)
      for _, piece in ipairs(pieces) do
        assert.is_truthy(text:find(piece, 1, true), ("%s: %s"):format(path, text))
      end
      assert.is_nil(text:find("table: 0x", 1, true), text)
      assert.is_nil(text:find("userdata", 1, true), text)
    end
  end)

  it("says so where nothing is set, and names the path", function()
    for _, path in ipairs({ "none", "lsp.zig.enabled", "formatter.below", "list.3" }) do
      local text = said(child, "get " .. path)
      assert.is_truthy(text:find(path, 1, true), text)
      assert.is_nil(text:find("stack traceback", 1, true), text)
    end
  end)

  it("does not save anything", function()
    local path = child:lua("return next(npc.ctx._files_loaded)")
    child:lua("saved()")
    assert.are.equal(BEFORE, support.read(path))
  end)
end)

describe(":ProjectConfig set", function()
  ---@type { [1]: string, [2]: string, [3]: any }[] arguments, the path as Lua, the value
  local cases = {
    { "lsp.rust.enabled false", "'lsp.rust.enabled'", false },
    { "lsp.rust.level 4", "'lsp.rust.level'", 4 },
    { "lsp.zig.enabled true", "'lsp.zig.enabled'", true },
    { "ratio -1.5e3", "'ratio'", -1500 },
    { "formatter stylua", "'formatter'", "stylua" },
    { 'formatter "stylua"', "'formatter'", "stylua" },
    { 'number "4"', "'number'", "4" },
    { "text three short words", "'text'", "three short words" },
    { "text a  b", "'text'", "a  b" },
    { "text it's", "'text'", "it's" },
    { 'text say "hi" | twice', "'text'", 'say "hi" | twice' },
    { [[text C:\new\table % # <cword> $HOME `ls`]], "'text'", [[C:\new\table % # <cword> $HOME `ls`]] },
    { [[text "a\nb\u00e9"]], "'text'", "a\nbé" },
    { "lsp.rust.none null", "'lsp.rust.none'", vim.NIL },
    { 'list ["x", {"k": [1, null]}]', "'list'", { "x", { k = { 1, vim.NIL } } } },
    { "list.1 b", "'list.1'", "b" },
    { 'object {"a": {"b": 1}, "c": []}', "'object'", { a = { b = 1 }, c = {} } },
    { 'broken "[1, 2"', "'broken'", "[1, 2" },
    { "word True", "'word'", "True" },
    { 'several 1, "value": 2', "'several'", '1, "value": 2' },
    { "list.2 1, 2", "'list.2'", "1, 2" },
    { "comma 1,", "'comma'", "1," },
    { "nan NaN", "'nan'", "NaN" },
    { "unicode Grüße 🚀", "'unicode'", "Grüße 🚀" },
  }

  it("takes a value for JSON if it is, else for a string, and saves it", function()
    local child, path = open()
    for _, case in ipairs(cases) do
      local text, is_error = said(child, "set " .. case[1])
      assert.is_false(is_error, text)
      local value = child:lua(("return { npc.get(%s) }"):format(case[2]))[1]
      assert.are.same(case[3], value, case[1])
    end
    local left = child:lua("saved(); return npc.ctx.json")
    assert.are.same(left, saving.value(path))
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it("is saved without anything else", function()
    local child, path = open({ ["alpha.json"] = '{ "a": 1 }' })
    child:lua("vim.cmd(...)", "ProjectConfig set a two words")
    saving.until_text(path, '{ "a": "two words" }')
    child:stop()
  end)

  it("says what is wrong, and changes nothing", function()
    local child, path = open()
    for arguments, piece in pairs({
      ["set"] = "set",
      ["set formatter"] = "set",
      ["set formatter.below 1"] = "formatter",
      ["set list.9 1"] = "list",
      ["set formatter [1, 2"] = "[1, 2",
      ["set formatter {a: 1}"] = "{a: 1}",
      ["set lsp..name 1"] = "lsp..name",
      ["get"] = "get",
      ["unset"] = "unset",
      ["unset formatter too much"] = "unset",
    }) do
      local text, is_error = said(child, arguments)
      assert.is_true(is_error, arguments .. ": " .. text)
      assert.is_truthy(text:find(piece, 1, true), text)
      assert.is_nil(text:find("stack traceback", 1, true), text)
    end
    child:lua("saved()")
    assert.are.equal(BEFORE, support.read(path))
    child:stop()
  end)
end)

describe(":ProjectConfig unset", function()
  it("deletes a setting and saves that", function()
    local child, path = open({ ["alpha.json"] = '{\n  "a": 1,\n  "o": { "b": 1 }\n}\n' })
    local text, is_error = said(child, "unset a")
    assert.is_false(is_error, text)
    saving.until_text(path, '{\n  "o": { "b": 1 }\n}\n')
    said(child, "unset o.b")
    saving.until_value(path, { o = {} })
    child:stop()
  end)

  it("says so where nothing is set, and names the path", function()
    local child, path = open()
    local before = saving.identity(path)
    for _, at in ipairs({ "none", "lsp.zig.enabled" }) do
      local text = said(child, "unset " .. at)
      assert.is_truthy(text:find(at, 1, true), text)
    end
    child:lua("saved()")
    assert.are.same(before, saving.identity(path))
    child:stop()
  end)

  it("undoes what set has done, byte for byte", function()
    local child, path = open()
    said(child, 'set lsp.zig {"enabled": true, "args": [1, 2]}')
    child:lua("saved()")
    assert.are_not.equal(BEFORE, support.read(path))
    said(child, "unset lsp.zig")
    child:lua("saved()")
    assert.are.equal(BEFORE, support.read(path))
    child:stop()
  end)

  it("of what an outer project gives says whose it is", function()
    local w = workspace.new({
      work = { ["big/.git"] = true, ["big/packages/web/package.json"] = "{}" },
      config = { ["big.json"] = '{"outer": 1}' },
    })
    local child = saving.open(w, "big/packages/web", { before = support.room_for_messages .. "options.on_error = nil" })
    child:lua("load_now(); vim.cmd('ProjectConfig unset outer')")
    child:wait("#test_notifications > 0")
    local text = child:notifications()[1].message
    assert.is_truthy(text:find("big.json", 1, true), text)
    child:wait("npc.get('outer') == 1")
    child:stop()
  end)
end)

describe("completion", function()
  local child
  setup(function()
    child = open()
  end)
  teardown(function()
    child:stop()
  end)

  it("offers get, set and unset beside the others", function()
    assert.are.same({ "clear", "edit", "get", "info", "load", "set", "unset" }, complete(child, ""))
    assert.are.same({ "set" }, complete(child, "s"))
  end)

  for _, subcommand in ipairs({ "get", "set", "unset" }) do
    it("offers the keys of a level at a time, to " .. subcommand, function()
      local top = complete(child, subcommand .. " ")
      for _, key in ipairs({ "formatter", "format_on_save", "lsp", "list", "text", "empty" }) do
        assert.is_true(vim.list_contains(top, key), key .. ": " .. vim.inspect(top))
      end
      assert.are.same({ "format_on_save", "formatter" }, complete(child, subcommand .. " form"))
      assert.are.same({ "lsp.lua", "lsp.none", "lsp.rust" }, complete(child, subcommand .. " lsp."))
      assert.are.same({ "lsp.rust" }, complete(child, subcommand .. " lsp.r"))
      assert.are.same({ "lsp.rust.enabled", "lsp.rust.level" }, complete(child, subcommand .. " lsp.rust."))
      assert.are.same({}, complete(child, subcommand .. " formatter."))
      assert.are.same({}, complete(child, subcommand .. " none"))
      assert.are.same({}, complete(child, subcommand .. " lsp.none."))
    end)
  end

  it("offers no path that would not be found", function()
    -- A key with a dot or a space in it has no dotted path; where it is offered at all, it has to work.
    for _, lead in ipairs({ "", "a", "a.", "a.b", "a.b.", "with", "lsp.", "list.", "list.2.", "empty." }) do
      for _, candidate in ipairs(complete(child, "get " .. lead)) do
        assert.is_true(vim.startswith(candidate, lead), candidate)
        local text, is_error = said(child, "get " .. candidate)
        assert.is_false(is_error, text)
        local value = said(child, "get no_such_setting"):gsub("no_such_setting", function()
          return candidate
        end)
        assert.are_not.equal(value, text)
      end
    end
  end)

  it("offers nothing behind the path", function()
    assert.are.same({}, complete(child, "get formatter "))
    assert.are.same({}, complete(child, "unset formatter "))
  end)

  it("follows what is set", function()
    child:lua("npc.set('newly.set', 1)")
    assert.are.same({ "newly" }, complete(child, "get newl"))
    child:lua("npc.set('newly', nil)")
    assert.are.same({}, complete(child, "get newl"))
  end)

  it("works before anything is loaded", function()
    local bare = workspace.new():open("alpha", { without_setup = true })
    assert.are.same({}, complete(bare, "get "))
    assert.are.same({ "get" }, complete(bare, "g"))
    bare:stop()
  end)
end)
