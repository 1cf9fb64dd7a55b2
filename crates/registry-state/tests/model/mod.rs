//! What the key-value store should do, in the plainest words.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

use registry_state::{Action, Behavior, Index, Key, KvDelete, KvPut, PutMode, Session};

/// Something a client does; a number in `Cas` and `DeleteCas` says what it saw: 0 nothing, 1 what is there, 2 another.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    Put(&'static str, Vec<u8>, u64),
    Cas(&'static str, Vec<u8>, u8),
    Acquire(&'static str, Vec<u8>, &'static str),
    Release(&'static str, Vec<u8>, &'static str),
    Delete(&'static str),
    DeleteCas(&'static str, u8),
    DeleteTree(&'static str),
    /// A session, its lock-delay in milliseconds, and whether its keys go with it.
    Begin(&'static str, u64, bool),
    End(&'static str),
    Reap(Index),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) value: Vec<u8>,
    pub(crate) flags: u64,
    pub(crate) lock_index: u64,
    pub(crate) session: Option<String>,
    pub(crate) created: Index,
    pub(crate) modified: Index,
}

/// The store after all deeds so far.
pub(crate) struct Model {
    pub(crate) entries: BTreeMap<String, Entry>,
    /// The last index at which any key changed.
    pub(crate) changed: Index,
    index: Index,
    sessions: BTreeMap<String, (u64, bool)>,
    delayed_until_ms: BTreeMap<String, u64>,
    /// Every delete that deleted something: the key, or the whole tree's prefix.
    deleted: Vec<(String, bool, Index)>,
    /// Whether traces of deletes were forgotten, so that an index may be newer than it need be.
    forgetful: bool,
}

/// After the registration of the sessions' node, which is the first index that anything gets.
impl Default for Model {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            changed: 0,
            index: 2,
            sessions: BTreeMap::new(),
            delayed_until_ms: BTreeMap::new(),
            deleted: Vec::new(),
            forgetful: false,
        }
    }
}

impl Model {
    /// What a deed is as a command, and what comes of it: done, refused, or `None` for an error. Deeds that no client
    /// can do (a second session of the same id) are left out.
    pub(crate) fn perform(&mut self, deed: &Deed, at_ms: u64) -> Option<(Action, Option<bool>)> {
        if matches!(deed, Deed::Begin(session, ..) if self.sessions.contains_key(*session)) {
            return None;
        }
        self.index += 1;
        Some(match deed.clone() {
            Deed::Put(key, value, flags) => {
                let holder = self.entries.get(key).and_then(|e| e.session.clone());
                self.store(key, &value, flags, 0, holder);
                (put(key, value, flags, PutMode::Plain), Some(true))
            }
            Deed::Cas(key, value, seen) => {
                let (index, holds) = self.seen(key, seen);
                if holds {
                    let holder = self.entries.get(key).and_then(|e| e.session.clone());
                    self.store(key, &value, 0, 0, holder);
                }
                (put(key, value, 0, PutMode::Cas(index)), Some(holds))
            }
            Deed::Acquire(key, value, session) => {
                let taken = self.acquire(key, &value, session, at_ms);
                (put(key, value, 0, PutMode::Acquire(session.into())), taken)
            }
            Deed::Release(key, value, session) => {
                let old = self.entries.get(key).filter(|e| e.session.as_deref() == Some(session));
                let held = old.map(|e| e.lock_index);
                if let Some(lock_index) = held {
                    self.store(key, &value, 0, lock_index, None);
                }
                (put(key, value, 0, PutMode::Release(session.into())), Some(held.is_some()))
            }
            Deed::Delete(key) => {
                self.delete(key);
                (Action::KvDelete(KvDelete::Key(key.into())), Some(true))
            }
            Deed::DeleteCas(key, seen) => {
                let (index, same) = self.seen(key, seen);
                let fits = same || !self.entries.contains_key(key);
                if fits {
                    self.delete(key);
                }
                (Action::KvDelete(KvDelete::Cas(key.into(), index)), Some(fits))
            }
            Deed::DeleteTree(prefix) => {
                self.delete_tree(prefix);
                (Action::KvDelete(KvDelete::Prefix(prefix.into())), Some(true))
            }
            Deed::Begin(session, delay_ms, deletes) => {
                self.sessions.insert(session.to_owned(), (delay_ms, deletes));
                (begin(session, delay_ms, deletes), Some(true))
            }
            Deed::End(session) => {
                self.end(session, at_ms);
                (Action::SessionDestroy { id: session.into() }, Some(true))
            }
            Deed::Reap(up_to) => {
                self.forgetful = true;
                (Action::ReapTombstones { up_to }, Some(true))
            }
        })
    }

    /// The keys below a prefix.
    pub(crate) fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a String> {
        self.entries.keys().filter(move |key| key.starts_with(prefix))
    }

    /// The keys below a prefix, cut after the first separator beyond it.
    pub(crate) fn cut(&self, prefix: &str, separator: &str) -> BTreeSet<String> {
        let cut = |key: &String| match key[prefix.len()..].find(separator) {
            Some(at) if !separator.is_empty() => key[..prefix.len() + at + separator.len()].to_owned(),
            _ => key.clone(),
        };
        self.under(prefix).map(cut).collect()
    }

    /// Which indexes an answer about a prefix may show.
    pub(crate) fn index_of(&self, prefix: &str) -> RangeInclusive<Index> {
        let written = self.under(prefix).map(|key| self.entries[key].modified);
        let deleted = self
            .deleted
            .iter()
            .filter(|(at, tree, _)| at.starts_with(prefix) || (*tree && prefix.starts_with(at.as_str())));
        let least = written.chain(deleted.map(|(.., index)| *index)).max();
        match least.filter(|_| !prefix.is_empty()) {
            None => self.changed.max(1)..=self.changed.max(1),
            Some(least) if self.forgetful => least..=self.changed,
            Some(least) if self.has_own_trace(prefix) => least..=least.max(self.rewritten_above(prefix)),
            // Nothing but a delete of a whole tree above speaks for it.
            Some(least) => least..=self.changed,
        }
    }

    fn has_own_trace(&self, prefix: &str) -> bool {
        self.under(prefix).next().is_some() || self.deleted.iter().any(|(at, ..)| at.starts_with(prefix))
    }

    /// The newest delete above a prefix: one of a key whose name was a deleted tree's takes over the tree's trace.
    fn rewritten_above(&self, prefix: &str) -> Index {
        let above = self.deleted.iter().filter(|(at, ..)| prefix.starts_with(at.as_str()));
        above.map(|(.., index)| *index).max().unwrap_or(0)
    }

    /// The index that a client saw, and whether it is what is there.
    fn seen(&self, key: &str, seen: u8) -> (Index, bool) {
        let now = self.entries.get(key).map_or(0, |e| e.modified);
        match seen {
            0 => (0, now == 0),
            1 => (now, true),
            _ => (now + 1000, false),
        }
    }

    fn acquire(&mut self, key: &str, value: &[u8], session: &str, at_ms: u64) -> Option<bool> {
        if self.delayed_until_ms.get(key).is_some_and(|until| *until > at_ms) {
            return Some(false);
        }
        if !self.sessions.contains_key(session) {
            return None;
        }
        let old = self.entries.get(key).map(|e| (e.lock_index, e.session.clone()));
        let lock_index = match old {
            Some((_, Some(holder))) if holder != session => return Some(false),
            Some((count, Some(_))) => count,
            Some((count, None)) => count + 1,
            None => 1,
        };
        self.store(key, value, 0, lock_index, Some(session.to_owned()));
        Some(true)
    }

    fn store(&mut self, key: &str, value: &[u8], flags: u64, lock_index: u64, session: Option<String>) {
        let old = self.entries.get(key);
        let created = old.map_or(self.index, |e| e.created);
        let value = value.to_vec();
        let new = Entry { value, flags, lock_index, session, created, modified: self.index };
        if old.is_some_and(|old| Entry { modified: old.modified, ..new.clone() } == *old) {
            return;
        }
        self.entries.insert(key.to_owned(), new);
        self.changed = self.index;
    }

    fn delete(&mut self, key: &str) {
        if self.entries.remove(key).is_some() {
            self.changed = self.index;
            self.deleted.push((key.to_owned(), false, self.index));
        }
    }

    fn delete_tree(&mut self, prefix: &str) {
        let before = self.entries.len();
        self.entries.retain(|key, _| !key.starts_with(prefix));
        if self.entries.len() < before {
            self.changed = self.index;
            self.deleted.push((prefix.to_owned(), true, self.index));
            // A store that was emptied has no traces to keep.
            self.forgetful |= prefix.is_empty();
        }
    }

    fn end(&mut self, session: &str, at_ms: u64) {
        let Some((delay_ms, deletes)) = self.sessions.remove(session) else { return };
        let held = self.entries.iter().filter(|(_, e)| e.session.as_deref() == Some(session));
        for key in held.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            if deletes {
                self.delete(&key);
            } else {
                let old = self.entries[&key].clone();
                self.store(&key, &old.value, old.flags, old.lock_index, None);
            }
            if delay_ms > 0 {
                self.delayed_until_ms.insert(key, at_ms + delay_ms);
            }
        }
    }
}

fn put(key: &str, value: Vec<u8>, flags: u64, mode: PutMode) -> Action {
    Action::KvPut(KvPut { key: Key::from(key), value: value.into(), flags, mode })
}

fn begin(session: &str, delay_ms: u64, deletes: bool) -> Action {
    Action::SessionCreate(Box::new(Session {
        id: session.into(),
        node: "n1".to_owned(),
        // Otherwise it would need the node's serfHealth, which is not there.
        node_checks: Some(Vec::new()),
        lock_delay_ns: i64::try_from(delay_ms * 1_000_000).expect("some seconds"),
        behavior: if deletes { Behavior::Delete } else { Behavior::Release },
        ..Session::default()
    }))
}
