//! The one way in: every change goes through here.
//!
//! The writer stamps a change with the time, and hands all changes that wait to the log as one entry, so that the log
//! writes to disk at once and still serves many clients with one flush.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use daemon::Shutdown;
use futures_util::future::BoxFuture;
use metrics::{counter, gauge, histogram};
use registry_state::{Action, Command, Index, Outcome, SessionId, TxnOp};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};

use crate::{
    asked,
    clock::Moments,
    figures,
    leadership::{Leadership, NotLeading},
};

/// How many changes may wait for the log before new ones wait for room.
const QUEUE: usize = 4096;
/// How many changes one log entry holds at most.
const BATCH_COMMANDS: usize = 1024;
/// How many bytes one log entry holds at most, not counting its last change.
const BATCH_BYTES: usize = 1 << 20;
/// How long a client waits for its change; after that nobody can say whether it will be made.
const WRITE_LIMIT: Duration = Duration::from_secs(30);

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The command's index.
    pub index: Index,
    /// What the client is told.
    pub outcome: Outcome,
}

/// Why nothing can be said about a change, or it was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteFailed {
    /// Nobody leads; the change was not made. Try again.
    #[error("No cluster leader")]
    NoLeader,
    /// The change was taken and may or may not be made: read before trying again.
    #[error("timed out; whether the change was made is unknown")]
    Unknown,
    /// The log takes no more for now; the change was not made. Try again later.
    #[error("the log does not keep up; the change was not made")]
    Busy,
    /// The registry is ending; the change was not made.
    #[error("the registry is shutting down")]
    Ending,
}

impl From<NotLeading> for WriteFailed {
    fn from(_: NotLeading) -> Self {
        Self::NoLeader
    }
}

/// Puts a batch into the log and gives, once it is safe, what became of each of its commands.
pub(crate) type Propose =
    Arc<dyn Fn(Vec<Command>) -> BoxFuture<'static, Result<Vec<(Index, Outcome)>, WriteFailed>> + Send + Sync>;

struct Waiting {
    command: Command,
    done: oneshot::Sender<Result<Written, WriteFailed>>,
}

/// Makes changes. Clones share the queue.
#[derive(Clone, Debug)]
pub struct Writer {
    queue: mpsc::Sender<Waiting>,
    leadership: Leadership,
    moments: Moments,
}

impl Writer {
    /// The writer and the task that feeds the log; the task ends on shutdown, after what was in the queue.
    pub(crate) fn start(
        leadership: Leadership,
        propose: Propose,
        moments: Moments,
        shutdown: Shutdown,
    ) -> (Self, JoinHandle<()>) {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let task = tokio::spawn(feed(waiting, propose, shutdown));
        (Self { queue, leadership, moments }, task)
    }

    /// Makes a change and waits until it is on disk and readable.
    ///
    /// From the first wait on the change is made even if the caller goes away, except while it waits for a leader or for
    /// room in the queue.
    pub async fn write(&self, action: Action) -> Result<Written, WriteFailed> {
        let (kind, start) = (figures::way_in(&action), Instant::now());
        self.leadership.leading().await?;
        let (done, written) = oneshot::channel();
        let command = Command { at_ms: self.moments.now_ms(), action: asked::marked(action) };
        let waiting = Waiting { command, done };
        match self.queue.try_send(waiting) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(WriteFailed::Ending),
            Err(mpsc::error::TrySendError::Full(waiting)) => {
                use mpsc::error::SendTimeoutError::{Closed, Timeout};
                self.queue.send_timeout(waiting, WRITE_LIMIT).await.map_err(|error| match error {
                    Timeout(_) => WriteFailed::Busy,
                    Closed(_) => WriteFailed::Ending,
                })?;
            }
        }
        match timeout(WRITE_LIMIT, written).await {
            Ok(Ok(written)) => {
                figures::wrote(kind, start);
                written
            }
            Ok(Err(_)) | Err(_) => Err(WriteFailed::Unknown),
        }
    }

    /// A new session's id: a random UUID in lower case.
    pub fn session_id(&self) -> SessionId {
        SessionId::from(asked::new_id().to_string())
    }
}

/// Takes what waits, up to a bound, and puts it into the log as one entry; meanwhile the next one gathers.
async fn feed(mut waiting: mpsc::Receiver<Waiting>, propose: Propose, shutdown: Shutdown) {
    let ended = shutdown.requested();
    tokio::pin!(ended);
    let mut closing = false;
    loop {
        let first = tokio::select! {
            first = waiting.recv() => first,
            () = &mut ended, if !closing => {
                closing = true;
                waiting.close();
                continue;
            }
        };
        let Some(first) = first else { return };
        let (commands, clients) = gather(first, &mut waiting);
        let (count, start) = (commands.len() as u64, Instant::now());
        let outcomes = propose(commands).await;
        counter!("raft.apply").increment(count);
        gauge!("raft.commitNumLogs").set(count as f64);
        gauge!("raft.leader.dispatchNumLogs").set(count as f64);
        histogram!("raft.commitTime").record(figures::since(start));
        tell(clients, outcomes);
    }
}

fn gather(
    first: Waiting,
    waiting: &mut mpsc::Receiver<Waiting>,
) -> (Vec<Command>, Vec<oneshot::Sender<Result<Written, WriteFailed>>>) {
    let mut bytes = weight(&first.command.action);
    let (mut commands, mut clients) = (vec![first.command], vec![first.done]);
    while commands.len() < BATCH_COMMANDS && bytes < BATCH_BYTES {
        let Ok(next) = waiting.try_recv() else { break };
        bytes += weight(&next.command.action);
        commands.push(next.command);
        clients.push(next.done);
    }
    (commands, clients)
}

fn tell(
    clients: Vec<oneshot::Sender<Result<Written, WriteFailed>>>,
    outcomes: Result<Vec<(Index, Outcome)>, WriteFailed>,
) {
    match outcomes {
        Ok(outcomes) => {
            for (client, (index, outcome)) in clients.into_iter().zip(outcomes) {
                // The client may be gone; its change is made all the same.
                let _ = client.send(Ok(Written { index, outcome }));
            }
        }
        Err(failed) => clients.into_iter().for_each(|client| drop(client.send(Err(failed)))),
    }
}

/// About how many bytes an action takes in the log.
fn weight(action: &Action) -> usize {
    const SMALL: usize = 128;
    match action.inner() {
        Action::KvPut(put) => SMALL + put.value.len(),
        // A part of a restore is large, and counted where it is made.
        Action::Restore(_) => BATCH_BYTES,
        Action::Txn(ops) => ops.iter().map(op_weight).sum::<usize>() + SMALL,
        _ => SMALL * 8,
    }
}

fn op_weight(op: &TxnOp) -> usize {
    const SMALL: usize = 256;
    match op {
        TxnOp::Kv(op) => SMALL + op.value.len(),
        _ => SMALL,
    }
}
