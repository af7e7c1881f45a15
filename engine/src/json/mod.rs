//! JSON: strict reading, editing of texts, merging, differences, and the pieces in which a document crosses to Lua.
//!
//! Nothing here touches a disk or knows Lua: text and [`Value`]s come in, values and plain data go out. Who reads the files is the
//! file cache, who decides their order is the pipeline, who builds Lua tables out of [`Piece`]s is the Neovim module.

mod apply;
mod check;
mod diff;
mod layers;
mod merge;
mod parse;
mod pieces;
#[cfg(test)]
mod testing;
mod text;

pub use apply::{apply, get};
pub use diff::{Change, Edit, diff};
pub use layers::{Distribution, Layer, distribute, merged, origin};
pub use merge::merge;
pub(crate) use merge::overlay;
pub use parse::parse;
pub use pieces::{Piece, pieces};
pub use text::{edit as edit_text, line_of};

/// A parsed document. Numbers keep their text byte for byte, objects their key order.
pub type Value = serde_json::Value;

/// How many objects and arrays may be nested in each other, the outermost one counted.
///
/// Every function over a parsed [`Value`] may recurse, because this bounds it. Lua's own JSON decoder stops at 1000; jsonc-parser
/// at 512 open things, where an object counts twice (itself and its open property), which is exactly this limit.
pub const MAX_DEPTH: usize = 256;
