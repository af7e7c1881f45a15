//! The engine of nvim-project-config: finds a project and reads its configuration.
//!
//! Everything that touches a disk lives here, and nothing here knows Lua or Neovim: what comes out is data
//! ([`plan::Plan`]). Its neighbour is the Neovim module in the workspace's root package, which turns plans into Lua values and
//! runs the user's code. All types are `Send`; blocking work runs on threads of its own, with a deadline.
#![forbid(unsafe_code)]

pub mod bindings;
pub mod caches;
mod calls;
pub mod contexts;
mod dir_cache;
mod disk;
pub mod error;
pub mod file_cache;
pub mod fingerprint;
pub mod json;
pub mod loads;
pub mod log;
pub mod matcher;
pub mod name;
pub mod open;
pub mod pipeline;
pub mod plan;
pub mod presence;
mod repository;
pub mod settings;
mod shelf;
pub mod store;
pub mod time_step;
pub mod verdict;
pub mod watch;
