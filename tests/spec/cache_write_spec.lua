-- Writing through the cache of files: on disk first, then in the cache; what is refused leaves both as they were.
local caching = require("tests.support.caching")
local faults = require("tests.support.faults")
local support = require("tests.support")

for _, form in ipairs(caching.forms) do
  describe(("file_cache:write, %s form,"):format(form), function()
    ---@param opts? test.CachingOptions
    ---@return test.Child, string
    local function open(opts)
      local child, dir = caching.open(opts)
      child:lua(
        [[
          local form = forms[...]
          function _G.write(path, data, cache) return form(cache or files, "write", path, data) end
        ]],
        form
      )
      return child, dir
    end

    it("writes the bytes, and a get sees them", function()
      local child, dir = open({ tree = { old = "old" } })
      local text = "one\r\n\0two\255"
      for _, name in ipairs({ "new", "old", "deep/er/new" }) do
        local result = child:lua(
          [[
            local path, text = ...
            local ok, err = write(path, { content = text })
            local entry = get(files, path)
            return { ok, err == nil, entry.content == text, entry.size, entry.path == path }
          ]],
          dir .. "/" .. name,
          text
        )
        assert.are.same({ true, true, true, #text, true }, result)
        assert.are.equal(text, support.read(dir .. "/" .. name))
      end
      assert.are.same({ "deep", "new", "old" }, vim.fn.sort(vim.fn.readdir(dir)))
      child:stop()
    end)

    it("keeps mode and links, and an empty content is one", function()
      local child, dir = open({ tree = { file = "old", link = { link = "file" } } })
      assert(vim.uv.fs_chmod(dir .. "/file", tonumber("640", 8)))
      assert.are.same(
        { true, "" },
        child:lua("return { write(dir .. '/link', { content = '' }), get(files, dir .. '/file').content }")
      )
      assert.are.equal("link", assert(vim.uv.fs_lstat(dir .. "/link")).type)
      assert.are.equal(tonumber("640", 8), assert(vim.uv.fs_stat(dir .. "/file")).mode % 512)
      assert.are.equal("", support.read(dir .. "/file"))
      child:stop()
    end)

    it("shows the json that it was given, and drops it with the next content", function()
      local child = open()
      local result = child:lua([[
        local path, seen = dir .. "/a.txt", {}
        local data = { content = "plain", json = { list = { 1, 2 }, none = vim.NIL, empty = vim.empty_dict() } }
        write(path, data)
        local entry = get(files, path)
        table.insert(seen, vim.deep_equal(entry.json, data.json))
        table.insert(seen, entry.json ~= data.json and entry.json == get(files, path).json and rawget(entry, "json") == nil)
        write(path, { content = "plain" })
        table.insert(seen, get(files, path).json == nil)
        for _, json in ipairs({ "text", 1.5, { 1, { a = 2 } }, vim.NIL, false, {} }) do
          write(path, { content = "plain", json = json })
          local entry = get(files, path)
          table.insert(seen, vim.deep_equal(entry.json, json) and entry.json_error == nil and entry.content == "plain")
        end
        put(path, "by somebody else")
        table.insert(seen, get(files, path).json == nil)
        return seen
      ]])
      assert.are.same({ true, true, true, true, true, true, true, true, true, true }, result)
      child:stop()
    end)

    it("shows the json that a JSON file has, unless it was given another", function()
      local child, dir = open()
      local result = child:lua([[
        local path, seen = dir .. "/a.json", {}
        write(path, { content = '{ "a": 1 } // of the file' })
        table.insert(seen, get(files, path).json.a)
        write(path, { content = '{ "a": 2 }', json = { a = "given" } })
        table.insert(seen, get(files, path).json.a)
        write(path, { content = '{ "a": 3 }' })
        table.insert(seen, get(files, path).json.a)
        return seen
      ]])
      assert.are.same({ 1, "given", 3 }, result)
      assert.are.equal('{ "a": 3 }', support.read(dir .. "/a.json"))
      child:stop()
    end)

    it("answers false and the reason for data that cannot be written, and leaves file and entry alone", function()
      local child, dir = open({ tree = { file = "old" } })
      local cases = {
        { "nil", "invalid_argument", "file_cache:write: data: expected table, got nil" },
        { "'text'", "invalid_argument", "file_cache:write: data: expected table, got string" },
        { "{}", "invalid_argument", "file_cache:write: data.content: expected string, got nil" },
        { "{ json = {} }", "invalid_argument", "file_cache:write: data.content: expected string, got nil" },
        { "{ content = 5 }", "invalid_argument", "file_cache:write: data.content: expected string, got number" },
        { "{ content = 'new', json = print }", "unsupported_value", "`json` is a function" },
        { "{ content = 'new', json = { a = { 1, print } } }", "unsupported_value", "`json.a.2` is a function" },
        { "{ content = 'new', json = { a = 0 / 0 } }", "unsupported_value", "`json.a` is NaN" },
        { "{ content = 'new', json = { a = '\\255' } }", "unsupported_value", "`json.a` is not valid UTF-8" },
        { "{ content = 'new', json = cycle }", "unsupported_value", "json" },
      }
      child:lua("_G.cycle = {}; cycle.again = cycle")
      for _, case in ipairs(cases) do
        local data, code, text = unpack(case)
        local result = child:lua(([[
          local path = dir .. "/file"
          local before = get(files, path)
          local err = err_of(write(path, %s))
          return { err.result, err.code, err.message, before == get(files, path) }
        ]]):format(data))
        assert.are.same({ false, code }, vim.list_slice(result, 1, 2), data)
        assert.is_truthy(result[3]:find(text, 1, true), result[3])
        assert.is_nil(result[3]:find("ctx.json", 1, true), result[3])
        assert.is_true(result[4])
      end
      assert.are.equal("old", support.read(dir .. "/file"))
      assert.are.same({ "file" }, vim.fn.readdir(dir))
      child:stop()
    end)

    it("answers false and the reason where the disk refuses, and leaves file and entry alone", function()
      local child, dir = open({
        tree = { sub = { inner = "" }, readonly = "old", closed = { file = "old" }, large = "old", file = "" },
        setup = "{ cache = { max_file_size = 100 } }",
        through = faults.without_privileges(),
      })
      assert(vim.uv.fs_chmod(dir .. "/readonly", tonumber("444", 8)))
      assert(vim.uv.fs_chmod(dir .. "/closed", tonumber("555", 8)))
      vim.fn.system({ "mkfifo", dir .. "/fifo" })
      local cases = {
        { "sub", "not_a_file", 3 },
        { "fifo", "not_a_file", 3 },
        { "readonly", "permission", 3, "old" },
        { "closed/new", "permission", 3 },
        { "file/below", "not_a_file", 3, nil, "file" },
        { "large", "too_large", 101, "old" },
      }
      for _, case in ipairs(cases) do
        local name, code, size, old, culprit = unpack(case, 1, 5)
        local result = child:lua(
          [[
            local path, size = ...
            local before = get(files, path)
            local err = err_of(write(path, { content = ("x"):rep(size), json = { a = 1 } }))
            local after = get(files, path)
            return { err.result, err.code, err.path, before == after, after and after.content or vim.NIL, after and after.json or vim.NIL }
          ]],
          dir .. "/" .. name,
          size
        )
        assert.are.same({ false, code, dir .. "/" .. (culprit or name) }, vim.list_slice(result, 1, 3), name)
        assert.are.same({ true, old or vim.NIL, vim.NIL }, vim.list_slice(result, 4), name)
        assert.are.equal(old, old and support.read(dir .. "/" .. name))
      end
      assert.are.same({ "closed", "fifo", "file", "large", "readonly", "sub" }, vim.fn.sort(vim.fn.readdir(dir)))
      child:stop()
    end)
  end)
end

describe("file_cache:write(path, data, callback)", function()
  it("takes the data as they are when it is called", function()
    local child, dir = caching.open()
    local result = child:lua([[
      local data, done = { content = "first", json = { a = 1 } }, false
      files:write(dir .. "/a", data, function(ok) done = ok end)
      data.content, data.json.a, data.json = "changed", 2, nil
      assert(settle(function() return done end))
      local entry = get(files, dir .. "/a")
      return { entry.content, entry.json }
    ]])
    assert.are.same({ "first", { a = 1 } }, result)
    assert.are.equal("first", support.read(dir .. "/a"))
    child:stop()
  end)

  it("writes in the order of the calls, and a get that follows sees the last one", function()
    local child, dir = caching.open({ tree = { a = "old" } })
    local result = child:lua([[
      local path, answers, seen = dir .. "/a", 0, nil
      for i = 1, 50 do
        files:write(path, { content = "text " .. i }, function(ok) answers = answers + (ok and 1 or 0) end)
      end
      files:get(path, function(entry) seen = entry.content end)
      assert(settle(function() return seen and answers == 50 end))
      return { seen, answers }
    ]])
    assert.are.same({ "text 50", 50 }, result)
    assert.are.equal("text 50", support.read(dir .. "/a"))
    child:stop()
  end)

  it("calls each callback once, for many writes of many files", function()
    local child, dir = caching.open()
    local result = child:lua([[
      local counts, left = {}, 200
      for i = 1, 200 do
        files:write(("%s/%d"):format(dir, i % 20), { content = tostring(i) }, function(ok, err)
          assert(ok == true and err == nil)
          counts[i], left = (counts[i] or 0) + 1, left - 1
        end)
      end
      assert(settle(function() return left == 0 end))
      idle()
      local once = true
      for i = 1, 200 do once = once and counts[i] == 1 end
      return once
    ]])
    assert.is_true(result)
    for i = 0, 19 do
      assert.are.equal(tostring(i == 0 and 200 or 180 + i), support.read(dir .. "/" .. i))
    end
    child:stop()
  end)

  it("works in a fast event", function()
    local child, dir = caching.open()
    local result = child:lua([[
      local seen, ctx = {}, npc.ctx
      local timer = vim.uv.new_timer()
      timer:start(1, 0, function()
        timer:close()
        seen.fast = vim.in_fast_event()
        local data = { content = "fast", json = { a = 1 } }
        ctx.file_cache:write(dir .. "/a", data, function(ok, err) seen.ok, seen.fast_callback = ok, vim.in_fast_event() end)
        data.json.a = 2
        ctx.file_cache:write(dir .. "/b", {}, function(ok, err) seen.code = err.code end)
      end)
      assert(settle(function() return seen.ok ~= nil and seen.code end))
      seen.a = get(files, dir .. "/a").json.a
      return seen
    ]])
    assert.are.same({ fast = true, ok = true, fast_callback = false, code = "invalid_argument", a = 1 }, result)
    assert.are.equal("fast", support.read(dir .. "/a"))
    child:stop()
  end)

  it("lets the directory's cache see the new file", function()
    local child = caching.open({ tree = { a = "" } })
    local result = child:lua([[
      local function names()
        return vim.tbl_map(function(item) return item.name end, get(dirs, dir).entries)
      end
      local seen = { names() }
      write(dir .. "/b", { content = "" })
      table.insert(seen, names())
      return seen
    ]])
    assert.are.same({ { "a" }, { "a", "b" } }, result)
    child:stop()
  end)

  it("of a project's JSON file reaches the next load", function()
    local child = caching.open()
    local result = child:lua([[
      local before = load_now().json.from
      write(config_dir .. "/alpha.json", { content = '{ "from": "the cache" }', json = { from = "what was given" } })
      return { before, load_now().json.from, #errors }
    ]])
    assert.are.same({ "alpha", "the cache", 0 }, result)
    child:stop()
  end)
end)
