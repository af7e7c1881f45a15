-- How often the caches read: once for all that ask at the same time, and not again for what a fingerprint proves. Counted from outside,
-- as system calls; what is answered meanwhile is right too.
local caching = require("tests.support.caching")
local faults = require("tests.support.faults")
local support = require("tests.support")

--- The coarsest step of a file system's clock: younger files are read again, whatever their times say.
local STEP_S = 2

--- Returns once everything in a directory is older than the step.
local function let_age(dir)
  local youngest = 0
  for name in vim.fs.dir(dir) do
    local stat = assert(vim.uv.fs_stat(dir .. "/" .. name))
    youngest = math.max(youngest, stat.ctime.sec + 1)
  end
  assert(vim.wait(10000, function()
    local now = assert(vim.uv.gettimeofday())
    return now > youngest + STEP_S
  end, 20))
end

--- How often the files of a directory were opened while `act` ran, by name.
---@param child test.Child
---@param dir string
---@param act fun()
---@return table<string, integer>
local function opened(child, dir, act)
  local tracer = faults.trace(child, { "-e", "trace=open,openat,openat2" })
  act()
  tracer:detach()
  local counts = {}
  for line in io.lines(tracer.log) do
    -- A load opens its files below a directory that it has open.
    local below, relative = line:match('%(%d+<(/[^>]*)>, "([^"/][^"]*)"')
    local path = below and below .. "/" .. relative or line:match('"(/[^"]*)"')
    local is_file = not line:find(" resumed>", 1, true) and not line:find("O_DIRECTORY", 1, true)
    if path and is_file and vim.startswith(path, dir .. "/") then
      local name = path:sub(#dir + 2)
      counts[name] = (counts[name] or 0) + 1
    end
  end
  return counts
end

-- What Lua holds. To be asked from outside, with nothing of the spec on the stack. A compiled trace holds the closures that were called
-- when it was recorded.
local KILOBYTES = [[
  function _G.kilobytes()
    jit.flush()
    collectgarbage() collectgarbage()
    return collectgarbage("count")
  end
]]

--- A test that counts system calls.
local function it_counts(name, test)
  it(name, function()
    local missing = faults.missing("strace")
    if missing then
      return pending(missing)
    end
    test()
  end)
end

describe("10,000 gets of 100 files from 200 coroutines", function()
  it_counts("are answered once each, with the right content, by 100 reads", function()
    local child, dir = caching.open()
    for i = 1, 100 do
      support.write(("%s/%d"):format(dir, i), ("content %d"):format(i))
    end
    let_age(dir)
    local counts = opened(child, dir, function()
      child:lua([[
        _G.answers, _G.wrong, _G.ended = 0, 0, 0
        for c = 1, 200 do
          coroutine.wrap(function()
            for i = 1, 50 do
              local n = (c * 7 + i * 13) % 100 + 1
              local entry = files:get(dir .. "/" .. n)
              answers = answers + 1
              wrong = wrong + ((entry and entry.content == "content " .. n) and 0 or 1)
            end
            ended = ended + 1
          end)()
        end
      ]])
      child:wait("ended == 200", 60000)
    end)
    assert.are.same({ 10000, 0, 200 }, child:lua("idle() return { answers, wrong, ended }"))
    assert.are.equal(100, vim.tbl_count(counts))
    for name, count in pairs(counts) do
      assert.are.equal(1, count, name)
    end
    child:stop()
  end)

  it("leave nothing behind: no callback, no memory that grows", function()
    local child, dir = caching.open()
    for i = 1, 100 do
      support.write(("%s/%d"):format(dir, i), ("x"):rep(1000))
    end
    local function round()
      child:lua([[
        _G.left = 10000
        for i = 1, 10000 do
          files:get(("%s/%d"):format(dir, i % 100 + 1), function(entry) _G.left = left - (entry and 1 or 0) end)
        end
      ]])
      child:wait("left == 0", 60000)
    end
    child:lua(KILOBYTES)
    round()
    round()
    child:lua("_G.before = kilobytes()")
    for _ = 1, 6 do
      round()
    end
    child:wait("kilobytes() - before < 500")
    assert.are.equal(0, child:lua("return vim.tbl_count(require('nvim-project-config.native').callbacks)"))
    child:stop()
  end)
end)

describe("a file that is older than the step of the clock", function()
  it_counts("is read once, again after invalidate and clear_all, and each time without trust_mtime", function()
    local child, dir =
      caching.open({ tree = { trusted = "1", forgotten = "2", cleared = "3", distrusted = "4", own = "5" } })
    let_age(dir)
    local counts = opened(child, dir, function()
      child:lua([[
        local function thrice(name, between, cache)
          for _ = 1, 3 do
            assert(get(cache or files, dir .. "/" .. name))
            if between then between() end
          end
        end
        thrice("trusted")
        thrice("forgotten", function() files:invalidate(dir .. "/forgotten") end)
        thrice("cleared", function() files:clear_all() end)
        thrice("own", nil, require("nvim-project-config.cache.file").new({ trust_mtime = false }))
        npc.ctx.cache.trust_mtime = false
        thrice("distrusted")
      ]])
    end)
    assert.are.same({ trusted = 1, forgotten = 3, cleared = 3, own = 3, distrusted = 3 }, counts)
    child:stop()
  end)

  it_counts("is read once by a load and by those who ask for it", function()
    local child, dir = caching.open()
    local config_dir = child:lua("return config_dir")
    let_age(config_dir)
    local counts = opened(child, config_dir, function()
      assert.are.equal(
        '{"from": "alpha"}',
        child:lua([[
        get(files, config_dir .. "/alpha.json")
        load_now()
        return get(files, config_dir .. "/alpha.json").content
      ]])
      )
    end)
    assert.are.same({ ["alpha.json"] = 1 }, counts)
    assert.is_truthy(dir)
    child:stop()
  end)
end)

describe("the content of a file", function()
  it("is one string in Lua for all who ask, and is freed with the last entry", function()
    local child = caching.open({ tree = { large = ("x"):rep(4 * 1024 * 1024), small = "x" } })
    child:lua(KILOBYTES)
    child:lua("get(files, dir .. '/small') idle()")
    child:lua("_G.before = kilobytes()")
    child:lua("_G.held = {} for i = 1, 20 do held[i] = get(files, dir .. '/large') end")
    child:wait("kilobytes() - before < 6 * 1024")
    assert.is_true(child:lua("return kilobytes() - before > 3.9 * 1024"))
    child:lua("_G.held = nil")
    child:wait("kilobytes() - before < 1024")
    child:stop()
  end)
end)
