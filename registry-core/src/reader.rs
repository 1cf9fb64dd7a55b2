//! The one way out: every question, from HTTP or DNS, waiting or not, is answered here.
//!
//! A blocking question subscribes to its topics first and looks then. All who wait for the same question share one
//! look and one encoded answer for each change, however many they are.

mod shared;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use daemon::Shutdown;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use registry_state::{Index, State, read::Read};
use tokio::time::Instant;

use crate::{
    figures,
    leadership::{Leadership, NotLeading},
    store::Store,
    watch::Listener,
};
pub use shared::Looks;
use shared::Questions;

/// How long a blocking question waits when it does not say: `default_query_time`.
const WAIT_DEFAULT: Duration = Duration::from_secs(300);
/// How long a blocking question can wait: `max_query_time`.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// How a question is to be answered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// How sure the answer must be.
    pub consistency: Consistency,
    /// Whether to wait for something newer.
    pub wait: Option<Wait>,
}

/// How sure an answer must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// From the leader, as far as its lease tells.
    #[default]
    Default,
    /// From the leader, who asks the others first whether it still leads: `?consistent`.
    Consistent,
    /// From whoever is asked: `?stale`.
    Stale,
}

/// Wait until the answer is newer than `index`, at most `limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The index the client has; 0 does not wait.
    pub index: Index,
    /// How long; zero means the default of 300 s, more than 600 s means 600 s. Up to a sixteenth more is added by
    /// chance, so that clients that came together do not come back together.
    pub limit: Duration,
}

/// An answer and what its headers tell.
#[derive(Clone, Debug)]
pub struct Answer<T> {
    /// What was asked for.
    pub value: T,
    /// `X-Consul-Index`: what to wait on next.
    pub index: Index,
    /// `X-Consul-KnownLeader`.
    pub known_leader: bool,
    /// `X-Consul-LastContact`, in milliseconds; 0 on a leader.
    pub last_contact_ms: u64,
}

/// Why a question could not be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Nobody leads: ask again soon, or ask with `?stale`.
    #[error("No cluster leader")]
    NoLeader,
}

impl From<NotLeading> for ReadError {
    fn from(_: NotLeading) -> Self {
        Self::NoLeader
    }
}

/// Whether an answer says that there is no such thing. While it stays absent, other changes wake no waiter.
pub trait Absent {
    /// True for a single thing that is not there; a list is never absent.
    fn absent(&self) -> bool {
        false
    }
}

impl<T> Absent for Option<T> {
    fn absent(&self) -> bool {
        self.is_none()
    }
}

impl<T> Absent for Vec<T> {}

impl<K, V> Absent for BTreeMap<K, V> {}

impl<T, E> Absent for Result<T, E> {}

/// Answers questions. Clones share everything.
#[derive(Clone)]
pub struct Reader {
    store: Arc<Store>,
    questions: Questions,
    leadership: Leadership,
    shutdown: Shutdown,
    counts: Counts,
}

/// What is counted with each question, found once.
#[derive(Clone)]
struct Counts {
    questions: Counter,
    blocking: Gauge,
    confirming: Histogram,
}

impl Counts {
    fn new() -> Self {
        Self {
            questions: counter!("rpc.query"),
            blocking: gauge!("rpc.queries_blocking"),
            confirming: histogram!("rpc.consistentRead"),
        }
    }
}

/// One look at the state.
#[derive(Clone, Debug)]
struct Look<T> {
    value: T,
    index: Index,
    absent: bool,
}

impl Reader {
    pub(crate) fn new(store: Arc<Store>, leadership: Leadership, shutdown: Shutdown) -> Self {
        Self { store, questions: Questions::default(), leadership, shutdown, counts: Counts::new() }
    }

    /// The answer to a question, after waiting if asked to. The end of the program ends the wait with what is known.
    pub async fn read<R>(&self, question: &R, options: Options) -> Result<Answer<R::Output>, ReadError>
    where
        R: Read,
        R::Output: Absent,
    {
        self.counts.questions.increment(1);
        let Some(deadline) = deadline(options.wait) else {
            self.sure(options.consistency).await?;
            return Ok(self.answer(look(&self.store, question)));
        };
        let subscription = self.store.watch().subscribe(question.topics());
        let listener = subscription.listen();
        self.wait(options, deadline, listener, |_| look(&self.store, question)).await
    }

    /// The encoded answer to a question, shared by all who wait for the same.
    ///
    /// `encode` makes it from the answer and `form`: everything of the request that shapes the body. Equal questions with
    /// equal forms and the same function are one.
    pub async fn encoded<R, F, E>(
        &self,
        question: R,
        form: F,
        options: Options,
        encode: fn(&R::Output, &F) -> E,
    ) -> Result<Answer<E>, ReadError>
    where
        R: Read + std::hash::Hash + Send + Sync + 'static,
        R::Output: Absent,
        F: std::hash::Hash + Send + Sync + 'static,
        E: Clone + Send + Sync + 'static,
    {
        self.counts.questions.increment(1);
        let look = |question: &R, form: &F| {
            let found = look(&self.store, question);
            Look { value: encode(&found.value, form), index: found.index, absent: found.absent }
        };
        let key = shared::Key::of::<R, F, E>(&question, &form, encode);
        let Some(deadline) = deadline(options.wait) else {
            self.sure(options.consistency).await?;
            let found = match self.questions.find::<E>(&key) {
                Some(shared) => shared.look(|| look(&question, &form)),
                None => look(&question, &form),
            };
            return Ok(self.answer(found));
        };
        let shared = self.questions.join::<E>(key, || self.store.watch().subscribe(question.topics()));
        let listener = shared.listen();
        let look = || look(&question, &form);
        self.wait(options, deadline, listener, |last| if last { look() } else { shared.look(look) }).await
    }

    /// How many looks were shared instead of made, for tests and figures.
    pub fn looks(&self) -> Looks {
        self.questions.looks()
    }

    /// Looks until there is something newer. `look` is told whether it is the last time: an index that no change of the
    /// answer moved, as that of an absent key, has to be the newest then.
    async fn wait<T>(
        &self,
        options: Options,
        deadline: Instant,
        mut listener: Listener,
        look: impl Fn(bool) -> Look<T>,
    ) -> Result<Answer<T>, ReadError> {
        let _waiting = Waiting::begin(&self.counts.blocking);
        let mut known = options.wait.map_or(0, |wait| wait.index);
        let mut was_absent = false;
        let before = self.store.state().restored_at();
        let over = tokio::time::sleep_until(deadline);
        let ended = self.shutdown.requested();
        tokio::pin!(over, ended);
        loop {
            self.sure(options.consistency).await?;
            listener.seen();
            let found = look(false);
            // A restore answers everyone: what they knew is of another history.
            let restored = self.store.state().restored_at() > before;
            if found.absent && was_absent && !restored {
                known = known.max(found.index);
            } else if found.index > known {
                return Ok(self.answer(found));
            }
            was_absent = found.absent;
            tokio::select! {
                () = listener.changed() => {}
                () = &mut over => return Ok(self.answer(look(true))),
                () = &mut ended => return Ok(self.answer(found)),
            }
        }
    }

    /// The answer that `look` finds in the state of now, as sure as asked for.
    pub(crate) async fn look_up<T>(
        &self,
        consistency: Consistency,
        look: impl FnOnce(&Arc<State>) -> (T, Index),
    ) -> Result<Answer<T>, ReadError> {
        self.counts.questions.increment(1);
        self.sure(consistency).await?;
        let state = self.store.state();
        let (value, index) = look(&state);
        Ok(self.answer(Look { value, index: index.max(state.restored_at()), absent: false }))
    }

    async fn sure(&self, consistency: Consistency) -> Result<(), ReadError> {
        match consistency {
            Consistency::Stale => {}
            Consistency::Default => self.leadership.leading().await?,
            Consistency::Consistent => {
                let start = std::time::Instant::now();
                self.leadership.confirmed().await?;
                self.counts.confirming.record(figures::since(start));
            }
        }
        Ok(())
    }

    fn answer<T>(&self, look: Look<T>) -> Answer<T> {
        let known_leader = self.leadership.knows_leader();
        let contact = self.leadership.contact().unwrap_or_default();
        let last_contact_ms = u64::try_from(contact.as_millis()).unwrap_or(u64::MAX);
        Answer { value: look.value, index: look.index, known_leader, last_contact_ms }
    }
}

/// A blocking question, while it waits.
struct Waiting<'a>(&'a Gauge);

impl<'a> Waiting<'a> {
    fn begin(count: &'a Gauge) -> Self {
        count.increment(1);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

fn look<R: Read>(store: &Store, question: &R) -> Look<R::Output>
where
    R::Output: Absent,
{
    let state = store.state();
    let (value, index) = question.run(&state);
    let absent = value.absent();
    Look { value, index: index.max(state.restored_at()), absent }
}

/// When a wait ends; `None` for a question that does not wait.
fn deadline(wait: Option<Wait>) -> Option<Instant> {
    let wait = wait.filter(|wait| wait.index > 0)?;
    let limit = if wait.limit.is_zero() { WAIT_DEFAULT } else { wait.limit.min(WAIT_MAX) };
    let more = limit.mul_f64(rand::random_range(0.0..1.0 / 16.0));
    Some(Instant::now() + limit + more)
}

#[cfg(test)]
mod tests;
