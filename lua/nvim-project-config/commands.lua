--- `:ProjectConfig` and its subcommands.

local errors = require("nvim-project-config.errors")
local native = require("nvim-project-config.native")

local M = {}

local function npc()
  return require("nvim-project-config")
end

---@param chunks [string, string?][]
local function echo(chunks)
  vim.api.nvim_echo(chunks, false, {})
end

--- Shows what is wrong to somebody who has typed a command, also if it was shown before.
---@param message string
local function complain(message)
  echo({ { "nvim-project-config: " .. message, "ErrorMsg" } })
end

---@param message string
local function refuse(message)
  -- Later: inside a Vim command, an error message becomes an exception with a stack trace.
  vim.schedule(function()
    vim.notify("nvim-project-config: " .. message, vim.log.levels.ERROR)
  end)
end

--- The context of the project that the user is in, if it is loaded, and that is known without looking at a disk.
---@return project_config.Context?
local function followed()
  local watching = package.loaded["nvim-project-config.watching"]
  local ctx = npc().ctx
  return watching and watching.follows() and ctx.project_root and ctx or nil
end

--- Loads because somebody has typed a command: the project that he is in. What was notified of before is not notified of again, so it is said
--- here.
---@param callback fun(ctx?: project_config.Context, err?: project_config.Error)
local function load_and_answer(callback)
  local before = errors.notifications
  npc().load(followed() or {}, function(ctx, err)
    if err and errors.notifications == before then
      complain(err.message)
    end
    callback(ctx, err)
  end)
end

local function info()
  local _, failure = native.get()
  if failure then
    complain(failure.message)
  else
    echo(require("nvim-project-config.info").chunks(npc().ctx))
  end
end

local function load()
  load_and_answer(function(ctx)
    if ctx then
      local problems, count = #ctx._report.errors, vim.tbl_count(ctx._files_loaded)
      local text = ("%s: %d %s loaded"):format(ctx.project_name, count, count == 1 and "file" or "files")
      if problems > 0 then
        text = ("%s, %d %s; see :ProjectConfig"):format(text, problems, problems == 1 and "error" or "errors")
      elseif ctx.on_load then
        return -- which has its own way to say that it ran, and would be covered
      end
      echo({ { text } })
    end
  end)
end

local function clear()
  local name = npc().ctx.project_name
  npc().clear()
  echo({ { name and (name .. ": left") or "no project was loaded" } })
end

--- The project's own file of this kind: the one that was loaded, else the one that would be.
---@param ctx project_config.Context
---@param kind string
---@return string
local function own_file(ctx, kind)
  local stem = ctx._report.stem
  local jsonc = stem .. ".jsonc"
  return kind == "json" and ctx._files_loaded[jsonc] and jsonc or (stem .. "." .. kind)
end

--- Calls `work` with the project that the user is in: the one that is followed, else the one around the current directory, loading first
--- if need be.
---@param work fun(ctx: project_config.Context)
local function with_project(work)
  local ctx = npc().ctx
  if followed() or ctx.project_root and ctx._report.start_dir == vim.uv.cwd() then
    return work(ctx)
  end
  load_and_answer(function(loaded)
    if loaded then
      work(loaded)
    end
  end)
end

--- Opens the project's file, loading first if need be. Directories that are missing are made when it is written.
---@param kind string
local function edit(kind)
  local function open(ctx)
    vim.cmd.edit({ args = { own_file(ctx, kind) }, magic = { file = false, bar = false } })
    vim.api.nvim_create_autocmd("BufWritePre", {
      group = vim.api.nvim_create_augroup("nvim-project-config.edit", { clear = false }),
      buffer = vim.api.nvim_get_current_buf(),
      once = true,
      desc = "nvim-project-config: make the directories of a new file",
      callback = function(event)
        vim.fn.mkdir(vim.fs.dirname(vim.api.nvim_buf_get_name(event.buf)), "p")
      end,
    })
  end
  with_project(open)
end

--- Keys as they are typed: between dots. A dot, a space or a backslash in a key has a backslash before it; before anything else, a
--- backslash is one.
---@param path string
---@return string[]
local function keys_of(path)
  local keys, key, at = {}, "", 1
  while at <= #path do
    local escaped = path:match("^\\([. \\])", at)
    local char = escaped or path:sub(at, at)
    if char == "." and not escaped then
      table.insert(keys, key)
      key = ""
    else
      key = key .. char
    end
    at = at + (escaped and 2 or 1)
  end
  table.insert(keys, key)
  return keys
end

---@param keys string[]
---@return string
local function path_of(keys)
  return table.concat(
    vim.tbl_map(function(key)
      return (key:gsub("[. \\]", "\\%0"))
    end, keys),
    "."
  )
end

--- The first word, and what follows it. A backslash makes a space part of the word.
---@param text string
---@return string? word, string rest
local function cut(text)
  text = vim.trim(text)
  local at = 1
  while at <= #text and not text:find("^%s", at) do
    at = at + (text:find("^\\[ \\]", at) and 2 or 1)
  end
  return at > 1 and text:sub(1, at - 1) or nil, vim.trim(text:sub(at))
end

---@param path string
---@return string
local function from(path)
  local file, line = npc().origin(keys_of(path))
  return file and ("  %s%s"):format(vim.fn.fnamemodify(file, ":~"), line and ":" .. line or "") or ""
end

--- A value as JSON, or, where somebody has put something else there, as Lua.
---@param value any
---@return string
local function text_of(value)
  local ok, text = pcall(vim.json.encode, value)
  return ok and text or vim.inspect(value, { newline = " ", indent = "" })
end

--- Shows one setting, and which file gives it.
---@param path string
local function get(path)
  with_project(function()
    local value = npc().get(keys_of(path))
    if value == nil then
      return echo({ { path .. ": not set" } })
    end
    echo({ { ("%s = %s"):format(path, text_of(value)) }, { from(path), "Comment" } })
  end)
end

--- Changes one setting, and says so when it is on disk.
---@param path string
---@param value any
---@param said string
local function change(path, value, said)
  with_project(function()
    local file = npc().origin(keys_of(path))
    if file then
      errors.forget(file) -- what is wrong with the change is said each time
    end
    local ok, err = npc().set(keys_of(path), value)
    if not ok then
      return refuse(tostring(err))
    end
    local before = errors.notifications
    npc().save(function(saved, problem)
      local now = npc().get(keys_of(path))
      if errors.notifications ~= before then
        return -- which has said what happened
      elseif not saved then
        refuse(tostring(problem))
      elseif value == nil and now ~= nil then
        echo({ { ("%s: is %s, which another file gives"):format(path, text_of(now)) }, { from(path), "Comment" } })
      else
        echo({ { path .. said }, { from(path), "Comment" } })
      end
    end)
  end)
end

--- Sets one setting. A value that is not JSON is a string.
---@param path string
---@param text string
local function set(path, text)
  local lib, failure = native.get()
  if not lib then
    return complain(tostring(failure))
  end
  local json = lib.json_value(text)
  local value = text ---@type any
  if json then
    value = vim.json.decode(json).value
  elseif text:find("^[%[{]") then
    return refuse(
      (":ProjectConfig set: %s is no valid JSON; a text that begins so must be in double quotes"):format(text)
    )
  end
  change(path, value, " = " .. text_of(value))
end

---@param path string
local function unset(path)
  with_project(function()
    if npc().get(keys_of(path)) == nil then
      return echo({ { path .. ": not set" } })
    end
    change(path, nil, ": removed")
  end)
end

--- The keys that continue a path that is being typed.
---@param lead string
---@return string[]
local function paths(lead)
  local keys = keys_of(lead)
  keys[#keys] = nil
  local container = npc().get(keys)
  if type(container) ~= "table" then
    return {}
  end
  local candidates = {}
  for key in pairs(container) do
    key = tostring(key)
    if key:find("^[^%s]+$") then -- others cannot be typed
      table.insert(candidates, path_of(vim.list_extend(vim.list_slice(keys), { key })))
    end
  end
  return candidates
end

--- The kinds of files there are.
---@return string[]
local function kinds(_)
  local names = vim.tbl_keys(npc().ctx.executors)
  table.sort(names)
  return names
end

---@class project_config.Subcommand
---@field run fun(argument: any, rest: string) the argument is a string where `usage` says so, else perhaps nil
---@field arguments? fun(lead: string): string[] candidates for its argument
---@field choices? boolean only the candidates are valid
---@field usage? string what it needs

---@type table<string, project_config.Subcommand>
local subcommands = {
  info = { run = info },
  load = { run = load },
  clear = { run = clear },
  edit = {
    run = function(kind)
      edit(kind or "json")
    end,
    arguments = kinds,
    choices = true,
  },
  get = { run = get, arguments = paths, usage = "PATH" },
  set = { run = set, arguments = paths, usage = "PATH VALUE" },
  unset = { run = unset, arguments = paths, usage = "PATH" },
}

--- What is wrong with the arguments of a subcommand.
---@param subcommand project_config.Subcommand
---@param argument? string
---@param rest string what follows the argument
---@return string?
local function misuse(subcommand, argument, rest)
  local usage = subcommand.usage
  if usage then
    local wants_value = usage:find(" ", 1, true) ~= nil
    if not argument or wants_value ~= (rest ~= "") then
      return "expects " .. usage
    end
  elseif subcommand.choices then
    local choices = subcommand.arguments("")
    if rest ~= "" or argument and not vim.list_contains(choices, argument) then
      return "expects one of " .. table.concat(choices, ", ")
    end
  elseif argument then
    return "takes no argument"
  end
end

--- Carries out the command.
---@param args { args: string }
function M.run(args)
  -- Neovim's own words lack the backslashes that a path needs, and do not say where the value begins.
  local name, rest = cut(args.args)
  local argument
  argument, rest = cut(rest)
  name = name or "info"
  local subcommand = subcommands[name]
  if not subcommand then
    local known = table.concat(M.complete("", "ProjectConfig ", 0), ", ")
    return refuse((":ProjectConfig %s: unknown; known are %s"):format(name, known))
  end
  local problem = misuse(subcommand, argument, rest)
  if
    not problem
    and subcommand.usage
    and vim.list_contains(keys_of(argument --[[@as string]]), "")
  then
    problem = argument .. ": a key is missing in this path"
  end
  if problem then
    return refuse((":ProjectConfig %s %s"):format(name, problem))
  end
  subcommand.run(argument, rest)
end

--- Completes subcommands and their arguments.
---@param lead string
---@param line string
---@param _ integer
---@return string[]
function M.complete(lead, line, _)
  local words = vim.split(line:gsub("^.-ProjectConfig%s*", ""), "%s+")
  local candidates = {}
  if #words <= 1 then
    candidates = vim.tbl_keys(subcommands)
  elseif #words == 2 and subcommands[words[1]] then
    local arguments = subcommands[words[1]].arguments
    candidates = arguments and arguments(lead) or {}
  end
  table.sort(candidates)
  return vim.tbl_filter(function(candidate)
    return vim.startswith(candidate, lead)
  end, candidates)
end

return M
