//! Commands and states as bytes, for the log and for snapshots.
//!
//! A version byte, then msgpack with named fields: a field that a later release adds is skipped by an earlier one and
//! has a default in a later one. Checksums and files are the caller's.

mod commands;
mod parts;
mod snapshot;

use std::io;

pub use commands::{decode_commands, encode_commands};
pub use parts::SnapshotParts;
pub use snapshot::{read_snapshot, write_snapshot};

/// The version this release writes, of commands and of snapshots.
const VERSION: u8 = 1;

/// What a snapshot begins with, as a command carries it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct SnapshotHead(snapshot::Head);

/// One record of a snapshot, as a command carries it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct SnapshotRecord(snapshot::Record);

/// Why bytes could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The writer or reader failed; try again or give its file up.
    #[error("cannot move the bytes of the state")]
    Io(#[from] io::Error),
    /// A release wrote this that this one does not know; a newer release can read it.
    #[error(
        "written in format {found}, but this release reads formats up to {VERSION}; use the release that wrote it"
    )]
    UnknownVersion {
        /// The version found.
        found: u8,
    },
    /// The bytes are not what their version promises: damaged, or cut off.
    #[error("damaged: {0}")]
    Malformed(String),
    /// A value could not be put into bytes.
    #[error("cannot encode: {0}")]
    Encode(#[from] rmp_serde::encode::Error),
}

impl From<rmp_serde::decode::Error> for CodecError {
    fn from(error: rmp_serde::decode::Error) -> Self {
        use rmp_serde::decode::Error::{InvalidDataRead, InvalidMarkerRead};
        match error {
            InvalidDataRead(e) | InvalidMarkerRead(e) if e.kind() != io::ErrorKind::UnexpectedEof => {
                Self::Io(e)
            }
            error => Self::Malformed(error.to_string()),
        }
    }
}
