-- What specs about the caches share: an editor of workspace.lua with a few more globals. `files` and `dirs` are the context's caches,
-- `forms` the ways to call a method of one and wait for its answer: `forms.callback(files, "get", path)` returns what the callback got.
-- Asserts nothing about the plugin but that it answers, and when.
local M = {}

--- The names in `forms`.
M.forms = { "callback", "coroutine", "async" }

local PRELUDE = [[
  _G.forms = {}
  function _G.forms.callback(cache, method, ...)
    local arguments, count, answers, returned = { ... }, select("#", ...) + 1, {}, false
    arguments[count] = function(...)
      table.insert(answers, { select("#", ...), ... })
      assert(returned, "called back inside of the call")
      assert(not vim.in_fast_event(), "called back in a fast event")
    end
    assert(select("#", cache[method](cache, unpack(arguments, 1, count))) == 0, "the callback form returns something")
    returned = true
    assert(settle(function() return #answers > 0 end), "not answered within 8 s")
    local got = answers[1]
    return got[2], got[3]
  end
  function _G.forms.coroutine(cache, method, ...)
    local arguments, result = { ... }, nil
    local co = coroutine.create(function() result = { cache[method](cache, unpack(arguments)) } end)
    assert(coroutine.resume(co))
    assert(coroutine.status(co) == "suspended", "has not waited")
    assert(settle(function() return result end), "not answered within 8 s")
    return result[1], result[2]
  end
  function _G.forms.async(cache, method, ...)
    return forms.coroutine(cache, method .. "_async", ...)
  end
  -- The same for whom the form does not matter.
  function _G.get(cache, path) return forms.callback(cache, "get", path) end
  function _G.write(path, data) return forms.callback(files, "write", path, data) end
  -- What RPC can carry of an error, with nothing that differs from one machine to the next.
  function _G.err_of(result, err)
    return { result = result, code = err and err.code, path = err and err.path, message = err and tostring(err) }
  end
  function _G.put(path, text)
    local file = assert(io.open(path, "wb"))
    assert(file:write(text))
    assert(file:close())
  end
  -- The context's caches; `npc.ctx` is another one after `setup`.
  setmetatable(_G, { __index = function(_, name)
    if name == "files" then return npc.ctx.file_cache end
    if name == "dirs" then return npc.ctx.dir_cache end
  end })
]]

---@class test.CachingOptions: test.OpenOptions
---@field tree? test.Tree what lies in `dir`

--- A directory of files, and an editor that can read them.
---@param opts? test.CachingOptions
---@return test.Child child, string dir
function M.open(opts)
  opts = opts or {}
  local w = require("tests.support.workspace").new({ config = { ["alpha.json"] = '{"from": "alpha"}' } })
  local dir = require("tests.support").tree(opts.tree or {}, w.dir .. "/files")
  local options = vim.tbl_extend("force", {}, opts, { before = PRELUDE .. (opts.before or "") })
  local child = w:open("alpha", options)
  child:lua("_G.dir = ...", dir)
  return child, dir
end

return M
