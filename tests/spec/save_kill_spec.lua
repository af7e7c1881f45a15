-- An editor that is killed while it saves: the file is the old one or the new one, what was acknowledged is in it, and what is
-- left lying about is one hidden file at most, which the next save removes. `FULL=1` kills 500 times instead of 100.
local editor = require("tests.support.fault_editor")
local faults = require("tests.support.faults")
local support = require("tests.support")
local workspace = require("tests.support.workspace")

local KILLS = faults.full and 500 or 100
local RING = 5
-- A save takes a few milliseconds: within this time there are some, and the kill may fall anywhere in them.
local LATEST_KILL_US = 20000

-- A text that is longer than one write of a careless program, with something to lose in it.
local PADDING = ("x"):rep(8000)

--- The document after `n` saves, byte for byte.
---@param n integer
local function document(n)
  local lines = { "{", "  // saved again and again", ('  "first": %d,'):format(n), '  "ring": {' }
  for i = 0, RING - 1 do
    -- The newest number up to n with this remainder.
    local value = n - (n - i) % RING
    table.insert(lines, ('    "k%d": %d%s'):format(i, math.max(value, 0), i < RING - 1 and "," or ""))
  end
  vim.list_extend(lines, { "  },", ('  "padding": "%s",'):format(PADDING), ('  "last": %d'):format(n), "}", "" })
  return table.concat(lines, "\n")
end

-- Each save changes three places in one tick. What is acknowledged goes to the log in one write: a kill cannot take it back.
local AFTER = ([[
  local function change(n)
    npc.ctx.json.first = n
    npc.set({ "ring", "k" .. n %% %d }, n)
    npc.ctx.json.last = n
  end
  function _G.save_one()
    change(npc.ctx.json.last + 1)
    return save_now()
  end
  function _G.save_for_ever(log)
    local file = vim.uv.fs_open(log, "a", 384)
    local function step()
      local n = npc.ctx.json.last + 1
      change(n)
      npc.save(function(ok, err)
        -- Nothing is being saved now, so what lies there is what saving leaves behind.
        local names = {}
        for name in vim.fs.dir(config_dir) do table.insert(names, name) end
        vim.uv.fs_write(file, ok and ("%%d %%s\n"):format(n, table.concat(names, ",")) or tostring(err) .. "\n")
        step()
      end)
    end
    step()
  end
]]):format(RING)

---@param path string
---@return integer n number of the last save that the file holds as a whole
local function state_of(path)
  local text = assert(support.read(path))
  local n = tonumber(text:match('"last": (%d+)'))
  assert.are.equal(document(assert(n, "the file is torn: " .. text)), text)
  return n
end

--- At most one file beside the target, and that is hidden.
---@return integer orphans
local function orphans(dir)
  local left = vim.tbl_filter(function(name)
    return name ~= "alpha.json"
  end, editor.names(dir))
  assert.is_true(#left <= 1, vim.inspect(left))
  assert.is_true(#left == 0 or vim.startswith(left[1], "."), vim.inspect(left))
  return #left
end

describe("an editor that is killed while it saves", function()
  it("at a random moment leaves the old or the new file, with all that was acknowledged", function()
    local w = workspace.new({ config = { ["alpha.json"] = document(0) } })
    local path = w.config_dir .. "/alpha.json"
    local log = w.dir .. "/log"
    math.randomseed(4)
    local found = 0
    for kill = 1, KILLS do
      vim.uv.fs_unlink(log)
      local child = editor.open(w, "alpha", { after = AFTER })
      child:lua("save_for_ever(...)", log)
      assert(
        vim.wait(10000, function()
          return (support.read(log) or ""):find("\n", 1, true) ~= nil
        end, 1),
        "nothing was saved"
      )
      local moment = vim.uv.hrtime() + math.random(0, LATEST_KILL_US) * 1000
      while vim.uv.hrtime() < moment do
      end
      vim.uv.kill(child.pid, "sigkill")
      child:ended()
      local acknowledged
      for line in io.lines(log) do
        local n, names = line:match("^(%d+) (.*)$")
        assert.is_truthy(n, line)
        assert.are.equal("alpha.json", names, "a save has left something behind")
        acknowledged = tonumber(n)
      end
      local n = state_of(path)
      assert.is_true(
        n == acknowledged or n == acknowledged + 1,
        ("kill %d: the file is %d, %d was acknowledged"):format(kill, n, acknowledged)
      )
      found = found + orphans(w.config_dir)
    end
    if faults.full then
      print(("%d kills: %d left a file behind"):format(KILLS, found))
    end
    local child = editor.open(w, "alpha", { after = AFTER })
    assert.are.same({ ok = true }, child:lua("return save_one()"))
    assert.are.same({ "alpha.json" }, editor.names(w.config_dir))
    child:stop()
  end)

  it("at any system call of a save leaves the old or the new file", function()
    local missing = faults.missing("strace")
    if missing then
      return pending(missing)
    end
    local w = workspace.new({ config = { ["alpha.json"] = document(0) } })
    local path = w.config_dir .. "/alpha.json"
    local child = editor.open(w, "alpha", { after = AFTER })
    child:lua("save_one()")
    local calls = faults.calls(child, w.config_dir, function()
      child:lua("save_one()")
    end)
    child:stop()
    assert.is_true(#calls.list > 5, vim.inspect(calls))
    local outcomes = { old = 0, new = 0, orphan = 0 }
    for _, call in ipairs(calls.list) do
      local label = ("%s %d"):format(call.name, call.nth)
      child = editor.open(w, "alpha", { after = AFTER })
      -- The next save clears up what the kill before it has left.
      assert.are.same({ ok = true }, child:lua("return save_one()"), label)
      assert.are.same({ "alpha.json" }, editor.names(w.config_dir), label)
      local before = state_of(path)
      local tracer = faults.inject(child, calls, call.name, "signal=KILL:when=" .. call.nth)
      -- A call that comes after the answer may let the answer out.
      local answered = pcall(child.lua, child, "return save_one()")
      assert.is_true(pcall(child.ended, child), label .. " was not reached")
      tracer:detach()
      local after = state_of(path)
      assert.is_true(after == before + 1 or after == before and not answered, label)
      outcomes.old = outcomes.old + (after == before and 1 or 0)
      outcomes.new = outcomes.new + (after > before and 1 or 0)
      outcomes.orphan = outcomes.orphan + orphans(w.config_dir)
    end
    assert.is_true(outcomes.old > 0, "every kill came too late")
    if faults.full then
      print(("killed at %d system calls: %s"):format(#calls.list, vim.inspect(outcomes)))
    end
    child = editor.open(w, "alpha", { after = AFTER })
    assert.are.same({ ok = true }, child:lua("return save_one()"))
    assert.are.same({ "alpha.json" }, editor.names(w.config_dir))
    child:stop()
  end)
end)
