-- Files that wait for each other's loads: no deadlock anywhere, whatever the files are.
local workspace = require("tests.support.workspace")

describe("files that await each other's loads", function()
  it("get busy where the ring closes, and every load ends", function()
    local w = workspace.new({
      config = {
        ["alpha.lua"] = "local ctx, err = npc.load_await(at('beta')); note({ 'alpha', ctx ~= nil, err and err.code or 'none' })",
        ["beta.lua"] = "local ctx, err = npc.load_await(at('alpha')); note({ 'beta', ctx ~= nil, err and err.code or 'none' })",
      },
    })
    local child = w:open("alpha")
    local ended = child:lua([[
      local ended = 0
      npc.load(at("alpha"), function() ended = ended + 1 end)
      npc.load(at("beta"), function() ended = ended + 1 end)
      assert(settle(function() return ended == 2 end))
      return ended
    ]])
    assert.are.equal(2, ended)
    local busy = 0
    for _, event in ipairs(child:lua("return events")) do
      busy = busy + (event[3] == "busy" and 1 or 0)
    end
    assert.is_true(busy >= 1)
    child:stop()
  end)

  it("are told apart from code that has nothing to do with a file that waits", function()
    local w = workspace.new({
      config = { ["alpha.lua"] = "_G.waits = true; vim.wait(8000, function() return _G.free end, 5); _G.waits = false" },
    })
    local child = w:open("alpha")
    local result = child:lua([[
      local answer, seen
      local timer = vim.uv.new_timer()
      timer:start(5, 5, vim.schedule_wrap(function()
        if waits and not seen then
          seen = true
          npc.load(function(ctx, err) answer = { ctx ~= nil, err and err.code or "none" } end)
          vim.defer_fn(function() _G.free = true end, 50)
        end
      end))
      npc.load()
      assert(settle(function() return answer end))
      timer:close()
      return answer
    ]])
    assert.are.same({ true, "none" }, result)
    child:stop()
  end)
end)
