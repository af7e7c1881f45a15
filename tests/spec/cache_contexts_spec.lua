-- Both caches, from everywhere: all that they have to do (tests/support/exercise.lua), in each form, in each place where a user's
-- code may run, before, during and after a load. What is still waiting after 8 s fails with what it waits for.
local exercise = require("tests.support.exercise")
local runners = require("tests.support.runners")
local workspace = require("tests.support.workspace")

local COROUTINE_FORMS = { "await", "async" }
local ALL_FORMS = { "await", "async", "callback" }

---@param config test.Tree
---@param opts? test.OpenOptions
---@return test.Child
local function open(config, opts)
  opts = opts or {}
  local before = { runners.lua(), exercise.lua, opts.before or "" }
  opts = vim.tbl_extend("force", opts, { before = table.concat(before, "\n") })
  return workspace.new({ config = config }):open("alpha", opts)
end

--- Where another exercise clears the same caches meanwhile, an entry may be made anew between two reads.
---@param lines string[]
---@return string[]
local function without_identity(lines)
  return vim.tbl_map(function(line)
    return (line:gsub("the same", "another"))
  end, lines)
end

--- Waits for the outcome of an exercise that has been begun, and compares.
---@param child test.Child
---@param name string
---@param is_not_alone? boolean whether others use the same caches meanwhile
local function assert_outcome(child, name, is_not_alone)
  local expected, outcome = exercise.expected, child:lua("return outcome_of(...)", name)
  if is_not_alone then
    expected, outcome = without_identity(expected), without_identity(outcome)
  end
  if not vim.deep_equal(expected, outcome) then
    name = ("%s; reported: %s"):format(name, vim.inspect(child:lua("return errors")))
  end
  assert.are.same(expected, outcome, name)
end

--- Nothing else has gone wrong, and the editor leaves.
---@param child test.Child
local function finish(child)
  assert.are.same({}, child:lua("return errors"))
  child:stop()
end

-- Where code runs that no load has to do with: Lua in which `go` is called.
local PLACES = {
  ["a chunk of Lua"] = "go()",
  ["a scheduled function"] = "vim.schedule(function() go() end)",
  ["a timer's scheduled callback"] = [[
    local timer = vim.uv.new_timer()
    timer:start(1, 0, vim.schedule_wrap(function() timer:close(); go() end))
  ]],
  ["an autocommand"] = [[
    vim.api.nvim_create_autocmd("User", { pattern = "Exercise", once = true, callback = function() go() end })
    vim.cmd("doautocmd User Exercise")
  ]],
  ["a user command"] = [[
    vim.api.nvim_create_user_command("Exercise", function() go() end, {})
    vim.cmd("Exercise")
  ]],
  ["a coroutine's callback form"] = "coroutine.wrap(function() go() end)()",
}

-- Each call of the callback form from such a place anew, not only the first one.
local EVERY_CALL_FROM = {
  ["a fast event"] = [[function(call)
    local timer = vim.uv.new_timer()
    timer:start(0, 0, function() timer:close(); assert(vim.in_fast_event()); call() end)
  end]],
  ["a fast event of the file system"] = [[function(call)
    vim.uv.fs_stat(work, function() assert(vim.in_fast_event()); call() end)
  end]],
  ["a timer"] = "function(call) vim.defer_fn(call, 0) end",
  ["a coroutine of its own"] = "function(call) coroutine.wrap(call)() end",
}

local CACHES = {
  ["the context's caches"] = "nil",
  ["caches of one's own"] = [[(function()
    local file = require("nvim-project-config.cache.file").new()
    local directory = require("nvim-project-config.cache.directory").new()
    return function() return { file = file, directory = directory } end
  end)()]],
  ["caches that trust no times"] = [[(function()
    local file = require("nvim-project-config.cache.file").new({ trust_mtime = false })
    local directory = require("nvim-project-config.cache.directory").new({ trust_mtime = false })
    return function() return { file = file, directory = directory } end
  end)()]],
}

--- Everything that does not need a load, in the state in which the editor is.
---@param child test.Child
---@param state string
local function exercise_everywhere(child, state)
  local names = {}
  local function begin(name, code)
    name = state .. ": " .. name
    table.insert(names, name)
    child:lua("local name = ...\n" .. code, name)
  end
  for _, runner in ipairs(runners.names(child)) do
    for _, form in ipairs(COROUTINE_FORMS) do
      begin(
        ("%s, %s"):format(runner, form),
        ([[
          runners[%q](function() exercise(name, %q) end, function(ok, err)
            if not ok then outcomes[name] = { tostring(err) } end
          end)
        ]]):format(runner, form)
      )
      assert_outcome(child, names[#names])
    end
  end
  for place, code in pairs(PLACES) do
    begin(place, "local function go() exercise(name, 'callback') end\n" .. code)
    assert_outcome(child, names[#names])
  end
  for place, from in pairs(EVERY_CALL_FROM) do
    begin("each call from " .. place, ("exercise(name, 'callback', { from = %s })"):format(from))
    assert_outcome(child, names[#names])
  end
end

describe("the caches", function()
  it("work in every runner and from every event, before, during and after a load", function()
    local child = open({
      ["alpha.lua"] = "_G.held = coroutine.running(); coroutine.yield()",
      ["alpha.json"] = "{}",
    })
    exercise_everywhere(child, "before any load")

    child:lua("npc.load(function(ctx) _G.answered = ctx ~= nil end)")
    child:wait("_G.held ~= nil")
    exercise_everywhere(child, "during a load")
    assert.is_nil(child:lua("return _G.answered"))

    child:lua("assert(coroutine.resume(_G.held))")
    child:wait("_G.answered")
    exercise_everywhere(child, "after a load")

    child:lua("npc.clear()")
    exercise_everywhere(child, "after clear()")
    finish(child)
  end)

  it("work before setup()", function()
    local child = open({}, { without_setup = true })
    exercise_everywhere(child, "before setup()")
    child:stop()
  end)

  for caches, code in pairs(CACHES) do
    it("work side by side, many tasks and callbacks at once: " .. caches, function()
      local child = open({})
      local count = child:lua(([[
        local options = { caches = %s }
        local count = 0
        for round = 1, 5 do
          for runner, run in pairs(runners) do
            count = count + 1
            run(function() exercise("task " .. count, "await", options) end, function() end)
          end
          for _ = 1, 5 do
            count = count + 1
            exercise("callback " .. count, "callback", options)
          end
        end
        settle(function() return vim.tbl_count(outcomes) == count end)
        return count
      ]]):format(code))
      local outcomes, doing = unpack(child:lua("return { outcomes, doing }"))
      assert.are.same({}, doing)
      assert.are.equal(count, vim.tbl_count(outcomes))
      for name, outcome in pairs(outcomes) do
        assert.are.same(without_identity(exercise.expected), without_identity(outcome), name)
      end
      finish(child)
    end)
  end

  it("work for a context of one's own", function()
    local child = open({})
    for _, form in ipairs(ALL_FORMS) do
      child:lua(
        [[
          local name, form = ...
          local ctx = npc.new({ config_dir = config_dir, loading = { on = "manual" } })
          local caches = function() return { file = ctx.file_cache, directory = ctx.dir_cache } end
          coroutine.wrap(function() exercise(name, form, { caches = caches }) end)()
        ]],
        form,
        form
      )
      assert_outcome(child, form)
    end
    finish(child)
  end)
end)

-- Where a load runs the user's code: options of `setup` and files of the project `alpha`. `EXERCISE` stands for the call.
local IN_A_LOAD = {
  ["a Lua file"] = { files = { ["alpha.lua"] = "EXERCISE" } },
  ["a Lua file, async"] = {
    files = { ["alpha.lua"] = "EXERCISE" },
    setup = "{ executors = { lua = { async = true } } }",
  },
  ["the second of two Lua files, async"] = {
    files = { ["alpha.lua"] = "_G.first = true", ["alpha/more.lua"] = "EXERCISE" },
    setup = "{ executors = { lua = { async = true } } }",
  },
  ["a Vim file"] = { files = { ["alpha.vim"] = "lua EXERCISE" }, forms = { "callback" } },
  ["on_load"] = { setup = "{ on_load = function() EXERCISE end }" },
  ["on_error"] = {
    files = { ["alpha.json"] = "{" },
    setup = "{ on_error = function() EXERCISE end }",
    forms = { "callback" },
  },
  ["the callback of load"] = { load = "npc.load(function() EXERCISE end)" },
  ["what follows load_await"] = { load = "coroutine.wrap(function() npc.load_await(); EXERCISE end)()" },
  ["what follows a wait"] = {
    load = "local wait = npc.load_await(); coroutine.wrap(function() wait(); EXERCISE end)()",
  },
  ["a Lua stage"] = {
    setup = "{ pipeline = { walk(), detect(), function(ctx, rx, tx) EXERCISE; pass_on(rx, tx) end, find_files(), execute() } }",
  },
  ["a Lua stage, with each item"] = {
    setup = [[{ pipeline = { walk(), function(ctx, rx, tx)
      local is_first = true
      while true do
        local item = rx()
        if item == DONE then return end
        if is_first then is_first = false; EXERCISE end
        tx(item)
      end
    end, detect(), find_files(), execute() } }]],
  },
  ["the first stage"] = {
    setup = "{ pipeline = { function(ctx, rx, tx) EXERCISE; pass_on(rx, tx) end, walk(), detect(), find_files(), execute() } }",
  },
  ["a stage after execute"] = {
    setup = "{ pipeline = { walk(), detect(), find_files(), execute(), function(ctx, rx, tx) EXERCISE; pass_on(rx, tx) end } }",
  },
  ["two Lua stages in a row"] = {
    setup = [[{ pipeline = { walk(), detect(), function(ctx, rx, tx) pass_on(rx, tx) end,
      function(ctx, rx, tx) EXERCISE; pass_on(rx, tx) end, find_files(), execute() } }]],
  },
  ["on_match"] = {
    setup = [[{ pipeline = { walk(), detect({ matcher = ".git", on_match = function() EXERCISE end }), find_files(), execute() } }]],
  },
  ["on_match with the default rules"] = {
    setup = "{ pipeline = { walk(), detect({ on_match = function() EXERCISE end }), find_files(), execute() } }",
  },
  ["a matcher of detect"] = {
    setup = [[{ pipeline = { walk(), detect({ matcher = function(dir)
      once(function() EXERCISE end)
      return vim.uv.fs_stat(dir .. "/.git") ~= nil
    end }), find_files(), execute() } }]],
  },
  ["a matcher of walk"] = {
    setup = [[{ pipeline = { walk({ matcher = function() once(function() EXERCISE end); return true end }),
      detect(), find_files(), execute() } }]],
  },
  ["a matcher of find_files"] = {
    files = { ["alpha/a.lua"] = "" },
    setup = [[{ pipeline = { walk(), detect(), find_files({ matcher = function()
      once(function() EXERCISE end)
      return true
    end }), execute() } }]],
  },
  ["a matcher of the router"] = {
    files = { ["alpha/a.lua"] = "" },
    setup = [[{ pipeline = { walk(), detect(), find_files(), execute({ router = {
      { function() once(function() EXERCISE end); return false end, function() end },
    } }) } }]],
  },
  ["a matcher within all, any and not_"] = {
    setup = [[{ pipeline = { walk(), detect({ matcher = m.all(m.not_("none"), m.any("never", m.fn(function(dir)
      once(function() EXERCISE end)
      return vim.uv.fs_stat(dir .. "/.git") ~= nil
    end))) }), find_files(), execute() } }]],
  },
  ["a finder"] = {
    files = { ["alpha.lua"] = "" },
    setup = [[{ pipeline = { walk(), detect(), find_files({ finder = function()
      EXERCISE
      return { config_dir .. "/alpha.lua" }
    end }), execute() } }]],
  },
  ["an executor of the router"] = {
    files = { ["alpha.lua"] = "" },
    setup = "{ pipeline = { walk(), detect(), find_files(), execute({ router = { lua = function() EXERCISE end } }) } }",
  },
  ["the second executor of a list"] = {
    files = { ["alpha.toml"] = "" },
    setup = "{ executors = { toml = { run = { function() end, function() EXERCISE end } } } }",
  },
}
-- Executors of each kind, one after the other and side by side.
for _, kind in ipairs({ "lua", "vim", "json", "toml" }) do
  for _, async in ipairs({ "false", "true" }) do
    IN_A_LOAD[("an executor for %s, async = %s"):format(kind, async)] = {
      files = { ["alpha." .. kind] = "" },
      setup = ("{ executors = { %s = { async = %s, run = function() EXERCISE end } } }"):format(kind, async),
    }
    -- Two files, and what they wait for is there before the other's.
    IN_A_LOAD[("two executions for %s, async = %s"):format(kind, async)] = {
      files = { ["alpha." .. kind] = "", ["alpha/more." .. kind] = "" },
      setup = ([[{ executors = { %s = { async = %s, run = function(ctx, path)
        if not path:find("more", 1, true) then
          EXERCISE
        else
          local entry = ctx.file_cache:get(path)
          _G.second = entry and entry.path == path
        end
      end } } }]]):format(kind, async),
      after = "assert(_G.second == true, 'the second file was not read')",
    }
  end
end

local BEFORE = [[
  _G.walk = require("nvim-project-config.stages.walk")
  _G.detect = require("nvim-project-config.stages.detect")
  _G.find_files = require("nvim-project-config.stages.find_files")
  _G.execute = require("nvim-project-config.stages.execute")
  _G.m = require("nvim-project-config.matchers")
  _G.DONE = require("nvim-project-config.pipeline").DONE
  function _G.pass_on(rx, tx)
    for item in rx do
      if item == DONE then return end
      tx(item)
    end
  end
  local has_run = false
  function _G.once(fn)
    if not has_run then has_run = true; fn() end
  end
]]

describe("the caches in a load", function()
  local places = vim.tbl_keys(IN_A_LOAD)
  table.sort(places)
  for _, place in ipairs(places) do
    it("work from " .. place, function()
      local given = IN_A_LOAD[place]
      for _, form in ipairs(given.forms or ALL_FORMS) do
        local name = place .. ", " .. form
        local call = ("exercise(%q, %q)"):format(name, form)
        local function with_call(text)
          return (text:gsub("EXERCISE", (call:gsub("%%", "%%%%"))))
        end
        local child = open(vim.tbl_map(with_call, given.files or { ["alpha.json"] = "{}" }), {
          before = BEFORE,
          setup = with_call(given.setup or "{}"),
        })
        child:lua(
          with_call(given.load or "npc.load()") .. "\nnpc.load(at('alpha'), function(ctx) _G.answered = ctx ~= nil end)"
        )
        assert_outcome(child, name)
        child:wait("_G.answered")
        child:lua(given.after or "")
        if place ~= "on_error" then
          assert.are.same({}, child:lua("return errors"), name)
        end
        child:stop()
      end
    end)
  end
end)

describe("the caches in a load that another one has started", function()
  -- `alpha` has been loaded; its on_load loads `beta`, whose files need the caches, and waits for it or does not.
  local STARTS = {
    ["that on_load does not wait for"] = "npc.load(at('beta'))",
    ["that on_load awaits"] = "_G.inner = npc.load_await(at('beta'))",
    ["that on_load awaits with a callback"] = "npc.load(at('beta'), function(ctx) _G.inner = ctx end)",
    ["that on_load runs as a pipeline"] = [[
      _G.inner = require("nvim-project-config.pipeline").run(ctx, ctx.pipeline, work .. "/beta")
    ]],
  }
  local WITHIN = {
    ["a Lua file"] = { files = { ["beta.lua"] = "EXERCISE" } },
    ["an executor"] = {
      files = { ["beta.toml"] = "" },
      setup = "executors = { toml = { run = function() EXERCISE end } },",
    },
    ["an async executor"] = {
      files = { ["beta.toml"] = "" },
      setup = "executors = { toml = { async = true, run = function() EXERCISE end } },",
    },
    ["its own on_load"] = { files = {}, inner_on_load = "EXERCISE" },
  }
  for start, code in pairs(STARTS) do
    for place, given in pairs(WITHIN) do
      it(("work from %s, %s"):format(place, start), function()
        for _, form in ipairs(COROUTINE_FORMS) do
          local call = ("exercise('inner', %q)"):format(form)
          local function with_call(text)
            return (text:gsub("EXERCISE", call))
          end
          local files = vim.tbl_map(with_call, given.files)
          files["alpha.json"] = "{}"
          local child = open(files, {
            before = BEFORE,
            setup = with_call(([[{ %s on_load = function(ctx)
              table.insert(events, ctx.project_name)
              if ctx.project_name == "alpha" then
                %s
                exercise("outer", %q)
              else
                %s
              end
            end }]]):format(given.setup or "", code, form, given.inner_on_load or "")),
          })
          child:lua("npc.load(at('alpha'))")
          assert_outcome(child, "inner", true)
          assert_outcome(child, "outer", true)
          child:wait("#events == 2")
          assert.are.same({ "alpha", "beta" }, child:lua("return events"))
          finish(child)
        end
      end)
    end
  end
end)
