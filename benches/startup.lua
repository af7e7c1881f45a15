-- What `require` + `setup` adds to the time that `nvim --clean` takes from its creation to VimEnter, with default options in a
-- project that has files: a load begins at once, on other threads.
--
-- Both variants are the same process but for that one call; the plugin's directory is in 'runtimepath' of both. The difference
-- is taken between two clock readings inside the process, the first right before the call: creating a process takes as long
-- as all the rest, varies by more than what is looked for here, and has nothing to do with it. It counts in what the
-- difference is compared with.
local child = require("benches.child")
local fixture = require("benches.fixture")
local stats = require("benches.stats")

local M = {}

local PAIRS = 250

---@param home string
---@param call string Lua
---@return { to_vim_enter: integer, after_mark: integer } nanoseconds
local function start(home, call)
  local stdout, began = child.start(home, fixture.places(home).usual.start_dir, {
    "--cmd",
    -- The autocommand is the last of VimEnter's: what the plugin does there counts.
    "lua bench_mark = vim.uv.hrtime() " .. call,
    "-c",
    "autocmd VimEnter * ++once lua local now = vim.uv.hrtime()"
      .. " io.stdout:write(('%d %d'):format(bench_mark, now)) vim.cmd('qall!')",
  })
  local mark, entered = stdout:match("^(%d+) (%d+)$")
  assert(entered, "a child did not say when it was ready: " .. stdout)
  return { to_vim_enter = tonumber(entered) - began, after_mark = tonumber(entered) - tonumber(mark) }
end

---@param home string
---@return bench.Figure[]
function M.measure(home)
  local bare_starts = {}
  local samples = stats.interleave(PAIRS, function()
    return start(home, [[require("nvim-project-config").setup()]]).after_mark
  end, function()
    local bare = start(home, "")
    table.insert(bare_starts, bare.to_vim_enter)
    return bare.after_mark
  end)
  local bare = stats.median(bare_starts)
  local added = vim.tbl_map(function(pair)
    return { ours = pair.ours - pair.floor, floor = bare }
  end, samples)
  return { { title = "start-up: added by require + setup", limit = 0.08, pairs = added } }
end

return M
