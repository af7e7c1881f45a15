-- The cache of directories: what it answers, in each form of asking, and that an answer is never older than the question.
local caching = require("tests.support.caching")
local faults = require("tests.support.faults")
local support = require("tests.support")
local tries = require("tests.support.tries")

local ROUNDS = 100

for _, form in ipairs(caching.forms) do
  describe(("dir_cache:get, %s form,"):format(form), function()
    ---@param opts? test.CachingOptions
    ---@return test.Child, string
    local function open(opts)
      local child, dir = caching.open(opts)
      child:lua(
        [[
          local form = forms[...]
          function _G.get(path, cache) return form(cache or dirs, "get", path) end
          function _G.names(path, cache)
            local entry, err = get(path, cache)
            return entry and vim.tbl_map(function(item) return item.name end, entry.entries) or err_of(entry, err)
          end
        ]],
        form
      )
      return child, dir
    end

    it("returns path, entries in byte order, mtime and nanoseconds, and nothing else", function()
      local child, dir = open({
        tree = {
          ["b.txt"] = "",
          B = "",
          [".hidden"] = "",
          sub = { inner = "" },
          ["link"] = { link = "sub" },
          ["dangling"] = { link = "nowhere" },
          ["two\nlines"] = "",
          ["a:b"] = "",
          ["\255"] = "",
        },
      })
      vim.fn.system({ "mkfifo", dir .. "/fifo" })
      local pipe = assert(vim.uv.new_pipe())
      assert(pipe:bind(dir .. "/socket"))
      local stat = assert(vim.uv.fs_stat(dir))
      assert.are.same({
        path = dir,
        mtime = stat.mtime.sec,
        mtime_ns = stat.mtime.nsec,
        entries = {
          { name = ".hidden", type = "file" },
          { name = "B", type = "file" },
          { name = "a:b", type = "file" },
          { name = "b.txt", type = "file" },
          { name = "dangling", type = "link" },
          { name = "fifo", type = "fifo" },
          { name = "link", type = "link" },
          { name = "socket", type = "socket" },
          { name = "sub", type = "directory" },
          { name = "two\nlines", type = "file" },
          { name = "\255", type = "file" },
        },
      }, child:lua("local all = {}; for k, v in pairs(get(dir)) do all[k] = v end; return all"))
      assert.are.same({ "inner" }, child:lua("return names(dir .. '/link')"))
      assert.are.equal(
        "char",
        child:lua([[
        for _, item in ipairs(get("/dev").entries) do
          if item.name == "null" then return item.type end
        end
      ]])
      )
      pipe:close()
      child:stop()
    end)

    it("sees each file that comes and goes, also within one step of the clock", function()
      local child = open({ tree = { empty = true } })
      assert.are.same({}, child:lua("return names(dir .. '/empty')"))
      local wrong = child:lua(
        [[
          local wrong, path = {}, dir .. "/empty"
          for i = 1, ... do
            put(path .. "/" .. i, "")
            local with = names(path)
            assert(vim.uv.fs_unlink(path .. "/" .. i))
            local without = names(path)
            if not vim.deep_equal({ with, without }, { { tostring(i) }, {} }) then table.insert(wrong, { i, with, without }) end
          end
          return wrong
        ]],
        ROUNDS
      )
      assert.are.same({}, wrong)
      child:stop()
    end)

    it("gives the same table for the same state, and a new one for each other state", function()
      local child = open({ tree = { a = "" } })
      local result = child:lua([[
        local first, second = get(dir), get(dir)
        put(dir .. "/b", "")
        local changed = get(dir)
        return { first == second, first ~= changed, #first.entries, #changed.entries, changed == get(dir) }
      ]])
      assert.are.same({ true, true, 1, 2, true }, result)
      child:stop()
    end)

    it("answers anew after invalidate and clear_all, which return nothing", function()
      local child = open({ tree = { a = "" } })
      local result = child:lua([[
        local seen = { names(dir) }
        table.insert(seen, select("#", dirs:invalidate(dir)))
        table.insert(seen, names(dir))
        table.insert(seen, select("#", dirs:clear_all()))
        assert(vim.uv.fs_unlink(dir .. "/a"))
        table.insert(seen, names(dir))
        return seen
      ]])
      assert.are.same({ { "a" }, 0, { "a" }, 0, {} }, result)
      child:stop()
    end)

    it("returns an error of its own for what is no directory that it may read", function()
      local child, dir = open({
        tree = { file = "", dangling = { link = "nowhere" }, closed = { inner = "" } },
        through = faults.without_privileges(),
      })
      assert(vim.uv.fs_chmod(dir .. "/closed", 0))
      for name, code in pairs({
        file = "not_a_file",
        none = "not_found",
        dangling = "not_found",
        closed = "permission",
      }) do
        local path = dir .. "/" .. name
        local err = child:lua("return err_of(get(...))", path)
        assert.are.same({ nil, code, path }, { err.result, err.code, err.path }, vim.inspect(err))
        assert.is_truthy(vim.startswith(err.message, path .. ": "), err.message)
      end
      assert(vim.uv.fs_chmod(dir .. "/closed", tonumber("700", 8)))
      assert.are.same({ "inner" }, child:lua("return names(dir .. '/closed')"))
      child:stop()
    end)

    it("of one's own has limits of its own, and knows nothing of what others have read", function()
      local child = open({ tree = { a = "" } })
      local result = child:lua([[
        local new = require("nvim-project-config.cache.directory").new
        local cache = new({ trust_mtime = false, timeout_ms = 4000, max_bytes = 0 })
        local seen = { names(dir, cache), names(dir, new()), get(dir, cache) ~= get(dir) }
        put(dir .. "/b", "")
        table.insert(seen, names(dir, cache))
        return seen
      ]])
      assert.are.same({ { "a" }, { "a" }, true, { "a", "b" } }, result)
      child:stop()
    end)
  end)
end

describe("a directory of very many files", function()
  local COUNT = 20000
  local LONGEST_STALL_MS = 50

  it("answers all that ask once, with one table, and does not hold up the editor", function()
    local files = support.tmpdir()
    for i = 1, COUNT do
      support.write(("%s/%05d"):format(files, i), "")
    end
    tries.within(LONGEST_STALL_MS, "the longest stall, in ms", function()
      local child = caching.open({ before = require("tests.support.stall") })
      child:lua(
        [[
          _G.answers = {}
          local path = ...
          watch_loop()
          for i = 1, 5 do
            dirs:get(path, function(entry, err)
              table.insert(answers, entry or tostring(err))
              if i == 1 then
                -- Whoever waits here does not hold back the others.
                _G.together = vim.wait(8000, function() return #answers == 5 end, 1)
              end
            end)
          end
        ]],
        files
      )
      child:wait("_G.together ~= nil and #answers == 5")
      local stall = child:lua("return longest_stall()")
      local result = child:lua([[
        local first, sorted = answers[1], true
        for i, item in ipairs(first.entries) do
          sorted = sorted and item.name == ("%05d"):format(i) and item.type == "file"
        end
        for _, entry in ipairs(answers) do sorted = sorted and entry == first end
        idle()
        return { #answers, #first.entries, sorted, together }
      ]])
      assert.are.same({ 5, COUNT, true, true }, result)
      child:stop()
      return stall
    end)
  end)
end)
