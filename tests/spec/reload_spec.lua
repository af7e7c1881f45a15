-- Loading a project again: its table is brought up to date in place, and what has not changed stays the very same table.
local workspace = require("tests.support.workspace")

local FIRST = [[{
  "formatter": "prettier",
  "lsp": { "tsserver": { "tabs": 2, "inlay": { "hints": true } }, "eslint": { "run": "onSave" } },
  "tasks": [ { "name": "build" }, { "name": "test" } ],
  "obsolete": { "gone": true }
}]]

local SECOND = [[{
  "formatter": "biome",
  "lsp": { "tsserver": { "tabs": 4, "inlay": { "hints": true } }, "eslint": { "run": "onSave" } },
  "tasks": [ { "name": "build" }, { "name": "test" }, { "name": "deploy" } ],
  "added": { "new": [] }
}]]

describe("a reload", function()
  it("updates the same table in place", function()
    local w = workspace.new({ config = { ["alpha.json"] = FIRST } })
    local child = w:open("alpha")
    child:lua([[
      local json = load_now().json
      _G.kept = { root = json, lsp = json.lsp, tsserver = json.lsp.tsserver, inlay = json.lsp.tsserver.inlay, eslint = json.lsp.eslint }
    ]])
    w:write("alpha.json", SECOND)
    local result = child:lua([[
      local json = load_now().json
      return {
        values = json,
        root = json == kept.root,
        unchanged = json.lsp.eslint == kept.eslint and json.lsp.tsserver.inlay == kept.inlay,
        around = json.lsp == kept.lsp and json.lsp.tsserver == kept.tsserver,
        seen_by_a_kept_reference = kept.tsserver.tabs,
      }
    ]])
    assert.are.same({
      values = {
        formatter = "biome",
        lsp = { tsserver = { tabs = 4, inlay = { hints = true } }, eslint = { run = "onSave" } },
        tasks = { { name = "build" }, { name = "test" }, { name = "deploy" } },
        added = { new = {} },
      },
      root = true,
      unchanged = true,
      around = true,
      seen_by_a_kept_reference = 4,
    }, result)
    child:stop()
  end)

  it("with nothing changed changes nothing", function()
    local w = workspace.new({ config = { ["alpha.json"] = FIRST } })
    local child = w:open("alpha")
    local result = child:lua([[
      local json = load_now().json
      local kept = { json, json.lsp, json.lsp.tsserver, json.tasks, json.tasks[1], json.obsolete }
      local again = load_now().json
      return { vim.deep_equal(kept, { again, again.lsp, again.lsp.tsserver, again.tasks, again.tasks[1], again.obsolete }),
        again == kept[1] and again.lsp == kept[2] and again.lsp.tsserver == kept[3] and again.tasks == kept[4]
          and again.tasks[1] == kept[5] and again.obsolete == kept[6] }
    ]])
    assert.are.same({ true, true }, result)
    child:stop()
  end)

  it("sees a file that changed, appeared or went away, even within one second and at the same size", function()
    local w = workspace.new({ config = { ["alpha.json"] = '{"n": 1}' } })
    local child = w:open("alpha")
    local seen = {}
    for n = 1, 9 do
      w:write("alpha.json", ('{"n": %d}'):format(n))
      seen[n] = child:lua("return load_now().json.n")
    end
    assert.are.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9 }, seen)
    w:write("alpha/more.json", '{"more": true}')
    assert.are.same({ n = 9, more = true }, child:lua("return load_now().json"))
    vim.fn.delete(w.config_dir .. "/alpha.json")
    assert.are.same({ more = true }, child:lua("return load_now().json"))
    vim.fn.delete(w.config_dir .. "/alpha", "rf")
    assert.are.same({ {}, {} }, child:lua("local ctx = load_now(); return { ctx.json, ctx._files_loaded }"))
    child:stop()
  end)

  it("runs Lua and Vim files again, as they are now", function()
    local w = workspace.new({ config = { ["alpha.lua"] = "note('lua 1')", ["alpha.vim"] = "lua note('vim 1')" } })
    local child = w:open("alpha")
    child:lua("load_now()")
    w:write("alpha.lua", "note('lua 2')")
    w:write("alpha.vim", "lua note('vim 2')")
    child:lua("load_now()")
    assert.are.same({ "lua 1", "vim 1", "lua 2", "vim 2" }, child:lua("return events"))
    child:stop()
  end)

  it("keeps the last good values of a file that has become malformed, and takes up the others", function()
    local w = workspace.new({ config = { ["alpha.json"] = FIRST, ["alpha/extra.json"] = '{"extra": 1}' } })
    local child = w:open("alpha")
    child:lua("_G.json = load_now().json")
    w:write("alpha.json", '{\n  "formatter": "biome",\n  "lsp": {,}\n}')
    w:write("alpha/extra.json", '{"extra": 2}')
    local result = child:lua([[
      local ctx, err = load_now()
      return { ctx.json, ctx.json == json, err == nil, errors }
    ]])
    assert.are.same({
      formatter = "prettier",
      lsp = { tsserver = { tabs = 2, inlay = { hints = true } }, eslint = { run = "onSave" } },
      tasks = { { name = "build" }, { name = "test" } },
      obsolete = { gone = true },
      extra = 2,
    }, result[1])
    assert.is_true(result[2])
    assert.is_true(result[3])
    assert.are.equal(1, #result[4])
    local err = result[4][1]
    assert.are.same(
      { "syntax", w.config_dir .. "/alpha.json", 3, w.config_dir .. "/alpha.json" },
      { err.code, err.path, err.line, err.file }
    )
    child:lua("assert(load_now())")
    assert.are.same(result[1], child:lua("return npc.ctx.json"))
    w:write("alpha.json", '{"formatter": "biome"}')
    assert.are.same({ formatter = "biome", extra = 2 }, child:lua("return load_now().json"))
    child:stop()
  end)

  it("that another one of the project overtakes ends with what is on the disk", function()
    local w = workspace.new({
      work = { ["alpha/.git"] = true, ["alpha/sub"] = true },
      config = { ["alpha.json"] = '{"x": 1}' },
    })
    local child = w:open("alpha")
    child:lua("load_now()")
    w:write("alpha.json", '{"x": 2}')
    w:write("alpha/bad.json", "{")
    -- on_error runs while the first load is still under way; the second one is newer.
    local shown = child:lua(([[
      local overtaken
      npc.ctx.on_error = function()
        if overtaken then return end
        overtaken = true
        vim.fn.writefile({ '{"x": 1, "z": 3}' }, %q)
        note(vim.deepcopy(load_now(at("alpha/sub")).json))
      end
      note(vim.deepcopy(load_now(npc.ctx).json))
      return events
    ]]):format(w.config_dir .. "/alpha.json"))
    assert.are.same({ { x = 1, z = 3 }, { x = 1, z = 3 } }, shown)
    w:write("alpha.json", '{"x": 2}')
    assert.are.same({ x = 2 }, child:lua("return load_now().json"))
    child:stop()
  end)

  it("that another one overtakes while it is being put together never mixes the two", function()
    local w = workspace.new({
      work = { ["alpha/.git"] = true, ["alpha/sub"] = true },
      config = { ["alpha.json"] = '{"x": 1}' },
    })
    local child = w:open("alpha")
    child:lua("load_now()")
    local big = {}
    for index = 1, 60000 do
      big[index] = ('"key-%d": { "enabled": true, "level": %d }'):format(index, index)
    end
    w:write("alpha.json", '{"x": 2, "big": {' .. table.concat(big, ", ") .. "}}")
    -- The first piece of the large document is the moment at which a newer, small one is written and loaded. The next piece waits for
    -- that: the smaller one need not be the quicker one.
    local result = child:lua(
      [[
      local path, small = ...
      local decode, overtaking, order, first = vim.json.decode, nil, {}, nil
      vim.json.decode = function(text, ...)
        if not overtaking and #text > 1000 then
          overtaking = true
          vim.fn.writefile({ small }, path)
          npc.load(at("alpha/sub"), function() order[#order + 1] = "second" end)
          settle(function() return #order > 0 end)
        end
        return decode(text, ...)
      end
      npc.load(npc.ctx, function(ctx)
        order[#order + 1] = "first"
        first = { x = ctx.json.x, z = ctx.json.z, big = vim.tbl_count(ctx.json.big or {}) }
      end)
      assert(settle(function() return #order == 2 end))
      vim.json.decode = decode
      return { order, first, load_now().json }
    ]],
      w.config_dir .. "/alpha.json",
      '{"x": 1, "z": 3}'
    )
    assert.are.same({ "second", "first" }, result[1])
    -- The newest state that anybody has read, also for the load that had read an older one.
    assert.are.same({ x = 1, z = 3, big = 0 }, result[2])
    assert.are.same({ x = 1, z = 3 }, result[3])
    child:stop()
  end)

  it("of a file that never was good leaves it out", function()
    local w = workspace.new({ config = { ["alpha.json"] = '{"broken": ', ["alpha/good.json"] = '{"good": true}' } })
    local child = w:open("alpha")
    assert.are.same({ good = true }, child:lua("return load_now().json"))
    assert.are.same({ good = true }, child:lua("return load_now().json"))
    child:stop()
  end)
end)
