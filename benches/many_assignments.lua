-- A thousand assignments in one tick, everything that the plugin takes of the main thread until they are saved, to a thousand
-- assignments to a plain table and one `vim.deepcopy` of it. They have to be one save: the file is put in place once.
local child = require("benches.child")
local fixture = require("benches.fixture")
local stats = require("benches.stats")

local M = {}

-- Taken before main_thread.lua wraps it: what the benchmark schedules is not the plugin's time.
local schedule = vim.schedule

local ASSIGNMENTS = 1000
local SESSIONS = 4
local ROUNDS = 20
local WARM_UP = 5

--- Counts how often a new file has taken the place of `name`. The function returned goes on once the system has reported
--- everything up to its call: it makes a file, whose own report comes after all others.
---@param dir string
---@param name string
---@return fun(): integer count since the last call
local function count_replacements(dir, name)
  local uv = vim.uv
  local count, markers, marker, co = 0, 0, nil, nil
  local watch = assert(uv.new_fs_event())
  assert(watch:start(dir, {}, function(err, path, events)
    assert(not err, err)
    if path == name and events.rename then
      count = count + 1
    elseif path == marker then
      marker = nil
      schedule(function()
        assert(coroutine.resume(co))
      end)
    end
  end))
  return function()
    -- Each under a name of its own: what is still to be reported about the last one must not be taken for this one.
    markers = markers + 1
    local name_of_marker = "marker-" .. markers
    co, marker = coroutine.running(), name_of_marker
    assert(uv.fs_close(assert(uv.fs_open(dir .. "/" .. name_of_marker, "w", 420))))
    coroutine.yield()
    assert(uv.fs_unlink(dir .. "/" .. name_of_marker))
    local result = count
    count = 0
    return result
  end
end

---@param job { place: bench.Place, rounds: integer }
---@return bench.Pair[]
function M.sample(job)
  local plugin, main_thread = require("benches.plugin"), require("benches.main_thread")
  main_thread.watch()
  plugin.setup(job.place)
  local npc = require("nvim-project-config")
  local _, json = plugin.time()
  local plain = vim.deepcopy(json)
  local replacements = count_replacements(job.place.config_dir, "plain.json")

  --- Waits until what the tick has left behind is on disk and the plugin has been told, without asking it for anything.
  local function saved()
    local last = ('"k%d": %d'):format(ASSIGNMENTS, ASSIGNMENTS)
    repeat
      plugin.next_tick()
      local file = assert(io.open(job.place.config_dir .. "/plain.json", "rb"))
      local text = file:read("*a")
      file:close()
    until text:find(last, 1, true)
    plugin.next_tick()
  end

  local assign = main_thread.clocked(function()
    for index = 1, ASSIGNMENTS do
      npc.ctx.json["k" .. index] = index
    end
  end)
  -- Where two files can be exchanged, the name leaves and comes back.
  assert(npc.set("one", vim.uv.hrtime()))
  plugin.save()
  local by_one_save = replacements()
  assert(by_one_save > 0, "a save was not seen")

  local function ours()
    main_thread.begin()
    assign()
    plugin.next_tick()
    saved()
    local spent = main_thread.spent()
    plugin.save()
    local saves = replacements() / by_one_save
    assert(saves == 1, ("%d assignments in one tick were %g saves"):format(ASSIGNMENTS, saves))
    -- The next round has new keys again.
    for index = 1, ASSIGNMENTS do
      json["k" .. index] = nil
    end
    plugin.save()
    assert(replacements() == by_one_save, "the keys were not removed")
    return spent
  end
  local function floor()
    local spent = main_thread.time(function()
      for index = 1, ASSIGNMENTS do
        plain["k" .. index] = index
      end
      vim.deepcopy(plain)
    end)
    for index = 1, ASSIGNMENTS do
      plain["k" .. index] = nil
    end
    return spent
  end
  return vim.list_slice(stats.interleave(WARM_UP + job.rounds, ours, floor), WARM_UP + 1)
end

---@param home string
---@return bench.Figure[]
function M.measure(home)
  local place = fixture.places(home).small
  local samples = {}
  for _ = 1, SESSIONS do
    vim.list_extend(samples, child.run(home, "many_assignments", place, { rounds = ROUNDS }))
  end
  return { { title = "1,000 assignments, to plain ones and vim.deepcopy", limit = 3, pairs = samples } }
end

return M
