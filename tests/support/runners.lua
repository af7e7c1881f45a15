-- Runners of coroutines, as Lua for an editor's init.lua: `runners[name](fn, done)` runs `fn` as an asynchronous function of that
-- library and calls `done(ok, ...)` with what it has returned, or with false and its error. Those of libraries are small ones here,
-- written after the libraries' protocols; where an environment variable names a checkout, the real one takes their place.
local M = {}

-- By the environment variable that names its directory. No registry that tests can rely on has them.
local REAL = {
  PLENARY = [[
    local async = require("plenary.async")
    runners["plenary.async"] = function(fn, done)
      -- It has no way to catch what a task throws.
      async.run(function() return pcall(fn) end, done)
    end
  ]],
  NIO = [[
    local nio = require("nio")
    runners["nvim-nio"] = function(fn, done) nio.run(fn, done) end
  ]],
  ASYNC = [[
    local async = require("async")
    runners["async.nvim"] = function(fn, done)
      async.run(fn):on_complete(function(err, ...)
        if err ~= nil then return done(false, err) end
        done(true, ...)
      end)
    end
  ]],
}

local SMALL = [==[
_G.runners = {}

runners["a bare coroutine"] = function(fn, done)
  coroutine.wrap(function() done(pcall(fn)) end)()
end

-- plenary.async: a task yields a function, the position of its callback, and the arguments before that.
runners["plenary.async"] = function(fn, done)
  local co = coroutine.create(fn)
  local step
  local function go_on(ok, ...)
    if not ok or coroutine.status(co) == "dead" then
      return done(ok, ...)
    end
    local leaf, position = ...
    assert(type(leaf) == "function" and type(position) == "number", "not plenary's protocol")
    local arguments = { select(3, ...) }
    arguments[position] = step
    leaf(unpack(arguments, 1, position))
  end
  function step(...) go_on(coroutine.resume(co, ...)) end
  step()
end

-- nvim-nio: the position comes first; a task that runs is known by its coroutine. It is found through `require` only.
local nio = { tasks = setmetatable({}, { __mode = "k" }) }
function nio.current_task()
  local co, is_main = coroutine.running()
  return co and not is_main and nio.tasks[co] or nil
end
runners["nvim-nio"] = not REAL.NIO and function(fn, done)
  package.loaded["nio.tasks"] = { current_task = nio.current_task }
  local co = coroutine.create(fn)
  nio.tasks[co] = {}
  local step
  local function go_on(ok, ...)
    if not ok or coroutine.status(co) == "dead" then
      nio.tasks[co] = nil
      return done(ok, ...)
    end
    local position, leaf = ...
    assert(type(position) == "number" and type(leaf) == "function", "not nio's protocol")
    local arguments = { select(3, ...) }
    arguments[position] = step
    leaf(unpack(arguments, 1, position))
  end
  function step(...) go_on(coroutine.resume(co, ...)) end
  step()
end

-- async.nvim: only what its own `await` yields is taken, only what it hands in itself is returned from there.
local function async_nvim(name)
  local tasks, yielded, resumed, async = setmetatable({}, { __mode = "k" }), {}, {}, {}
  local function check(token, err, ...)
    if token ~= resumed then error("Unexpected coroutine.resume()", 0) end
    if err ~= nil then error(err, 0) end
    return ...
  end
  function async.await(awaitable)
    if not tasks[coroutine.running() or false] then error("Not in async context", 0) end
    if type(awaitable) ~= "function" then error("Invalid arguments", 0) end
    return check(coroutine.yield(yielded, awaitable))
  end
  function async.pawait(...) return pcall(async.await, ...) end
  return function(fn, done)
    package.loaded[name] = async
    local co = coroutine.create(function(token)
      check(token)
      return fn()
    end)
    tasks[co] = true
    local function go_on(ok, ...)
      if not ok or coroutine.status(co) == "dead" then
        tasks[co] = nil
        return done(ok, ...)
      end
      local token, awaitable = ...
      if token ~= yielded then
        tasks[co] = nil
        return done(false, "Unexpected coroutine.yield()")
      end
      local settled = false
      awaitable(function(...)
        if settled then return end
        settled = true
        go_on(coroutine.resume(co, resumed, nil, ...))
      end)
    end
    go_on(coroutine.resume(co, resumed))
  end
end

local has_vim_async, vim_async = pcall(require, "vim._async")
if has_vim_async then
  runners["vim._async"] = function(fn, done)
    vim_async.run(fn, function(err, ...)
      if err ~= nil then return done(false, err) end
      done(true, ...)
    end)
  end
end

if not REAL.ASYNC then
  runners["async.nvim"] = async_nvim("async")
end
if not vim.async then
  runners["vim.async"] = async_nvim("vim.async")
else
  runners["vim.async"] = function(fn, done)
    vim.async.run(fn):on_complete(function(err, ...)
      if err ~= nil then return done(false, err) end
      done(true, ...)
    end)
  end
end
]==]

--- The names of the runners that every editor has.
M.always = {
  "a bare coroutine",
  "plenary.async",
  "nvim-nio",
  "async.nvim",
  "vim.async",
}

---@return string lua for the editor's init.lua, before anything else
function M.lua()
  local text, real = { "", SMALL }, {}
  for variable, code in pairs(REAL) do
    local dir = vim.env[variable] or ""
    if dir ~= "" then
      real[variable] = true
      table.insert(text, ("vim.opt.runtimepath:append(%q)\ndo\n%s\nend"):format(dir, code))
    end
  end
  text[1] = "local REAL = " .. vim.inspect(real, { newline = " " })
  return table.concat(text, "\n")
end

--- The names of all runners of an editor that has been started with `lua()`, sorted.
---@param child test.Child
---@return string[]
function M.names(child)
  return child:lua("local names = vim.tbl_keys(runners); table.sort(names); return names")
end

return M
