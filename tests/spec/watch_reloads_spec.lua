-- What a change in config_dir sets off: of JSON alone, that the settings are shown anew and nothing runs; of code, all that a load
-- does; for a project that is not current, the settings of its kept context, and nothing that runs before it is entered again.
local watching = require("tests.support.watching")
local workspace = require("tests.support.workspace")

---@param name string
---@param version integer
---@return string
local function code(name, version)
  return ("table.insert(_G.ran, %q)\n"):format(name .. " " .. version)
end

local CONFIG = {
  ["alpha.json"] = '{"n": 1, "kept": {"x": 1}}',
  ["alpha.lua"] = code("alpha.lua", 1),
  ["alpha.vim"] = "call luaeval('table.insert(_G.ran, _A)', 'alpha.vim 1')\n",
  ["alpha/more.lua"] = code("more.lua", 1),
  ["beta.json"] = '{"n": 100}',
  ["beta.lua"] = code("beta.lua", 1),
}

---@param opts? test.WatchOptions
local function open(opts)
  local w = workspace.new({ config = CONFIG })
  return watching.open(w, "alpha", opts), w
end

--- Events of the plugin in their order, each as one text.
---@param child test.Child
local function told(child)
  return vim.tbl_map(function(entry)
    return ("%s %s %s"):format(entry.kind, entry.reason, table.concat(entry.files, ","))
  end, child:lua("return told"))
end

describe("a change of JSON alone", function()
  it("is shown in place and announced once; nothing runs", function()
    local child, w = open()
    child:lua("_G.json = npc.ctx.json; _G.kept = json.kept")
    watching.replace(w.config_dir .. "/alpha.json", '{"n": 2, "kept": {"x": 1}}')
    watching.until_loads(child, 1)
    child:lua("idle()")
    assert.are.same(
      { 2, true },
      child:lua("return { npc.ctx.json.n, npc.ctx.json == json and json.kept == kept and kept.x == 1 }")
    )
    assert.are.same({ "LoadPre config_dir alpha.json", "LoadPost config_dir alpha.json" }, told(child))
    assert.are.same({
      { paths = { { "n" } }, origin = "disk", project_name = "alpha", project_root = w.work .. "/alpha" },
    }, child:lua("return changes"))
    assert.are.same({}, watching.settled(w, child) and child:lua("return ran"))
    assert.are.same({}, child:lua("return hooks"))
    child:stop()
  end)

  it("that the user's pending change contradicts leaves the user's value", function()
    local child, w = open()
    -- Both in one tick of the editor: the change is not on disk yet when the other one comes.
    child:lua([[
        npc.ctx.json.n = 5
        local file = assert(io.open(config_dir .. "/alpha.json", "w"))
        file:write('{"n": 2, "new": true}')
        file:close()
      ]])
    child:wait("npc.ctx.json.new")
    child:lua("saved()")
    assert.are.equal(5, child:lua("return npc.ctx.json.n"))
    assert.are.same({ n = 5, new = true }, require("tests.support.saving").value(w.config_dir .. "/alpha.json"))
    child:stop()
  end)
end)

describe("a change of code", function()
  it("runs all files and on_load again, once, with the new text", function()
    local child, w = open()
    watching.replace(w.config_dir .. "/alpha/more.lua", code("more.lua", 2))
    watching.until_loads(child, 1)
    child:lua("idle()")
    assert.are.same({ "alpha.lua 1", "more.lua 2", "alpha.vim 1" }, child:lua("return ran"))
    assert.are.same({ "alpha" }, child:lua("return hooks"))
    local files = "alpha.json,alpha.lua,alpha/more.lua,alpha.vim"
    assert.are.same({ "LoadPre config_dir " .. files, "LoadPost config_dir " .. files }, told(child))
    assert.are.same({}, child:lua("return changes"))
    child:stop()
  end)

  it("together with JSON is one load, and the code sees the new settings", function()
    local child, w = open()
    watching.at_once(child, function()
      watching.replace(w.config_dir .. "/alpha.lua", "table.insert(_G.ran, npc.ctx.json.n)")
      watching.replace(w.config_dir .. "/alpha.json", '{"n": 3}')
    end)
    local load = watching.loaded_once(w, child)
    assert.are.equal("config_dir", load.reason)
    assert.are.same({ 3, "more.lua 1", "alpha.vim 1" }, child:lua("return ran"))
    assert.are.same({ "alpha" }, child:lua("return hooks"))
    child:stop()
  end)

  it("that the code itself makes while it runs does not go round for ever", function()
    local child, w = open()
    -- Each run writes a file of the project, always the same text. It is never there by half: that would be another text.
    watching.replace(
      w.config_dir .. "/alpha.lua",
      [[
        table.insert(_G.ran, "writes")
        local path = config_dir .. "/alpha/written.lua"
        local file = assert(io.open(path .. ".new", "w"))
        file:write("table.insert(_G.ran, 'written')")
        file:close()
        assert(os.rename(path .. ".new", path))
      ]]
    )
    child:wait("vim.tbl_contains(ran, 'written')")
    watching.settled(w, child)
    local writes = vim.tbl_filter(function(what)
      return what == "writes"
    end, child:lua("return ran"))
    assert.are.equal(2, #writes)
    child:stop()
  end)
end)

describe("a change for a project that is not current", function()
  it("is shown by its kept context; nothing of it runs until it is entered", function()
    local child, w = open()
    child:lua([[
      _G.alpha = npc.ctx
      _G.json = alpha.json
      assert(load_now(at("beta")))
      forget()
    ]])
    watching.replace(w.config_dir .. "/alpha.json", '{"n": 7}')
    child:wait("json.n == 7")
    watching.replace(w.config_dir .. "/alpha.lua", code("alpha.lua", 2))
    child:lua("idle()")
    assert.are.same(
      { "beta", 100, true },
      child:lua("return { npc.ctx.project_name, npc.ctx.json.n, alpha.json == json }")
    )
    watching.settled(w, child)
    assert.are.same({}, child:lua("return ran"))
    assert.are.same({}, child:lua("return hooks"))
    local announced = child:lua("return changes")
    assert.are.equal(1, #announced, vim.inspect(announced))
    assert.are.same({ "alpha", "disk" }, { announced[1].project_name, announced[1].origin })

    child:lua("forget(); assert(load_now(at('alpha')))")
    assert.are.same({ "alpha.lua 2", "more.lua 1", "alpha.vim 1" }, child:lua("return ran"))
    assert.are.same({ "alpha" }, child:lua("return hooks"))
    child:stop()
  end)

  it("is saved to its own file when the kept context is changed meanwhile", function()
    local child, w = open()
    child:lua("_G.json = npc.ctx.json; assert(load_now(at('beta'))); forget()")
    watching.replace(w.config_dir .. "/alpha.json", '{"n": 7, "theirs": true}')
    child:wait("json.theirs")
    child:lua("json.ours = true; saved()")
    local saving = require("tests.support.saving")
    assert.are.same({ n = 7, theirs = true, ours = true }, saving.value(w.config_dir .. "/alpha.json"))
    assert.are.same({ n = 100 }, saving.value(w.config_dir .. "/beta.json"))
    child:stop()
  end)

  it("and that was cleared concerns nobody", function()
    local child, w = open()
    child:lua("_G.alpha = npc.ctx; assert(load_now(at('beta'))); npc.clear(alpha); forget()")
    watching.replace(w.config_dir .. "/alpha.json", '{"n": 7}')
    watching.replace(w.config_dir .. "/alpha.lua", code("alpha.lua", 2))
    assert.are.same({}, watching.settled(w, child))
    assert.are.same({}, child:lua("return ran"))
    child:stop()
  end)
end)

it("watching ends with a `setup` without it, and begins again with one that has it", function()
  local child, w = open()
  for round = 1, 3 do
    child:lua("options.loading.watch.config_dir = false; npc.setup(options); assert(load_now()); forget()")
    watching.replace(w.config_dir .. "/alpha.json", ('{"n": %d}'):format(10 * round))
    child:lua("idle()")
    assert.are.same({}, child:lua("return loads"))
    child:lua("options.loading.watch.config_dir = true; npc.setup(options); assert(load_now()); forget()")
    watching.replace(w.config_dir .. "/alpha.json", ('{"n": %d}'):format(10 * round + 1))
    child:wait(("npc.ctx.json.n == %d"):format(10 * round + 1))
  end
  child:stop()
end)
