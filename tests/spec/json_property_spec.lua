-- The invariant of saving: change, save, reload, and ctx.json equals what was left. Tested by random walks over the settings
-- of a nested project that come from three files; a fresh editor reads these after each step.
-- SEED=n walks one seed, such as the one that a failure names.
local saving = require("tests.support.saving")
local support = require("tests.support")
local workspace = require("tests.support.workspace")

local STEPS = 40

local CONFIG = {
  ["big.json"] = [[{
  "a": { "b": { "c": 1, "deep": { "er": [1, 2] } }, "x": "outer" },
  "lsp": { "one": { "enabled": true }, "two": null },
  "outer": [ { "k": 1 }, 2 ],
  "scalar": "outer"
}
]],
  ["big/web.json"] = [[{
  // The package's own.
  "a": { "b": { "c": 2, "own": true }, "y": [1.0, 2] },
  "lsp": { "one": { "level": 1e2 }, "three": { "list": ["x"] } },
  "own": { "p": { "q": { "r": 1 } } },
  "scalar": { "now": "an object" }
}
]],
  ["big/web/more.json"] = [[{ "a": { "b": { "more": [ [1], [2, 3] ] } }, "own": { "p": { "q": { "s": 9007199254740993 } } }, "more": 1 }]],
}

-- In the editor that is walked in. A step is one tick: it changes something, in one of the ways in which users do.
local WALK = [==[
  local state
  local function random(n)
    state = state * 16807 % 2147483647
    return math.floor(state / 1024) % n + 1
  end
  local function one_of(list) return list[random(#list)] end

  local KEYS = { "a", "b", "c", "x", "own", "lsp", "scalar", "more", "new", "a.b", "", "1", "ключ", 'q"\\\n', "__index" }
  local STRINGS = { "", "text", "with \"quotes\" \\ and / and\nlines\t", "Grüße 🚀", "// no comment", "\0\1\127", ("long "):rep(50) }

  local function value(depth)
    local kind = random(depth > 0 and 10 or 5)
    if kind == 1 then return random(2) == 1
    elseif kind == 2 then return random(2000) - 1000
    elseif kind == 3 then return (random(30000) - 15000) / random(97)
    elseif kind == 4 then return one_of(STRINGS)
    elseif kind == 5 then return vim.NIL
    elseif kind <= 8 then
      local object = vim.empty_dict()
      for _ = 1, random(4) - 1 do object[one_of(KEYS)] = value(depth - 1) end
      return object
    end
    local list = {}
    for index = 1, random(3) do list[index] = value(depth - 1) end
    return list
  end

  -- Lists are never emptied here: which kind an empty table has is another test's business.
  local function is_list(t) return next(t) ~= nil and vim.islist(t) end

  -- Every table in a tree with its path.
  local function containers(root)
    local found = {}
    local function visit(t, path)
      found[#found + 1] = { table = t, path = path }
      local keys = vim.tbl_keys(t)
      table.sort(keys)
      for _, key in ipairs(keys) do
        if type(t[key]) == "table" then visit(t[key], vim.list_extend(vim.deepcopy(path), { key })) end
      end
    end
    visit(root, {})
    return found
  end

  local function existing_key(t)
    local keys = vim.tbl_keys(t)
    table.sort(keys)
    return #keys > 0 and one_of(keys) or one_of(KEYS)
  end

  local function change(t)
    if is_list(t) then
      local how = random(5)
      if how == 1 then table.insert(t, value(2))
      elseif how == 2 then table.insert(t, random(#t), value(2))
      elseif how == 3 and #t > 1 then table.remove(t, random(#t))
      elseif how == 4 and #t > 1 then t[1], t[#t] = t[#t], t[1]
      else t[random(#t)] = value(2) end
    elseif random(3) == 1 then
      t[existing_key(t)] = nil
    else
      t[random(2) == 1 and existing_key(t) or one_of(KEYS)] = value(3)
    end
  end

  local kept = {}
  local function change_something(root)
    local all = containers(root)
    local way = random(10)
    if way == 1 and #kept > 0 then
      change(one_of(kept))
    elseif way <= 3 then
      local place = one_of(all)
      local path = vim.deepcopy(place.path)
      if is_list(place.table) then
        path[#path + 1] = random(#place.table + 1)
        assert(npc.set(path, value(2)))
      else
        path[#path + 1] = random(2) == 1 and existing_key(place.table) or one_of(KEYS)
        assert(npc.set(path, random(3) > 1 and value(2) or nil))
      end
    else
      change(one_of(all).table)
    end
    kept[random(5)] = one_of(all).table
    for index = 1, 5 do kept[index] = kept[index] or root end
  end

  function _G.start_walk(seed) state = seed end

  -- Returns what was left, as it was at the end of the step.
  function _G.step()
    local root = npc.ctx.json
    if random(12) == 1 then
      root = vim.deepcopy(root)
      change_something(root)
      npc.ctx.json = root
    else
      for _ = 1, random(3) do change_something(root) end
    end
    return vim.deepcopy(root)
  end

  -- What an outer project gives comes back wherever an object of what was left lacks it.
  function _G.with_inherited(outer, left)
    local function is_object(t) return type(t) == "table" and not is_list(t) end
    if is_object(outer) and is_object(left) then
      for key, member in pairs(outer) do
        if left[key] == nil then left[key] = vim.deepcopy(member) else with_inherited(member, left[key]) end
      end
    end
    return left
  end
]==]

local function walk(seed)
  local w = workspace.new({
    work = { ["big/.git"] = true, ["big/packages/web/package.json"] = "{}" },
    config = CONFIG,
  })
  local writer = saving.open(w, "big/packages/web", { before = WALK })
  local reader = saving.open(w, "big/packages/web")
  local outer = CONFIG["big.json"]

  --- What an editor that has never seen the files makes of them.
  local function fresh()
    local read = reader:lua([[
      _G.errors = {}
      npc.setup(options)
      local ctx = load_now()
      return { canonical(ctx.json, "{}"), errors }
    ]])
    return read[1], read[2]
  end

  writer:lua("start_walk(...); load_now()", seed)
  for step = 1, STEPS do
    local at = ("SEED=%d, step %d"):format(seed, step)
    local before = {}
    for name in pairs(CONFIG) do
      before[name] = support.read(w.config_dir .. "/" .. name)
    end
    local result = writer:lua(
      [[
      local outer, reload = ...
      _G.errors = {}
      local expected = canonical(with_inherited(vim.json.decode(outer), step()), "{}")
      local ok, err = save_now()
      -- What is inherited comes back in a turn of the loop of its own, perhaps behind the answer.
      if #errors > 0 then settle(function() return canonical(npc.ctx.json, "{}") == expected end) end
      if reload then load_now() end
      return {
        expected = expected, left = canonical(npc.ctx.json, "{}"), errors = errors,
        err = not ok and err.code ~= "inherited" and err.message or nil,
      }
    ]],
      outer,
      step % 4 == 0
    )
    local read, problems = fresh()
    local files = {}
    for name in pairs(CONFIG) do
      files[name] = support.read(w.config_dir .. "/" .. name)
    end
    local function told()
      return ("%s\nfiles before: %s\nfiles now: %s\n"):format(at, vim.inspect(before), vim.inspect(files))
    end
    assert.is_nil(result.err, at)
    for _, err in ipairs(result.errors) do
      assert.are.equal("inherited", err.code, at .. ": " .. err.message)
    end
    assert.are.same({}, problems, at)
    assert(
      result.expected == result.left,
      ("%sexpected:   %s\nin ctx.json: %s"):format(told(), result.expected, result.left)
    )
    assert(result.expected == read, ("%sexpected: %s\nread:     %s"):format(told(), result.expected, read))
    assert.are.equal(outer, files["big.json"], at)
    assert.is_truthy(files["big/web.json"]:find("// The package's own.", 1, true), at)
  end

  -- The last changes of all are made in the moment of leaving.
  local path = w.dir .. "/expected"
  pcall(
    writer.lua,
    writer,
    [[
    local outer, path = ...
    local expected = canonical(with_inherited(vim.json.decode(outer), step()), "{}")
    vim.fn.writefile({ expected }, path)
    vim.cmd("qa!")
  ]],
    outer,
    path
  )
  writer:ended()
  assert.are.equal(support.read(path), fresh() .. "\n", ("SEED=%d, at exit"):format(seed))
  reader:stop()
end

describe("change, save, reload: ctx.json equals what was left", function()
  local seeds = tonumber(vim.env.SEED) and { tonumber(vim.env.SEED) } or { 1, 2, 3, vim.uv.hrtime() % 1000000007 + 1 }
  for index, seed in ipairs(seeds) do
    it(("on random walk %d"):format(index), function()
      walk(seed)
    end)
  end
end)
