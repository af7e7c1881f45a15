-- The files that are measured: a monorepo, and the config_dir of someone with twenty projects. Generated, so that sizes and
-- shapes can be read here; the same for every figure except where the figure is about their number.
local M = {}

-- For this long after a change no cache can trust time stamps (git's racy rule; some file systems step in whole seconds).
local RACY_MS = 2500

local CROWD = 20000
local DEEP_LEVELS = 60
local FEW_LEVELS = 12
local MANY_FILES = 1000
local CACHED_FILES = 100
local LARGE_BYTES = 10 * 1024 * 1024
local MEDIUM_BYTES = 1024 * 1024

---@class bench.Place
---@field start_dir string
---@field config_dir string

---@param path string
---@param text string
local function write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

---@param path string
---@return string path
local function mkdir(path)
  vim.fn.mkdir(path, "p")
  return path
end

-- What a language server's settings look like: a few levels, short keys, mostly scalars.
---@param servers string[]
---@param size integer settings in each section
---@return table
local function language_servers(servers, size)
  local result = {}
  for index, server in ipairs(servers) do
    local settings = {}
    for _, section in ipairs({ "check", "completion", "diagnostics", "inlayHints", "workspace" }) do
      local values = { enable = index % 2 == 0, exclude = { "dist", "node_modules", ".cache" }, level = "warn" }
      for key = 1, size do
        values[section .. "Option" .. key] = key % 3 == 0 and key * 100 or key % 3 == 1 or "value " .. key
      end
      settings[section] = { [server] = values }
    end
    result[server] = { cmd = { server, "--stdio" }, filetypes = { "typescript", "rust", "lua" }, settings = settings }
  end
  return result
end

-- Comments apart, which `vim.json.decode` does not read: the floor has to be able to do the same work.
---@param path string
---@param value any
local function write_json(path, value)
  write(path, vim.json.encode(value))
end

local LUA = [[
vim.g.bench_ran = (vim.g.bench_ran or 0) + 1
local group = vim.api.nvim_create_augroup("%s", {})
vim.api.nvim_create_autocmd("BufWritePre", {
  group = group,
  pattern = { "*.ts", "*.tsx" },
  callback = function(event)
    vim.b[event.buf].formatted = vim.uv.now()
  end,
})
vim.keymap.set("n", "<leader>pt", function()
  vim.cmd("terminal npm test")
end, { desc = "Run the tests" })
vim.o.makeprg = "npm run build"
]]

local VIM = [[
let g:bench_ran = get(g:, 'bench_ran', 0) + 1
let s:script = expand('<sfile>')
function! s:Build(target) abort
  execute 'make' a:target
endfunction
command! -nargs=1 ProjectBuild call s:Build(<q-args>)
augroup %s
  autocmd!
  autocmd BufNewFile,BufRead *.mdx setfiletype markdown
augroup END
]]

-- A project of the usual size: settings in two files, Lua in two, Vim in one.
---@param config_dir string
---@param name string
local function write_project(config_dir, name)
  local stem = config_dir .. "/" .. name
  local group = "bench." .. name
  mkdir(stem)
  write_json(
    stem .. ".json",
    { formatter = "prettier", test = { command = "npm test" }, lsp = language_servers({ "tsserver" }, 4) }
  )
  write_json(stem .. "/lsp.json", { lsp = language_servers({ "tsserver", "eslint" }, 8) })
  write(stem .. ".lua", LUA:format(group))
  write(stem .. "/keys.lua", LUA:format(group .. ".keys"))
  write(stem .. ".vim", VIM:format(group))
end

---@param config_dir string
local function write_config_dir(config_dir)
  mkdir(config_dir)
  for index = 1, 18 do
    write_project(config_dir, ("project-%02d"):format(index))
  end
  write_project(config_dir, "big-repo")
  write_project(config_dir, "big-repo/frontend")
end

-- As in a package lock: many objects of a dozen members, four levels deep, that name each other.
---@param bytes integer
---@return string
local function packages_json(bytes)
  local parts, size = {}, 0
  local index = 0
  while size < bytes do
    index = index + 1
    local package = {
      version = ("%d.%d.%d"):format(index % 9, index % 31, index % 17),
      resolved = ("https://registry.example/package-%d/-/package-%d.tgz"):format(index, index),
      size = index * 37,
      optional = index % 5 == 0,
      dependencies = {},
      engines = { node = ">= 18", npm = vim.NIL },
      files = { "lib", "README.md", "index.js" },
    }
    for dependency = 1, index % 8 do
      local name = "package-" .. (index * 7 + dependency) % 20000
      package.dependencies[name] = { range = "^" .. dependency .. ".0.0", peer = false }
    end
    local part = ('"node_modules/package-%d": %s'):format(index, vim.json.encode(package))
    parts[index] = part
    size = size + #part + 2
  end
  return '{ "packages": {\n' .. table.concat(parts, ",\n") .. "\n} }\n"
end

-- Settings as people write them: 1 KB, in which one key changes.
local SMALL = [[
{
  "counter": 0,
  "formatter": { "name": "prettier", "args": ["--stdin-filepath", "%"], "timeout": 2000 },
  "test": {
    "command": "npm test",
    "env": { "NODE_ENV": "test", "CI": "1" },
    "patterns": ["**/*.test.ts", "**/*.spec.ts"]
  },
  "lsp": {
    "tsserver": {
      "enabled": true,
      "settings": {
        "inlayHints": { "parameterNames": "all", "variableTypes": false, "enumValues": true },
        "preferences": { "quoteStyle": "double", "importModuleSpecifier": "relative" },
        "maxMemory": 4096
      }
    },
    "eslint": {
      "enabled": true,
      "settings": { "run": "onSave", "format": false, "workingDirectories": ["packages/app", "packages/server"] }
    }
  },
  "editor": { "indent": 2, "wrap": false, "rulers": [80, 120], "trim": true, "newline": "lf" },
  "run": [
    { "name": "serve", "command": "npm run dev", "port": 3000, "open": true },
    { "name": "build", "command": "npm run build", "watch": false, "after": "lint" }
  ]
}
]]

local TOML = [[
name = "rule %d"
level = %d

# patterns
patterns = ["*.ts", "*.tsx"]
enabled = true
]]

local MANY = [[
vim.g.bench_ran = (vim.g.bench_ran or 0) + 1
local rule = { name = "rule %d", patterns = { "*.ts", "*.tsx" } }
function rule.applies(buf)
  return vim.bo[buf].filetype == "typescript"
end
_G.bench_rules = _G.bench_rules or {}
_G.bench_rules[%d] = rule
]]

---@param home string
---@return table<string, bench.Place>
function M.places(home)
  local package = home .. "/src/big-repo/packages/frontend"
  local plain = home .. "/src/plain"
  return {
    usual = { start_dir = package .. "/src/components", config_dir = home .. "/config/nvim/projects" },
    other = { start_dir = home .. "/src/project-01/src", config_dir = home .. "/config/nvim/projects" },
    crowded = { start_dir = package .. "/src/components", config_dir = home .. "/crowded" },
    deep = { start_dir = package .. ("/d"):rep(DEEP_LEVELS), config_dir = home .. "/config/nvim/projects" },
    twelve_deep = { start_dir = home .. "/src/few" .. ("/d"):rep(FEW_LEVELS), config_dir = home .. "/few" },
    routed = { start_dir = plain, config_dir = home .. "/routed" },
    many_files = { start_dir = plain, config_dir = home .. "/many" },
    small = { start_dir = plain, config_dir = home .. "/small" },
    large = { start_dir = plain, config_dir = home .. "/large" },
  }
end

--- Builds everything in a new home directory.
---@return string home
function M.build()
  local home = assert(vim.uv.fs_mkdtemp(vim.uv.fs_realpath(vim.uv.os_tmpdir()) .. "/bench-XXXXXX"))
  local places = M.places(home)
  for _, place in pairs(places) do
    mkdir(place.start_dir)
  end
  local repository = home .. "/src/big-repo"
  mkdir(repository .. "/.git")
  mkdir(home .. "/src/plain/.git")
  mkdir(home .. "/src/project-01/.git")
  write(repository .. "/package.json", "{}")
  write(repository .. "/packages/frontend/package.json", "{}")

  write_config_dir(places.usual.config_dir)
  write_config_dir(places.crowded.config_dir)
  for index = 1, CROWD do
    write(("%s/unrelated-%05d.%s"):format(places.crowded.config_dir, index, index % 2 == 0 and "json" or "lua"), "")
  end
  mkdir(places.many_files.config_dir .. "/plain")
  for index = 1, MANY_FILES do
    write(("%s/plain/%04d.lua"):format(places.many_files.config_dir, index), MANY:format(index, index))
  end
  local few = places.twelve_deep.config_dir
  mkdir(home .. "/src/few/.git")
  for _, name in ipairs({ "docs", "src", "tests" }) do
    mkdir(home .. "/src/few/" .. name)
  end
  mkdir(few .. "/few")
  write(few .. "/few.json", SMALL)
  write(few .. "/few.lua", LUA:format("few"))
  write(few .. "/few/more.lua", LUA:format("few.more"))
  mkdir(places.routed.config_dir .. "/plain")
  for index = 1, MANY_FILES do
    write(("%s/plain/%04d.toml"):format(places.routed.config_dir, index), TOML:format(index, index))
  end
  M.write_small(places.small.config_dir)
  mkdir(home .. "/cached")
  for index, path in ipairs(M.cached(home)) do
    write(path, ("%04d "):format(index):rep(200))
  end
  write(M.medium(home), packages_json(MEDIUM_BYTES))
  mkdir(places.large.config_dir)
  write(places.large.config_dir .. "/plain.json", packages_json(LARGE_BYTES))
  return home
end

--- Writes the small document, of the project `plain`, into a new directory.
---@param config_dir string
---@return string path
function M.write_small(config_dir)
  local path = mkdir(config_dir) .. "/plain.json"
  write(path, SMALL)
  return path
end

--- 1 MB of JSON that is no project's.
---@param home string
---@return string path
function M.medium(home)
  return home .. "/medium.json"
end

--- Files of 1 KB that the caches are asked for.
---@param home string
---@return string[] paths
function M.cached(home)
  local paths = {}
  for index = 1, CACHED_FILES do
    paths[index] = ("%s/cached/%03d.txt"):format(home, index)
  end
  return paths
end

--- Waits until what `build` wrote is so old that its time stamps can be trusted.
---@param home string
function M.settle(home)
  local newest = M.places(home).large.config_dir .. "/plain.json"
  local changed = assert(vim.uv.fs_stat(newest)).ctime
  local seconds, microseconds = vim.uv.gettimeofday()
  local age_ms = (seconds - changed.sec) * 1000 + (microseconds - changed.nsec / 1000) / 1000
  if age_ms < RACY_MS then
    vim.wait(RACY_MS - age_ms)
  end
end

return M
