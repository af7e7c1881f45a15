-- What specs share: directories, files, and real child editors (child.lua). No assertions and no knowledge of the
-- plugin: a spec says itself what it expects.
local M = {}

--- The checkout.
M.root = vim.fs.dirname(vim.fs.dirname(vim.fs.dirname(vim.uv.fs_realpath(debug.getinfo(1, "S").source:sub(2)))))

M.child = require("tests.support.child").start

--- Lua for a child that shows error messages: one that does not fit would make a headless editor wait for a second.
M.room_for_messages = "vim.o.columns, vim.o.lines, vim.o.cmdheight = 1000, 100, 50\n"

---@return string path of a new, empty directory without symbolic links in it
function M.tmpdir()
  return assert(vim.uv.fs_mkdtemp(vim.uv.fs_realpath(vim.uv.os_tmpdir()) .. "/dir-XXXXXX"))
end

--- Writes a file, byte for byte, and makes the directories above it.
---@param path string
---@param text string
---@return string path
function M.write(path, text)
  vim.fn.mkdir(vim.fs.dirname(path), "p")
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
  return path
end

---@param path string
---@return string|nil text nil when there is no such file
function M.read(path)
  local file = io.open(path, "rb")
  if not file then
    return nil
  end
  local text = file:read("*a")
  file:close()
  return text
end

---@class test.Link
---@field link string target of a symbolic link

---@alias test.Tree table<string, string|true|test.Link|test.Tree>

--- Builds a file tree: a string is a file's text, `true` an empty directory, `{ link = target }` a symbolic link, any
--- other table a directory. Names may hold slashes: `{ ["a/b.json"] = "{}", [".git"] = true }`.
---@param tree test.Tree
---@param dir? string where to build it (default: a new temporary directory)
---@return string dir
function M.tree(tree, dir)
  dir = dir or M.tmpdir()
  vim.fn.mkdir(dir, "p")
  for name, node in pairs(tree) do
    local path = dir .. "/" .. name
    if type(node) == "string" then
      M.write(path, node)
    elseif node == true then
      vim.fn.mkdir(path, "p")
    elseif type(node.link) == "string" then
      vim.fn.mkdir(vim.fs.dirname(path), "p")
      assert(vim.uv.fs_symlink(node.link, path))
    else
      M.tree(node, path)
    end
  end
  return dir
end

return M
