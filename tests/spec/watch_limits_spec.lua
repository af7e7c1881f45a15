-- Where the kernel gives no watches, because others have taken them all, what changes is found all the same, by looking now and then,
-- and the user is told so once. When there are watches again, they are used.
local faults = require("tests.support.faults")
local watching = require("tests.support.watching")
local workspace = require("tests.support.workspace")

-- How often it is looked where there are no watches, and then some.
local POLLED_MS = 10000

local CONFIG = { ["alpha.json"] = '{"n": 0}', ["alpha.lua"] = "_G.lua_n = 0" }

--- Watches of the editor, or nil where it has no descriptor for them.
local WATCHES = [[
  local found
  for _, fd in ipairs(vim.fn.readdir("/proc/self/fd")) do
    local file = io.open("/proc/self/fdinfo/" .. fd)
    local text = file and file:read("*a") or ""
    if file then file:close() end
    local _, count = text:gsub("inotify wd:", "")
    if (vim.uv.fs_readlink("/proc/self/fd/" .. fd) or ""):find("inotify", 1, true) then found = (found or 0) + count end
  end
  return found or 0
]]

for _, limit in ipairs({ "watches", "instances" }) do
  describe("with no " .. limit .. " left", function()
    local missing = faults.missing("user_namespace")

    ---@param count integer
    ---@param opts? test.WatchOptions
    local function open(count, opts)
      local w = workspace.new({ config = CONFIG })
      opts = vim.tbl_extend("force", { through = faults.few(limit, count) }, opts or {})
      return watching.open(w, "alpha", opts), w
    end

    it("changes are found, and one warning says what to do", function()
      if missing then
        return pending(missing)
      end
      local child, w = open(0)
      child:wait("#test_notifications > 0")
      for n = 1, 3 do
        watching.replace(w.config_dir .. "/alpha.json", ('{"n": %d}'):format(n))
        child:wait("npc.ctx.json.n == " .. n, POLLED_MS)
        watching.replace(w.config_dir .. "/alpha.lua", ("_G.lua_n = %d"):format(n))
        child:wait("lua_n == " .. n, POLLED_MS)
      end
      watching.replace(w.config_dir .. "/alpha/more.json", '{"more": true}')
      child:wait("npc.ctx.json.more", POLLED_MS)
      child:lua("vim.api.nvim_exec_autocmds('FocusGained', {}); npc.set('n', 9); saved()")
      assert.are.equal(7, #child:lua("return loads"))
      local notifications = child:notifications()
      assert.are.equal(1, #notifications, vim.inspect(notifications))
      assert.is_truthy(
        notifications[1].message:find("fs.inotify.max_user_" .. limit, 1, true),
        notifications[1].message
      )
      assert.are.same({}, child:lua("return errors"))
      child:stop()
    end)

    it("the editor's focus is a reason to look at once", function()
      if missing then
        return pending(missing)
      end
      local child, w = open(0)
      child:wait("#test_notifications > 0")
      watching.replace(w.config_dir .. "/alpha.json", '{"n": 1}')
      child:lua("vim.api.nvim_exec_autocmds('FocusGained', {})")
      child:wait("npc.ctx.json.n == 1")
      child:stop()
    end)

    it("a limit that is raised is used: watches are there, and nothing is said", function()
      if missing then
        return pending(missing)
      end
      local child, w = open(0)
      child:wait("#test_notifications > 0")
      assert.are.equal(0, child:lua(WATCHES))
      child:lua(
        "local file = assert(io.open((...), 'w')); assert(file:write('1000')); assert(file:close())",
        faults.limit_file(limit)
      )
      child:wait(("(function() %s end)() > 0"):format(WATCHES), POLLED_MS)
      for n = 1, 5 do
        watching.replace(w.config_dir .. "/alpha.json", ('{"n": %d}'):format(n))
        child:wait("npc.ctx.json.n == " .. n)
      end
      assert.are.equal(1, #child:notifications())
      child:stop()
    end)

    it("an editor that does not watch says nothing", function()
      if missing then
        return pending(missing)
      end
      local child = open(0, { setup = "{ loading = { watch = { config_dir = false } } }" })
      child:lua("idle(); vim.api.nvim_exec_autocmds('FocusGained', {}); idle()")
      assert.are.same({}, child:notifications())
      child:stop()
    end)
  end)
end

it("with too few watches for all directories, those without one are looked at", function()
  local missing = faults.missing("user_namespace")
  if missing then
    return pending(missing)
  end
  for count = 1, 3 do
    local w = workspace.new({ config = { ["alpha.json"] = '{"n": 0}', ["alpha/more.json"] = '{"more": 0}' } })
    local child = watching.open(w, "alpha", { through = faults.few("watches", count) })
    for n = 1, 2 do
      watching.replace(w.config_dir .. "/alpha.json", ('{"n": %d}'):format(n))
      watching.replace(w.config_dir .. "/alpha/more.json", ('{"more": %d}'):format(n))
      child:wait(("npc.ctx.json.n == %d and npc.ctx.json.more == %d"):format(n, n), POLLED_MS)
    end
    assert.is_true(#child:notifications() <= 1, vim.inspect(child:notifications()))
    child:stop()
  end
end)
