//! What must hold whatever the commands are.

mod probe;
mod random;

use probe::probes;
use proptest::prelude::*;
use registry_state::{Applied, Interests, Outcome, State, Topic, codec};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn equal_commands_give_equal_states(commands in random::commands()) {
        let (mut one, mut other) = (State::default(), State::default());
        for command in &commands {
            prop_assert_eq!(one.apply(command), other.apply(command));
        }
        prop_assert_eq!(snapshot(&one), snapshot(&other));
        prop_assert_eq!(one, other);
    }

    #[test]
    fn a_restored_state_is_the_same_and_goes_on_the_same(
        before in random::commands(),
        after in random::commands(),
    ) {
        let mut state = State::default();
        before.iter().for_each(|command| drop(state.apply(command)));
        let mut restored = codec::read_snapshot(snapshot(&state).as_slice()).unwrap();
        prop_assert_eq!(&restored, &state);
        for command in &after {
            prop_assert_eq!(restored.apply(command), state.apply(command));
        }
        prop_assert_eq!(restored, state);
    }

    #[test]
    fn commands_survive_the_log(commands in random::commands()) {
        let bytes = codec::encode_commands(&commands);
        prop_assert_eq!(codec::decode_commands(&bytes).unwrap(), commands);
    }

    /// A damaged byte is told or gives another state, one that can be asked; it never ends the program.
    #[test]
    fn damaged_bytes_do_no_harm(commands in random::commands(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut state = State::default();
        commands.iter().for_each(|command| drop(state.apply(command)));
        let (mut bytes, mut log) = (snapshot(&state), codec::encode_commands(&commands));
        let (place, log_place) = (at.index(bytes.len()), at.index(log.len()));
        (bytes[place], log[log_place]) = (byte, byte);
        if let Ok(read) = codec::read_snapshot(bytes.as_slice()) {
            probes().iter().for_each(|probe| drop(probe.ask(&read)));
        }
        if let Ok(read) = codec::decode_commands(&log) {
            let mut state = State::default();
            read.iter().for_each(|command| drop(state.apply(command)));
        }
    }

    #[test]
    fn what_is_refused_changes_nothing(commands in random::commands()) {
        let mut state = State::default();
        for command in &commands {
            let before = state.clone();
            let Applied { outcome, topics, .. } = state.apply(command);
            if matches!(outcome, Outcome::Refused | Outcome::Failed(_) | Outcome::TxnFailed(_)) {
                prop_assert!(topics.is_empty());
                for probe in probes() {
                    prop_assert_eq!(probe.ask(&before), probe.ask(&state), "{}", probe.name());
                }
            }
        }
    }

    /// The promise to blocking queries: who waits hears of every change of his answer, an index never runs backwards,
    /// and who is woken has a newer index to show.
    #[test]
    fn every_change_wakes_who_waits_for_it(commands in random::commands()) {
        let mut state = State::default();
        for command in &commands {
            let before = state.clone();
            let applied = state.apply(command);
            for probe in probes() {
                let ((old, old_index), (new, new_index)) = (probe.ask(&before), probe.ask(&state));
                let woken = is_woken(&probe.topics(), &applied);
                prop_assert!(new_index >= old_index, "{}: {new_index} after {old_index}", probe.name());
                if old != new {
                    prop_assert!(woken, "{} is not woken by {command:?}", probe.name());
                }
                if woken {
                    prop_assert!(new_index > old_index, "{}: {command:?} wakes for nothing", probe.name());
                }
            }
        }
    }
}

fn snapshot(state: &State) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::write_snapshot(state, &mut bytes).expect("a vector takes everything");
    bytes
}

fn is_woken(waiting: &[Topic], applied: &Applied) -> bool {
    let mut interests = Interests::<()>::default();
    waiting.iter().for_each(|topic| *interests.entry(topic) = ());
    let mut woken = false;
    interests.woken_by(&applied.topics, |()| woken = true);
    woken
}

/// The words that commands and probes have in common.
mod names {
    pub(crate) const KEYS: [&str; 5] = ["a", "a/b", "a/b/c", "b", "p/x"];
    pub(crate) const PREFIXES: [&str; 7] = ["", "a", "a/", "a/b", "p/", "p/x/y", "z"];
    pub(crate) const NODES: [&str; 4] = ["n1", "N1", "n2", "n3"];
    pub(crate) const NODE_IDS: [&str; 3] =
        ["", "9f1c1a34-70a5-4c1e-9b5c-2f3d4e5f6a7b", "9f1d1a34-70a5-4c1e-9b5c-2f3d4e5f6a7b"];
    pub(crate) const SERVICES: [&str; 3] = ["web", "WEB", "api"];
    pub(crate) const SERVICE_IDS: [&str; 3] = ["web", "web2", "api"];
    pub(crate) const CHECKS: [&str; 3] = ["serfHealth", "c1", "c2"];
    pub(crate) const STATES: [&str; 3] = ["passing", "warning", "critical"];
    pub(crate) const SESSIONS: [&str; 3] = ["s1", "s2", "s3"];
}
