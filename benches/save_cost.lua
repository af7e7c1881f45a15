-- Saving one key in 1 MB of JSON, to parsing it, both in the engine: what an edit costs beyond understanding the text. Without
-- fsync, which is the disk's. Measured by engine/examples/save_cost.rs; built here, before its clock starts.
local fixture = require("benches.fixture")

local M = {}

local PAIRS = 60

local root = vim.fs.dirname(vim.fs.dirname(vim.uv.fs_realpath(debug.getinfo(1, "S").source:sub(2))))

---@param home string
---@return bench.Figure[]
function M.measure(home)
  -- stylua: ignore
  local command = {
    "cargo", "run", "--quiet", "--release", "--locked", "--package", "nvim-project-config-engine", "--example", "save_cost",
    "--", fixture.medium(home), tostring(PAIRS),
  }
  local result = vim.system(command, { cwd = root, text = true }):wait()
  assert(result.code == 0, result.stderr)
  return { { title = "saving one key in 1 MB, to parsing it", limit = 3, pairs = vim.json.decode(result.stdout) } }
end

return M
