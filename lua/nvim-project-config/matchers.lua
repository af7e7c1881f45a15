--- Matchers: conditions on directories (what they hold) and on files (their name), checked when they are made.
---
--- What is made here is data. The library decides with it (`src/stages.rs`, `engine/src/matcher.rs`), and asks the main loop only for
--- what is Lua's or Vim's: patterns, regexes and functions.

local M = {}

--- Nobody nests deeper by hand, and a list that holds itself has to end somewhere.
local MAX_DEPTH = 100
M.MAX_DEPTH = MAX_DEPTH

local metatable = {}

---@param op project_config.MatcherOp
---@param arguments table becomes the node
---@return project_config.MatcherNode
local function node(op, arguments)
  arguments.op = op
  return setmetatable(arguments, metatable)
end
M.node = node

---@param where string
---@param what string
local function fail(where, what)
  error(("nvim-project-config: %s: %s"):format(where, what), 0)
end

---@param where string
---@param text any
---@param wanted string
---@return string
local function check_text(where, text, wanted)
  if type(text) ~= "string" then
    fail(where, ("expected %s, got %s"):format(wanted, type(text)))
  elseif text == "" then
    fail(where, ("expected %s, got an empty string"):format(wanted))
  end
  return text
end

---@param where string
---@param name any
---@return project_config.MatcherNode
local function literal(where, name)
  check_text(where, name, "a name")
  if name:find("[/%z]") then
    fail(where, ("expected the name of a file or directory, got %s"):format(vim.inspect(name)))
  end
  return node("literal", { name })
end

local normalise

--- The elements of a list, as matchers.
---@param list table
---@param where string
---@param depth integer
---@return project_config.MatcherNode
local function of_list(list, where, depth)
  local op, items = "any", {} ---@type project_config.MatcherOp, project_config.MatcherNode[]
  for index, item in ipairs(list) do
    if type(item) == "table" and getmetatable(item) ~= metatable then
      op = "priority"
    end
    items[index] = normalise(item, ("%s[%d]"):format(where, index), depth + 1)
  end
  return node(op, items)
end

---@param value any
---@param where string
---@param depth integer
---@return project_config.MatcherNode
function normalise(value, where, depth)
  if depth > MAX_DEPTH then
    fail(where:sub(1, 60) .. "…", ("expected a matcher that is nested at most %d deep"):format(MAX_DEPTH))
  elseif type(value) == "string" then
    return literal(where, value)
  elseif type(value) == "function" then
    return node("fn", { fn = value })
  elseif type(value) ~= "table" then
    fail(where, "expected a string, a function, a list or a matcher, got " .. type(value))
  elseif getmetatable(value) == metatable then
    for index, item in ipairs(value) do
      if type(item) == "table" then
        normalise(item, ("%s.%s[%d]"):format(where, value.op, index), depth + 1)
      end
    end
    return value
  elseif not vim.islist(value) then
    fail(where, "expected a list, got a table with other keys")
  end
  return of_list(value, where, depth)
end

--- A user's matcher as a node. Raises an error that begins with `where`.
---@param value project_config.Matcher
---@param where string such as "stages.detect: matcher"
---@return project_config.MatcherNode
function M.normalise(value, where)
  return normalise(value, where, 1)
end

---@param op project_config.MatcherOp
---@param where string
---@param ... any
---@return project_config.MatcherNode
local function combine(op, where, ...)
  local items = {}
  for index = 1, select("#", ...) do
    items[index] = normalise((select(index, ...)), ("%s: argument %d"):format(where, index), 2)
  end
  return node(op, items)
end

--- Matches where at least one of the matchers does.
---@param ... project_config.Matcher
---@return project_config.MatcherNode
function M.any(...)
  return combine("any", "matchers.any", ...)
end

--- Matches where each of the matchers does.
---@param ... project_config.Matcher
---@return project_config.MatcherNode
function M.all(...)
  return combine("all", "matchers.all", ...)
end

--- Matches where the matcher does not.
---@param matcher project_config.Matcher
---@return project_config.MatcherNode
function M.not_(matcher)
  return node("not", { normalise(matcher, "matchers.not_", 2) })
end

--- Exactly this name.
---@param name string
---@return project_config.MatcherNode
function M.literal(name)
  return literal("matchers.literal", name)
end

--- Names in which `string.find` finds the pattern.
---@param pattern string
---@return project_config.MatcherNode
function M.pattern(pattern)
  check_text("matchers.pattern", pattern, "a Lua pattern")
  local problem = require("nvim-project-config.lua_pattern")(pattern)
  if problem then
    fail("matchers.pattern", ("'%s' is no Lua pattern: %s"):format(pattern, problem))
  end
  return node("pattern", { pattern })
end

--- Names that the glob matches as a whole: `*`, `?`, `[a-z]`, `{a,b}`.
---@param glob string
---@return project_config.MatcherNode
function M.glob(glob)
  check_text("matchers.glob", glob, "a glob")
  -- Without the library nothing is matched anyway.
  local lib = require("nvim-project-config.native").get()
  local problem = lib and lib.glob_problem(glob)
  if problem then
    fail("matchers.glob", problem)
  end
  return node("glob", { glob })
end

--- Compiled when they are first needed, and kept while they are in use: nodes stay plain data that can be compared.
---@type table<string, vim.regex>
local compiled = setmetatable({}, { __mode = "v" })

---@param text string
---@return vim.regex
local function compile(text)
  compiled[text] = compiled[text] or vim.regex(text)
  return compiled[text]
end

--- Names in which a Vim regular expression finds something, as |vim.regex()| does: magic, and case matters.
---@param regex string
---@return project_config.MatcherNode
function M.regex(regex)
  check_text("matchers.regex", regex, "a Vim regular expression")
  local ok, problem = pcall(compile, regex)
  if not ok then
    local text = tostring(problem):gsub("^.-(E%d+: )", "%1")
    fail("matchers.regex", ("'%s' is no regular expression: %s"):format(regex, text))
  end
  return node("regex", { regex })
end

--- What the function says: of a directory it gets the absolute path, of a file the name and the absolute path. It may await.
---@param test fun(...: string): any
---@return project_config.MatcherNode
function M.fn(test)
  if type(test) ~= "function" then
    fail("matchers.fn", "expected a function, got " .. type(test))
  end
  return node("fn", { fn = test })
end

--- Whether a pattern or a regex matches a name. On the main loop.
---@param leaf project_config.MatcherNode
---@param name string
---@return boolean
function M.matches(leaf, name)
  local text = leaf[1] --[[@as string]]
  if leaf.op == "pattern" then
    return name:find(text) ~= nil
  end
  return compile(text):match_str(name) ~= nil
end

return M
