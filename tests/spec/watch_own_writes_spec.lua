-- What an editor writes itself is no news to it: no load, no change that comes from disk. Two editors that watch one config_dir show
-- each other's changes at once, and nothing goes back and forth between them, whatever their hooks and listeners write.
local faults = require("tests.support.faults")
local saving = require("tests.support.saving")
local watching = require("tests.support.watching")
local workspace = require("tests.support.workspace")

local WRITES = faults.full and 10000 or 240
-- Per question to the editor, which has to answer within seconds.
local CHUNK = 10
local SEEN_WITHIN_MS = 300

local uv = vim.uv

local CONFIG = {
  ["alpha.json"] = '{\n  "n": 0\n}\n',
  ["alpha.lua"] = "table.insert(_G.ran, 'alpha.lua')",
  ["alpha/more.json"] = '{\n  "deep": { "m": 0 }\n}\n',
}

---@param child test.Child
---@return integer
local function from_disk(child)
  return #vim.tbl_filter(function(change)
    return change.origin == "disk"
  end, child:lua("return changes"))
end

describe(WRITES .. " own writes", function()
  local WAYS = {
    ["npc.set"] = "assert(npc.set('n', i))",
    ["ctx.json"] = "npc.ctx.json.deep.m = i",
    ["a kept reference"] = "_G.kept = _G.kept or npc.ctx.json.deep; kept.m = i",
    ["npc.update"] = [[
      local done
      npc.update("n", function(old) return (old or 0) + 1 end, function(ok, err) assert(ok, err); done = true end)
      settle(function() return done end)
    ]],
    -- A new key, a new sub-table, one that goes: the file has another size each time.
    ["new and deleted values"] = "assert(npc.set('list', { i })); npc.ctx.json['key' .. i % 7] = i % 2 == 0 and { i } or nil",
  }
  for way, code in pairs(WAYS) do
    it(("by %s are no load and no news"):format(way), function()
      local w = workspace.new({ config = CONFIG })
      local child = watching.open(w, "alpha")
      child:lua(("function _G.write(i) %s end"):format(code))
      for first = 1, WRITES, CHUNK do
        child:lua(
          "local first, last = ...; for i = first, last do write(i); saved() end",
          first,
          math.min(first + CHUNK - 1, WRITES)
        )
      end
      assert.are.same({}, watching.settled(w, child))
      assert.are.equal(0, from_disk(child))
      assert.are.same({}, child:lua("return ran"))
      assert.are.same({}, child:lua("return hooks"))
      assert.are.same({}, child:lua("return errors"))
      child:stop()
    end)
  end

  it("without waiting for any of them are no load and no news", function()
    local w = workspace.new({ config = CONFIG })
    local child = watching.open(w, "alpha")
    for first = 1, WRITES, CHUNK do
      child:lua(
        [[
          local first, last = ...
          for i = first, last do
            assert(npc.set("n", i))
            local turned = false
            vim.schedule(function() turned = true end)
            settle(function() return turned end)
          end
        ]],
        first,
        math.min(first + CHUNK - 1, WRITES)
      )
    end
    child:lua("saved()")
    assert.are.same({}, watching.settled(w, child))
    assert.are.equal(0, from_disk(child))
    child:stop()
  end)

  it("of a project that is not current are no load and no news", function()
    local w = workspace.new({ config = CONFIG })
    local child = watching.open(w, "alpha")
    child:lua("_G.json = npc.ctx.json; assert(load_now(at('beta'))); forget()")
    for i = 1, 40 do
      child:lua("json.n = ...; saved()", i)
    end
    assert.are.same({}, watching.settled(w, child))
    assert.are.equal(0, from_disk(child))
    assert.are.equal(40, saving.value(w.config_dir .. "/alpha.json").n)
    child:stop()
  end)
end)

describe("two editors that watch one config_dir", function()
  --- Counts how often a file gets another state, as seen from here.
  ---@param path string
  local function counter(path)
    local count, name = 0, vim.fs.basename(path)
    local last = vim.inspect(saving.identity(path))
    local event = assert(uv.new_fs_event())
    assert(event:start(vim.fs.dirname(path), {}, function(_, changed)
      if changed == name then
        local stat = uv.fs_stat(path)
        local now = stat and vim.inspect({ ino = stat.ino, size = stat.size, mtime = stat.mtime, ctime = stat.ctime })
        if now and now ~= last then
          count, last = count + 1, now
        end
      end
    end))
    return function(stop)
      if stop then
        event:stop()
        event:close()
      end
      return count
    end
  end

  --- Returns when each has saved what it had to, and has seen what the other has saved.
  local function come_to_rest(w, a, b)
    for _ = 1, 2 do
      for _, child in ipairs({ a, b }) do
        watching.settled(w, child)
        child:lua("saved()")
      end
    end
    a:wait("npc.ctx.json.mark == " .. b:lua("return npc.ctx.json.mark"))
  end

  ---@param opts? test.WatchOptions
  local function open(opts)
    local w = workspace.new({ config = CONFIG })
    local a, b = watching.open(w, "alpha", opts), watching.open(w, "alpha", opts)
    -- What hooks have set at the first loads is out.
    come_to_rest(w, a, b)
    a:lua("forget()")
    b:lua("forget()")
    return a, b, w
  end

  --- Expects that neither loads nor writes anything more.
  local function rests(w, a, b)
    local path = w.config_dir .. "/alpha.json"
    come_to_rest(w, a, b)
    local before = saving.identity(path)
    for _ = 1, 3 do
      for _, child in ipairs({ a, b }) do
        child:lua("idle(); saved()")
      end
    end
    assert.are.same(before, saving.identity(path))
  end

  it("show each other's changes soon", function()
    local a, b, w = open({ debounce_ms = 100 })
    local rounds = faults.full and 200 or 20
    for n = 1, rounds do
      local from, to = a, b
      if n % 2 == 0 then
        from, to = b, a
      end
      from:lua("assert(npc.set('n', ...)); saved()", n)
      local saved_at = uv.hrtime()
      to:wait(("npc.ctx.json.n == %d"):format(n))
      local took = (uv.hrtime() - saved_at) / 1e6
      assert.is_true(took <= watching.within(SEEN_WITHIN_MS), ("seen after %d ms"):format(took))
    end
    for _, child in ipairs({ a, b }) do
      assert.are.equal(rounds / 2, from_disk(child))
      assert.are.same({}, child:lua("return ran"))
      assert.are.same({}, child:lua("return hooks"))
      assert.are.same({}, child:lua("return errors"))
    end
    rests(w, a, b)
    a:stop()
    b:stop()
  end)

  it("write each change once", function()
    local a, b, w = open()
    local writes = counter(w.config_dir .. "/alpha.json")
    a:lua("assert(npc.set('n', 1)); saved()")
    b:wait("npc.ctx.json.n == 1")
    b:lua("assert(npc.set('n', 2)); saved()")
    a:wait("npc.ctx.json.n == 2")
    rests(w, a, b)
    assert.are.equal(2, writes(true))
    a:stop()
    b:stop()
  end)

  it("keep each other's keys when both write at once", function()
    local a, b = open()
    for name, child in pairs({ a = a, b = b }) do
      child:lua(
        [[
          local name = ...
          local i = 0
          local function step()
            i = i + 1
            assert(npc.set(name .. i, i))
            if i < 100 then vim.schedule(step) end
          end
          step()
        ]],
        name
      )
    end
    for _, child in ipairs({ a, b }) do
      child:wait("npc.ctx.json.a100 == 100 and npc.ctx.json.b100 == 100")
      child:lua("saved()")
      for i = 1, 100 do
        child:wait(("npc.ctx.json.a%d == %d and npc.ctx.json.b%d == %d"):format(i, i, i, i))
      end
      assert.are.same({}, child:lua("return errors"))
      assert.are.same({}, child:lua("return ran"))
      child:stop()
    end
  end)

  it("do not echo what an on_load writes at each load, always something new", function()
    local a, b, w = open({
      before = [[
        local record = options.on_load
        options.on_load = function(ctx)
          record(ctx)
          ctx.json.loaded_at = vim.uv.hrtime()
        end
      ]],
    })
    local writes = counter(w.config_dir .. "/alpha.json")
    -- Code changes: both run it, and both write.
    watching.replace(w.config_dir .. "/alpha.lua", "table.insert(_G.ran, 'again')")
    for _, child in ipairs({ a, b }) do
      child:wait("#hooks == 1")
    end
    a:lua("npc.set('n', 1); saved()")
    b:wait("npc.ctx.json.n == 1")
    rests(w, a, b)
    for _, child in ipairs({ a, b }) do
      assert.are.same({ "alpha" }, child:lua("return hooks"))
      assert.are.same({ "again" }, child:lua("return ran"))
    end
    assert.is_true(writes(true) <= 3, writes() .. " writes")
    assert.are.equal(a:lua("return npc.ctx.json.loaded_at"), b:lua("return npc.ctx.json.loaded_at"))
    a:stop()
    b:stop()
  end)

  it("do not echo what listeners write", function()
    local listener = [[
      vim.api.nvim_create_autocmd("User", {
        pattern = { "ProjectConfigJsonChanged", "ProjectConfigLoadPost" },
        callback = function()
          if npc.ctx.json.n then npc.set("doubled", 2 * npc.ctx.json.n) end
        end,
      })
    ]]
    local a, b, w = open({ before = listener })
    local writes = counter(w.config_dir .. "/alpha.json")
    a:lua("npc.set('n', 21)")
    b:wait("npc.ctx.json.doubled == 42")
    a:wait("npc.ctx.json.doubled == 42")
    rests(w, a, b)
    -- `n`, and `doubled` by either of them: with that, it may be on its way when the other one sets it.
    assert.is_true(writes(true) <= 3, writes() .. " writes")
    assert.are.same({}, a:lua("return errors"))
    a:stop()
    b:stop()
  end)
end)
