//! A snapshot taken over: verified on disk first, then sent through the log in parts and swapped in at one index.

use std::{
    fs::File,
    io::{self, Seek as _, Write as _},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use futures_util::StreamExt as _;
use http_api::Body;
use http_body_util::BodyExt as _;
use registry_state::{Action, Outcome, Restore};
use tokio::{
    sync::mpsc,
    task::{JoinError, spawn_blocking},
};
use tracing::{info, warn};

use super::archive::{self, ArchiveError, Meta, Server, Servers, Summary};
use crate::{Registry, WriteFailed};

/// How many parts may wait between the file and the log.
const PARTS_WAITING: usize = 2;

/// Why a snapshot was not taken over; the state is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// It cannot be used.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// It could not be kept while it was verified: no room, or the client went away.
    #[error("failed to receive snapshot: {0}")]
    Receive(#[from] io::Error),
    /// Another one is being taken over; try again when that is done.
    #[error("another restore is under way")]
    Busy,
    /// The log did not take it.
    #[error("raft apply failed: {0}")]
    Write(#[from] WriteFailed),
    /// The state did not take it.
    #[error("raft apply failed: {0}")]
    Refused(String),
    /// A task of it ended badly.
    #[error("the restore broke off: {0}")]
    Task(#[from] JoinError),
}

impl Registry {
    /// What a snapshot of now says about itself.
    pub(crate) fn snapshot_meta(&self) -> Meta {
        let (progress, index) = (self.replication.progress(), self.store().state().index());
        let made = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let id = self.settings().node_id.clone();
        let server = |address| Server { suffrage: 0, id: id.clone(), address };
        Meta {
            id: format!("{}-{index}-{made}", progress.term),
            index,
            term: progress.term,
            configuration: Servers { servers: self.peers().into_iter().map(server).collect() },
            configuration_index: 1,
            ..Meta::default()
        }
    }

    /// Takes a snapshot over, all of it or nothing. Once it is verified it goes on even if the caller goes away.
    pub(crate) async fn restore(self: &Arc<Self>, body: Body) -> Result<(), RestoreError> {
        let permit = self.restoring.clone().try_acquire_owned().map_err(|_| RestoreError::Busy)?;
        let mut file = receive(self, body).await?;
        let checked = spawn_blocking(move || -> Result<(Summary, File), RestoreError> {
            let summary = archive::check(&file, |_, _| Ok(()))?;
            file.rewind()?;
            Ok((summary, file))
        });
        let (summary, file) = checked.await??;
        let registry = self.clone();
        let taking = tokio::spawn(async move {
            let taken = registry.take_over(&summary, file).await;
            drop(permit);
            taken
        });
        taking.await?
    }

    async fn take_over(&self, summary: &Summary, file: File) -> Result<(), RestoreError> {
        let id = uuid::Uuid::new_v4().to_string();
        let sent = self.send(&id, summary, file).await;
        match &sent {
            Ok(()) => info!(target: "agent.server.snapshot", id = summary.meta.id, "Restored user snapshot"),
            Err(_) => {
                if let Err(error) = self.writer().write(Action::Restore(Restore::Abandon { id })).await {
                    warn!(target: "agent.server.snapshot", %error, "a failed restore takes memory until the next one");
                }
            }
        }
        sent
    }

    async fn send(&self, id: &str, summary: &Summary, file: File) -> Result<(), RestoreError> {
        let (parts, mut waiting) = mpsc::channel::<Restore>(PARTS_WAITING);
        let part_id = id.to_owned();
        let reading = spawn_blocking(move || {
            archive::check(&file, |head, records| {
                let id = part_id.clone();
                let step = match head {
                    Some(head) => Restore::Begin { id, head: Box::new(head) },
                    None => Restore::Part { id, records },
                };
                parts.blocking_send(step).map_err(|_| "the log takes no more".to_owned())
            })
        });
        while let Some(step) = waiting.recv().await {
            self.step(step).await?;
        }
        reading.await??;
        self.step(Restore::Commit { id: id.to_owned(), records: summary.records }).await
    }

    async fn step(&self, step: Restore) -> Result<(), RestoreError> {
        match self.writer().write(Action::Restore(step)).await?.outcome {
            Outcome::Failed(why) => Err(RestoreError::Refused(why.to_string())),
            _ => Ok(()),
        }
    }
}

/// Keeps the body in a file without a name, which goes with it.
async fn receive(registry: &Registry, body: Body) -> Result<File, RestoreError> {
    let mut file = tempfile::tempfile_in(registry.folder())?;
    let mut frames = body.into_data_stream();
    while let Some(frame) = frames.next().await {
        let bytes = frame.map_err(io::Error::other)?;
        file = spawn_blocking(move || file.write_all(&bytes).map(|()| file)).await??;
    }
    file.rewind()?;
    Ok(file)
}
