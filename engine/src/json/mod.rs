//! JSON: strict reading, merging, differences, and the pieces in which a document crosses to Lua.

/// A parsed document. Numbers keep their text, objects their key order.
pub type Value = serde_json::Value;
