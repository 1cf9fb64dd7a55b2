//! The key-value store: writes, locks, deletes and the traces that deletes leave.

use std::{ops::Bound, sync::Arc};

use imbl::{OrdMap, OrdSet};

use crate::{
    Index, Key, KvDelete, KvEntry, KvPut, Outcome, PutMode, SessionId, State, Stored, Topic, WriteError,
    session::LOCK_DELAY_MS_MAX,
    state::{Change, Step, done},
};

/// A stored entry, as reads hand it out.
pub(crate) type Entry = Arc<Stored<KvEntry>>;

/// The entries and what is needed to give every answer about them its index.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct KvTable {
    pub(crate) entries: OrdMap<Key, Entry>,
    pub(crate) tombstones: OrdMap<Key, Tombstone>,
    /// The newest tombstone that was reaped: no answer about a prefix may show less.
    pub(crate) floor: Index,
    /// The last write or delete.
    pub(crate) changed: Index,
    /// The locks each session holds.
    pub(crate) held: OrdSet<(SessionId, Key)>,
    /// Until when, in milliseconds since 1970, a key cannot be locked.
    pub(crate) delays: OrdMap<Key, u64>,
}

/// The trace of a deleted key, or of everything below a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Tombstone {
    pub(crate) index: Index,
    pub(crate) tree: bool,
}

impl KvTable {
    /// The entries whose key starts with these bytes, in order.
    pub(crate) fn under<'a>(&'a self, prefix: &'a [u8]) -> impl Iterator<Item = &'a Entry> {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let range = self.entries.range::<_, [u8]>(from);
        range.take_while(move |(key, _)| key.starts_with(prefix)).map(|(_, entry)| entry)
    }

    /// The index of an answer about a prefix, given its newest entry; 0 if nothing is known about it.
    pub(crate) fn prefix_index(&self, prefix: &[u8], newest_entry: Index) -> Index {
        if prefix.is_empty() {
            return self.changed;
        }
        let below = (Bound::Included(prefix), Bound::Unbounded);
        let range = self.tombstones.range::<_, [u8]>(below).take_while(|(key, _)| key.starts_with(prefix));
        let deleted = range.map(|(_, t)| t.index).max().unwrap_or(0);
        let known = newest_entry.max(deleted).max(self.tree_deleted_above(prefix));
        if known == 0 { self.changed } else { known.max(self.floor) }
    }

    /// The newest delete of a whole tree that this prefix lies in. Consul forgets it, and an index can run backwards.
    fn tree_deleted_above(&self, prefix: &[u8]) -> Index {
        let at = |length| self.tombstones.get(&prefix[..length]).filter(|t| t.tree).map_or(0, |t| t.index);
        if self.tombstones.is_empty() { 0 } else { (1..prefix.len()).map(at).max().unwrap_or(0) }
    }

    /// Forgets tombstones up to an index.
    pub(crate) fn reap_tombstones(&mut self, up_to: Index) {
        let old: Vec<_> = self
            .tombstones
            .iter()
            .filter(|(_, t)| t.index <= up_to)
            .map(|(k, t)| (k.clone(), t.index))
            .collect();
        for (key, index) in old {
            self.tombstones.remove(&key);
            self.floor = self.floor.max(index);
        }
    }

    /// Whether a key cannot be locked yet.
    pub(crate) fn is_delayed(&self, key: &Key, at_ms: u64) -> bool {
        // More than the longest delay ahead: a leader's clock was ahead of this one's, and nobody waits for it.
        self.delays
            .get(key)
            .is_some_and(|until| (1..=LOCK_DELAY_MS_MAX).contains(&until.saturating_sub(at_ms)))
    }

    /// Keeps keys from being locked for a while, and forgets the delays that are over.
    pub(crate) fn delay(&mut self, keys: Vec<Key>, at_ms: u64, delay_ms: u64) {
        let over: Vec<Key> =
            self.delays.iter().filter(|(_, until)| **until <= at_ms).map(|(k, _)| k.clone()).collect();
        for key in over {
            self.delays.remove(&key);
        }
        for key in keys {
            self.delays.insert(key, at_ms.saturating_add(delay_ms));
        }
    }

    /// The keys a session has locked.
    pub(crate) fn held_by(&self, session: &SessionId) -> Vec<Key> {
        let from = (session.clone(), Key::default());
        self.held.range(from..).take_while(|(s, _)| s == session).map(|(_, key)| key.clone()).collect()
    }

    /// Stores an entry as it is; an identical one is left alone.
    pub(crate) fn store(&mut self, change: &mut Change, entry: KvEntry) {
        let old = self.entries.get(&entry.key);
        if old.is_some_and(|o| o.value == entry) {
            return;
        }
        let key = entry.key.clone();
        if let Some(session) = old.and_then(|o| o.session.clone()) {
            self.held.remove(&(session, key.clone()));
        }
        if let Some(session) = entry.session.clone() {
            self.held.insert((session, key.clone()));
        }
        let stored = Stored::replacing(self.entries.get(&key).map(Arc::as_ref), entry, change.index);
        self.entries.insert(key.clone(), stored);
        self.changed = change.index;
        change.topics.add(Topic::Key(key));
    }

    /// Deletes a key and leaves a tombstone; an absent one changes nothing.
    pub(crate) fn delete(&mut self, change: &mut Change, key: &Key) {
        if self.forget(change, key) {
            // The trace of a tree of this name stays one: answers about what lay in it must not run backwards.
            let tree = self.tombstones.get(key).is_some_and(|old| old.tree);
            self.tombstones.insert(key.clone(), Tombstone { index: change.index, tree });
        }
    }

    /// Deletes every key under a prefix and leaves one tombstone. The empty prefix leaves none and needs no older one:
    /// from then on every answer shows the wipe's index at least.
    pub(crate) fn delete_tree(&mut self, change: &mut Change, prefix: &Key) {
        let keys: Vec<Key> = self.under(prefix.as_bytes()).map(|e| e.key.clone()).collect();
        for key in &keys {
            self.forget(change, key);
        }
        if keys.is_empty() {
            return;
        }
        if prefix.as_bytes().is_empty() {
            self.tombstones.clear();
            self.floor = change.index;
        } else {
            self.tombstones.insert(prefix.clone(), Tombstone { index: change.index, tree: true });
        }
    }

    /// Takes an entry from a snapshot as it is.
    pub(crate) fn load(&mut self, entry: Entry) {
        if let Some(session) = entry.session.clone() {
            self.held.insert((session, entry.key.clone()));
        }
        self.entries.insert(entry.key.clone(), entry);
    }

    fn forget(&mut self, change: &mut Change, key: &Key) -> bool {
        let Some(old) = self.entries.remove(key) else { return false };
        if let Some(session) = old.session.clone() {
            self.held.remove(&(session, key.clone()));
        }
        self.changed = change.index;
        change.topics.add(Topic::Key(key.clone()));
        true
    }

    /// Whether `cas` holds: 0 means that the key is absent.
    pub(crate) fn is_at(&self, key: &Key, index: Index) -> bool {
        self.entries.get(key).map_or(0, |e| e.modify_index) == index
    }
}

impl State {
    pub(crate) fn kv_put(&mut self, change: &mut Change, put: &KvPut) -> Step<Outcome> {
        let held = match &put.mode {
            PutMode::Plain => {
                self.kv_set(change, put);
                true
            }
            PutMode::Cas(index) => self.kv_cas(change, put, *index),
            PutMode::Acquire(_) if self.kv.is_delayed(&put.key, change.at_ms) => false,
            PutMode::Acquire(session) => self.kv_lock(change, put, session)?,
            PutMode::Release(session) => self.kv_unlock(change, put, session)?,
        };
        Ok(done(held))
    }

    /// A plain write: the lock's holder stays, its count starts again.
    pub(crate) fn kv_set(&mut self, change: &mut Change, put: &KvPut) {
        let session = self.kv.entries.get(&put.key).and_then(|e| e.session.clone());
        self.kv.store(change, entry(put, 0, session));
    }

    /// A plain write if the key is as the caller saw it.
    pub(crate) fn kv_cas(&mut self, change: &mut Change, put: &KvPut, index: Index) -> bool {
        let holds = self.kv.is_at(&put.key, index);
        if holds {
            self.kv_set(change, put);
        }
        holds
    }

    /// Takes a lock, or writes under one that the session already holds. The lock-delay is the caller's to ask.
    pub(crate) fn kv_lock(&mut self, change: &mut Change, put: &KvPut, session: &SessionId) -> Step<bool> {
        if session.is_empty() {
            return Err(WriteError::MissingSession);
        }
        if !self.sessions.contains(session) {
            return Err(WriteError::InvalidSession(session.to_string()));
        }
        let old = self.kv.entries.get(&put.key);
        let lock_index = match old.map(|e| (e.lock_index, e.session.as_ref())) {
            Some((_, Some(holder))) if holder != session => return Ok(false),
            Some((count, Some(_))) => count,
            Some((count, None)) => count + 1,
            None => 1,
        };
        self.kv.store(change, entry(put, lock_index, Some(session.clone())));
        Ok(true)
    }

    /// Gives a lock up; the session need not exist any more.
    pub(crate) fn kv_unlock(&mut self, change: &mut Change, put: &KvPut, session: &SessionId) -> Step<bool> {
        if session.is_empty() {
            return Err(WriteError::MissingSession);
        }
        let Some(old) = self.kv.entries.get(&put.key).filter(|e| e.session.as_ref() == Some(session)) else {
            return Ok(false);
        };
        let lock_index = old.lock_index;
        self.kv.store(change, entry(put, lock_index, None));
        Ok(true)
    }

    pub(crate) fn kv_delete(&mut self, change: &mut Change, delete: &KvDelete) -> bool {
        match delete {
            KvDelete::Key(key) => self.kv.delete(change, key),
            KvDelete::Prefix(prefix) => self.kv.delete_tree(change, prefix),
            KvDelete::Cas(key, index) => return self.kv_delete_cas(change, key, *index),
        }
        true
    }

    /// Deletes a key as the caller saw it; an absent one is what the caller wants.
    pub(crate) fn kv_delete_cas(&mut self, change: &mut Change, key: &Key, index: Index) -> bool {
        let fits = self.kv.entries.get(key).is_none_or(|e| e.modify_index == index);
        if fits {
            self.kv.delete(change, key);
        }
        fits
    }

    /// The index of the newest tombstone that [`Action::ReapTombstones`](crate::Action::ReapTombstones) up to `up_to`
    /// would forget; `None` means that reaping is not needed, so that an idle registry writes nothing.
    pub fn tombstones_up_to(&self, up_to: Index) -> Option<Index> {
        self.kv.tombstones.values().map(|t| t.index).filter(|index| *index <= up_to).max()
    }
}

fn entry(put: &KvPut, lock_index: u64, session: Option<SessionId>) -> KvEntry {
    KvEntry { key: put.key.clone(), value: put.value.clone(), flags: put.flags, lock_index, session }
}
