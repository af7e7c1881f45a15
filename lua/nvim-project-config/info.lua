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

--- How many projects are loaded, if there are several, and what is watched.
---@param ctx project_config.Context
---@param line fun(title: string, text: string, highlight?: string)
local function following(ctx, line)
  local count = #require("nvim-project-config.buffers").contexts()
  if count > 1 then
    line("loaded", count .. " projects")
  end
  if ctx._trouble then
    line("trouble", ctx._trouble.message, "WarningMsg")
  end
  local watching = package.loaded["nvim-project-config.watching"]
  local watched = watching and watching.watched() or {}
  if #watched > 0 then
    line("watch", table.concat(watched, ", "))
  end
  if watching and watching.blindness then
    line("", watching.blindness.message, "WarningMsg")
  end
end

---@return [string, string?][]
local function nothing_loaded(ctx)
  local chunks =
    { { "No project is loaded. :ProjectConfig load loads the one you are in, from " .. config_dir_of(ctx) .. "." } }
  if next(ctx._json) ~= nil then
    local keys = vim.tbl_map(tostring, vim.tbl_keys(ctx._json))
    table.sort(keys)
    table.insert(
      chunks,
      { "\nSettings that were changed here go to the next project: " .. table.concat(keys, ", ") .. "." }
    )
  end
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
  if ctx._clash then
    line("clash", require("nvim-project-config.clash").text(ctx._clash), "WarningMsg")
  end
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
  following(ctx, line)
  if next(loading.runs) then
    line("", "A load is under way. If your own code keeps it from ending, :ProjectConfig clear ends it.")
  end
  local watching = package.loaded["nvim-project-config.watching"]
  local cwd = not (watching and watching.follows()) and vim.uv.cwd()
  if cwd and not vim.startswith(cwd .. "/", (ctx.project_root:gsub("/$", "")) .. "/") then
    line("", "You are in " .. short(cwd) .. " now; :ProjectConfig load loads that project.")
  end
  return chunks
end

return M
