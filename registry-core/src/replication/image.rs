//! The whole state on its way from one server to another: a snapshot's file, in pieces.
//!
//! A call is a head's length (four bytes, the highest first), the head in msgpack, and the file as it lies on the sender's disk.
//! The receiver keeps it beside its own snapshots and reads it through before the engine hears of it: a damaged, cut off or
//! foreign one changes nothing.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http_api::Body;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use openraft::type_config::alias::SnapshotOf;
use registry_state::State;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use tokio::time::timeout;

use super::{
    kinds::{Kinds, Vote},
    machine::Position,
};
use crate::storage::{
    Disk, StorageError,
    snapshots::{self, Snapshots},
};

/// How large a piece is; the next one is read when the connection has taken it.
const PIECE_BYTES: usize = 256 << 10;
/// The longest head: a list of members.
const HEAD_BYTES_MAX: usize = 1 << 20;
/// How long the next piece may take to come.
const SILENCE_LIMIT: std::time::Duration = std::time::Duration::from_secs(30);

/// The whole state as a file.
#[derive(Debug)]
pub(super) enum Image {
    /// A snapshot of this server, open at its beginning.
    Kept(File),
    /// One that came from another server, and what it holds.
    Received {
        /// Beside the snapshots; it goes unless it is taken in.
        file: NamedTempFile,
        /// What was read from it.
        state: Box<State>,
    },
}

impl Image {
    /// A file beside the snapshots, and what it holds. A snapshot that was not sent is copied there.
    pub(super) fn received(self, snapshots: &Snapshots) -> Result<(NamedTempFile, Box<State>), StorageError> {
        let mut kept = match self {
            Self::Received { file, state } => return Ok((file, state)),
            Self::Kept(kept) => kept,
        };
        let mut file = snapshots.receive()?;
        let failed = |source| StorageError::Io { path: snapshots.folder().display().to_string(), source };
        io::copy(&mut kept, &mut file).map_err(failed)?;
        let (_, state) = snapshots::read::<Position>(file.path())?;
        Ok((file, Box::new(state)))
    }
}

/// What stands before the file, which itself says where its state stands.
#[derive(Serialize, Deserialize)]
struct Head {
    vote: Vote,
}

/// A snapshot as the body of a call. The file is read as fast as the connection takes it.
pub(super) fn outgoing(vote: Vote, snapshot: SnapshotOf<Kinds, Image>, disk: Disk) -> io::Result<Body> {
    let file = match snapshot.snapshot {
        Image::Kept(file) => file,
        Image::Received { file, .. } => file.reopen()?,
    };
    let head = rmp_serde::to_vec_named(&Head { vote }).map_err(io::Error::other)?;
    let length = u32::try_from(head.len()).map_err(io::Error::other)?;
    let first: Bytes = [&length.to_be_bytes(), head.as_slice()].concat().into();
    let pieces = futures_util::stream::unfold((Some(first), Some(file), disk), |(first, file, disk)| async {
        if let Some(first) = first {
            return Some((Ok(Frame::data(first)), (None, file, disk)));
        }
        let mut file = file?;
        let read = disk.run(move || next_piece(&mut file).map(|piece| (piece, file))).await;
        match read.and_then(|read| read) {
            Ok((piece, _)) if piece.is_empty() => None,
            Ok((piece, file)) => Some((Ok(Frame::data(piece)), (None, Some(file), disk))),
            Err(error) => Some((Err(error.into()), (None, None, disk))),
        }
    });
    Ok(StreamBody::new(pieces).boxed_unsync())
}

fn next_piece(file: &mut File) -> io::Result<Bytes> {
    let mut bytes = Vec::with_capacity(PIECE_BYTES);
    file.take(PIECE_BYTES as u64).read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

/// Takes a call's body in: the file stands on this disk, and all of it was read.
pub(super) async fn incoming(
    snapshots: &Snapshots,
    disk: &Disk,
    sent: Body,
) -> io::Result<(Vote, SnapshotOf<Kinds, Image>)> {
    let place = snapshots.clone();
    let opened = disk.run(move || {
        let to = place.receive().map_err(io::Error::other)?;
        let file = to.reopen()?;
        Ok::<_, io::Error>((to, file))
    });
    let (to, mut file) = opened.await??;
    let mut frames = sent.into_data_stream();
    let mut head = BytesMut::new();
    let mut known = None;
    while let Some(piece) = timeout(SILENCE_LIMIT, frames.next()).await.map_err(io::Error::other)? {
        let mut piece = piece.map_err(io::Error::other)?;
        if known.is_none() {
            head.extend_from_slice(&piece);
            let Some(length) = head_length(&head)? else { continue };
            known = Some(rmp_serde::from_slice::<Head>(&head[4..length]).map_err(io::Error::other)?);
            piece = head.split_off(length).freeze();
        }
        file = disk.run(move || file.write_all(&piece).map(|()| file)).await??;
    }
    let Head { vote } = known.ok_or(io::ErrorKind::UnexpectedEof)?;
    let read = disk
        .run(move || snapshots::read::<Position>(to.path()).map(|(position, state)| (position, state, to)));
    let (position, state, file) = read.await?.map_err(io::Error::other)?;
    let meta = position.meta();
    let snapshot = Image::Received { file, state: Box::new(state) };
    Ok((vote, SnapshotOf::<Kinds, _> { meta, snapshot }))
}

/// Where the head ends, once all of it is there.
fn head_length(sent: &[u8]) -> io::Result<Option<usize>> {
    let Some((length, rest)) = sent.split_first_chunk() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    if length > HEAD_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "no snapshot begins like this"));
    }
    Ok((rest.len() >= length).then_some(4 + length))
}
