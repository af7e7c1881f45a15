//! Tests of the layers: each rule by examples, and the invariant over random nests.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::json;

use super::*;

/// Layers as text, the outermost first: `outer {…} | own {…} | target {…}`. The target is an own one too; without it, it is the
/// last own one.
fn layers(text: &str) -> (Vec<Layer>, usize) {
    let mut target = None;
    let mut layers = Vec::new();
    for (at, layer) in text.split(" | ").enumerate() {
        let (kind, document) = layer.split_once(' ').unwrap();
        assert!(matches!(kind, "outer" | "own" | "target"), "{kind}");
        if kind == "target" {
            target = Some(at);
        }
        layers.push(layer_of(at, kind != "outer", value(document)));
    }
    let target = target.or_else(|| layers.iter().rposition(|layer| layer.own)).unwrap();
    (layers, target)
}

fn layer_of(at: usize, own: bool, document: Value) -> Layer {
    Layer { path: Path::new(&format!("{at}.json")).into(), own, document: Arc::new(document) }
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Edits as text: `a/b = {…}; c -`. The document itself is `.`.
fn edits(text: &str) -> Vec<Edit> {
    let edit = |text: &str| match text.split_once(" = ") {
        Some((path, new)) => Edit { path: keys(path), change: Change::Set(value(new)) },
        None => Edit { path: keys(text.strip_suffix(" -").unwrap()), change: Change::Delete },
    };
    text.split("; ").map(edit).collect()
}

fn keys(path: &str) -> Vec<String> {
    if path == "." { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
}

fn shown(path: &[String]) -> String {
    if path.is_empty() { ".".to_owned() } else { path.join("/") }
}

/// What becomes of the edits, as text: `1: a/b = {…}` for each edit of a layer, `a/b from 0` for what is inherited.
fn outcome(nest: &str, batch: &str) -> String {
    let (mut layers, target) = layers(nest);
    let Distribution { edits, inherited } = distribute_and_check(&mut layers, target, &edits(batch));
    let edits = edits.iter().map(|(layer, edit)| match &edit.change {
        Change::Set(value) => format!("{layer}: {} = {value}", shown(&edit.path)),
        Change::Delete => format!("{layer}: {} -", shown(&edit.path)),
    });
    let inherited = inherited.iter().map(|(path, layer)| format!("{} from {layer}", shown(path)));
    edits.chain(inherited).collect::<Vec<_>>().join("; ")
}

/// Distributes, and holds the result against the promise, whatever the layers and the edits are.
fn distribute_and_check(layers: &mut [Layer], target: usize, edits: &[Edit]) -> Distribution {
    let before = layers.to_vec();
    let mut wanted = Value::clone(&merged(layers));
    for edit in edits {
        apply(&mut wanted, edit);
    }
    let distribution = distribute(layers, target, edits);

    // The edits are those that were made, each changed something, and none is in a file that is not the project's own.
    let mut replayed = before;
    for (layer, edit) in &distribution.edits {
        assert!(replayed[*layer].own, "{edit:?} in an outer layer");
        assert!(apply(Arc::make_mut(&mut replayed[*layer].document), edit), "{edit:?} changes nothing");
    }
    for (replayed, layer) in replayed.iter().zip(&*layers) {
        assert_eq!(replayed.document, layer.document, "made is what was told");
    }

    // The merged document is what was wanted, but for exactly the paths that were told.
    let left = merged(layers);
    let mut differing: Vec<_> = diff(&left, &wanted).into_iter().map(|edit| edit.path).collect();
    let mut told: Vec<_> = distribution.inherited.iter().map(|(path, _)| path.clone()).collect();
    differing.sort();
    told.sort();
    assert_eq!(differing, told, "{left} instead of {wanted}");

    // What was told is true: another file gives it, and no own file has a say in it.
    for (path, layer) in &distribution.inherited {
        assert!(!layers[*layer].own, "{path:?} is the project's own");
        if get(&wanted, path).is_none() {
            assert_eq!(origin(layers, path), Some(*layer));
            assert!(layers.iter().all(|layer| !layer.own || get(&layer.document, path).is_none()));
        } else {
            assert!(layers[*layer..].iter().all(|layer| !layer.own), "{path:?} could be overridden");
        }
    }
    distribution
}

/// Rows of layers, edits, and what becomes of them.
fn check(rows: &[(&str, &str, &str)]) {
    for (nest, batch, expected) in rows {
        assert_eq!(outcome(nest, batch), *expected, "{batch} in {nest}");
    }
}

#[test]
fn an_existing_path_is_edited_in_the_last_own_file_that_has_it() {
    check(&[
        (r#"target {"a":1} | own {"b":1}"#, "a = 2", "0: a = 2"),
        (r#"target {"a":1} | own {"b":1}"#, "b = 2", "1: b = 2"),
        (r#"target {"a":1} | own {"a":2} | own {}"#, "a = 3", "1: a = 3"),
        (r#"outer {"a":1} | own {"a":2} | target {}"#, "a = 3", "1: a = 3"),
        (r#"own {"a":{"x":1}} | target {"a":{"y":1}}"#, "a/x = 2", "0: a/x = 2"),
        (r#"own {"a":{"x":1}} | target {}"#, "a = 2", "0: a = 2"),
        (r#"own {"a":[1,2]} | target {}"#, "a = [1]", "0: a = [1]"),
    ]);
}

#[test]
fn a_new_path_goes_to_the_write_target() {
    check(&[
        ("target {} | own {}", "a = 1", "0: a = 1"),
        (r#"own {"a":{"x":1}} | target {}"#, "a/y = 1", "1: a/y = 1"),
        // Not more of it is written than what is new, so that what somebody else adds beside it meanwhile stays.
        ("outer {} | target {} | own {}", "a/b/c = 1", "1: a/b/c = 1"),
        (r#"target {} | own {"a":{"b":1}}"#, "a/c = {}", "0: a/c = {}"),
    ]);
}

#[test]
fn a_path_that_only_an_outer_file_has_goes_to_the_write_target() {
    check(&[
        (r#"outer {"a":1} | target {} | own {}"#, "a = 2", "1: a = 2"),
        (r#"outer {"a":{"x":1}} | own {} | target {}"#, "a/x = 2", "2: a/x = 2"),
        (r#"outer {"a":{"x":1}} | target {} | own {"a":{"y":1}}"#, "a/x = 2", "1: a/x = 2"),
        (r#"outer {"a":{"x":1}} | target {}"#, "a = [1]", "1: a = [1]"),
    ]);
}

#[test]
fn a_deletion_is_made_in_each_own_file() {
    check(&[
        (r#"own {"a":1} | own {"b":1} | own {"a":2}"#, "a -", "0: a -; 2: a -"),
        (r#"own {"a":{"x":1}} | own {"a":{"x":2,"y":1}}"#, "a/x -", "0: a/x -; 1: a/x -"),
        (r#"own {"a":{"x":1}} | own {"a":1}"#, "a -", "0: a -; 1: a -"),
        // What an earlier file has counts as well where a later one hides it for the time being.
        (r#"own {"a":{"x":1}} | own {"a":1} | own {"a":{"x":2}}"#, "a/x -", "0: a/x -; 2: a/x -"),
    ]);
}

#[test]
fn what_an_outer_file_gives_cannot_be_deleted() {
    check(&[
        (r#"outer {"a":1} | own {"b":1}"#, "a -", "a from 0"),
        (r#"outer {"a":1} | own {"a":2} | own {"a":3}"#, "a -", "1: a -; 2: a -; a from 0"),
        (r#"outer {"a":1} | outer {"a":2} | own {}"#, "a -", "a from 1"),
        (r#"outer {"a":{"x":1}} | own {"a":{"y":1}}"#, "a -", "1: a -; a from 0"),
        (r#"outer {"a":{"x":1}} | outer {"a":{"y":1}} | own {}"#, "a -; b = 1", "2: b = 1; a from 1"),
        (r#"outer {"a":null} | own {}"#, "a -", "a from 0"),
    ]);
}

#[test]
fn what_changes_nothing_is_written_nowhere() {
    check(&[
        (r#"outer {"a":1} | own {}"#, "a = 1", ""),
        (r#"outer {"a":1} | own {"a":1}"#, "a = 1", ""),
        (r#"outer {"a":{"x":1}} | own {"a":{"y":1}}"#, r#"a = {"y":1,"x":1}"#, ""),
        (r#"own {"a":1}"#, "b -", ""),
        (r#"own {"a":1}"#, "a/b -", ""),
        (r#"own {}"#, "a/b -", ""),
        (r#"own {"a":[1]}"#, "a/0 -", ""),
        // Not to be seen, so nobody can have meant it.
        (r#"own {"a":{"b":1}} | own {"a":5}"#, "a/b -", ""),
        (r#"outer {"a":{"b":1}} | own {"a":5}"#, "a/b -", ""),
        // But one's own value is changed even if the outer one would do.
        (r#"outer {"a":1} | own {"a":2}"#, "a = 1", "1: a = 1"),
    ]);
}

#[test]
fn an_object_set_whole_is_set_member_by_member_over_an_object() {
    check(&[
        (
            r#"own {"a":{"x":1,"y":1}} | target {"a":{"z":1}}"#,
            r#"a = {"x":2,"z":1,"n":{"m":1}}"#,
            r#"0: a/y -; 0: a/x = 2; 1: a/n = {"m":1}"#,
        ),
        (r#"outer {"a":{"x":1,"y":1}} | own {}"#, r#"a = {"x":2}"#, "1: a/x = 2; a/y from 0"),
        (r#"outer {"a":{"x":1}} | own {"a":{"y":1}}"#, "a = {}", "1: a/y -; a/x from 0"),
        (r#"own {"a":{"x":{"y":1}}}"#, r#"a = {"x":{}}"#, "0: a/x/y -"),
        // What is hidden is no part of it.
        (
            r#"own {"a":{"b":{"x":1}}} | own {"a":5} | own {"a":{"b":{"y":1}}}"#,
            r#"a/b = {"x":1}"#,
            "2: a/b/y -; 2: a/b/x = 1",
        ),
        (r#"outer {"a":{"b":{"x":1}}} | own {"a":5} | own {"a":{"b":{"y":1}}}"#, "a/b = {}", "2: a/b/y -"),
    ]);
}

#[test]
fn an_object_in_place_of_something_else_does_not_uncover_earlier_members() {
    check(&[
        (r#"own {"a":{"x":1}} | own {"a":[1]}"#, r#"a = {"y":1}"#, r#"1: a = {"y":1}; 0: a/x -"#),
        (r#"own {"a":{"x":1}} | own {"a":null}"#, "a = {}", "1: a = {}; 0: a/x -"),
        (r#"own {"a":{"x":1}} | own {"a":1}"#, r#"a = {"x":2}"#, r#"1: a = {"x":2}"#),
        (r#"own {"a":{"x":{"y":1}}} | own {"a":1}"#, r#"a = {"x":{}}"#, r#"1: a = {"x":{}}; 0: a/x/y -"#),
        // Only down to the next one that hides.
        (r#"own {"a":{"x":1}} | own {"a":1} | own {"a":{"y":1}} | own {"a":2}"#, "a = {}", "3: a = {}; 2: a/y -"),
        // An outer file's members stay.
        (r#"outer {"a":{"x":1,"y":1}} | own {"a":[]}"#, r#"a = {"y":2}"#, r#"1: a = {"y":2}; a/x from 0"#),
        (
            r#"outer {"a":{"x":1}} | own {"a":{"x":2,"y":1}} | own {"a":5}"#,
            "a = {}",
            "2: a = {}; 1: a/x -; 1: a/y -; a/x from 0",
        ),
    ]);
}

#[test]
fn what_is_set_below_something_else_makes_an_object_of_it_where_it_is() {
    check(&[
        (r#"target {} | own {"a":5}"#, "a/b = 1", r#"1: a = {"b":1}"#),
        (r#"own {"a":5} | target {}"#, "a/b = 1", r#"0: a = {"b":1}"#),
        (r#"target {} | own {"a":[{"b":2}]}"#, "a/b/c = 1", r#"1: a = {"b":{"c":1}}"#),
        (r#"outer {"a":5} | target {}"#, "a/b = 1", r#"1: a = {"b":1}"#),
        (r#"own {"a":{"x":1}} | own {"a":5}"#, "a/b = 1", r#"1: a = {"b":1}; 0: a/x -"#),
        (r#"outer {"a":{"x":1}} | own {"a":5}"#, "a/b = 1", r#"1: a = {"b":1}; a/x from 0"#),
        // Two members of the same new object are one wish; the first does not drop or inherit what the second sets.
        (r#"outer {"a":{"x":1}} | own {"a":5}"#, "a/b = 1; a/x = 2", r#"1: a = {"b":1,"x":2}"#),
    ]);
}

#[test]
fn what_would_be_hidden_in_the_write_target_goes_to_a_later_own_file() {
    check(&[
        (r#"target {} | own {"a":5} | own {"a":{"x":1}}"#, "a/b = 1", "2: a/b = 1"),
        (r#"target {"a":5} | own {"a":{"x":1}}"#, "a/b = 1", "1: a/b = 1"),
        (r#"target {} | own {"a":5} | own {"a":{"x":1}} | own {}"#, "a/b = 1", "3: a/b = 1"),
        (r#"target {} | outer {"a":5} | own {}"#, "a = 1", "2: a = 1"),
        (r#"target {} | outer {"a":5} | own {}"#, r#"a/b = 1"#, r#"2: a = {"b":1}"#),
        (r#"own {"a":1} | outer {"a":2} | target {} | own {}"#, "a = 3", "2: a = 3"),
        (r#"target {} | own {"a":{}}"#, "a/b = 1", "0: a/b = 1"),
    ]);
}

#[test]
fn what_a_file_after_all_own_ones_gives_stays() {
    check(&[
        (r#"own {"a":1} | outer {"a":2}"#, "a = 3", "a from 1"),
        (r#"own {"a":1} | outer {"a":2}"#, "a -", "0: a -; a from 1"),
        (r#"own {} | outer {"a":2}"#, "a/b = 3", "a from 1"),
        (r#"own {} | outer {"a":2} | outer {"a":{"x":1}}"#, "a/b = 3", "a/b from 1"),
        // It can be added to, even where an own file hides what comes before.
        (r#"own {} | outer {"a":{"x":1}}"#, "a/b = 3", "0: a/b = 3"),
        (r#"own {"a":5} | outer {"a":{"x":1}}"#, "a/b = 3", "0: a/b = 3"),
        (
            r#"outer {"a":{"y":1}} | own {"a":{"z":1}} | own {"a":5} | outer {"a":{"x":1}}"#,
            "a/b = 3; a/c = 4",
            "2: a/b = 3; 2: a/c = 4; 1: a/z -; a/y from 0",
        ),
        (r#"outer {"a":{"y":1}} | own {"a":5} | outer {"a":{"x":1}}"#, "a/b = 3; a/y = 2", "1: a/b = 3; 1: a/y = 2"),
    ]);
}

#[test]
fn null_is_a_value() {
    check(&[
        ("target {} | own {}", "a = null", "0: a = null"),
        (r#"outer {"a":1} | own {}"#, "a = null", "1: a = null"),
        (r#"own {"a":null} | target {}"#, "a = 1", "0: a = 1"),
        (r#"own {"a":null}"#, "a -", "0: a -"),
        (r#"own {"a":null}"#, "a = null", ""),
    ]);
}

#[test]
fn the_empty_object_is_a_value_where_nothing_is_and_nothing_over_an_object() {
    check(&[
        ("own {}", "a = {}", "0: a = {}"),
        (r#"own {"a":{}}"#, "a -", "0: a -"),
        (r#"outer {"a":{}} | own {}"#, "a = {}", ""),
        (r#"outer {"a":[]} | own {}"#, "a = {}", "1: a = {}"),
        (r#"own {"a":[1]} | target {}"#, "a = {}", "0: a = {}"),
        (r#"own {"a":{"x":1}} | target {}"#, "a/x -", "0: a/x -"),
    ]);
}

#[test]
fn the_edits_of_a_batch_are_one_change() {
    check(&[
        (r#"own {"a":{"b":1,"c":1}} | target {}"#, r#"a -; a/b = 2"#, "0: a/c -; 0: a/b = 2"),
        (r#"outer {"a":{"b":1}} | own {}"#, "a -; a/b = 2", "1: a/b = 2"),
        (r#"outer {"a":{"b":1,"c":1}} | own {}"#, "a -; a/b = 2", "1: a/b = 2; a/c from 0"),
        (r#"outer {"a":1} | own {}"#, "a -; a = 2", "1: a = 2"),
        (r#"own {"a":1}"#, "a -; a = 1", ""),
        ("own {}", "a = 1; a -", ""),
        ("own {}", "a/b = 1; a -", ""),
        ("own {}", "a/b = 1; a/c = 2; a/b -", "0: a = {}; 0: a/c = 2"),
        ("own {}", "a/c = 2; a/b = 1; a/b -", "0: a/c = 2"),
        // What was set is gone, but not the object that was made for it.
        ("target {} | own {}", "a/b/c = 1; a/b/c -", "0: a/b = {}"),
        (r#"own {"a":1}"#, "a = 2; b = 1; a = 3", "0: a = 3; 0: b = 1"),
        (r#"own {"a":1}"#, r#"a/b = 1; a = 2; a/c = 3"#, r#"0: a = {"c":3}"#),
        (r#"own {"b":1,"a":1}"#, "b -; c = 1; a -", "0: b -; 0: c = 1; 0: a -"),
    ]);
}

#[test]
fn keys_are_taken_as_they_are() {
    check(&[
        (r#"own {"a.b":{"":1}} | target {"a":{"b":2}}"#, "a.b/ = 3", "0: a.b/ = 3"),
        (r#"own {"a.b":1} | target {"a":{"b":2}}"#, "a/b -", "1: a/b -"),
        (r#"outer {"":{"":1}} | own {"":{"":2}}"#, "/ -", "1: / -; / from 0"),
        // A prefix as a text is not one as a path.
        (r#"own {"a":1,"ab":1}"#, "a -; ab = 2", "0: a -; 0: ab = 2"),
    ]);
}

#[test]
fn the_empty_path_is_the_whole_document() {
    check(&[
        (r#"own {"a":1} | target {"b":1}"#, r#". = {"a":1,"c":1}"#, "1: b -; 1: c = 1"),
        (r#"outer {"a":1} | own {"b":1}"#, ". = {}", "1: b -; a from 0"),
        (r#"outer {"a":1} | own {"b":1}"#, ". -", "1: b -; a from 0"),
        (r#"own {"a":1} | own {}"#, ". -; b = 1", "0: a -; 1: b = 1"),
    ]);
}

#[test]
fn the_origin_of_a_value_is_the_last_file_that_has_it() {
    let (layers, _) = layers(
        r#"outer {"a":{"x":1,"z":1},"b":{"x":1}} | own {"a":{"x":2},"b":5,"c":null} | own {"a":{"y":1},"b":{}}"#,
    );
    let origin = |path: &str| origin(&layers, &keys(path));
    assert_eq!(origin("a"), Some(2));
    assert_eq!(origin("a/x"), Some(1));
    assert_eq!(origin("a/y"), Some(2));
    assert_eq!(origin("a/z"), Some(0));
    assert_eq!(origin("c"), Some(1));
    assert_eq!(origin("c/x"), None);
    assert_eq!(origin("d"), None);
    assert_eq!(origin("b/x"), None, "hidden");
    assert_eq!(origin("."), Some(2));
}

#[test]
fn a_document_is_not_copied_unless_it_is_shared_and_changes() {
    let (mut layers, target) = layers(r#"outer {"a":1} | own {"b":1} | own {"c":1}"#);
    let addresses = |layers: &[Layer]| layers.iter().map(|layer| Arc::as_ptr(&layer.document)).collect::<Vec<_>>();
    let before = addresses(&layers);
    let batch = edits("a = 2; b/x = 1; c -");
    assert_eq!(distribute(&mut layers, target, &batch).edits.len(), 3);
    assert_eq!(addresses(&layers), before);

    let shared = layers.clone();
    assert_eq!(distribute(&mut layers, target, &edits("a -; b -; d -")).edits.len(), 2);
    assert_eq!(shared[1].document, Arc::new(json!({ "b": { "x": 1 } })), "the other owner's document stays");
    let kept = |at: usize| Arc::ptr_eq(&shared[at].document, &layers[at].document);
    assert_eq!([kept(0), kept(1), kept(2)], [true, false, false]);
}

/// Few keys and few kinds, so that layers and edits meet each other everywhere.
fn documents() -> impl Strategy<Value = Value> {
    vec((few_keys(), few_values()), 0..4).prop_map(|members| Value::Object(members.into_iter().collect()))
}

fn few_keys() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just("a"), 2 => Just("b"), 1 => Just(""), 1 => Just("a.b")].prop_map(str::to_owned)
}

fn few_values() -> impl Strategy<Value = Value> {
    let leaves = || select(vec![json!(null), json!(1), json!(2), json!([]), json!([{ "a": 1 }]), json!({})]);
    (0..3).fold(leaves().boxed(), |inner, _| {
        let members = vec((few_keys(), inner), 1..4);
        let object = members.prop_map(|members| Value::Object(members.into_iter().collect()));
        prop_oneof![2 => leaves(), 3 => object].boxed()
    })
}

fn some_edits() -> impl Strategy<Value = Vec<Edit>> {
    let change = prop_oneof![2 => few_values().prop_map(Change::Set), 1 => Just(Change::Delete)];
    let path = prop_oneof![1 => vec(few_keys(), 0..1), 30 => vec(few_keys(), 1..5)];
    // The document itself is only ever set to an object: no settings are anything else.
    let edit = (path, change).prop_map(|(path, change)| match change {
        Change::Set(value) if path.is_empty() && !value.is_object() => Edit { path, change: Change::Delete },
        change => Edit { path, change },
    });
    vec(edit, 0..6)
}

/// Files in any order, at least one of them the project's own.
fn nests() -> impl Strategy<Value = (Vec<Layer>, usize)> {
    (vec((any::<bool>(), documents()), 1..5), any::<Index>()).prop_map(|(mut parts, target)| {
        let target = target.index(parts.len());
        parts[target].0 = true;
        let layers = parts.into_iter().enumerate().map(|(at, (own, document))| layer_of(at, own, document)).collect();
        (layers, target)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_is_merged_afterwards_is_what_was_wanted((mut layers, target) in nests(), edits in some_edits()) {
        distribute_and_check(&mut layers, target, &edits);
    }

    #[test]
    fn a_document_of_any_kind_can_be_wanted((mut layers, target) in nests(), wanted in documents()) {
        let edits = diff(&merged(&layers), &wanted);
        let first = distribute_and_check(&mut layers, target, &edits);
        // What is left is what nobody can change: asking again is answered in the same way.
        let edits = diff(&merged(&layers), &wanted);
        let mut again = distribute_and_check(&mut layers, target, &edits);
        let mut inherited = first.inherited;
        prop_assert_eq!(again.edits, []);
        inherited.sort();
        again.inherited.sort();
        prop_assert_eq!(again.inherited, inherited);
    }

    #[test]
    fn nothing_is_inherited_where_all_files_are_own((mut layers, target) in nests(), edits in some_edits()) {
        layers.iter_mut().for_each(|layer| layer.own = true);
        prop_assert_eq!(distribute_and_check(&mut layers, target, &edits).inherited, []);
    }

    #[test]
    fn a_value_can_be_overridden_where_an_own_file_is_last((mut layers, _) in nests(), path in vec(few_keys(), 1..4)) {
        let target = layers.len() - 1;
        layers[target].own = true;
        let edit = Edit { path, change: Change::Set(json!("new")) };
        let distribution = distribute_and_check(&mut layers, target, std::slice::from_ref(&edit));
        prop_assert_eq!(origin(&layers, &edit.path).map(|layer| layers[layer].own), Some(true));
        prop_assert!(!distribution.inherited.iter().any(|(path, _)| path.starts_with(&edit.path)));
    }
}
