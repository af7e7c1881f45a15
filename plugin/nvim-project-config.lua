vim.api.nvim_create_user_command("ProjectConfig", function(args)
  require("nvim-project-config.commands").run(args)
end, {
  nargs = "*",
  desc = "Show or change the project's configuration",
  complete = function(...)
    return require("nvim-project-config.commands").complete(...)
  end,
})
