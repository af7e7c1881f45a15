-- Runs one spec with busted inside `nvim -l spec.lua SPEC RESULT`: busted's own runner, plus an output that tests/run.lua
-- can read. RESULT gets `passed failed skipped`; without that file the spec has crashed.
local spec, result_path = arg[1], arg[2]
local root = vim.fs.dirname(vim.fs.dirname(vim.fs.dirname(debug.getinfo(1, "S").source:sub(2))))
local tools = root .. "/.deps/lua-tools"

-- Set here, not by LUA_PATH: the editors that a spec starts must not find the tools.
package.path = table.concat(
  { tools .. "/lib/?.lua", tools .. "/lib/?/init.lua", root .. "/?.lua", root .. "/?/init.lua", package.path },
  ";"
)
package.cpath = tools .. "/clib/?.so;" .. package.cpath
vim.opt.runtimepath:prepend(root)

-- busted leaves through os.exit, which would skip VimLeave and close the Lua state under the editor.
local failed_code
require("busted.compatibility").exit = function(code)
  failed_code = code
end

---@param failure table busted's record of a failed test or a broken file
local function describe(failure)
  local trace = failure.element.trace or failure.trace or {}
  local message = failure.message
  if type(message) ~= "string" then
    message = message == nil and "nil error" or vim.inspect(message)
  end
  return ("%s\n  %s:%s\n  %s\n"):format(
    failure.name,
    trace.short_src or "?",
    trace.currentline or "?",
    message:gsub("\n", "\n  ")
  )
end

local function output()
  local busted = require("busted")
  local handler = require("busted.outputHandlers.base")()
  busted.subscribe({ "suite", "end" }, function()
    for _, list in ipairs({ handler.failures, handler.errors }) do
      for _, failure in ipairs(list) do
        io.stdout:write(describe(failure))
      end
    end
    io.stdout:flush()
    local file = assert(io.open(result_path, "wb"))
    file:write(
      ("%d %d %d"):format(handler.successesCount, handler.failuresCount + handler.errorsCount, handler.pendingsCount)
    )
    file:close()
    return nil, true
  end)
  return handler
end
package.preload["busted.outputHandlers.spec"] = function()
  return output
end

arg = { [0] = arg[0], "--output=spec", spec }
require("busted.runner")({ standalone = false })

local child = package.loaded["tests.support.child"]
if child then
  child.kill_all()
end
if failed_code then
  vim.cmd("1cquit")
end
