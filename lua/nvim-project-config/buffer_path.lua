--- Where a buffer's project is looked for: the path of a normal file buffer, or the directory that it shows.
---
--- The only place that knows which buffers belong to a project. Used by `watching.lua` and `buffers.lua`. Whether a path is a file, a directory
--- or nothing yet is not asked here, as that takes a disk.

local api = vim.api

--- Nil for buffers without a name, for those that are no files (help, terminals, lists, prompts), and for those of other schemes (`oil://`).
---@param buffer integer
---@return string? path
return function(buffer)
  if not api.nvim_buf_is_valid(buffer) then
    return nil
  end
  local path ---@type any
  if vim.bo[buffer].filetype == "netrw" then
    path = vim.b[buffer].netrw_curdir -- its name is often another one, or none
  elseif vim.bo[buffer].buftype == "" then
    path = api.nvim_buf_get_name(buffer)
  end
  -- Not only at the start: a scheme that Neovim does not know gets the current directory put before it.
  if type(path) ~= "string" or path == "" or path:find("://", 1, true) then
    return nil
  end
  return path
end
