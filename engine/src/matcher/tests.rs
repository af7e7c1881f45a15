use super::*;

fn literal(name: &str) -> Matcher {
    Matcher::Literal(name.into())
}

fn leaf(id: usize) -> Matcher {
    Matcher::Leaf(Leaf { id, of_names: false })
}

fn glob(text: &str) -> Matcher {
    Matcher::Glob(Glob::new(text).unwrap())
}

/// A directory that holds these.
struct Holds(&'static [&'static str]);

impl Names for Holds {
    fn holds(&self, name: &OsStr) -> bool {
        self.0.iter().any(|own| *own == name)
    }

    fn any(&self, condition: &mut dyn FnMut(&OsStr) -> bool) -> bool {
        self.0.iter().any(|own| condition(OsStr::new(own)))
    }
}

#[test]
fn a_list_matches_when_one_of_its_names_does() {
    for list in [Matcher::Any as fn(_) -> _, Matcher::Priority] {
        let matcher: Matcher = list(vec![literal(".git"), literal(".hg")]);
        assert!(matcher.matches(&Holds(&["a", ".hg"])));
        assert!(!matcher.matches(&Holds(&["hg"])));
        assert!(matcher.matches(OsStr::new(".git")));
        assert!(!list(vec![]).matches(OsStr::new(".git")));
    }
}

#[test]
fn all_and_not_are_what_they_say() {
    let matcher = Matcher::All(vec![literal("a"), Matcher::Not(Box::new(literal("b")))]);
    assert!(matcher.matches(&Holds(&["a", "c"])));
    assert!(!matcher.matches(&Holds(&["a", "b"])));
    assert!(!matcher.matches(&Holds(&[])));
    assert!(Matcher::All(vec![]).matches(&Holds(&[])));
}

#[test]
fn a_glob_is_about_one_name() {
    for (text, yes, no) in [
        ("*.cabal", &["a.cabal", ".cabal", ".hidden.cabal"][..], &["cabal", "a.cabal.bak", "a/b.cabal"][..]),
        ("?.{lua,vim}", &["a.lua", "b.vim"], &["ab.lua", ".lua", "a.vimx"]),
        ("[a-c]*", &["a", "cd"], &["d", "A"]),
    ] {
        for name in yes {
            assert!(glob(text).matches(OsStr::new(name)), "{text} {name}");
        }
        for name in no {
            assert!(!glob(text).matches(OsStr::new(name)), "{text} {name}");
        }
    }
    assert!(glob("*.cabal").matches(&Holds(&["src", "x.cabal"])));
    let error = Glob::new("{a").unwrap_err();
    assert_eq!(error.kind.code(), "invalid_argument");
    assert!(error.to_string().starts_with("the glob '{a' is not valid: "), "{error}");
}

#[cfg(unix)]
#[test]
fn a_glob_matches_names_that_are_no_text() {
    use std::os::unix::ffi::OsStrExt;
    assert!(glob("*.lua").matches(OsStr::from_bytes(b"\xff\xfe.lua")));
}

#[test]
fn leaves_are_asked_only_where_the_rest_does_not_decide() {
    let a = |names| (Matcher::Any(vec![literal("a"), leaf(1)]).judge(&Holds(names)), names);
    assert_eq!(a(&["a"]).0, Verdict::Yes);
    assert_eq!(a(&["b"]).0, Verdict::Open(leaf(1)));
    let both = Matcher::All(vec![leaf(1), literal("a"), Matcher::Not(Box::new(leaf(2))), leaf(1)]);
    assert_eq!(both.judge(&Holds(&["b"])), Verdict::No);
    let open = both.judge(&Holds(&["a"]));
    let ids = |verdict: &Verdict| verdict.leaves().iter().map(|leaf| leaf.id).collect::<Vec<_>>();
    assert_eq!(ids(&open), [1, 2]);
    for (yes, expected) in [(&[1][..], true), (&[1, 2], false), (&[], false)] {
        assert_eq!(open.settle(&mut |leaf| yes.contains(&leaf.id)), expected);
    }
    assert!(ids(&Verdict::Yes).is_empty());
    assert!(both.has_leaves() && !glob("*").has_leaves());
}

mod laws {
    use proptest::prelude::*;

    use super::*;

    fn matchers() -> impl Strategy<Value = Matcher> {
        let simple = prop_oneof![
            prop::sample::select(vec!["a", "b", "c"]).prop_map(literal),
            prop::sample::select(vec!["a*", "?", "*"]).prop_map(glob),
            (0..4_usize).prop_map(leaf),
        ];
        simple.prop_recursive(4, 24, 4, |inner| {
            let list = || prop::collection::vec(inner.clone(), 0..4);
            prop_oneof![
                list().prop_map(Matcher::Any),
                list().prop_map(Matcher::All),
                list().prop_map(Matcher::Priority),
                inner.clone().prop_map(|matcher| Matcher::Not(Box::new(matcher))),
            ]
        })
    }

    /// What it means, with all leaves known.
    fn meaning(matcher: &Matcher, names: &Holds, leaves: &[bool]) -> bool {
        let of = |matcher: &Matcher| meaning(matcher, names, leaves);
        match matcher {
            Matcher::Literal(name) => names.holds(name),
            Matcher::Glob(glob) => names.0.iter().any(|name| glob.is_match(OsStr::new(name))),
            Matcher::Path(_) | Matcher::PathGlob(_) => false,
            Matcher::Any(list) | Matcher::Priority(list) => list.iter().any(of),
            Matcher::All(list) => list.iter().all(of),
            Matcher::Not(matcher) => !of(matcher),
            Matcher::Leaf(leaf) => leaves[leaf.id],
        }
    }

    proptest! {
        #[test]
        fn asking_late_changes_nothing(
            matcher in matchers(),
            names in prop::sample::select(vec![&["a", "x"][..], &["b"], &["c", "ab"], &[]]),
            leaves in prop::collection::vec(any::<bool>(), 4),
        ) {
            let names = Holds(names);
            let verdict = matcher.judge(&names);
            prop_assert_eq!(verdict.settle(&mut |leaf| leaves[leaf.id]), meaning(&matcher, &names, &leaves));
            // Nothing is asked that does not matter at all.
            if let Verdict::Open(rest) = &verdict {
                prop_assert!(rest.has_leaves());
            }
        }
    }
}
