-- What a project is called: its directory, its remote, what a function says, or the name that the user gives a directory.
local support = require("tests.support")
local workspace = require("tests.support.workspace")

--- Runs git in a directory, without any configuration but the repository's own.
---@param dir string
---@param ... string
local function git(dir, ...)
  local env = { GIT_CONFIG_GLOBAL = "/dev/null", GIT_CONFIG_NOSYSTEM = "1", HOME = dir }
  local author = { "-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main" }
  local command = vim.list_extend({ "git", "-C", dir, unpack(author) }, { ... })
  local result = vim.system(command, { env = env, text = true }):wait()
  assert(result.code == 0, result.stderr)
end

--- What a load from a directory finds: the name, or the error's message.
---@param child test.Child
---@param dir string below `work`
---@param options? string a Lua table: more options of the load
---@return string
local function name_at(child, dir, options)
  return child:lua(
    ([[
      local dir = ...
      local what = vim.tbl_extend("force", at(dir), %s)
      local ctx, err = load_now(what)
      return ctx and ctx.project_name or tostring(err)
    ]]):format(options or "{}"),
    dir
  )
end

---@param child test.Child
---@return string[]
local function messages(child)
  return child:lua("return vim.tbl_map(function(err) return err.message end, errors)")
end

describe("project_name as a function", function()
  local work = { ["app/.git"] = true, ["app/web/package.json"] = "{}", ["app/web/src"] = true, plain = true }
  local config = {
    ["called-app.json"] = '{"at": "called"}',
    ["called-app/web.json"] = '{"web": true}',
    ["app.json"] = '{"at": "directory"}',
  }

  it("names the outermost project; packages nest below it", function()
    local child = workspace.new({ work = work, config = config }):open("app", {
      setup = [[{ project_name = function(root, dir)
        note({ root:sub(#work + 2), dir:sub(#work + 2) })
        return "called-" .. vim.fs.basename(root)
      end }]],
    })
    assert.are.equal("called-app", name_at(child, "app"))
    assert.are.same({ at = "called" }, child:lua("return npc.ctx.json"))
    assert.are.equal("called-app/web", name_at(child, "app/web/src"))
    assert.are.same({ at = "called", web = true }, child:lua("return npc.ctx.json"))
    assert.are.equal("called-plain", name_at(child, "plain"))
    -- Once a load.
    assert.are.same({ { "app", "app" }, { "app", "app/web/src" }, { "plain", "plain" } }, child:lua("return events"))
    assert.are.same({}, messages(child))
    child:stop()
  end)

  it("may await, and may leave it to the directory", function()
    local child = workspace.new({ work = work }):open("app", {
      setup = [[{ project_name = function()
        local co = coroutine.running()
        vim.defer_fn(function() coroutine.resume(co) end, 1)
        coroutine.yield()
        local entry = npc.ctx.file_cache:get(work .. "/app/web/package.json")
        return _G.answer and entry.content == "{}" and _G.answer or nil
      end }]],
    })
    assert.are.equal("app", name_at(child, "app"))
    child:lua("_G.answer = 'group/one'")
    assert.are.equal("group/one", name_at(child, "app"))
    assert.are.same({}, messages(child))
    child:stop()
  end)

  it("that fails or returns no name is told once, and the directory counts", function()
    local child = workspace.new({ work = work }):open("app")
    for code, message in pairs({
      ["error('boom')"] = "project_name: .*boom",
      ["return 5"] = "project_name: expected a name or nil, got number",
      ["return {}"] = "project_name: expected a name or nil, got table",
      ["return ''"] = "project_name: expected a name or nil, got an empty string",
      ["return 'a//b'"] = "project_name: .*is empty",
      ["return '/abs'"] = "project_name: .*is empty",
      ["return 'a\\0b'"] = "project_name: .*NUL",
    }) do
      child:lua("for index in pairs(errors) do errors[index] = nil end")
      assert.are.equal(
        "app/web",
        name_at(child, "app/web", ("{ project_name = function() %s end }"):format(code)),
        code
      )
      local told = messages(child)
      assert.are.equal(1, #told, code .. vim.inspect(told))
      assert.is_truthy(told[1]:find(message), told[1])
    end
    child:stop()
  end)

  it("that fails is told once while one goes about, and again when a load is asked for", function()
    local following = require("tests.support.following")
    local before = "options.project_name = function() error('boom') end"
    local child = following.open(following.workspace(), "alpha", { buffer = true, before = before })
    following.after(child, "vim.cmd.edit(file('alpha'))", "alpha")
    following.after(child, "vim.cmd.write() calm() vim.cmd.write()")
    following.after(child, "vim.cmd.edit(file('beta'))", "beta")
    assert.are.equal(1, #messages(child), vim.inspect(messages(child)))
    child:lua("load_now()")
    assert.are.equal(2, #messages(child), vim.inspect(messages(child)))
    child:stop()
  end)

  it("cannot reach out of config_dir", function()
    local w = workspace.new({ work = work })
    support.write(w.dir .. "/evil.lua", "vim.g.canary = 1")
    local child = w:open("app")
    for _, name in ipairs({ "../evil", "..", ".", "a/../../evil", "~/x", "$HOME" }) do
      local options = ("{ project_name = function() return %q end }"):format(name)
      assert.are.equal(name, name_at(child, "app", options))
    end
    assert.are.same({}, messages(child))
    assert.is_nil(child:lua("return vim.g.canary"))
    child:stop()
  end)

  it("is asked before on_match, and what that sets counts", function()
    local child = workspace.new({ work = work }):open("app")
    local name = name_at(
      child,
      "app/web",
      [[{
        project_name = function() return "by-function" end,
        pipeline = {
          require("nvim-project-config.stages.walk")({ direction = "up" }),
          require("nvim-project-config.stages.detect")({ matcher = ".git", on_match = function(ctx)
            note(ctx.project_name)
            ctx.project_name = ctx.project_name .. "/more"
          end }),
        },
      }]]
    )
    assert.are.equal("by-function/more", name)
    assert.are.same({ "by-function" }, child:lua("return events"))
    child:stop()
  end)
end)

describe('project_name = "remote"', function()
  it("is the path of the repository's remote", function()
    local w = workspace.new({ work = { ["sub/package.json"] = "{}" } })
    local child = w:open("sub", { setup = '{ project_name = "remote" }' })
    for index, case in ipairs({
      { "git@example.org:owner/repo.git", "owner/repo" },
      { "https://user:token@example.org:8443/group/sub/repo.git/", "group/sub/repo" },
      { "ssh://git@example.org:2222/owner/repo", "owner/repo" },
      { "git://example.org/owner/re.po.git", "owner/re.po" },
      { "/srv/git/repo.git", nil },
      { "../elsewhere", nil },
      { "file:///srv/git/repo.git", nil },
      { "https://example.org", nil },
      { "", nil },
    }) do
      local dir = "repo" .. index
      support.tree({ [dir] = true }, w.work)
      git(w.work .. "/" .. dir, "init", "--quiet")
      git(w.work .. "/" .. dir, "config", "remote.origin.url", case[1])
      assert.are.equal(case[2] or dir, name_at(child, dir), case[1])
    end
    assert.are.same({}, messages(child))
    child:stop()
  end)

  it("is that of worktrees and of packages, too, and else the directory", function()
    local w = workspace.new({
      work = { ["main/web/package.json"] = "{}", ["none/.git"] = true, ["manifest/package.json"] = "{}" },
      config = { ["owner/repo.json"] = '{"repo": true}', ["owner/repo/web.json"] = '{"web": true}' },
    })
    local main = w.work .. "/main"
    git(main, "init", "--quiet")
    git(main, "add", ".")
    git(main, "commit", "--quiet", "--message", "x")
    git(main, "worktree", "add", "--quiet", "../linked")
    git(main, "clone", "--quiet", "--bare", ".", "../bare.git")
    git(w.work .. "/bare.git", "worktree", "add", "--quiet", "../of-bare")
    local child = w:open("main", { setup = '{ project_name = "remote" }' })
    -- The main checkout's directory, while there is no remote; a bare clone has a local one.
    assert.are.equal("main", name_at(child, "linked"))
    assert.are.equal("bare", name_at(child, "of-bare"))
    git(main, "remote", "add", "upstream", "https://example.org/owner/repo")
    git(w.work .. "/bare.git", "config", "remote.origin.url", "git@example.org:owner/bare.git")
    for _, dir in ipairs({ "main", "linked" }) do
      assert.are.equal("owner/repo", name_at(child, dir))
      assert.are.equal("owner/repo/web", name_at(child, dir .. "/web"))
      assert.are.same({ repo = true, web = true }, child:lua("return npc.ctx.json"))
    end
    assert.are.equal("owner/bare", name_at(child, "of-bare"))
    assert.are.equal("none", name_at(child, "none"))
    assert.are.equal("manifest", name_at(child, "manifest"))
    -- With the user's code in the pipeline it is the same.
    assert.are.equal("owner/repo/web", name_at(child, "linked/web", "{ exclude = function() return false end }"))
    assert.are.same({}, messages(child))
    child:stop()
  end)
end)

describe("names", function()
  it("keep two directories of one name apart, at any level", function()
    local w = workspace.new({
      work = {
        ["home/api/.git"] = true,
        ["job/api/.git"] = true,
        ["job/api/web/package.json"] = "{}",
        ["job/api/web/inner/package.json"] = "{}",
        ["by-link"] = { link = "job/api" },
        ["notes/x"] = true,
      },
      config = {
        ["api.json"] = '{"of": "api"}',
        ["work-api.json"] = '{"of": "work-api"}',
        ["site/web.json"] = '{"of": "site"}',
        ["site/web/inner.json"] = '{"inner": true}',
      },
    })
    local child = w:open("home/api", {
      home = w.work .. "/job",
      env = { JOB = w.work .. "/by-link" },
      setup = [[{ names = {
        ["~/api/"] = "work-api",
        ["$JOB/web"] = "site/web",
        [work .. "/notes"] = "n",
        ["/no/such/directory"] = "x",
      } }]],
    })
    local function of(dir, options)
      local name = name_at(child, dir, options)
      return { name, child:lua("return npc.ctx.json.of") }
    end
    for _, options in ipairs({ "{}", "{ exclude = function() end }" }) do
      assert.are.same({ "api", "api" }, of("home/api", options))
      assert.are.same({ "work-api", "work-api" }, of("job/api", options))
      assert.are.same({ "site/web", "site" }, of("by-link/web", options))
      assert.are.same({ "site/web/inner", "site" }, of("job/api/web/inner", options))
      assert.are.same(
        { work_api = "work-api", web = "site/web" },
        child:lua([[
        local projects = npc.ctx.projects
        return { work_api = projects[1].name, web = projects[2].name }
      ]])
      )
      assert.is_true(child:lua("return npc.ctx.json.inner"))
      assert.are.equal("n", name_at(child, "notes", options))
      assert.are.equal("x", name_at(child, "notes/x", options))
    end
    -- A name that is given comes before all others.
    assert.are.equal(
      "work-api",
      name_at(child, "job/api", "{ project_name = function() note('asked') return 'f' end }")
    )
    assert.are.same({}, child:lua("return events"))
    assert.are.same({}, messages(child))
    child:lua("npc.ctx.names = { [work .. '/job/api'] = 'now' }")
    assert.are.equal("now", child:lua("local ctx = load_now(npc.ctx); return ctx.project_name"))
    child:stop()
  end)

  it("that cannot be names are errors of the option", function()
    local child = workspace.new():open("alpha")
    for options, wanted in pairs({
      ["{ project_name = 5 }"] = { "project_name", "string or function", "number" },
      ["{ project_name = 'dir' }"] = { "project_name", '"directory", "remote"', '"dir"' },
      ["{ names = 'x' }"] = { "names", "table", "string" },
      ["{ names = { ['~/x'] = 5 } }"] = { 'names["~/x"]', "a name", "number" },
      ["{ names = { ['~/x'] = '' } }"] = { 'names["~/x"]', "a name", '""' },
      ["{ names = { ['~/x'] = 'a//b' } }"] = { 'names["~/x"]', "a name", '"a//b"' },
      ["{ names = { ['x/y'] = 'a' } }"] = { 'names["x/y"]', "absolute path", '"x/y"' },
      ["{ names = { 'a' } }"] = { "names[1]", "absolute path", "number" },
    }) do
      local message = child:lua(([[return tostring(select(2, pcall(npc.load, %s)))]]):format(options))
      for _, part in ipairs(wanted) do
        assert.is_truthy(message:find(part, 1, true), options .. ": " .. message)
      end
    end
    assert.are.equal("alpha", name_at(child, "alpha"))
    child:stop()
  end)
end)
