-- Order statistics and pairing. Medians, because on a shared machine the disturbances are one-sided and large.
local M = {}

---@param values number[]
---@param q number 0 to 1
---@return number
function M.quantile(values, q)
  local sorted = vim.list_slice(values)
  table.sort(sorted)
  local position = 1 + (#sorted - 1) * q
  local below = math.floor(position)
  local above = math.min(below + 1, #sorted)
  return sorted[below] + (sorted[above] - sorted[below]) * (position - below)
end

---@param values number[]
---@return number
function M.median(values)
  return M.quantile(values, 0.5)
end

--- Takes samples of both sides in turn. Every second pair is taken the other way round, so that neither side is always the
--- one that finds what the other left behind (frequency, page cache, a load that grows).
---@param count integer
---@param ours fun(): number
---@param floor fun(): number
---@return bench.Pair[]
function M.interleave(count, ours, floor)
  local result = {}
  for index = 1, count do
    local pair = {}
    if index % 2 == 1 then
      pair.ours = ours()
      pair.floor = floor()
    else
      pair.floor = floor()
      pair.ours = ours()
    end
    result[index] = pair
  end
  return result
end

return M
