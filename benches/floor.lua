-- The floor: what someone who wants the same result writes by hand in plain Lua, as fast as that gets. Where the plugin does
-- more (names made safe, owners and modes checked, errors with their place, other packages' files kept apart), the floor does
-- not do it, although it would have to: a comparison must not be won by making the floor slow.
local M = {}

local uv = vim.uv

-- As in engine/src/pipeline/detect.rs: a floor that looks for fewer markers would find fewer projects.
local VCS = { ".git", ".hg", ".svn", ".jj" }
-- stylua: ignore
local MANIFESTS = {
  "package.json", "Cargo.toml", "go.mod", "pyproject.toml", "setup.py", "composer.json", "Gemfile", "pom.xml", "build.gradle",
  "build.gradle.kts", "mix.exs", "pubspec.yaml", "deno.json", "deno.jsonc", "build.sbt", "Package.swift", "stack.yaml", "gleam.toml",
}

---@param start_dir string
---@return string[] names of the repository and its packages around the directory, outermost first
local function project_names(start_dir)
  local repository = assert(vim.fs.root(start_dir, VCS))
  local names = {}
  local dir = start_dir
  while #dir > #repository do
    local package = vim.fs.root(dir, MANIFESTS)
    if not package or #package <= #repository then
      break
    end
    table.insert(names, 1, vim.fs.basename(package))
    dir = vim.fs.dirname(package)
  end
  table.insert(names, 1, vim.fs.basename(repository))
  return names
end

---@class bench.Files
---@field json string[]
---@field lua string[]
---@field vim string[]

---@param place bench.Place
---@return bench.Files
local function find_files(place)
  local files = { json = {}, jsonc = {}, lua = {}, vim = {} }
  local names = project_names(place.start_dir)
  local stem = place.config_dir
  for index, name in ipairs(names) do
    stem = stem .. "/" .. name
    for kind, list in pairs(files) do
      local path = stem .. "." .. kind
      if uv.fs_stat(path) then
        table.insert(list, path)
      end
    end
    local entries = {}
    for entry, type in vim.fs.dir(stem) do
      local base, extension = entry:match("^(.*)%.(%w+)$")
      if type == "file" and files[extension] and base ~= names[index + 1] then
        table.insert(entries, { path = stem .. "/" .. entry, kind = extension })
      end
    end
    table.sort(entries, function(a, b)
      return a.path < b.path
    end)
    for _, entry in ipairs(entries) do
      table.insert(files[entry.kind], entry.path)
    end
  end
  vim.list_extend(files.json, files.jsonc)
  return files
end

---@param path string
---@return string text
local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

--- Finds the project, loads its files and calls `on_load`.
---@param place bench.Place
---@param on_load fun(json: table)
function M.load(place, on_load)
  local files = find_files(place)
  local json = {}
  for _, path in ipairs(files.json) do
    json = vim.tbl_deep_extend("force", json, vim.json.decode(read(path)))
  end
  for _, path in ipairs(files.lua) do
    dofile(path)
  end
  for _, path in ipairs(files.vim) do
    vim.cmd.source(path)
  end
  on_load(json)
end

--- How long a load takes, in nanoseconds.
---@param place bench.Place
---@return integer elapsed, table json
function M.time(place)
  local began, ended, result = uv.hrtime(), 0, nil
  M.load(place, function(json)
    ended, result = uv.hrtime(), json
  end)
  return ended - began, result
end

--- The user's own code: what no loader can save, neither ours nor one by hand. Compiling a Lua file is part of it, reading
--- it is not; a Vim file has no such border.
---@param place bench.Place
---@return fun() run runs it
function M.user_code(place)
  local files = find_files(place)
  local texts = vim.tbl_map(read, files.lua)
  return function()
    for index, text in ipairs(texts) do
      assert(loadstring(text, "@" .. files.lua[index]))()
    end
    for _, path in ipairs(files.vim) do
      vim.cmd.source(path)
    end
  end
end

return M
