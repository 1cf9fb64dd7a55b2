//! Questions that several clients wait for at once: one look and one encoded answer for all of them.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    hash::{Hash, Hasher},
    sync::{
        Arc, Mutex, MutexGuard, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::Look;
use crate::watch::{Listener, Subscription};

/// What makes two questions one: types, function, and every byte of question and form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    types: TypeId,
    encode: usize,
    bytes: Box<[u8]>,
}

impl Key {
    pub(super) fn of<R, F, E>(question: &R, form: &F, encode: fn(&R::Output, &F) -> E) -> Self
    where
        R: registry_state::read::Read + Hash + 'static,
        F: Hash + 'static,
        E: 'static,
    {
        let mut bytes = Bytes(Vec::new());
        question.hash(&mut bytes);
        form.hash(&mut bytes);
        Self { types: TypeId::of::<(R, F, E)>(), encode: encode as usize, bytes: bytes.0.into() }
    }
}

/// Keeps what is hashed instead of hashing it, so that equal bytes mean equal values.
struct Bytes(Vec<u8>);

impl Hasher for Bytes {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        unreachable!("the bytes themselves are the key")
    }
}

/// How often a question was looked up, and how often the look of another was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looks {
    /// Looks made for several.
    pub made: u64,
    /// Looks taken from another.
    pub shared: u64,
}

#[derive(Debug, Default)]
struct Table {
    questions: Mutex<HashMap<Key, Weak<dyn Any + Send + Sync>>>,
    made: AtomicU64,
    shared: AtomicU64,
}

impl Table {
    fn questions(&self) -> MutexGuard<'_, HashMap<Key, Weak<dyn Any + Send + Sync>>> {
        self.questions.lock().expect("nobody panics while holding the table of questions")
    }
}

/// The questions somebody waits for.
#[derive(Clone, Debug, Default)]
pub(super) struct Questions(Arc<Table>);

impl Questions {
    /// The question, if somebody waits for it.
    pub(super) fn find<E: Send + 'static>(&self, key: &Key) -> Option<Arc<Shared<E>>> {
        let question = self.0.questions().get(key)?.upgrade()?;
        question.downcast().ok()
    }

    /// The question, with one waiter more.
    pub(super) fn join<E: Send + 'static>(
        &self,
        key: Key,
        subscribe: impl FnOnce() -> Subscription,
    ) -> Arc<Shared<E>> {
        let mut questions = self.0.questions();
        if let Some(question) = questions.get(&key).and_then(Weak::upgrade)
            && let Ok(question) = question.downcast()
        {
            return question;
        }
        let (table, subscription, last) = (self.0.clone(), subscribe(), Mutex::default());
        let question = Arc::new(Shared { key: key.clone(), table, subscription, last });
        let shared: Arc<dyn Any + Send + Sync> = question.clone();
        questions.insert(key, Arc::downgrade(&shared));
        question
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.questions().len()
    }

    pub(super) fn looks(&self) -> Looks {
        Looks { made: self.0.made.load(Relaxed), shared: self.0.shared.load(Relaxed) }
    }
}

/// One question with its last look. Goes with its last waiter.
#[derive(Debug)]
pub(super) struct Shared<E> {
    key: Key,
    table: Arc<Table>,
    subscription: Subscription,
    last: Mutex<Option<(u64, Look<E>)>>,
}

impl<E: Clone> Shared<E> {
    pub(super) fn listen(&self) -> Listener {
        self.subscription.listen()
    }

    /// The last look while nothing has changed since, else a new one.
    ///
    /// The count of changes is taken before the look: a change in between makes the look old, never the other way round.
    pub(super) fn look(&self, look: impl FnOnce() -> Look<E>) -> Look<E> {
        let mut last = self.last.lock().expect("a look does not panic");
        let version = self.subscription.version();
        if let Some((seen, found)) = &*last
            && *seen == version
        {
            self.table.shared.fetch_add(1, Relaxed);
            return found.clone();
        }
        let found = look();
        self.table.made.fetch_add(1, Relaxed);
        *last = Some((version, found.clone()));
        found
    }
}

impl<E> Drop for Shared<E> {
    fn drop(&mut self) {
        let mut questions = self.table.questions();
        // A new question of the same key may have taken its place already.
        if questions.get(&self.key).is_some_and(|question| question.strong_count() == 0) {
            questions.remove(&self.key);
        }
    }
}
