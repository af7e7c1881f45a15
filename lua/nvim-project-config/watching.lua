--- Following the user from project to project (`loading.watch.cwd`, `.buffer`), and the files of loaded projects (`.config_dir`).
---
--- Events only note what was entered last; one evaluation, in the loop's next turn, asks for a load from there. Whether that is another
--- project, and whether anything has changed on disk, the library finds out (`run.lua` carries out what then loads). Parsed only where
--- something is watched.

local errors = require("nvim-project-config.errors")
local loading = require("nvim-project-config.loading")
local native = require("nvim-project-config.native")
local path_of = require("nvim-project-config.buffer_path")

local M = {}

local api, uv = vim.api, vim.uv

--- What stands for the current context while it is not settled which one is to be current.
local OPEN = {}

--- The options in force; nil while nothing is watched.
---@type project_config.Watch?
local watch
local group ---@type integer?

--- The context that was current when it was found that a buffer needs no other one.
---@type table<integer, project_config.Context>
local settled = {}
--- The current context, or `OPEN`: a buffer that is settled in it needs no evaluation.
---@type table
local here = OPEN

--- What was entered last, and is not evaluated yet.
---@type "cwd"|"buffer"|nil
local noted
--- Whether the current directory has changed since the last evaluation.
local cwd_has_changed = false
--- The buffer that was entered last.
local entered ---@type integer?
local is_scheduled = false

--- Identifies the load that may switch projects, from when it is asked for until it has found its project.
local searching ---@type table?
--- When a load was last asked for that may have switched projects, in the loop's time.
local switched_at = -math.huge
--- Waits for the end of a burst; exists only during one.
local timer ---@type uv.uv_timer_t?

--- Why no watch could be had, if so.
---@type project_config.Error?
M.blindness = nil

--- Whether it is not settled in which project the user is.
---@return boolean
function M.is_searching()
  return noted ~= nil or searching ~= nil
end

--- Whether the current project is the one that the user is in, wherever the current directory is.
---@return boolean
function M.follows()
  return watch ~= nil and (watch.cwd or watch.buffer)
end

--- What is watched, in the words of the options.
---@return string[]
function M.watched()
  return vim.tbl_filter(function(key)
    return watch ~= nil and watch[key]
  end, { "cwd", "buffer", "config_dir" })
end

local function update_here()
  local is_open = M.is_searching()
  here = not is_open and loading.current() or OPEN
  if not is_open and package.loaded["nvim-project-config.run"] then
    require("nvim-project-config.run").release_soon() -- what start-up has loaded has waited for this
  end
end

local function drop_timer()
  if timer then
    timer:stop()
    timer:close()
    timer = nil
  end
end

---@param what project_config.Submission
---@param on_end fun()
---@return boolean
local function submit(what, on_end)
  -- Options that the user has changed on a context may be invalid.
  local ok, problem = pcall(loading.submit, what, on_end)
  if not ok then
    errors.notify(errors.normalised(problem))
  end
  return ok
end

--- What is entered at this moment: the current buffer, else the one that was entered last, else the current directory.
---@return "cwd"|"buffer"|nil reason, string? path, integer? buffer
local function destination()
  if noted == "buffer" then
    for _, buffer in ipairs({ api.nvim_get_current_buf(), entered }) do
      local path = path_of(buffer)
      if path then
        return "buffer", path, buffer
      end
    end
  end
  if cwd_has_changed then
    return "cwd", (uv.cwd())
  end
end

--- Asks for the load from where the user is.
local function follow()
  is_scheduled = false
  if not noted then
    return
  end
  local reason, path, buffer = destination()
  noted, entered, cwd_has_changed = nil, nil, false
  local is_settled = not searching and buffer and settled[buffer] == loading.current()
  if reason and path and not is_settled then
    local search = {}
    local what = { reason = reason, start_dir = path, near = reason == "buffer", buffer = buffer }
    local has_begun = submit(what, function()
      if searching == search then
        searching = nil
        update_here()
      end
    end)
    if has_begun then
      searching, switched_at = search, uv.now()
    end
  end
  update_here()
end

--- Begins, or begins anew, to wait until nothing has been noted for a while.
local function wait_for_quiet()
  timer = timer or assert(uv.new_timer())
  timer:start(assert(watch).debounce_ms, 0, function()
    drop_timer()
    is_scheduled = true
    vim.schedule(follow)
  end)
end

local function evaluate()
  if noted and watch and uv.now() - switched_at < watch.debounce_ms then
    is_scheduled = false
    wait_for_quiet()
  else
    follow()
  end
end

---@param what "cwd"|"buffer"
local function note(what)
  noted, here = what, OPEN
  cwd_has_changed = cwd_has_changed or what == "cwd"
  if timer then
    wait_for_quiet()
  elseif not is_scheduled and vim.v.vim_did_enter == 1 then
    is_scheduled = true
    vim.schedule(evaluate)
  end
end

---@param buffer integer
local function enter(buffer)
  if path_of(buffer) then
    entered = buffer
    note("buffer")
  end
end

--- A file on the way to a project may have come into being, or gone.
local function forget_settled()
  settled = {}
end

---@param events vim.api.keyset.events|vim.api.keyset.events[]
---@param desc string
---@param callback fun(event: { buf: integer })
local function on(events, desc, callback)
  local opts = { group = group, desc = "nvim-project-config: " .. desc, callback = callback }
  api.nvim_create_autocmd(events, opts)
end

local function follow_buffers()
  on("BufEnter", "follow the buffer", function(event)
    if settled[event.buf] ~= here then
      enter(event.buf)
    end
  end)
  -- Its path is another one, or what was written makes a project of its directory.
  on({ "BufFilePost", "BufWritePost" }, "follow the buffer's file", function(event)
    settled[event.buf] = nil
    if event.buf == api.nvim_get_current_buf() then
      enter(event.buf)
    end
  end)
  on({ "BufDelete", "BufWipeout" }, "forget the buffer", function(event)
    settled[event.buf] = nil
  end)
  on({ "ShellCmdPost", "TermLeave" }, "look at buffers again", forget_settled)
end

--- Ends what `begin` has begun.
function M.reset()
  if group then
    api.nvim_del_augroup_by_id(group)
    group = nil
  end
  local lib = native.get()
  if lib and watch and watch.config_dir then
    lib.watch(nil)
  end
  drop_timer()
  watch, noted, entered, cwd_has_changed, M.blindness = nil, nil, nil, false, nil
  searching, switched_at = nil, -math.huge
  forget_settled()
  update_here()
end

--- Watches what these options say, and nothing else.
---@param options project_config.Watch
function M.begin(options)
  M.reset()
  local lib = native.get()
  if not lib then
    return
  end
  watch = options
  group = api.nvim_create_augroup("nvim-project-config.watching", {})
  if options.buffer then
    follow_buffers()
  end
  if options.buffer or options.cwd then
    on("DirChanged", "follow the current directory", function()
      forget_settled()
      if options.cwd then
        note("cwd")
      end
    end)
  end
  if options.config_dir then
    lib.watch(options.debounce_ms)
  end
  on("FocusGained", "look at the disk again", function()
    forget_settled()
    lib.look()
  end)
  if vim.v.vim_did_enter == 1 then
    if options.buffer then
      enter(api.nvim_get_current_buf())
    end
    return
  end
  -- At once, before what start-up has loaded is delivered: it may be another project's.
  on("VimEnter", "follow the first buffer", function()
    if options.buffer then
      enter(api.nvim_get_current_buf())
    end
    follow()
  end)
end

---@param buffer? integer
---@param ctx? project_config.Context
local function settle(buffer, ctx)
  if buffer and api.nvim_buf_is_valid(buffer) then
    settled[buffer] = ctx
  end
end

--- A load has found its project and begins to run.
---@param run project_config.Run
---@param ctx project_config.Context
function M.committed(run, ctx)
  if run.reason == "cwd" or run.reason == "buffer" then
    settle(run.buffer, ctx)
    searching, switched_at = nil, uv.now()
  end
  update_here()
end

--- A load is asked for by the user: what was entered before does not count any more.
function M.overtaken()
  noted, entered, cwd_has_changed = nil, nil, false
  drop_timer()
  update_here()
end

--- A context is left: entering a buffer of its project loads it again.
---@param ctx project_config.Context
function M.left(ctx)
  if ctx == loading.current() then
    M.overtaken()
  end
  for buffer, owner in pairs(settled) do
    if owner == ctx then
      settled[buffer] = nil
    end
  end
end

--- A load from where the user went has found the current project, or nothing to switch to.
---@param run project_config.Run
---@param ctx? project_config.Context
function M.stayed(run, ctx)
  if run.reason == "cwd" or run.reason == "buffer" then
    switched_at = -math.huge
  end
  settle(run.buffer, ctx or loading.current())
end

--- What a context shows is no longer what lies on disk.
---@param context_id integer
function M.stale(context_id)
  local ctx = loading.context_by_id(context_id)
  local root = ctx and ctx.project_root
  if root and watch then
    -- With the options of the call that has loaded it, else it would be another configuration that is loaded now.
    submit({ reason = "config_dir", ctx = ctx, start_dir = root, opts = ctx._report.opts }, function() end)
  end
end

--- The root of a project that is not the current one no longer exists.
---@param context_id integer
function M.gone(context_id)
  local ctx = loading.context_by_id(context_id)
  if ctx and ctx.project_root and ctx ~= loading.current() then
    require("nvim-project-config.clear")(ctx, "config_dir")
  end
end

--- No watch can be had; the library polls.
---@param err project_config.Error
function M.blind(err)
  if watch then
    M.blindness = err
    errors.notify(err, "", vim.log.levels.WARN)
  end
end

return M
