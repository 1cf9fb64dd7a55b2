//! Bodies encoded lately, so that many clients that ask for the same list without waiting cost one encoding a change.
//!
//! Those who wait share through `Reader::encoded` instead: there a question lives as long as its waiters and is told of
//! changes, here nobody stays and nothing may be subscribed to.

use std::{
    any::TypeId,
    collections::HashMap,
    hash::{Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, Weak},
};

use registry_state::{Index, State, read::Read};

use super::respond::Encoded;

/// How many bodies are kept; when one more comes, all go and the busy ones are soon back.
const ENTRIES_MAX: usize = 512;
/// The largest body that is kept.
const BODY_BYTES_MAX: usize = 256 << 10;

/// The bodies by question.
#[derive(Default)]
pub(super) struct Recent(Mutex<HashMap<Question, Body>>);

/// Types, function and every byte of a question and its form.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Question {
    types: TypeId,
    encode: usize,
    bytes: Vec<u8>,
}

#[derive(Clone)]
struct Body {
    /// The state it is known to be true of; weak, so that a body keeps no old state alive.
    state: Weak<State>,
    index: Index,
    encoded: Encoded,
}

impl Question {
    pub(super) fn of<R, F>(question: &R, form: &F, encode: fn(&R::Output, &F) -> Encoded) -> Self
    where
        R: Read + Hash + 'static,
        F: Hash + 'static,
    {
        let mut bytes = Bytes(Vec::with_capacity(64));
        question.hash(&mut bytes);
        form.hash(&mut bytes);
        Self { types: TypeId::of::<(R, F)>(), encode: encode as usize, bytes: bytes.0 }
    }
}

/// Keeps what is hashed instead of hashing it, so that equal bytes mean equal questions.
struct Bytes(Vec<u8>);

impl Hasher for Bytes {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        unreachable!("the bytes themselves are the key")
    }
}

impl Recent {
    /// The body and index of a question in this state: as known if nothing at all was written since, else after asking
    /// for the index, else encoded anew.
    pub(super) fn answer<T>(
        &self,
        question: Question,
        state: &Arc<State>,
        run: impl FnOnce(&State) -> (T, Index),
        encode: impl FnOnce(&T) -> Encoded,
    ) -> (Encoded, Index) {
        let known = self.bodies().get(&question).cloned();
        if let Some(body) = known.as_ref().filter(|body| body.state.as_ptr() == Arc::as_ptr(state)) {
            return (body.encoded.clone(), body.index);
        }
        let (value, index) = run(state);
        // What a restore brought is another history, in which an index may stand for another answer.
        let index = index.max(state.restored_at());
        // An answer's index grows whenever the answer changes.
        let encoded = match known {
            Some(body) if body.index == index => body.encoded,
            _ => encode(&value),
        };
        self.keep(question, Body { state: Arc::downgrade(state), index, encoded: encoded.clone() });
        (encoded, index)
    }

    fn keep(&self, question: Question, body: Body) {
        if body.encoded.as_ref().is_some_and(|bytes| bytes.len() > BODY_BYTES_MAX) {
            return;
        }
        let mut bodies = self.bodies();
        if bodies.len() >= ENTRIES_MAX && !bodies.contains_key(&question) {
            bodies.clear();
        }
        bodies.insert(question, body);
    }

    fn bodies(&self) -> MutexGuard<'_, HashMap<Question, Body>> {
        self.0.lock().expect("nobody panics while holding the bodies")
    }
}

#[cfg(test)]
mod tests {
    use registry_state::{Action, Command, KvPut, read::KvList};

    use super::*;

    #[test]
    fn a_body_is_encoded_once_while_its_index_stays() {
        let recent = Recent::default();
        let mut state = State::default();
        let ask = |state: &Arc<State>, prefix: &str, encodings: &mut u32| {
            let list = KvList { prefix: prefix.into() };
            let encode: fn(&Vec<_>, &()) -> Encoded = |_, ()| None;
            let question = Question::of(&list, &(), encode);
            recent.answer(
                question,
                state,
                |s| list.run(s),
                |_| {
                    *encodings += 1;
                    None
                },
            )
        };
        let mut put = |key: &str| {
            let put = KvPut { key: key.into(), ..KvPut::default() };
            state.apply(&Command { at_ms: 1, action: Action::KvPut(put) });
            Arc::new(state.clone())
        };
        let mut encodings = 0;
        let first = put("a/1");
        let (_, index) = ask(&first, "a/", &mut encodings);
        ask(&first, "a/", &mut encodings);
        assert_eq!(ask(&put("b"), "a/", &mut encodings).1, index);
        assert_eq!(encodings, 1);
        assert_eq!(ask(&put("a/2"), "a/", &mut encodings).1, index + 2);
        assert_eq!(encodings, 2);
    }
}
