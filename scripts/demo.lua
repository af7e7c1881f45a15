-- The init.lua of `make demo` and `make demo-ui`: sets the plugin up as a user does, then shows what it found. It only
-- reads what the context tells; the sample project and its configuration are made by scripts/demo.
local source = assert(debug.getinfo(1, "S")).source:sub(2)
vim.opt.runtimepath:prepend(vim.fs.dirname(vim.fs.dirname(source)))
vim.g.mapleader = " "

local DEADLINE_MS = 10000
local headless = vim.list_contains(vim.v.argv, "--headless")
local home = vim.uv.fs_realpath(vim.env.DEMO_HOME)

---@param format string
local function line(format, ...)
  io.stdout:write(format:format(...), "\n")
end

--- A path without the temporary directory in front of it.
---@param path string
local function short(path)
  return (path:gsub("^" .. vim.pesc(home .. "/"), ""))
end

--- JSON on several lines, keys sorted: vim.json.encode of Neovim 0.10 knows neither.
---@param value any
---@param indent string
---@return string
local function pretty(value, indent)
  if type(value) ~= "table" or vim.islist(value) or next(value) == nil then
    return vim.json.encode(value)
  end
  local keys = vim.tbl_keys(value)
  table.sort(keys)
  local members = vim.tbl_map(function(key)
    return ("%s  %s: %s"):format(indent, vim.json.encode(key), pretty(value[key], indent .. "  "))
  end, keys)
  return "{\n" .. table.concat(members, ",\n") .. "\n" .. indent .. "}"
end

---@param ctx project_config.Context
---@param total_ms number
local function show(ctx, total_ms)
  line("You are in   %s", short(assert(vim.uv.cwd())))
  line("Project      %s", ctx.project_name)
  line("Root         %s", short(ctx.project_root --[[@as string]]))
  for index, project in ipairs(ctx.projects) do
    line("%s%-20s %s", index == 1 and "Levels       " or "             ", project.name, short(project.root))
  end

  local config_dir = ctx.config_dir --[[@as string]]
  line("\nFiles of %s, in the order in which they ran:", short(config_dir))
  for index, file in ipairs(ctx._report.files) do
    local name = file.path:sub(#config_dir + 2)
    line("  %d. %-5s %-28s %s", index, file.kind, name, file.ms and ("%.3f ms"):format(file.ms) or "merged")
  end
  for path, kind in vim.fs.dir(config_dir, { depth = 5 }) do
    if kind == "file" and not ctx._files_loaded[vim.fs.joinpath(config_dir, path)] then
      line("  not read: %s (another package's)", path)
    end
  end

  line("\nctx.json, merged from them:\n%s", pretty(ctx.json, ""))
  local command = vim.fn.exists(":DevServer") == 2 and "exists" or "is missing"
  line("\nWhat they did: 'shiftwidth' is %d, :DevServer %s", vim.o.shiftwidth, command)

  line("\nHow long it took:")
  local timings = ctx._report.timings or {}
  for _, part in ipairs({ "detect", "read", "merge" }) do
    if timings[part .. "_ms"] then
      line("  %-28s %7.3f ms, off the main thread", part, timings[part .. "_ms"])
    end
  end
  line("  %-28s %7.3f ms, the rest of start-up included", "from setup to on_load", total_ms)
  for _, err in ipairs(ctx._report.errors) do
    line("error: %s", err.message)
  end
end

local began_ns = vim.uv.hrtime()
require("nvim-project-config").setup({
  on_load = function(ctx)
    local total_ms = (vim.uv.hrtime() - began_ns) / 1e6
    if not headless then
      vim.notify(
        "Loaded " .. ctx.project_name .. ". Try:  :ProjectConfig   :DevServer   <Space>f   :ProjectConfig edit json"
      )
      return
    end
    show(ctx, total_ms)
    vim.cmd(#ctx._report.errors == 0 and "qall!" or "1cquit")
  end,
})

if headless then
  vim.defer_fn(function()
    io.stderr:write(("\ndemo: nothing was loaded within %d s\n"):format(DEADLINE_MS / 1000))
    vim.cmd("1cquit")
  end, DEADLINE_MS)
end
