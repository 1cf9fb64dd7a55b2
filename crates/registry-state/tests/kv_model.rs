//! The key-value store against a model that is too simple to be wrong: an ordered map, and a list of all deletes.

mod model;

use model::{Deed, Model};
use proptest::{collection::vec, prelude::*, sample::select};
use registry_state::{
    Action, Command, Index, Key, Node, Outcome, Register, State,
    read::{KvGet, KvKeys, KvList, Read as _},
};

const KEYS: [&str; 8] = ["a", "a/b", "a/b/c", "a/c", "ab", "b/", "b/x/y", "ä/ö"];
const PREFIXES: [&str; 9] = ["", "a", "a/", "a/b", "ab", "b/", "b/x/", "z", "ä"];
const SEPARATORS: [&str; 4] = ["", "/", "b", "/b"];
const SESSIONS: [&str; 2] = ["s1", "s2"];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn keys_locks_and_indexes_are_the_models(deeds in vec((0..900_u64, deed()), 1..60)) {
        let (mut state, mut model, mut at_ms) = (State::default(), Model::default(), 1_000_000);
        state.apply(&registration());
        for (passed_ms, deed) in deeds {
            at_ms += passed_ms;
            let shown = indexes(&state);
            let Some((action, expected)) = model.perform(&deed, at_ms) else { continue };
            let applied = state.apply(&Command { at_ms, action });
            let outcome = match applied.outcome {
                Outcome::Failed(_) => None,
                outcome => Some(outcome == Outcome::Done),
            };
            prop_assert_eq!(outcome, expected, "{:?} at {}", deed, applied.index);
            compare(&state, &model)?;
            for (prefix, (before, after)) in PREFIXES.iter().zip(shown.into_iter().zip(indexes(&state))) {
                prop_assert!(after >= before, "{prefix:?} ran from {before} back to {after} by {deed:?}");
            }
        }
    }
}

fn compare(state: &State, model: &Model) -> Result<(), TestCaseError> {
    for key in KEYS {
        let (found, index) = KvGet { key: key.into() }.run(state);
        let entry = model.entries.get(key);
        let shown = found.as_ref().map(|e| model::Entry {
            value: e.value.value.to_vec(),
            flags: e.flags,
            lock_index: e.lock_index,
            session: e.session.as_ref().map(ToString::to_string),
            created: e.create_index,
            modified: e.modify_index,
        });
        prop_assert_eq!(shown.as_ref(), entry, "{}", key);
        prop_assert_eq!(index, entry.map_or(model.changed, |e| e.modified).max(1), "the index of {}", key);
    }
    for prefix in PREFIXES {
        let (found, index) = KvList { prefix: prefix.into() }.run(state);
        let keys: Vec<_> = found.iter().map(|e| e.key.clone()).collect();
        let expected: Vec<Key> = model.under(prefix).map(|key| Key::from(key.as_str())).collect();
        prop_assert_eq!(keys, expected, "below {:?}", prefix);
        let bounds = model.index_of(prefix);
        prop_assert!(bounds.contains(&index), "the index of {prefix:?} is {index}, not in {bounds:?}");
        for separator in SEPARATORS {
            let (keys, of_keys) = KvKeys { prefix: prefix.into(), separator: separator.into() }.run(state);
            let expected: Vec<Key> =
                model.cut(prefix, separator).iter().map(|key| Key::from(key.as_str())).collect();
            prop_assert_eq!(keys, expected, "keys below {:?} up to {:?}", prefix, separator);
            prop_assert_eq!(of_keys, index);
        }
    }
    Ok(())
}

fn indexes(state: &State) -> Vec<Index> {
    PREFIXES.iter().map(|prefix| KvList { prefix: (*prefix).into() }.run(state).1).collect()
}

fn registration() -> Command {
    let node = Node { name: "n1".to_owned(), address: "10.0.0.1".to_owned(), ..Node::default() };
    Command { at_ms: 0, action: Action::Register(Box::new(Register { node, ..Register::default() })) }
}

fn deed() -> impl Strategy<Value = Deed> {
    let key = || select(&KEYS[..]);
    let session = || select(&SESSIONS[..]);
    let value = || vec(0..2_u8, 0..2);
    prop_oneof![
        5 => (key(), value(), 0..2_u64).prop_map(|(key, value, flags)| Deed::Put(key, value, flags)),
        3 => (key(), value(), 0..3_u8).prop_map(|(key, value, seen)| Deed::Cas(key, value, seen)),
        5 => (key(), value(), session()).prop_map(|(key, value, session)| Deed::Acquire(key, value, session)),
        2 => (key(), value(), session()).prop_map(|(key, value, session)| Deed::Release(key, value, session)),
        3 => key().prop_map(Deed::Delete),
        2 => (key(), 0..3_u8).prop_map(|(key, seen)| Deed::DeleteCas(key, seen)),
        2 => select(&PREFIXES[..]).prop_map(Deed::DeleteTree),
        3 => (session(), 0..3_u64, any::<bool>())
            .prop_map(|(session, delay_s, deletes)| Deed::Begin(session, delay_s * 1000, deletes)),
        2 => session().prop_map(Deed::End),
        1 => (0..40_u64).prop_map(Deed::Reap),
    ]
}
