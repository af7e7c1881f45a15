--- Two projects of one name: how users are told, and what would mend it.
---
--- What a clash is, and whether it is news, is found out by the library after each load (`check_name`, called by `run.lua`). Loaded with the
--- first clash.

local M = {}

--- A text as it is written in Lua, on one line.
---@param text string
---@return string
local function quoted(text)
  local inner = text:gsub('[%c"\\]', function(char)
    return (char == '"' or char == "\\") and "\\" .. char or ("\\%03d"):format(char:byte())
  end)
  return '"' .. inner .. '"'
end

---@param path string
---@return string
local function short(path)
  return vim.fn.fnamemodify(path, ":~")
end

--- The option that gives the project a name of its own.
---@param clash project_config.Clash
---@return string
local function remedy(clash)
  return ("names = { [%s] = %s }"):format(quoted(short(clash.root)), quoted(clash.proposal))
end

--- What `:ProjectConfig` says of it.
---@param clash project_config.Clash
---@return string
function M.text(clash)
  return ("%s is the name of %s and of %s, so both get the same configuration; to tell them apart: setup({ %s }), and rename the files"):format(
    clash.name,
    short(clash.root),
    short(clash.other_root),
    clash.remedy
  )
end

--- Takes note that the context's project shares its name, or, without `clash`, that it does so no more.
---@param ctx project_config.Context
---@param clash? project_config.Clash
---@param is_news boolean the user has not been told of it in this session
function M.note(ctx, clash, is_news)
  ctx._clash = clash
  if not clash then
    return
  end
  clash.remedy = remedy(clash)
  if not is_news then
    return
  end
  -- Who listens to all events of the plugin may not look at this one.
  local is_heard = vim.fn.exists("#User#ProjectConfigNameClash") == 1
  require("nvim-project-config.events").fire("NameClash", ctx, {
    root = clash.root,
    name = clash.name,
    reason = ctx._report.reason,
    other_root = clash.other_root,
    remedy = clash.remedy,
  })
  if not is_heard then
    -- Short: what takes several lines asks for a key.
    local text = ("nvim-project-config: %s is the name of %s, too; see :ProjectConfig"):format(
      clash.name,
      short(clash.other_root)
    )
    vim.notify(text, vim.log.levels.WARN)
  end
end

return M
