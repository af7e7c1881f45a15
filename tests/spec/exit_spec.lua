-- Leaving the editor: at once, with a clean exit code, whatever the plugin is doing; and how the main loop is woken.
local support = require("tests.support")
local workspace = require("tests.support.workspace")

--- Far above what leaving takes, far below any deadline of the plugin's.
local AT_MOST_MS = 1000

--- Ends an editor and expects that it took no time and left well.
local function leaves_at_once(child)
  local exit = child:stop()
  assert.are.equal(0, exit.code)
  assert.is_true(exit.elapsed_ms < AT_MOST_MS, ("took %d ms"):format(exit.elapsed_ms))
  assert.are.equal("", child:stderr())
end

local ways = { ["woken by the library"] = {}, ["woken by a thread"] = { NVIM_PROJECT_CONFIG_WAKE = "thread" } }

for name, env in pairs(ways) do
  describe("an editor " .. name, function()
    it("loads", function()
      local w = workspace.new({
        config = {
          ["alpha.json"] = '{"a": 1}',
          ["alpha.lua"] = "note('alpha.lua')",
          ["alpha.vim"] = "lua note('alpha.vim')",
        },
      })
      local child = w:open("alpha", { env = env })
      assert.are.same(
        { 1, { "alpha.lua", "alpha.vim" }, "beta" },
        child:lua("return { load_now().json.a, vim.deepcopy(events), load_now(at('beta')).project_name }")
      )
      child:lua("for _ = 1, 100 do assert(load_now()) end")
      assert.are.same({}, child:lua("return errors"))
      leaves_at_once(child)
    end)

    it("leaves at once after a load", function()
      local child = workspace.new():open("alpha", { env = env })
      child:lua("load_now()")
      leaves_at_once(child)
    end)

    it("leaves at once while a load is planned", function()
      local child = workspace.new():open("alpha", { env = env })
      child:lua("for i = 1, 20 do npc.load(at(i % 2 == 0 and 'alpha' or 'beta')) end")
      leaves_at_once(child)
    end)

    it("leaves at once while a file runs that never ends", function()
      local w = workspace.new({ config = { ["alpha.lua"] = "_G.held = true; coroutine.yield()" } })
      local child = w:open("alpha", { env = env })
      child:lua("npc.load(); assert(settle(function() return held end))")
      leaves_at_once(child)
    end)

    it("leaves at once right after setup, with the start-up load under way", function()
      local child = workspace.new():open("alpha", { env = env, without_setup = true })
      child:lua("options.loading = nil; npc.setup(options)")
      leaves_at_once(child)
    end)
  end)
end

describe("leaving", function()
  it("takes no longer than without the plugin, but for 150 ms", function()
    local function quickest(start)
      local best
      for _ = 1, 5 do
        local exit = start():stop()
        assert.are.equal(0, exit.code)
        best = math.min(best or exit.elapsed_ms, exit.elapsed_ms)
      end
      return best
    end
    local w = workspace.new({ config = { ["alpha.json"] = '{"a": 1}' } })
    local without = quickest(function()
      return support.child()
    end)
    local with = quickest(function()
      local child = w:open("alpha")
      child:lua("load_now()")
      return child
    end)
    assert.is_true(with < without + 150, ("with %.1f ms, without %.1f ms"):format(with, without))
  end)

  it("is possible in every place where the user's code runs", function()
    local places = {
      file = { config = { ["alpha.lua"] = "vim.cmd('qa!')" }, setup = "{}" },
      vim_file = { config = { ["alpha.vim"] = "qa!" }, setup = "{}" },
      on_load = { config = {}, setup = "{ on_load = function() vim.cmd('qa!') end }" },
      on_error = { config = { ["alpha.lua"] = "error('x')" }, setup = "{ on_error = function() vim.cmd('qa!') end }" },
    }
    for name, place in pairs(places) do
      local child = workspace.new({ config = place.config }):open("alpha", { setup = place.setup })
      pcall(child.lua, child, "npc.load()")
      local exit = child:ended()
      assert.are.equal(0, exit.code, name)
    end
  end)

  it("keeps a load in VimLeave from hanging", function()
    local child = workspace.new():open("alpha")
    child:lua([[
      load_now()
      vim.api.nvim_create_autocmd({ "VimLeavePre", "VimLeave" }, { callback = function() npc.load(function() end) end })
    ]])
    leaves_at_once(child)
  end)

  it("ends an editor that a file keeps waiting", function()
    local w = workspace.new({
      config = { ["alpha.lua"] = "_G.held = true; vim.wait(60000, function() return _G.free end, 5)" },
    })
    local child = w:open("alpha")
    child:lua("npc.load()")
    child:poll("held")
    child:lua("_G.free = true")
    leaves_at_once(child)
  end)
end)
