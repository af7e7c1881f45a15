-- Whatever way an editor saves a file, the last content is loaded once, soon after the last save, also where several saves follow each
-- other. JSON of which only a half has been written is never shown, and told of only if it stays so. `FULL=1`: a thousand bursts of
-- each kind, within the time of the contract.
local faults = require("tests.support.faults")
local support = require("tests.support")
local tries = require("tests.support.tries")
local watching = require("tests.support.watching")
local workspace = require("tests.support.workspace")

local BURSTS = faults.full and 1000 or 12
-- Saves in one burst.
local SAVES = 3
local DEBOUNCE_MS = 100
local LOADED_WITHIN_MS = 300
-- Of a thousand bursts this many may come late, where the machine had stopped somebody for a while.
local MOST_LATE = faults.full and 2 or 0

local uv = vim.uv

---@param path string
---@param flags string
---@param text string
local function put(path, flags, text)
  local fd = assert(uv.fs_open(path, flags, tonumber("644", 8)))
  assert(uv.fs_write(fd, text))
  assert(uv.fs_close(fd))
end

---@type table<string, fun(path: string, text: string)>
local PATTERNS = {
  ["in place"] = function(path, text)
    put(path, "w", text)
  end,
  ["in place, in two steps"] = function(path, text)
    local fd = assert(uv.fs_open(path, "w", tonumber("644", 8)))
    assert(uv.fs_write(fd, text:sub(1, 5)))
    assert(uv.fs_write(fd, text:sub(6)))
    assert(uv.fs_close(fd))
  end,
  ["a new file renamed over"] = function(path, text)
    put(path .. ".tmp", "w", text)
    assert(uv.fs_rename(path .. ".tmp", path))
  end,
  ["unlinked and created"] = function(path, text)
    assert(uv.fs_unlink(path))
    put(path, "wx", text)
  end,
  ["a backup copy, then in place"] = function(path, text)
    assert(uv.fs_copyfile(path, path .. "~"))
    put(path, "w", text)
    assert(uv.fs_unlink(path .. "~"))
  end,
  ["renamed to a backup, then created"] = function(path, text)
    assert(uv.fs_rename(path, path .. "~"))
    put(path, "wx", text)
  end,
}

-- A Lua file and a JSON file that hold one number.
local FILES = {
  ["alpha.json"] = { text = '{"n": %d}\n', seen = "npc.ctx.json.n" },
  ["alpha/more.lua"] = { text = "_G.lua_n = %d\n", seen = "lua_n" },
}

---@param name string
---@param save fun(path: string, n: integer) makes the file hold this number, and returns when that is done
---@param opts? test.WatchOptions
local function bursts(name, save, opts)
  local file = FILES[name]
  local w = workspace.new({ config = { [name] = file.text:format(0) } })
  local child = watching.open(w, "alpha", vim.tbl_extend("force", { debounce_ms = DEBOUNCE_MS }, opts or {}))
  local path, n = w.config_dir .. "/" .. name, 0
  local late, twice, within = {}, {}, watching.within(LOADED_WITHIN_MS)
  local made, tried = 0, 0
  while made < BURSTS do
    tried = tried + 1
    assert(tried <= 3 * BURSTS, "most bursts take longer than the debounce")
    local began = uv.hrtime() / 1e6
    for _ = 1, SAVES do
      n = n + 1
      save(path, n)
    end
    local saved_at = uv.hrtime() / 1e6
    if saved_at - began > DEBOUNCE_MS then
      -- The machine has stopped somebody. It may rightly be taken for two, or be seen half done.
      watching.settled(w, child)
      child:lua("forget()")
    else
      made = made + 1
      watching.until_loads(child, 1)
      child:wait(("%s == %d"):format(file.seen, n))
      local loads = child:lua("local taken = loads; _G.loads = {}; return taken")
      local took = loads[#loads].at - saved_at
      if took > within then
        table.insert(late, ("burst %d: %d ms"):format(made, took))
      end
      if #loads ~= 1 then
        table.insert(twice, ("burst %d: %d loads"):format(made, #loads))
      end
    end
  end
  assert.is_true(#late <= MOST_LATE, vim.inspect(late))
  assert.are.same({}, twice)
  -- No load comes after the last one.
  assert.are.same({}, watching.settled(w, child))
  assert.are.same({}, child:lua("return errors"))
  child:stop()
end

describe("saves in a burst", function()
  for name, file in pairs(FILES) do
    for pattern, save in pairs(PATTERNS) do
      it(("of %s, %s: the last is loaded, once"):format(name, pattern), function()
        bursts(name, function(path, n)
          save(path, file.text:format(n))
        end)
      end)
    end

    for _, backupcopy in ipairs({ "yes", "no", "auto" }) do
      it(("of %s, with :w and 'backupcopy' %s: the last is loaded, once"):format(name, backupcopy), function()
        -- That what is written reaches the disk is no event, and takes as long as the disk likes.
        local init = ("vim.o.backupcopy, vim.o.fsync = %q, false"):format(backupcopy)
        local writer = support.child({ init = init })
        bursts(name, function(path, n)
          writer:lua(
            [[
              local path, text = ...
              if vim.api.nvim_buf_get_name(0) ~= path then vim.cmd.edit(path) end
              vim.api.nvim_buf_set_lines(0, 0, -1, false, { text })
              vim.cmd("silent write!")
            ]],
            path,
            vim.trim(file.text:format(n))
          )
        end)
        writer:stop()
      end)
    end
  end
end)

describe("JSON of which a half has been written", function()
  local HALF = '{\n  "n": 2,\n  "half": tr'

  ---@param debounce_ms integer
  local function open(debounce_ms)
    local w = workspace.new({
      config = { ["alpha.json"] = '{\n  "n": 1,\n  "kept": { "x": [1, 2] }\n}\n', ["alpha.lua"] = "note('alpha.lua')" },
    })
    local child = watching.open(w, "alpha", { debounce_ms = debounce_ms })
    child:lua("_G.json = npc.ctx.json; _G.kept = json.kept; _G.events = {}")
    return child, w, w.config_dir .. "/alpha.json"
  end

  --- Puts a text in place while the editor is stopped: that the file is empty for a moment would be news, too.
  ---@param child test.Child
  ---@param path string
  ---@param text string
  local function put_whole(child, path, text)
    watching.at_once(child, function()
      put(path, "w", text)
    end)
  end

  it("and that heals before anybody has looked is not noticed", function()
    local debounce_ms = 500
    local child, w, path, seen
    -- Again and again, for longer than the debounce: nobody looks before it is over, if none of the pauses is longer.
    tries.within(debounce_ms, "longest pause in milliseconds", function(try)
      if try > 1 then
        child:stop()
      end
      child, w, path = open(debounce_ms)
      local began, last, longest = uv.hrtime(), uv.hrtime(), 0
      local function write(text)
        put(path, "w", text)
        longest, last = math.max(longest, uv.hrtime() - last), uv.hrtime()
      end
      repeat
        write(HALF)
        vim.wait(debounce_ms / 20, function()
          return false
        end)
      until uv.hrtime() - began > 2 * debounce_ms * 1e6
      seen = child:lua("return { #loads, json.n }")
      write('{\n  "n": 2,\n  "half": true\n}\n')
      return longest / 1e6
    end)
    assert.are.same({ 0, 1 }, seen)
    child:wait("json.n == 2")
    assert.are.equal(1, #watching.settled(w, child))
    assert.are.same({}, child:lua("return errors"))
    assert.are.same({}, child:lua("return events"))
    child:stop()
  end)

  it("keeps the last good values, and is one error with its place until it is mended", function()
    local child, w, path = open(watching.DEBOUNCE_MS)
    for round = 1, 3 do
      put_whole(child, path, HALF)
      child:wait("#errors > 0")
      assert.are.same(
        { n = round == 1 and 1 or 3, x = { 1, 2 }, same = true },
        child:lua([[
        return { n = npc.ctx.json.n, x = npc.ctx.json.kept.x, same = npc.ctx.json == json and json.kept == kept }
      ]])
      )
      -- Touched, and replaced by the same half: no news.
      put_whole(child, path, HALF)
      watching.replace(path, HALF)
      watching.settled(w, child)
      child:lua("vim.api.nvim_exec_autocmds('FocusGained', {}); idle()")
      local errors = child:lua("return errors")
      assert.are.equal(1, #errors, vim.inspect(errors))
      assert.are.same({ "syntax", path, 3 }, { errors[1].code, errors[1].path, errors[1].line })
      assert.is_truthy(errors[1].message:find(("%s:3:%d"):format(path, errors[1].column), 1, true), errors[1].message)
      put_whole(child, path, '{\n  "n": 3,\n  "kept": { "x": [1, 2] }\n}\n')
      child:wait("json.n == 3")
      -- The second time the values are those that were shown all along.
      watching.settled(w, child)
      -- It was right in between: the next one is news.
      child:lua("_G.errors = {}")
    end
    assert.are.same({}, child:lua("return events"))
    child:stop()
  end)

  it("is told of through one notification where there is no on_error", function()
    local child, w, path = open(watching.DEBOUNCE_MS)
    child:lua("options.on_error = nil; npc.setup(options); assert(load_now()); forget()")
    put_whole(child, path, HALF)
    child:wait("#test_notifications > 0")
    put_whole(child, path, HALF)
    watching.settled(w, child)
    local notifications = child:notifications()
    assert.are.equal(1, #notifications, vim.inspect(notifications))
    assert.is_truthy(notifications[1].message:find("alpha.json:3:", 1, true), notifications[1].message)
    child:stop()
  end)
end)

it("a Lua file that throws is told of at each change of it, and does not stop the watching", function()
  local w = workspace.new({ config = { ["alpha.lua"] = "note(1)" } })
  local child = watching.open(w, "alpha")
  for round = 1, 3 do
    watching.replace(w.config_dir .. "/alpha.lua", ("\nerror('round %d')"):format(round))
    child:wait(("#errors == %d"):format(round))
    local err = child:lua("return errors[#errors]")
    assert.are.same({ "runtime", 2 }, { err.code, err.line })
    assert.is_truthy(err.message:find("round " .. round, 1, true))
  end
  child:lua("_G.events = {}")
  watching.replace(w.config_dir .. "/alpha.lua", "note(2)")
  child:wait("events[1] == 2")
  assert.are.equal(3, #child:lua("return errors"))
  child:stop()
end)
