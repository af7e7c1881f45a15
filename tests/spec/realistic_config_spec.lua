-- A config_dir as people have one, for twenty projects: every value of each arrives, from its own files, in their order,
-- each file once, and from nobody else's.
local expected = require("tests.fixtures.realistic.expected")
local realistic = require("tests.fixtures.realistic")
local support = require("tests.support")

local work = realistic.work()

local INIT = [[
  _G.trail, _G.errors, _G.loads = {}, {}, 0
  function _G.Trail(path)
    table.insert(_G.trail, path or debug.getinfo(2, "S").source:sub(2))
  end
  vim.cmd("function! Trail(path)\n call luaeval('Trail(_A)', a:path)\n endfunction")
  vim.g.maplocalleader = ","
  require("nvim-project-config").setup({
    config_dir = %q,
    on_load = function() _G.loads = _G.loads + 1 end,
    on_error = function(err) table.insert(_G.errors, tostring(err)) end,
  })
]]

--- Paths below a directory, given relative to it.
local function below(dir, names)
  return vim.tbl_map(function(name)
    return dir .. "/" .. name
  end, names or {})
end

for _, project in ipairs(expected) do
  it(("loads %s from %s"):format(project.name, project.start), function()
    local child = support.child({ cwd = work .. "/" .. project.start, init = INIT:format(realistic.config_dir) })
    child:wait("_G.loads > 0")
    local seen = child:lua([[
      local ctx = require("nvim-project-config").ctx
      local roots, names = {}, {}
      for _, level in ipairs(ctx.projects) do
        table.insert(roots, level.root)
        table.insert(names, level.name)
      end
      return {
        name = ctx.project_name, root = ctx.project_root, roots = roots, outer = names[1], inner = names[#names],
        files = ctx._files_loaded, trail = trail, json = vim.inspect(ctx.json), errors = errors, loads = loads,
      }
    ]])
    assert.are.same({}, seen.errors)
    local roots = below(work, project.roots)
    assert.are.same({ project.name, roots[#roots], roots }, { seen.name, seen.root, seen.roots })
    assert.are.same({ vim.split(project.name, "/")[1], project.name }, { seen.outer, seen.inner })

    assert.are.same(below(realistic.config_dir, project.ran), seen.trail)
    local files = {}
    for _, path in
      ipairs(below(realistic.config_dir, vim.list_extend(vim.deepcopy(project.merged or {}), project.ran or {})))
    do
      files[path] = true
    end
    assert.are.same(files, seen.files)

    -- As text: that tells `{}` from `vim.empty_dict()` and nil from vim.NIL.
    assert.are.equal(vim.inspect(project.json), seen.json)
    local variables = vim.deepcopy(project.g or {})
    for name, dir in pairs(project.g_dirs or {}) do
      variables[name] = work .. "/" .. dir
    end
    for name, value in pairs(variables) do
      assert.are.same(value, child:lua("return vim.g[...]", name), name)
    end
    assert.are.equal(1, seen.loads)
    child:stop()
  end)
end

it("the fixture holds twenty projects and more", function()
  local names = {}
  for _, project in ipairs(expected) do
    names[project.name] = true
  end
  assert.is_true(vim.tbl_count(names) >= 20)
end)
