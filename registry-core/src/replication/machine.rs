//! The state machine: applies entries in order, and makes and takes snapshots.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};

use futures_util::{Stream, TryStreamExt};
use metrics::histogram;
use openraft::{
    EntryPayload, OptionalSend, RaftSnapshotBuilder,
    entry::RaftEntry,
    storage::{EntryResponder, RaftStateMachine},
    type_config::alias::{SnapshotMetaOf, SnapshotOf},
};
use registry_state::State;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::{
    image::Image,
    kinds::{Kinds, LogId, Outcomes, StoredMembership},
};
use crate::{
    figures,
    storage::{Disk, StorageError, snapshots::Snapshots},
    store::Store,
};

/// How much makes a new snapshot: the log stays near this size, and a restart replays no more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Enough {
    pub(crate) entries: u64,
    pub(crate) bytes: usize,
}

/// The state with the position it stands for; clones share it.
#[derive(Clone)]
pub(super) struct Machine {
    store: Arc<Store>,
    place: Arc<Mutex<Place>>,
    snapshots: Snapshots,
    disk: Disk,
    enough: Enough,
    full: Arc<Notify>,
}

/// How far the state has come. Also what a snapshot file says about itself.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Position {
    last: Option<LogId>,
    members: StoredMembership,
}

impl Position {
    pub(super) fn meta(self) -> SnapshotMetaOf<Kinds> {
        SnapshotMetaOf::<Kinds> { last_log_id: self.last, last_membership: self.members }
    }
}

#[derive(Debug, Default)]
struct Place {
    position: Position,
    /// Entries and bytes since the last snapshot.
    entries: u64,
    bytes: usize,
}

impl Machine {
    /// The state of the newest snapshot; the log brings it up to date.
    pub(super) fn open(
        store: Arc<Store>,
        snapshots: Snapshots,
        purged: Option<LogId>,
        disk: Disk,
        enough: Enough,
        full: Arc<Notify>,
    ) -> Result<Self, StorageError> {
        let mut place = Place::default();
        if let Some((position, state)) = snapshots.newest::<Position>()? {
            place.position = position;
            store.replace(state);
        }
        if purged > place.position.last {
            return Err(StorageError::SnapshotMissing { folder: snapshots.folder().display().to_string() });
        }
        Ok(Self { store, place: Arc::new(Mutex::new(place)), snapshots, disk, enough, full })
    }

    /// Lets these be the members, and writes a snapshot that says so.
    pub(super) async fn take_members(&mut self, members: StoredMembership) -> io::Result<()> {
        self.place().position.members = members;
        let position = self.place().position.clone();
        save(&self.disk, &self.snapshots, &position, &self.store.state()).await
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().expect("nobody panics while holding the position")
    }

    /// Notes an applied entry, and asks for a snapshot when enough came together.
    fn applied(&self, id: LogId, bytes: usize) {
        let mut place = self.place();
        place.position.last = Some(id);
        place.entries += 1;
        place.bytes += bytes;
        if place.entries >= self.enough.entries || place.bytes >= self.enough.bytes {
            (place.entries, place.bytes) = (0, 0);
            self.full.notify_one();
        }
    }
}

/// Writes one snapshot of the state as it was when the builder was made.
pub(super) struct Builder {
    state: Arc<State>,
    position: Position,
    snapshots: Snapshots,
    disk: Disk,
}

impl RaftSnapshotBuilder<Kinds> for Builder {
    type SnapshotData = Image;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<Kinds, Image>> {
        let start = Instant::now();
        save(&self.disk, &self.snapshots, &self.position, &self.state).await?;
        histogram!("fsm.persist").record(figures::since(start));
        histogram!("raft.snapshot.create").record(figures::since(start));
        let saved = newest(&self.disk, &self.snapshots).await?;
        saved.ok_or_else(|| io::Error::other("the snapshot that was just written is damaged"))
    }
}

impl RaftStateMachine<Kinds> for Machine {
    type SnapshotData = Image;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let position = self.place().position.clone();
        Ok((position.last, position.members))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Kinds>>> + Unpin + OptionalSend,
    {
        while let Some((entry, responder)) = entries.try_next().await? {
            let id = entry.log_id();
            let (mut outcomes, mut bytes) = (Outcomes::default(), 0);
            match entry.payload {
                EntryPayload::Blank => {}
                EntryPayload::Normal(batch) => {
                    outcomes = Outcomes(self.store.apply(batch.commands()));
                    bytes = batch.bytes().len();
                }
                EntryPayload::Membership(members) => {
                    self.place().position.members = StoredMembership::new(Some(id), members);
                }
            }
            self.applied(id, bytes);
            if let Some(responder) = responder {
                responder.send(outcomes);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        let position = self.place().position.clone();
        let (snapshots, disk) = (self.snapshots.clone(), self.disk.clone());
        Builder { state: self.store.state(), position, snapshots, disk }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMetaOf<Kinds>, image: Image) -> io::Result<()> {
        let position = Position { last: meta.last_log_id, members: meta.last_membership.clone() };
        let (snapshots, index) = (self.snapshots.clone(), meta.last_log_id.map_or(0, |last| last.index()));
        let taken = self.disk.run(move || {
            let (file, state) = image.received(&snapshots)?;
            snapshots.take_in(index, file).map(|()| state)
        });
        let state = taken.await?.map_err(io::Error::other)?;
        *self.place() = Place { position, ..Place::default() };
        self.store.replace(*state);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf<Kinds, Image>>> {
        newest(&self.disk, &self.snapshots).await
    }
}

/// The newest snapshot that is whole.
async fn newest(disk: &Disk, snapshots: &Snapshots) -> io::Result<Option<SnapshotOf<Kinds, Image>>> {
    let snapshots = snapshots.clone();
    let newest = disk.run(move || snapshots.newest_file::<Position>()).await?;
    let newest = newest.map_err(io::Error::other)?;
    Ok(newest.map(|(position, file)| SnapshotOf::<Kinds, _> {
        meta: position.meta(),
        snapshot: Image::Kept(file),
    }))
}

async fn save(disk: &Disk, snapshots: &Snapshots, position: &Position, state: &Arc<State>) -> io::Result<()> {
    let (snapshots, position, state) = (snapshots.clone(), position.clone(), state.clone());
    let saved = disk.run(move || {
        let index = position.last.map_or(0, |last| last.index());
        snapshots.save(index, &position, &state)
    });
    saved.await?.map_err(io::Error::other)
}
