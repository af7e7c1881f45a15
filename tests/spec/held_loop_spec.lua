-- The main loop is held up while the library finds out that the user is where they were: what ended meanwhile is no load that was cancelled.
local following = require("tests.support.following")

for what, sweeps in pairs({
  ["another load that follows"] = "vim.cmd.cd(work .. '/alpha/sub')",
  ["a context that is cleared"] = "npc.clear(npc.new({ config_dir = config_dir }))",
  ["a load of the user's"] = "load_now(at('alpha'))",
}) do
  it("entering a buffer of the current project stays without a trace before " .. what, function()
    local w = following.workspace()
    local child = following.open(w, "alpha", { buffer = true, cwd = true, debounce_ms = 0 })
    following.after(child, "vim.cmd.edit(file('alpha'))", "alpha")
    child:lua("vim.v.errmsg = ''")
    for _ = 1, 5 do
      local result = following.after(
        child,
        ([[
          -- What a command may have changed is looked at again, so each round asks the library.
          vim.api.nvim_exec_autocmds("ShellCmdPost", {})
          vim.cmd.edit("%s/alpha/sub/other.c")
          -- Behind the evaluation of that, before the library's answer.
          vim.schedule(function()
            local lib, deadline = require("nvim-project-config.native").get(), vim.uv.hrtime() + 8e9
            repeat
              assert(vim.uv.hrtime() < deadline, "the library has not answered within 8 s")
            until lib.has_replies()
            %s
          end)
        ]]):format(w.work, sweeps)
      )
      assert.are.equal("alpha", result.current)
      assert.are.equal("", child:lua("return vim.v.errmsg"))
      following.after(child, "vim.cmd.edit(file('alpha'))")
    end
    assert.are.same({}, child:lua("return errors"))
    assert.are.same({}, child:notifications())
    child:stop()
  end)
end
