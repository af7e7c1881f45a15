-- Builds the native module, puts it where the plugin looks for it (lua/nvim_project_config.{so,dylib,dll}), and makes the help's tags.
-- Three ways in, one implementation: lazy.nvim runs this file by itself; elsewhere `nvim -l build.lua` or dofile();
-- `make build` for developers. It decides nothing about the build, that is Cargo.toml's.
local source = assert(debug.getinfo(1, "S")).source:sub(2)
local root = vim.fs.dirname(vim.fn.fnamemodify(source, ":p"))
local extension = jit.os == "Windows" and "dll" or jit.os == "OSX" and "dylib" or "so"
local library = vim.fs.joinpath(root, "lua", "nvim_project_config." .. extension)
local BUILD_MS = 20 * 60 * 1000

---@return string path of cargo
local function find_cargo()
  -- An editor started from a desktop often lacks the shell's PATH.
  for _, cargo in ipairs({ "cargo", vim.fs.normalize("~/.cargo/bin/cargo") }) do
    if vim.fn.executable(cargo) == 1 then
      return cargo
    end
  end
  error("nvim-project-config: cargo was not found; install Rust 1.89 or newer (rustup), then build again", 0)
end

--- Waits without holding up the editor: lazy.nvim runs this file in a coroutine that it resumes at every turn of the loop.
---@param is_done fun(): boolean
---@return boolean done
local function wait(is_done)
  if not (package.loaded.lazy and coroutine.running()) then
    return (vim.wait(BUILD_MS, is_done, 20))
  end
  local deadline = vim.uv.now() + BUILD_MS
  while not is_done() and vim.uv.now() < deadline do
    coroutine.yield()
    -- A pause between the turns; lazy.nvim's loop would spin.
    vim.wait(20, is_done)
  end
  return is_done()
end

--- Runs cargo and finds in its report where it put the library, whatever target directory the user has configured.
---@return string path of the library that was built
local function build()
  local has_ui = #vim.api.nvim_list_uis() > 0
  local errors = {}
  local result ---@type vim.SystemCompleted?
  local command = { find_cargo(), "build", "--release", "--locked", "--message-format=json-render-diagnostics" }
  local process = vim.system(command, {
    cwd = root,
    text = true,
    stderr = function(_, text)
      table.insert(errors, text)
      if text and not has_ui then
        io.stderr:write(text)
      end
    end,
  }, function(completed)
    result = completed
  end)
  wait(function()
    return result ~= nil
  end)
  if not result then
    process:kill("sigkill")
    error(("nvim-project-config: cargo has not finished within %d minutes"):format(BUILD_MS / 60000), 0)
  end
  if result.code ~= 0 then
    local why = has_ui and table.concat(errors):sub(-2000) or "see above"
    error(("nvim-project-config: cargo build failed with code %d: %s"):format(result.code, why), 0)
  end
  for line in vim.gsplit(result.stdout or "", "\n", { trimempty = true }) do
    local message = vim.json.decode(line)
    if message.reason == "compiler-artifact" and message.target.name == "nvim_project_config" then
      for _, file in ipairs(message.filenames) do
        if vim.endswith(file, "." .. extension) then
          return file
        end
      end
    end
  end
  error("nvim-project-config: cargo built no library named nvim_project_config", 0)
end

--- By rename: writing into a library that an editor has loaded would crash that editor.
---@param built string
local function install(built)
  local temporary = ("%s.%d.tmp"):format(library, vim.uv.os_getpid())
  local ok, err = vim.uv.fs_copyfile(built, temporary)
  if ok then
    ok, err = vim.uv.fs_rename(temporary, library)
  end
  if not ok then
    vim.uv.fs_unlink(temporary)
    local remedy = jit.os == "Windows" and " (close every Neovim that has it loaded, then build again)" or ""
    error(("nvim-project-config: cannot put the library in place: %s%s"):format(err, remedy), 0)
  end
end

local ok, err = pcall(function()
  install(build())
  vim.cmd.helptags({ args = { vim.fs.joinpath(root, "doc") }, magic = { file = false, bar = false } })
end)
if not ok then
  -- `nvim -l` sets `arg`, and would show a stack trace.
  if arg then
    io.stderr:write(err, "\n")
    os.exit(1)
  end
  error(err, 0)
end
