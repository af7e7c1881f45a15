local project = require("tests.support.project")

-- A project without configuration is the common case, not an error.
local function loads_nothing(fixture)
  local p = project.start(fixture)
  assert.are.same({ loaded = true }, p:load())
  assert.are.equal(1, p.child:lua("return _G.loads"))
  assert.is_true(p.child:lua([[
    local json = require("nvim-project-config").ctx.json
    return type(json) == "table" and next(json) == nil
  ]]))
  assert.are.same({}, p:errors())
  assert.are.same({}, p.child:notifications())
  assert.are.equal("", p.child:stderr())
  p.child:stop()
end

describe("a project without configuration loads as empty settings", function()
  it("when there is no config_dir", function()
    loads_nothing({})
  end)

  it("when config_dir is empty", function()
    loads_nothing({ files = {} })
  end)

  it("when no file in config_dir is the project's", function()
    loads_nothing({
      files = {
        ["other.json"] = '{"other": 1}',
        ["project.json"] = '{"name is only a prefix": 1}',
        ["other/proj.lua"] = "table.insert(_G.ran, 'other')",
        ["proj.txt"] = "not a kind that is loaded",
        ["proj.json.bak"] = "{",
      },
    })
  end)

  it("when the project's directory in config_dir is empty", function()
    loads_nothing({ files = { proj = true } })
  end)
end)

it("settings that appear later are found by the next load", function()
  local support = require("tests.support")
  local p = project.start({})
  p:load()
  support.write(p.config_dir .. "/proj.json", '{"late": true}')
  p:load()
  assert.are.same({ late = true }, p:json())
  assert.are.same({}, p:errors())
  p.child:stop()
end)
