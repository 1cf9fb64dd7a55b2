//! The state as readers see it, and the one place where it changes.

use std::{sync::Arc, time::Instant};

use arc_swap::ArcSwap;
use registry_state::{Command, Index, Outcome, State, Topics};
use tokio::sync::watch as channel;

use crate::{figures, watch::Watch};

/// The published state and who waits for changes of it.
///
/// Readers take no lock: a look is a pointer. Only the state machine writes.
#[derive(Debug)]
pub struct Store {
    state: ArcSwap<State>,
    watch: Watch,
    restored: channel::Sender<Index>,
}

impl Default for Store {
    fn default() -> Self {
        let state = State::default();
        let restored = channel::channel(state.restored_at()).0;
        Self { state: ArcSwap::from_pointee(state), watch: Watch::default(), restored }
    }
}

impl Store {
    /// The state as of now. It does not change any more; look again for a newer one.
    pub fn state(&self) -> Arc<State> {
        self.state.load_full()
    }

    /// Who waits for what.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// The index of the last restore, as it changes: what was known of the state from before does not hold any more.
    pub fn restored(&self) -> channel::Receiver<Index> {
        self.restored.subscribe()
    }

    /// Applies a batch, publishes the new state, then wakes whoever waits for what changed, each once.
    ///
    /// One caller at a time: the state machine.
    pub(crate) fn apply(&self, commands: &[Command]) -> Vec<(Index, Outcome)> {
        let start = Instant::now();
        let mut next = State::clone(&self.state.load());
        let mut topics = Topics::default();
        let outcomes = commands.iter().map(|command| {
            let start = Instant::now();
            let applied = next.apply(command);
            figures::applied(command, start);
            topics.merge(applied.topics);
            (applied.index, applied.outcome)
        });
        let outcomes = outcomes.collect();
        let restored_at = next.restored_at();
        self.state.store(Arc::new(next));
        self.watch.wake(&topics);
        self.tell_restored(restored_at);
        metrics::histogram!("raft.fsm.apply").record(figures::since(start));
        outcomes
    }

    /// Puts another state in its place, as a snapshot does, and wakes everyone.
    pub(crate) fn replace(&self, state: State) {
        let restored_at = state.restored_at();
        self.state.store(Arc::new(state));
        self.watch.wake_all();
        self.tell_restored(restored_at);
    }

    fn tell_restored(&self, at: Index) {
        self.restored.send_if_modified(|known| std::mem::replace(known, at) != at);
    }
}
