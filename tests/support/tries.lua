-- Figures that other work on the machine makes worse and never better: what the plugin itself does shows in the best of several tries.
local M = {}

local TRIES = 3

--- Measures until a figure is within its limit. If none is, that is an error which names them all.
---@param limit number
---@param what string what is measured, with its unit, for the message
---@param measure fun(try: integer): number
function M.within(limit, what, measure)
  local figures = {}
  for try = 1, TRIES do
    local figure = measure(try)
    if figure <= limit then
      return
    end
    figures[try] = ("%.0f"):format(figure)
  end
  error(("%s: %s, at most %s"):format(what, table.concat(figures, ", "), limit), 0)
end

return M
