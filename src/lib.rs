//! The native module of nvim-project-config: everything that knows Lua or Neovim, nothing that touches a disk.
//!
//! It submits work to the engine on threads of its own and hands the results back to the main loop as plain values. It keeps no
//! Lua function: those live in Lua's `callbacks` table, under the ids that are given out here. The Lua face in `lua/` adds what
//! LuaJIT forbids Rust (yielding) and what is Lua's by nature (options, types, commands).

mod caches;
mod compare;
mod convert;
mod document;
mod early;
mod exports;
mod family;
mod host;
mod kinds;
mod main_loop;
mod raw;
mod session;
mod stages;
mod sys;

/// The table that `package.loadlib` gets: see [`exports`].
#[mlua::lua_module(skip_memory_check)]
fn nvim_project_config(lua: &mlua::Lua) -> mlua::Result<mlua::Table> {
    exports::table(lua)
}
