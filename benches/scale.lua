-- What must not matter: entries in config_dir that belong to other projects, and how deep below its root the user is. Ours
-- against ours, the first load and a repeated one.
local cold = require("benches.cold")
local fixture = require("benches.fixture")
local stats = require("benches.stats")
local warm = require("benches.warm")

local M = {}

local COLD_PAIRS = 40
-- Each is the median of many loads.
local WARM_PAIRS = 6

---@param home string
---@return bench.Figure[]
function M.measure(home)
  fixture.settle(home)
  local places = fixture.places(home)
  local figures = {}
  local function compare(title, large)
    local ways = { { "cold", COLD_PAIRS, cold.time }, { "warm", WARM_PAIRS, warm.time } }
    for _, way in ipairs(ways) do
      local name, count, time = unpack(way)
      local samples = stats.interleave(count, function()
        return time(home, large, "plugin")
      end, function()
        return time(home, places.usual, "plugin")
      end)
      table.insert(figures, { title = ("%s, %s, to the small case"):format(title, name), limit = 1.5, pairs = samples })
    end
  end
  compare("20,000 entries", places.crowded)
  compare("60 levels deep", places.deep)
  return figures
end

return M
