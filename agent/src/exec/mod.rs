//! Commands that others run on this node: the agent's half of `exec`.
//!
//! A user event `_rexec` names a key with a job ([`job`]) and the session that holds it; what comes of the job goes beside
//! it, held by the same session, in Consul's shapes: `NODE/ack`, `NODE/out/00000` and so on, `NODE/exit`. Only where
//! `disable_remote_exec = false`: whoever may write keys and fire events runs programs then, as the user of the agent.

mod job;
mod report;

use std::{sync::Arc, time::Duration};

use daemon::{
    Shutdown,
    child::{self, Child},
};
use registry_wire::{base64, event::UserEvent};
use serde::Deserialize;
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::timeout,
};

use self::{
    job::{Job, JobError},
    report::Report,
};
use crate::backend::Backend;

/// The event's name. Lists of events do not show it.
pub(crate) const EVENT: &str = "_rexec";
/// Jobs that run at once; others wait their turn.
const JOBS_MAX: usize = 8;
/// Events that wait to be looked at; more are dropped, and whoever sent them sees no acknowledgement.
const QUEUE_MAX: usize = 64;
/// Consul sets no limit; a command that never ends must not take a place for ever.
const LIMIT: Duration = Duration::from_secs(3600);
/// Pieces of output between the program and the registry.
const PIECES_MAX: usize = 4;
/// What a job that could not be started ends with.
const NOT_STARTED: i32 = 255;
/// What a program ends with that a signal ended, as Go has it.
const SIGNALLED: i32 = -1;

/// Where the jobs of this node come in. `None` while they are not allowed.
pub(crate) type Jobs = Option<mpsc::Sender<Arc<UserEvent>>>;

/// Runs what events ask for, until shutdown; what runs then is killed with all its children.
pub(crate) struct Exec {
    node: String,
    backend: Arc<dyn Backend>,
    events: mpsc::Receiver<Arc<UserEvent>>,
}

/// What the event tells: `{"Prefix":"_rexec","Session":"2c2…"}`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Told {
    prefix: String,
    session: String,
}

/// Why nothing is run.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("failed to decode remote exec event: {0}")]
    Event(#[from] serde_json::Error),
    #[error(transparent)]
    Job(#[from] JobError),
}

impl Exec {
    /// Events go into the returned end.
    pub(crate) fn new(node: &str, backend: Arc<dyn Backend>) -> (Self, Jobs) {
        let (sender, events) = mpsc::channel(QUEUE_MAX);
        (Self { node: node.to_owned(), backend, events }, Some(sender))
    }

    pub(crate) async fn run(mut self, shutdown: Shutdown) {
        let turns = Arc::new(Semaphore::new(JOBS_MAX));
        let mut running = JoinSet::new();
        loop {
            tokio::select! {
                () = shutdown.requested() => break,
                Some(event) = self.events.recv() => {
                    let turns = turns.clone();
                    let (node, backend) = (self.node.clone(), self.backend.clone());
                    running.spawn(async move {
                        let _turn = turns.acquire().await.expect("never closed");
                        if let Err(error) = carry_out(&event, &node, backend).await {
                            tracing::error!(target: "agent", id = event.id, "{error}");
                        }
                    });
                }
                Some(_) = running.join_next() => {}
            }
        }
        // Aborting drops the program's group, which kills it.
        running.shutdown().await;
    }
}

async fn carry_out(event: &UserEvent, node: &str, backend: Arc<dyn Backend>) -> Result<(), Refused> {
    let payload = base64::decode(event.payload.as_deref().unwrap_or_default()).unwrap_or_default();
    let told: Told = serde_json::from_slice(&payload)?;
    tracing::debug!(target: "agent", id = event.id, "received remote exec event");
    let report = Report::new(backend, node, &told.prefix, &told.session);
    let Some(text) = report.job().await.map_err(JobError::Unread)? else {
        tracing::debug!(target: "agent", id = event.id, "remote exec aborted, job spec missing");
        return Ok(());
    };
    let job = Job::read(&text)?;
    // Whoever cannot hold this key could not tell what came of the job either.
    if !report.acknowledge().await {
        return Ok(());
    }
    tracing::info!(target: "agent", script = job.shown(), "remote exec script");
    let code = run(&job, &report).await;
    report.exit(code).await;
    Ok(())
}

/// Runs the program and tells what it says; the code it ended with.
async fn run(job: &Job, report: &Report) -> i32 {
    let args = match job.args() {
        Ok(args) => args,
        Err(error) => {
            tracing::error!(target: "agent", %error, "failed to make a file of the remote exec script");
            return NOT_STARTED;
        }
    };
    let (pieces, said) = mpsc::channel(PIECES_MAX);
    let running = async {
        let child = Child { args: args.words(), variables: &[], input: &[] };
        let ended = timeout(LIMIT, child.run_into(&pieces)).await;
        // The end of what there is to hear.
        drop(pieces);
        ended
    };
    let (ended, ()) = tokio::join!(running, report.output(said, job.beat()));
    match ended {
        Ok(Ok(status)) => status.code().unwrap_or(SIGNALLED),
        Ok(Err(error)) => {
            let program = args.words().first().map_or("", String::as_str);
            let error = child::reason(program, &error);
            tracing::error!(target: "agent", error, "failed to start remote exec");
            NOT_STARTED
        }
        Err(_) => {
            tracing::error!(target: "agent", seconds = LIMIT.as_secs(), "a remote exec did not end and was killed");
            SIGNALLED
        }
    }
}

#[cfg(test)]
mod tests;
