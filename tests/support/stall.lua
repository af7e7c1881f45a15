-- How long an editor's main loop did not turn: Lua for its init.lua, which defines `watch_loop()` and `longest_stall()`, the
-- longest time between two turns since then, in milliseconds. What is too long, a spec says itself.
return [[
  local uv, timer, last = vim.uv, vim.uv.new_timer(), nil
  local function tick()
    local now = uv.hrtime()
    _G.longest_ms, last = math.max(_G.longest_ms, (now - last) / 1e6), now
  end
  function _G.watch_loop()
    _G.longest_ms, last = 0, uv.hrtime()
    timer:start(1, 1, tick)
  end
  function _G.longest_stall()
    tick()
    timer:stop()
    return _G.longest_ms
  end
]]
