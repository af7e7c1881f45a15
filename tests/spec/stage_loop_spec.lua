-- How long the code of a pipeline, which is short each time it is called, holds the main loop: however much there is of it.
local STALL = require("tests.support.stall")
local stages = require("tests.support.stages")
local tries = require("tests.support.tries")
local workspace = require("tests.support.workspace")

-- A slice is 3 ms.
local MOST_MS = 25

---@param name string
---@param pipeline string
---@param before? string Lua
---@param expected any what `result` is in the end
---@param prepare? fun(w: test.Workspace) what is done before the editor starts
local function check(name, pipeline, before, expected, prepare)
  it(name, function()
    local w = workspace.new({ config = { ["alpha.lua"] = "" } })
    if prepare then
      prepare(w)
    end
    local child = stages.open(w, "alpha", { before = STALL .. (before or ""), timeout_ms = 60000 })
    tries.within(MOST_MS, "the longest stall, in ms", function()
      child:lua(([[
        _G.answer, _G.result = nil, nil
        _G.expects_result = %s
        watch_loop()
        npc.load({ loading = { start_dir = start_dir }, pipeline = %s }, function(ctx, err)
          answer = ctx and "loaded" or err.message
        end)
      ]]):format(tostring(expected ~= nil), pipeline))
      child:wait("answer and (result ~= nil or not expects_result)", 30000)
      local stall = child:lua("return longest_stall()")
      assert.are.same({ "loaded", expected }, child:lua("return { answer, result }"))
      return stall
    end)
    assert.are.same({}, child:lua("return errors"))
    child:stop()
  end)
end

check(
  "a stage sends a million items to the next one",
  [[{ function(_, _, tx) for i = 1, 1e6 do tx(i) end end, function(_, rx)
    local count = 0
    while rx() ~= DONE do count = count + 1 end
    _G.result = count
  end }]],
  nil,
  1000000
)

check(
  "a stage sends without end to one that has ended",
  [[{ function(_, _, tx)
    local ok, err = pcall(function() while true do tx("x") end end)
    -- After the load, which does not wait for what nobody takes.
    _G.result = ok or err.code
  end, function() end }]],
  nil,
  "cancelled"
)

check(
  "a stage sends a hundred thousand directories to a native one",
  [[{ function(_, _, tx) for i = 1, 1e5 do tx(work .. "/alpha/" .. i) end _G.result = true end,
    detect({ matcher = "absent" }), find_files(), execute() }]],
  nil,
  true
)

check(
  "patterns and regexes are asked about a directory of many names",
  [[{ walk(), detect({ matcher = m.any(m.regex("^xfoo.*bar$"), m.pattern("^absent.*x$")) }), find_files(), execute() }]],
  [[ _G.start_dir = work .. "/alpha/big" ]],
  nil,
  function(w)
    local dir = w.work .. "/alpha/big"
    vim.fn.mkdir(dir, "p")
    for i = 1, 10000 do
      vim.uv.fs_close(assert(vim.uv.fs_open(dir .. "/file_name_" .. i, "w", 420)))
    end
  end
)

check(
  "a function is asked about tens of thousands of files",
  [[{ walk(), detect(), find_files({
    finder = function() return paths end,
    matcher = function(name) _G.count = (count or 0) + 1 _G.result = count % 30000 return name:find("^absent%d$") end,
  }), execute() }]],
  [[ _G.paths = {} for i = 1, 30000 do paths[i] = config_dir .. "/f" .. i .. ".lua" end ]],
  0
)
