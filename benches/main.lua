-- The benchmark: measures each figure, prints it as a ratio with its limit, and fails if one is over. It owns the list and
-- the table; how a figure is measured lies in the file of its name, what plain Lua does in floor.lua.
local root = vim.fs.dirname(vim.fs.dirname(vim.uv.fs_realpath(debug.getinfo(1, "S").source:sub(2))))
package.path = root .. "/?.lua;" .. package.path

local fixture = require("benches.fixture")
local stats = require("benches.stats")

---@class bench.Figure
---@field title string
---@field limit number the ratio must not be higher
---@field pairs bench.Pair[]
---@field unit? string of what is counted; default: it is time

---@class bench.Pair
---@field ours number nanoseconds
---@field floor number nanoseconds

-- Start-up comes first, the warm figures late: by then every file is older than the two seconds in which a cache must not
-- trust its time stamps (fixture.settle makes sure).
-- stylua: ignore
local names = {
  "startup", "cold", "scale", "many_files", "router", "stall", "large_load", "warm", "own_time", "switching", "entering",
  "lua_stage",
  "one_assignment", "many_assignments", "save_cost", "saves", "cache_get", "cache_parallel", "slow_disk", "idle",
}

-- `print` goes to stderr in `nvim -l`.
---@param line string
local function say(line)
  io.stdout:write(line, "\n")
  io.stdout:flush()
end

---@param ns number
---@param unit? string
---@return string
local function quantity(ns, unit)
  if unit then
    return ("%d %s"):format(ns, unit)
  end
  return ns < 1e6 and ("%.0f µs"):format(ns / 1e3) or ("%.2f ms"):format(ns / 1e6)
end

-- Padding by display width: `µ` has two bytes.
---@param text string
---@param width integer
---@return string
local function left(text, width)
  return text .. (" "):rep(width - vim.api.nvim_strwidth(text))
end

---@param text string
---@param width integer
---@return string
local function right(text, width)
  return (" "):rep(width - vim.api.nvim_strwidth(text)) .. text
end

---@param figure bench.Figure
---@return boolean ok
local function report(figure)
  local ratios, ours, floor = {}, {}, {}
  for _, pair in ipairs(figure.pairs) do
    table.insert(ratios, pair.ours / pair.floor)
    table.insert(ours, pair.ours)
    table.insert(floor, pair.floor)
  end
  local ratio = stats.median(ratios)
  local ok = ratio <= figure.limit
  say(
    left(figure.title, 50)
      .. ("%6.3f  ≤ %-5s %-5s"):format(ratio, figure.limit, ok and "ok" or "MISS")
      .. right(("%.3f – %.3f"):format(stats.quantile(ratios, 0.25), stats.quantile(ratios, 0.75)), 15)
      .. right(quantity(stats.median(ours), figure.unit), 11)
      .. right(quantity(stats.median(floor), figure.unit), 11)
      .. right(tostring(#ratios), 7)
  )
  return ok
end

local began = vim.uv.hrtime()
local missed = 0
local home = fixture.build()
local ok, problem = xpcall(function()
  local version = vim.version()
  say(
    ("Neovim %d.%d.%d, %d cores, load %.1f"):format(
      version.major,
      version.minor,
      version.patch,
      vim.uv.available_parallelism(),
      (vim.uv.loadavg())
    )
  )
  say("medians of interleaved pairs; a ratio is ours to the floor's within a pair\n")
  say(left("", 50) .. " ratio  limit             quartiles       ours      floor  pairs")
  for _, name in ipairs(names) do
    if name:find(vim.env.FIGURE or "", 1, true) then
      for _, figure in ipairs(require("benches." .. name).measure(home)) do
        missed = missed + (report(figure) and 0 or 1)
      end
    end
  end
end, debug.traceback)
vim.fn.delete(home, "rf")
if not ok then
  io.stderr:write(problem, "\n")
  os.exit(1)
end
say(("\n%d over the limit; measured in %.0f s"):format(missed, (vim.uv.hrtime() - began) / 1e9))
os.exit(missed > 0 and 1 or 0)
