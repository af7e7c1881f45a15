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

--- Loads because somebody has typed a command. What was notified of before is not notified of again, so it is said here.
---@param callback fun(ctx?: project_config.Context, err?: project_config.Error)
local function load_and_answer(callback)
  local before = errors.notifications
  npc().load(function(ctx, err)
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
  local ctx = npc().ctx
  if ctx.project_root and ctx._report.start_dir == vim.uv.cwd() then
    return open(ctx)
  end
  load_and_answer(function(loaded)
    if loaded then
      open(loaded)
    end
  end)
end

--- The kinds of files there are.
---@return string[]
local function kinds()
  local names = vim.tbl_keys(npc().ctx.executors)
  table.sort(names)
  return names
end

---@class project_config.Subcommand
---@field run fun(argument?: string)
---@field arguments? fun(): string[]

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
  },
}

--- Carries out the command.
---@param args { fargs: string[] }
function M.run(args)
  local name, argument = args.fargs[1] or "info", args.fargs[2]
  local subcommand = subcommands[name]
  local choices = subcommand and subcommand.arguments and subcommand.arguments()
  if not subcommand then
    local known = table.concat(M.complete("", "ProjectConfig ", 0), ", ")
    refuse((":ProjectConfig %s: unknown; known are %s"):format(name, known))
  elseif argument and not (choices and vim.list_contains(choices, argument)) or #args.fargs > 2 then
    local wanted = choices and "expects one of " .. table.concat(choices, ", ") or "takes no argument"
    refuse((":ProjectConfig %s %s"):format(name, wanted))
  else
    subcommand.run(argument)
  end
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
    candidates = arguments and arguments() or {}
  end
  table.sort(candidates)
  return vim.tbl_filter(function(candidate)
    return vim.startswith(candidate, lead)
  end, candidates)
end

return M
