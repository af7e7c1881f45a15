-- What is saved of a live `ctx.json`, and what is refused, by the shape of the tables that the user leaves in it. Where in the file
-- an edit goes and how it is laid out is not looked at here: white space does not count.
local support = require("tests.support")
local workspace = require("tests.support.workspace")

---@class test.CompareRow
---@field name string the behaviour
---@field before string the file
---@field code string Lua that changes `json`
---@field after? string the file once it is saved (default: as before)
---@field refused? string[] what the errors name: paths, joined by dots (default: there is no error)

---@type test.CompareRow[]
local taken_over = {
  {
    name = "a change, a new key and a deletion at any depth",
    before = '{"a":{"b":{"c":1,"d":2}},"e":3}',
    code = "json.a.b.c = 10; json.a.b.d = nil; json.a.f = { g = true }; json.e = 'text'",
    after = '{"a":{"b":{"c":10},"f":{"g":true}},"e":"text"}',
  },
  { name = "nothing, where nothing has changed", before = '{"a":[1,{"b":null}],"c":{}}', code = "json.a[1] = 1" },
  {
    name = "new keys in the order of their bytes",
    before = "{}",
    code = "json.b = 2; json.a = { z = 1, y = { 'x' }, Z = 3 }; json.C = 0",
    after = '{"C":0,"a":{"Z":3,"y":["x"],"z":1},"b":2}',
  },
  {
    name = "keys with dots, digits, NUL and nothing in them",
    before = "{}",
    code = [[json["a.b"] = 1; json["1"] = 2; json["k\0"] = "\0"; json[""] = 4]],
    after = [[{"":4,"1":2,"a.b":1,"k\u0000":"\u0000"}]],
  },
  {
    name = "vim.NIL as null, which is not a deletion",
    before = '{"a":1,"n":null,"gone":null}',
    code = "json.a = vim.NIL; json.new = { vim.NIL }; json.gone = nil",
    after = '{"a":null,"n":null,"new":[null]}',
  },
  {
    name = "the emptied table in its kind",
    before = '{"object":{"a":1},"list":[1,2],"empty":{},"none":[]}',
    code = "json.object.a = nil; json.list = {}; json.empty = {}; json.none = {}",
    after = '{"object":{},"list":[],"empty":{},"none":[]}',
  },
  {
    name = "an emptied table within a list in its kind",
    before = '{"a":[{},[],{"b":1},0]}',
    code = "json.a = { {}, {}, {}, 1 }",
    after = '{"a":[{},[],{},1]}',
  },
  {
    name = "a new empty table as the list that vim.json.encode makes of it",
    before = '{"a":1}',
    code = "json.a = {}; json.b = {}; assert(vim.json.encode({}) == '[]')",
    after = '{"a":[],"b":[]}',
  },
  {
    name = "vim.empty_dict() as an object, whatever was there",
    before = '{"a":[1],"b":[],"c":2}',
    code = "json.a, json.b, json.c, json.d = vim.empty_dict(), vim.empty_dict(), vim.empty_dict(), { vim.empty_dict() }",
    after = '{"a":{},"b":{},"c":{},"d":[{}]}',
  },
  { name = "an emptied root", before = '{"a":1,"b":{}}', code = "npc.ctx.json = {}", after = "{}" },
  {
    name = "a replaced root",
    before = '{"a":1,"b":{"c":1.0,"d":2}}',
    code = "npc.ctx.json = { b = { c = 1, e = 3 } }",
    after = '{"b":{"c":1.0,"e":3}}',
  },
  {
    name = "a list that grows, shrinks and changes, with the numbers that stay",
    before = '{"a":[1.0,2.50,{"b":1E2}],"c":[1,2,3],"d":[1.0,2.0]}',
    code = "table.insert(json.a, 4); table.remove(json.c); json.d[1], json.d[2] = 7, 2",
    after = '{"a":[1.0,2.50,{"b":1E2},4],"c":[1,2],"d":[7,2.0]}',
  },
  {
    name = "a change of kind",
    before = '{"a":{"b":1},"c":[1],"d":1,"e":{"f":{}}}',
    code = "json.a = { 1, 2 }; json.c = { x = 1 }; json.d = { y = {} }; json.e = false",
    after = '{"a":[1,2],"c":{"x":1},"d":{"y":[]},"e":false}',
  },
  {
    name = "the same table in several places, each time",
    before = "{}",
    code = "local shared = { 1 }; json.a, json.b = shared, { shared, shared }",
    after = '{"a":[1],"b":[[1],[1]]}',
  },
  {
    name = "members of tables with metatables, without running these",
    before = '{"a":{"b":1}}',
    code = [[
      local function fail() error("a metamethod was called") end
      local hostile = { __index = fail, __newindex = fail, __pairs = fail, __len = fail, __eq = fail, __metatable = 1 }
      json.a = setmetatable({ b = 2, c = setmetatable({ 3 }, hostile) }, hostile)
    ]],
    after = '{"a":{"b":2,"c":[3]}}',
  },
  {
    name = "256 levels of nesting",
    before = "{}",
    code = "local deep = 1; for _ = 1, 255 do deep = { a = deep } end; json.a = deep",
    after = ('{"a":'):rep(256) .. "1" .. ("}"):rep(256),
  },
}

---@type test.CompareRow[]
local numbers = {
  {
    name = "their text while nobody changes them, whatever a float makes of it",
    before = '{"a":9007199254740993,"b":-9007199254740993,"c":18446744073709551615,"d":1e400,"e":-0,"f":1.0,"g":'
      .. ("1234567890"):rep(10)
      .. ',"h":[1E2,-0.0],"x":0}',
    code = "json.x = 1; json.a = json.a; json.g = json.g; json.d = math.huge; json.f = 1",
    after = '{"a":9007199254740993,"b":-9007199254740993,"c":18446744073709551615,"d":1e400,"e":-0,"f":1.0,"g":'
      .. ("1234567890"):rep(10)
      .. ',"h":[1E2,-0.0],"x":1}',
  },
  {
    name = "the digits of an integer up to 2^53",
    before = '{"a":0.5}',
    code = "json.a = 2 ^ 53; json.b = -2 ^ 53; json.c = 1e15; json.d = -7",
    after = '{"a":9007199254740992,"b":-9007199254740992,"c":1000000000000000,"d":-7}',
  },
  {
    name = "the sign of a zero",
    before = '{"a":0,"b":-0,"c":-0.0}',
    code = "json.a, json.b = -tonumber('0'), 0",
    after = '{"a":-0.0,"b":0,"c":-0.0}',
  },
}

---@type test.CompareRow[]
local refused = {
  {
    name = "a function, a thread, a userdata and a cdata",
    before = '{"known":1}',
    code = [[
      json.known, json.fn, json.ok = print, print, 1
      json.object = { thread = coroutine.create(print), user = newproxy(), c = 1LL, fine = true }
    ]],
    after = '{"known":1,"object":{"fine":true},"ok":1}',
    refused = { "known", "fn", "object.thread", "object.user", "object.c" },
  },
  {
    name = "NaN and the infinities",
    before = '{"known":1}',
    code = "json.known, json.plus, json.object = 0 / 0, 1 / 0, { minus = -1 / 0, ok = 1 }",
    after = '{"known":1,"object":{"ok":1}}',
    refused = { "known", "plus", "object.minus" },
  },
  {
    name = "strings and keys that are not UTF-8",
    before = '{"known":"a"}',
    code = [[json.known, json.object, json.ok = "\255", { ["key\255"] = 1, ["é"] = "é" }, "\0"]],
    after = [[{"known":"a","ok":"\u0000"}]],
    refused = { "known", "object" },
  },
  {
    name = "an element that JSON cannot hold, while the known one stands in for it",
    before = '{"list":[1,2.0,{"a":1.0,"b":2}]}',
    code = "json.list[1] = 10; json.list[2] = print; json.list[3].a = print; json.list[3].b = 20",
    after = '{"list":[10,2.0,{"a":1.0,"b":20}]}',
    refused = { "list.2", "list.3.a" },
  },
  {
    name = "a whole list for an element that nothing stands in for",
    before = '{"known":[1]}',
    code = "json.known[1], json.known[2] = 2, print; json.fresh = { 1, { 0 / 0 } }; json.ok = { 1 }",
    after = '{"known":[1],"ok":[1]}',
    refused = { "known.2", "fresh.2.1" },
  },
  {
    name = "a list with a hole",
    before = '{"known":[1,2,3],"a":1}',
    code = "json.known[2] = nil; json.fresh = { 1, nil, 3 }; json.a = { [2] = 1 }; json.ok = 1",
    after = '{"known":[1,2,3],"a":1,"ok":1}',
    refused = { "known", "fresh", "a" },
  },
  {
    name = "what comes after a hole beyond the known elements, alone",
    before = '{"list":[1,2]}',
    code = "json.list[3], json.list[5] = 3, 5",
    after = '{"list":[1,2,3]}',
    refused = { "list.5" },
  },
  {
    name = "text keys in a known list, alone",
    before = '{"list":[1,2]}',
    code = "json.list.name, json.list[2] = 'x', 3",
    after = '{"list":[1,3]}',
    refused = { "list.name" },
  },
  {
    name = "keys in a known object that are no text, alone",
    before = '{"object":{"a":1}}',
    code = "json.object[1], json.object[false], json.object[1.5], json.object.a = 1, 2, 3, 4; json[7] = 1",
    after = '{"object":{"a":4}}',
    refused = { "object.1", "object.false", "object.1.5", "7" },
  },
  {
    name = "new tables with mixed keys, or with keys that are neither text nor positions",
    before = '{"scalar":1}',
    code = [[
      json.mixed, json.bool, json.zero = { 1, x = 2 }, { [true] = 1 }, { [0] = 1 }
      json.float, json.scalar, json.ok = { [1.5] = 1, y = 1 }, { [false] = 1 }, { 1 }
    ]],
    after = '{"scalar":1,"ok":[1]}',
    refused = { "mixed", "bool", "zero", "float", "scalar" },
  },
  {
    name = "a list as the root",
    before = '{"a":1}',
    code = "npc.ctx.json = { 1, 2 }",
    refused = { "" },
  },
  {
    name = "a table where it contains itself",
    before = '{"known":{"inner":{}}}',
    code = [[
      json.known.inner, json.root = json.known, json
      json.new = { x = 1, list = { 1 } }
      json.new.loop = json.new
      json.new.list[2] = json.new.list
    ]],
    after = '{"known":{"inner":{}}}',
    refused = { "known.inner", "root", "new" },
  },
  {
    name = "257 levels of nesting, as a whole",
    before = '{"known":{"list":[1,[2]]}}',
    code = [[
      local deep = 1; for _ = 1, 256 do deep = { a = deep } end
      json.fresh, json.known.more, json.known.list[2][1], json.known.list[1] = deep, deep, deep, 10
      json.ok = 1
    ]],
    after = '{"known":{"list":[10,[2]]},"ok":1}',
    refused = { "fresh", "known.more", "known.list.2.1" },
  },
}

--- What a user's code can do that costs time or memory without an end. Each in an editor of its own: what is refused stays in the
--- table, and is looked at again at every save.
---@type test.CompareRow[]
local endless = {
  {
    name = "a million levels of nesting",
    before = '{"known":{},"a":1}',
    code = [[
      local lists, objects = {}, {}
      for _ = 1, 1e6 do lists, objects = { lists }, { f = print, x = objects } end
      json.known.lists, json.objects, json.a = lists, objects, 2
    ]],
    after = '{"known":{},"a":2}',
    refused = { "known.lists", "objects" },
  },
  {
    name = "a table that is there 2^30 times",
    before = '{"known":[1],"a":1}',
    code = [[
      local lists, objects = {}, {}
      for _ = 1, 30 do lists, objects = { lists, lists }, { x = objects, y = objects } end
      json.known, json.objects, json.a = lists, objects, 2
    ]],
    after = '{"known":[1],"a":2}',
    refused = { "known", "objects" },
  },
  {
    name = "a text longer than any settings",
    before = '{"known":"x","a":1}',
    code = "json.known, json.a = ('x'):rep(17 * 2 ^ 20), 2",
    after = '{"known":"x","a":2}',
    refused = { "known" },
  },
}

---@param text string
---@return string
local function compact(text)
  return (text:gsub("%s", ""))
end

--- Changes and saves the settings of the project, and says what became of them.
---@param w test.Workspace
---@param child test.Child in which the project is current
---@param project string
---@param row test.CompareRow
local function check(w, child, project, row)
  child:lua(
    [[
    local project, code, refused = ...
    local json = npc.ctx.json
    assert(loadstring("local json = ...; " .. code))(json)
    local answered = false
    npc.save(function() answered = true end)
    assert(vim.wait(8000, function() return answered end, 1), "save() has not answered within 8 s")
    function _G.reported()
      return vim.tbl_filter(function(err) return err.project == project end, errors)
    end
    settle(function()
      local messages = table.concat(vim.tbl_map(function(err) return err.message end, reported()), "\n")
      return messages ~= "" and vim.iter(refused):all(function(path) return messages:find(path, 1, true) end)
        or #refused == 0
    end)
  ]],
    project,
    row.code,
    row.refused or {}
  )
  assert.are.equal(row.after or row.before, compact(assert(support.read(w.config_dir .. "/" .. project .. ".json"))))
  local reported = child:lua("return reported()")
  local messages = {}
  for _, err in ipairs(reported) do
    assert.are.equal("unsupported_value", err.code, err.message)
    table.insert(messages, err.message)
  end
  assert.are.equal(row.refused ~= nil, #reported > 0, table.concat(messages, "\n"))
  for _, path in ipairs(row.refused or {}) do
    local named = table.concat(messages, "\n"):find(path, 1, true)
    assert.is_truthy(named, ("%s is not named by:\n%s"):format(path, table.concat(messages, "\n")))
  end
end

--- One project for each row.
---@param rows test.CompareRow[]
---@return test.Workspace
local function projects(rows)
  local work, config = {}, {}
  for number, row in ipairs(rows) do
    work["row_" .. number .. "/.git"] = true
    config["row_" .. number .. ".json"] = row.before
  end
  return workspace.new({ work = work, config = config })
end

---@param rows test.CompareRow[]
local function check_each(rows)
  local w, child

  setup(function()
    w = projects(rows)
    child = w:open("row_1")
  end)

  teardown(function()
    child:stop()
  end)

  for number, row in ipairs(rows) do
    it(row.name, function()
      local project = "row_" .. number
      child:lua("assert(load_now(at(...)))", project)
      check(w, child, project, row)
    end)
  end
end

describe("saving takes over", function()
  check_each(taken_over)
end)

describe("a number keeps", function()
  check_each(numbers)
end)

describe("saving refuses, and saves the rest:", function()
  check_each(refused)

  for number, row in ipairs(endless) do
    it(row.name, function()
      local w = projects(endless)
      local project = "row_" .. number
      local child = w:open(project)
      child:lua("assert(load_now())")
      check(w, child, project, row)
      child:stop()
    end)
  end
end)
