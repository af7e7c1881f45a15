-- A context belongs to one project: it comes back with it, and nothing that was kept of it ever shows another one.
local workspace = require("tests.support.workspace")

local CONFIG = {
  ["alpha.json"] = '{"from": "alpha", "lsp": {"name": "alpha-ls"}}',
  ["beta.json"] = '{"from": "beta", "lsp": {"name": "beta-ls"}}',
}

describe("a context", function()
  it("is brought back with its project: A, B, A is the same table again", function()
    local w = workspace.new({ config = CONFIG })
    local child = w:open("alpha")
    local result = child:lua([[
      local alpha = load_now()
      local json, lsp = alpha.json, alpha.json.lsp
      vim.cmd.cd(work .. "/beta")
      local beta = load_now()
      local between = { beta ~= alpha, npc.ctx == beta, beta.json.from, json.from, lsp.name, alpha.project_name }
      vim.cmd.cd(work .. "/alpha")
      local again = load_now()
      return { between, again == alpha, npc.ctx == alpha, again.json == json, json.lsp == lsp, beta.json.from, beta.project_name }
    ]])
    assert.are.same(
      { { true, true, "beta", "alpha", "alpha-ls", "alpha" }, true, true, true, true, "beta", "beta" },
      result
    )
    child:stop()
  end)

  it("is the one that setup returned, once the first load has found its project", function()
    local child = workspace.new({ config = CONFIG }):open("alpha")
    assert.is_true(child:lua("local first = npc.ctx; return load_now() == first and npc.ctx == first"))
    child:stop()
  end)

  it("is the same from every directory of the project, and another one for each root of the same name", function()
    local w = workspace.new({
      work = { ["one/alpha/.git"] = true, ["one/alpha/src/deep"] = true, ["two/alpha/.git"] = true },
      config = CONFIG,
    })
    local child = w:open("one/alpha")
    local result = child:lua([[
      local one = load_now()
      local deep = load_now(at("one/alpha/src/deep"))
      local two = load_now(at("two/alpha"))
      return { one == deep, one ~= two, one.json ~= two.json, one.project_name == two.project_name, two.json.from }
    ]])
    assert.are.same({ true, true, true, true, "alpha" }, result)
    child:stop()
  end)

  it("says where it is: root, name, projects, config_dir, files", function()
    local w = workspace.new({
      work = { ["big/.git"] = true, ["big/packages/web/package.json"] = "{}", ["big/packages/web/src"] = true },
      config = { ["big.json"] = "{}", ["big/web.lua"] = "" },
    })
    local child = w:open("big/packages/web/src")
    local result = child:lua([[
      local ctx = load_now()
      return { ctx.project_root, ctx.project_name, ctx.projects, ctx.config_dir, ctx._files_loaded }
    ]])
    local root = w.work .. "/big"
    assert.are.same({
      root .. "/packages/web",
      "big/web",
      { { root = root, name = "big" }, { root = root .. "/packages/web", name = "big/web" } },
      w.config_dir,
      { [w.config_dir .. "/big.json"] = true, [w.config_dir .. "/big/web.lua"] = true },
    }, result)
    child:stop()
  end)
end)

describe("npc.ctx", function()
  it("is, in a file, the context of the load that runs it, whichever is current", function()
    local w = workspace.new({
      config = {
        ["alpha.json"] = '{"from": "alpha"}',
        ["beta.json"] = '{"from": "beta"}',
        ["alpha.lua"] = [[
        note({ "before", npc.ctx.project_name, npc.get("from") })
        _G.held = coroutine.running()
        coroutine.yield()
        note({ "after", npc.ctx.project_name, npc.get("from") })
        return function(ctx) note({ "returned", ctx.project_name, ctx == npc.ctx }) end
      ]],
        ["alpha.vim"] = [[
        lua note({ "vim", npc.ctx.project_name, npc.get("from") })
      ]],
      },
    })
    local child = w:open("alpha")
    child:lua([[
      local done
      npc.load(function() done = true end)
      assert(settle(function() return held end))
      load_now(at("beta"))
      note({ "outside", npc.ctx.project_name, npc.get("from") })
      coroutine.resume(held)
      assert(settle(function() return done end))
      note({ "outside", npc.ctx.project_name, npc.get("from") })
    ]])
    assert.are.same({
      { "before", "alpha", "alpha" },
      { "outside", "beta", "beta" },
      { "after", "alpha", "alpha" },
      { "returned", "alpha", true },
      { "vim", "alpha", "alpha" },
      { "outside", "beta", "beta" },
    }, child:lua("return events"))
    child:stop()
  end)
end)

describe("values set on a context without a project", function()
  it("are kept when a load binds it, over what the files say", function()
    local w = workspace.new({
      config = {
        ["alpha.json"] = '{"formatter": "prettier", "lsp": {"a": {"x": 1}, "b": 2}, "list": [1, 2]}',
        ["alpha.lua"] = "note(vim.deepcopy(npc.ctx.json))",
      },
    })
    local child = w:open("alpha")
    local result = child:lua([[
      npc.ctx.json.formatter = "stylua"
      npc.ctx.json.lsp = { a = { y = 3 } }
      npc.ctx.json.list = { 9 }
      npc.ctx.json.extra = { new = true }
      local json = npc.ctx.json
      return { load_now().json, json == npc.ctx.json }
    ]])
    local merged = {
      formatter = "stylua",
      lsp = { a = { x = 1, y = 3 }, b = 2 },
      list = { 9 },
      extra = { new = true },
    }
    assert.are.same({ merged, true }, result)
    assert.are.same({ merged }, child:lua("return events"))
    child:stop()
  end)

  it("are kept also when they were set before setup was called", function()
    local w = workspace.new({ config = { ["alpha.json"] = '{"a": 1}' } })
    local child = w:open("alpha", { without_setup = true })
    local result = child:lua([[
      npc.ctx.json.b = 2
      local ctx = load_now({ config_dir = config_dir })
      return ctx.json
    ]])
    assert.are.same({ a = 1, b = 2 }, result)
    child:stop()
  end)
end)

describe("clear()", function()
  it("empties the context in place and unbinds it", function()
    local w = workspace.new({ config = CONFIG })
    local child = w:open("alpha", { setup = "{ on_clear = function(ctx) note(ctx.project_name) end }" })
    local result = child:lua([[
      local ctx = load_now()
      local kept = ctx.json
      npc.clear()
      return {
        same = npc.ctx == ctx, root = ctx.project_root == nil, name = ctx.project_name == nil, json = ctx.json,
        new_table = ctx.json ~= kept, kept = kept.from, files = ctx._files_loaded, hooks = vim.deepcopy(events),
        get = npc.get("from", "nothing"),
      }
    ]])
    assert.are.same({
      same = true,
      root = true,
      name = true,
      json = {},
      new_table = true,
      kept = "alpha",
      files = {},
      hooks = { "alpha" },
      get = "nothing",
    }, result)
    child:stop()
  end)

  it("makes tables kept from before inert", function()
    local child = workspace.new({ config = CONFIG }):open("alpha")
    local result = child:lua([[
      local kept = load_now().json
      npc.clear()
      kept.from = "changed by hand"
      local again = load_now()
      return { again.json.from, kept.from, again.json ~= kept }
    ]])
    assert.are.same({ "alpha", "changed by hand", true }, result)
    child:stop()
  end)

  it("lets the context be bound to whatever is loaded next", function()
    local child = workspace.new({ config = CONFIG }):open("alpha")
    local result = child:lua([[
      local ctx = load_now()
      npc.clear()
      vim.cmd.cd(work .. "/beta")
      local beta = load_now()
      vim.cmd.cd(work .. "/alpha")
      local alpha = load_now()
      return { beta == ctx, beta.project_name, beta.json.from, alpha ~= ctx, alpha.json.from }
    ]])
    assert.are.same({ true, "beta", "beta", true, "alpha" }, result)
    child:stop()
  end)

  it("of another context leaves the current one as it is", function()
    local child = workspace.new({ config = CONFIG }):open("alpha")
    local result = child:lua([[
      local alpha = load_now()
      local beta = load_now(at("beta"))
      npc.clear(alpha)
      return { npc.ctx == beta, beta.json.from, beta.project_name, next(alpha.json) == nil, alpha.project_root == nil }
    ]])
    assert.are.same({ true, "beta", "beta", true, true }, result)
    child:stop()
  end)

  it("before any load does nothing but call on_clear", function()
    local child = workspace.new():open("alpha", { setup = "{ on_clear = function() note('on_clear') end }" })
    assert.are.same({ "on_clear" }, child:lua("npc.clear(); return events"))
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it("refuses what is not a context", function()
    local child = workspace.new():open("alpha")
    local ok, err = unpack(child:lua("return { pcall(npc.clear, { json = {} }) }"))
    assert.is_false(ok)
    assert.is_truthy(err:find("expected a context", 1, true), err)
    child:stop()
  end)
end)
