--- Answers what the library asks while a pipeline is planned: matchers, `on_match`, finders, functions.
---
--- What follows from an answer, the library decides. What the code is called with lies in `own_context.lua`; how it is run, in `stage_code.lua`;
--- functions in a row are `flows.lua`'s.

local errors = require("nvim-project-config.errors")
local flows = require("nvim-project-config.flows")
local native = require("nvim-project-config.native")
local own_context = require("nvim-project-config.own_context")
local stage_code = require("nvim-project-config.stage_code")

local M = {}

local failed, start = stage_code.failed, stage_code.start

--- A run whose pipeline has asked for something.
---@class project_config.AskingRun: project_config.Run
---@field pipeline any[]
---@field leaves project_config.MatcherNode[]
---@field own project_config.Context
---@field own_before table<string, any>
---@field told { root?: string, name?: string, projects: project_config.Project[] }
---@field turns? fun()[] the steps of code that gave the loop back

---@param item any
---@return string?
local function not_native(item)
  if type(item) ~= "string" then
    return ("expected a string, because the next stage is native, got %s"):format(type(item))
  end
end

---@class project_config.Test
---@field leaf integer
---@field path string
---@field name? string of a file
---@field names? string[] those in a directory, for what asks for names

--- So many tests are fetched at once, and so many names looked at without a look at the clock.
local CHUNK = 32

--- Whether a matcher's part that only the editor can answer holds. In a coroutine of the run's.
---@param run project_config.AskingRun
---@param leaf project_config.MatcherNode
---@param test project_config.Test
---@return boolean
local function holds(run, leaf, test)
  if leaf.op == "fn" then
    if test.name then
      return not not leaf.fn(test.name, test.path)
    end
    return not not leaf.fn(test.path)
  end
  local matches = require("nvim-project-config.matchers").matches
  for index, name in ipairs(test.names or { test.name }) do
    if matches(leaf, name) then
      return true
    elseif index % CHUNK == 0 then
      stage_code.give_way(run)
    end
  end
  return false
end

--- What the library asks, by kind of the question.
---@type table<string, fun(run: project_config.AskingRun, question: table)>
local answers = {}

function answers.match(run, question)
  local results = {}
  local what = question.stage and "matcher" or "exclude"
  start(run, function()
    while #results < question.count do
      local tests = native.get().tests(question.id, #results + 1, CHUNK)
      if not tests then
        return
      end
      for _, test in ipairs(tests) do
        local ok, result =
          xpcall(holds, errors.thrown, run, run.leaves[test.leaf] --[[@as project_config.MatcherNode]], test)
        if not ok then
          failed(run, question.stage, what, result)
        end
        results[#results + 1] = ok and result
        stage_code.give_way(run)
      end
    end
  end, function(ok, thrown)
    if not ok then
      failed(run, question.stage, what, thrown)
    end
    for index = #results + 1, question.count do
      results[index] = false
    end
    native.get().answer(question.id, results)
  end)
end

function answers.on_match(run, question)
  local before = run.told
  own_context.show(run, question.projects)
  start(run, function()
    return run.pipeline[question.stage].on_match(run.own, question.dir)
  end, function(ok, result)
    local accepted = not (ok and result == false)
    local projects, problem
    if accepted then
      projects, problem = own_context.changed(run)
    else
      own_context.restore(run, before)
    end
    if not ok or problem then
      failed(run, question.stage, "on_match", not ok and result or problem)
    end
    native.get().answer(question.id, accepted, projects)
  end)
end

function answers.name(run, question)
  start(run, function()
    local name_of = run.options.project_name --[[@as fun(root: string, dir: string): string?]]
    local name = name_of(question.root, question.start_dir)
    if name ~= nil and (type(name) ~= "string" or name == "") then
      error(("expected a name or nil, got %s"):format(name == "" and "an empty string" or type(name)), 0)
    end
    return name
  end, function(ok, result)
    if not ok then
      failed(run, nil, "project_name", result)
    end
    native.get().answer(question.id, ok and result or false)
  end)
end

function answers.find(run, question)
  own_context.show(run, question.projects)
  start(run, function()
    local paths = run.pipeline[question.stage].finder(run.own)
    if type(paths) ~= "table" or not vim.islist(paths) then
      error(("expected a list of paths, got %s"):format(type(paths)), 0)
    end
    for index, path in ipairs(paths) do
      if type(path) ~= "string" then
        error(("path %d: expected string, got %s"):format(index, type(path)), 0)
      end
    end
    return paths
  end, function(ok, result)
    if not ok then
      failed(run, question.stage, "finder", result)
    end
    native.get().answer(question.id, ok and result or {})
  end)
end

function answers.run(run, question)
  local lib = native.get()
  local flow, begin = flows.new(run, run.own, question.stage, question.count, question.id)
  local input = flow.channels[1]
  input.refill = function()
    local items, ended, projects = lib.stage_items(question.id)
    own_context.show(run, projects)
    for _, item in ipairs(items or {}) do
      input:put(item)
    end
    if ended then
      input:finish()
    end
  end
  flow.channels[#flow.channels].checks = not_native
  begin()
end

--- Answers a question of the library.
---@param run project_config.AskingRun
---@param question { id: integer, kind: string, stage?: integer }
function M.ask(run, question)
  own_context.make(run)
  answers[question.kind](run, question)
end

return M
