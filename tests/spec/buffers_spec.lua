-- Buffers belong to projects: npc.context(), npc.contexts(), npc.get() of a buffer's project, and b:project_config.
local workspace = require("tests.support.workspace")

describe("buffers", function()
  local w, child

  before_each(function()
    w = workspace.new({
      work = {
        ["alpha/.git"] = true,
        ["alpha/a.txt"] = "a\n",
        ["alpha/sub/s.txt"] = "s\n",
        ["alpha/inner/.git"] = true,
        ["alpha/inner/i.txt"] = "i\n",
        ["beta/.git"] = true,
        ["beta/b.txt"] = "b\n",
        ["loose/l.txt"] = "l\n",
      },
      config = { ["alpha.json"] = '{"who": "alpha"}', ["beta.json"] = '{"who": "beta"}' },
    })
    child = w:open("alpha", {
      after = [[
        function _G.edit(name)
          vim.cmd.edit(vim.fn.fnameescape(work .. "/" .. name))
          return vim.api.nvim_get_current_buf()
        end
        function _G.name_of(buffer)
          local ctx = npc.context(buffer)
          return ctx and ctx.project_name
        end
        function _G.shown(buffer)
          return vim.b[buffer or 0].project_config
        end
      ]],
    })
  end)

  after_each(function()
    child:stop()
  end)

  it("are told of the project that is loaded around them", function()
    child:lua("load_now(); a = edit('alpha/sub/s.txt')")
    child:wait("shown(a)")
    assert.are.same({ root = w.work .. "/alpha", name = "alpha" }, child:lua("return shown(a)"))
    assert.are.equal("alpha", child:lua("return name_of(a)"))
  end)

  it("that were there before the load are told too", function()
    child:lua("a = edit('alpha/a.txt'); b = edit('beta/b.txt'); load_now()")
    child:wait("shown(a)")
    assert.is_nil(child:lua("return shown(b)"))
    assert.is_nil(child:lua("return name_of(b)"))
    child:lua("load_now(at('beta'))")
    child:wait("shown(b)")
    assert.are.same({ root = w.work .. "/beta", name = "beta" }, child:lua("return shown(b)"))
    assert.are.equal("alpha", child:lua("return name_of(a)"))
  end)

  it("of a project inside of it, which is not loaded, have no context", function()
    child:lua("load_now(); a, i = edit('alpha/a.txt'), edit('alpha/inner/i.txt')")
    child:wait("shown(a) and name_of(i) == nil")
    child:lua("idle()")
    assert.is_nil(child:lua("return shown(i)"))
    child:lua("load_now(at('alpha/inner'))")
    child:wait("shown(i)")
    assert.are.equal(w.work .. "/alpha/inner", child:lua("return shown(i).root"))
    assert.are.equal(w.work .. "/alpha/inner", child:lua("return npc.context(i).project_root"))
    assert.are.equal("alpha", child:lua("return name_of(a)"))
  end)

  it("notice that a project has come into being around them", function()
    child:lua("load_now(); s = edit('alpha/sub/s.txt')")
    child:wait("shown(s)")
    child:lua([[vim.fn.mkdir(work .. "/alpha/sub/.git", "p"); load_now(at("alpha/sub"))]])
    child:wait("shown(s).root == work .. '/alpha/sub'")
    assert.are.equal(w.work .. "/alpha/sub", child:lua("return npc.context(s).project_root"))
  end)

  it("follow their name", function()
    child:lua("load_now(); load_now(at('beta')); a = edit('alpha/a.txt')")
    child:wait("shown(a)")
    child:lua([[vim.cmd.file(work .. "/beta/new.txt")]])
    child:wait("shown(a).name == 'beta'")
    child:lua([[vim.cmd.file("other://thing")]])
    assert.is_nil(child:lua("return shown(a)"))
    assert.is_nil(child:lua("return name_of(a)"))
    child:lua([[vim.cmd.enew(); u = vim.api.nvim_get_current_buf()]])
    assert.is_nil(child:lua("return name_of(u)"))
    child:lua([[vim.cmd("silent write " .. work .. "/beta/written.txt")]])
    child:wait("shown(u)")
    assert.are.equal("beta", child:lua("return shown(u).name"))
  end)

  it("lose it with clear, and have it again after the next load", function()
    child:lua("load_now(); a = edit('alpha/a.txt')")
    child:wait("shown(a)")
    child:lua("npc.clear()")
    assert.is_nil(child:lua("return shown(a)"))
    assert.is_nil(child:lua("return name_of(a)"))
    child:lua("load_now()")
    child:wait("shown(a)")
    child:lua("npc.setup(options)")
    assert.is_nil(child:lua("return shown(a)"))
    child:lua("load_now()")
    child:wait("shown(a)")
  end)

  it("lose it also when a project is cleared that is not the current one", function()
    child:lua("load_now(); load_now(at('beta')); a, b = edit('alpha/a.txt'), edit('beta/b.txt')")
    child:wait("shown(a) and shown(b)")
    child:lua("npc.clear(npc.context(a))")
    assert.is_nil(child:lua("return shown(a)"))
    assert.are.equal("beta", child:lua("return shown(b).name"))
    assert.are.equal("beta", child:lua("return npc.ctx.project_name"))
  end)

  it("belong to the innermost loaded project where only code of the user's can tell", function()
    child:lua([[
      local stages = require("nvim-project-config.pipeline") and "nvim-project-config.stages."
      options.pipeline = {
        require(stages .. "walk")({ direction = "up" }),
        require(stages .. "detect")({ matcher = function(dir) return vim.uv.fs_stat(dir .. "/.git") ~= nil end }),
        require(stages .. "find_files")(),
        require(stages .. "execute")(),
      }
      npc.setup(options)
      load_now()
      a, b = edit("alpha/a.txt"), edit("beta/b.txt")
    ]])
    child:wait("shown(a)")
    assert.are.equal("alpha", child:lua("return name_of(a)"))
    assert.is_nil(child:lua("return name_of(b)"))
    child:lua("load_now(at('beta'))")
    child:wait("shown(b)")
  end)

  it("without a file have no project", function()
    child:lua("load_now()")
    for _, make in ipairs({ "vim.cmd.help()", "vim.cmd.copen()", "vim.cmd.enew()", "vim.cmd.terminal()" }) do
      child:lua(make)
      assert.is_true(child:lua("return npc.context() == nil"), make)
    end
  end)

  it("are at the current one by default, and for 0", function()
    child:lua("load_now(); edit('alpha/a.txt')")
    assert.is_true(child:lua("return npc.context() == npc.ctx and npc.context(0) == npc.ctx"))
  end)

  it("give the settings of their own project", function()
    child:lua("load_now(); load_now(at('beta')); a, l = edit('alpha/a.txt'), edit('loose/l.txt')")
    assert.are.equal("beta", child:lua("return npc.get('who')"))
    assert.are.equal("alpha", child:lua("return npc.get('who', nil, { buf = a })"))
    assert.are.equal("default", child:lua("return npc.get('none', 'default', { buf = a })"))
    assert.are.equal("default", child:lua("return npc.get('who', 'default', { buf = l })"))
    assert.is_nil(child:lua("return npc.get('who', nil, { buf = 0 })"))
    assert.are.equal("beta", child:lua("return npc.get('who', nil, {})"))
  end)

  it("list the loaded contexts, the current one first, then by root", function()
    child:lua("names = function() return vim.tbl_map(function(ctx) return ctx.project_name end, npc.contexts()) end")
    assert.are.same({}, child:lua("return names()"))
    child:lua("load_now(); load_now(at('alpha/inner')); load_now(at('beta'))")
    assert.are.same({ "beta", "alpha" }, child:lua("return { unpack(names(), 1, 2) }"))
    assert.are.equal(3, child:lua("return #npc.contexts()"))
    child:lua("own = npc.new(options); own_ctx = load_now(own)")
    assert.are.equal(3, child:lua("return #npc.contexts()"))
    child:lua("npc.clear()")
    assert.are.equal(2, child:lua("return #npc.contexts()"))
  end)

  it("are in :ProjectConfig, by what is watched and how many projects are loaded", function()
    local function info()
      return child:lua("return vim.fn.execute('ProjectConfig')")
    end
    child:lua("load_now()")
    assert.is_nil(info():find("loaded ", 1, true))
    assert.is_nil(info():find("watch ", 1, true))
    child:lua([[
      options.loading.watch = { buffer = true, config_dir = true }
      npc.setup(options)
      load_now()
      load_now(at("beta"))
    ]])
    assert.is_truthy(info():find("\nloaded  2 projects\n", 1, true), info())
    assert.is_truthy(info():find("\nwatch   buffer, config_dir", 1, true), info())
    child:lua("vim.cmd.checkhealth('nvim-project-config')")
    local health = child:lua("return table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, true), '\\n')")
    assert.is_truthy(health:find("watched: buffer, config_dir", 1, true), health)
  end)

  it("that are none raise an error at the caller's line", function()
    child:lua("load_now()")
    local function problem(call)
      return child:lua(([[
        local ok, err = pcall(loadstring("\n\nlocal x = %s return x", "=caller"))
        return { ok, err }
      ]]):format(call))
    end
    local wrong = "caller:3: nvim-project-config: buffer: expected a buffer number, got "
    assert.are.same(
      { false, wrong .. "'x'" },
      (function(r)
        return { r[1], (r[2]:gsub('"', "'")) }
      end)(problem("npc.context('x')"))
    )
    assert.are.same({ false, wrong .. "1.5" }, problem("npc.context(1.5)"))
    local none = "caller:3: nvim-project-config: buffer: there is no buffer "
    assert.are.same({ false, none .. "9999" }, problem("npc.context(9999)"))
    assert.are.same({ false, none .. "-1" }, problem("npc.context(-1)"))
    local where = "caller:3: nvim-project-config: where: "
    assert.are.same({ false, where .. "expected table, got number" }, problem("npc.get('a', 1, 5)"))
    assert.are.same(
      { false, where .. "unknown key 'buffer'; known is buf" },
      problem("npc.get('a', 1, { buffer = 1 })")
    )
    assert.are.same({
      false,
      "caller:3: nvim-project-config: where.buf: expected a buffer number, got true",
    }, problem("npc.get('a', 1, { buf = true })"))
  end)
end)
