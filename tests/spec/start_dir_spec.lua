-- A load that has nowhere to start from: one clear error, and the next load works.
local project = require("tests.support.project")
local support = require("tests.support")

local files = { ["proj.json"] = '{"own": true}' }

---@param p test.Project
---@param answer test.Answer
---@param path string what the message has to name
local function assert_one_error(p, answer, path)
  assert.is_false(answer.loaded)
  assert.are.equal("not_found", answer.err.code, answer.err.message)
  assert.is_truthy(answer.err.message:find(path, 1, true), answer.err.message)
  assert.is_nil(answer.err.message:find("traceback", 1, true), answer.err.message)
  assert.are.equal(1, #p:errors())
  assert.are.equal(answer.err.message, p:errors()[1].message)
  assert.are.equal(0, p.child:lua("return _G.loads"))
  -- The next load, from a directory that exists, works.
  p.child:lua("assert(vim.uv.chdir(...))", p.root)
  assert.are.same({ loaded = true }, p:load())
  assert.are.same({ own = true }, p:json())
  assert.are.equal(1, #p:errors())
end

describe("a start_dir that does not exist is one error", function()
  it("of that load", function()
    local p = project.start({ files = files })
    assert_one_error(p, p:load("{ loading = { start_dir = '/no/such/directory' } }"), "/no/such/directory")
    p.child:stop()
  end)

  it("when it is relative", function()
    local p = project.start({ files = files })
    assert_one_error(p, p:load("{ loading = { start_dir = 'missing/one' } }"), p.root .. "/missing/one")
    p.child:stop()
  end)

  it("for those who await it", function()
    local p = project.start({ files = files })
    p.child:lua([[
      coroutine.wrap(function()
        local ctx, err = require("nvim-project-config").load_await({ loading = { start_dir = "/no/such/directory" } })
        _G.yielded = { ctx == nil, err.code }
      end)()
      local ctx, err = require("nvim-project-config").load_await({ loading = { start_dir = "/nor/this" } })(8000)
      _G.waited = { ctx == nil, err.code }
    ]])
    assert.are.same({ true, "not_found" }, p.child:wait("_G.yielded"))
    assert.are.same({ true, "not_found" }, p.child:lua("return _G.waited"))
    p.child:stop()
  end)

  it("of the start-up load, told once", function()
    local child = support.child({
      init = support.room_for_messages
        .. [[require("nvim-project-config").setup({ loading = { start_dir = "/no/such/directory" } })]],
    })
    child:wait("#_G.test_notifications > 0")
    child:lua([[require("nvim-project-config").load(function(ctx, err) _G.code = err.code end)]])
    assert.are.equal("not_found", child:wait("_G.code"))
    assert.are.equal(1, #child:notifications())
    local message = child:notifications()[1].message
    assert.is_truthy(message:find("/no/such/directory", 1, true), message)
    child:stop()
  end)
end)

it("a start_dir that is a file is one error", function()
  local p = project.start({ files = files })
  support.write(p.root .. "/README", "")
  local answer = p:load(("{ loading = { start_dir = %q } }"):format(p.root .. "/README"))
  assert.is_false(answer.loaded)
  assert.are.equal("not_a_file", answer.err.code, answer.err.message)
  assert.is_truthy(answer.err.message:find(p.root .. "/README", 1, true), answer.err.message)
  assert.are.equal(1, #p:errors())
  p.child:stop()
end)

describe("a current directory that was deleted is one error", function()
  it("of the load", function()
    local p = project.start({ files = files })
    local gone = p.outside .. "/gone"
    p.child:lua("vim.fn.mkdir(...); vim.fn.chdir(...)", gone)
    assert(vim.uv.fs_rmdir(gone))
    local answer = p:load()
    assert_one_error(p, answer, "current directory")
    p.child:stop()
  end)

  it("of the start-up load, told once and without a stack trace", function()
    local child = support.child({
      init = support.room_for_messages .. [[
        local gone = vim.fn.tempname()
        vim.fn.mkdir(gone)
        vim.fn.chdir(gone)
        assert(vim.uv.fs_rmdir(gone))
        require("nvim-project-config").setup()
      ]],
    })
    child:wait("#_G.test_notifications > 0")
    assert.are.equal(1, #child:notifications())
    local message = child:notifications()[1].message
    assert.is_truthy(message:find("current directory", 1, true), message)
    assert.is_nil((child:messages() .. child:stderr()):find("traceback", 1, true))
    child:stop()
  end)

  it("does not matter to a load that is told where to start", function()
    local p = project.start({ files = files })
    local gone = p.outside .. "/gone"
    p.child:lua("vim.fn.mkdir(...); vim.fn.chdir(...)", gone)
    assert(vim.uv.fs_rmdir(gone))
    assert.are.same({ loaded = true }, p:load(("{ loading = { start_dir = %q } }"):format(p.root)))
    assert.are.same({ own = true }, p:json())
    assert.are.same({}, p:errors())
    p.child:stop()
  end)
end)
