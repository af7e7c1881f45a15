--- What `:ProjectConfig` shows: the current project, what ran, and what went wrong.

local loading = require("nvim-project-config.loading")
local native = require("nvim-project-config.native")

local M = {}

--- A path as short as it can be read: with `~`, or relative to the directory of the configuration.
---@param path string
---@param config_dir? string
---@return string
local function short(path, config_dir)
  if config_dir and vim.startswith(path, config_dir .. "/") then
    return path:sub(#config_dir + 2)
  end
  return vim.fn.fnamemodify(path, ":~")
end

--- Where files were looked for, below the directory of the configuration: outermost project first.
---@param ctx project_config.Context
---@return string
local function names(ctx)
  local list = {}
  for index, project in ipairs(ctx.projects) do
    local stem, directory = native.get().file_names(project.name)
    list[index] = stem .. ".*, " .. directory .. "/*"
  end
  return table.concat(list, ", ")
end

--- The directory that the next load on this context would use.
---@param ctx project_config.Context
---@return string
local function config_dir_of(ctx)
  local dir = ctx.config_dir
  if type(dir) == "function" then
    local ok, result = pcall(dir, ctx)
    dir = ok and type(result) == "string" and result or "a directory that config_dir cannot name"
  end
  return short(dir)
end

---@return [string, string?][]
local function nothing_loaded(ctx)
  local chunks =
    { { "No project is loaded. :ProjectConfig load loads the one you are in, from " .. config_dir_of(ctx) .. "." } }
  if next(loading.runs) then
    chunks = { { "A load is under way. If your own code keeps it from ending, :ProjectConfig clear ends it." } }
  end
  return chunks
end

--- The chunks for `nvim_echo`.
---@param ctx project_config.Context
---@return [string, string?][]
function M.chunks(ctx)
  if not ctx.project_root then
    return nothing_loaded(ctx)
  end
  local report, config_dir = ctx._report, ctx.config_dir --[[@as string]]
  local chunks = {}
  local function line(title, text, highlight)
    chunks[#chunks + 1] = { ("%s%-8s"):format(#chunks > 0 and "\n" or "", title), "Title" }
    chunks[#chunks + 1] = { text, highlight }
  end
  line("project", ctx.project_name)
  line("root", short(ctx.project_root))
  for _, project in ipairs(#ctx.projects > 1 and ctx.projects or {}) do
    line("level", project.name .. "  (" .. short(project.root) .. ")")
  end
  line("config", short(config_dir))
  line("files", names(ctx))
  if #report.files == 0 and #report.errors == 0 then
    line("", "none was found; :ProjectConfig edit lua makes one")
  end
  for index, file in ipairs(report.files) do
    local what = file.ms and ("%.2f ms"):format(file.ms) or "merged"
    if file.failed then
      what = "failed"
    end
    line(
      ("%3d"):format(index),
      ("%10s  %s"):format(what, short(file.path, config_dir)),
      file.failed and "ErrorMsg" or nil
    )
  end
  for _, err in ipairs(report.errors) do
    line("error", require("nvim-project-config.errors").brief(err), "ErrorMsg")
  end
  for _, unsaved in ipairs(native.get().unsaved()) do
    local why = unsaved.message or (short(unsaved.path, config_dir) .. ": the disk has not answered yet")
    line("unsaved", ("%s; %s"):format(table.concat(unsaved.changes, ", "), why), "WarningMsg")
  end
  if next(loading.runs) then
    line("", "A load is under way. If your own code keeps it from ending, :ProjectConfig clear ends it.")
  end
  local cwd = vim.uv.cwd()
  if cwd and not vim.startswith(cwd .. "/", (ctx.project_root:gsub("/$", "")) .. "/") then
    line("", "You are in " .. short(cwd) .. " now; :ProjectConfig load loads that project.")
  end
  return chunks
end

return M
