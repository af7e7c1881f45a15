-- The pipeline as an option: the native stages with settings of one's own.
local workspace = require("tests.support.workspace")

local STAGES = [[
  _G.walk = require("nvim-project-config.stages.walk")
  _G.detect = require("nvim-project-config.stages.detect")
  _G.find_files = require("nvim-project-config.stages.find_files")
  _G.execute = require("nvim-project-config.stages.execute")
]]

--- Loads with a pipeline and tells what came of it.
---@param w test.Workspace
---@param dir string
---@param pipeline string Lua
---@param more? string more options
local function load(w, dir, pipeline, more)
  local child = w:open(dir, { before = STAGES, setup = ("{ pipeline = %s, %s }"):format(pipeline, more or "") })
  local result = child:lua([[
    local ctx, err = load_now()
    if not ctx then return { err = err.code } end
    return { root = ctx.project_root, name = ctx.project_name, json = ctx.json, ran = events, files = vim.tbl_keys(ctx._files_loaded), errors = errors }
  ]])
  child:stop()
  if result.files then
    table.sort(result.files)
  end
  return result
end

local WORK = {
  ["outer/.marker"] = "",
  ["outer/.git"] = true,
  ["outer/inner/.marker"] = "",
  ["outer/inner/package.json"] = "{}",
  ["outer/inner/src/deep"] = true,
}
local CONFIG = {
  ["outer.json"] = '{"from": "outer", "outer": true}',
  ["outer/inner.json"] = '{"from": "outer/inner"}',
  ["inner.json"] = '{"from": "inner"}',
  ["inner.lua"] = "note('inner.lua')",
  ["inner/more.lua"] = "note('more.lua')",
  ["inner.vim"] = "lua note('inner.vim')",
  ["deep.json"] = '{"from": "deep"}',
}

describe("the default pipeline", function()
  it("is the four stages, shown on the context", function()
    local w = workspace.new({ work = WORK, config = CONFIG })
    local child = w:open("outer/inner/src/deep")
    assert.are.same(
      { 4, "outer/inner" },
      child:lua("local ctx = load_now(); return { #ctx.pipeline, ctx.project_name }")
    )
    child:stop()
  end)

  it("may be written out, and does the same", function()
    local w = workspace.new({ work = WORK, config = CONFIG })
    local result = load(w, "outer/inner/src/deep", "{ walk(), detect(), find_files(), execute() }")
    assert.are.same({ "outer/inner", { from = "outer/inner", outer = true } }, { result.name, result.json })
    assert.are.same({ w.config_dir .. "/outer.json", w.config_dir .. "/outer/inner.json" }, result.files)
  end)

  it("may be taken from the context, changed, and put back", function()
    local w = workspace.new({ work = WORK, config = CONFIG })
    local child = w:open("outer/inner/src/deep", { before = STAGES })
    local result = child:lua([[
      local stages = npc.ctx.pipeline
      stages[2] = detect({ matcher = ".marker" })
      npc.ctx.pipeline = stages
      local ctx = load_now()
      return { ctx.project_name, ctx.json.from }
    ]])
    assert.are.same({ "inner", "inner" }, result)
    child:stop()
  end)
end)

describe("detect", function()
  it("with a matcher makes the nearest directory that matches the project", function()
    local w = workspace.new({ work = WORK, config = CONFIG })
    local result =
      load(w, "outer/inner/src/deep", '{ walk(), detect({ matcher = ".marker" }), find_files(), execute() }')
    assert.are.same({ "inner", w.work .. "/outer/inner" }, { result.name, result.root })
    assert.are.same({ from = "inner" }, result.json)
    assert.are.same({ "inner.lua", "more.lua", "inner.vim" }, result.ran)
    assert.are.same({}, result.errors)
  end)

  it("with override takes the last one that matches", function()
    local w = workspace.new({ work = WORK, config = CONFIG })
    local result = load(
      w,
      "outer/inner/src/deep",
      '{ walk(), detect({ matcher = ".marker", override = true }), find_files(), execute() }'
    )
    assert.are.same({ "outer", w.work .. "/outer", true }, { result.name, result.root, result.json.outer })
  end)

  it("with override and without a matcher has the rules decide instead of an earlier stage", function()
    local w = workspace.new({ work = WORK, config = CONFIG })
    local stages = '{ walk(), detect({ matcher = ".marker" }), detect({ override = %s }), find_files(), execute() }'
    assert.are.equal("inner", load(w, "outer/inner/src/deep", stages:format("false")).name)
    assert.are.equal("outer/inner", load(w, "outer/inner/src/deep", stages:format("true")).name)
    local asked = stages:gsub('".marker"', 'function(dir) return vim.fs.basename(dir) == "inner" end')
    assert.are.equal("inner", load(w, "outer/inner/src/deep", asked:format("false")).name)
    assert.are.equal("outer/inner", load(w, "outer/inner/src/deep", asked:format("true")).name)
  end)

  it("takes a list of names for any of them", function()
    local w = workspace.new({ work = WORK, config = CONFIG })
    local result =
      load(w, "outer/inner/src/deep", '{ walk(), detect({ matcher = { ".none", ".git" } }), find_files(), execute() }')
    assert.are.equal("outer", result.name)
  end)

  it("that finds nothing leaves the start directory", function()
    local w = workspace.new({ work = WORK, config = CONFIG })
    local result = load(w, "outer/inner/src/deep", '{ walk(), detect({ matcher = ".none" }), find_files(), execute() }')
    assert.are.same(
      { "deep", w.work .. "/outer/inner/src/deep", { from = "deep" } },
      { result.name, result.root, result.json }
    )
  end)
end)

describe("walk", function()
  it("with a matcher passes on only the directories that match", function()
    local w = workspace.new({ work = WORK, config = CONFIG })
    local result = load(
      w,
      "outer/inner/src/deep",
      '{ walk({ matcher = ".git" }), detect({ matcher = ".marker" }), find_files(), execute() }'
    )
    assert.are.equal("outer", result.name)
  end)

  it("goes down from the start directory when it is told to", function()
    local w = workspace.new({ work = { ["tree/a/b/.marker"] = "" }, config = { ["b.json"] = '{"from": "b"}' } })
    local result =
      load(w, "tree", '{ walk({ direction = "down" }), detect({ matcher = ".marker" }), find_files(), execute() }')
    assert.are.same({ "b", w.work .. "/tree/a/b", { from = "b" } }, { result.name, result.root, result.json })
  end)
end)

describe("find_files", function()
  it("takes only the extensions it is given", function()
    local w = workspace.new({ work = WORK, config = CONFIG })
    local result = load(
      w,
      "outer/inner",
      '{ walk(), detect({ matcher = ".marker" }), find_files({ extensions = { ".lua" } }), execute() }'
    )
    assert.are.same({ "inner.lua", "more.lua" }, result.ran)
    assert.are.same({}, result.json)
    assert.are.same({ w.config_dir .. "/inner.lua", w.config_dir .. "/inner/more.lua" }, result.files)
  end)

  it("takes only the file names that match", function()
    local w = workspace.new({ work = WORK, config = CONFIG })
    local result = load(
      w,
      "outer/inner",
      '{ walk(), detect({ matcher = ".marker" }), find_files({ matcher = "more.lua" }), execute() }'
    )
    assert.are.same({ "more.lua" }, result.ran)
  end)

  it("twice finds each file once", function()
    local w = workspace.new({ work = WORK, config = CONFIG })
    local result =
      load(w, "outer/inner", '{ walk(), detect({ matcher = ".marker" }), find_files(), find_files(), execute() }')
    assert.are.same({ "inner.lua", "more.lua", "inner.vim" }, result.ran)
    assert.are.same({ from = "inner" }, result.json)
  end)
end)

describe("execute", function()
  local stages = '{ walk(), detect({ matcher = ".marker" }), find_files(), execute({ router = %s }) }'

  it("routes a kind to an executor, named with or without the dot", function()
    local w = workspace.new({ work = WORK, config = CONFIG })
    for _, key in ipairs({ "lua", ".lua" }) do
      local router = ("{ [%q] = function(ctx, path) note({ ctx.project_name, vim.fs.basename(path) }) end }"):format(
        key
      )
      local result = load(w, "outer/inner", stages:format(router))
      assert.are.same({ { "inner", "inner.lua" }, { "inner", "more.lua" }, "inner.vim" }, result.ran)
    end
  end)

  it("routes a kind to a list of executors, which get each file in turn", function()
    local w = workspace.new({ work = WORK, config = CONFIG })
    local router = [[{ lua = {
      function(_, path) note("first " .. vim.fs.basename(path)) end,
      require("nvim-project-config.executors.lua"),
    } }]]
    local result = load(w, "outer/inner", stages:format(router))
    assert.are.same({ "first inner.lua", "inner.lua", "first more.lua", "more.lua", "inner.vim" }, result.ran)
    assert.are.same({}, result.errors)
  end)

  it("routes a kind that is nowhere else", function()
    local w = workspace.new({ work = WORK, config = { ["inner.toml"] = "x = 1" } })
    local result = load(w, "outer/inner", stages:format("{ toml = function(_, path) note(vim.fs.basename(path)) end }"))
    assert.are.same({ "inner.toml" }, result.ran)
  end)

  it("goes before the executor of the option", function()
    local w = workspace.new({ work = WORK, config = CONFIG })
    local router = "{ lua = function() note('router') end }"
    local result =
      load(w, "outer/inner", stages:format(router), "executors = { lua = { run = function() note('option') end } }")
    assert.are.same({ "router", "router", "inner.vim" }, result.ran)
  end)

  it("left out runs nothing, and the project is found", function()
    local w = workspace.new({ work = WORK, config = CONFIG })
    local result = load(w, "outer/inner", '{ walk(), detect({ matcher = ".marker" }) }')
    assert.are.same({ "inner", {}, {} }, { result.name, result.ran, result.json })
  end)
end)
