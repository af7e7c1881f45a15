-- What both caches have to be able to do anywhere, as Lua for an editor's init.lua: `exercise(name, form, options)` goes through it all
-- where it is called and leaves what came of it in `outcomes[name]`; `M.expected` is what that has to be. It uses nothing that a fast
-- event forbids, asserts nothing, and never waits by itself: what hangs can be read off `doing[name]`.
local M = {}

M.lua = [==[
-- By name: what each exercise does now, and what came of those that have ended.
_G.doing, _G.outcomes = {}, {}

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

local function read(path)
  local file = io.open(path, "rb")
  local text = file and file:read("*a")
  if file then file:close() end
  return text
end

local function word(entry, err)
  if not entry then
    return err and (err.code or tostring(err)) or "nothing"
  elseif entry.entries then
    local names = {}
    for _, item in ipairs(entry.entries) do
      names[#names + 1] = item.name .. ":" .. item.type
    end
    return table.concat(names, " ")
  end
  return entry.content
end

local function same(a, b)
  return rawequal(a, b) and "the same" or "another"
end

-- In their order: a name, and what is done: `ask(cache, method, ...)` is `cache:method(...)`, awaited.
local steps = {
  { "file: hit", function(ask, file, _, dir, method)
    write(dir .. "/hit", "one")
    local first = ask(file, method("get"), dir .. "/hit")
    local again = ask(file, method("get"), dir .. "/hit")
    return word(first), first.size, first.path == dir .. "/hit", same(first, again)
  end },
  { "file: miss", function(ask, file, _, dir, method)
    local entry, err = ask(file, method("get"), dir .. "/miss")
    return word(entry, err), err.path == dir .. "/miss"
  end },
  { "file: changed", function(ask, file, _, dir, method)
    write(dir .. "/changed", "one")
    local first = ask(file, method("get"), dir .. "/changed")
    write(dir .. "/changed", "two")
    local second = ask(file, method("get"), dir .. "/changed")
    return word(first), word(second), same(first, second)
  end },
  { "file: deleted", function(ask, file, _, dir, method)
    write(dir .. "/deleted", "one")
    local first = ask(file, method("get"), dir .. "/deleted")
    os.remove(dir .. "/deleted")
    return word(first), word(ask(file, method("get"), dir .. "/deleted"))
  end },
  { "file: replaced", function(ask, file, _, dir, method)
    write(dir .. "/replaced", "one")
    local first = ask(file, method("get"), dir .. "/replaced")
    write(dir .. "/other", "two")
    os.rename(dir .. "/other", dir .. "/replaced")
    return word(first), word(ask(file, method("get"), dir .. "/replaced"))
  end },
  { "file: written without json", function(ask, file, _, dir, method)
    local path = dir .. "/raw.json"
    write(path, '{"n": 1}')
    local first = ask(file, method("get"), path)
    local n = first.json.n
    local ok, err = ask(file, method("write"), path, { content = '{"n": 2}' })
    local second = ask(file, method("get"), path)
    return n, ok, tostring(err), read(path), word(second), second.json.n, first.json.n
  end },
  { "file: written with json", function(ask, file, _, dir, method)
    local path, json = dir .. "/both.json", { n = 3 }
    local ok, err = ask(file, method("write"), path, { content = '{"n": 3}', json = json })
    local entry = ask(file, method("get"), path)
    return ok, tostring(err), read(path), entry.json.n, same(entry.json, json), same(entry.json, entry.json)
  end },
  { "file: cannot be written", function(ask, file, _, dir, method)
    local ok, err = ask(file, method("write"), dir, { content = "x" })
    local none, why = ask(file, method("write"), dir .. "/raw.json", {})
    return ok, err and err.path == dir, none, why and why.code, read(dir .. "/raw.json")
  end },
  { "file: invalidate", function(ask, file, _, dir, method)
    ask(file, method("get"), dir .. "/hit")
    return select("#", file:invalidate(dir .. "/hit")), word(ask(file, method("get"), dir .. "/hit"))
  end },
  { "file: clear_all", function(ask, file, _, dir, method)
    ask(file, method("get"), dir .. "/hit")
    return select("#", file:clear_all()), word(ask(file, method("get"), dir .. "/hit"))
  end },
  { "directory: hit", function(ask, _, directory, dir, method)
    vim.uv.fs_mkdir(dir .. "/list", 448)
    vim.uv.fs_mkdir(dir .. "/list/sub", 448)
    write(dir .. "/list/b", "")
    vim.uv.fs_symlink("b", dir .. "/list/a")
    local first = ask(directory, method("get"), dir .. "/list")
    local again = ask(directory, method("get"), dir .. "/list")
    return word(first), first.path == dir .. "/list", same(first, again)
  end },
  { "directory: miss", function(ask, _, directory, dir, method)
    local entry, err = ask(directory, method("get"), dir .. "/none")
    return word(entry, err), err.path == dir .. "/none"
  end },
  { "directory: changed", function(ask, _, directory, dir, method)
    write(dir .. "/list/c", "")
    return word(ask(directory, method("get"), dir .. "/list"))
  end },
  { "directory: a file of it is written", function(ask, file, directory, dir, method)
    local ok = ask(file, method("write"), dir .. "/list/d", { content = "" })
    return ok, word(ask(directory, method("get"), dir .. "/list"))
  end },
  { "directory: invalidate", function(ask, _, directory, dir, method)
    return select("#", directory:invalidate(dir .. "/list")), word(ask(directory, method("get"), dir .. "/list"))
  end },
  { "directory: clear_all", function(ask, _, directory, dir, method)
    return select("#", directory:clear_all()), word(ask(directory, method("get"), dir .. "/list"))
  end },
  { "directory: replaced", function(ask, _, directory, dir, method)
    vim.uv.fs_mkdir(dir .. "/fresh", 448)
    write(dir .. "/fresh/f", "")
    os.rename(dir .. "/list", dir .. "/old")
    os.rename(dir .. "/fresh", dir .. "/list")
    return word(ask(directory, method("get"), dir .. "/list"))
  end },
  { "directory: deleted", function(ask, _, directory, dir, method)
    os.remove(dir .. "/list/f")
    vim.uv.fs_rmdir(dir .. "/list")
    return word(ask(directory, method("get"), dir .. "/list"))
  end },
}

local function told(...)
  local list = {}
  for index = 1, select("#", ...) do
    list[index] = tostring((select(index, ...)))
  end
  return table.concat(list, " | ")
end

-- The steps one after the other, in the coroutine that calls.
local function go_through(name, ask, caches, method)
  local results = {}
  local dir = vim.uv.fs_mkdtemp(work .. "/exercise-XXXXXX")
  for _, step in ipairs(steps) do
    doing[name] = step[1]
    local function act()
      return told(step[2](ask, caches.file, caches.directory, dir, method))
    end
    -- A runner may resume what it drives only below its own functions, so an error is caught here, in the same coroutine.
    local ok, what = pcall(act)
    results[#results + 1] = step[1] .. ": " .. (ok and what or "threw " .. tostring(what))
  end
  doing[name], outcomes[name] = nil, results
end

---@class test.ExerciseOptions
---@field from? fun(call: fun()) how each call of the callback form gets to the place that it is to be made from
---@field caches? fun(): { file: table, directory: table }

-- `form` is "await" (`get`, `write` in the coroutine that calls), "async" (`get_async`, `write_async`) or "callback".
-- Only once under each name: where a load is followed by another one, the second would clear the caches below the first.
function _G.exercise(name, form, options)
  if doing[name] or outcomes[name] then
    return
  end
  options = options or {}
  doing[name] = "to begin"
  local function caches_of()
    if options.caches then
      return options.caches()
    end
    return { file = npc.ctx.file_cache, directory = npc.ctx.dir_cache }
  end
  local function method(plain)
    return form == "async" and plain .. "_async" or plain
  end
  if form ~= "callback" then
    return go_through(name, function(cache, what, ...) return cache[what](cache, ...) end, caches_of(), method)
  end

  -- The steps are in a coroutine; the calls are not, but where `exercise` is called and in the callbacks.
  local from = options.from or function(call) call() end
  local violations = {}
  local co = coroutine.create(function()
    local caches
    coroutine.yield(function(go_on)
      caches = caches_of()
      go_on()
    end)
    go_through(name, function(cache, what, ...)
      local arguments, count = { ... }, select("#", ...)
      return coroutine.yield(function(go_on)
        local is_inside, answers = true, 0
        arguments[count + 1] = function(...)
          answers = answers + 1
          if is_inside or answers > 1 or vim.in_fast_event() then
            table.insert(violations, ("%s: inside %s, answer %d, fast %s"):format(
              doing[name], tostring(is_inside), answers, tostring(vim.in_fast_event())))
          end
          if answers == 1 then go_on(...) end
        end
        local returned = select("#", cache[what](cache, unpack(arguments, 1, count + 1)))
        is_inside = false
        if returned > 0 then table.insert(violations, doing[name] .. ": something is returned") end
      end)
    end, caches, method)
    if #violations > 0 then outcomes[name] = violations end
  end)
  local function pump(...)
    local ok, request = coroutine.resume(co, ...)
    if not ok then
      outcomes[name] = { "threw " .. tostring(request) }
    elseif request then
      from(function()
        local called, problem = pcall(request, pump)
        if not called then outcomes[name] = { doing[name] .. " threw " .. tostring(problem) } end
      end)
    end
  end
  pump()
end

-- Waits until an exercise has ended, for at most 8 s, and says what it still does if it has not.
function _G.outcome_of(name)
  vim.wait(8000, function() return outcomes[name] end, 1)
  return outcomes[name] or { doing[name] and "still at: " .. doing[name] or "has not begun" }
end
]==]

M.expected = {
  "file: hit: one | 3 | true | the same",
  "file: miss: not_found | true",
  "file: changed: one | two | another",
  "file: deleted: one | not_found",
  "file: replaced: one | two",
  'file: written without json: 1 | true | nil | {"n": 2} | {"n": 2} | 2 | 1',
  'file: written with json: true | nil | {"n": 3} | 3 | another | the same',
  'file: cannot be written: false | true | false | invalid_argument | {"n": 2}',
  "file: invalidate: 0 | one",
  "file: clear_all: 0 | one",
  "directory: hit: a:link b:file sub:directory | true | the same",
  "directory: miss: not_found | true",
  "directory: changed: a:link b:file c:file sub:directory",
  "directory: a file of it is written: true | a:link b:file c:file d:file sub:directory",
  "directory: invalidate: 0 | a:link b:file c:file d:file sub:directory",
  "directory: clear_all: 0 | a:link b:file c:file d:file sub:directory",
  "directory: replaced: f:file",
  "directory: deleted: not_found",
}

return M
