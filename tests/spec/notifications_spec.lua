-- Without on_error: one notification for each problem, with file, line and remedy, and never twice for the same cause.
local project = require("tests.support.project")
local support = require("tests.support")

-- File → its text and the place that the message names.
local broken = {
  ["proj.json"] = { '{\n  "a": 01\n}', ":2:%d+: " },
  ["proj/syntax.lua"] = { "local a\nlocal = 1\n", ":2: " },
  ["proj/throws.lua"] = { "\n\nerror('thrown')\n", ":3: thrown" },
  ["proj/table.lua"] = { "\nerror({ reason = 'inside' })\n", ":2: .*inside" },
  ["proj/script.vim"] = { "\ncall NoSuchFunction()\n", ":2: .*E117" },
  ["proj/directory.lua"] = { true, ": is a directory" },
}

---@param files table<string, string|true>
---@return test.Project
local function start(files)
  return project.start({ files = files, before = support.room_for_messages .. "_G.options.on_error = nil" })
end

---@return table<string, string|true>
local function texts()
  local files = {}
  for name, file in pairs(broken) do
    files[name] = file[1]
  end
  return files
end

---@param p test.Project
---@return string[]
local function messages(p)
  return vim.tbl_map(function(notification)
    assert.are.equal(vim.log.levels.ERROR, notification.level)
    return notification.message
  end, p.child:notifications())
end

---@param p test.Project
---@param name string
---@return string[] messages about a file
local function about(p, name)
  return vim.tbl_filter(function(message)
    return message:find(p.config_dir .. "/" .. name, 1, true) ~= nil
  end, messages(p))
end

describe("without on_error a user is notified", function()
  it("once of each problem, with file, line and remedy", function()
    local p = start(texts())
    assert.are.same({ loaded = true }, p:load())
    for name, file in pairs(broken) do
      local found = about(p, name)
      assert.are.equal(1, #found, name .. ": " .. vim.inspect(found))
      assert.is_truthy(found[1]:find(vim.pesc(p.config_dir .. "/" .. name) .. file[2]), found[1])
      assert.is_truthy(found[1]:find(":ProjectConfig load", 1, true), found[1])
      assert.is_truthy(found[1]:find("nvim-project-config", 1, true), found[1])
      assert.is_nil(found[1]:find("traceback", 1, true), found[1])
    end
    assert.are.equal(vim.tbl_count(broken), #messages(p))
    p.child:stop()
  end)

  it("not again of the same cause by later loads, whichever way they are asked for", function()
    local p = start(texts())
    p:load()
    local count = #messages(p)
    p:load()
    p:load("{ cache = { trust_mtime = false } }")
    p.child:lua("vim.cmd('ProjectConfig load')")
    p:load()
    p.child:lua([[require("nvim-project-config").clear()]])
    p:load()
    assert.are.equal(count, #messages(p), vim.inspect(messages(p)))
    p.child:stop()
  end)

  it("of a new problem in the same file, and of an old one that came back", function()
    local p = start({ ["proj.lua"] = "error('first')", ["proj.json"] = "{" })
    p:load()
    assert.are.same({ 1, 1 }, { #about(p, "proj.lua"), #about(p, "proj.json") })
    support.write(p.config_dir .. "/proj.lua", "\nerror('second')")
    p:load()
    assert.are.same({ 2, 1 }, { #about(p, "proj.lua"), #about(p, "proj.json") })
    support.write(p.config_dir .. "/proj.lua", "-- mended")
    support.write(p.config_dir .. "/proj.json", "{}")
    p:load()
    assert.are.same({ 2, 1 }, { #about(p, "proj.lua"), #about(p, "proj.json") })
    support.write(p.config_dir .. "/proj.lua", "error('first')")
    support.write(p.config_dir .. "/proj.json", "{")
    p:load()
    assert.are.same({ 3, 2 }, { #about(p, "proj.lua"), #about(p, "proj.json") })
    p.child:stop()
  end)

  it("of a load that cannot start, once", function()
    local p = start({})
    local options = "{ loading = { start_dir = '/no/such/directory' } }"
    assert.is_false(p:load(options).loaded)
    assert.is_false(p:load(options).loaded)
    assert.are.equal(1, #messages(p), vim.inspect(messages(p)))
    assert.is_truthy(messages(p)[1]:find("/no/such/directory", 1, true), messages(p)[1])
    p.child:stop()
  end)

  it("of what on_load throws, once", function()
    local p = project.start({
      files = {},
      before = support.room_for_messages .. [[
        _G.options.on_error = nil
        _G.options.on_load = function() _G.loads = _G.loads + 1; error("in on_load") end
      ]],
    })
    p:load()
    p:load()
    assert.are.equal(1, #messages(p), vim.inspect(messages(p)))
    assert.is_truthy(messages(p)[1]:find("in on_load", 1, true), messages(p)[1])
    p.child:stop()
  end)
end)

describe("with on_error a user is notified", function()
  it("of nothing that the hook was told", function()
    local p = project.start({ files = texts() })
    p:load()
    assert.are.equal(vim.tbl_count(broken), #p:errors())
    assert.are.same({}, p.child:notifications())
    p.child:stop()
  end)

  it("of the problem itself when the hook fails, and of the hook's error", function()
    local p = project.start({
      files = { ["proj.lua"] = "error('in the file')" },
      before = support.room_for_messages .. "_G.options.on_error = function() error('in the hook') end",
    })
    assert.are.same({ loaded = true }, p:load())
    local all = table.concat(messages(p), "\n")
    assert.is_truthy(all:find("in the file", 1, true), all)
    assert.is_truthy(all:find("in the hook", 1, true), all)
    p.child:stop()
  end)
end)
