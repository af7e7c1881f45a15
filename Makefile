# Every target does its own set-up; tools go to .deps/ (scripts/deps), nothing on the machine changes.
.DEFAULT_GOAL := help
.PHONY: help build demo demo-ui test test-engine test-specs lint format bench clean

NVIM_ANY := .deps/nvim/bin/nvim

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the native module and put it into lua/
	@scripts/deps nvim
	@$(NVIM_ANY) --clean -l build.lua

demo: build ## load a sample monorepo in a real Neovim and print what happened
	@scripts/demo

demo-ui: build ## the same project in an interactive editor
	@scripts/demo --ui

test: test-engine test-specs ## all tests; SPEC=name and NVIM=0.11 choose specs and versions

test-engine: ## the engine alone, without Neovim
	@scripts/test-engine

test-specs: build ## the specs alone
	@SPEC='$(SPEC)' NVIM='$(NVIM)' tests/run

lint: ## formatters, linters, type check, spelling
	@scripts/lint

format: ## lay out Rust and Lua
	@scripts/deps stylua
	@cargo fmt --all
	@.deps/stylua/bin/stylua .

bench: build ## ratios to plain Lua doing the same work
	@benches/run

clean: ## remove what was built; the tools in .deps/ stay
	@cargo clean
	@rm -f lua/nvim_project_config.so lua/nvim_project_config.dylib lua/nvim_project_config.dll
