-- Two projects of one name get the same files: that is noticed, told once, and shown until it is mended. Checkouts of one repository are
-- one project. Real repositories, made by git.
local faults = require("tests.support.faults")
local support = require("tests.support")
local workspace = require("tests.support.workspace")

local CONFIG = { ["api.json"] = '{"from": "api"}', ["other.json"] = "{}" }

-- Listens, as users do.
local LISTEN = [[
  vim.api.nvim_create_autocmd("User", {
    pattern = "ProjectConfigNameClash",
    callback = function(event) note(event.data) end,
  })
]]

--- Runs git, without anybody's settings.
local function git(dir, ...)
  local command = { "git", "-c", "user.name=n", "-c", "user.email=n@example.org", ... }
  local env = { GIT_CONFIG_GLOBAL = "/dev/null", GIT_CONFIG_SYSTEM = "/dev/null" }
  local result = vim.system(command, { cwd = dir, env = env, text = true }):wait()
  assert(result.code == 0, table.concat(command, " ") .. ": " .. result.stderr)
end

--- A config_dir, and repositories below `work`: by path, the URL of the remote, or false.
local function scene(repositories, config)
  local w = workspace.new({ work = { elsewhere = true }, config = config or CONFIG })
  for path, remote in pairs(repositories) do
    git(w.work, "init", "-q", path)
    if remote then
      git(w.work .. "/" .. path, "remote", "add", "origin", remote)
    end
  end
  return w
end

local function file(home)
  return home .. "/state/nvim/nvim-project-config/names.json"
end

--- The root that a name is bound to, once it is.
local function bound(w, child, name)
  return child:wait(([[(function()
    local file = io.open(%q)
    local text = file and file:read("*a")
    if file then file:close() end
    local ok, all = pcall(vim.json.decode, text or "")
    local names = ok and all[%q]
    return names and names[%q] and names[%q].root
  end)()]]):format(file(child.home), w.config_dir, name, name))
end

--- What `:ProjectConfig info` shows.
local function info(child)
  return child:lua("return vim.api.nvim_exec2('ProjectConfig info', { output = true }).output")
end

--- Loads a project whose name is bound, or is bound by this: afterwards all earlier checks have been told of, too.
local function load_and_settle(w, child, path)
  child:lua("load_now(at(...))", path)
  bound(w, child, vim.fs.basename(path))
  child:lua("idle()")
end

describe("two projects of one name", function()
  it("are told of by an event and by :ProjectConfig info, with the line that would mend it", function()
    local w = scene({ ["work/api"] = false, ["home/api"] = false })
    local child = w:open("elsewhere", { after = LISTEN, before = support.room_for_messages })
    child:lua("load_now(at('work/api'))")
    assert.are.equal(w.work .. "/work/api", bound(w, child, "api"))
    assert.is_nil(info(child):find("clash", 1, true))
    local loaded = child:lua("local ctx = load_now(at('home/api')); return { ctx.project_root, ctx.json.from }")
    assert.are.same({ w.work .. "/home/api", "api" }, loaded)
    child:wait("#events > 0")
    local root = w.work .. "/home/api"
    local remedy = ('names = { ["%s"] = "home-api" }'):format(root)
    local expected =
      { root = root, name = "api", files = {}, reason = "manual", other_root = w.work .. "/work/api", remedy = remedy }
    assert.are.same({ expected }, child:lua("return events"))
    local text = info(child)
    assert.is_truthy(text:find(remedy, 1, true), text)
    assert.is_truthy(text:find(w.work .. "/work/api", 1, true), text)
    assert.are.same({}, child:notifications())
    assert.are.equal(w.work .. "/work/api", bound(w, child, "api"))
    child:stop()
  end)

  it("are told of by one notification a session where nobody listens", function()
    local w = scene({ ["work/api"] = false, ["home/api"] = false, ["third/api"] = false })
    local child = w:open("elsewhere", { before = support.room_for_messages })
    child:lua("load_now(at('work/api'))")
    bound(w, child, "api")
    child:lua("load_now(at('home/api'))")
    child:wait("#test_notifications > 0")
    for _ = 1, 2 do
      child:lua("load_now(at('work/api')); load_now(at('home/api'))")
    end
    child:lua("idle()")
    local told = child:notifications()
    assert.are.equal(1, #told, vim.inspect(told))
    assert.are.equal(vim.log.levels.WARN, told[1].level)
    assert.is_truthy(told[1].message:find("work/api", 1, true), told[1].message)
    -- Another pair is news.
    child:lua("load_now(at('third/api'))")
    child:wait("#test_notifications > 1")
    child:stop()
    -- So is the same one in another session.
    local again = w:open("home/api", { home = child.home, before = support.room_for_messages })
    again:lua("load_now()")
    again:wait("#test_notifications > 0")
    again:stop()
  end)

  for _, renamed in ipairs({ "home", "work" }) do
    it("have names of their own with a line like the proposed one, for " .. renamed .. "/api", function()
      local w = scene({ ["work/api"] = false, ["home/api"] = false, other = false })
      local child = w:open("elsewhere", { before = support.room_for_messages, after = LISTEN })
      child:lua("load_now(at('work/api'))")
      bound(w, child, "api")
      child:lua("load_now(at('home/api'))")
      child:wait("#events == 1")
      local line = child:lua("return events[1].remedy"):gsub("home", renamed)
      child:lua("npc.setup(vim.tbl_extend('force', options, loadstring('return { ' .. ... .. ' }')()))", line)
      child:lua("events = {}; home = load_now(at('home/api')); load_now(at('work/api'))")
      load_and_settle(w, child, "other")
      assert.are.same({}, child:lua("return events"))
      child:lua("load_now(at('home/api'))")
      assert.is_nil(info(child):find("clash", 1, true))
      assert.are.equal(renamed == "home" and "home-api" or "api", child:lua("return npc.ctx.project_name"))
      local keeper = renamed == "home" and "work" or "home"
      assert.are.equal(w.work .. "/" .. keeper .. "/api", bound(w, child, "api"))
      child:stop()
    end)
  end

  it("are told of when the one is back whose name the other has taken meanwhile", function()
    local w = scene({ ["work/api"] = false, ["home/api"] = false })
    local child = w:open("elsewhere", { after = LISTEN })
    child:lua("load_now(at('work/api'))")
    assert.are.equal(w.work .. "/work/api", bound(w, child, "api"))
    assert(vim.uv.fs_rename(w.work .. "/work", w.work .. "/away"))
    child:lua("load_now(at('home/api')); idle()")
    child:wait(("table.concat(vim.fn.readfile(%q)):find('home/api', 1, true)"):format(file(child.home)))
    assert.are.same({}, child:lua("return events"))
    assert(vim.uv.fs_rename(w.work .. "/away", w.work .. "/work"))
    child:lua("load_now(at('work/api'))")
    child:wait("#events > 0")
    assert.are.equal(w.work .. "/home/api", child:lua("return events[1].other_root"))
    child:stop()
  end)

  it("are no clash any more when the other one is gone", function()
    local w = scene({ ["work/api"] = false, ["home/api"] = false })
    local child = w:open("elsewhere", { before = support.room_for_messages, after = LISTEN })
    child:lua("load_now(at('work/api'))")
    bound(w, child, "api")
    child:lua("load_now(at('home/api'))")
    child:wait("#events == 1")
    assert.is_truthy(info(child):find("clash", 1, true))
    assert(vim.uv.fs_rename(w.work .. "/work", w.work .. "/moved"))
    child:lua("load_now(at('home/api'))")
    child:wait("vim.api.nvim_exec2('ProjectConfig info', { output = true }).output:find('clash', 1, true) == nil")
    assert.are.equal(w.work .. "/home/api", bound(w, child, "api"))
    assert.are.equal(1, child:lua("return #events"))
    child:stop()
  end)

  it("are noticed by two editors that load them at the same time, and one of them gets the name", function()
    local w = scene({ ["work/api"] = false, ["home/api"] = false })
    local home = support.tmpdir()
    local children = {}
    for index, dir in ipairs({ "work/api", "home/api" }) do
      children[index] = w:open(dir, { home = home, before = support.room_for_messages, after = LISTEN })
    end
    for _, child in ipairs(children) do
      child:lua("npc.load()")
    end
    local winner = bound(w, children[1], "api")
    local loser = winner == w.work .. "/work/api" and 2 or 1
    children[loser]:wait("#events == 1")
    assert.are.equal(winner, children[loser]:lua("return events[1].other_root"))
    children[3 - loser]:lua("idle()")
    assert.are.same({}, children[3 - loser]:lua("return events"))
    children[1]:stop()
    children[2]:stop()
  end)
end)

describe("checkouts of one repository", function()
  it("are no clash: worktrees, and clones by another protocol; a fork is one", function()
    local w = scene({
      ["a/api"] = "git@example.org:owner/api.git",
      ["c/api"] = "https://me@example.org/owner/api",
      ["d/api"] = "https://example.org/fork/api",
      other = false,
    })
    git(w.work .. "/a/api", "commit", "-q", "--allow-empty", "-m", "m")
    git(w.work .. "/a/api", "worktree", "add", "-q", w.work .. "/b/tree")
    local child = w:open("elsewhere", { before = support.room_for_messages, after = LISTEN })
    child:lua("load_now(at('a/api'))")
    bound(w, child, "api")
    assert.are.equal("api", child:lua("return load_now(at('b/tree')).project_name"))
    child:lua("load_now(at('c/api'))")
    load_and_settle(w, child, "other")
    assert.are.same({}, child:lua("return events"))
    child:lua("load_now(at('d/api'))")
    child:wait("#events == 1")
    assert.are.equal(w.work .. "/a/api", child:lua("return events[1].other_root"))
    child:stop()
  end)

  it("that know of no remote cannot be told from other projects", function()
    local w = scene({ ["a/api"] = false })
    git(w.work .. "/a/api", "commit", "-q", "--allow-empty", "-m", "m")
    git(w.work, "clone", "-q", "a/api", "b/api")
    git(w.work .. "/b/api", "remote", "remove", "origin")
    local child = w:open("elsewhere", { before = support.room_for_messages, after = LISTEN })
    child:lua("load_now(at('a/api'))")
    bound(w, child, "api")
    child:lua("load_now(at('b/api'))")
    child:wait("#events == 1")
    child:stop()
  end)
end)

describe("the bindings", function()
  it("know nothing of a project without files, and are not even made for it", function()
    local w = scene({ ["work/api"] = false, ["home/api"] = false }, { ["else.json"] = "{}" })
    local child = w:open("elsewhere", { after = LISTEN })
    child:lua("load_now(at('work/api')); load_now(at('home/api')); idle()")
    assert.is_nil(support.read(file(child.home)))
    assert.are.same({}, child:lua("return events"))
    -- A file that was made since counts.
    w:write("api.json", "{}")
    child:lua("load_now(at('work/api'))")
    assert.are.equal(w.work .. "/work/api", bound(w, child, "api"))
    child:stop()
  end)

  it("stay as they are if they are malformed, which is told once and keeps nothing from being loaded", function()
    local w = scene({ ["work/api"] = false, ["home/api"] = false, other = false })
    local home = support.tmpdir()
    support.write(file(home), '{ "mine": \n')
    local child = w:open("work/api", { home = home })
    assert.are.equal("api", child:lua("return load_now().json.from"))
    child:wait("#errors > 0")
    child:lua("load_now(); load_now(at('home/api')); idle()")
    local errors = child:lua("return errors")
    assert.are.equal(1, #errors, vim.inspect(errors))
    assert.are.same({ file(home), "syntax" }, { errors[1].path, errors[1].code })
    assert.are.equal('{ "mine": \n', support.read(file(home)))
    support.write(file(home), "{}")
    -- Another name: those of before may be looked at only now.
    child:lua("load_now(at('other'))")
    assert.are.equal(w.work .. "/other", bound(w, child, "other"))
    child:stop()
  end)

  it("that cannot be written are told of once, and keep nothing from being loaded", function()
    local w = scene({ ["work/api"] = false })
    local home = support.tmpdir()
    local directory = vim.fs.dirname(file(home))
    vim.fn.mkdir(directory, "p")
    vim.fn.setfperm(directory, "r-xr-xr-x")
    local child = w:open("work/api", { home = home, through = faults.without_privileges() })
    assert.are.equal("api", child:lua("return load_now().json.from"))
    child:wait("#errors > 0")
    child:lua("load_now(); idle()")
    local errors = child:lua("return errors")
    assert.are.equal(1, #errors, vim.inspect(errors))
    assert.are.same({ file(home), "permission" }, { errors[1].path, errors[1].code })
    vim.fn.setfperm(directory, "rwxr-xr-x")
    child:lua("load_now()")
    assert.are.equal(w.work .. "/work/api", bound(w, child, "api"))
    child:stop()
  end)
end)
