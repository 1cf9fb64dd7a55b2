//! A snapshot read a few records at a time.

use std::io::Read;

use crate::{
    State,
    codec::{
        CodecError, SnapshotHead, SnapshotRecord,
        snapshot::{Head, Record, read_one, read_version},
    },
};

/// About how many bytes of memory one part holds at most, not counting its last record.
const PART_BYTES: usize = 256 << 10;

/// The records of a snapshot, in parts of bounded size.
#[derive(Debug)]
pub struct SnapshotParts<R: Read> {
    from: R,
    ended: bool,
}

impl<R: Read> SnapshotParts<R> {
    /// Reads the beginning. Give it a buffered reader.
    pub fn read(mut from: R) -> Result<(SnapshotHead, Self), CodecError> {
        read_version(&mut from)?;
        let head = read_one(&mut from)?;
        Ok((SnapshotHead(head), Self { from, ended: false }))
    }

    /// The next records; none at the snapshot's end.
    pub fn next_part(&mut self) -> Result<Vec<SnapshotRecord>, CodecError> {
        let (mut records, mut bytes) = (Vec::new(), 0);
        while !self.ended && bytes < PART_BYTES {
            match read_one(&mut self.from)? {
                Record::End => self.ended = true,
                record => {
                    bytes += record.weight();
                    records.push(SnapshotRecord(record));
                }
            }
        }
        Ok(records)
    }

    /// What follows the snapshot.
    pub fn into_rest(self) -> R {
        self.from
    }
}

impl SnapshotHead {
    /// The index that the snapshot stands for.
    pub fn index(&self) -> crate::Index {
        self.0.index
    }

    pub(crate) fn state(&self) -> State {
        Head::clone(&self.0).into()
    }
}

impl SnapshotRecord {
    /// What it is, as people count it: `KVS`, `Register`, `Session`, …
    pub fn name(&self) -> &'static str {
        self.0.name()
    }

    /// The key, of an entry of the key-value store.
    pub fn key(&self) -> Option<String> {
        match &self.0 {
            Record::Kv(entry) => Some(entry.key.to_text()),
            _ => None,
        }
    }

    /// About how many bytes it takes.
    pub fn weight(&self) -> usize {
        self.0.weight()
    }

    pub(crate) fn add_to(&self, state: &mut State) -> Result<(), CodecError> {
        super::snapshot::take(state, self.0.clone())
    }
}
