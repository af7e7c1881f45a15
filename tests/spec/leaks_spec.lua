-- What an editor holds after it has done a thing many times is what it held after a few: memory, threads, descriptors, handles of the
-- loop, coroutines. `FULL=1` does each thing as often as the requirements say: 100,000 loads, saves and cache
-- writes; on a busy machine that takes most of an hour (SPEC_TIMEOUT=3600).
local faults = require("tests.support.faults")
local workspace = require("tests.support.workspace")

-- Rounds that are measured, in two windows, after a tenth as many.
local ROUNDS = faults.full and 100000 or 2000
-- Each waits for the disk.
local SAVES = faults.full and 100000 or 400
local UPDATES = faults.full and 20000 or 400
-- Rounds per question to the editor, which has to answer within seconds.
local CHUNK = 50

-- In two windows.
local MOST_KB = 1024
-- In the last one, of the process and of what is allocated: a tenth of a kilobyte a round, within reason.
local LEAST_FLAT_KB, MOST_FLAT_KB = 100, 512
-- The messages that are remembered so that each is shown once.
local MOST_LUA_KB = 192
-- A busy machine makes work pile up now and then, and the allocator keeps the peak. What leaks grows in every window.
local WINDOWS = 8

-- The allocator's caches, one for each thread, count as allocated: without them what is in use is exact.
local EXACT = { GLIBC_TUNABLES = "glibc.malloc.tcache_count=0" }

local CONFIG = {
  ["alpha.json"] = '{"a": {"b": [1, 2, 3]}, "c": "text"}',
  ["alpha.lua"] = "_G.ran = (_G.ran or 0) + 1; if _G.act then _G.act() end",
  ["alpha.vim"] = "let g:ran = get(g:, 'ran', 0) + 1",
  ["alpha/more.json"] = '{"more": true}',
  ["alpha/more.lua"] = "",
  ["beta.json"] = '{"b": 1}',
  ["beta.lua"] = "",
}

-- Every coroutine that lives, and what is counted: `census()` in all, `answered(n, start)` waits for n answers.
local COUNTING = [[
  local alive = setmetatable({}, { __mode = "k" })
  local create, wrap = coroutine.create, coroutine.wrap
  function coroutine.create(f)
    local co = create(f)
    alive[co] = true
    return co
  end
  function coroutine.wrap(f)
    return wrap(function(...)
      alive[coroutine.running()] = true
      return f(...)
    end)
  end
  -- `vim.uv.walk` kills Neovim 0.10.
  local handles = setmetatable({}, { __mode = "k" })
  for name, new in pairs(vim.uv) do
    if name:find("^new_") then
      vim.uv[name] = function(...)
        local handle, err, code = new(...)
        if type(handle) == "userdata" then
          handles[handle] = true
        end
        return handle, err, code
      end
    end
  end
  -- What is thrown is told often enough.
  vim.notify = function() end

  local ffi = require("ffi")
  ffi.cdef("typedef struct { size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost; } heap_t; heap_t mallinfo2(void);")
  local function listed(dir)
    return #vim.fn.readdir(dir)
  end
  function _G.census()
    jit.flush()
    collectgarbage() collectgarbage()
    local heap = ffi.C.mallinfo2()
    local file = io.open("/proc/self/statm")
    local _, pages = file:read("*n", "*n")
    file:close()
    local open = 0
    for handle in pairs(handles) do
      local is_handle, is_closing = pcall(vim.uv.is_closing, handle)
      open = open + (is_handle and not is_closing and 1 or 0)
    end
    return {
      heap_kb = tonumber(heap.uordblks + heap.hblkhd) / 1024, rss_kb = pages * 4, lua_kb = collectgarbage("count"), handles = open, coroutines = vim.tbl_count(alive),
      threads = listed("/proc/self/task"), fds = listed("/proc/self/fd"),
    }
  end
  function _G.answered(number, start)
    local answers = 0
    start(function() answers = answers + 1 end)
    assert(vim.wait(8000, function() return answers == number end, 1), "not answered within 8 s")
  end
  _G.things = {}
  function _G.rounds(thing, from, to)
    for round = from, to do things[thing](round) end
  end
]]

local child, w ---@type test.Child, test.Workspace

---@param thing string
---@param from integer
---@param to integer
local function rounds(thing, from, to)
  for first = from, to, CHUNK do
    child:lua("rounds(...)", thing, first, math.min(first + CHUNK - 1, to))
  end
end

---@return table<string, number>
local function census()
  return child:lua("return census()")
end

--- Does a thing many times, and looks at what is left.
---@param thing string Lua: a function of the number of the round
---@param all? integer rounds (default: as many as there are)
local function measure(thing, all)
  all = all or ROUNDS
  local size, round = all / 2, 0
  child:lua("things.it = " .. thing)
  local began = vim.uv.hrtime()
  local function run(count)
    rounds("it", round + 1, round + count)
    round = round + count
    return census()
  end
  run(all / 10)
  local at = { census() }
  local flat_kb = math.min(math.max(size / 10, LEAST_FLAT_KB), MOST_FLAT_KB)
  local function grown(name, windows)
    return at[#at][name] - at[math.max(#at - windows, 1)][name]
  end
  repeat
    at[#at + 1] = run(size)
    local is_flat = #at > 2
      and grown("heap_kb", 1) <= flat_kb
      and grown("rss_kb", 1) <= flat_kb
      and grown("rss_kb", 2) <= MOST_KB
      and grown("lua_kb", 2) <= MOST_LUA_KB
  until is_flat or #at > WINDOWS
  local function column(name)
    local values = vim.tbl_map(function(counted)
      return ("%d"):format(counted[name])
    end, at)
    return table.concat(values, " ")
  end
  local figures = ("%d rounds in %.1f s, kB: %s; allocated: %s; Lua: %s; threads: %s"):format(
    round,
    (vim.uv.hrtime() - began) / 1e9,
    column("rss_kb"),
    column("heap_kb"),
    column("lua_kb"),
    column("threads")
  )
  io.stdout:write(figures, "\n")
  assert(
    grown("heap_kb", 1) <= flat_kb and grown("rss_kb", 1) <= flat_kb and grown("rss_kb", 2) <= MOST_KB,
    "memory grows: " .. figures
  )
  assert(grown("lua_kb", 2) <= MOST_LUA_KB, "Lua's memory grows: " .. figures)
  -- The last round may have left a timer or a run that is about to end.
  for name, most in pairs({ handles = at[1].handles, coroutines = at[1].coroutines + 2 }) do
    local are_few = at[#at][name] <= most or pcall(child.wait, child, ("census().%s <= %d"):format(name, most))
    assert(are_few, ("%s: %s"):format(name, column(name)))
  end
end

describe("an editor that does the same thing many times", function()
  if not vim.uv.fs_stat("/proc/self/statm") then
    pending("Linux only: /proc says what a process holds")
    return
  end

  local before

  setup(function()
    w = workspace.new({ config = CONFIG })
    child = w:open("alpha", { before = COUNTING, env = EXACT, setup = "{ on_error = function() end }" })
    child:lua("load_now(); load_now(at('beta')); npc.ctx.json.x = 1; npc.save()")
    -- The threads of these end by themselves.
    child:wait("census().threads <= 3", 25000)
    before = census()
  end)

  teardown(function()
    child:stop()
  end)

  it("loads two projects in turn", function()
    measure([[function(round)
      answered(1, function(done) npc.load(at(round % 2 == 0 and "alpha" or "beta"), done) end)
    end]])
  end)

  it("awaits loads, in coroutines and outside", function()
    measure([[function(round)
      answered(1, function(done)
        coroutine.wrap(function()
          npc.load_await(at("alpha"))
          done()
        end)()
      end)
      assert(npc.load_await(at("beta"))())
    end]])
  end)

  it("loads what somebody else has changed", function()
    measure(([[function(round)
      local file = io.open(%q, "w")
      file:write(('{"b": %%d}'):format(round))
      file:close()
      answered(1, function(done) npc.load(at("beta"), done) end)
      assert(npc.ctx.json.b == round)
    end]]):format(w.config_dir .. "/beta.json"))
  end)

  it("changes settings and saves them", function()
    child:lua("load_now(at('beta'))")
    measure(
      [[function(round)
      npc.ctx.json.round = round
      answered(1, function(done) npc.save(done) end)
    end]],
      SAVES
    )
  end)

  it("updates a setting", function()
    measure(
      [[function(round)
      answered(1, function(done) npc.update("updated", function() return round end, done) end)
    end]],
      UPDATES
    )
  end)

  it("writes and reads files through the cache", function()
    measure(
      ([[function(round)
        local path = %q .. round %% 50 .. ".json"
        answered(1, function(done)
          npc.ctx.file_cache:write(path, { content = '{"round": ' .. round .. '}', json = { round = round } }, done)
        end)
        answered(1, function(done)
          npc.ctx.file_cache:get(path, function(entry)
            assert(entry.json.round == round)
            done()
          end)
        end)
      end]]):format(w.dir .. "/cached"),
      SAVES
    )
  end)

  it("makes caches, reads files and directories through them, and drops them", function()
    measure(([[function()
      local files = require("nvim-project-config.cache.file").new()
      local directories = require("nvim-project-config.cache.directory").new()
      answered(4, function(done)
        files:get(%q, done)
        files:get("/nowhere", done)
        directories:get(%q, done)
        coroutine.wrap(function()
          files:get(%q)
          done()
        end)()
      end)
    end]]):format(w.config_dir .. "/alpha.json", w.config_dir, w.config_dir .. "/alpha.lua"))
  end)

  it("clears in the middle of loads, some of whose files wait for ever", function()
    child:lua("_G.act = function() if stuck then coroutine.yield() end end")
    measure(
      [[function(round)
      _G.stuck = round % 3 == 0
      local before = ran
      answered(3, function(done)
        npc.load(at("alpha"), done)
        npc.load(at("beta"), done)
        npc.load(at("alpha"), done)
        if round % 3 == 0 then
          assert(vim.wait(8000, function() return ran > before end, 1))
        elseif round % 3 == 1 then
          local turned = false
          vim.schedule(function() turned = true end)
          assert(vim.wait(8000, function() return turned end, 1))
        end
        npc.clear()
      end)
      _G.stuck = false
    end]],
      faults.full and 10000 or 1000
    )
  end)

  it("begins anew with setup", function()
    measure([[function(round)
      npc.setup(options)
      answered(1, function(done) npc.load(at(round % 2 == 0 and "alpha" or "beta"), done) end)
    end]])
  end)

  it("makes independent contexts, loads, changes and clears them", function()
    measure([[function(round)
      local ctx = npc.new({ config_dir = config_dir, loading = at(round % 2 == 0 and "alpha" or "beta").loading })
      answered(1, function(done) npc.load(ctx, done) end)
      if round % 10 == 0 then
        ctx.json.independent = round
        answered(1, function(done) npc.save(done) end)
      end
      npc.clear(ctx)
    end]])
  end)

  it("loads and clears a project that exists only once", function()
    measure([[function(round)
      local root = work .. "/project" .. round
      vim.fn.mkdir(root .. "/.git", "p")
      local ctx
      answered(1, function(done) npc.load(at("project" .. round), function(loaded) ctx = loaded; done() end) end)
      npc.clear(ctx)
      vim.fn.delete(root, "rf")
    end]])
  end)

  it("runs into errors, each with a message of its own", function()
    child:lua([[
      _G.act = function() error("number " .. ran) end
      npc.setup({ config_dir = config_dir, loading = { on = "manual" } })
    ]])
    measure([[function(round)
      answered(2, function(done)
        npc.load(at("alpha"), done)
        npc.load(at("nowhere" .. round), done)
      end)
    end]])
  end)

  it("holds no thread and no descriptor more than before all of that", function()
    child:lua("npc.clear()")
    child:lua("_G.before = ...", before)
    -- All at once, since a thread that is still at work has something open.
    child:lua([[
      function _G.surplus()
        local now, more = census(), {}
        for _, what in ipairs({ "threads", "fds", "handles" }) do
          if now[what] > before[what] then table.insert(more, ("%s: %d, before %d"):format(what, now[what], before[what])) end
        end
        return #more > 0 and table.concat(more, "; ") or nil
      end
    ]])
    local is_over = pcall(child.wait, child, "surplus() == nil", 25000)
    assert(is_over, child:lua("return surplus()"))
  end)
end)
