//! Snapshot files: `<index>.snapshot`, the newest two.
//!
//! A file is a line with the format, a line with where the state stands (JSON), the state, and at the end the length of
//! all that (8 bytes) and its CRC-32 (4 bytes), both with the highest byte first.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use registry_state::{State, codec};
use serde::{Serialize, de::DeserializeOwned};
use tempfile::NamedTempFile;
use tracing::{error, info, warn};

use super::{StorageError, replace};

const FORMAT: &str = "ryo snapshot 1\n";
const TRAILER_BYTES: u64 = 12;
const KEPT: usize = 2;
const BUFFER_BYTES: usize = 256 << 10;

/// The folder of snapshots; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Snapshots(Arc<PathBuf>);

impl Snapshots {
    pub(crate) fn open(folder: PathBuf) -> Result<Self, StorageError> {
        fs::create_dir_all(&folder).map_err(StorageError::io(&folder))?;
        for path in files(&folder, "tmp")? {
            // A crash left it half written.
            fs::remove_file(&path).map_err(StorageError::io(&path))?;
        }
        let snapshots = Self(Arc::new(folder));
        // It may have ended between writing one and removing another.
        snapshots.prune()?;
        Ok(snapshots)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    /// Writes a snapshot, safe once this returns, then removes all but the newest two.
    pub(crate) fn save<P: Serialize>(
        &self,
        index: u64,
        place: &P,
        state: &State,
    ) -> Result<(), StorageError> {
        let path = self.0.join(format!("{index:020}.snapshot"));
        replace(&path, |file| write(file, place, state)).map_err(StorageError::io(&path))?;
        let bytes = fs::metadata(&path).map_or(0, |m| m.len());
        info!(target: "agent.server", index, bytes, "snapshot complete");
        self.prune()
    }

    /// Removes all but the newest two.
    fn prune(&self) -> Result<(), StorageError> {
        for old in files(&self.0, "snapshot")?.iter().rev().skip(KEPT) {
            // The new one is safe: an old one that stays costs room only.
            if let Err(error) = fs::remove_file(old) {
                warn!(target: "agent.server", path = %old.display(), %error, "cannot remove an old snapshot");
            }
        }
        Ok(())
    }

    /// A file for a snapshot that is on its way here; it goes when it is dropped.
    pub(crate) fn receive(&self) -> Result<NamedTempFile, StorageError> {
        // What a crash leaves is removed by its ending.
        let made = tempfile::Builder::new().suffix(".tmp").tempfile_in(&*self.0);
        made.map_err(StorageError::io(&self.0))
    }

    /// Takes in a snapshot that came from elsewhere and was read: safe once this returns.
    pub(crate) fn take_in(&self, index: u64, received: NamedTempFile) -> Result<(), StorageError> {
        let path = self.0.join(format!("{index:020}.snapshot"));
        received.as_file().sync_all().map_err(StorageError::io(&path))?;
        let kept = received.persist(&path).map_err(|e| StorageError::io(&path)(e.error))?;
        let bytes = kept.metadata().map_or(0, |m| m.len());
        File::open(&*self.0).and_then(|folder| folder.sync_all()).map_err(StorageError::io(&self.0))?;
        info!(target: "agent.server", index, bytes, "snapshot received");
        self.prune()
    }

    /// The newest snapshot that is whole; a damaged one is told of and left out.
    pub(crate) fn newest<P: DeserializeOwned>(&self) -> Result<Option<(P, State)>, StorageError> {
        self.newest_by(read)
    }

    /// The file of the newest snapshot that is whole, at its beginning, and where its state stands.
    pub(crate) fn newest_file<P: DeserializeOwned>(&self) -> Result<Option<(P, File)>, StorageError> {
        self.newest_by(|path| {
            let damaged = |why: &dyn ToString| StorageError::damaged(path, why.to_string());
            let mut file = File::open(path).map_err(StorageError::io(path))?;
            let length = whole(&mut file).map_err(StorageError::io(path))?;
            let length = length.ok_or_else(|| damaged(&"cut off or changed"))?;
            let (place, _) = head(path, &mut file, length)?;
            file.rewind().map_err(StorageError::io(path))?;
            Ok((place, file))
        })
    }

    fn newest_by<T>(
        &self,
        read: impl Fn(&Path) -> Result<T, StorageError>,
    ) -> Result<Option<T>, StorageError> {
        for path in files(&self.0, "snapshot")?.iter().rev() {
            match read(path) {
                Ok(found) => return Ok(Some(found)),
                Err(StorageError::Damaged { path, why }) => {
                    error!(target: "agent.server", path, why, "snapshot is damaged; trying the one before");
                }
                Err(other) => return Err(other),
            }
        }
        Ok(None)
    }
}

/// The files of a folder with this ending, oldest first.
fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>, StorageError> {
    let entries = fs::read_dir(folder).map_err(StorageError::io(folder))?;
    let mut paths = entries
        .map(|e| e.map(|e| e.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(StorageError::io(folder))?;
    paths.retain(|path| path.extension().is_some_and(|e| e == ending));
    paths.sort();
    Ok(paths)
}

fn write<P: Serialize>(file: &mut File, place: &P, state: &State) -> io::Result<()> {
    let mut out = Summed {
        inner: BufWriter::with_capacity(BUFFER_BYTES, file),
        length: 0,
        crc: crc32fast::Hasher::new(),
    };
    out.write_all(FORMAT.as_bytes())?;
    serde_json::to_writer(&mut out, place)?;
    out.write_all(b"\n")?;
    codec::write_snapshot(state, &mut out).map_err(io::Error::other)?;
    let (length, crc) = (out.length, out.crc.finalize());
    out.inner.write_all(&length.to_be_bytes())?;
    out.inner.write_all(&crc.to_be_bytes())?;
    out.inner.flush()
}

/// Reads a snapshot's file, and checks all of it.
pub(crate) fn read<P: DeserializeOwned>(path: &Path) -> Result<(P, State), StorageError> {
    let damaged = |why: &dyn ToString| StorageError::damaged(path, why.to_string());
    let mut file = File::open(path).map_err(StorageError::io(path))?;
    let length =
        whole(&mut file).map_err(StorageError::io(path))?.ok_or_else(|| damaged(&"cut off or changed"))?;
    let (place, from) = head(path, &mut file, length)?;
    let state = codec::read_snapshot(from).map_err(|e| damaged(&e))?;
    Ok((place, state))
}

/// Reads the two lines before the state; gives where it stands, and what follows.
fn head<'a, P: DeserializeOwned>(
    path: &Path,
    file: &'a mut File,
    length: u64,
) -> Result<(P, impl Read + use<'a, P>), StorageError> {
    let damaged = |why: &dyn ToString| StorageError::damaged(path, why.to_string());
    let mut from = BufReader::with_capacity(BUFFER_BYTES, Read::take(file, length));
    let mut line = String::new();
    from.read_line(&mut line).map_err(StorageError::io(path))?;
    if line != FORMAT {
        return Err(damaged(&format_args!(
            "its first line is {line:?}, not {FORMAT:?}; another release may have written it"
        )));
    }
    line.clear();
    from.read_line(&mut line).map_err(StorageError::io(path))?;
    let place = serde_json::from_str(&line).map_err(|e| damaged(&e))?;
    Ok((place, from))
}

/// Checks length and sum; gives the length of what they cover and stands at the beginning again.
fn whole(file: &mut File) -> io::Result<Option<u64>> {
    let Some(length) = file.metadata()?.len().checked_sub(TRAILER_BYTES) else { return Ok(None) };
    let mut crc = crc32fast::Hasher::new();
    let mut body = BufReader::with_capacity(BUFFER_BYTES, Read::take(&mut *file, length));
    loop {
        let part = body.fill_buf()?;
        if part.is_empty() {
            break;
        }
        crc.update(part);
        let read = part.len();
        body.consume(read);
    }
    let (mut told, mut sum) = ([0; 8], [0; 4]);
    file.seek(SeekFrom::Start(length))?;
    file.read_exact(&mut told)?;
    file.read_exact(&mut sum)?;
    file.rewind()?;
    let same = u64::from_be_bytes(told) == length && u32::from_be_bytes(sum) == crc.finalize();
    Ok(same.then_some(length))
}

/// Counts and sums what is written.
struct Summed<W> {
    inner: W,
    length: u64,
    crc: crc32fast::Hasher,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.length += written as u64;
        self.crc.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(index: u64) -> State {
        let mut state = State::default();
        for _ in 0..index {
            state.apply(&registry_state::Command {
                at_ms: 1,
                action: registry_state::Action::KvPut(registry_state::KvPut {
                    key: format!("k{}", state.index()).as_str().into(),
                    ..Default::default()
                }),
            });
        }
        state
    }

    fn flip(path: &Path, at: usize) {
        let mut bytes = fs::read(path).unwrap();
        bytes[at] ^= 1;
        fs::write(path, bytes).unwrap();
    }

    #[test]
    fn the_newest_two_stay_and_the_newest_whole_one_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::open(folder.path().to_owned()).unwrap();
        assert!(snapshots.newest::<u64>().unwrap().is_none());
        for index in [3, 5, 12] {
            snapshots.save(index, &index, &state(index)).unwrap();
        }
        let kept = files(folder.path(), "snapshot").unwrap();
        assert_eq!(kept.len(), 2);
        assert_eq!(snapshots.newest::<u64>().unwrap().unwrap(), (12, state(12)));
        for at in (0..fs::read(&kept[1]).unwrap().len()).step_by(23) {
            flip(&kept[1], at);
            assert_eq!(snapshots.newest::<u64>().unwrap().unwrap().0, 5, "byte {at} changed");
            flip(&kept[1], at);
        }
        let whole = fs::read(&kept[1]).unwrap();
        for length in (0..whole.len()).step_by(31) {
            fs::write(&kept[1], &whole[..length]).unwrap();
            assert_eq!(snapshots.newest::<u64>().unwrap().unwrap().0, 5, "cut off at {length}");
        }
    }

    #[test]
    fn what_a_crash_left_half_written_goes() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("00000000000000000007.tmp"), "half").unwrap();
        let snapshots = Snapshots::open(folder.path().to_owned()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(snapshots.newest::<u64>().unwrap().is_none());
    }
}
