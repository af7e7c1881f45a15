-- A cache never answers with what a path held before the call: files are changed as fast as an editor can, at one size, within one
-- tick of the file system's clock, behind the back of time stamps, and through links. In memory, on disk, and on a file system that
-- counts whole seconds.
local faults = require("tests.support.faults")
local support = require("tests.support")
local workspace = require("tests.support.workspace")

local REWRITES = 10000
local LOOP_MS = 60000

-- Lua for the editor: `rewrite(path, text)` changes a file in place, in one system call, and leaves its size as it is.
local PRELUDE = [[
  _G.uv = vim.uv
  function _G.rewrite(path, text)
    local fd = assert(uv.fs_open(path, "r+", 0))
    assert(uv.fs_write(fd, text, 0) == #text)
    assert(uv.fs_close(fd))
  end
  function _G.create(path, text)
    local fd = assert(uv.fs_open(path, "w", 420))
    assert(uv.fs_write(fd, text, 0) == #text)
    assert(uv.fs_close(fd))
  end
  function _G.version(number) return ("%08d"):format(number) end
  -- Runs `fn` in a coroutine; what it returns, or what it throws, is `result`.
  function _G.run(fn)
    _G.result = nil
    coroutine.wrap(function()
      local ok, value = pcall(fn)
      _G.result = ok and value or { threw = tostring(value) }
    end)()
  end
]]

-- How a file that holds `oldnews!` comes to hold `newnews!` while most of what `stat` says stays as it was. `$1` is its path, `$2` its
-- directory; `$1.aged` is as old as it and holds `newnews!`.
local DISGUISES = {
  ["rewritten, then touch -r"] = [[touch -r "$1" "$1.times"; printf 'newnews!' 1<>"$1"; touch -r "$1.times" "$1"]],
  ["rewritten through a hard link, then touch -r"] = [[
    ln "$1" "$1.hard"; touch -r "$1" "$1.times"; printf 'newnews!' 1<>"$1.hard"; touch -r "$1.times" "$1"
  ]],
  ["cp -p"] = [[cp -p "$1.aged" "$1"]],
  ["renamed over"] = [[mv -f "$1.aged" "$1"]],
  ["renamed over by a new file, with the old times"] = [[
    printf 'newnews!' >"$1.other"; touch -r "$1" "$1.other"; mv -f "$1.other" "$1"
  ]],
  ["two names exchanged"] = [[mv "$1" "$1.t"; mv "$1.aged" "$1"; mv "$1.t" "$1.aged"]],
  ["a link retargeted"] = [[ln -sfn "$1.aged" "$1"]],
  ["a link to the directory retargeted"] = [[ln -sfn "$2.b" "$2.new"; mv -fT "$2.new" "$2"]],
  ["the directory exchanged"] = [[mv "$2" "$2.t"; mv "$2.b" "$2"]],
}

-- How many files there are for each of them.
local AGED = 5

-- Lua for the editor: builds these files. `aged[disguise]` is a list of their paths.
local PREPARE_AGED = [==[
  local disguises, count = ...
  _G.aged = {}
  local newest
  local function make(path, text, times)
    create(path, text)
    local stat = times and assert(uv.fs_stat(times))
    if stat then
      assert(uv.fs_utime(path, stat.mtime.sec + stat.mtime.nsec / 1e9, stat.mtime.sec + stat.mtime.nsec / 1e9))
    end
    newest = path
  end
  for number, disguise in ipairs(disguises) do
    aged[disguise] = {}
    for index = 1, count do
      local base = ("%s/aged-%d-%d"):format(place, number, index)
      if disguise:find("directory", 1, true) then
        local is_link = disguise:find("link", 1, true)
        local first = is_link and base .. ".a" or base
        assert(uv.fs_mkdir(first, 448))
        assert(uv.fs_mkdir(base .. ".b", 448))
        make(first .. "/file", "oldnews!")
        make(base .. ".b/file", "newnews!", first .. "/file")
        assert(not is_link or uv.fs_symlink(first, base))
        table.insert(aged[disguise], base .. "/file")
      elseif disguise:find("link retargeted", 1, true) then
        make(base .. ".old", "oldnews!")
        make(base .. ".aged", "newnews!", base .. ".old")
        assert(uv.fs_symlink(base .. ".old", base))
        table.insert(aged[disguise], base)
      else
        make(base, "oldnews!")
        make(base .. ".aged", "newnews!", base)
        table.insert(aged[disguise], base)
      end
    end
  end
  -- Seconds since the last of them was made.
  function _G.age()
    local seconds, microseconds = uv.gettimeofday()
    local changed = assert(uv.fs_stat(newest)).ctime
    return seconds + microseconds / 1e6 - changed.sec - changed.nsec / 1e9
  end
  -- Those that do not hold `text` as the cache says: one, or all.
  function _G.stale_of(text, only)
    local stale = {}
    for disguise, paths in pairs(aged) do
      for _, path in ipairs(paths) do
        if not only or only == path then
          local entry, err = npc.ctx.file_cache:get(path)
          local content = entry and entry.content or tostring(err)
          if content ~= text then table.insert(stale, ("%s: %s"):format(disguise, content)) end
        end
      end
    end
    return stale
  end
]==]

---@class test.Place
---@field name string
---@field dir? string an empty directory on the file system
---@field missing? string why there is no such file system here
---@field through? string[] what its editor is started with
---@field is_coarse? boolean whether its clock counts whole seconds

---@param dir string
---@param through? string[]
---@return test.Child
local function open(dir, through)
  local child =
    workspace.new():open("alpha", { before = PRELUDE .. ("_G.place = %q\n"):format(dir), through = through })
  -- Neither how old a file is nor what the file system can do may matter.
  return child
end

--- ext4 with inodes of 128 bytes, which have no room for nanoseconds. It is mounted for its editor only.
---@return test.Place
local function whole_seconds()
  local place = { name = "ext4 with whole seconds", is_coarse = true }
  place.missing = faults.missing("unshare")
    or (vim.fn.executable("mkfs.ext4") == 0 and "mkfs.ext4 is not installed")
    or nil
  if place.missing then
    return place
  end
  local dir = support.tmpdir()
  local image, mounted = dir .. "/image", dir .. "/mounted"
  vim.fn.mkdir(mounted)
  local file = assert(io.open(image, "wb"))
  assert(file:seek("set", 16 * 1024 * 1024 - 1))
  assert(file:write("\0"))
  assert(file:close())
  local mount = [[mount -o loop "$1" "$2" && shift 2 && exec "$@"]]
  local through = { "unshare", "-m", "sh", "-c", mount, "sh", image, mounted }
  local tried = vim.system({ "mkfs.ext4", "-q", "-F", "-I", "128", image }, { text = true }):wait()
  if tried.code == 0 then
    tried = vim.system(vim.list_extend(vim.list_slice(through), { "true" }), { text = true }):wait()
  end
  if tried.code ~= 0 then
    place.missing = "no file system can be mounted here: " .. vim.trim(tried.stderr)
    return place
  end
  place.dir, place.through = mounted, through
  return place
end

---@type test.Place[]
local PLACES = {
  { name = "the directory for temporary files", dir = support.tmpdir() },
  { name = "/dev/shm (tmpfs)" },
  whole_seconds(),
}
local in_memory = vim.uv.fs_access("/dev/shm", "W") and vim.uv.fs_mkdtemp("/dev/shm/npc-XXXXXX")
if in_memory then
  PLACES[2].dir = in_memory
else
  PLACES[2].missing = "there is no /dev/shm"
end

for _, place in ipairs(PLACES) do
  --- A test in an editor on this file system.
  ---@param title string
  ---@param test fun(child: test.Child)
  local function on_it(title, test)
    it(title, function()
      if place.missing then
        pending(place.missing)
        return
      end
      local child = open(place.dir, place.through)
      test(child)
      assert.are.same({}, child:lua("return errors"))
      child:stop()
    end)
  end

  --- Runs Lua in a coroutine of the editor and returns what it returns.
  ---@param child test.Child
  ---@param code string
  ---@return any
  local function run(child, code)
    child:lua(("run(function() %s end)"):format(code))
    local result = child:wait("_G.result", LOOP_MS)
    return result.threw and error(result.threw, 0) or result
  end

  describe("on " .. place.name, function()
    on_it(REWRITES .. " rewrites of one size, each read after it: none is stale", function(child)
      local result = run(
        child,
        ([[
          local path, cache = place .. "/rewritten", npc.ctx.file_cache
          create(path, version(0))
          local stale, same_times, last = {}, 0, ""
          for number = 1, %d do
            rewrite(path, version(number))
            local entry, err = cache:get(path)
            local content = entry and entry.content or tostring(err)
            if content ~= version(number) then table.insert(stale, version(number) .. " was " .. content) end
            local times = entry and entry.mtime .. " " .. entry.mtime_ns
            same_times, last = same_times + (times == last and 1 or 0), times
          end
          return { stale = stale, same_times = same_times }
        ]]):format(REWRITES)
      )
      assert.are.same({}, result.stale)
      if place.is_coarse then
        assert.is_true(result.same_times > REWRITES * 0.9, result.same_times .. " had the time of the one before")
      end
    end)

    on_it("rewrites back and forth between two texts, looked at rarely: none is stale", function(child)
      local result = run(
        child,
        ([[
          local path, cache = place .. "/back-and-forth", npc.ctx.file_cache
          create(path, version(0))
          local stale, seed = {}, 1
          for number = 1, %d do
            rewrite(path, version(number %% 2))
            seed = seed * 16807 %% 2147483647
            if seed %% 3 == 0 then
              local content = cache:get(path).content
              if content ~= version(number %% 2) then table.insert(stale, number) end
            end
          end
          return stale
        ]]):format(REWRITES)
      )
      assert.are.same({}, result)
    end)

    on_it("a file replaced by another one of its size, again and again: none is stale", function(child)
      local result = run(
        child,
        [[
          local path, cache = place .. "/replaced", npc.ctx.file_cache
          local stale = {}
          for number = 1, 2000 do
            create(path .. ".new", version(number))
            assert(uv.fs_rename(path .. ".new", path))
            local content = cache:get(path).content
            if content ~= version(number) then table.insert(stale, number) end
          end
          return stale
        ]]
      )
      assert.are.same({}, result)
    end)

    on_it("answers that are under way while the file changes are of the moment of the call, or later", function(child)
      local result = run(
        child,
        ([[
          local path, cache = place .. "/under-way", npc.ctx.file_cache
          create(path, version(0))
          local stale, answered, written, refused = {}, 0, 0, 0
          local co = coroutine.running()
          local function ask()
            local asked_at = written
            cache:get(path, function(entry, err)
              answered = answered + 1
              local number = tonumber(entry and entry.content)
              if not entry and err.code == "io" and tostring(err):find("keeps changing", 1, true) then
                refused = refused + 1
              elseif not number or number < asked_at or number > written then
                table.insert(stale, ("asked at %%d, written %%d, got %%s"):format(asked_at, written, entry and entry.content or tostring(err)))
              end
              if answered == %d then vim.schedule(function() coroutine.resume(co) end) end
            end)
          end
          -- Ten are under way at a time; each is asked between two rewrites.
          local asked = 0
          local function some()
            for _ = 1, 10 do
              if asked == %d then return end
              asked, written = asked + 1, written + 1
              rewrite(path, version(written))
              ask()
            end
            vim.schedule(some)
          end
          some()
          coroutine.yield()
          return { stale = stale, answered = answered, refused = refused }
        ]]):format(REWRITES, REWRITES)
      )
      assert.are.same({}, result.stale)
      assert.are.equal(REWRITES, result.answered)
      -- Whoever writes without a pause may be in the way of each attempt to read; that is said, and rare.
      assert.is_true(result.refused < REWRITES / 10, result.refused .. " of the reads gave up")
    end)

    on_it("a directory whose entries come, go and get other names: none is stale", function(child)
      local result = run(
        child,
        [[
          local path, cache = place .. "/entries", npc.ctx.dir_cache
          assert(uv.fs_mkdir(path, 448))
          create(path .. "/" .. version(0), "")
          local stale = {}
          for number = 1, 3000 do
            assert(uv.fs_rename(path .. "/" .. version(number - 1), path .. "/" .. version(number)))
            local entry = cache:get(path)
            if #entry.entries ~= 1 or entry.entries[1].name ~= version(number) then table.insert(stale, number) end
          end
          for number = 1, 1000 do
            create(path .. "/new", "")
            local with = #cache:get(path).entries
            assert(uv.fs_unlink(path .. "/new"))
            local without = #cache:get(path).entries
            if with ~= 2 or without ~= 1 then table.insert(stale, -number) end
          end
          return stale
        ]]
      )
      assert.are.same({}, result)
    end)

    -- Files that have been cached and whose times are old enough to be trusted, changed in ways that leave size or times as they were.
    on_it("what hides a change from time stamps, on files that have long been cached: none is stale", function(child)
      child:lua(PREPARE_AGED, vim.tbl_keys(DISGUISES), AGED)
      local function stale(text, only)
        return run(child, ("return stale_of(%q, %s)"):format(text, only or "nil"))
      end
      assert.are.same({}, stale("oldnews!"))
      -- Until times are trusted: 2 s, where no probe has found a smaller step.
      child:wait("age() > 2.2")
      assert.are.same({}, stale("oldnews!"))
      assert.are.same({}, stale("oldnews!"))
      for index = 1, AGED do
        for disguise, script in pairs(DISGUISES) do
          local path = child:lua("return aged[select(1, ...)][select(2, ...)]", disguise, index)
          local command = { "sh", "-ec", script, "sh", path, vim.fs.dirname(path) }
          if place.through then
            command = vim.list_extend({ "nsenter", "--mount", "--target", tostring(child.pid) }, command)
          end
          local done = vim.system(command, { text = true }):wait()
          assert.are.equal(0, done.code, disguise .. ": " .. done.stderr)
          assert.are.same({}, stale("newnews!", ("aged[%q][%d]"):format(disguise, index)), disguise)
        end
      end
      assert.are.same({}, stale("newnews!"))
    end)
  end)
end

if in_memory then
  describe("afterwards", function()
    it("nothing is left in memory", function()
      assert.are.equal(0, vim.fn.delete(in_memory, "rf"))
    end)
  end)
end
