-- Both directions: what we write is no news to us, what others write is merged into the same tables, and what could not be
-- written is not lost. Also: buffers that show a file, and the ends of a context (clear, setup, another project).
local saving = require("tests.support.saving")
local support = require("tests.support")
local workspace = require("tests.support.workspace")

local BEFORE = '{\n  "lsp": { "level": 1, "name": "ls" },\n  "list": [1, 2],\n  "n": 1\n}\n'

---@param config? test.Tree
---@param opts? test.OpenOptions
local function open(config, opts)
  local w = workspace.new({ config = config or { ["alpha.json"] = BEFORE } })
  local child = saving.open(w, "alpha", opts)
  child:lua("_G.json = load_now().json; _G.kept = json.lsp; saved()")
  child:lua("forget_changes()")
  return child, w.config_dir .. "/alpha.json", w
end

--- The changes that were announced from one side, each path as one text, in order.
local function announced(child, origin)
  local paths = {}
  for _, change in ipairs(child:lua("return changes")) do
    if change.origin == origin then
      for _, path in ipairs(change.paths) do
        table.insert(paths, table.concat(path, "/"))
      end
    end
  end
  table.sort(paths)
  return paths
end

describe("after an own save", function()
  it("nothing is loaded, and nothing runs", function()
    local child, path = open({
      ["alpha.json"] = BEFORE,
      ["alpha.lua"] = "note('alpha.lua')",
    }, { setup = "{ on_load = function() note('on_load') end }" })
    assert.are.same({ "alpha.lua", "on_load" }, child:lua("return events"))
    child:lua("json.n = 2; npc.ctx.json.n = 3; saved(); idle(); vim.cmd.doautocmd('FocusGained'); idle()")
    assert.are.equal(3, saving.value(path).n)
    assert.are.same({ "alpha.lua", "on_load" }, child:lua("return events"))
    child:stop()
  end)

  it("a load changes nothing and announces nothing", function()
    local child, path = open()
    child:lua("npc.ctx.json.new, kept.level = { a = { 1 } }, 2; saved(); idle()")
    local before = saving.identity(path)
    local result = child:lua([[
      local count, new, list = #changes, json.new, json.list
      local again = load_now().json
      saved()
      idle()
      return {
        again == json and json.lsp == kept and json.new == new and json.new.a == new.a and json.list == list,
        #changes - count,
      }
    ]])
    assert.are.same({ true, 0 }, result)
    assert.are.same(before, saving.identity(path))
    child:stop()
  end)

  it("what was saved is announced once, with its paths", function()
    local child, _, w = open()
    child:lua([[
      local json = npc.ctx.json
      json.lsp.level, json.lsp.name = 2, nil
      table.insert(json.list, 3)
      json.new = { a = { b = 1 } }
      saved()
    ]])
    child:wait("#changes > 0")
    child:lua("saved(); idle()")
    local changes = child:lua("return changes")
    assert.are.equal(1, #changes)
    assert.are.same({ "list", "lsp/level", "lsp/name", "new" }, announced(child, "local"))
    assert.are.same(
      { "local", "alpha", w.work .. "/alpha" },
      { changes[1].origin, changes[1].project_name, changes[1].project_root }
    )
    child:lua("_G.changes = {}; npc.set({ 'lsp', 'with.dot' }, 1); saved()")
    child:wait("#changes > 0")
    assert.are.same({ { "lsp", "with.dot" } }, child:lua("return changes[1].paths"))
    child:stop()
  end)

  it("or before it is done, a load does not bring the old value back", function()
    local child, path = open()
    local seen = child:lua([[
      local seen = {}
      for i = 1, 60 do
        if i % 3 == 0 then npc.set("lsp.level", i) elseif i % 3 == 1 then npc.ctx.json.lsp.level = i else kept.level = i end
        local loaded = load_now().json
        seen[i] = loaded.lsp.level == i and loaded.lsp == kept
        if i % 2 == 0 then saved() end
      end
      saved()
      return vim.tbl_filter(function(right) return not right end, seen)
    ]])
    assert.are.same({}, seen)
    assert.are.equal((BEFORE:gsub('"level": 1', '"level": 60')), support.read(path))
    assert.are.same({}, announced(child, "disk"))
    child:stop()
  end)

  it("a callback of the event sees the new values, and may change others", function()
    local child, path = open()
    child:lua([[
      vim.api.nvim_create_autocmd("User", { pattern = "ProjectConfigJsonChanged", callback = function()
        if npc.ctx.json.echo ~= npc.ctx.json.n then
          note(npc.ctx.json.n)
          npc.ctx.json.echo = npc.ctx.json.n
        end
      end })
      npc.ctx.json.n = 5
    ]])
    saving.until_value(path, { lsp = { level = 1, name = "ls" }, list = { 1, 2 }, n = 5, echo = 5 })
    assert.are.same({ 5 }, child:lua("idle(); return events"))
    child:stop()
  end)
end)

describe("a change on disk by somebody else", function()
  it("is merged at the next load into the same tables, and announced", function()
    local child, path, w = open()
    support.write(path, '{"lsp": {"level": 2, "name": "ls"}, "list": [1, 2, 3], "new": {"a": 1}}')
    local same = child:lua("local again = load_now().json; return again == json and again.lsp == kept")
    assert.is_true(same)
    assert.are.same(
      { lsp = { level = 2, name = "ls" }, list = { 1, 2, 3 }, new = { a = 1 } },
      child:lua("return npc.ctx.json")
    )
    child:wait("#changes > 0")
    assert.are.same({ "list", "lsp/level", "n", "new" }, announced(child, "disk"))
    assert.are.same({}, announced(child, "local"))
    local change = child:lua("return changes[1]")
    assert.are.same({ "alpha", w.work .. "/alpha" }, { change.project_name, change.project_root })
    child:stop()
  end)

  it("and ours to other keys both survive, whoever was first", function()
    local child, path = open()
    for round = 1, 10 do
      local text = ('{"theirs": %d, "lsp": {"level": %d, "name": "theirs %d"}}'):format(round, round + 99, round)
      -- After this nothing is left that would find our change, and save it, before theirs is there.
      child:lua("idle()")
      if round % 2 == 0 then
        support.write(path, text)
        child:lua("kept.level = ...", round + 100)
      else
        child:lua("kept.level = ...", round + 100)
        support.write(path, text)
      end
      if round % 3 == 0 then
        child:lua("load_now()")
      end
      child:lua("saved(); load_now()")
      local expected = { theirs = round, lsp = { level = round + 100, name = "theirs " .. round } }
      assert.are.same(expected, saving.value(path))
      assert.are.same(expected, child:lua("return npc.ctx.json"))
      assert.is_true(child:lua("return npc.ctx.json.lsp == kept"))
    end
    child:stop()
  end)

  it("reaches tables to which the user has given a metatable, whatever it forbids", function()
    local child, path = open()
    child:lua([[
      local function fail() error("a metamethod was called") end
      local strict = { __index = fail, __newindex = fail }
      setmetatable(json, strict)
      setmetatable(json.lsp, strict)
    ]])
    local text = '{"lsp": {"new": 1}, "list": [1, 2], "other": 2}'
    support.write(path, text)
    child:lua("load_now(); saved()")
    assert.are.equal(text, support.read(path))
    assert.are.same({ 1, 2, {} }, child:lua("return { rawget(kept, 'new'), rawget(json, 'other'), errors }"))
    child:stop()
  end)

  it("of the path that we have changed too gives way to ours", function()
    local theirs = {
      ["another value"] = '{"lsp": {"level": 9, "name": "ls"}, "list": [9], "n": 9}',
      ["a deletion"] = '{"lsp": {"name": "ls"}}',
      ["the deletion of what it is in"] = "{}",
    }
    for name, text in pairs(theirs) do
      local child, path = open()
      child:lua("kept.level = 2; table.insert(json.list, 3); json.n = 'ours'")
      support.write(path, text)
      child:lua("load_now()")
      assert.are.same({ 2, { 1, 2, 3 }, "ours" }, child:lua("return { json.lsp.level, json.list, json.n }"), name)
      child:lua("saved()")
      local on_disk = saving.value(path)
      assert.are.same({ 2, { 1, 2, 3 }, "ours" }, { on_disk.lsp.level, on_disk.list, on_disk.n }, name)
      assert.are.same(on_disk, child:lua("return load_now().json"), name)
      child:stop()
    end
  end)

  it("does not bring back what we have deleted, and is not undone by it", function()
    local child, path = open()
    child:lua("json.n, kept.name = nil, nil")
    support.write(path, '{"lsp": {"level": 2, "name": "ls"}, "list": [1, 2], "n": 1, "theirs": 1}')
    child:lua("load_now(); saved()")
    local expected = { lsp = { level = 2 }, list = { 1, 2 }, theirs = 1 }
    assert.are.same(expected, saving.value(path))
    assert.are.same(expected, child:lua("return load_now().json"))
    child:stop()
  end)

  it("is not overwritten by a save without a load in between", function()
    local child, path = open()
    support.write(path, '{\n  // theirs\n  "lsp": { "level": 5, "name": "ls" },\n  "theirs": 1\n}\n')
    child:lua("npc.set('n', 2); saved()")
    assert.are.equal(
      '{\n  // theirs\n  "lsp": { "level": 5, "name": "ls" },\n  "theirs": 1,\n  "n": 2\n}\n',
      support.read(path)
    )
    assert.are.same({ lsp = { level = 5, name = "ls" }, theirs = 1, n = 2 }, child:lua("return load_now().json"))
    child:stop()
  end)

  it("that removes the file does not bring it back, until we write", function()
    local child, path = open()
    assert(vim.uv.fs_unlink(path))
    child:lua("saved()")
    assert.is_nil(support.read(path))
    child:lua("npc.set('mine', 1); saved()")
    assert.are.same({ mine = 1 }, saving.value(path))
    assert.are.same({ mine = 1 }, child:lua("return load_now().json"))
    child:stop()
  end)

  it("while a load is under way loses no assignment made meanwhile", function()
    local child, path = open()
    support.write(path, '{"lsp": {"level": 5, "name": "theirs"}, "n": 5}')
    local result = child:lua([[
      local loaded = 0
      for i = 1, 5 do
        npc.load(function() loaded = loaded + 1 end)
        npc.ctx.json["during" .. i] = i
        kept["during" .. i] = i
      end
      assert(settle(function() return loaded == 5 end))
      saved()
      return npc.ctx.json
    ]])
    local expected = { lsp = { level = 5, name = "theirs" }, n = 5 }
    for i = 1, 5 do
      expected["during" .. i], expected.lsp["during" .. i] = i, i
    end
    assert.are.same(expected, result)
    assert.are.same(expected, saving.value(path))
    child:stop()
  end)
end)

describe("a file that does not parse when a write comes", function()
  local BROKEN = '{\n  "lsp": { "level": 1, "name": "ls" },\n  "n": 1,\n  "broken": oops\n}\n'
  local MENDED = '{\n  "lsp": { "level": 1, "name": "mended" },\n  "n": 1\n}\n'
  local EXPECTED = '{\n  "lsp": { "level": 1, "name": "mended" },\n  "n": 2\n}\n'

  it("is left alone, and told of once, with line and column", function()
    local child, path = open()
    support.write(path, BROKEN)
    local before = saving.identity(path)
    child:lua("npc.ctx.json.n = 2")
    child:wait("#errors > 0")
    child:lua("save_now(); npc.ctx.json.n = 3; save_now(); npc.set('lsp.level', 2); save_now(); idle()")
    local errors = child:lua("return errors")
    assert.are.equal(1, #errors, vim.inspect(errors))
    assert.are.same(
      { "syntax", path, 4, 13, path, "alpha" },
      { errors[1].code, errors[1].path, errors[1].line, errors[1].column, errors[1].file, errors[1].project }
    )
    assert.are.same(before, saving.identity(path))
    assert.are.equal(BROKEN, support.read(path))
    assert.are.same({ 3, 2 }, child:lua("return { json.n, kept.level }"))
    child:stop()
  end)

  for name, again in pairs({
    ["at the next save()"] = "npc.save()",
    ["at the next load"] = "npc.load()",
    ["at FocusGained"] = "vim.cmd.doautocmd('FocusGained')",
    ["at CursorHold"] = "vim.cmd.doautocmd('CursorHold')",
    ["with the next assignment"] = "npc.ctx.json.lsp.name = 'mended'",
    ["at exit"] = "vim.cmd('qa!')",
  }) do
    it("is saved once it was mended, " .. name, function()
      local child, path = open()
      support.write(path, BROKEN)
      child:lua("npc.ctx.json.n = 2")
      child:wait("#errors > 0")
      support.write(path, MENDED)
      pcall(child.lua, child, again)
      saving.until_text(path, EXPECTED)
      if name == "at exit" then
        child:ended()
      else
        assert.are.equal(1, child:lua("return #errors"))
        -- Broken anew, it is news again.
        support.write(path, BROKEN)
        child:lua("npc.ctx.json.n = 3")
        child:wait("#errors == 2")
        child:stop()
      end
    end)
  end

  it("keeps its values through a load, ours among them", function()
    local child, path = open()
    support.write(path, BROKEN)
    -- With an answer to save(), nobody is reading the file any more when it is written again.
    child:lua("npc.ctx.json.n, kept.level = 2, 7; load_now(); save_now()")
    assert.are.same({ lsp = { level = 7, name = "ls" }, list = { 1, 2 }, n = 2 }, child:lua("return npc.ctx.json"))
    support.write(path, MENDED)
    child:lua("load_now(); saved()")
    local expected = { lsp = { level = 7, name = "mended" }, n = 2 }
    assert.are.same(expected, saving.value(path))
    assert.are.same(expected, child:lua("return npc.ctx.json"))
    child:stop()
  end)

  it("does not hold back another file", function()
    local child, path, w = open({ ["alpha.json"] = BEFORE, ["alpha/more.json"] = '{"more": 1}' })
    support.write(path, BROKEN)
    child:lua("npc.ctx.json.n, npc.ctx.json.more = 2, 2; save_now()")
    saving.until_value(w.config_dir .. "/alpha/more.json", { more = 2 })
    assert.are.equal(BROKEN, support.read(path))
    child:stop()
  end)

  it("is told of by a notification where there is no on_error", function()
    local child, path = open(nil, { before = "options.on_error = nil\n" .. support.room_for_messages })
    support.write(path, BROKEN)
    child:lua("npc.ctx.json.n = 2; save_now(); npc.ctx.json.n = 3; save_now()")
    child:wait("#test_notifications > 0")
    child:lua("idle()")
    local seen = child:notifications()
    assert.are.equal(1, #seen)
    assert.are.equal(vim.log.levels.ERROR, seen[1].level)
    assert.is_truthy(seen[1].message:find("alpha.json:4:13", 1, true), seen[1].message)
    child:stop()
  end)
end)

describe("a buffer that shows the file", function()
  --- Its lines as the text of a file.
  local function shown(child, buffer)
    local lines = child:lua("return vim.api.nvim_buf_get_lines(..., 0, -1, false)", buffer)
    return table.concat(lines, "\n") .. "\n"
  end

  local function editing(before)
    local child, path =
      open(nil, { before = "vim.o.autoread = false\n" .. support.room_for_messages .. (before or "") })
    child:lua("vim.cmd.edit(...)", path)
    return child, path, child:lua("return vim.api.nvim_get_current_buf()")
  end

  it("and is not modified is reloaded silently, its cursor and undo kept", function()
    local child, path, buffer = editing()
    -- A change of the user's, saved: something to be undone.
    child:lua([[
      vim.api.nvim_buf_set_lines(0, 3, 4, false, { '  "n": 7' })
      vim.cmd("let &g:undolevels = &g:undolevels") -- what comes next is undone by itself
      vim.cmd("silent write")
      load_now()
      vim.api.nvim_win_set_cursor(0, { 3, 5 })
      vim.cmd("messages clear")
      npc.ctx.json.lsp.level = 2
      saved()
    ]])
    local expected = '{\n  "lsp": { "level": 2, "name": "ls" },\n  "list": [1, 2],\n  "n": 7\n}\n'
    assert.are.equal(expected, support.read(path))
    child:wait("vim.api.nvim_buf_get_lines(0, 1, 2, false)[1]:find('\"level\": 2', 1, true)")
    assert.are.equal(expected, shown(child, buffer))
    assert.are.same({ false, { 3, 5 }, buffer, "json" }, {
      child:lua("return vim.bo.modified"),
      child:lua("return vim.api.nvim_win_get_cursor(0)"),
      child:lua("return vim.api.nvim_get_current_buf()"),
      child:lua("return vim.bo.filetype"),
    })
    assert.are.equal("", child:messages())
    assert.are.same({}, child:notifications())
    -- Neovim finds no change behind its back, and both changes can be undone.
    child:lua("vim.cmd('silent checktime'); idle()")
    assert.are.equal("", child:messages())
    child:lua("vim.cmd('silent undo')")
    assert.is_truthy(shown(child, buffer):find('"level": 1', 1, true))
    child:lua("vim.cmd('silent undo')")
    assert.are.equal(BEFORE, shown(child, buffer))
    child:stop()
  end)

  it("in a window that is not the current one, or in none, is reloaded too", function()
    for _, away in ipairs({ "vim.cmd.new()", "vim.cmd.edit(vim.fn.tempname())", "vim.cmd.tabnew()" }) do
      local child, path, buffer = editing("vim.o.hidden = true\n")
      child:lua(away)
      child:lua("_G.current = vim.api.nvim_get_current_buf(); npc.ctx.json.n = 2; saved()")
      child:wait(("vim.api.nvim_buf_get_lines(%d, 3, 4, false)[1]:find('2', 1, true)"):format(buffer))
      assert.are.equal(support.read(path), shown(child, buffer))
      assert.is_true(child:lua("return vim.api.nvim_get_current_buf() == current"))
      child:stop()
    end
  end)

  it("and is modified stays as it is", function()
    local child, path, buffer = editing()
    child:lua([[
      vim.api.nvim_buf_set_lines(0, 0, 0, false, { "// not saved" })
      npc.ctx.json.n = 2
      saved()
      idle()
    ]])
    assert.are.equal("// not saved\n" .. BEFORE, shown(child, buffer))
    assert.is_true(child:lua("return vim.bo.modified"))
    assert.are.equal(2, saving.value(path).n)
    assert.are.same({}, child:notifications())
    child:stop()
  end)

  for where, leave in pairs({ ["the current one"] = "", ["in no window"] = "vim.cmd.edit(vim.fn.tempname())" }) do
    it("that was opened before there was a file shows it, and nobody is asked: " .. where, function()
      local w = workspace.new()
      local path = w.config_dir .. "/alpha.json"
      local child = saving.open(w, "alpha", { before = support.room_for_messages .. "vim.o.hidden = true\n" })
      child:lua("load_now(); vim.cmd.edit(...); _G.buffer = vim.api.nvim_get_current_buf()", path)
      child:lua(leave .. "\nnpc.ctx.json.n = 1; saved()")
      child:wait("vim.api.nvim_buf_get_lines(buffer, 0, 1, false)[1] == '{'")
      assert.are.equal(support.read(path), shown(child, child:lua("return buffer")))
      assert.is_false(child:lua("return vim.bo[buffer].modified"))
      assert.are.equal("", child:messages())
      child:stop()
    end)
  end

  it("of another file is not touched", function()
    local child, path = open(nil, { before = support.room_for_messages })
    local other = support.write(vim.fs.dirname(path) .. "/notes.txt", "one\n")
    child:lua("vim.cmd.edit(...); _G.tick = vim.b.changedtick", other)
    support.write(other, "two\n")
    child:lua("npc.ctx.json.n = 2; saved(); idle()")
    assert.are.same(
      { { "one" }, true },
      child:lua([[
      return { vim.api.nvim_buf_get_lines(0, 0, -1, false), vim.b.changedtick == tick }
    ]])
    )
    child:stop()
  end)

  it("by way of a link is reloaded too", function()
    local w = workspace.new()
    local target = support.write(w.dir .. "/dotfiles/alpha.json", '{"n": 1}')
    assert(vim.uv.fs_symlink(target, w.config_dir .. "/alpha.json"))
    local child = saving.open(w, "alpha")
    child:lua("load_now(); vim.cmd.edit(...)", target)
    child:lua("npc.ctx.json.n = 2; saved()")
    child:wait("vim.api.nvim_buf_get_lines(0, 0, -1, false)[1] == '{\"n\": 2}'")
    assert.is_false(child:lua("return vim.bo.modified"))
    child:stop()
  end)
end)

describe("values set on a context without a project", function()
  it("are saved when a load binds it, into the text that is there", function()
    local w = workspace.new({ config = { ["alpha.json"] = BEFORE } })
    local path = w.config_dir .. "/alpha.json"
    local child = saving.open(w, "alpha")
    child:lua("npc.ctx.json.n = 2; npc.ctx.json.lsp = { level = 5 }; npc.set('list', { 9 }); idle()")
    assert.are.equal(BEFORE, support.read(path))
    child:lua("load_now()")
    saving.until_text(path, '{\n  "lsp": { "level": 5, "name": "ls" },\n  "list": [9],\n  "n": 2\n}\n')
    assert.are.same({ lsp = { level = 5, name = "ls" }, list = { 9 }, n = 2 }, child:lua("return load_now().json"))
    child:stop()
  end)

  it("are not lost by a load that fails", function()
    local w = workspace.new({ config = { ["alpha.json"] = BEFORE } })
    local child = saving.open(w, "alpha")
    child:lua([[
      npc.ctx.json.n = 2
      local ctx, err = load_now({ loading = { start_dir = work .. "/none" } })
      assert(not ctx and err)
      load_now()
    ]])
    saving.until_text(w.config_dir .. "/alpha.json", (BEFORE:gsub('"n": 1', '"n": 2')))
    child:stop()
  end)
end)

describe("clear()", function()
  it("saves what is unsaved, then empties the context", function()
    local child, path = open()
    local empty = child:lua("kept.level = 2; json.n = 2; npc.clear(); return npc.ctx.json")
    assert.are.same({}, empty)
    saving.until_text(path, (BEFORE:gsub('"level": 1', '"level": 2'):gsub('"n": 1', '"n": 2')))
    child:stop()
  end)

  it("announces what it has saved for the project that it leaves", function()
    local child = open()
    child:lua("json.n = 2; npc.clear(); idle()")
    local change = child:lua("return changes")[1]
    assert.are.same({ { { "n" } }, "local", "alpha" }, { change.paths, change.origin, change.project_name })
    child:stop()
  end)

  it("makes the old tables inert: nothing of them is saved any more", function()
    local child, path = open()
    child:lua("npc.clear(); kept.level, json.n = 2, 2; idle(); npc.save(); load_now(); saved()")
    assert.are.equal(BEFORE, support.read(path))
    assert.are.same({ 1, 2 }, child:lua("return { npc.ctx.json.n, json.n }"))
    child:lua("kept.level = 3; vim.cmd.doautocmd('CursorHold'); saved()")
    assert.are.equal(BEFORE, support.read(path))
    child:stop()
  end)

  it("deletes nothing on disk by emptying the table", function()
    local child, path = open()
    child:lua("npc.clear(); idle(); npc.save(); idle()")
    child:stop()
    assert.are.equal(BEFORE, support.read(path))
  end)

  it("lets a value that is set afterwards wait for the next project", function()
    local child, path, w = open()
    child:lua("npc.clear(); npc.ctx.json.later = 1; idle()")
    assert.are.equal(BEFORE, support.read(path))
    child:lua("load_now(at('beta')); saved()")
    assert.are.same({ later = 1 }, saving.value(w.config_dir .. "/beta.json"))
    assert.are.equal(BEFORE, support.read(path))
    child:stop()
  end)
end)

describe("a second setup", function()
  it("leaves nothing in memory of the contexts before it", function()
    local child = open()
    child:lua([[
      _G.contexts = setmetatable({}, { __mode = "k" })
      for _ = 1, 10 do
        contexts[load_now()] = true
        npc.ctx.json.n = npc.ctx.json.n + 1
        saved()
        npc.setup(options)
      end
    ]])
    child:wait("is_collected(contexts)")
    child:stop()
  end)

  it("saves what is unsaved, and makes the old tables inert", function()
    local child, path = open()
    child:lua("kept.level = 2; json.n = 2; npc.setup(options)")
    local expected = BEFORE:gsub('"level": 1', '"level": 2'):gsub('"n": 1', '"n": 2')
    saving.until_text(path, expected)
    child:lua("kept.level, json.n = 3, 3; idle(); load_now(); saved()")
    assert.are.equal(expected, support.read(path))
    assert.are.same({ 2, 2 }, child:lua("return { npc.ctx.json.n, npc.ctx.json.lsp.level }"))
    child:stop()
  end)
end)

describe("a context that is not the current one", function()
  it("saves to its own project's file", function()
    local child, path, w = open({ ["alpha.json"] = BEFORE, ["beta.json"] = '{"n": 1}' })
    child:lua([[
      _G.alpha = npc.ctx
      load_now(at("beta"))
      assert(npc.ctx ~= alpha)
      alpha.json.n = 2
    ]])
    saving.until_text(path, (BEFORE:gsub('"n": 1', '"n": 2')))
    child:lua("kept.level = 3; saved()")
    local expected = BEFORE:gsub('"n": 1', '"n": 2'):gsub('"level": 1', '"level": 3')
    assert.are.equal(expected, support.read(path))
    assert.are.equal('{"n": 1}', support.read(w.config_dir .. "/beta.json"))
    child:lua("kept.level = 4")
    child:stop()
    assert.are.equal((expected:gsub('"level": 3', '"level": 4')), support.read(path))
  end)
end)
