-- Entering a buffer of the current project while everything is watched, to entering it with an empty autocommand in Lua in the plugin's place.
-- Both are whole calls of `nvim_set_current_buf`, with what Neovim itself does there, by the processor time of the main thread.
local child = require("benches.child")
local fixture = require("benches.fixture")
local stats = require("benches.stats")

local M = {}

local SESSIONS = 6
local ROUNDS = 30
local CALLS = 500
local WARM_UP = 3

--- How long it takes to enter one of these buffers.
---@param buffers integer[]
---@return number ns each
local function time(buffers)
  local enter, first, second = vim.api.nvim_set_current_buf, buffers[1], buffers[2]
  return require("benches.main_thread").time(function()
    for _ = 1, CALLS / 2 do
      enter(first)
      enter(second)
    end
  end) / CALLS
end

---@param job { place: bench.Place, rounds: integer }
---@return bench.Pair[]
function M.sample(job)
  local plugin = require("benches.plugin")
  local loading = require("nvim-project-config.loading")
  local npc = require("nvim-project-config")
  local submit, submissions = loading.submit, 0
  function loading.submit(...)
    submissions = submissions + 1
    return submit(...)
  end
  local buffers = {}
  for index, name in ipairs({ "a.ts", "b.ts" }) do
    buffers[index] = vim.fn.bufadd(("%s/%s"):format(job.place.start_dir, name))
    vim.fn.bufload(buffers[index])
  end
  local empty = vim.api.nvim_create_augroup("bench.empty", {})

  local function ours()
    vim.api.nvim_clear_autocmds({ group = empty })
    plugin.follow(job.place)
    plugin.settle()
    -- The first times, the library says whose the buffers are.
    for _ = 1, 2 do
      for _, buffer in ipairs(buffers) do
        vim.api.nvim_set_current_buf(buffer)
        plugin.settle()
      end
    end
    assert(npc.ctx.project_root, "no project is loaded")
    submissions = 0
    local elapsed = time(buffers)
    plugin.settle()
    assert(submissions == 0, "a buffer of the current project is entered without a question")
    return elapsed
  end
  local function floor()
    plugin.setup(job.place)
    vim.api.nvim_create_autocmd("BufEnter", { group = empty, callback = function() end })
    return time(buffers)
  end
  return vim.list_slice(stats.interleave(WARM_UP + job.rounds, ours, floor), WARM_UP + 1)
end

---@param home string
---@return bench.Figure[]
function M.measure(home)
  fixture.settle(home)
  local place, samples = fixture.places(home).usual, {}
  for _ = 1, SESSIONS do
    vim.list_extend(samples, child.run(home, "entering", place, { rounds = ROUNDS }))
  end
  return { { title = "entering a buffer, to an empty autocommand", limit = 1.5, pairs = samples } }
end

return M
