-- Directories that are no project (`exclude`), and where the walk up ends (`stop_at`).
local workspace = require("tests.support.workspace")

local m = 'local m = require("nvim-project-config.matchers"); '

--- What a load from a directory finds, with these options: the names from the outermost project on, or the error's code and message.
---@param child test.Child
---@param dir string below `work`
---@param options string a Lua table
---@return string
local function found_at(child, dir, options)
  return child:lua(
    ([[
      local dir = ...
      %s
      local ctx, err = load_now(vim.tbl_extend("force", at(dir), %s))
      return ctx and table.concat(vim.tbl_map(function(p) return p.name end, ctx.projects), " ")
        or err.code .. " " .. err.message
    ]]):format(m, options),
    dir
  )
end

-- `src` is below `~`, so that `~` can be written.
local WORK = {
  ["me/src/outer/.git"] = true,
  ["me/src/outer/pack/package.json"] = "{}",
  ["me/src/outer/pack/.mine"] = "",
  ["me/src/outer/pack/deep/go.mod"] = "",
  ["me/src/outer/inner/.git"] = true,
  ["me/src/outer/inner/x"] = true,
  ["me/src/app/Makefile"] = "",
  ["me/src/app/part/package.json"] = "{}",
  ["me/downloads"] = true,
}

---@param work? test.Tree
---@return test.Child
local function open(work)
  local w = workspace.new({ work = work or WORK })
  return w:open("me", { home = w.work .. "/me" })
end

describe("exclude", function()
  it("leaves out directories of each level, by each sort of matcher", function()
    local child = open()
    local deep = "me/src/outer/pack/deep"
    assert.are.equal("outer outer/pack outer/pack/deep", found_at(child, deep, "{}"))
    for _, exclude in ipairs({
      "'.mine'",
      "{ '.none', '.mine' }",
      "m.glob('.m*e')",
      "m.all('package.json', m.not_('go.mod'))",
      "m.pattern('^%.mi')",
      "m.regex('\\\\v^.mine$')",
      "'~/src/outer/pack'",
      "'~/src/outer/pack/'",
      "work .. '/me/src/outer/pack'",
      "m.glob('~/src/*/pack')",
      "m.glob('**/pack')",
      "m.any('x', m.glob(work .. '/**/pack'))",
      "function(dir) return dir == work .. '/me/src/outer/pack' end",
      "function(dir) local co = coroutine.running() vim.schedule(function() coroutine.resume(co) end) coroutine.yield() return dir:find('pack$') end",
      "m.all('.mine', function() return true end)",
    }) do
      assert.are.equal("outer outer/deep", found_at(child, deep, ("{ exclude = %s }"):format(exclude)), exclude)
    end
    for _, exclude in ipairs({
      "'~/src/outer/pac'",
      "'/src/outer/pack'",
      "m.glob('~/*/pack')",
      "function() return nil end",
      "m.all('.mine', function() return false end)",
    }) do
      local found = found_at(child, deep, ("{ exclude = %s }"):format(exclude))
      assert.are.equal("outer outer/pack outer/pack/deep", found, exclude)
    end
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it("has the walk go on above repositories and manifests", function()
    local child = open()
    for _, exclude in ipairs({ "'~/src/outer/inner'", "function(dir) return vim.fs.basename(dir) == 'inner' end" }) do
      assert.are.equal("outer", found_at(child, "me/src/outer/inner/x", ("{ exclude = %s }"):format(exclude)), exclude)
    end
    for _, exclude in ipairs({ "'~/src/app/part'", "function(dir) return vim.fs.basename(dir) == 'part' end" }) do
      assert.are.equal("app", found_at(child, "me/src/app/part", ("{ exclude = %s }"):format(exclude)), exclude)
    end
    assert.are.equal("x", found_at(child, "me/src/outer/inner/x", "{ exclude = '.git' }"))
    child:stop()
  end)

  it("counts for matchers of one's own and for functions of the pipeline, too", function()
    local child = open()
    local pass_on = [[function(_, rx, tx)
      for item in rx do
        if item == require("nvim-project-config.pipeline").DONE then break end
        tx(item)
      end
    end,]]
    for _, exclude in ipairs({ "'~/src/outer/pack'", "function(dir) return vim.fs.basename(dir) == 'pack' end" }) do
      for _, on_match in ipairs({ "nil", "function() end" }) do
        for _, between in ipairs({ "", pass_on }) do
          local options = ([[{
            exclude = %s,
            pipeline = {
              require("nvim-project-config.stages.walk")({ direction = "up" }),
              %s
              require("nvim-project-config.stages.detect")({ matcher = { ".git", "package.json" }, on_match = %s }),
            },
          }]]):format(exclude, between, on_match)
          assert.are.equal("outer", found_at(child, "me/src/outer/pack", options), options)
        end
      end
    end
    child:stop()
  end)

  it("makes a start directory none where nothing else is one", function()
    local child = open()
    assert.are.equal("downloads", found_at(child, "me/downloads", "{}"))
    for _, exclude in ipairs({ "'~/downloads'", "function(dir) return vim.fs.basename(dir) == 'downloads' end" }) do
      local found = found_at(child, "me/downloads", ("{ exclude = %s }"):format(exclude))
      assert.is_truthy(found:find("^no_project .*/me/downloads.*`exclude`"), found)
    end
    assert.are.equal(2, #child:lua("return errors"))
    -- The next load is as if that had not been.
    assert.are.equal("outer", found_at(child, "me/src/outer", "{}"))
    child:stop()
  end)

  it("lets a load that nobody has asked for end unnoticed there", function()
    local w = workspace.new({ work = WORK })
    local setup = '{ exclude = "~/downloads", loading = { on = "startup" } }'
    local child = w:open("me/downloads", { home = w.work .. "/me", setup = setup })
    -- An equal load comes after it, and is told of.
    assert.are.equal("no_project", child:lua("return select(2, load_now()).code"))
    assert.are.equal(1, #child:lua("return errors"))
    assert.are.same({}, child:notifications())
    assert.is_nil(child:lua("return npc.ctx.project_root"))
    child:stop()
  end)

  it("tells once of a function that fails, and takes that for no", function()
    local child = open()
    local options = "{ exclude = function() error('boom') end }"
    assert.are.equal("outer outer/pack", found_at(child, "me/src/outer/pack", options))
    local errors = child:lua("return errors")
    assert.are.equal(1, #errors)
    assert.is_truthy(errors[1].message:find("^exclude: .*boom"), errors[1].message)
    child:stop()
  end)

  it("of what cannot be a condition is an error of the option", function()
    local child = open()
    for options, wanted in pairs({
      ["{ exclude = 5 }"] = { "exclude", "string or function or table", "number" },
      ["{ exclude = '' }"] = { "exclude", "a name", "empty" },
      ["{ exclude = 'a/b' }"] = { "exclude", "absolute path", '"a/b"' },
      ["{ exclude = { '.git', '~other/x' } }"] = { "exclude[2]", "absolute path", '"~other/x"' },
      ["{ exclude = { x = 1 } }"] = { "exclude", "list" },
      ["{ exclude = m.glob('a/*') }"] = { "exclude", "absolute path", '"a/*"' },
      ["{ stop_at = 5 }"] = { "stop_at", "string or a list of strings", "number" },
      ["{ stop_at = {} }"] = { "stop_at", "string or a list of strings", "an empty table" },
      ["{ stop_at = { '/x', 5 } }"] = { "stop_at[2]", "string", "number" },
      ["{ stop_at = { '/x', 'y' } }"] = { "stop_at[2]", "absolute path", '"y"' },
      ["{ stop_at = '' }"] = { "stop_at", "absolute path", '""' },
    }) do
      local message = child:lua(m .. ("return tostring(select(2, pcall(npc.load, %s)))"):format(options))
      for _, part in ipairs(wanted) do
        assert.is_truthy(message:find(part, 1, true), options .. ": " .. message)
      end
    end
    child:stop()
  end)
end)

describe("the walk up ends", function()
  local work = {
    [".git"] = true,
    ["me/.git"] = true,
    ["me/notes"] = true,
    ["me/src/.git"] = true,
    ["me/src/app/package.json"] = "{}",
    ["me/src/app/deep"] = true,
    ["by-link"] = { link = "me/src" },
  }
  -- Has the user's code take part, and changes nothing.
  local user_code = "project_name = function() end"

  --- As `found_at`; the same for native pipelines and for those in which the user's code takes part.
  local function found(child, dir, options)
    local native = found_at(child, dir, ("{ %s }"):format(options))
    local mixed = found_at(child, dir, ("{ %s, %s }"):format(user_code, options))
    assert.are.equal(native, mixed)
    return native
  end

  it("before the home directory, unless one says otherwise", function()
    local child = open(work)
    assert.are.equal("notes", found(child, "me/notes", ""))
    assert.are.equal("me", found(child, "me", ""))
    assert.are.equal("src src/app", found(child, "me/src/app/deep", ""))
    assert.are.equal("me", found(child, "me/notes", "stop_at = '/'"))
    assert.are.equal("work", found(child, "me/notes", "stop_at = { '/' }, exclude = '~'"))
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)

  it("before the home directory where that is a link", function()
    local w = workspace.new({ work = work })
    assert(vim.uv.fs_symlink(w.work .. "/me", w.dir .. "/home"))
    local child = w:open("me/notes", { home = w.dir .. "/home" })
    assert.are.equal("notes", found(child, "me/notes", ""))
    assert.are.equal("src src/app", found(child, "me/src/app/deep", ""))
    assert.are.equal("app", found(child, "me/src/app/deep", "exclude = '~/src'"))
    child:stop()
  end)

  it("before each of stop_at, links and ~ resolved, itself left out", function()
    local child = open(work)
    for _, stop_at in ipairs({
      "'~/src'",
      "'~/src/'",
      "'$HOME/src'",
      "work .. '/by-link'",
      "{ '/no/such', work .. '/by-link', work }",
      "{ work, '~/src' }",
    }) do
      assert.are.equal("app", found(child, "me/src/app/deep", "stop_at = " .. stop_at), stop_at)
      -- What begins there has nothing to walk.
      assert.are.equal("src", found(child, "by-link", "stop_at = " .. stop_at), stop_at)
    end
    -- Elsewhere it does not count.
    assert.are.equal("src src/app", found(child, "me/src/app/deep", "stop_at = '~/src/ap'"))
    assert.are.equal("src src/app", found(child, "me/src/app/deep", "stop_at = work .. '/me/src/app/deep/er'"))
    -- The start directory itself, too.
    assert.are.equal("deep", found(child, "me/src/app/deep", "stop_at = '~/src/app/deep'"))
    child:stop()
  end)
end)
