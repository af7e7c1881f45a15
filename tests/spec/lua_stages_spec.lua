-- Stages of the user's own: functions in the pipeline, on_match and finders, and what they may decide.
local stages = require("tests.support.stages")
local support = require("tests.support")
local workspace = require("tests.support.workspace")

local WORK = {
  ["top/.git"] = true,
  ["top/pkg/package.json"] = '{ "name": "from-manifest" }',
  ["top/pkg/src/deep"] = true,
}
local START = "top/pkg/src/deep"
local CONFIG = {
  ["top.json"] = '{ "from": "top" }',
  ["top.lua"] = "note('top.lua')",
  ["top/a.lua"] = "note('a.lua')",
  ["top/pkg.lua"] = "note('pkg.lua')",
  ["top/pkg/b.lua"] = "note('b.lua')",
  ["top/pkg.vim"] = "lua note('pkg.vim')",
  ["pkg.lua"] = "note('other pkg.lua')",
  ["deep.lua"] = "note('deep.lua')",
  ["named.lua"] = "note('named.lua')",
}
local RAN = { "top.lua", "a.lua", "pkg.lua", "b.lua", "pkg.vim" }
local FILES = { "top.json", "top.lua", "top/a.lua", "top/pkg.lua", "top/pkg/b.lua", "top/pkg.vim" }

--- Loads in a new editor, which is left running.
---@param pipeline string Lua
---@param opts? { before?: string, dir?: string }
---@return table result, test.Child child, test.Workspace w
local function load(pipeline, opts)
  opts = opts or {}
  local w = workspace.new({ work = WORK, config = CONFIG })
  local child = stages.open(w, opts.dir or START, { before = opts.before })
  local result = child:lua(("return told(load_with(%s))"):format(pipeline))
  return result, child, w
end

---@param w test.Workspace
---@param dir string
---@return string[] paths from the directory up to the root
local function upwards(w, dir)
  local paths = { w.work .. "/" .. dir }
  while paths[#paths] ~= "/" do
    table.insert(paths, vim.fs.dirname(paths[#paths]))
  end
  return paths
end

describe("a stage that is a function", function()
  it("stands anywhere, and what it hands on is what the next one gets", function()
    local result, child, w =
      load('{ pass("0"), walk(), pass("1"), detect(), pass("2"), find_files(), pass("3"), execute(), pass("4") }')
    assert.are.same({ "top/pkg", FILES, { from = "top" } }, { result.name, result.files, result.json })
    local seen = { ["0"] = {}, ["1"] = {}, ["2"] = {}, ["3"] = {}, ["4"] = {} }
    local ran = {}
    for _, event in ipairs(child:lua("return events")) do
      if type(event) == "table" then
        table.insert(seen[event[1]], event[2])
      else
        table.insert(ran, event)
      end
    end
    local files = vim.tbl_map(function(name)
      return w.config_dir .. "/" .. name
    end, FILES)
    assert.are.same({ w.work .. "/" .. START }, seen["0"])
    assert.are.same(upwards(w, START), seen["1"])
    assert.are.same(upwards(w, START), seen["2"])
    assert.are.same(files, seen["3"])
    assert.are.same(files, seen["4"])
    assert.are.same(RAN, ran)
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it("alone is a pipeline: it gets the start directory", function()
    local result, child, w = load('{ pass("only") }')
    assert.are.same({ "deep", START, {} }, { result.name, result.root, result.files })
    assert.are.same({ { "only", w.work .. "/" .. START } }, child:lua("return events"))
    child:stop()
  end)

  it("behind execute gets the paths that ran to their end", function()
    local w = workspace.new({
      work = WORK,
      config = { ["top.json"] = "{}", ["top.lua"] = "error('broken')", ["top/a.lua"] = "note('a.lua')" },
    })
    local child = stages.open(w, "top")
    local result = child:lua([[
      local after = {}
      load_with({ walk(), detect(), find_files(), execute(), collect(after) })
      return { after, events, #errors }
    ]])
    local expected = { w.config_dir .. "/top.json", w.config_dir .. "/top/a.lua" }
    assert.are.same({ expected, { "a.lua" }, 1 }, result)
    child:stop()
  end)

  it("gets the context, the receiving end and the sending end, each in two forms", function()
    local result, child = load([[{
      walk(),
      function(ctx, rx, tx)
        local item = rx()
        while item ~= DONE do
          note(tx(item))
          item = rx.recv()
          if item ~= DONE then
            note(tx.send(item))
            item = rx()
          end
        end
        note({ npc.ctx == ctx, type(ctx.json), ctx.config_dir ~= nil, rx() == DONE, rx.recv() == DONE })
      end,
      detect(),
    }]])
    assert.are.equal("top/pkg", result.name)
    local events = child:lua("return events")
    assert.are.same({ true, "table", true, true, true }, table.remove(events))
    assert.is_true(#events > 4)
    for _, event in ipairs(events) do
      assert.is_true(event)
    end
    child:stop()
  end)

  it("hands any value to the next function, the same one", function()
    local result, child = load([[{
      function(_, rx, tx)
        local inner = { dir = rx() }
        _G.sent = { inner, function() end, false, 5, "text", vim.NIL, coroutine.create(function() end), setmetatable({}, { __eq = function() error("compared") end }) }
        for i = 1, 8 do tx(sent[i]) end
      end,
      function(_, rx)
        _G.got = {}
        for item in rx do
          if rawequal(item, DONE) then break end
          got[#got + 1] = item
        end
      end,
    }]])
    assert.are.equal("deep", result.name)
    assert.are.same(
      { 8, 8 },
      child:lua([[
      local same = 0
      for i = 1, 8 do same = same + (rawequal(sent[i], got[i]) and 1 or 0) end
      return { #got, same }
    ]])
    )
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it("ends its output with DONE or by returning, and may go on working", function()
    local result, child = load([[{
      walk(),
      function(_, rx, tx) tx(rx()) tx(DONE) while rx() ~= DONE do end note("drained") end,
      function(_, rx, tx) tx(rx()) note(rx() == DONE) note(rx() == DONE) end,
      detect({ matcher = function() return true end }),
    }]])
    assert.are.equal("deep", result.name)
    local events = child:lua("return events")
    table.sort(events, function(a, b)
      return tostring(a) < tostring(b)
    end)
    assert.are.same({ "drained", true, true }, events)
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it("filters", function()
    local result = load([[{
      walk(), detect(), find_files(),
      function(_, rx, tx)
        for path in rx do
          if path == DONE then break end
          if not path:find("b.lua", 1, true) and not path:find("%.vim$") then tx(path) end
        end
      end,
      execute(),
    }]])
    assert.are.same({ "top.json", "top.lua", "top/a.lua", "top/pkg.lua" }, result.files)
  end)

  it("fans out: a pipeline is done when the last stage has drained", function()
    local result, child = load([[{
      function(_, rx, tx)
        local dir = rx()
        for i = 1, 500 do tx({ dir, i }) end
      end,
      function(_, rx, tx)
        for item in rx do
          if item == DONE then break end
          for j = 1, 3 do
            if item[2] % 100 == 0 then pause() end
            tx(item[2] * 10 + j)
          end
        end
      end,
      function(_, rx)
        _G.count, _G.ordered, _G.last = 0, true, 0
        for item in rx do
          if item == DONE then break end
          count, ordered, last = count + 1, ordered and item > last, item
        end
        pause()
        note("drained")
      end,
    }]])
    assert.are.equal("deep", result.name)
    assert.are.same({ 1500, true, 5003, { "drained" } }, child:lua("return { count, ordered, last, events }"))
    child:stop()
  end)

  it("sends files of its own to execute: kind by kind, each once, in its order", function()
    local result, child = load([[{
      walk(), detect(), find_files(),
      function(_, rx, tx)
        local paths = {}
        for path in rx do
          if path == DONE then break end
          table.insert(paths, 1, path)
        end
        tx(config_dir .. "/deep.lua")
        for _, path in ipairs(paths) do tx(path) end
        for _, path in ipairs(paths) do tx(path) end
        tx(config_dir .. "/named.lua")
      end,
      execute(),
    }]])
    assert.are.same(
      { "top.json", "deep.lua", "top/pkg/b.lua", "top/pkg.lua", "top/a.lua", "top.lua", "named.lua", "top/pkg.vim" },
      result.files
    )
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it("takes the place of walk, and of find_files", function()
    local result, child = load([[{
      function(_, rx, tx) rx() tx(work .. "/top") end,
      detect({ matcher = ".git" }),
      function(ctx, rx, tx)
        while rx() ~= DONE do end
        tx(config_dir .. "/" .. ctx.project_name .. ".lua")
      end,
      execute(),
    }]])
    assert.are.same({ "top", { "top.lua" } }, { result.name, result.files })
    assert.are.same({ "top.lua" }, child:lua("return events"))
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it("awaits what it likes, while the editor lives", function()
    local result, child = load([[{
      walk(),
      function(_, rx, tx)
        for dir in rx do
          if dir == DONE then break end
          local stat = coroutine.yield(function(step)
            vim.uv.fs_stat(dir .. "/.git", function(_, stat) step(stat) end)
          end, 1)
          if stat then tx(dir) end
        end
      end,
      function(_, rx, tx)
        for dir in rx do
          if dir == DONE then break end
          pause()
          tx(dir)
        end
      end,
      detect({ matcher = function() return true end }),
    }]])
    assert.are.equal("top", result.name)
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it("that returns early does not stop native stages which have much to send", function()
    local tree = { ["top/.git"] = true }
    for index = 1, 700 do
      tree["top/many/" .. index] = true
    end
    local config = {}
    for index = 1, 700 do
      config[("top/%03d.lua"):format(index)] = ""
    end
    local w = workspace.new({ work = tree, config = config })
    local child = stages.open(w, "top")
    local result = child:lua([[
      return told(load_with({
        walk({ direction = "down" }),
        function(_, rx, tx) tx(rx()) end,
        detect({ matcher = ".git" }), find_files(),
        function(_, rx, tx) tx(rx()) end,
        execute(),
      }))
    ]])
    assert.are.same({ "top", { "top/001.lua" } }, { result.name, result.files })
    local all = child:lua([[
      local dirs, files = {}, {}
      load_with({ walk({ direction = "down" }), collect(dirs) })
      load_with({ walk(), detect(), find_files(), collect(files), execute() })
      return { #dirs, #files }
    ]])
    assert.are.same({ 702, 700 }, all)
    child:stop()
  end)

  it("is the one that was there when the load was asked for", function()
    local w = workspace.new({ work = WORK, config = CONFIG })
    local child = stages.open(w, START, {
      setup = [[{ pipeline = { walk(), function(_, rx, tx) tx(rx()) note("first") end, detect() } }]],
    })
    local result = child:lua([[
      local ended
      npc.load(function(ctx) ended = ctx end)
      npc.ctx.pipeline[2] = function() note("second") end
      assert(settle(function() return ended end))
      load_now()
      return events
    ]])
    assert.are.same({ "first", "second" }, result)
    child:stop()
  end)

  it("is called anew by each load", function()
    local w = workspace.new({ work = WORK, config = CONFIG })
    local child = stages.open(w, START, {
      setup = [[{ pipeline = { walk(), pass(), function(_, rx, tx)
        _G.calls = (_G.calls or 0) + 1
        for item in rx do if item == DONE then break end tx(item) end
      end, detect(), find_files(), execute() } }]],
    })
    for round = 1, 3 do
      assert.are.same(FILES, child:lua("return told(load_now()).files"))
      assert.are.equal(round, child:lua("return calls"))
    end
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it("works in the load at start-up, from setup on", function()
    local w = workspace.new({ work = WORK, config = CONFIG })
    local child = stages.open(w, START, {
      setup = [[{
        loading = { on = "startup" },
        pipeline = { walk(), pass(), detect({ matcher = function(dir) return dir == work .. "/top" end, on_match = function(ctx) ctx.mine = "set" end }),
          find_files(), pass(), execute(), pass() },
        on_load = function(ctx) note({ ctx.project_name, ctx.mine }) end,
      }]],
    })
    child:wait("vim.deep_equal(events[#events], { 'top', 'set' })")
    assert.are.same({ "top.lua", "a.lua", "pkg.lua", "pkg.vim", { "top", "set" } }, child:lua("return events"))
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it("runs once for equal loads that are asked for while one runs", function()
    local w = workspace.new({ work = WORK, config = CONFIG })
    local child = stages.open(w, START, {
      setup = [[{ pipeline = { function(_, rx, tx)
        _G.calls = (_G.calls or 0) + 1
        pause()
        tx(rx())
      end, walk(), detect(), find_files(), execute() } }]],
    })
    local result = child:lua([[
      local answers = {}
      for _ = 1, 10 do npc.load(function(ctx, err) table.insert(answers, ctx and ctx.project_name or err.code) end) end
      assert(settle(function() return #answers == 10 end))
      idle()
      return { calls, answers }
    ]])
    -- The first one, and a further one that all the others share.
    assert.are.equal(2, result[1])
    for _, name in ipairs(result[2]) do
      assert.are.equal("top/pkg", name)
    end
    child:stop()
  end)

  it("knows the projects where detect has found them", function()
    local result, child = load([[{
      function(ctx, rx, tx) note({ ctx.project_name == nil, #ctx.projects }) tx(rx()) end,
      walk(), detect(),
      function(ctx, rx, tx)
        for item in rx do if item == DONE then break end tx(item) end
        note({ ctx.project_name, #ctx.projects, ctx.project_root == work .. "/top/pkg" })
      end,
      find_files(), execute(),
      function(ctx, rx) while rx() ~= DONE do end note({ ctx.project_name, ctx == npc.ctx, ctx.json.from }) end,
    }]])
    assert.are.equal("top/pkg", result.name)
    local events = vim.tbl_filter(function(event)
      return type(event) == "table"
    end, child:lua("return events"))
    assert.are.same({ { true, 0 }, { "top/pkg", 2, true }, { "top/pkg", true, "top" } }, events)
    child:stop()
  end)
end)

describe("what a stage sets on its context", function()
  it("is on the project's context when the load is committed", function()
    local _, child = load([[{
      function(ctx, rx, tx) ctx.mine = { "a table" } ctx.project_type = "rust" ctx.on_load = function(c) note({ "on_load", c.mine[1] }) end tx(rx()) end,
      walk(), detect({ matcher = ".git", on_match = function(ctx) ctx.matched = "also this" end }), find_files(), execute(),
    }]])
    assert.are.same(
      { "a table", "rust", "also this" },
      child:lua("return { npc.ctx.mine[1], npc.ctx.project_type, npc.ctx.matched }")
    )
    child:stop()
  end)

  it("does not touch another project's context, nor the current one before the commit", function()
    local w = workspace.new({ work = { ["alpha/.git"] = true, ["beta/.git"] = true } })
    local child = stages.open(w, "alpha")
    local result = child:lua([[
      local alpha = load_now()
      local during
      local beta = load_with({ walk(), detect(), function(ctx, rx)
        ctx.mine = "beta's"
        during = { npc.ctx.mine == nil, alpha.mine == nil, alpha.project_name, ctx.project_name }
        while rx() ~= DONE do end
        during[5] = ctx.project_name
      end }, "beta")
      return { during, beta.mine, alpha.mine == nil, alpha.project_name }
    ]])
    assert.are.equal("beta", result[1][5])
    assert.is_true(result[1][2])
    assert.are.equal("alpha", result[1][3])
    assert.are.same({ "beta's", true, "alpha" }, { result[2], result[3], result[4] })
    child:stop()
  end)

  it("decides the project: its name", function()
    local result, child = load([[{
      walk(), detect(),
      function(ctx, rx) while rx() ~= DONE do end ctx.project_name = "named" end,
      find_files(), execute(),
    }]])
    assert.are.same({ "top/pkg", { "named.lua" } }, {
      result.root,
      vim.tbl_filter(function(name)
        return not vim.startswith(name, "top")
      end, result.files),
    })
    assert.are.same("named", child:lua("return npc.ctx.projects[#npc.ctx.projects].name"))
    child:stop()
  end)

  it("decides the project: the whole nest", function()
    local result, child = load([[{
      function(ctx, rx) rx() ctx.projects = { { root = work .. "/top", name = "named" } } end,
      find_files(), execute(),
    }]])
    assert.are.same({ "named", "top", { "named.lua" }, 1 }, { result.name, result.root, result.files, result.projects })
    child:stop()
  end)

  it("decides the project: name and root, without any detect", function()
    local result, child = load([[{
      walk(),
      function(ctx, rx, tx)
        for dir in rx do
          if dir == DONE then break end
          if vim.uv.fs_stat(dir .. "/package.json") then ctx.project_root, ctx.project_name = dir, "named" end
        end
      end,
      find_files(), execute(),
    }]])
    assert.are.same({ "named", "top/pkg", { "named.lua" } }, { result.name, result.root, result.files })
    assert.are.same({ "named.lua" }, child:lua("return events"))
    child:stop()
  end)

  it("decides the project: a name that is hostile stays in config_dir", function()
    local result, child = load([[{
      function(ctx, rx) rx() ctx.project_root, ctx.project_name = work .. "/top", "../../etc" end,
      find_files(), execute(),
    }]])
    assert.are.same({}, result.files or {})
    assert.is_true(
      result.err ~= nil
        or vim.startswith(child:lua("return npc.ctx._report.stem"), child:lua("return config_dir") .. "/")
    )
    child:stop()
  end)
end)

describe("on_match", function()
  it("is called with the directory that matches, after it was made the project", function()
    local result, child = load([[{
      walk(),
      detect({ matcher = "package.json", on_match = function(ctx, dir)
        note({ dir:sub(#work + 2), ctx.project_name, ctx.project_root == dir, #ctx.projects })
      end }),
      find_files(), execute(),
    }]])
    assert.are.same({ "pkg", "top/pkg" }, { result.name, result.root })
    assert.are.same({ { "top/pkg", "pkg", true, 1 }, "other pkg.lua" }, child:lua("return events"))
    child:stop()
  end)

  it("is called with the innermost root where the default rules decide", function()
    local result, child = load([[{
      walk(), detect({ on_match = function(ctx, dir) note({ dir:sub(#work + 2), ctx.project_name, #ctx.projects }) end }),
    }]])
    assert.are.equal("top/pkg", result.name)
    assert.are.same({ { "top/pkg", "top/pkg", 2 } }, child:lua("return events"))
    child:stop()
  end)

  it("gives the project another name", function()
    local result, child = load([[{
      walk(),
      detect({ matcher = "package.json", on_match = function(ctx, dir)
        local text = io.open(dir .. "/package.json"):read("*a")
        pause()
        ctx.project_name = "named"
      end }),
      find_files(), execute(),
    }]])
    assert.are.same({ "named", "top/pkg", { "named.lua" } }, { result.name, result.root, result.files })
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it("rejects a directory with false, and the search goes on", function()
    local result, child = load([[{
      walk(),
      detect({ matcher = function(dir) return vim.startswith(dir, work .. "/top") end, on_match = function(ctx, dir)
        note(vim.fs.basename(dir))
        ctx.seen = (ctx.seen or 0) + 1
        if vim.fs.basename(dir) ~= "top" then return false end
      end }),
      find_files(), execute(),
    }]])
    assert.are.same({ "top", "top" }, { result.name, result.root })
    assert.are.same({ "deep", "src", "pkg", "top" }, vim.list_slice(child:lua("return events"), 1, 4))
    assert.are.equal(4, child:lua("return npc.ctx.seen"))
    child:stop()
  end)

  it("that rejects all leaves the start directory", function()
    local result, child = load([[{
      walk(), detect({ matcher = { ".git", "package.json" }, on_match = function() return false end }),
    }]])
    assert.are.same({ "deep", START }, { result.name, result.root })
    child:stop()
  end)

  it("of several detects is each called; the project stays the first one's", function()
    local result, child = load([[{
      walk(),
      detect({ matcher = "package.json", on_match = function(ctx, dir) note(dir:sub(#work + 2)) ctx.package = dir:sub(#work + 2) end }),
      detect({ matcher = ".git", on_match = function(ctx, dir) note(dir:sub(#work + 2)) ctx.repository = dir:sub(#work + 2) end }),
      find_files(), execute(),
    }]])
    assert.are.same({ "pkg", "top/pkg" }, { result.name, result.root })
    assert.are.same({ "top/pkg", "top" }, vim.list_slice(child:lua("return events"), 1, 2))
    assert.are.same({ "top/pkg", "top" }, child:lua("return { npc.ctx.package, npc.ctx.repository }"))
    child:stop()
  end)

  it("of a later detect with override decides anew", function()
    local result = load([[{
      walk(),
      detect({ matcher = "package.json", on_match = function(ctx) ctx.project_name = "first" end }),
      detect({ matcher = ".git", override = true, on_match = function(ctx) note(ctx.project_name) end }),
      find_files(), execute(),
    }]])
    assert.are.same({ "top", "top" }, { result.name, result.root })
  end)

  it("is not called where nothing matches", function()
    local result, child = load('{ walk(), detect({ matcher = "absent", on_match = function() note("called") end }) }')
    assert.are.equal("deep", result.name)
    assert.are.same({}, child:lua("return events"))
    child:stop()
  end)

  it("of a detect behind another one without on_match changes nothing", function()
    local result = load('{ walk(), detect({ matcher = "package.json" }), detect({ matcher = ".git" }) }')
    assert.are.same({ "pkg", 1 }, { result.name, result.projects })
  end)
end)

describe("a finder", function()
  it("takes the place of the search, in its order", function()
    local result, child = load([[{
      walk(), detect(),
      find_files({ finder = function(ctx)
        note(ctx.project_name)
        pause()
        return { config_dir .. "/named.lua", config_dir .. "/deep.lua", config_dir .. "/top.json" }
      end }),
      execute(),
    }]])
    assert.are.same({ "top/pkg", { "top.json", "named.lua", "deep.lua" } }, { result.name, result.files })
    assert.are.same({ "top/pkg", "named.lua", "deep.lua" }, child:lua("return events"))
    assert.are.equal("top", child:lua("return npc.ctx.json.from"))
    child:stop()
  end)

  it("is filtered by extensions and matcher", function()
    local result = load([[{
      walk(), detect(),
      find_files({ extensions = { ".lua" }, matcher = m.not_("deep.lua"), finder = function()
        return { config_dir .. "/named.lua", config_dir .. "/deep.lua", config_dir .. "/top.json", config_dir .. "/top.lua" }
      end }),
      execute(),
    }]])
    assert.are.same({ "named.lua", "top.lua" }, result.files)
  end)

  it("may name files outside of config_dir", function()
    local w = workspace.new({ work = vim.tbl_extend("force", WORK, { ["top/.nvim.lua"] = "note('.nvim.lua')" }) })
    local child = stages.open(w, "top")
    child:lua([[
      load_with({ walk(), detect(), find_files({ finder = function(ctx) return { ctx.project_root .. "/.nvim.lua" } end }), execute() })
    ]])
    assert.are.same({ { ".nvim.lua" }, {} }, child:lua("return { events, errors }"))
    child:stop()
  end)

  it("may name JSON outside of config_dir: it is merged, saved, updated, and reloaded where it lies", function()
    local settings = "top/.settings.json"
    local w =
      workspace.new({ work = vim.tbl_extend("force", WORK, { [settings] = '{ "a": 1 } // kept' }), config = CONFIG })
    local child = stages.open(w, "top")
    local result = child:lua([[
      local pipeline = {
        walk(), detect(), find_files(),
        find_files({ finder = function(ctx) return { ctx.project_root .. "/.settings.json" } end }), execute(),
      }
      load_with(pipeline)
      npc.ctx.json.a = 2
      npc.set("deep.b", 3)
      local saved, updated
      npc.save(function(...) saved = { ... } end)
      assert(settle(function() return saved end))
      npc.update("a", function(old) return old + 10 end, function(...) updated = { ... } end)
      assert(settle(function() return updated end))
      local before = vim.deepcopy(npc.ctx.json)
      load_with(pipeline)
      return { saved, updated, before, npc.ctx.json, npc.ctx._last_project_json, errors, { npc.origin("a") } }
    ]])
    local json = { from = "top", a = 12, deep = { b = 3 } }
    local path = w.work .. "/" .. settings
    assert.are.same({ { true }, { true }, json, json }, vim.list_slice(result, 1, 4))
    assert.are.same({ {}, { path, 1 } }, { result[6], result[7] })
    assert.are.equal(w.config_dir .. "/top.json", result[5])
    assert.are.equal('{ "a": 12 } // kept', support.read(path))
    child:stop()
  end)

  it("adds to another search", function()
    local result = load([[{
      walk(), detect({ matcher = "package.json" }),
      find_files(), find_files({ finder = function() return { config_dir .. "/named.lua", config_dir .. "/pkg.lua" } end }),
      execute(),
    }]])
    assert.are.same({ "pkg.lua", "named.lua" }, result.files)
  end)

  it("names a missing file: one error, the rest loads", function()
    local result, child = load([[{
      walk(), detect(),
      find_files({ finder = function() return { config_dir .. "/absent.lua", config_dir .. "/named.lua" } end }),
      execute(),
    }]])
    assert.are.same({ "named.lua" }, result.files)
    local errors = child:lua("return errors")
    assert.are.same({ 1, "not_found" }, { #errors, errors[1].code })
    child:stop()
  end)
end)

describe("a fast stage is held back by a slow one", function()
  it("between two functions", function()
    local _, child = load([[{
      function(_, rx, tx)
        rx()
        _G.sent, _G.ahead, _G.taken = 0, 0, 0
        for i = 1, 1000 do
          tx(i)
          sent = i
          ahead = math.max(ahead, sent - taken)
        end
      end,
      function(_, rx)
        for item in rx do
          if item == DONE then break end
          _G.taken = taken + 1
          if taken % 10 == 0 then pause() end
        end
      end,
    }]])
    local sent, ahead, taken = unpack(child:lua("return { sent, ahead, taken }"))
    assert.are.same({ 1000, 1000 }, { sent, taken })
    assert.is_true(ahead <= 66, ("it was %d items ahead"):format(ahead))
    assert.is_true(ahead >= 32, ("it was %d items ahead"):format(ahead))
    child:stop()
  end)

  it("across native stages, within what they hold", function()
    -- Batches of 64: what the first function has sent, two on their way to the native stage (BATCHES in engine/src/pipeline/mixed.rs), the one it
    -- looks at, two behind it, and one that has arrived at the last function: the next is fetched when that is used up.
    local _, child = load([[{
      function(_, rx, tx)
        local dir = rx()
        _G.sent, _G.ahead, _G.taken = 0, 0, 0
        for i = 1, 5000 do
          tx(dir)
          sent = i
          ahead = math.max(ahead, sent - taken)
        end
      end,
      detect({ matcher = "absent" }),
      function(_, rx)
        for item in rx do
          if item == DONE then break end
          _G.taken = taken + 1
          if taken % 100 == 0 then pause() end
        end
      end,
    }]])
    local sent, ahead, taken = unpack(child:lua("return { sent, ahead, taken }"))
    assert.are.same({ 5000, 5000 }, { sent, taken })
    assert.is_true(ahead <= 7 * 64, ("it was %d items ahead"):format(ahead))
    child:stop()
  end)
end)

describe("a pipeline that makes no sense", function()
  it("is an error of the load that says where", function()
    local child = stages.open(workspace.new(), "alpha")
    for pipeline, says in pairs({
      ["{ walk(), 5 }"] = "pipeline[2]: expected a function or a stage",
      ["{ 'walk' }"] = "pipeline[1]: expected a function or a stage",
      ["{ {} }"] = "pipeline[1]: there is no stage ''",
      ["{ { stage = 'walks' } }"] = "pipeline[1]: there is no stage 'walks'",
      ["{ walk(), execute(), walk() }"] = "pipeline[3]: after execute",
      ["{ execute(), pass(), find_files() }"] = "pipeline[3]: after execute",
      ["{ execute(), execute() }"] = "pipeline[2]: after execute",
    }) do
      local result = child:lua(("return told(load_with(%s))"):format(pipeline))
      assert.are.equal("invalid_argument", result.err, pipeline)
      assert.is_truthy(result.message:find(says, 1, true), ("%s: %s"):format(pipeline, result.message))
    end
    child:stop()
  end)

  it("may well be empty, or do nothing", function()
    local child = stages.open(workspace.new(), "alpha")
    for _, pipeline in ipairs({
      "{}",
      "{ walk() }",
      "{ execute() }",
      "{ function() end }",
      "{ function() end, execute(), function() end }",
    }) do
      assert.are.same(
        { "alpha", {} },
        child:lua(("local told = told(load_with(%s)) return { told.name, told.files }"):format(pipeline)),
        pipeline
      )
    end
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)
end)
