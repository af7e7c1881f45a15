-- Commands that go through hundreds of files and windows of many projects: what is loaded is what the user ends in, and nothing that was only
-- passed through.
local following = require("tests.support.following")

local PROJECTS, FILES = 20, 25

---@param opts? test.FollowOptions
---@return test.Child child in a buffer of `alpha`
local function open(opts)
  local work, names = {}, {}
  for project = 1, PROJECTS do
    local name = ("project-%02d"):format(project)
    names[project] = name
    work[name] = { [".git"] = true }
    for number = 1, FILES do
      work[name]["src/file-" .. number .. ".c"] = ("int before;\nint needle_%d;\n"):format(number)
    end
  end
  local w = following.workspace({ work = work, config = following.config(names) })
  local both = { cwd = true, buffer = true }
  local child = following.open(w, "alpha", vim.tbl_extend("force", both, opts or {}))
  child:lua([[
    vim.o.hidden, vim.o.lines, vim.o.columns, vim.o.winminheight, vim.o.winheight = true, 1000, 200, 0, 1
    _G.sources = vim.fn.glob(work .. "/project-*/src/*.c", true, true)
    assert(#sources == ]] .. PROJECTS * FILES .. [[)
    -- What there is to say of all contexts: their JSON is that of their project, whatever has passed.
    function _G.mixed_up()
      local wrong = {}
      for _, ctx in ipairs(npc.contexts()) do
        local from = ctx.json.from
        if from ~= ctx.project_name or vim.tbl_count(ctx._files_loaded) ~= 3 then
          table.insert(wrong, { ctx.project_name, from or "nothing", vim.tbl_count(ctx._files_loaded) })
        end
      end
      return wrong
    end
  ]])
  following.after(child, "vim.cmd.edit(file('alpha'))", "alpha")
  return child
end

--- Every load that has begun to run has ended, and no context is half loaded.
---@param child test.Child
---@param events string[]
local function nothing_is_half_done(child, events)
  local counts = {}
  for _, event in ipairs(events) do
    local kind = event:match("^(%S+) ") or event:match("%.(%a+)$")
    counts[kind] = (counts[kind] or 0) + 1
  end
  local loads = counts.LoadPost
  assert.are.same({ LoadPre = loads, LoadPost = loads, lua = loads, vim = loads, on_load = loads }, counts)
  assert.are.same({}, child:lua("return mixed_up()"))
  assert.are.same({}, child:lua("return errors"))
end

---@param child test.Child
---@param code string
---@param name string
local function ends_with_one_load(child, code, name)
  local state = following.after(child, code, name)
  assert.are.same({ current = name, events = following.loaded(name, "buffer") }, state)
  nothing_is_half_done(child, state.events)
end

---@param child test.Child
---@param code string
local function loads_nothing(child, code)
  assert.are.same({ current = "alpha", events = {} }, following.after(child, code))
  nothing_is_half_done(child, following.loaded("alpha", "buffer"))
end

describe("going through 500 files of 20 projects loads", function()
  it("nothing with :vimgrep that stays", function()
    local child = open()
    loads_nothing(child, "vim.cmd('silent vimgrep /needle/j ' .. work .. '/project-*/src/*.c')")
    assert.are.equal(PROJECTS * FILES, child:lua("return #vim.fn.getqflist()"))
    child:stop()
  end)

  it("the project of the first match with :vimgrep that jumps", function()
    local child = open()
    local code = "vim.cmd('silent vimgrep /needle/ ' .. work .. '/project-*/src/*.c')"
    ends_with_one_load(child, code, "project-01")
    child:stop()
  end)

  it("the last one with :bufdo, and nothing where one comes back", function()
    local child = open()
    child:lua("for _, source in ipairs(sources) do vim.cmd.badd(source) end")
    loads_nothing(child, "vim.cmd('silent bufdo normal! gg') vim.cmd.buffer(file('alpha'))")
    ends_with_one_load(child, "vim.cmd('silent bufdo normal! gg')", "project-20")
    child:stop()
  end)

  it("the last one with :argdo and :cdo", function()
    local child = open()
    child:lua("vim.cmd('silent noautocmd args ' .. table.concat(sources, ' ')) vim.cmd.buffer(file('alpha'))")
    following.after(child, "")
    ends_with_one_load(child, "vim.cmd('silent argdo normal! gg')", "project-20")
    child:lua([[
      vim.fn.setqflist(vim.tbl_map(function(source) return { filename = source, lnum = 1 } end, vim.fn.reverse(sources)))
    ]])
    ends_with_one_load(child, "vim.cmd('silent cdo normal! gg')", "project-01")
    child:stop()
  end)

  it("nothing with :tabdo, :windo and back, over 200 windows", function()
    local child = open()
    child:lua([[
      for index = 1, 200 do
        local source = sources[(index * 37) % #sources + 1]
        vim.cmd("silent noautocmd " .. (index % 20 == 1 and "tabedit " or "split ") .. source)
      end
      vim.cmd.tabfirst()
      assert(#vim.api.nvim_list_wins() == 201)
    ]])
    following.after(child, "")
    loads_nothing(child, "vim.cmd('silent tabdo windo normal! gg') vim.cmd.tabfirst()")
    local last = child:lua([[
      local source = vim.api.nvim_buf_get_name(vim.api.nvim_win_get_buf(vim.api.nvim_tabpage_list_wins(
        vim.api.nvim_list_tabpages()[11])[20]))
      return source:match("project%-%d+")
    ]])
    local state = following.after(child, "vim.cmd('silent tabdo windo normal! gg')", last)
    assert.are.same({ current = last, events = following.loaded(last, "buffer") }, state)
    child:stop()
  end)

  it("the last one when 200 windows are opened at once, and closed", function()
    local child = open()
    ends_with_one_load(
      child,
      [[
        for index = 1, 200 do
          vim.cmd("silent " .. (index % 20 == 1 and "tabedit " or "split ") .. sources[index * 2])
        end
      ]],
      "project-16"
    )
    ends_with_one_load(child, "vim.cmd.tabonly({ bang = true }) vim.cmd.only() vim.cmd.edit(file('alpha'))", "alpha")
    child:stop()
  end)

  it("the last one with a hundred :cd", function()
    local child = open()
    local state = following.after(
      child,
      "for round = 0, 99 do vim.cmd.cd(('%s/project-%02d/src'):format(work, round % 20 + 1)) end",
      "project-20"
    )
    assert.are.same({ current = "project-20", events = following.loaded("project-20", "cwd") }, state)
    child:stop()
  end)
end)

describe("a macro that goes from file to file, fed as keys, loads", function()
  it("the project it begins with and the one it ends in", function()
    -- So long that the keys are through before it is over.
    local child = open({ debounce_ms = 1500 })
    child:lua("for _, source in ipairs(sources) do vim.cmd.badd(source) end")
    child:wait("vim.wait(1500, function() return false end) == false")
    child:lua([[
      forget()
      _G.keys_done = false
      vim.fn.setreg("q", ":silent bnext\r")
      vim.api.nvim_input("300@q:lua keys_done = true<CR>")
    ]])
    child:wait("keys_done")
    local last = child:lua("return vim.api.nvim_buf_get_name(0):match('project%-%d+')")
    assert.are.equal("project-12", last)
    local state = following.state(child, last)
    assert.are.equal(last, state.current)
    nothing_is_half_done(child, state.events)
    assert.is_true(#state.events == 5 or #state.events == 10, vim.inspect(state.events))
    assert.are.same(following.loaded(last, "buffer"), vim.list_slice(state.events, #state.events - 4))
    child:stop()
  end)

  it("one key after the other, the same", function()
    local child = open({ debounce_ms = 1500 })
    child:lua("for _, source in ipairs(sources) do vim.cmd.badd(source) end")
    child:wait("vim.wait(1500, function() return false end) == false")
    child:lua("forget() vim.cmd.nnoremap('<F5> <Cmd>silent bnext<CR>')")
    for _ = 1, 100 do
      child:lua("vim.api.nvim_input('<F5>')")
    end
    child:wait("vim.api.nvim_buf_get_name(0) == sources[100]")
    local state = following.state(child, "project-04")
    assert.are.equal("project-04", state.current)
    nothing_is_half_done(child, state.events)
    assert.is_true(#state.events == 5 or #state.events == 10, vim.inspect(state.events))
    child:stop()
  end)
end)
