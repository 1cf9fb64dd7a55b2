//! Keys: one, all under a prefix, or only their names.

use std::sync::Arc;

use crate::{
    Index, Key, KvEntry, State, Stored, Topic,
    read::{Read, at_least_one},
};

/// One key: `GET /v1/kv/:key`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KvGet {
    /// The key.
    pub key: Key,
}

impl Read for KvGet {
    type Output = Option<Arc<Stored<KvEntry>>>;

    fn topics(&self) -> Vec<Topic> {
        vec![Topic::Key(self.key.clone())]
    }

    fn run(&self, state: &State) -> (Self::Output, Index) {
        let entry = state.kv.entries.get(&self.key).cloned();
        let index = entry.as_ref().map_or(state.kv.changed, |e| e.modify_index);
        (entry, at_least_one(index))
    }
}

/// All entries under a prefix, in order of their keys: `GET /v1/kv/:prefix?recurse`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KvList {
    /// The prefix, any bytes; all entries if empty.
    pub prefix: Key,
}

impl Read for KvList {
    type Output = Vec<Arc<Stored<KvEntry>>>;

    fn topics(&self) -> Vec<Topic> {
        vec![Topic::KeyPrefix(self.prefix.clone())]
    }

    fn run(&self, state: &State) -> (Self::Output, Index) {
        let entries: Self::Output = state.kv.under(self.prefix.as_bytes()).cloned().collect();
        let newest = entries.iter().map(|e| e.modify_index).max().unwrap_or(0);
        let index = state.kv.prefix_index(self.prefix.as_bytes(), newest);
        (entries, at_least_one(index))
    }
}

/// The keys under a prefix, in order: `GET /v1/kv/:prefix?keys&separator=/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KvKeys {
    /// The prefix, any bytes; all keys if empty.
    pub prefix: Key,
    /// Each key ends after the first of these beyond the prefix, and is told once; empty cuts nothing.
    pub separator: Key,
}

impl Read for KvKeys {
    type Output = Vec<Key>;

    fn topics(&self) -> Vec<Topic> {
        vec![Topic::KeyPrefix(self.prefix.clone())]
    }

    fn run(&self, state: &State) -> (Self::Output, Index) {
        let prefix = self.prefix.as_bytes();
        let (mut keys, mut newest) = (Vec::<Key>::new(), 0);
        for entry in state.kv.under(prefix) {
            newest = newest.max(entry.modify_index);
            let cut = cut_after(entry.key.as_bytes(), prefix.len(), self.separator.as_bytes());
            if keys.last().is_none_or(|last| last.as_bytes() != cut) {
                keys.push(if cut.len() == entry.key.as_bytes().len() {
                    entry.key.clone()
                } else {
                    Key::new(cut)
                });
            }
        }
        (keys, at_least_one(state.kv.prefix_index(prefix, newest)))
    }
}

/// The key up to and with the first separator at or after `from`.
fn cut_after<'a>(key: &'a [u8], from: usize, separator: &[u8]) -> &'a [u8] {
    if separator.is_empty() {
        return key;
    }
    let found = key[from..].windows(separator.len()).position(|window| window == separator);
    found.map_or(key, |at| &key[..from + at + separator.len()])
}
