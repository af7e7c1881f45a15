-- Every function that awaits, under every runner of coroutines that users have; and what it says where nothing can be awaited.
local runners = require("tests.support.runners")
local support = require("tests.support")
local workspace = require("tests.support.workspace")

-- Each is called twice in a row and says in one word what came of it. `file` is an absolute path of a file that holds `one`.
local FUNCTIONS = [[
  local function word(entry, err)
    if entry == nil or entry == false then return err and err.code or "nothing" end
    return entry
  end
  local function content(entry, err) return entry and entry.content or word(entry, err) end
  local function count(entry, err) return entry and #entry.entries or word(entry, err) end
  _G.functions = {
    ["load_await"] = function() local ctx, err = npc.load_await(); return ctx and ctx.json.from or word(ctx, err) end,
    ["file_cache:get"] = function() return content(npc.ctx.file_cache:get(file)) end,
    ["file_cache:get_async"] = function() return content(npc.ctx.file_cache:get_async(file)) end,
    ["file_cache:get of nothing"] = function() return content(npc.ctx.file_cache:get(file .. ".none")) end,
    ["file_cache:write"] = function() return word(npc.ctx.file_cache:write(work .. "/written", { content = "two" })) end,
    ["file_cache:write_async"] = function() return word(npc.ctx.file_cache:write_async(work .. "/written", { content = "three" })) end,
    ["file_cache:write of nothing"] = function() return word(npc.ctx.file_cache:write(work .. "/written", {})) end,
    ["dir_cache:get"] = function() return count(npc.ctx.dir_cache:get(entries)) end,
    ["dir_cache:get_async"] = function() return count(npc.ctx.dir_cache:get_async(entries)) end,
    ["pipeline.run"] = function()
      local ctx, err = require("nvim-project-config.pipeline").run(npc.ctx, npc.ctx.pipeline, work .. "/alpha")
      return ctx and ctx.json.from or word(ctx, err)
    end,
    ["a wait that load_await has returned"] = function() return started_wait().json.from end,
  }
]]
local EXPECTED = {
  ["load_await"] = "alpha",
  ["file_cache:get"] = "one",
  ["file_cache:get_async"] = "one",
  ["file_cache:get of nothing"] = "not_found",
  ["file_cache:write"] = true,
  ["file_cache:write_async"] = true,
  ["file_cache:write of nothing"] = "invalid_argument",
  ["dir_cache:get"] = 2,
  ["dir_cache:get_async"] = 2,
  ["pipeline.run"] = "alpha",
  ["a wait that load_await has returned"] = "alpha",
}

---@return test.Child, test.Workspace
local function open()
  local w = workspace.new({
    config = { ["alpha.json"] = '{"from": "alpha"}' },
    work = { ["alpha/.git"] = true, ["beta/.git"] = true, ["file.txt"] = "one", ["entries"] = { a = "", b = "" } },
  })
  local child = w:open("alpha", {
    before = runners.lua() .. "\n_G.file, _G.entries = work .. '/file.txt', work .. '/entries'",
    after = FUNCTIONS,
  })
  return child, w
end

describe("an awaiting function", function()
  it("answers under every runner, once and again", function()
    local child = open()
    local names = runners.names(child)
    for _, name in ipairs(runners.always) do
      assert.is_true(vim.tbl_contains(names, name), name)
    end
    for _, runner in ipairs(names) do
      for what, expected in pairs(EXPECTED) do
        local result = child:lua(
          [[
            local runner, what = ...
            local first, second, same, outcome, ends = nil, nil, nil, nil, 0
            if what:find("a wait", 1, true) then _G.started_wait = npc.load_await() end
            runners[runner](function()
              local co = coroutine.running()
              first = functions[what]()
              second = functions[what]()
              same = coroutine.running() == co
              return "end"
            end, function(...) ends, outcome = ends + 1, { ... } end)
            local ended_at_once = ends > 0
            settle(function() return ends > 0 end)
            return {
              first = tostring(first), second = tostring(second), same = same, ends = ends, at_once = ended_at_once,
              outcome = vim.inspect(outcome),
            }
          ]],
          runner,
          what
        )
        assert.are.same({
          first = tostring(expected),
          second = tostring(expected),
          same = true,
          ends = 1,
          -- What is wrong with the arguments needs no disk; whether that is said now or later is not promised.
          at_once = expected == "invalid_argument" and result.at_once or false,
          outcome = '{ true, "end" }',
        }, result, ("%s under %s"):format(what, runner))
      end
    end
    child:stop()
  end)

  it("hands what the task throws to its runner", function()
    local child = open()
    for _, runner in ipairs(runners.names(child)) do
      local ok, message = unpack(child:lua(
        [[
          local outcome
          runners[...](function()
            functions["file_cache:get"]()
            error("a mistake of the task's")
          end, function(ok, err) outcome = { ok, tostring(err) } end)
          assert(settle(function() return outcome end))
          return outcome
        ]],
        runner
      ))
      assert.is_false(ok, runner)
      assert.is_truthy(message:find("a mistake of the task's", 1, true), runner .. ": " .. message)
      assert.are.same({}, child:lua("return errors"), runner)
    end
    child:stop()
  end)

  it("reports what a bare coroutine throws after it, and the others go on", function()
    local child = open()
    local result = child:lua([[
      local answered = 0
      for index = 1, 3 do
        coroutine.wrap(function()
          npc.ctx.file_cache:get(file)
          if index == 1 then error("a mistake in a bare coroutine") end
          answered = answered + 1
        end)()
      end
      assert(settle(function() return answered == 2 and #errors > 0 end))
      return errors
    ]])
    assert.are.equal(1, #result)
    assert.is_truthy(result[1].message:find("a mistake in a bare coroutine", 1, true), result[1].message)
    child:stop()
  end)

  it("may be called thousands of times in one task, whose stack does not grow", function()
    local child = open()
    for _, runner in ipairs(runners.names(child)) do
      child:lua(
        [[
          _G.outcome = nil
          runners[...](function()
            for index = 1, 2000 do
              local entry, err = npc.ctx.file_cache:get(file)
              if not entry then error(index .. ": " .. tostring(err)) end
            end
            return "end"
          end, function(...) _G.outcome = { ... } end)
        ]],
        runner
      )
      -- Each of them waits for a thread, which may have to wait for a processor.
      assert.are.same({ true, "end" }, child:wait("outcome", 60000), runner)
    end
    child:stop()
  end)

  it("answers each of many tasks of different runners that wait for the same", function()
    local child = open()
    local names = runners.names(child)
    local result = child:lua(
      [[
        local ended = {}
        for _ = 1, 20 do
          for _, runner in ipairs(...) do
            runners[runner](function()
              local entry = npc.ctx.file_cache:get(file)
              local dir = npc.ctx.dir_cache:get(entries)
              return entry.content .. #dir.entries
            end, function(ok, value) table.insert(ended, tostring(ok and value or runner .. ": " .. tostring(value))) end)
          end
        end
        local total = 20 * #(...)
        settle(function() return #ended == total end)
        return ended
      ]],
      names
    )
    assert.are.same(vim.split(("one2 "):rep(20 * #names), " ", { trimempty = true }), result)
    child:stop()
  end)

  it("goes on in the main loop, where every function may be called", function()
    local child = open()
    for _, runner in ipairs(runners.names(child)) do
      local result = child:lua(
        [[
          local outcome
          runners[...](function()
            npc.ctx.file_cache:get(file)
            return vim.in_fast_event(), vim.fn.bufnr() > 0
          end, function(...) outcome = { ... } end)
          assert(settle(function() return outcome end))
          return outcome
        ]],
        runner
      )
      assert.are.same({ true, false, true }, result, runner)
    end
    child:stop()
  end)

  it("works in a task of one library that another one's task waits for", function()
    local child = open()
    local names = runners.names(child)
    for _, outer in ipairs(names) do
      for _, inner in ipairs(names) do
        local result = child:lua(
          [[
            local outer, inner = ...
            local outcome, inner_outcome
            runners[outer](function()
              local before = npc.ctx.file_cache:get(file)
              runners[inner](function()
                return npc.ctx.file_cache:get(file).content
              end, function(...) inner_outcome = { ... } end)
              local after = npc.ctx.file_cache:get(file)
              return before.content .. after.content
            end, function(...) outcome = { ... } end)
            settle(function() return outcome and inner_outcome end)
            return { outcome or "waits", inner_outcome or "waits" }
          ]],
          outer,
          inner
        )
        assert.are.same({ { true, "oneone" }, { true, "one" } }, result, inner .. " in " .. outer)
      end
    end
    child:stop()
  end)
end)

-- What to call, and the callback form that the error has to name.
local COROUTINE_FORMS = {
  ["file_cache:get(path)"] = { "npc.ctx.file_cache:get(file)", "file_cache:get(path, callback)" },
  ["file_cache:get_async(path)"] = { "npc.ctx.file_cache:get_async(file)", "file_cache:get(path, callback)" },
  ["file_cache:write(path, data)"] = {
    "npc.ctx.file_cache:write(file, { content = 'x' })",
    "file_cache:write(path, data, callback)",
  },
  ["file_cache:write_async(path, data)"] = {
    "npc.ctx.file_cache:write_async(file, { content = 'x' })",
    "file_cache:write(path, data, callback)",
  },
  ["dir_cache:get(path)"] = { "npc.ctx.dir_cache:get(entries)", "dir_cache:get(path, callback)" },
  ["dir_cache:get_async(path)"] = { "npc.ctx.dir_cache:get_async(entries)", "dir_cache:get(path, callback)" },
}

-- How code comes to run where nothing can be awaited: `fn` is called there.
local NOWHERE = {
  ["outside of any coroutine"] = "fn()",
  ["in a scheduled function"] = "local done; vim.schedule(function() fn(); done = true end); settle(function() return done end)",
  ["in a fast event"] = [[
    local done
    local timer = vim.uv.new_timer()
    timer:start(1, 0, function() timer:close(); fn(); done = true end)
    settle(function() return done end)
  ]],
  ["below C in a coroutine"] = "coroutine.wrap(function() table.sort({ 2, 1 }, function(a, b) fn(); return a < b end) end)()",
  ["in an autocommand that a coroutine fires"] = [[
    vim.api.nvim_create_autocmd("User", { pattern = "Nowhere", once = true, callback = function() fn() end })
    coroutine.wrap(function() vim.api.nvim_exec_autocmds("User", { pattern = "Nowhere" }) end)()
  ]],
}

describe("a coroutine form where nothing can be awaited", function()
  it("raises an error that names the callback form, and does nothing", function()
    local child = open()
    for where, enter in pairs(NOWHERE) do
      for what, form in pairs(COROUTINE_FORMS) do
        local ok, message = unpack(child:lua(([[
            local outcome
            local function fn() outcome = outcome or { pcall(function() return %s end) } end
            %s
            return { outcome[1], tostring(outcome[2]) }
          ]]):format(form[1], enter)))
        assert.is_false(ok, what .. " " .. where)
        local name = what:match("^[^(]+")
        local expected = ("nvim-project-config: %s: not in a coroutine; use %s"):format(name, form[2])
        assert.is_truthy(
          message:find(expected, 1, true),
          ("%s %s:\n%s\ninstead of\n%s"):format(what, where, message, expected)
        )
      end
    end
    child:lua("idle()")
    assert.are.equal("one", support.read(child:lua("return file")))
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it("blames the line that called", function()
    local child = open()
    for what, form in pairs(COROUTINE_FORMS) do
      local message = child:lua(([[
        local chunk = assert(loadstring("local x = 1\nlocal entry = %s\nreturn entry", "@caller.lua"))
        local _, message = pcall(chunk)
        return message
      ]]):format(form[1]))
      assert.is_truthy(message:find("^caller.lua:2: "), what .. ": " .. message)
    end
    child:stop()
  end)

  it("is no error for pipeline.run, which then only starts the load", function()
    local child = open()
    local result = child:lua([[
      local returned = select("#", require("nvim-project-config.pipeline").run(npc.ctx, npc.ctx.pipeline, work .. "/beta"))
      return { returned, settle(function() return npc.ctx.project_name == "beta" end) }
    ]])
    assert.are.same({ 0, true }, result)
    child:stop()
  end)

  it("is no error for load_await, which returns a function that waits", function()
    local child = open()
    assert.are.equal("alpha", child:lua("return npc.load_await()(8000).json.from"))
    child:stop()
  end)
end)
