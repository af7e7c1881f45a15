-- npc.get reads one setting of the current project, or says what to take instead.
local workspace = require("tests.support.workspace")

describe("get", function()
  local child

  setup(function()
    local w = workspace.new({
      config = {
        ["alpha.json"] = [[{
        "lsp": { "rust_analyzer": { "enable": false, "checkOnSave": null } },
        "formatters": ["stylua", { "name": "prettier" }],
        "file.associations": { "*.h": "cpp" },
        "empty": {}, "none": [], "zero": 0, "text": "",
        "8080": "a key of digits"
      }]],
        ["beta.json"] = '{"only": "beta"}',
      },
    })
    child = w:open("alpha")
    child:lua("load_now()")
  end)

  teardown(function()
    child:stop()
  end)

  local function get(arguments)
    return child:lua(("return { npc.get(%s) }"):format(arguments))[1]
  end

  it("follows a dotted path", function()
    assert.are.equal(false, get("'lsp.rust_analyzer.enable'"))
    assert.are.same({ "stylua", { name = "prettier" } }, get("'formatters'"))
  end)

  it("returns what is there, not the default, for false, 0, an empty string, and null", function()
    assert.are.equal(false, get("'lsp.rust_analyzer.enable', true"))
    assert.are.equal(0, get("'zero', 1"))
    assert.are.equal("", get("'text', 'default'"))
    assert.is_true(child:lua("return npc.get('lsp.rust_analyzer.checkOnSave', 1) == vim.NIL"))
    assert.are.same({}, get("'empty', 'default'"))
  end)

  it("returns the default where nothing is set", function()
    assert.are.equal("default", get("'lsp.rust_analyzer.missing', 'default'"))
    assert.are.equal("default", get("'no.such.path', 'default'"))
    assert.are.equal("default", get("'zero.below.a.number', 'default'"))
    assert.are.equal("default", get("'text.len', 'default'"))
    assert.are.equal("default", get("'lsp.rust_analyzer.checkOnSave.below_null', 'default'"))
    assert.is_nil(get("'no.such.path'"))
  end)

  it("counts the elements of a list from 1", function()
    assert.are.equal("stylua", get("'formatters.1'"))
    assert.are.equal("prettier", get("'formatters.2.name'"))
    assert.are.equal("default", get("'formatters.0', 'default'"))
    assert.are.equal("default", get("'formatters.3', 'default'"))
  end)

  it("takes a list of keys, where a key has a dot", function()
    assert.are.equal("cpp", get("{ 'file.associations', '*.h' }"))
    assert.are.equal("prettier", get("{ 'formatters', 2, 'name' }"))
    assert.is_nil(get("'file.associations'"))
    assert.is_true(child:lua("return npc.get({}) == npc.ctx.json"))
  end)

  it("takes a key of digits for the key that it is", function()
    assert.are.equal("a key of digits", get("'8080'"))
  end)

  it("hands out the live table", function()
    assert.is_true(child:lua("return npc.get('lsp.rust_analyzer') == npc.ctx.json.lsp.rust_analyzer"))
  end)

  it("refuses a path that is neither string nor list", function()
    local ok, err = unpack(child:lua("return { pcall(npc.get, 1) }"))
    assert.is_false(ok)
    assert.is_truthy(err:find("path: expected string or list, got number", 1, true), err)
  end)

  it("reads the current project", function()
    assert.are.same(
      { "beta", "default" },
      child:lua(
        "load_now(at('beta')); local r = { npc.get('only'), npc.get('zero', 'default') }; load_now(at('alpha')); return r"
      )
    )
  end)
end)

describe("get before anything is loaded", function()
  it("returns the default", function()
    local child = workspace.new():open("alpha", { without_setup = true })
    assert.are.equal("default", child:lua("return npc.get('a.b', 'default')"))
    child:stop()
  end)
end)
