//! The log on disk: raft-log's files under the engine's entries.
//!
//! The log flushes at once (no waiting for more): the writer has already put all waiting changes into one entry.

use std::{
    collections::HashMap,
    ffi::OsString,
    fmt, fs, io,
    ops::{Bound, RangeBounds},
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use bytes::Bytes;
use openraft::{
    EntryPayload, LogState, OptionalSend, RaftLogReader,
    entry::RaftEntry,
    storage::{IOFlushed, RaftLogStorage},
    type_config::alias::CommittedLeaderIdOf,
    vote::RaftLeaderId,
};
use raft_log::{
    RaftLog, Types,
    api::raft_log_writer::RaftLogWriter,
    codeq::{Decode, Encode},
};
use tokio::sync::{oneshot, watch};
use tracing::warn;

use super::{
    OpenError,
    kinds::{Batch, Entry, Kinds, LogId, Payload, Vote},
};
use crate::{Disk, figures};

/// A file of the log: small, for only whole files leave the cache and, after a snapshot, the disk.
const CHUNK_BYTES: usize = 1 << 20;
/// How much of the log stays in memory, beside the file being written.
const CACHE_BYTES: usize = 1 << 20;
const READ_BUFFER_BYTES: usize = 1 << 20;
/// How much of the log goes to another server in one call, in memory: at least one entry.
const SENT_BYTES: usize = 4 << 20;

/// The log; clones share it.
#[derive(Clone)]
pub(super) struct Log(Arc<Files>);

struct Files {
    log: Mutex<RaftLog<OnDisk>>,
    disk: Disk,
    /// Held by who flushes on a simulated disk: one after the other, in order.
    turn: tokio::sync::Mutex<()>,
    /// Goes after the log's files have been closed.
    open: watch::Sender<()>,
}

impl Log {
    /// Opens the log. A record that a crash cut off at the end was never acknowledged: it is removed and told once.
    pub(super) fn open(folder: &Path, disk: Disk) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Log { folder: folder.display().to_string(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        let before = sizes(folder).map_err(failed)?;
        let mut config = raft_log::Config::new(folder.display());
        config.wal.flush_batch_wait = Some(Duration::ZERO);
        config.wal.chunk_max_size = Some(CHUNK_BYTES);
        config.wal.read_buffer_size = Some(READ_BUFFER_BYTES);
        config.log_cache_capacity = Some(CACHE_BYTES);
        let log = RaftLog::open(Arc::new(config)).map_err(failed)?;
        // Opening may begin a new file, so that the folder need not be smaller when a file is.
        let after = sizes(folder).map_err(failed)?;
        let lost =
            |(file, before): (&OsString, &u64)| before.saturating_sub(after.get(file).copied().unwrap_or(0));
        let bytes: u64 = before.iter().map(lost).sum();
        if bytes > 0 {
            let folder = folder.display();
            warn!(target: "agent.server", %folder, bytes, "removed a torn record at the end of the log");
        }
        let (log, open) = (Mutex::new(log), watch::channel(()).0);
        Ok(Self(Arc::new(Files { log, disk, turn: tokio::sync::Mutex::default(), open })))
    }

    /// The last entry that only snapshots hold.
    pub(super) fn purged(&self) -> Option<LogId> {
        self.locked().log_state().purged().map(Position::id)
    }

    /// What tells when the last clone is gone.
    pub(super) fn while_open(&self) -> Open {
        Open(self.0.open.subscribe())
    }

    fn locked(&self) -> MutexGuard<'_, RaftLog<OnDisk>> {
        self.0.log.lock().expect("nobody panics while holding the log")
    }

    /// Waits until everything written so far is on disk.
    async fn flushed(&self) -> io::Result<()> {
        if let Disk::Simulated(_) = self.0.disk {
            return self.clone().flushed_here().await;
        }
        let (done, flushed) = oneshot::channel();
        self.locked().flush(true, Some(Flushed::Told(done)))?;
        flushed.await.map_err(io::Error::other)?
    }

    /// The same on a simulated disk: only the time until then goes by, for this thread waits for the one that writes.
    async fn flushed_here(self) -> io::Result<()> {
        let _turn = self.0.turn.lock().await;
        let log = self.clone();
        let flush = move || {
            let (done, flushed) = std::sync::mpsc::channel();
            log.locked().flush(true, Some(Flushed::Thread(done)))?;
            flushed.recv().map_err(io::Error::other)?
        };
        self.0.disk.run(flush).await?
    }
}

/// Watches over a log's files without holding them open.
#[derive(Clone)]
pub(super) struct Open(watch::Receiver<()>);

impl Open {
    /// Returns once the files are closed.
    pub(super) async fn closed(mut self) {
        while self.0.changed().await.is_ok() {}
    }
}

fn sizes(folder: &Path) -> io::Result<HashMap<OsString, u64>> {
    let size = |file: io::Result<fs::DirEntry>| {
        let file = file?;
        Ok((file.file_name(), file.metadata()?.len()))
    };
    fs::read_dir(folder)?.map(size).collect()
}

fn entry(read: io::Result<(Position, Record)>) -> io::Result<Entry> {
    read.map(|(at, record)| Entry::new(at.id(), record.0))
}

impl RaftLogReader<Kinds> for Log {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + fmt::Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        let from = match range.start_bound() {
            Bound::Included(first) => *first,
            Bound::Excluded(before) => before + 1,
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(last) => last + 1,
            Bound::Excluded(after) => *after,
            Bound::Unbounded => u64::MAX,
        };
        self.locked().read(from, to).map(entry).collect()
    }

    /// As much as goes to another server at once.
    async fn limited_get_log_entries(&mut self, from: u64, to: u64) -> io::Result<Vec<Entry>> {
        let mut bytes = 0;
        let enough = |read: &io::Result<(Position, Record)>| {
            let more = bytes < SENT_BYTES;
            bytes += read.as_ref().map_or(0, |(_, record)| OnDisk::payload_size(record) as usize);
            more
        };
        self.locked().read(from, to).take_while(enough).map(entry).collect()
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.locked().log_state().vote().map(|vote| vote.vote()))
    }
}

impl RaftLogStorage<Kinds> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Kinds>> {
        let log = self.locked();
        let state = log.log_state();
        Ok(LogState {
            last_purged_log_id: state.purged().map(Position::id),
            last_log_id: state.last().map(Position::id),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        self.locked().save_vote(Ballot::of(vote))?;
        self.flushed().await
    }

    /// Not flushed, nor handed to the thread that writes: it only shortens the replay of a restart, and goes to disk with
    /// the next entry.
    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        if let Some(committed) = committed {
            self.locked().commit(Position::of(&committed))?;
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.locked().log_state().committed().map(Position::id))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Kinds>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let records = entries.into_iter().map(|e| (Position::of(&e.log_id()), Record(e.payload)));
        let told = Flushed::Engine(callback, Instant::now());
        let mut log = self.locked();
        log.append(records.collect::<Vec<_>>())?;
        if let Disk::Simulated(_) = self.0.disk {
            let flushed = self.clone().flushed_here();
            tokio::spawn(async move { raft_log::Callback::send(told, flushed.await) });
            return Ok(());
        }
        log.flush(true, Some(told))
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let from = last.map_or(0, |last| last.index() + 1);
        {
            let mut log = self.locked();
            // The files refuse to be cut after their end.
            if log.log_state().last().is_none_or(|end| end.index < from) {
                return Ok(());
            }
            log.truncate(from)?;
        }
        self.flushed().await
    }

    async fn purge(&mut self, last: LogId) -> io::Result<()> {
        self.locked().purge(Position::of(&last))?;
        self.flushed().await
    }
}

/// Our types in raft-log's files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct OnDisk;

impl Types for OnDisk {
    type LogId = Position;
    type LogPayload = Record;
    type Vote = Ballot;
    type UserData = String;
    type Callback = Flushed;

    fn log_index(at: &Position) -> u64 {
        at.index
    }

    fn payload_size(record: &Record) -> u64 {
        match &record.0 {
            // The commands stay decoded beside their bytes.
            EntryPayload::Normal(batch) => 3 * batch.bytes().len() as u64,
            _ => 64,
        }
    }
}

/// Who is told that a write is on disk.
enum Flushed {
    /// The engine, and since when it waits.
    Engine(IOFlushed<Kinds>, Instant),
    Told(oneshot::Sender<io::Result<()>>),
    /// A thread that does nothing else meanwhile.
    Thread(std::sync::mpsc::Sender<io::Result<()>>),
}

impl raft_log::Callback for Flushed {
    fn send(self, result: io::Result<()>) {
        match self {
            Self::Engine(callback, start) => {
                metrics::histogram!("raft.leader.dispatchLog").record(figures::since(start));
                callback.io_completed(result);
            }
            // Whoever waited may be gone.
            Self::Told(done) => drop(done.send(result)),
            Self::Thread(done) => drop(done.send(result)),
        }
    }
}

/// The position of an entry, as stored: term, server, index. Orders as the engine orders.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    term: u64,
    server: u64,
    index: u64,
}

impl Position {
    fn of(id: &LogId) -> Self {
        let leader = id.committed_leader_id();
        Self { term: leader.term, server: leader.node_id, index: id.index() }
    }

    fn id(&self) -> LogId {
        LogId::new(CommittedLeaderIdOf::<Kinds>::new(self.term, self.server), self.index)
    }
}

impl Encode for Position {
    fn encode<W: io::Write>(&self, mut to: W) -> io::Result<usize> {
        Ok(self.term.encode(&mut to)? + self.server.encode(&mut to)? + self.index.encode(&mut to)?)
    }
}

impl Decode for Position {
    fn decode<R: io::Read>(mut from: R) -> io::Result<Self> {
        let (term, server) = (u64::decode(&mut from)?, u64::decode(&mut from)?);
        Ok(Self { term, server, index: u64::decode(&mut from)? })
    }
}

/// A vote, as stored: term, server, whether a majority gave it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd)]
struct Ballot {
    term: u64,
    server: u64,
    committed: bool,
}

impl Ballot {
    fn of(vote: &Vote) -> Self {
        Self { term: vote.leader_id.term, server: vote.leader_id.node_id, committed: vote.committed }
    }

    fn vote(&self) -> Vote {
        let mut vote = Vote::new(self.term, self.server);
        vote.committed = self.committed;
        vote
    }
}

impl Encode for Ballot {
    fn encode<W: io::Write>(&self, mut to: W) -> io::Result<usize> {
        let committed = u64::from(self.committed);
        Ok(self.term.encode(&mut to)? + self.server.encode(&mut to)? + committed.encode(&mut to)?)
    }
}

impl Decode for Ballot {
    fn decode<R: io::Read>(mut from: R) -> io::Result<Self> {
        let (term, server) = (u64::decode(&mut from)?, u64::decode(&mut from)?);
        Ok(Self { term, server, committed: u64::decode(&mut from)? != 0 })
    }
}

/// What an entry holds, as stored: a byte for the kind, four for the length, the bytes (a batch's begin with its version).
#[derive(Clone, Debug)]
struct Record(Payload);

const BLANK: u8 = 0;
const BATCH: u8 = 1;
const MEMBERS: u8 = 2;

impl Encode for Record {
    fn encode<W: io::Write>(&self, mut to: W) -> io::Result<usize> {
        let (kind, bytes) = match &self.0 {
            EntryPayload::Blank => (BLANK, Bytes::new()),
            EntryPayload::Normal(batch) => (BATCH, batch.bytes().clone()),
            EntryPayload::Membership(members) => {
                (MEMBERS, rmp_serde::to_vec_named(members).map_err(io::Error::other)?.into())
            }
        };
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        to.write_all(&[kind])?;
        to.write_all(&length.to_be_bytes())?;
        to.write_all(&bytes)?;
        Ok(1 + 4 + bytes.len())
    }
}

impl Decode for Record {
    fn decode<R: io::Read>(mut from: R) -> io::Result<Self> {
        let (mut kind, mut length) = ([0], [0; 4]);
        from.read_exact(&mut kind)?;
        from.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length);
        let mut bytes = Vec::new();
        let read = io::Read::read_to_end(&mut io::Read::take(&mut from, u64::from(length)), &mut bytes)?;
        if read < length as usize {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let damaged = |e: &dyn fmt::Display| io::Error::new(io::ErrorKind::InvalidData, e.to_string());
        Ok(Self(match kind[0] {
            BLANK => EntryPayload::Blank,
            BATCH => EntryPayload::Normal(Batch::decode(bytes.into()).map_err(|e| damaged(&e))?),
            MEMBERS => EntryPayload::Membership(rmp_serde::from_slice(&bytes).map_err(|e| damaged(&e))?),
            other => return Err(damaged(&format_args!("a newer release wrote this record (kind {other})"))),
        }))
    }
}
