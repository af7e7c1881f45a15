-- Which file a change goes to where several files make up ctx.json, and who else sees it.
local saving = require("tests.support.saving")
local support = require("tests.support")
local workspace = require("tests.support.workspace")

local NEST = { ["big/.git"] = true, ["big/packages/web/package.json"] = "{}", ["big/packages/api/package.json"] = "{}" }

local CONFIG = {
  ["big.json"] = '{\n  "outer": 1,\n  "both": "big",\n  "lsp": { "a": 1, "b": { "c": 1 } },\n  "list": [1]\n}\n',
  ["big/defaults.json"] = '{\n  "default": 1,\n  "outer": 2\n}\n',
  ["big/web.json"] = '{\n  "own": 1,\n  "both": "web",\n  "lsp": { "a": 2, "mine": 1 },\n  "twice": { "x": 1 }\n}\n',
  ["big/web/more.json"] = '{\n  "more": 1,\n  "twice": { "x": 2, "y": 1 }\n}\n',
}

--- What the editor's ctx.json is before anything changes.
local MERGED = {
  outer = 2,
  both = "web",
  lsp = { a = 2, b = { c = 1 }, mine = 1 },
  list = { 1 },
  default = 1,
  own = 1,
  more = 1,
  twice = { x = 2, y = 1 },
}

local function merged_with(change)
  local json = vim.deepcopy(MERGED)
  change(json)
  return json
end

---@param without? string a file that is not there
---@param dir? string
local function open(without, dir)
  local config = vim.deepcopy(CONFIG)
  if without then
    config[without] = nil
  end
  local w = workspace.new({ work = NEST, config = config })
  local child = saving.open(w, dir or "big/packages/web")
  child:lua("load_now()")
  return child, w
end

--- What the files hold, by name; of the files that are what they were, nothing.
local function changed_files(w)
  local found = {}
  for name, kind in vim.fs.dir(w.config_dir, { depth = 9 }) do
    if kind == "file" then
      local text = support.read(w.config_dir .. "/" .. name)
      if text ~= CONFIG[name] then
        found[name] = saving.decode(text)
      end
    end
  end
  return found
end

--- What a new editor makes of the files.
local function fresh(w, dir)
  local other = saving.open(w, dir or "big/packages/web")
  local json = other:lua("return load_now().json")
  assert.are.same({}, other:lua("return errors"))
  other:stop()
  return json
end

describe("a change in a nested project", function()
  ---@type table<string, { run: string, files: table<string, table>|nil, json: table }>
  local cases = {
    ["of what one of its files defines goes to that file"] = {
      run = "json.own = 2",
      files = { ["big/web.json"] = { own = 2, both = "web", lsp = { a = 2, mine = 1 }, twice = { x = 1 } } },
      json = merged_with(function(json)
        json.own = 2
      end),
    },
    ["of what a file of its directory defines goes to that file"] = {
      run = "json.more = 2",
      files = { ["big/web/more.json"] = { more = 2, twice = { x = 2, y = 1 } } },
      json = merged_with(function(json)
        json.more = 2
      end),
    },
    ["of what two of its files define goes to the last of them"] = {
      run = "json.twice.x = 3",
      files = { ["big/web/more.json"] = { more = 1, twice = { x = 3, y = 1 } } },
      json = merged_with(function(json)
        json.twice.x = 3
      end),
    },
    ["that is a new key goes to the project's own file"] = {
      run = "json.new = { 1 }",
      files = {
        ["big/web.json"] = { own = 1, both = "web", lsp = { a = 2, mine = 1 }, twice = { x = 1 }, new = { 1 } },
      },
      json = merged_with(function(json)
        json.new = { 1 }
      end),
    },
    ["of what only an outer project defines goes to the project's own file"] = {
      run = "json.outer, json.default, json.lsp.b.c = 3, 2, 2",
      files = {
        ["big/web.json"] = {
          own = 1,
          both = "web",
          lsp = { a = 2, mine = 1, b = { c = 2 } },
          twice = { x = 1 },
          outer = 3,
          default = 2,
        },
      },
      json = merged_with(function(json)
        json.outer, json.default, json.lsp.b.c = 3, 2, 2
      end),
    },
    ["of a list that an outer project gives writes the whole list"] = {
      run = "table.insert(json.list, 2)",
      files = {
        ["big/web.json"] = { own = 1, both = "web", lsp = { a = 2, mine = 1 }, twice = { x = 1 }, list = { 1, 2 } },
      },
      json = merged_with(function(json)
        json.list = { 1, 2 }
      end),
    },
    ["of many keys goes to many files"] = {
      run = "json.own, json.more, json.twice.y = 2, 2, 2",
      files = {
        ["big/web.json"] = { own = 2, both = "web", lsp = { a = 2, mine = 1 }, twice = { x = 1 } },
        ["big/web/more.json"] = { more = 2, twice = { x = 2, y = 2 } },
      },
      json = merged_with(function(json)
        json.own, json.more, json.twice.y = 2, 2, 2
      end),
    },
    ["that deletes takes the path out of the file that defines it"] = {
      run = "json.own, json.lsp.mine, json.more = nil, nil, nil",
      files = {
        ["big/web.json"] = { both = "web", lsp = { a = 2 }, twice = { x = 1 } },
        ["big/web/more.json"] = { twice = { x = 2, y = 1 } },
      },
      json = merged_with(function(json)
        json.own, json.lsp.mine, json.more = nil, nil, nil
      end),
    },
    ["that deletes takes the path out of each of its files"] = {
      run = "json.twice.x = nil",
      files = {
        ["big/web.json"] = { own = 1, both = "web", lsp = { a = 2, mine = 1 }, twice = {} },
        ["big/web/more.json"] = { more = 1, twice = { y = 1 } },
      },
      json = merged_with(function(json)
        json.twice.x = nil
      end),
    },
    ["that deletes an object takes it out of each of its files"] = {
      run = "json.twice = nil",
      files = {
        ["big/web.json"] = { own = 1, both = "web", lsp = { a = 2, mine = 1 } },
        ["big/web/more.json"] = { more = 1 },
      },
      json = merged_with(function(json)
        json.twice = nil
      end),
    },
    ["that sets what an outer project gives to the same value writes nothing"] = {
      run = "json.outer = 2",
      files = {},
      json = MERGED,
    },
    ["from an object to a scalar and back to another object is what was left"] = {
      run = "json.twice = 1; saved(); json.twice = { z = 1 }",
      json = merged_with(function(json)
        json.twice = { z = 1 }
      end),
    },
  }
  for name, case in pairs(cases) do
    it(name, function()
      local child, w = open()
      assert.are.same(MERGED, child:lua("return npc.ctx.json"))
      child:lua(("local json = npc.ctx.json; %s; saved()"):format(case.run))
      if case.files then
        assert.are.same(case.files, changed_files(w))
      end
      assert.are.same(case.json, child:lua("return npc.ctx.json"))
      assert.are.same({}, child:lua("return errors"))
      assert.are.same(case.json, fresh(w))
      child:stop()
    end)
  end

  it("never touches a file of another project", function()
    local child, w = open()
    local before =
      { saving.identity(w.config_dir .. "/big.json"), saving.identity(w.config_dir .. "/big/defaults.json") }
    child:lua("local json = npc.ctx.json; json.outer, json.lsp.b, json.default, json.list = 9, 9, nil, nil; save_now()")
    assert.are.same(
      before,
      { saving.identity(w.config_dir .. "/big.json"), saving.identity(w.config_dir .. "/big/defaults.json") }
    )
    child:stop()
  end)

  it("made in the outer project goes to that one's files", function()
    local child, w = open(nil, "big")
    child:lua("local json = npc.ctx.json; json.both, json.default, json.outer, json.new = 'B', 2, 3, 4; saved()")
    assert.are.same({
      ["big.json"] = { outer = 1, both = "B", lsp = { a = 1, b = { c = 1 } }, list = { 1 }, new = 4 },
      ["big/defaults.json"] = { default = 2, outer = 3 },
    }, changed_files(w))
    child:stop()
  end)
end)

describe("the target of new settings", function()
  it("is the project's own file, else the last file of its directory, else a file that is made", function()
    for without, target in pairs({
      ["none"] = "big/web.json",
      ["big/web/more.json"] = "big/web.json",
      ["big/web.json"] = "big/web/more.json",
    }) do
      local child, w = open(without)
      assert.are.equal(w.config_dir .. "/" .. target, child:lua("return npc.ctx._last_project_json"))
      child:lua("npc.ctx.json.new = 1; saved()")
      assert.are.equal(1, saving.value(w.config_dir .. "/" .. target).new)
      child:stop()
    end
    local w = workspace.new({ work = NEST, config = { ["big.json"] = CONFIG["big.json"] } })
    local child = saving.open(w, "big/packages/web")
    child:lua("load_now(); npc.ctx.json.new = 1; saved()")
    assert.are.equal(w.config_dir .. "/big/web.json", child:lua("return npc.ctx._last_project_json"))
    assert.are.same({ new = 1 }, saving.value(w.config_dir .. "/big/web.json"))
    assert.are.equal(CONFIG["big.json"], support.read(w.config_dir .. "/big.json"))
    child:stop()
  end)

  it("may be set by the user, to a file that exists or not", function()
    for _, target in ipairs({ "big/web/more.json", "big/web/local.json" }) do
      local child, w = open()
      local path = w.config_dir .. "/" .. target
      child:lua("npc.ctx._last_project_json = ...", path)
      child:lua("local json = npc.ctx.json; json.new, json.outer, json.own = 1, 9, 5; saved()")
      local written = saving.value(path)
      assert.are.same({ 1, 9 }, { written.new, written.outer })
      -- What a file of the project's own defines stays there.
      assert.is_nil(written.own)
      assert.are.equal(5, saving.value(w.config_dir .. "/big/web.json").own)
      local expected = merged_with(function(json)
        json.new, json.outer, json.own = 1, 9, 5
      end)
      assert.are.same(expected, child:lua("return load_now().json"))
      assert.are.same(expected, fresh(w))
      child:stop()
    end
  end)
end)

describe("what an outer project gives", function()
  ---@type table<string, { run: string, left: fun(json: table), from: string }>
  local cases = {
    ["a setting"] = {
      run = "json.default = nil",
      left = function() end,
      from = "big/defaults.json",
    },
    ["a setting far down"] = {
      run = "json.lsp.b.c = nil",
      left = function() end,
      from = "big.json",
    },
    ["a list"] = {
      run = "json.list = nil",
      left = function() end,
      from = "big.json",
    },
    ["a setting that an inner file overrides"] = {
      run = "json.both = nil",
      left = function(json)
        json.both = "big"
      end,
      from = "big.json",
    },
    ["an object that is partly one's own"] = {
      run = "json.lsp = nil",
      left = function(json)
        json.lsp = { a = 1, b = { c = 1 } }
      end,
      from = "big.json",
    },
    ["an object that another one replaces"] = {
      run = "json.lsp = { a = 5, new = 1 }",
      left = function(json)
        json.lsp = { a = 5, new = 1, b = { c = 1 } }
      end,
      from = "big.json",
    },
  }
  for name, case in pairs(cases) do
    it(("cannot be deleted, and comes back: %s"):format(name), function()
      local child, w = open()
      local expected = merged_with(case.left)
      child:lua(("_G.json = npc.ctx.json; %s; _G.answer = { save_now() }"):format(case.run))
      child:wait("#errors > 0")
      -- The one may come a turn of the loop before the other.
      child:lua("local expected = ...; settle(function() return vim.deep_equal(json, expected) end)", expected)
      assert.are.same(expected, child:lua("return npc.ctx.json"))
      assert.is_true(child:lua("return npc.ctx.json == json"))
      local errors = child:lua("return errors")
      assert.are.equal(1, #errors, vim.inspect(errors))
      assert.are.same({ "inherited", w.config_dir .. "/" .. case.from }, { errors[1].code, errors[1].path })
      assert.are.same(expected, fresh(w))
      child:stop()
    end)
  end

  it("can be deleted where it is", function()
    local child, w = open(nil, "big")
    child:lua("local json = npc.ctx.json; json.lsp.b, json.outer = nil, nil; saved()")
    assert.are.same({
      ["big.json"] = { both = "big", lsp = { a = 1 }, list = { 1 } },
      ["big/defaults.json"] = { default = 1 },
    }, changed_files(w))
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)
end)

describe("a saved change", function()
  --- Waits for the change of a context to be announced, and returns its paths.
  local function announced(child, project)
    child:wait(("vim.iter(changes):any(function(change) return change.project_name == %q end)"):format(project))
    local paths = child:lua(
      [[
      local project, found = ..., {}
      for _, change in ipairs(changes) do
        if change.project_name == project then vim.list_extend(found, change.paths) end
      end
      return found
    ]],
      project
    )
    return paths
  end

  it("of an outer project reaches the contexts of the projects in it", function()
    local child, w = open(nil, "big")
    local same = child:lua([[
      local big = npc.ctx
      local web = load_now(at("big/packages/web"))
      local api = load_now(at("big/packages/api"))
      _G.big, _G.web, _G.api, _G.json, _G.lsp = big, web, api, web.json, web.json.lsp
      forget_changes()
      big.json.lsp.b.c, big.json.new, big.json.both = 5, { 1 }, "BIG"
      saved()
      return web ~= api and web ~= big
    ]])
    assert.is_true(same)
    assert.are.same(
      { { "lsp", "b", "c" }, { "new" } },
      (function()
        local paths = announced(child, "big/web")
        table.sort(paths, function(a, b)
          return #a > #b
        end)
        return paths
      end)()
    )
    child:wait("#vim.tbl_filter(function(change) return change.project_name == 'big/api' end, changes) > 0")
    assert.are.same(
      merged_with(function(json)
        json.lsp.b.c, json.new = 5, { 1 }
      end),
      child:lua("return web.json")
    )
    assert.is_true(child:lua("return web.json == json and web.json.lsp == lsp"))
    assert.are.same({ 5, { 1 }, "BIG" }, child:lua("return { api.json.lsp.b.c, api.json.new, api.json.both }"))
    local announcement = child:lua(
      "return vim.tbl_filter(function(change) return change.project_name == 'big/web' end, changes)[1].project_root"
    )
    assert.are.equal(w.work .. "/big/packages/web", announcement)
    -- What has reached a context is no change of its own.
    child:lua("saved()")
    assert.are.same({ "big.json" }, vim.tbl_keys(changed_files(w)))
    child:stop()
  end)

  it("reaches the other worktrees of the repository", function()
    local w = workspace.new({
      work = { ["one/alpha/.git"] = true, ["two/alpha/.git"] = true },
      config = { ["alpha.json"] = '{"lsp": {"a": 1}, "gone": 1}' },
    })
    local child = saving.open(w, "one/alpha")
    child:lua([[
      _G.one = load_now()
      _G.two = load_now(at("two/alpha"))
      assert(one ~= two)
      _G.lsp = two.json.lsp
      forget_changes()
      one.json.lsp.a, one.json.gone = 2, nil
      saved()
    ]])
    child:wait(
      ("vim.iter(changes):any(function(change) return change.project_root == %q end)"):format(w.work .. "/two/alpha")
    )
    assert.are.same({ { lsp = { a = 2 } }, true }, child:lua("return { two.json, two.json.lsp == lsp }"))
    child:lua("two.json.lsp.b = 3; saved()")
    child:wait("one.json.lsp.b == 3")
    assert.are.same({ lsp = { a = 2, b = 3 } }, saving.value(w.config_dir .. "/alpha.json"))
    child:stop()
  end)

  it("leaves what another context has changed and not saved yet", function()
    local w = workspace.new({
      work = { ["one/alpha/.git"] = true, ["two/alpha/.git"] = true },
      config = { ["alpha.json"] = '{"o": {"a": 1, "b": 1, "c": 1}}' },
    })
    local child = saving.open(w, "one/alpha")
    child:lua([[
      _G.one = load_now()
      _G.two = load_now(at("two/alpha"))
      saved()
      local kept = two.json.o
      idle()
      -- Found by nobody until it is asked for.
      kept.b, kept.c = 2, 2
      one.json.o.a, one.json.o.c = 5, 5
      saved()
      saved()
    ]])
    -- What one context shows of the other's may come a turn of the loop behind the answer.
    child:wait("two.json.o.a == 5 and one.json.o.b == 2 and one.json.o.c == two.json.o.c")
    local result = child:lua("return { one.json.o.a, two.json.o.a, one.json.o.b, two.json.o.b }")
    assert.are.same({ 5, 5, 2, 2 }, result)
    local on_disk = saving.value(w.config_dir .. "/alpha.json")
    assert.are.same(on_disk, child:lua("return two.json"))
    child:stop()
  end)
end)

describe("a context that is left while a change from elsewhere is on its way", function()
  for name, leave in pairs({ ["clear()"] = "npc.clear(inner)", ["a second setup"] = "npc.setup(options)" }) do
    it("stays empty after " .. name, function()
      local child, w = open()
      child:lua([[
        _G.inner = npc.ctx
        _G.outer = load_now(at("big"))
      ]])
      child:lua(
        [[
          local path, leave = ...
          local function text()
            local file = assert(io.open(path))
            local content = file:read("*a")
            file:close()
            return content
          end
          local before = text()
          outer.json.outer = 3
          npc.save()
          -- The main loop stands still until the file is written: by then, the inner context's change waits for it.
          local until_ns = vim.uv.hrtime() + 8e9
          while text() == before do
            assert(vim.uv.hrtime() < until_ns, "not written within 8 s")
          end
          assert(load(leave))()
          idle()
        ]],
        w.config_dir .. "/big/defaults.json",
        leave
      )
      if name == "clear()" then
        assert.are.same({}, child:lua("return inner.json"))
        child:lua("inner.json.mine = 1; idle()")
        assert.are.equal("no_project", child:lua("return select(2, save_now()).code"))
      end
      assert.are.same({}, child:lua("return errors"))
      child:stop()
    end)
  end
end)
