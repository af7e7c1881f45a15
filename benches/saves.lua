-- Saving one key of a 1 KB file a thousand times, each awaited before the next, to the same by hand in the same editor: read,
-- replace the value, write beside it, fsync, rename, fsync the directory. By hand without callbacks, which is faster and
-- stalls the editor; ours does not.
--
-- In blocks that alternate, so that both sides share the disk's moods; in /var/tmp, because /tmp is often in memory, where
-- nothing that this figure is about takes time.
local child = require("benches.child")
local fixture = require("benches.fixture")
local stats = require("benches.stats")

local M = {}

local uv = vim.uv

local SESSIONS = 4
local BLOCKS = 10
local SAVES = 25
local WARM_UP = 1

---@param path string
---@return string text
local function read(path)
  local fd = assert(uv.fs_open(path, "r", 0))
  local text = assert(uv.fs_read(fd, assert(uv.fs_fstat(fd)).size))
  assert(uv.fs_close(fd))
  return text
end

---@param dir string
---@param path string
---@param counter integer
local function save_by_hand(dir, path, counter)
  local text = read(path):gsub('("counter": )%d+', "%1" .. counter)
  local temporary = path .. ".tmp"
  local fd = assert(uv.fs_open(temporary, "wx", 420))
  assert(uv.fs_write(fd, text) == #text)
  assert(uv.fs_fsync(fd))
  assert(uv.fs_close(fd))
  assert(uv.fs_rename(temporary, path))
  local directory = assert(uv.fs_open(dir, "r", 0))
  assert(uv.fs_fsync(directory))
  assert(uv.fs_close(directory))
end

---@param work fun()
---@return integer ns
local function time(work)
  collectgarbage()
  local began = uv.hrtime()
  work()
  return uv.hrtime() - began
end

---@param job { place: bench.Place, by_hand: string }
---@return bench.Pair[]
function M.sample(job)
  local plugin = require("benches.plugin")
  plugin.setup(job.place)
  plugin.time()
  local npc = require("nvim-project-config")
  local co = coroutine.running()
  local path = fixture.write_small(job.by_hand)
  local set_to, by_hand = 0, 0

  local last
  local function finish(err)
    vim.schedule(function()
      assert(coroutine.resume(co, err))
    end)
  end
  local function save_next()
    if set_to == last then
      return finish()
    end
    set_to = set_to + 1
    local set, refused = npc.set("counter", set_to)
    if not set then
      return finish(refused)
    end
    npc.save(function(saved, err)
      if not saved then
        return finish(err)
      end
      save_next()
    end)
  end
  local function ours()
    last = set_to + SAVES
    return time(function()
      save_next()
      local err = coroutine.yield()
      assert(not err, err)
    end)
  end
  local function floor()
    return time(function()
      for _ = 1, SAVES do
        by_hand = by_hand + 1
        save_by_hand(job.by_hand, path, by_hand)
      end
    end)
  end
  local samples = stats.interleave(WARM_UP + BLOCKS, ours, floor)

  assert(read(path) == read(job.place.config_dir .. "/plain.json"), "ours and the floor's file differ")
  return vim.list_slice(samples, WARM_UP + 1)
end

---@param home string
---@return bench.Figure[]
function M.measure(home)
  local dir = assert(uv.fs_mkdtemp(uv.fs_realpath("/var/tmp") .. "/bench-XXXXXX"))
  local samples = {}
  local ok, problem = xpcall(function()
    for session = 1, SESSIONS do
      local place = { start_dir = fixture.places(home).small.start_dir, config_dir = dir .. "/ours-" .. session }
      fixture.write_small(place.config_dir)
      local job = { by_hand = dir .. "/by-hand-" .. session }
      vim.list_extend(samples, child.run(home, "saves", place, job))
    end
  end, debug.traceback)
  vim.fn.delete(dir, "rf")
  assert(ok, problem)
  return { { title = "1,000 saves of one key, awaited, to by hand", limit = 1.3, pairs = samples } }
end

return M
