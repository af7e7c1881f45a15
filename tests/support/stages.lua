-- An editor for specs of pipelines: workspace.lua's, with the stages and matchers as globals. It asserts nothing.
--
-- In the editor: `walk`, `detect`, `find_files`, `execute`, `m` (matchers), `pipeline`, `DONE`; `load_with(stages, dir)` loads a
-- directory below `work` with these stages and waits; `told(ctx)` is what came of it; `pause()` gives the loop back within a coroutine.
local M = {}

M.PRELUDE = [[
  for _, name in ipairs({ "walk", "detect", "find_files", "execute" }) do
    _G[name] = require("nvim-project-config.stages." .. name)
  end
  _G.m = require("nvim-project-config.matchers")
  _G.pipeline = require("nvim-project-config.pipeline")
  _G.DONE = pipeline.DONE
  function _G.load_with(stages, dir)
    return load_now({ pipeline = stages, loading = dir and { start_dir = work .. "/" .. dir } or nil })
  end
  function _G.told(ctx, err)
    if not ctx then return { err = err.code, message = err.message } end
    local ran = {}
    for _, file in ipairs(ctx._report.files) do table.insert(ran, file.path:sub(#config_dir + 2)) end
    return {
      root = ctx.project_root == work and "." or ctx.project_root:sub(#work + 2),
      name = ctx.project_name,
      projects = #ctx.projects,
      files = ran,
      json = ctx.json,
    }
  end
  -- A bare yield, resumed in a later turn of the loop.
  function _G.pause()
    local co = coroutine.running()
    vim.schedule(function() assert(coroutine.resume(co)) end)
    coroutine.yield()
  end
  -- A stage that hands everything on, and notes it.
  function _G.pass(label)
    return function(_, rx, tx)
      for item in rx do
        if item == DONE then break end
        if label then note({ label, item }) end
        tx(item)
      end
    end
  end
  -- A stage that takes everything, into `list`.
  function _G.collect(list)
    return function(_, rx)
      while true do
        local item = rx()
        if item == DONE then break end
        table.insert(list, item)
      end
    end
  end
]]

---@param w test.Workspace
---@param dir string
---@param opts? test.OpenOptions
---@return test.Child
function M.open(w, dir, opts)
  opts = vim.tbl_extend("force", {}, opts or {})
  opts.before = M.PRELUDE .. (opts.before or "")
  return w:open(dir, opts)
end

return M
