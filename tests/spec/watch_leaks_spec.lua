-- An editor that has begun and ended watching a thousand times holds what it held before: autocommands, watches, descriptors, threads,
-- handles of the loop.
local faults = require("tests.support.faults")
local support = require("tests.support")
local watching = require("tests.support.watching")
local workspace = require("tests.support.workspace")

local ROUNDS = faults.full and 1000 or 100
-- Per question to the editor, which has to answer within seconds.
local CHUNK = 20
local ENDED_MS = 20000

local CONFIG = {
  ["alpha.json"] = '{"n": 1}',
  ["alpha/more.json"] = '{"more": 1}',
  ["beta.json"] = '{"n": 2}',
}

local COUNTING = [[
  options.loading.watch = { config_dir = true, cwd = true, buffer = true, debounce_ms = 20 }
  local handles = setmetatable({}, { __mode = "k" })
  for name, new in pairs(vim.uv) do
    if name:find("^new_") then
      vim.uv[name] = function(...)
        local handle, err, code = new(...)
        if type(handle) == "userdata" then handles[handle] = true end
        return handle, err, code
      end
    end
  end
  function _G.census()
    collectgarbage() collectgarbage()
    local open, watches = 0, 0
    for handle in pairs(handles) do
      local is_handle, is_closing = pcall(vim.uv.is_closing, handle)
      open = open + (is_handle and not is_closing and 1 or 0)
    end
    for _, fd in ipairs(vim.fn.readdir("/proc/self/fd")) do
      local file = io.open("/proc/self/fdinfo/" .. fd)
      local _, count = (file and file:read("*a") or ""):gsub("inotify wd:", "")
      if file then file:close() end
      watches = watches + count
    end
    return {
      autocommands = #vim.api.nvim_get_autocmds({}), watches = watches, handles = open,
      threads = #vim.fn.readdir("/proc/self/task"), fds = #vim.fn.readdir("/proc/self/fd"),
    }
  end
  -- Whether nothing is more than it was.
  function _G.no_more_than(before)
    local now = census()
    for name, count in pairs(before) do
      if now[name] > count then return false end
    end
    return true
  end
]]

local child, w ---@type test.Child, test.Workspace

--- Does a thing many times; afterwards there is nothing more than after it was done twice, and what is watched is watched.
---@param round string Lua, with the number of the round as `n`
---@param last? string Lua that comes after the rounds
local function measure(round, last)
  child:lua(("function _G.round(n) %s end"):format(round))
  child:lua("round(1); round(2);" .. (last or "") .. " forget()")
  watching.settled(w, child)
  -- Threads that have nothing to do end by themselves, but take their time: they are counted at the end.
  child:lua("_G.before = census(); before.threads = nil")
  assert.is_true(child:lua("return before.watches") > 0)
  for first = 3, ROUNDS + 2, CHUNK do
    child:lua("local first, last = ...; for n = first, last do round(n) end", first, first + CHUNK - 1)
  end
  child:lua(last or "")
  watching.settled(w, child)
  local ended = pcall(child.wait, child, "no_more_than(before)", ENDED_MS)
  assert.is_true(ended, vim.inspect(child:lua("return { before = before, after = census() }")))
  child:lua("_G.errors = {}")
end

describe("an editor that watches", function()
  if not vim.uv.fs_stat("/proc/self/fdinfo") then
    pending("Linux only: /proc says what a process holds")
    return
  end

  setup(function()
    w = workspace.new({ config = CONFIG })
    child = watching.open(w, "alpha", { before = COUNTING })
  end)

  teardown(function()
    child:stop()
  end)

  it("leaves nothing behind when setup is called again and again", function()
    measure("npc.setup(options); if n % 5 == 0 then assert(load_now()) end", "assert(load_now())")
  end)

  it("leaves nothing behind when every other setup ends the watching", function()
    measure([[
      options.loading.watch.config_dir = n % 2 == 0
      npc.setup(options)
      assert(load_now())
    ]])
  end)

  it("leaves nothing behind when projects are loaded and cleared", function()
    measure("assert(load_now(at('beta'))); npc.clear(); assert(load_now(at('alpha'))); npc.clear(); assert(load_now())")
  end)

  it("leaves nothing behind when config_dir changes all the time", function()
    measure([[
      local ctx = load_now(n % 2 == 0 and { config_dir = work .. "/other" } or nil)
      assert(ctx)
      if n % 2 == 0 then assert(load_now()) end
    ]])
  end)

  it("leaves nothing behind when directories come and go", function()
    measure(([[
      vim.fn.delete(config_dir .. "/alpha/more.json")
      vim.fn.delete(config_dir .. "/alpha", "rf")
      vim.fn.mkdir(config_dir .. "/alpha")
      vim.fn.writefile({ '{"more": ' .. n .. '}' }, config_dir .. "/alpha/more.json")
      if n %% %d == 0 then settle(function() return npc.ctx.json.more == n end) end
    ]]):format(CHUNK))
  end)

  it("holds no watch, no thread and no autocommand of the watching when it is ended", function()
    child:lua("options.loading.watch = nil; npc.setup(options); assert(load_now())")
    child:wait("census().watches == 0 and census().threads <= 3", ENDED_MS)
    -- Another editor that has never watched holds as much.
    local other =
      require("tests.support.saving").open(w, "alpha", { before = COUNTING .. "options.loading.watch = nil" })
    -- Both have had a look at the settings.
    other:lua("return assert(load_now()).json.n")
    other:wait("census().threads <= 3", ENDED_MS)
    local plain, ended = other:lua("return census()"), child:lua("return census()")
    assert.is_true(ended.fds <= plain.fds, vim.inspect({ plain, ended }))
    assert.is_true(ended.handles <= plain.handles, vim.inspect({ plain, ended }))
    local function groups(editor)
      return editor:lua([[
        local found = {}
        for _, autocommand in ipairs(vim.api.nvim_get_autocmds({})) do
          if (autocommand.group_name or ""):find("project") then
            table.insert(found, autocommand.group_name .. " " .. autocommand.event .. " " .. autocommand.pattern)
          end
        end
        table.sort(found)
        return found
      ]])
    end
    assert.are.same(groups(other), groups(child))
    other:stop()
  end)

  it("that is cleared watches nothing", function()
    child:lua("options.loading.watch = { config_dir = true, debounce_ms = 20 }; npc.setup(options); assert(load_now())")
    child:wait("census().watches > 0")
    child:lua("npc.clear()")
    child:wait("census().watches == 0", ENDED_MS)
    support.write(w.config_dir .. "/alpha.json", '{"n": 77}')
    child:lua("assert(load_now())")
    assert.are.equal(77, child:lua("return npc.ctx.json.n"))
    child:wait("census().watches > 0")
    child:stop()
    child = watching.open(w, "alpha")
  end)
end)
