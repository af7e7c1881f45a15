-- What the caches' methods are given, and what they say of arguments that cannot be used: at the place of the call, and with the
-- method and the argument in the message.
local caching = require("tests.support.caching")
local plugin = require("tests.support.plugin")

--- What a call raises, without the place, and whether the place is that of the call.
local RAISED = [[
  local code, in_coroutine = ...
  local chunk = assert(loadstring(code, "=the caller"))
  local ok, err
  if in_coroutine then
    coroutine.wrap(function() ok, err = pcall(chunk) end)()
  else
    ok, err = pcall(chunk)
  end
  assert(ok == false, "has raised nothing")
  return err
]]

local paths = {
  ["nil"] = "path: expected string, got nil",
  ["42"] = "path: expected string, got number",
  ["{}"] = "path: expected string, got table",
  ["''"] = "path: expected an absolute path, got ''",
  ["'a/b'"] = "path: expected an absolute path, got 'a/b'",
  ["'~/a'"] = "path: expected an absolute path, got '~/a'",
  ["'/a\\0b'"] = "path: expected a path without NUL",
}

local methods = {
  file_cache = { "get", "get_async", "write", "write_async", "invalidate" },
  dir_cache = { "get", "get_async", "invalidate" },
}

for cache, names in pairs(methods) do
  for _, method in ipairs(names) do
    describe(("%s:%s"):format(cache, method), function()
      it("raises an error for what is no absolute path", function()
        local child = caching.open()
        for argument, text in pairs(paths) do
          for _, in_coroutine in ipairs({ true, false }) do
            local code = ("npc.ctx.%s:%s(%s)"):format(cache, method, argument)
            local err = child:lua(RAISED, code, in_coroutine)
            assert.are.equal(("the caller:1: nvim-project-config: %s:%s: %s"):format(cache, method, text), err)
          end
        end
        child:stop()
      end)
    end)
  end
end

describe("a callback that is no function", function()
  it("is refused at once", function()
    local child = caching.open()
    for call, name in pairs({
      ["npc.ctx.file_cache:get('/a', 'x')"] = "file_cache:get",
      ["npc.ctx.dir_cache:get('/a', 'x')"] = "dir_cache:get",
      ["npc.ctx.file_cache:write('/a', { content = '' }, 'x')"] = "file_cache:write",
    }) do
      local err = child:lua(RAISED, call, false)
      local text = "the caller:1: nvim-project-config: %s: callback: expected function, got string"
      assert.are.equal(text:format(name), err)
    end
    child:stop()
  end)
end)

describe("the coroutine form outside of a coroutine that may yield", function()
  local forms = {
    ["file_cache:get"] = { "'/a'", "file_cache:get(path, callback)" },
    ["file_cache:get_async"] = { "'/a'", "file_cache:get(path, callback)" },
    ["dir_cache:get"] = { "'/a'", "dir_cache:get(path, callback)" },
    ["dir_cache:get_async"] = { "'/a'", "dir_cache:get(path, callback)" },
    ["file_cache:write"] = { "'/a', { content = '' }", "file_cache:write(path, data, callback)" },
    ["file_cache:write_async"] = { "'/a', { content = '' }", "file_cache:write(path, data, callback)" },
  }

  it("raises an error that names the callback form", function()
    local child = caching.open()
    for method, form in pairs(forms) do
      local err = child:lua(RAISED, ("npc.ctx.%s(%s)"):format(method, form[1]), false)
      local text = "the caller:1: nvim-project-config: %s: not in a coroutine; use %s"
      assert.are.equal(text:format(method, form[2]), err)
    end
    child:stop()
  end)

  it("has read and written nothing", function()
    local child, dir = caching.open()
    child:lua("pcall(function() npc.ctx.file_cache:write(dir .. '/new', { content = 'x' }) end); idle()")
    assert.is_nil(vim.uv.fs_stat(dir .. "/new"))
    child:stop()
  end)
end)

describe("the options of a cache of one's own", function()
  local known = {
    file = "max_bytes, max_file_size, timeout_ms, trust_mtime",
    directory = "max_bytes, timeout_ms, trust_mtime",
  }
  for kind, names in pairs(known) do
    it(("are checked: %s"):format(kind), function()
      local child = caching.open()
      local name = ("cache.%s.new"):format(kind)
      local texts = {
        ["{ unknown = 1 }"] = name .. ": unknown option 'unknown'; known are " .. names,
        ["{ [1] = 1 }"] = name .. ": unknown option '1'; known are " .. names,
        ["{ trust_mtime = 1 }"] = name .. ".trust_mtime: expected boolean, got number",
        ["{ timeout_ms = 'x' }"] = name .. ".timeout_ms: expected number, got string",
        ["{ timeout_ms = 0 }"] = name .. ".timeout_ms: expected a whole number from 1, got 0",
        ["{ max_bytes = 1.5 }"] = name .. ".max_bytes: expected a whole number from 0, got 1.5",
        ["{ max_bytes = -1 }"] = name .. ".max_bytes: expected a whole number from 0, got -1",
        ["5"] = name .. ": expected table, got number",
      }
      for options, text in pairs(texts) do
        local call = ("require('nvim-project-config.cache.%s').new(%s)"):format(kind, options)
        assert.are.equal("nvim-project-config: " .. text, child:lua(RAISED, call, false))
      end
      child:lua(
        ("require('nvim-project-config.cache.%s').new(); require('nvim-project-config.cache.%s').new({})"):format(
          kind,
          kind
        )
      )
      child:stop()
    end)
  end
end)

describe("what is wrong with the options of a context", function()
  it("is raised by the call that needs them, with the name of the option", function()
    local child = caching.open()
    for option, text in pairs({
      ["timeout_ms = 'x'"] = "cache.timeout_ms: expected number, got string",
      ["max_file_size = -1"] = "cache.max_file_size: expected a whole number from 0, got -1",
    }) do
      child:lua("npc.ctx.cache = vim.deepcopy(require('nvim-project-config.config').resolve().cache)")
      child:lua("npc.ctx.cache." .. option)
      local err = child:lua(RAISED, "npc.ctx.file_cache:get('/a', print)", false)
      assert.are.equal("nvim-project-config: " .. text, err)
    end
    child:stop()
  end)
end)

describe("without the library", function()
  it("every call answers with the error that says so, once and later", function()
    local child = caching.open({ rtp = { plugin.copy(), require("tests.support").root }, setup = "{}" })
    local result = child:lua([[
      local own = require("nvim-project-config.cache.file").new({ max_bytes = 1 })
      local own_dirs = require("nvim-project-config.cache.directory").new()
      local seen = {}
      for _, form in pairs(forms) do
        for _, cache in ipairs({ files, dirs, own, own_dirs }) do
          table.insert(seen, err_of(form(cache, "get", "/a")))
        end
        for _, cache in ipairs({ files, own }) do
          table.insert(seen, err_of(form(cache, "write", "/a", { content = "" })))
        end
      end
      files:invalidate("/a")
      files:clear_all()
      own_dirs:clear_all()
      return seen
    ]])
    assert.are.equal(18, #result)
    local answers = { [false] = 0 }
    for _, err in ipairs(result) do
      assert.are.equal("library", err.code)
      assert.is_truthy(err.message:find("make build", 1, true), err.message)
      if err.result == false then
        answers[false] = answers[false] + 1
      else
        assert.is_nil(err.result)
      end
    end
    assert.are.equal(6, answers[false])
    child:stop()
  end)
end)
