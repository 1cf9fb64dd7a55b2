//! A whole state put in place of this one: sent in parts through the log, held aside, taken over in one step.
//!
//! Every server gathers the parts beside its state, which stays as it is for readers until the last step. So a restore
//! needs no more than the log to reach all servers, and no entry of the log is large.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    Index, Outcome, State, WriteError,
    codec::{SnapshotHead, SnapshotRecord},
    request::Requests,
    state::{Change, START},
};

/// A step of a restore; `id` is chosen by the writer and the same for all steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Restore {
    /// Makes room for a new state; a restore that was under way is given up.
    Begin {
        /// Which restore.
        id: String,
        /// What the snapshot begins with.
        head: Box<SnapshotHead>,
    },
    /// Adds records, in the snapshot's order.
    Part {
        /// Which restore.
        id: String,
        /// The records.
        records: Vec<SnapshotRecord>,
    },
    /// Takes the new state over: all of it, at one index. What was written since the beginning goes with the old one.
    Commit {
        /// Which restore.
        id: String,
        /// How many records there must be.
        records: u64,
    },
    /// Gives a restore up; the state stays as it is.
    Abandon {
        /// Which restore.
        id: String,
    },
}

/// A state under way.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Staged {
    pub(crate) id: Arc<str>,
    pub(crate) records: u64,
    pub(crate) state: Box<State>,
}

impl State {
    /// The index of the last restore; no answer shows less. 1 if there was none.
    pub fn restored_at(&self) -> Index {
        self.restored_at.max(START)
    }

    /// The id of a restore that has begun and not ended.
    pub fn restoring(&self) -> Option<&str> {
        self.staged.as_ref().map(|staged| &*staged.id)
    }

    /// The state without a restore or requests that are under way: what a snapshot for people holds.
    #[must_use]
    pub fn settled(&self) -> Self {
        Self { staged: None, requests: Requests::default(), ..self.clone() }
    }

    pub(crate) fn restore(&mut self, change: &mut Change, step: &Restore) -> Outcome {
        match step {
            Restore::Begin { id, head } => {
                let state = Box::new(head.state());
                self.staged = Some(Staged { id: id.as_str().into(), records: 0, state });
                Outcome::Done
            }
            Restore::Part { id, records } => self.stage(id, records),
            Restore::Commit { id, records } => self.take_over(change, id, *records),
            Restore::Abandon { id } => {
                self.staged = self.staged.take().filter(|staged| *staged.id != **id);
                Outcome::Done
            }
        }
    }

    fn stage(&mut self, id: &str, records: &[SnapshotRecord]) -> Outcome {
        let Some(staged) = self.staged.as_mut().filter(|staged| *staged.id == *id) else {
            return replaced();
        };
        for record in records {
            if let Err(why) = record.add_to(&mut staged.state) {
                self.staged = None;
                return Outcome::Failed(WriteError::Other(why.to_string()));
            }
            staged.records += 1;
        }
        Outcome::Done
    }

    fn take_over(&mut self, change: &mut Change, id: &str, records: u64) -> Outcome {
        let Some(staged) = self.staged.take_if(|staged| *staged.id == *id) else { return replaced() };
        if staged.records != records {
            let why = format!("{} of {records} records of the snapshot arrived", staged.records);
            return Outcome::Failed(WriteError::Other(why));
        }
        // Above everything either state has given out, so that whoever waits with an index of either is answered.
        let index = change.index.max(staged.state.index + 1);
        // Requests are made or not, whatever the state is.
        let requests = std::mem::take(&mut self.requests);
        *self = Self { index, restored_at: index, requests, ..*staged.state };
        change.index = index;
        change.topics.add_all();
        Outcome::Done
    }
}

fn replaced() -> Outcome {
    Outcome::Failed(WriteError::Other("another restore took the place of this one".to_owned()))
}
