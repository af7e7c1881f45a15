std = "luajit"
globals = { "vim" }
-- Layout is stylua's.
max_line_length = false
-- Hidden directories are not searched; fixtures are input, some of it malformed on purpose.
exclude_files = { "target/", ".deps/", "tests/fixtures/" }
files["tests/spec/"] = { std = "+busted" }
files["tests/support/spec.lua"] = { globals = { "arg" } }
