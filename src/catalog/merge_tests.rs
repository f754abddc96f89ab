//! The merge: the cases that administrators meet, and the laws that hold for every document.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn map(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else { panic!("{value} is no object") };
    map
}

fn three(base: Value, local: Value, new: Value) -> Merged {
    merge(Some(&map(base)), &map(local), &map(new))
}

#[test]
fn a_local_branch_survives_and_the_rest_is_updated() {
    let merged = three(
        json!({"repo": {"url": "a", "branch": "main"}, "x": 1}),
        json!({"repo": {"url": "a", "branch": "beta"}, "x": 1}),
        json!({"repo": {"url": "b", "branch": "main"}, "x": 2}),
    );
    assert_eq!(merged.document, map(json!({"repo": {"url": "b", "branch": "beta"}, "x": 2})));
    assert!(merged.notes().is_empty());
}

#[test]
fn what_has_run_stays_so_in_a_list_of_elements_with_ids() {
    let merged = three(
        json!({"targets": [{"id": "a", "has_run": false, "script": "1"}, {"id": "b", "has_run": false}]}),
        json!({"targets": [{"id": "a", "has_run": true, "script": "1"}, {"id": "b", "has_run": false}]}),
        json!({"targets": [{"id": "c", "has_run": false}, {"id": "a", "has_run": false, "script": "2"}]}),
    );
    let expected = json!({"targets": [{"id": "c", "has_run": false}, {"id": "a", "has_run": true, "script": "2"}]});
    assert_eq!(merged.document, map(expected));
}

#[test]
fn a_key_that_is_no_longer_shipped_goes_unless_it_was_changed_here() {
    let merged = three(
        json!({"a": 1, "b": {"x": 1, "y": 1}, "l": [{"id": 1, "v": 1}, {"id": 2, "v": 1}]}),
        json!({"a": 1, "b": {"x": 2, "y": 1}, "l": [{"id": 1, "v": 1}, {"id": 2, "v": 2}]}),
        json!({"l": []}),
    );
    assert_eq!(merged.document, map(json!({"l": [{"id": 2, "v": 2}], "b": {"x": 2, "y": 1}})));
    assert_eq!(merged.retained, ["l[#2]", "b"]);
}

#[test]
fn where_both_changed_a_value_the_local_one_wins_and_the_report_says_so() {
    let merged = three(
        json!({"a": {"b": 1}, "gone": 1, "plain": [1], "l": [{"id": "x", "v": 1}]}),
        json!({"a": {"b": 2}, "plain": [1, 2], "l": [{"id": "x", "v": 2}]}),
        json!({"a": {"b": 3}, "gone": 2, "plain": [3], "l": [{"id": "x", "v": 3}]}),
    );
    assert_eq!(merged.document, map(json!({"a": {"b": 2}, "plain": [1, 2], "l": [{"id": "x", "v": 2}]})));
    assert_eq!(merged.overridden, ["a.b", "gone", "plain", "l[x].v"]);
    assert_eq!(merged.notes().len(), 1);
}

#[test]
fn what_describes_the_code_is_never_local() {
    let base = json!({"metadata": {"schema_version": "1", "name": "m", "description": "d", "enabled": true}});
    let local = json!({"metadata": {"schema_version": "9", "name": "z", "description": "z", "enabled": false}});
    for new in [
        json!({"metadata": {"schema_version": "2", "name": "m", "description": "e", "enabled": true}}),
        base.clone(),
        json!({"metadata": {"schema_version": "2"}}),
    ] {
        let merged = three(base.clone(), local.clone(), new.clone()).document;
        let mut expected = map(new);
        expected["metadata"]["enabled"] = json!(false);
        assert_eq!(merged, expected);
    }
    let noise = merge(None, &map(json!({"metadata": 7})), &map(base.clone()));
    assert_eq!(noise.document, map(base));
}

#[test]
fn elements_that_are_only_local_stay_where_they_stand() {
    let list = |ids: &str| json!({"l": ids.chars().map(|id| json!({"id": id.to_string()})).collect::<Vec<_>>()});
    let merged = three(list("abc"), list("XaYZbc"), list("dabce"));
    assert_eq!(Value::Object(merged.document), list("XdaYZbce"));
    let removed_here = three(list("abc"), list("ac"), list("abcd"));
    assert_eq!(Value::Object(removed_here.document), list("acd"));
}

#[test]
fn without_a_shipped_copy_the_server_s_own_values_and_what_is_only_local_survive() {
    let merged = merge(
        None,
        &map(json!({"metadata": {"enabled": false}, "x": 1, "mine": 1, "l": [{"id": 1, "has_run": true, "s": 1}]})),
        &map(json!({"metadata": {"enabled": true}, "x": 2, "l": [{"id": 1, "has_run": false, "s": 2}]})),
    );
    let expected =
        json!({"metadata": {"enabled": false}, "x": 2, "mine": 1, "l": [{"id": 1, "has_run": true, "s": 2}]});
    assert_eq!(merged.document, map(expected));
    assert_eq!(merged.replaced, ["x", "l[#1].s"]);
}

#[test]
fn keys_come_in_the_order_in_which_they_are_shipped_now() {
    let merged = three(json!({"a": 1, "b": 1}), json!({"mine": 0, "a": 5, "b": 1}), json!({"b": 2, "a": 1}));
    assert_eq!(merged.document.keys().collect::<Vec<_>>(), ["b", "a", "mine"]);
}

#[test]
fn changes_are_named_by_their_paths() {
    let base = map(json!({"a": {"b": 1, "c": 1}, "d": [1], "e": 1}));
    let local = map(json!({"a": {"b": 2, "c": 1}, "d": [2], "f": 1}));
    assert_eq!(changes(&base, &local), ["a.b", "d", "f", "e"]);
    assert!(changes(&base, &base).is_empty());
}

// Few keys and values, so that documents often meet.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (0..3i64).prop_map(Value::from),
        "[xy]".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            object(inner.clone()).prop_map(Value::Object),
            prop::collection::vec((0..4i64, object(inner)), 0..4).prop_map(|elements| {
                let with_id = |(id, mut map): (i64, Map<String, Value>)| {
                    map.insert("id".into(), id.into());
                    Value::Object(map)
                };
                Value::Array(elements.into_iter().map(with_id).collect())
            }),
        ]
    })
}

fn object(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec(("[abc]|id|enabled|has_run", inner), 0..4).prop_map(|pairs| pairs.into_iter().collect())
}

// Documents as modules have them: with a metadata object whose own keys are the same in all three.
fn document() -> impl Strategy<Value = Map<String, Value>> {
    (object(value()), object(value())).prop_map(|(mut document, mut metadata)| {
        metadata.insert("schema_version".into(), "1".into());
        document.insert("metadata".into(), Value::Object(metadata));
        document
    })
}

proptest! {
    #[test]
    fn what_was_not_changed_here_becomes_what_is_shipped(base in document(), new in document()) {
        let merged = merge(Some(&base), &base, &new);
        prop_assert_eq!(&merged.document, &new);
        prop_assert!(merged.notes().is_empty());
    }

    #[test]
    fn what_was_not_changed_by_the_new_version_stays_as_it_is_here(base in document(), local in document()) {
        let merged = merge(Some(&base), &local, &base);
        prop_assert_eq!(&merged.document, &local);
        prop_assert!(merged.notes().is_empty());
    }

    #[test]
    fn merging_again_changes_nothing(base in document(), local in document(), new in document(), known: bool) {
        let once = merge(known.then_some(&base), &local, &new).document;
        prop_assert_eq!(&merge(Some(&new), &once, &new).document, &once);
    }

    #[test]
    fn the_same_on_both_sides_is_taken_without_a_word(base in document(), same in document(), known: bool) {
        let merged = merge(known.then_some(&base), &same, &same);
        prop_assert_eq!(&merged.document, &same);
        prop_assert!(merged.notes().is_empty());
    }

    #[test]
    fn any_three_documents_merge(base in object(value()), local in object(value()), new in object(value()), known: bool) {
        merge(known.then_some(&base), &local, &new);
    }
}
