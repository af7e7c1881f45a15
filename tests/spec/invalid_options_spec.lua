-- Options that do not exist or have the wrong type: an error that names the key, what is wanted, and the nearest key.
local support = require("tests.support")

-- A Lua table of options → what the message says.
local cases = {
  -- unknown, with the nearest known key
  { "{ config_dirs = 'x' }", "'config_dirs'", "'config_dir'" },
  { "{ on_loads = print }", "'on_loads'", "'on_load'" },
  { "{ loading = { once = 'startup' } }", "'loading.once'", "'loading.on'" },
  { "{ loading = { starting_dir = '/' } }", "'loading.starting_dir'", "'loading.start_dir'" },
  { "{ cache = { trust_mtimes = true } }", "'cache.trust_mtimes'", "'cache.trust_mtime'" },
  { "{ executors = { lua = { asyncs = true } } }", "'executors.lua.asyncs'", "'executors.lua.async'" },
  { "{ executors = { toml = { runs = print } } }", "'executors.toml.runs'", "'executors.toml.run'" },
  { "{ timeout_ms = 5 }", "'timeout_ms'", "'cache.timeout_ms'" },
  { "{ start_dir = '/' }", "'start_dir'", "'loading.start_dir'" },
  { "{ 'config_dir' }", "'1'" },
  -- wrong types, with the one that is wanted
  { "{ config_dir = 5 }", "config_dir", "string or function", "number" },
  { "{ pipeline = 'walk' }", "pipeline", "table", "string" },
  { "{ executors = true }", "executors", "table", "boolean" },
  { "{ executors = { lua = print } }", "executors.lua", "table", "function" },
  { "{ executors = { lua = { async = 1 } } }", "executors.lua.async", "boolean", "number" },
  { "{ executors = { toml = { run = 'x' } } }", "executors.toml.run", "function or a list of functions", "string" },
  { "{ loading = 'startup' }", "loading", "table", "string" },
  { "{ loading = { on = true } }", "loading.on", "string", "boolean" },
  { "{ loading = { start_dir = {} } }", "loading.start_dir", "string", "table" },
  { "{ cache = 1 }", "cache", "table", "number" },
  { "{ cache = { trust_mtime = 'yes' } }", "cache.trust_mtime", "boolean", "string" },
  { "{ cache = { timeout_ms = '5' } }", "cache.timeout_ms", "number", "string" },
  { "{ on_load = 'print' }", "on_load", "function", "string" },
  { "{ on_error = true }", "on_error", "function", "boolean" },
  { "{ on_clear = {} }", "on_clear", "function", "table" },
  { "'startup'", "options", "table", "string" },
  { "print", "options", "table", "function" },
  -- right types, impossible values
  { "{ loading = { on = 'sometimes' } }", "loading.on", '"startup"', '"lazy"', '"manual"', "sometimes" },
  { "{ pipeline = { walk = true } }", "pipeline", "list" },
  { "{ executors = { ['.toml'] = { run = print } } }", "executors..toml", "dot" },
  { "{ executors = { ['../x'] = { run = print } } }", "executors.../x" },
  { "{ cache = { timeout_ms = 0 } }", "cache.timeout_ms", "1" },
  { "{ cache = { timeout_ms = -5 } }", "cache.timeout_ms", "-5" },
  { "{ cache = { timeout_ms = 1.5 } }", "cache.timeout_ms", "1.5" },
  { "{ cache = { timeout_ms = 0/0 } }", "cache.timeout_ms", "nan" },
  { "{ cache = { timeout_ms = math.huge } }", "cache.timeout_ms", "inf" },
  { "{ cache = { max_file_size = -1 } }", "cache.max_file_size", "-1" },
}

---@param child test.Child
---@param call string
---@return string message of the error that the call raises
local function message_of(child, call)
  local result = child:lua(("return { pcall(function() %s end) }"):format(call))
  assert.is_false(result[1], call .. " raised no error")
  assert.are.equal("string", type(result[2]), call)
  return result[2]
end

describe("options that are wrong", function()
  -- `setup("x")` is no call of `load`, whose first argument may be a callback.
  local functions = { "setup", "load", "load_await" }

  it("raise one line that names the key and what is wanted, and change nothing", function()
    local child = support.child({ init = [[require("nvim-project-config").setup({ loading = { on = "manual" } })]] })
    for _, name in ipairs(functions) do
      for _, case in ipairs(cases) do
        if not (case[1] == "print" and name == "load") then
          local message = message_of(child, ([[require("nvim-project-config").%s(%s)]]):format(name, case[1]))
          assert.are.equal("nvim-project-config: ", message:sub(1, 21))
          assert.is_nil(message:find("\n", 1, true), message)
          for index = 2, #case do
            assert.is_truthy(message:find(case[index], 1, true), ("%s(%s): %s"):format(name, case[1], message))
          end
        end
      end
    end
    assert.are.equal("manual", child:lua([[return require("nvim-project-config").ctx.loading.on]]))
    assert.are.same({}, child:notifications())
    child:stop()
  end)

  it("are raised by the next load, when they were set on a context", function()
    local child = support.child({ init = [[require("nvim-project-config").setup({ loading = { on = "manual" } })]] })
    child:lua([[require("nvim-project-config").ctx.cache.timeout_ms = "soon"]])
    local message = message_of(child, [[require("nvim-project-config").load()]])
    assert.is_truthy(message:find("cache.timeout_ms: expected number, got string", 1, true), message)
    child:stop()
  end)

  it("do not keep a later setup from working", function()
    local child = support.child()
    message_of(child, [[require("nvim-project-config").setup({ caches = {} })]])
    child:lua([[require("nvim-project-config").setup({ loading = { on = "manual" } })]])
    child:lua([[require("nvim-project-config").load(function(ctx) _G.loaded = ctx ~= nil end)]])
    assert.is_true(child:wait("_G.loaded"))
    child:stop()
  end)

  it("make one readable message when init.lua has them", function()
    local child = support.child({ init = [[require("nvim-project-config").setup({ config_dirs = "x" })]] })
    local messages = child:messages()
    assert.is_truthy(messages:find("unknown option 'config_dirs'", 1, true), messages)
    assert.is_truthy(messages:find("'config_dir'", 1, true), messages)
    child:stop()
  end)
end)

it("a callback that is no function is an error of the caller", function()
  local child = support.child()
  local message = message_of(child, [[require("nvim-project-config").load({}, "callback")]])
  assert.is_truthy(message:find("callback: expected function, got string", 1, true), message)
  child:stop()
end)

it("right options are not refused", function()
  local child = support.child()
  child:lua([[
    require("nvim-project-config").setup({
      config_dir = function() return "/nowhere" end,
      executors = { lua = { async = true }, toml = { run = function() end } },
      loading = { on = "manual", start_dir = "/" },
      cache = { trust_mtime = false, timeout_ms = 1, max_file_size = 0 },
      on_load = print, on_error = print, on_clear = print,
    })
    require("nvim-project-config").setup()
    require("nvim-project-config").setup({})
  ]])
  child:stop()
end)

it("a config_dir function that fails or gives no string is one error of each load", function()
  local project = require("tests.support.project")
  for give, says in pairs({
    ["error('no home')"] = "no home",
    ["return 5"] = "config_dir",
    ["return nil"] = "config_dir",
  }) do
    local p = project.start({ setup = ("{ config_dir = function() %s end }"):format(give) })
    local answer = p:load()
    assert.is_false(answer.loaded)
    assert.is_truthy(answer.err.message:find(says, 1, true), answer.err.message)
    assert.are.equal(1, #p:errors())
    assert.is_truthy(p:errors()[1].message:find(says, 1, true))
    p.child:stop()
  end
end)
