//! Requests that were made already: a client or server that got no answer may ask again, and it is done once.

use std::sync::Arc;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use crate::{Applied, Index, Outcome, State, Topics, TxnResult, WriteError};

/// So many requests are remembered, the newest: whoever asks again does so within seconds.
const KEPT: usize = 16_384;
/// An outcome that takes more bytes than about this is not kept; that the request was made is.
const OUTCOME_BYTES_MAX: usize = 16 << 10;

/// Which change of which request: 128 bits that chance has chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestId(pub u64, pub u64);

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Made {
    pub(crate) request: RequestId,
    pub(crate) outcome: Outcome,
}

/// The requests made last.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Requests {
    by_id: OrdMap<RequestId, Index>,
    in_order: OrdMap<Index, Arc<Made>>,
}

impl Requests {
    /// What became of a request, if it was made.
    pub(crate) fn made(&self, request: RequestId) -> Option<Applied> {
        let index = *self.by_id.get(&request)?;
        let outcome = self.in_order.get(&index)?.outcome.clone();
        Some(Applied { index, outcome, topics: Topics::default() })
    }

    /// Remembers a request, and forgets the oldest.
    pub(crate) fn remember(&mut self, request: RequestId, index: Index, outcome: &Outcome) {
        let outcome = if weight(outcome) <= OUTCOME_BYTES_MAX {
            outcome.clone()
        } else {
            let why = "the change was made already, and what it found is no longer known";
            Outcome::Failed(WriteError::Other(why.to_owned()))
        };
        self.load(index, Arc::new(Made { request, outcome }));
        while self.in_order.len() > KEPT {
            let Some((oldest, made)) = self.in_order.get_min().map(|(index, made)| (*index, made.clone()))
            else {
                break;
            };
            self.in_order.remove(&oldest);
            self.by_id.remove(&made.request);
        }
    }

    pub(crate) fn load(&mut self, index: Index, made: Arc<Made>) {
        self.by_id.insert(made.request, index);
        self.in_order.insert(index, made);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Index, Arc<Made>)> {
        self.in_order.iter().map(|(index, made)| (*index, made.clone()))
    }
}

impl State {
    /// Whether this request was made, as far as it is remembered.
    pub fn was_made(&self, request: RequestId) -> bool {
        self.requests.made(request).is_some()
    }
}

/// About how many bytes an outcome takes.
fn weight(outcome: &Outcome) -> usize {
    const SMALL: usize = 128;
    let Outcome::Txn(results) = outcome else { return SMALL };
    let of = |result: &TxnResult| match result {
        TxnResult::Kv(entry) => SMALL + entry.value.value.len() + entry.key.as_bytes().len(),
        _ => 8 * SMALL,
    };
    results.iter().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Action, Command, KvPut, PutMode, codec,
        read::{KvGet, Read as _},
    };

    fn put(request: u64, value: &str, cas: Option<Index>) -> Command {
        let mode = cas.map_or(PutMode::Plain, PutMode::Cas);
        let put = KvPut { key: "a".into(), value: value.to_owned().into(), mode, ..KvPut::default() };
        let action = Box::new(Action::KvPut(put));
        Command { at_ms: 1, action: Action::Once { request: RequestId(request, 7), action } }
    }

    fn value(state: &State) -> Vec<u8> {
        KvGet { key: "a".into() }.run(state).0.unwrap().value.value.to_vec()
    }

    #[test]
    fn a_request_is_made_once_and_answered_as_the_first_time() {
        let mut state = State::default();
        let first = state.apply(&put(1, "x", Some(0)));
        assert_eq!(first.outcome, Outcome::Done);
        state.apply(&put(2, "y", None));
        let again = state.apply(&put(1, "x", Some(0)));
        assert_eq!((again.index, again.outcome), (first.index, Outcome::Done), "a CAS that held has held");
        assert_eq!(value(&state), b"y");
        let refused = state.apply(&put(3, "z", Some(1)));
        assert_eq!(refused.outcome, Outcome::Refused);
        assert_eq!(state.apply(&put(3, "z", Some(1))).outcome, Outcome::Refused);
    }

    #[test]
    fn what_was_made_is_known_after_a_snapshot_and_forgotten_in_time() {
        let mut state = State::default();
        state.apply(&put(1, "x", None));
        let mut saved = Vec::new();
        codec::write_snapshot(&state, &mut saved).unwrap();
        let mut read = codec::read_snapshot(saved.as_slice()).unwrap();
        assert_eq!(read, state);
        assert!(read.was_made(RequestId(1, 7)));
        for request in 0..=KEPT as u64 {
            read.apply(&put(request + 10, "x", None));
        }
        assert!(!read.was_made(RequestId(1, 7)));
        assert_eq!(read.requests.in_order.len(), KEPT);
        assert_eq!(read.requests.by_id.len(), KEPT);
    }
}
