--- `:ProjectConfig` and its subcommands.

local errors = require("nvim-project-config.errors")
local native = require("nvim-project-config.native")

local M = {}

local function npc()
  return require("nvim-project-config")
end

---@param chunks [string, string?][]
local function echo(chunks)
  vim.api.nvim_echo(chunks, true, {})
end

local function milliseconds(ms)
  return ms and ("%8.2f ms"):format(ms) or "     merged"
end

--- What the current project is, what ran, and what went wrong.
local function info()
  local ctx = npc().ctx
  local _, failure = native.get()
  if failure then
    echo({ { "nvim-project-config: " .. failure.message, "ErrorMsg" } })
    return
  elseif not ctx.project_root then
    local dir = type(ctx.config_dir) == "string" and ctx.config_dir or "config_dir"
    echo({ { "No project is loaded. :ProjectConfig load loads the one you are in, from " .. dir .. "." } })
    return
  end
  local report, name = ctx._report, ctx.project_name --[[@as string]]
  local chunks = {
    { "project ", "Title" },
    { name },
    { "\nroot    ", "Title" },
    { ctx.project_root },
    { "\nfiles   ", "Title" },
    { report.stem .. ".{json,jsonc,lua,vim}, " .. report.stem .. "/*" },
  }
  for _, project in ipairs(#ctx.projects > 1 and ctx.projects or {}) do
    vim.list_extend(chunks, { { "\nlevel   ", "Title" }, { project.name .. "  (" .. project.root .. ")" } })
  end
  if #report.files == 0 then
    chunks[#chunks + 1] = { "\nNo file of this project was found; :ProjectConfig edit lua makes one." }
  end
  for index, file in ipairs(report.files) do
    chunks[#chunks + 1] = { ("\n%3d %s  %s"):format(index, milliseconds(file.ms), file.path) }
  end
  for _, err in ipairs(report.errors) do
    vim.list_extend(chunks, { { "\nerror   ", "ErrorMsg" }, { err.message } })
  end
  echo(chunks)
end

local function load()
  npc().load(function(ctx, err)
    if ctx then
      local count, problems = #ctx._report.files, #ctx._report.errors
      local tail = problems > 0 and (", %d with errors"):format(problems) or ""
      echo({ { ("%s: %d files loaded%s"):format(ctx.project_name, count, tail) } })
    elseif err and err.code == "cancelled" then
      echo({ { "nvim-project-config: " .. err.message } })
    end
  end)
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
  if ctx.project_root then
    return open(ctx)
  end
  npc().load(function(loaded)
    if loaded then
      open(loaded)
    end
  end)
end

---@class project_config.Subcommand
---@field run fun(argument?: string)
---@field arguments? string[]

---@type table<string, project_config.Subcommand>
local subcommands = {
  info = { run = info },
  load = { run = load },
  clear = {
    run = function()
      npc().clear()
    end,
  },
  edit = {
    run = function(kind)
      edit(kind or "json")
    end,
    arguments = { "json", "lua", "vim" },
  },
}

--- Carries out the command.
---@param args { fargs: string[] }
function M.run(args)
  local name, argument = args.fargs[1] or "info", args.fargs[2]
  local subcommand = subcommands[name]
  local choices = subcommand and subcommand.arguments
  if not subcommand then
    local known = table.concat(M.complete("", "ProjectConfig ", 0), ", ")
    errors.notify(errors.new("invalid_argument", (":ProjectConfig %s: unknown; known are %s"):format(name, known)))
  elseif argument and not (choices and vim.list_contains(choices, argument)) or #args.fargs > 2 then
    local wanted = choices and table.concat(choices, ", ") or "nothing"
    errors.notify(errors.new("invalid_argument", (":ProjectConfig %s: expected %s"):format(name, wanted)))
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
    candidates = vim.list_slice(subcommands[words[1]].arguments or {})
  end
  table.sort(candidates)
  return vim.tbl_filter(function(candidate)
    return vim.startswith(candidate, lead)
  end, candidates)
end

return M
