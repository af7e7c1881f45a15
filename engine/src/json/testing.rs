//! Random documents for the property tests of this directory.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Number};

use super::Value;

/// Objects up to five levels deep. Keys are few, so that two documents share paths.
pub(super) fn objects() -> impl Strategy<Value = Value> {
    vec((keys(), values()), 0..6).prop_map(object)
}

/// The text of a JSON number, of every form the grammar has.
pub(super) fn numbers() -> impl Strategy<Value = String> {
    "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,3})?"
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        numbers().prop_map(|text| Value::Number(Number::from_string_unchecked(text))),
        any::<String>().prop_map(Value::String),
        "[\"\\\\/\u{0}-\u{1f}\u{7f}\u{2028}é😀a]{0,6}".prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![vec(inner.clone(), 0..6).prop_map(Value::Array), vec((keys(), inner), 0..6).prop_map(object),]
    })
}

fn keys() -> impl Strategy<Value = String> {
    prop_oneof![8 => "[a-d]", 1 => any::<String>(), 1 => Just("$serde_json::private::Number".to_owned())]
}

fn object(members: Vec<(String, Value)>) -> Value {
    Value::Object(members.into_iter().collect::<Map<_, _>>())
}
