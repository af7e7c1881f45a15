-- require("nvim-project-config.executors.json"), called by the user's own executors: the files become sources of `ctx.json`,
-- as if no executor stood in between.
local workspace = require("tests.support.workspace")

local work = {
  ["big/.git"] = true,
  ["big/packages/front/package.json"] = "{}",
  ["alpha/.git"] = true,
}

local files = {
  ["big.json"] = '{"from": "big", "big": 1, "list": [1, 2], "deep": {"a": 1, "b": 1, "c": 1}}',
  ["big/more.json"] = '{"from": "big/more", "more": 1, "deep": {"b": 2}}',
  ["big/front.json"] = '{"from": "front", "deep": {"b": 3, "c": 3}, "list": [3]}',
  ["big/front.jsonc"] = '{"from": "front.jsonc", /* said twice */ "jsonc": true}',
  ["big/front/a.json"] = '{"from": "a", "a": 1}',
  ["big/front/b.json"] = '{"from": "b", "b": 1, "null": null, "empty": {}}',
  ["big/front.lua"] = "note(vim.deepcopy(npc.ctx.json))",
}

-- `mine` merges each file, `slow` after a time that is the longer the earlier the file comes.
local EXECUTORS = [[
  function _G.json(ctx, path) require("nvim-project-config.executors.json")(ctx, path) end
  function _G.mine(ctx, path)
    note("begin " .. vim.fs.basename(path))
    json(ctx, path)
    note(vim.fs.basename(path))
  end
  local waiting = 0
  function _G.slow(ctx, path)
    local delay = math.max(0, 60 - 10 * waiting)
    waiting = waiting + 1
    local co = coroutine.running()
    vim.defer_fn(function() assert(coroutine.resume(co)) end, delay)
    coroutine.yield()
    waiting = waiting - 1
    json(ctx, path)
  end
  function _G.origins(ctx)
    local result = {}
    for _, key in ipairs({ "from", "big", "list", "deep.a", "deep.b", "deep.c", "more", "jsonc", "a", "b" }) do
      result[key] = { npc.origin(key) }
    end
    return { json = vim.deepcopy(ctx.json), origins = result, target = ctx._last_project_json }
  end
]]

---@param w test.Workspace
---@param dir string
---@param setup? string
---@param before? string
local function open(w, dir, setup, before)
  return w:open(dir, { before = EXECUTORS .. (before or ""), setup = setup })
end

describe("JSON that goes through an executor", function()
  local ways = {
    ["one by one"] = "{ executors = { json = { async = false, run = mine } } }",
    ["side by side"] = "{ executors = { json = { run = mine } } }",
    ["late ones first"] = "{ executors = { json = { run = slow } } }",
    ["by a list"] = "{ executors = { json = { run = { function() end, json } } } }",
    ["by a router"] = [[{ pipeline = {
      require("nvim-project-config.stages.walk")(), require("nvim-project-config.stages.detect")(),
      require("nvim-project-config.stages.find_files")(),
      require("nvim-project-config.stages.execute")({ router = { [".json"] = mine, jsonc = json } }),
    } }]],
  }
  for name, setup in pairs(ways) do
    it("ends up as without, and stays so when it is loaded again: " .. name, function()
      local w = workspace.new({ work = work, config = files })
      local child = open(w, "big/packages/front")
      local expected = child:lua("return origins(load_now())")
      child:stop()
      assert.are.equal("b", expected.json.from)
      if name == "by a router" then
        -- A kind of its own comes after JSON.
        expected.json.from, expected.origins.from = nil, nil
      end
      child = open(w, "big/packages/front", setup)
      for _ = 1, 3 do
        local found = child:lua("return origins(load_now())")
        if name == "by a router" then
          assert.are.equal("front.jsonc", found.json.from)
          found.json.from, found.origins.from = nil, nil
        end
        assert.are.same(expected, found)
      end
      child:lua("_G.saved = nil; npc.save(function(ok, err) saved = { ok, err } end)")
      child:wait("saved")
      assert.are.same({ true }, child:lua("return saved"))
      assert.are.same({}, child:lua("return errors"))
      for file, text in pairs(files) do
        assert.are.equal(text, require("tests.support").read(w.config_dir .. "/" .. file))
      end
      child:stop()
    end)
  end

  it("is never seen without its values while it is loaded again", function()
    local w = workspace.new({ work = work, config = files })
    local child = open(
      w,
      "big/packages/front",
      "{ executors = { json = { run = function(ctx, path) seen(ctx) json(ctx, path) seen(ctx) end } } }",
      [[
        function _G.seen(ctx)
          if _G.complete and not vim.deep_equal(ctx.json, complete) then note(vim.deepcopy(ctx.json)) end
        end
      ]]
    )
    child:lua([[
      local ctx = load_now()
      _G.complete, _G.kept = vim.deepcopy(ctx.json), ctx.json
      assert(complete.from == "b")
      _G.events = {}
      for _ = 1, 5 do load_now() end
    ]])
    assert.are.same(true, child:lua("return kept == npc.ctx.json"))
    -- The Lua file's own note is the only thing that is left.
    assert.are.same(true, child:lua("return #events == 5 and vim.deep_equal(events[1], complete)"))
    child:stop()
  end)

  it("takes up what changes, comes and goes on disk", function()
    local w = workspace.new({ config = { ["alpha.json"] = '{"x": 1, "y": 1}', ["alpha/b.json"] = '{"x": 2}' } })
    local child = open(w, "alpha", "{ executors = { json = { run = json } , lua = { async = true } } }")
    local function loaded()
      return child:lua("return vim.deepcopy(load_now().json)")
    end
    -- Not exactly the built-in one, so that it counts.
    child:lua("options.executors = nil; npc.ctx.executors.json.run = mine")
    assert.are.same({ x = 2, y = 1 }, loaded())
    w:write("alpha/b.json", '{"x": 3, "z": 1}')
    assert.are.same({ x = 3, y = 1, z = 1 }, loaded())
    w:write("alpha/a.json", '{"x": 4, "w": 1}')
    assert.are.same({ x = 3, y = 1, z = 1, w = 1 }, loaded())
    os.remove(w.config_dir .. "/alpha/b.json")
    assert.are.same({ x = 4, y = 1, w = 1 }, loaded())
    os.remove(w.config_dir .. "/alpha/a.json")
    os.remove(w.config_dir .. "/alpha.json")
    assert.are.same({}, loaded())
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it("goes with the end of the load whose executor does not merge it any more", function()
    local w = workspace.new({ config = { ["alpha.json"] = '{"x": 1}', ["alpha/b.json"] = '{"x": 2, "b": 1}' } })
    local child = open(
      w,
      "alpha",
      [[{
        executors = { json = { run = function(ctx, path)
          if not path:find(_G.left_out or "nothing", 1, true) then json(ctx, path) end
        end } },
        on_load = function(ctx) note(vim.deepcopy(ctx.json)) end,
      }]]
    )
    child:lua("load_now(); _G.left_out = '/b.json'; load_now(); _G.left_out = nil; load_now()")
    assert.are.same({ { x = 2, b = 1 }, { x = 1 }, { x = 2, b = 1 } }, child:lua("return events"))
    assert.are.same(w.config_dir .. "/alpha.json", child:lua("return npc.ctx._last_project_json"))
    child:stop()
  end)

  it("is saved where it came from, and new settings go to the project's file", function()
    local w = workspace.new({
      work = work,
      config = {
        ["big.json"] = '{"outer": 1}',
        ["big/front/a.json"] = '{\n  // kept\n  "a": 1\n}\n',
        ["big/front/b.json"] = '{"b": 1}',
      },
    })
    local child = open(w, "big/packages/front", "{ executors = { json = { run = mine } } }")
    child:lua("load_now()")
    assert.are.equal(w.config_dir .. "/big/front/b.json", child:lua("return npc.ctx._last_project_json"))
    child:lua([[
      local json = npc.ctx.json
      json.a, json.b, json.new, json.outer = 2, nil, "here", 5
      npc.save(function(ok, err) _G.saved = { ok, err } end)
    ]])
    child:wait("saved")
    local read = require("tests.support").read
    assert.are.equal('{\n  // kept\n  "a": 2\n}\n', read(w.config_dir .. "/big/front/a.json"))
    assert.are.same({ new = "here", outer = 5 }, vim.json.decode(read(w.config_dir .. "/big/front/b.json")))
    assert.are.equal('{"outer": 1}', read(w.config_dir .. "/big.json"))
    assert.are.same({ a = 2, new = "here", outer = 5 }, child:lua("return vim.deepcopy(load_now().json)"))
    w:write("big/front.json", "{}")
    child:lua("load_now()")
    assert.are.equal(w.config_dir .. "/big/front.json", child:lua("return npc.ctx._last_project_json"))
    child:stop()
  end)

  it("is reported with its place if it is malformed, and keeps its last good values", function()
    local w = workspace.new({ config = { ["alpha.json"] = '{\n  "x": 1,\n  oops\n}', ["alpha/b.json"] = '{"b": 1}' } })
    local child = open(w, "alpha", "{ executors = { json = { run = mine } } }")
    assert.are.same({ b = 1 }, child:lua("return vim.deepcopy(load_now().json)"))
    local errors = child:lua("return errors")
    assert.are.equal(1, #errors)
    assert.are.same({ "syntax", w.config_dir .. "/alpha.json", 3 }, { errors[1].code, errors[1].path, errors[1].line })
    w:write("alpha.json", '{"x": 1}')
    assert.are.same({ x = 1, b = 1 }, child:lua("return vim.deepcopy(load_now().json)"))
    w:write("alpha.json", '{"x": 1, }}')
    assert.are.same({ x = 1, b = 1 }, child:lua("return vim.deepcopy(load_now().json)"))
    assert.are.equal(2, #child:lua("return errors"))
    child:stop()
  end)

  it("is merged before anything runs if nothing but the built-in executor is named for it", function()
    local w = workspace.new({ config = { ["alpha.json"] = '{"x": 1}', ["alpha.lua"] = "note(npc.ctx.json.x)" } })
    local builtin = 'require("nvim-project-config.executors.json")'
    local setups = {
      ("{ executors = { json = { run = %s } } }"):format(builtin),
      ("{ executors = { json = { run = { %s } } } }"):format(builtin),
      ([[{ pipeline = {
        require("nvim-project-config.stages.walk")(), require("nvim-project-config.stages.detect")(),
        require("nvim-project-config.stages.find_files")(),
        require("nvim-project-config.stages.execute")({ router = { json = %s } }),
      } }]]):format(builtin),
    }
    for _, setup in ipairs(setups) do
      local child = open(w, "alpha", setup)
      child:lua("load_now()")
      assert.are.same({ 1 }, child:lua("return events"))
      -- Merged files are not timed.
      assert.is_nil(child:lua("return npc.ctx._report.files[1].ms"))
      assert.is_truthy(child:lua("return npc.ctx._report.files[2].ms"))
      child:stop()
    end
  end)
end)

describe("a JSON file from anywhere", function()
  it("becomes one of the project's own, and is saved to", function()
    local w = workspace.new({ config = { ["alpha.json"] = '{"x": 1}', ["alpha.toml"] = "" } })
    local extra = require("tests.support").write(w.dir .. "/elsewhere/extra.json", '{\n\t"x": 2, // two\n\t"e": 1\n}\n')
    local child = open(
      w,
      "alpha",
      ([[{ executors = { toml = { run = function(ctx) json(ctx, %q) json(ctx, %q) note(ctx.json.x) end } } }]]):format(
        extra,
        extra
      )
    )
    for _ = 1, 2 do
      assert.are.same({ x = 2, e = 1 }, child:lua("return vim.deepcopy(load_now().json)"))
    end
    assert.are.same({ 2, 2 }, child:lua("return events"))
    assert.are.equal(w.config_dir .. "/alpha.json", child:lua("return npc.ctx._last_project_json"))
    child:lua([[
      npc.ctx.json.x, npc.ctx.json.new = 3, true
      npc.save(function(ok, err) _G.saved = { ok, err } end)
    ]])
    child:wait("saved")
    assert.are.same({ true }, child:lua("return saved"))
    local read = require("tests.support").read
    assert.are.equal('{\n\t"x": 3, // two\n\t"e": 1\n}\n', read(extra))
    assert.are.same({ x = 1, new = true }, vim.json.decode(read(w.config_dir .. "/alpha.json")))
    -- What somebody else writes there is seen at the next load, and by an update.
    require("tests.support").write(extra, '{"x": 10}')
    child:lua([[
      npc.update("x", function(old) note(old) return old + 1 end, function(ok, err) _G.updated = { ok, err } end)
    ]])
    child:wait("updated")
    assert.are.same({ { true }, 10 }, child:lua("return { updated, events[3] }"))
    assert.are.same({ x = 11 }, vim.json.decode(read(extra)))
    assert.are.same({ x = 11, new = true }, child:lua("return vim.deepcopy(load_now().json)"))
    child:stop()
  end)

  it("lies above those that were merged before it, at each load", function()
    local w = workspace.new({ config = { ["alpha.toml"] = "" } })
    local a = require("tests.support").write(w.dir .. "/a.json", '{"x": "a", "a": 1}')
    local b = require("tests.support").write(w.dir .. "/b.json", '{"x": "b", "b": 1}')
    local child = open(
      w,
      "alpha",
      "{ executors = { toml = { run = function(ctx) for _, path in ipairs(paths) do json(ctx, path) end end } } }"
    )
    local function loaded(...)
      return child:lua(("_G.paths = %s; return load_now().json.x"):format(vim.inspect({ ... })))
    end
    assert.are.equal("b", loaded(a, b))
    assert.are.equal("b", loaded(a, b))
    assert.are.equal("a", loaded(b, a))
    assert.are.equal("a", loaded(a))
    assert.are.same({ x = "a", a = 1 }, child:lua("return vim.deepcopy(npc.ctx.json)"))
    -- Twice is once.
    assert.are.equal("a", loaded(b, a, b))
    child:stop()
  end)

  it("gives an error for the file if it is not there, too large, no object, or anybody may write it", function()
    local w = workspace.new({
      config = { ["alpha/a.toml"] = "", ["alpha/b.toml"] = "", ["alpha/c.toml"] = "", ["alpha/d.toml"] = "" },
    })
    local write = require("tests.support").write
    write(w.dir .. "/b", '{"x": ' .. ("1"):rep(100) .. "}")
    write(w.dir .. "/c", "[1, 2]")
    assert(vim.uv.fs_chmod(write(w.dir .. "/d", "{}"), tonumber("666", 8)))
    local child = open(
      w,
      "alpha",
      ([[{ cache = { max_file_size = 50 }, executors = { toml = { run = function(ctx, path)
        json(ctx, %q .. "/" .. vim.fs.basename(path):sub(1, 1))
      end } } }]]):format(w.dir)
    )
    child:lua("assert(load_now())")
    local found = {}
    for index, err in ipairs(child:lua("return errors")) do
      found[index] = { err.code, err.path }
    end
    assert.are.same({ "not_found", w.dir .. "/a" }, found[1])
    assert.are.same({ "too_large", w.dir .. "/b" }, found[2])
    assert.are.same({ "unsupported_value", w.dir .. "/c" }, found[3])
    assert.are.same({ "untrusted", w.dir .. "/d" }, found[4])
    child:stop()
  end)

  it("takes nothing over that the user has changed meanwhile", function()
    local w = workspace.new({ config = { ["alpha.json"] = '{"x": 1, "y": 1}', ["alpha.toml"] = "" } })
    local extra = require("tests.support").write(w.dir .. "/extra.json", '{"e": 1}')
    local child = open(
      w,
      "alpha",
      ([[{ executors = { toml = { run = function(ctx)
        local json_now = ctx.json
        json_now.y = 5
        vim.schedule(function() json_now.z = 6 end)
        json(ctx, %q)
        -- The file may be merged before the loop has turned.
        local co = coroutine.running()
        vim.schedule(function() assert(coroutine.resume(co)) end)
        coroutine.yield()
        note(vim.deepcopy(ctx.json))
      end } } }]]):format(extra)
    )
    child:lua("load_now()")
    assert.are.same({ { x = 1, y = 5, z = 6, e = 1 } }, child:lua("return events"))
    child:lua("npc.save(function(ok) _G.saved = ok end)")
    child:wait("saved")
    assert.are.same(
      { x = 1, y = 5, z = 6 },
      vim.json.decode(require("tests.support").read(w.config_dir .. "/alpha.json"))
    )
    assert.are.equal('{"e": 1}', require("tests.support").read(extra))
    child:stop()
  end)
end)

describe("executors.json", function()
  it("says what is wrong with its arguments, and where it may be called", function()
    local w = workspace.new({ config = { ["alpha.json"] = "{}" } })
    local child = open(w, "alpha")
    child:lua("load_now()")
    local cases = {
      ["json(npc.ctx, nil)"] = "executors.json: path: expected string, got nil",
      ["json(npc.ctx, 7)"] = "executors.json: path: expected string, got number",
      ["json(npc.ctx, 'a/b')"] = "executors.json: path: expected an absolute path, got 'a/b'",
      ["json(npc.ctx, '/a\\0b')"] = "executors.json: path: expected a path without NUL",
      ["json({}, '/a')"] = "executors.json: ctx: expected a context, got table",
      ["json(npc.ctx, '/a')"] = "executors.json: not in a coroutine",
    }
    for code, expected in pairs(cases) do
      local ok, problem = unpack(child:lua(([[return { pcall(function() %s end) }]]):format(code:gsub("\\0", "\\0"))))
      assert.is_false(ok)
      assert.is_truthy(problem:find(expected, 1, true), problem)
    end
    child:stop()
  end)

  it("answers no_project for a context that has loaded nothing", function()
    local w = workspace.new()
    local child = open(w, "alpha")
    child:lua([[
      coroutine.wrap(function()
        local ok, err = pcall(json, npc.ctx, "/etc/hostname")
        note({ ok, err.code })
      end)()
    ]])
    child:wait("events[1]")
    assert.are.same({ { false, "no_project" } }, child:lua("return events"))
    child:stop()
  end)

  it("works outside of any load, and what it merges stays until the context is left", function()
    local w = workspace.new({ config = { ["alpha.json"] = '{"x": 1}' } })
    local extra = require("tests.support").write(w.dir .. "/extra.json", '{"x": 2, "e": 1}')
    local child = open(w, "alpha")
    child:lua(([[
      load_now()
      coroutine.wrap(function() json(npc.ctx, %q) note(vim.deepcopy(npc.ctx.json)) end)()
    ]]):format(extra))
    child:wait("events[1]")
    assert.are.same({ { x = 2, e = 1 } }, child:lua("return events"))
    for _ = 1, 2 do
      assert.are.same({ x = 2, e = 1 }, child:lua("return vim.deepcopy(load_now().json)"))
    end
    child:lua("npc.clear()")
    assert.are.same({ x = 1 }, child:lua("return vim.deepcopy(load_now().json)"))
    child:stop()
  end)

  it("ends with cancelled when the context is left meanwhile, and nothing is reported", function()
    local w = workspace.new({ config = { ["alpha.json"] = '{"x": 1}', ["alpha/b.json"] = "{}" } })
    -- Side by side: the second file's executor runs while the first one waits.
    local child = open(
      w,
      "alpha",
      [[{ executors = { json = { run = function(ctx, path)
        if vim.endswith(path, "/b.json") then
          return npc.clear(ctx)
        end
        local ok, err = pcall(json, ctx, path)
        note(err.code)
        error(err, 0)
      end } } }]]
    )
    child:lua("npc.load(function(_, err) note('load: ' .. err.code) end)")
    child:wait("#events == 2")
    local events = child:lua("idle(); return events")
    table.sort(events)
    assert.are.same({ "cancelled", "load: cancelled" }, events)
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)
end)
