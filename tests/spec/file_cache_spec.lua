-- The cache of files: what it answers, in each form of asking, and that an answer is never older than the question. How many reads that
-- takes is cache_reads_spec.lua's, writing cache_write_spec.lua's, arguments cache_arguments_spec.lua's.
local caching = require("tests.support.caching")
local faults = require("tests.support.faults")
local support = require("tests.support")

--- Many enough that an edit within one step of the clock would be missed, if one could be.
local ROUNDS = 200

for _, form in ipairs(caching.forms) do
  describe(("file_cache:get, %s form,"):format(form), function()
    ---@param tree? test.Tree
    ---@return test.Child, string
    local function open(tree)
      local child, dir = caching.open({ tree = tree })
      child:lua(
        "local form = forms[...]; function _G.get(path, cache) return form(cache or files, 'get', path) end",
        form
      )
      return child, dir
    end

    it("returns path, content, mtime, nanoseconds and size, and nothing else", function()
      local child, dir = open({ ["a.txt"] = "one\n\0two", ["empty.txt"] = "" })
      for name, text in pairs({ ["a.txt"] = "one\n\0two", ["empty.txt"] = "" }) do
        local stat = assert(vim.uv.fs_stat(dir .. "/" .. name))
        assert.are.same({
          path = dir .. "/" .. name,
          content = text,
          size = #text,
          mtime = stat.mtime.sec,
          mtime_ns = stat.mtime.nsec,
        }, child:lua(
          "local all = {}; for k, v in pairs(get(...)) do all[k] = v end; return all",
          dir .. "/" .. name
        ))
      end
      child:stop()
    end)

    it("returns nil and not_found for what does not exist, and the file once it does", function()
      local child, dir = open()
      local path = dir .. "/none"
      local err = child:lua("return err_of(get(...))", path)
      assert.are.same({ nil, "not_found", path }, { err.result, err.code, err.path })
      assert.is_truthy(vim.startswith(err.message, path .. ": "), err.message)
      support.write(path, "now")
      assert.are.equal("now", child:lua("return get(...).content", path))
      assert(vim.uv.fs_unlink(path))
      assert.are.equal("not_found", child:lua("return err_of(get(...)).code", path))
      child:stop()
    end)

    it("sees each change, also of the same size within one step of the clock", function()
      local child, dir = open()
      local stale = child:lua(
        [[
          local path, rounds, stale = dir .. "/a", ..., {}
          for i = 1, rounds do
            local text = ("%06d"):format(i)
            put(path, text)
            local entry = get(path)
            if entry.content ~= text then table.insert(stale, { i, entry.content }) end
          end
          return stale
        ]],
        ROUNDS
      )
      assert.are.same({}, stale)
      assert.are.equal(("%06d"):format(ROUNDS), support.read(dir .. "/a"))
      child:stop()
    end)

    it("sees a file that takes its place, whatever its times, and a link that leads elsewhere", function()
      local child = open({ ["a"] = "first", ["b"] = "other", link = { link = "a" } })
      local result = child:lua([[
        local path, seen = dir .. "/a", {}
        table.insert(seen, get(path).content)
        table.insert(seen, get(dir .. "/link").content)
        -- Same size, same times: `cp -p` and a rename.
        local stat = vim.uv.fs_stat(path)
        put(dir .. "/new", "newer")
        assert(vim.uv.fs_utime(dir .. "/new", stat.mtime.sec, stat.mtime.sec))
        assert(vim.uv.fs_utime(path, stat.mtime.sec, stat.mtime.sec))
        table.insert(seen, get(path).content)
        assert(vim.uv.fs_rename(dir .. "/new", path))
        table.insert(seen, get(path).content)
        -- Written in place, and the time put back.
        put(path, "third")
        assert(vim.uv.fs_utime(path, stat.mtime.sec, stat.mtime.sec))
        table.insert(seen, get(path).content)
        table.insert(seen, get(dir .. "/link").content)
        assert(vim.uv.fs_unlink(dir .. "/link"))
        assert(vim.uv.fs_symlink("b", dir .. "/link"))
        table.insert(seen, get(dir .. "/link").content)
        table.insert(seen, get(dir .. "/link").path == dir .. "/link")
        return seen
      ]])
      assert.are.same({ "first", "first", "first", "newer", "third", "third", "other", true }, result)
      child:stop()
    end)

    it("gives the same table for the same state, and a new one for each other state", function()
      local child = open({ a = "text" })
      local result = child:lua([[
        local path = dir .. "/a"
        local first, second = get(path), get(path)
        local own = require("nvim-project-config.cache.file").new()
        local elsewhere = get(path, own)
        assert(vim.uv.fs_utime(path, 1000, 1000.25))
        local touched = get(path)
        put(path, "other")
        local changed = get(path)
        return {
          first == second, elsewhere.content, first ~= touched, touched.mtime, touched.mtime_ns, touched.content,
          changed ~= touched, changed.content, first.content, touched == get(path),
        }
      ]])
      assert.are.same({ true, "text", true, 1000, 250000000, "text", true, "other", "text", false }, result)
      child:stop()
    end)

    it("answers anew after invalidate and clear_all, which return nothing", function()
      local child = open({ a = "text" })
      local result = child:lua([[
        local path, seen = dir .. "/a", {}
        get(path)
        table.insert(seen, select("#", files:invalidate(path)))
        table.insert(seen, get(path).content)
        put(path, "next")
        table.insert(seen, select("#", files:clear_all()))
        table.insert(seen, get(path).content)
        files:invalidate(dir .. "/never seen")
        assert(vim.uv.fs_unlink(path))
        files:invalidate(path)
        table.insert(seen, err_of(get(path)).code)
        return seen
      ]])
      assert.are.same({ 0, "text", 0, "next", "not_found" }, result)
      child:stop()
    end)

    it("returns an error of its own for what is no file that it may read", function()
      local child, dir = caching.open({
        tree = { sub = { x = "" }, dangling = { link = "nowhere" }, large = ("x"):rep(101), unreadable = "secret" },
        setup = "{ cache = { max_file_size = 100 } }",
        through = faults.without_privileges(),
      })
      vim.fn.system({ "mkfifo", dir .. "/fifo" })
      assert(vim.uv.fs_chmod(dir .. "/unreadable", 0))
      local codes = {
        sub = "not_a_file",
        fifo = "not_a_file",
        dangling = "not_found",
        large = "too_large",
        unreadable = "permission",
        ["large/below"] = { not_a_file = true, not_found = true },
      }
      for name, code in pairs(codes) do
        local path = dir .. "/" .. name
        local err = child:lua("return err_of(forms[...](files, 'get', (select(2, ...))))", form, path)
        assert.is_true(type(code) == "table" and code[err.code] or code == err.code, name .. ": " .. vim.inspect(err))
        assert.is_nil(err.result)
        assert.are.equal(path, err.path)
        assert.is_truthy(vim.startswith(err.message, path .. ": "), err.message)
      end
      child:stop()
    end)
  end)
end

describe("an entry's json", function()
  it("is what a JSON file says, comments and all, with Neovim's null and empty object", function()
    local child = caching.open({
      tree = {
        ["a.json"] = '// top\n{ "null": null, "empty": {}, "list": [], "n": 1.5, /* deep */ "o": { "x": [1, 2,] }, }',
        ["b.jsonc"] = '{ "b": true } // end',
        ["list.json"] = '[1, { "a": null }]',
        ["null.json"] = "null",
        ["false.json"] = " false ",
        ["text.json"] = '"text"',
        ["mark.json"] = "\239\187\191[7]",
        ["empty.json"] = "",
        ["comment.json"] = "// nothing\n",
      },
    })
    local function json(name)
      return child:lua(
        "local e = get(files, dir .. '/' .. ...); assert(e.json_error == nil, tostring(e.json_error)); return vim.inspect(e.json)",
        name
      )
    end
    assert.are.same(
      { empty = vim.empty_dict(), list = {}, null = vim.NIL, n = 1.5, o = { x = { 1, 2 } } },
      child:lua("return get(files, dir .. '/a.json').json")
    )
    assert.are.equal(
      "true vim.empty_dict() vim.NIL",
      child:lua([[
      local json = get(files, dir .. "/a.json").json
      return ("%s %s %s"):format(vim.islist(json.list), vim.inspect(json.empty), vim.inspect(json.null))
    ]])
    )
    assert.are.equal("{\n  b = true\n}", json("b.jsonc"))
    assert.are.equal("{ 1, {\n    a = vim.NIL\n  } }", json("list.json"))
    assert.are.equal("vim.NIL", json("null.json"))
    assert.are.equal("false", json("false.json"))
    assert.are.equal('"text"', json("text.json"))
    assert.are.equal("{ 7 }", json("mark.json"))
    assert.are.equal("nil", json("empty.json"))
    assert.are.equal("nil", json("comment.json"))
    child:stop()
  end)

  it("is nil in a file of another kind", function()
    local child = caching.open({ tree = { ["a.txt"] = '{"a": 1}', ["json"] = "{}", ["a.json.bak"] = "{" } })
    for _, name in ipairs({ "a.txt", "json", "a.json.bak" }) do
      local result = child:lua(
        "local e = get(files, dir .. '/' .. ...); return { e.json == nil, e.json_error == nil, e.other == nil }",
        name
      )
      assert.are.same({ true, true, true }, result)
    end
    child:stop()
  end)

  it("is nil where the file is malformed, and json_error says where and why", function()
    local child, dir = caching.open({ tree = { ["a.json"] = '{\n  "a": nope\n}', ["b.json"] = "\255" } })
    local result = child:lua([[
      local a, b = get(files, dir .. "/a.json"), get(files, dir .. "/b.json")
      local err = a.json_error
      return { a.json == nil, err.code, err.path, err.line, tostring(err), a.content, b.json_error.code, b.json == nil }
    ]])
    assert.are.same({ true, "syntax", dir .. "/a.json", 2 }, vim.list_slice(result, 1, 4))
    assert.is_truthy(vim.startswith(result[5], dir .. "/a.json:2:"), result[5])
    assert.are.same({ '{\n  "a": nope\n}', "encoding", true }, vim.list_slice(result, 6))
    child:stop()
  end)

  it("is decoded once, is the same table each time, and is no field of the entry", function()
    local child = caching.open({ tree = { ["a.json"] = '{"a": {}}' } })
    assert.are.same(
      { true, true, true },
      child:lua([[
        local first = get(files, dir .. "/a.json")
        local json = first.json
        local again = get(files, dir .. "/a.json")
        return { json == first.json, json == again.json, rawget(first, "json") == nil }
      ]])
    )
    child:stop()
  end)

  it("is not what the context shows of the same file", function()
    local child = caching.open()
    local result = child:lua([[
      load_now()
      local path = config_dir .. "/alpha.json"
      local json = get(files, path).json
      json.from = "changed here"
      local entry = get(files, path)
      return { npc.ctx.json.from, json ~= npc.ctx.json, entry.json == json, (entry.content:match("alpha")) }
    ]])
    assert.are.same({ "alpha", true, true, "alpha" }, result)
    child:stop()
  end)
end)

describe("file_cache:get(path, callback)", function()
  it("works in a fast event, also as the first thing that anybody does with the plugin", function()
    for _, before in ipairs({ "", "get(files, dir .. '/a')" }) do
      local child = caching.open({ tree = { a = "text" } })
      child:lua(before)
      local result = child:lua([[
        local seen = {}
        local ctx = npc.ctx
        local timer = vim.uv.new_timer()
        timer:start(1, 0, function()
          timer:close()
          seen.fast = vim.in_fast_event()
          ctx.file_cache:get(dir .. "/a", function(entry, err)
            seen.content, seen.fast_callback = entry and entry.content or tostring(err), vim.in_fast_event()
          end)
          ctx.file_cache:invalidate(dir .. "/a")
          ctx.dir_cache:get(dir, function(entry, err) seen.first = entry and entry.entries[1].name or tostring(err) end)
          seen.inside = seen.content
        end)
        assert(settle(function() return seen.content and seen.first end))
        return seen
      ]])
      assert.are.same({ fast = true, content = "text", fast_callback = false, first = "a" }, result)
      child:stop()
    end
  end)

  it("calls every callback once, in spite of one that throws, which goes to on_error", function()
    local child = caching.open({ tree = { a = "text" } })
    local result = child:lua([[
      local calls = {}
      for i = 1, 10 do
        files:get(dir .. "/a", function()
          calls[i] = (calls[i] or 0) + 1
          if i == 3 then error("thrown on purpose") end
        end)
      end
      assert(settle(function() return calls[10] end))
      idle()
      return calls
    ]])
    assert.are.same({ 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 }, result)
    local reported = child:lua("return errors")
    assert.are.equal(1, #reported)
    assert.are.equal("runtime", reported[1].code)
    assert.is_truthy(reported[1].message:find("thrown on purpose", 1, true), reported[1].message)
    assert.are.same({}, child:notifications())
    child:stop()
  end)

  it("may wait, in a callback, for what is asked for later, and holds nobody back", function()
    local child = caching.open({ tree = { a = "text", b = "other" } })
    local result = child:lua([[
      local seen = {}
      files:get(dir .. "/a", function(entry)
        files:get(dir .. "/b", function(other) table.insert(seen, other.content) end)
        assert(vim.wait(8000, function() return #seen == 3 end, 1), "the others were held back")
        table.insert(seen, "first")
      end)
      for i = 1, 2 do
        files:get(dir .. "/a", function() table.insert(seen, "later") end)
      end
      assert(settle(function() return #seen == 4 end))
      table.sort(seen, function(a, b) return a < b end)
      return seen
    ]])
    assert.are.same({ "first", "later", "later", "other" }, result)
    child:stop()
  end)
end)

describe("the coroutine form", function()
  it("is driven by runners that hand out steps: plenary's, nio's, and Neovim's own where it exists", function()
    local child = caching.open({ tree = { a = "text", b = "other" } })
    local result = child:lua([[
      local seen = {}
      local function work(name)
        return function()
          local entry, err = files:get(dir .. "/a")
          local listing = dirs:get(dir)
          local ok = files:write(dir .. "/" .. name, { content = name })
          local again = files:get_async(dir .. "/" .. name)
          local missing, why = files:get(dir .. "/missing")
          seen[name] = { entry.content, err == nil, #listing.entries >= 2, ok, again.content, missing == nil, why.code }
        end
      end
      -- plenary.async: a coroutine yields `function(step), argument count`.
      local function drive(body, function_at, count_at)
        local co = coroutine.create(body)
        local function step(...)
          local given = { coroutine.resume(co, ...) }
          assert(given[1], given[2])
          if coroutine.status(co) ~= "dead" then
            assert(type(given[function_at]) == "function" and given[count_at] == 1, vim.inspect(given))
            given[function_at](step)
          end
        end
        step()
      end
      drive(work("plenary"), 2, 3)
      assert(settle(function() return seen.plenary end))
      -- nvim-nio: count first; recognised by its current task.
      package.loaded["nio.tasks"] = { current_task = function() return {} end }
      drive(work("nio"), 3, 2)
      assert(settle(function() return seen.nio end))
      package.loaded["nio.tasks"] = nil
      local ok, async = pcall(require, "vim._async")
      if ok then
        async.run(work("neovim"))
        assert(settle(function() return seen.neovim end))
      end
      return seen
    ]])
    for name, values in pairs(result) do
      assert.are.same({ "text", true, true, true, name, true, "not_found" }, values)
    end
    assert.are.same({ true, true }, { result.nio ~= nil, result.plenary ~= nil })
    assert.are.equal(vim.uv.fs_stat(vim.env.VIMRUNTIME .. "/lua/vim/_async.lua") ~= nil, result.neovim ~= nil)
    child:stop()
  end)
end)

describe("a file that a load runs", function()
  it("can wait for the caches, in a Lua file of the project and in an executor", function()
    local child = caching.open({ tree = { a = "text" } })
    local result = child:lua([[
      put(config_dir .. "/alpha.lua", "_G.seen = { npc.ctx.file_cache:get(dir .. '/a').content, #npc.ctx.dir_cache:get(dir).entries }")
      put(config_dir .. "/alpha.toml", "x = 1")
      npc.setup(vim.tbl_deep_extend("force", options, {
        executors = {
          toml = {
            run = function(ctx, path)
              table.insert(seen, ctx.file_cache:get(path).content)
              table.insert(seen, (ctx.file_cache:write(dir .. "/b", { content = "written" })))
            end,
          },
        },
        on_load = function(ctx)
          ctx.file_cache:get(dir .. "/b", function(entry) table.insert(seen, entry.content) end)
        end,
      }))
      load_now()
      assert(settle(function() return #seen == 5 end), vim.inspect({ seen, errors }))
      return seen
    ]])
    assert.are.same({ "text", 1, "x = 1", true, "written" }, result)
    child:stop()
  end)
end)

describe("a disk that hangs", function()
  it("gives each who asks a timeout that names the path, after their own time, and the directories go on", function()
    local missing = faults.missing("hang")
    if missing then
      return pending(missing)
    end
    local child, dir = caching.open({ tree = { a = "text", b = "text" }, through = faults.hang_reads() })
    local result = child:lua([[
      local counts, errs, own = {}, {}, require("nvim-project-config.cache.file").new({ timeout_ms = 700 })
      local began = vim.uv.hrtime()
      npc.ctx.cache.timeout_ms = 200
      local function ask(cache, name, key)
        cache:get(dir .. "/" .. name, function(entry, err)
          counts[key] = (counts[key] or 0) + 1
          errs[key] = { code = err.code, path = err.path, ms = (vim.uv.hrtime() - began) / 1e6 }
        end)
      end
      ask(files, "a", "a")
      ask(files, "b", "b")
      ask(files, "a", "again")
      ask(own, "a", "own")
      local awaited
      coroutine.wrap(function() awaited = select(2, files:get(dir .. "/a")).code end)()
      local listing = #get(dirs, dir).entries
      assert(settle(function() return errs.own and errs.a and errs.b and errs.again and awaited end))
      idle()
      return { counts = counts, errs = errs, awaited = awaited, listing = listing }
    ]])
    assert.are.same({ a = 1, b = 1, again = 1, own = 1 }, result.counts)
    assert.are.same({ "timeout", 2 }, { result.awaited, result.listing })
    for key, err in pairs(result.errs) do
      assert.are.same({ "timeout", dir .. (key == "b" and "/b" or "/a") }, { err.code, err.path })
      local wanted = key == "own" and 700 or 200
      assert.is_true(err.ms >= wanted - 1 and err.ms < wanted + 450, ("%s: %d ms"):format(key, err.ms))
    end
    child:stop()
  end)
end)

describe("the session's caches", function()
  it("outlive setup and clear", function()
    local child = caching.open({ tree = { a = "text" } })
    local result = child:lua([[
      local entry = get(files, dir .. "/a")
      local before = files
      load_now()
      local bound = get(files, dir .. "/a")
      npc.clear()
      local cleared = get(files, dir .. "/a")
      npc.setup(options)
      return { entry == bound, entry == cleared, entry == get(files, dir .. "/a"), entry == get(before, dir .. "/a") }
    ]])
    assert.are.same({ true, true, true, true }, result)
    child:stop()
  end)

  it("take their limits from ctx.cache at each call", function()
    local child = caching.open({ tree = { a = "text" } })
    local result = child:lua([[
      local cache, seen = files, {}
      table.insert(seen, get(cache, dir .. "/a").content)
      npc.ctx.cache.max_file_size = 3
      table.insert(seen, err_of(get(cache, dir .. "/a")).code)
      npc.ctx.cache = { trust_mtime = false, timeout_ms = 5000, max_file_size = 4 }
      table.insert(seen, get(cache, dir .. "/a").content)
      return seen
    ]])
    assert.are.same({ "text", "too_large", "text" }, result)
    child:stop()
  end)
end)

describe("a cache of one's own", function()
  it("has limits of its own, and knows nothing of what others have read", function()
    local child = caching.open({ tree = { a = "text" } })
    local result = child:lua([[
      local new = require("nvim-project-config.cache.file").new
      local small, plain = new({ max_file_size = 3 }), new()
      npc.ctx.cache.max_file_size = 1
      return {
        err_of(get(small, dir .. "/a")).code, get(plain, dir .. "/a").content,
        err_of(get(files, dir .. "/a")).code, get(new({ trust_mtime = false }), dir .. "/a").content,
      }
    ]])
    assert.are.same({ "too_large", "text", "too_large", "text" }, result)
    child:stop()
  end)

  it("answers right also beyond what it may keep", function()
    local child = caching.open()
    local wrong = child:lua([[
      local cache = require("nvim-project-config.cache.file").new({ max_bytes = 10000 })
      local wrong = {}
      for round = 1, 2 do
        for i = 1, 50 do
          local path, text = ("%s/%d"):format(dir, i), ("%d."):format(i):rep(3000)
          if round == 1 then put(path, text) end
          local entry = get(cache, path)
          if entry.content ~= text then table.insert(wrong, { round, i }) end
        end
      end
      return wrong
    ]])
    assert.are.same({}, wrong)
    child:stop()
  end)

  it("is freed with its table, also while it is asked", function()
    local child = caching.open({ tree = { a = "text" } })
    local result = child:lua([[
      local answers = 0
      for i = 1, 50 do
        local cache = require("nvim-project-config.cache.file").new()
        cache:get(dir .. "/a", function(entry) answers = answers + (entry.content == "text" and 1 or 0) end)
        cache = nil
        collectgarbage()
      end
      assert(settle(function() return answers == 50 end))
      return { answers, get(files, dir .. "/a").content }
    ]])
    assert.are.same({ 50, "text" }, result)
    child:stop()
  end)
end)
