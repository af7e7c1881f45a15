-- Several processes write one file at the same time: each keeps what the others have written. `FULL=1` also measures the
-- writes of two editors against the same number of durable writes by hand, prints both, and races another editor 1,000 times
-- instead of 200.
local editor = require("tests.support.fault_editor")
local faults = require("tests.support.faults")
local support = require("tests.support")
local workspace = require("tests.support.workspace")

local SETS = 1000
local PROCESSES, UPDATES = 8, 250
local ROUNDS = 1000
local RACES = faults.full and 1000 or 200
-- Far above what the slowest machine needs, below the time limit of a spec.
local DONE_MS = faults.full and 600000 or 60000

---@return table
local function decoded(path)
  return vim.json.decode(assert(support.read(path)), { luanil = { object = true } })
end

--- The same by hand, in one process: read, replace, write, fsync, rename, fsync of the directory, one after the other.
---@return number ms
local function writes_by_hand(dir, count)
  local uv = vim.uv
  local path, temporary = dir .. "/hand.json", dir .. "/.hand.json.tmp"
  support.write(path, "{}\n")
  local began = uv.hrtime()
  for i = 1, count do
    local document = decoded(path)
    document["key" .. i] = i
    local file = assert(uv.fs_open(temporary, "w", tonumber("644", 8)))
    assert(uv.fs_write(file, vim.json.encode(document)))
    assert(uv.fs_fsync(file))
    assert(uv.fs_close(file))
    assert(uv.fs_rename(temporary, path))
    local directory = assert(uv.fs_open(dir, "r", 0))
    assert(uv.fs_fsync(directory))
    assert(uv.fs_close(directory))
  end
  return (uv.hrtime() - began) / 1e6
end

describe("two editors that set different keys of one file", function()
  it("lose none of them", function()
    local w = workspace.new({ config = { ["alpha.json"] = "{}\n" } })
    local editors = { a = editor.open(w, "alpha"), b = editor.open(w, "alpha") }
    local began = vim.uv.hrtime()
    for name, child in pairs(editors) do
      child:lua(
        [[
          local name, count = ...
          local i = 0
          local function step()
            i = i + 1
            assert(npc.set(name .. i, i))
            if i < count then
              return vim.schedule(step)
            end
            npc.save(function(ok, err) _G.saved = { ok = ok, message = err and tostring(err) } end)
          end
          step()
        ]],
        name,
        SETS
      )
    end
    for _, child in pairs(editors) do
      assert.are.same({ ok = true }, child:wait("_G.saved", DONE_MS))
    end
    local elapsed_ms = (vim.uv.hrtime() - began) / 1e6
    local expected = {}
    for name in pairs(editors) do
      for i = 1, SETS do
        expected[name .. i] = i
      end
    end
    assert.are.same(expected, decoded(w.config_dir .. "/alpha.json"))
    assert.are.same({ "alpha.json" }, editor.names(w.config_dir))
    for _, child in pairs(editors) do
      assert.are.same(expected, child:lua("return load_now().json"))
      assert.are.same({}, child:lua("return errors"))
      assert.are.equal("", child:messages())
      child:stop()
    end
    if faults.full then
      local by_hand_ms = writes_by_hand(w.dir, 2 * SETS)
      print(("%d sets by two editors: %d ms; as many writes by hand: %d ms"):format(2 * SETS, elapsed_ms, by_hand_ms))
    end
  end)
end)

describe("editors that update one file at the same time", function()
  it("lose no write that was acknowledged, and their counters add up", function()
    local w = workspace.new({ config = { ["alpha.json"] = "{}\n" } })
    local editors = {}
    for i = 1, PROCESSES do
      editors["p" .. i] = editor.open(w, "alpha")
    end
    -- Three of five increment a counter of all; the other two set and delete keys of this process alone.
    for name, child in pairs(editors) do
      child:lua(
        [[
          local name, count = ...
          _G.counted, _G.own, _G.refused, _G.done = { 0, 0, 0 }, {}, {}, false
          local i, step = 0, nil
          local function update(path, change, acknowledge)
            npc.update(path, change, function(ok, err)
              if ok then acknowledge() else table.insert(refused, tostring(err)) end
              step()
            end)
          end
          function step()
            i = i + 1
            local turn, key = i % 5, "k" .. math.floor(i / 5) % 7
            if i > count then
              _G.done = true
            elseif turn < 3 then
              update("counters.c" .. turn + 1, function(old) return (old or 0) + 1 end, function()
                counted[turn + 1] = counted[turn + 1] + 1
              end)
            elseif turn == 3 or i % 2 == 0 then
              local value = i
              update({ name, key }, function() return value end, function() own[key] = value end)
            else
              update({ name, key }, function() return nil end, function() own[key] = nil end)
            end
          end
          step()
        ]],
        name,
        UPDATES
      )
    end
    local counters = { c1 = 0, c2 = 0, c3 = 0 }
    local own = {}
    for name, child in pairs(editors) do
      child:wait("_G.done", DONE_MS)
      assert.are.same({}, child:lua("return refused"))
      own[name] = child:lua("return own")
      for i, count in ipairs(child:lua("return counted")) do
        counters["c" .. i] = counters["c" .. i] + count
      end
    end
    assert.are.equal(PROCESSES * UPDATES * 3 / 5, counters.c1 + counters.c2 + counters.c3)
    local document = decoded(w.config_dir .. "/alpha.json")
    assert.are.same(counters, document.counters)
    for name, child in pairs(editors) do
      assert.are.same(own[name], document[name], name)
      assert.are.same({}, child:lua("return errors"))
      child:stop()
    end
    assert.are.same({ "alpha.json" }, editor.names(w.config_dir))
  end)
end)

describe("another editor that changes key A of a file", function()
  local function document(a, b)
    return ('{\n  // ours and theirs\n  "a": %d,\n  "b": %d\n}\n'):format(a, b)
  end

  it("does not lose it to our write of key B, nor do we lose B", function()
    local w = workspace.new({ config = { ["alpha.json"] = document(0, 0) } })
    local path = w.config_dir .. "/alpha.json"
    local child = editor.open(w, "alpha")
    for n = 1, ROUNDS do
      -- What our editor has read is older than what lies there now.
      editor.replace(path, document(n, n - 1))
      assert.are.same({ ok = true }, child:lua("npc.set('b', ...); return save_now()", n))
      assert.are.equal(document(n, n), support.read(path))
    end
    assert.are.same({ a = ROUNDS, b = ROUNDS }, child:lua("return load_now().json"))
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it("does not lose it while our write of key B waits for the lock", function()
    local missing = faults.missing("flock")
    if missing then
      return pending(missing)
    end
    local w = workspace.new({ config = { ["alpha.json"] = document(0, 0) } })
    local path = w.config_dir .. "/alpha.json"
    local child = editor.open(w, "alpha")
    for n = 1, 20 do
      local holder = faults.lock_holder(w.config_dir)
      child:lua(
        [[
          _G.saved = nil
          npc.set("b", ...)
          npc.save(function(ok, err) _G.saved = { ok = ok, message = err and tostring(err) } end)
        ]],
        n
      )
      -- In a turn of the loop of its own: the write has been handed over.
      assert.is_true(child:lua("return _G.saved == nil"))
      editor.replace(path, document(n, n - 1))
      holder:kill()
      assert.are.same({ ok = true }, child:wait("_G.saved"))
      assert.are.equal(document(n, n), support.read(path))
    end
    child:stop()
  end)

  it("does not lose it at any moment of our write of key B", function()
    local w = workspace.new({ config = { ["alpha.json"] = document(0, 0) } })
    local path = w.config_dir .. "/alpha.json"
    local child = editor.open(w, "alpha")
    math.randomseed(4)
    local ours_came_last = 0
    for n = 1, RACES do
      editor.replace(path, document(n - 1, n - 1))
      -- The other editor has B as it was when it read the file; what it writes, it has prepared.
      support.write(path .. "~", document(n, n - 1))
      child:lua(
        [[
          _G.saved = nil
          npc.set("b", ...)
          npc.save(function(ok, err) _G.saved = { ok = ok, message = err and tostring(err) } end)
        ]],
        n
      )
      local moment = vim.uv.hrtime() + math.random(0, 4000) * 1000
      while vim.uv.hrtime() < moment do
      end
      assert(vim.uv.fs_rename(path .. "~", path))
      assert.are.same({ ok = true }, child:wait("_G.saved"))
      local text = support.read(path)
      -- It may come after our write, and then B is its business; A may never be the old one.
      assert.is_true(text == document(n, n) or text == document(n, n - 1), ("round %d: %s"):format(n, text))
      ours_came_last = ours_came_last + (text == document(n, n) and 1 or 0)
    end
    assert.is_true(ours_came_last > 0, "the two never met")
    child:stop()
  end)
end)
