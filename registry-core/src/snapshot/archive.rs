//! The file: written in one pass over a state that cannot change, read without holding it.

use std::{
    collections::BTreeMap,
    io::{self, BufReader, BufWriter, Read, Write},
};

use flate2::{Compression, bufread::GzDecoder, write::GzEncoder};
use registry_state::{
    State,
    codec::{self, CodecError, SnapshotHead, SnapshotParts, SnapshotRecord},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

const META: &str = "meta.json";
const STATE: &str = "state.bin";
const SUMS: &str = "SHA256SUMS";
/// Who wrote the state, in `meta.json`.
const FORMAT: &str = "ryo";
/// The version of the whole archive.
const VERSION: u32 = 1;
/// `meta.json` and `SHA256SUMS` are small.
const SMALL_BYTES_MAX: u64 = 1 << 20;
const BUFFER_BYTES: usize = 64 << 10;
const TAR_BLOCK: usize = 512;

/// `meta.json`: Consul's keys, and who wrote the state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Meta {
    /// The version of Consul's snapshots that these keys follow.
    pub version: u32,
    /// A name: term, index and the milliseconds since 1970 when it was made.
    #[serde(rename = "ID")]
    pub id: String,
    /// The state's index.
    pub index: u64,
    /// The term of the log.
    pub term: u64,
    /// Unused.
    pub peers: Option<String>,
    /// The servers of the cluster.
    pub configuration: Servers,
    /// Unused.
    pub configuration_index: u64,
    /// The bytes of `state.bin`.
    pub size: u64,
    /// `ryo`; absent in Consul's own snapshots.
    pub format: String,
    /// The version of the archive that the writer knew.
    pub format_version: u32,
}

/// The servers in `meta.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Servers {
    /// One entry a server.
    pub servers: Vec<Server>,
}

/// A server in `meta.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Server {
    /// 0: it votes.
    pub suffrage: u8,
    /// The node's id.
    #[serde(rename = "ID")]
    pub id: String,
    /// The address of its log.
    pub address: String,
}

/// Why a file is not a snapshot that can be used.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Not compressed, or not as told.
    #[error("failed to decompress snapshot: {0}")]
    NotGzip(io::Error),
    /// The archive is cut off or damaged.
    #[error("failed to read snapshot file: failed reading snapshot: {0}")]
    Broken(io::Error),
    /// A part is missing, or there is one that does not belong there.
    #[error("failed to read snapshot file: {0}")]
    Odd(String),
    /// What is written is not what the sums say.
    #[error(
        "failed to read snapshot file: failed checking integrity of snapshot: hash check failed for {0:?}"
    )]
    Sum(String),
    /// Consul wrote it, or something else that has the same form.
    #[error(
        "failed to read snapshot file: its state is not ryo's; a snapshot of Consul cannot be restored here: export its \
         keys with 'kv export' and import them"
    )]
    Foreign,
    /// A newer release wrote it.
    #[error(
        "failed to read snapshot file: it has format {found}, but this release reads formats up to {VERSION}; use the \
         release that wrote it"
    )]
    Newer {
        /// The version it has.
        found: u32,
    },
    /// The state in it cannot be read.
    #[error("failed to read snapshot file: {0}")]
    State(#[from] CodecError),
    /// Whoever takes the records cannot take more.
    #[error("{0}")]
    Stopped(String),
}

/// What a whole, undamaged snapshot holds.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Its `meta.json`.
    pub meta: Meta,
    /// How many records.
    pub records: u64,
}

/// Writes a snapshot of a state; fills in what `meta` says about the format.
///
/// The state is encoded twice, once to know its size and sum, so that nothing is held in memory. Errors are those of
/// the writer.
pub fn pack(state: &State, mut meta: Meta, to: impl Write) -> io::Result<()> {
    let state = state.settled();
    let mut counted = Summed { inner: io::sink(), bytes: 0, sum: Sha256::new() };
    write_state(&state, &mut counted)?;
    (meta.version, meta.format, meta.format_version) = (1, FORMAT.to_owned(), VERSION);
    meta.size = counted.bytes;
    let meta = serde_json::to_vec(&meta)?;
    let sums = format!("{}  {META}\n{}  {STATE}\n", hex(Sha256::new_with_prefix(&meta)), hex(counted.sum));
    let mut tar = BufWriter::with_capacity(BUFFER_BYTES, GzEncoder::new(to, Compression::fast()));
    put(&mut tar, META, meta.len() as u64, |tar| tar.write_all(&meta))?;
    put(&mut tar, STATE, counted.bytes, |tar| write_state(&state, tar))?;
    put(&mut tar, SUMS, sums.len() as u64, |tar| tar.write_all(sums.as_bytes()))?;
    tar.write_all(&[0; 2 * TAR_BLOCK])?;
    let gzip = tar.into_inner().map_err(io::IntoInnerError::into_error)?;
    gzip.finish()?.flush()
}

fn write_state(state: &State, to: &mut impl Write) -> io::Result<()> {
    codec::write_snapshot(state, BufWriter::with_capacity(BUFFER_BYTES, to)).map_err(io::Error::other)
}

/// Writes one member: its header, its bytes, and zeros up to a whole block.
fn put<W: Write>(
    tar: &mut W,
    name: &str,
    bytes: u64,
    content: impl FnOnce(&mut W) -> io::Result<()>,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_path(name)?;
    header.set_size(bytes);
    header.set_mode(0o600);
    header.set_cksum();
    tar.write_all(header.as_bytes())?;
    content(tar)?;
    let rest = (bytes % TAR_BLOCK as u64) as usize;
    if rest == 0 { Ok(()) } else { tar.write_all(&vec![0; TAR_BLOCK - rest]) }
}

/// Reads a snapshot through, and checks that it is whole and undamaged.
///
/// `take` gets the state's beginning, then its records, part by part, before the end is known to be right: whoever keeps
/// them reads twice.
pub fn check(
    from: impl Read,
    mut take: impl FnMut(Option<SnapshotHead>, Vec<SnapshotRecord>) -> Result<(), String>,
) -> Result<Summary, ArchiveError> {
    let gzip = GzDecoder::new(BufReader::with_capacity(BUFFER_BYTES, from));
    if gzip.header().is_none() {
        let why = "not a gzip file, or cut off at its beginning";
        return Err(ArchiveError::NotGzip(io::Error::new(io::ErrorKind::InvalidData, why)));
    }
    let mut tar = tar::Archive::new(gzip);
    let (mut summary, mut sums, mut found) = (Summary::default(), None, BTreeMap::new());
    for entry in tar.entries().map_err(ArchiveError::Broken)? {
        let mut entry = entry.map_err(ArchiveError::Broken)?;
        let name = entry.path().map_err(ArchiveError::Broken)?.to_string_lossy().into_owned();
        if found.contains_key(&name) || (name == SUMS && sums.is_some()) {
            return Err(ArchiveError::Odd(format!("{name:?} is in it twice")));
        }
        match name.as_str() {
            META => {
                let bytes = small(&mut entry)?;
                summary.meta = meta(&bytes)?;
                found.insert(name, hex(Sha256::new_with_prefix(&bytes)));
            }
            STATE if !found.contains_key(META) => {
                return Err(ArchiveError::Odd("meta.json must come first".to_owned()));
            }
            STATE => {
                let sum = read_state(&mut entry, &mut summary, &mut take)?;
                found.insert(name, sum);
            }
            SUMS => sums = Some(small(&mut entry)?),
            _ => return Err(ArchiveError::Odd(format!("unexpected file {name:?} in snapshot"))),
        }
    }
    // The archive's end comes before the end of the file, which has a sum of its own.
    io::copy(&mut tar.into_inner(), &mut io::sink()).map_err(ArchiveError::Broken)?;
    let sums = sums.ok_or_else(|| ArchiveError::Odd(format!("it has no {SUMS}; it may be cut off")))?;
    compare(&String::from_utf8_lossy(&sums), &found)?;
    Ok(summary)
}

fn small(entry: &mut impl Read) -> Result<Vec<u8>, ArchiveError> {
    let mut bytes = Vec::new();
    entry.take(SMALL_BYTES_MAX).read_to_end(&mut bytes).map_err(ArchiveError::Broken)?;
    Ok(bytes)
}

fn meta(bytes: &[u8]) -> Result<Meta, ArchiveError> {
    let meta: Meta = serde_json::from_slice(bytes)
        .map_err(|why| ArchiveError::Odd(format!("{META} cannot be read: {why}")))?;
    match meta.format_version {
        _ if meta.format != FORMAT => Err(ArchiveError::Foreign),
        found if found > VERSION => Err(ArchiveError::Newer { found }),
        _ => Ok(meta),
    }
}

/// Hands the records on, and gives the sum of all bytes.
fn read_state(
    entry: &mut impl Read,
    summary: &mut Summary,
    take: &mut impl FnMut(Option<SnapshotHead>, Vec<SnapshotRecord>) -> Result<(), String>,
) -> Result<String, ArchiveError> {
    let mut summed = Summed { inner: entry, bytes: 0, sum: Sha256::new() };
    let (head, mut parts) = SnapshotParts::read(BufReader::with_capacity(BUFFER_BYTES, &mut summed))?;
    take(Some(head), Vec::new()).map_err(ArchiveError::Stopped)?;
    loop {
        let records = parts.next_part()?;
        if records.is_empty() {
            break;
        }
        summary.records += records.len() as u64;
        take(None, records).map_err(ArchiveError::Stopped)?;
    }
    let mut rest = parts.into_rest();
    let left = io::copy(&mut rest, &mut io::sink()).map_err(ArchiveError::Broken)?;
    if left > 0 {
        return Err(ArchiveError::Odd(format!("{left} bytes follow the state in {STATE}")));
    }
    Ok(hex(summed.sum))
}

/// Compares the sums with what was read: each file once, and no other.
fn compare(sums: &str, found: &BTreeMap<String, String>) -> Result<(), ArchiveError> {
    let told: BTreeMap<&str, &str> =
        sums.lines().filter_map(|line| line.split_once("  ")).map(|(sum, name)| (name, sum)).collect();
    for name in [META, STATE] {
        match (told.get(name), found.get(name)) {
            (_, None) => return Err(ArchiveError::Odd(format!("it has no {name}; it may be cut off"))),
            (Some(told), Some(found)) if *told == found => {}
            _ => return Err(ArchiveError::Sum(name.to_owned())),
        }
    }
    Ok(())
}

fn hex(sum: Sha256) -> String {
    sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Counts and sums what passes.
struct Summed<T> {
    inner: T,
    bytes: u64,
    sum: Sha256,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.bytes += written as u64;
        self.sum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(bytes)?;
        self.bytes += read as u64;
        self.sum.update(&bytes[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use registry_state::{Action, Command, KvPut};

    use super::*;

    fn packed() -> Vec<u8> {
        let mut state = State::default();
        for key in 0..2000 {
            let value = vec![b'x'; 700].into();
            let put = KvPut { key: format!("k{key}").as_str().into(), value, ..KvPut::default() };
            state.apply(&Command { at_ms: 1, action: Action::KvPut(put) });
        }
        let mut bytes = Vec::new();
        pack(&state, Meta { index: state.index(), ..Meta::default() }, &mut bytes).unwrap();
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Summary, String> {
        check(bytes, |_, _| Ok(())).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_packed_is_read_in_parts() {
        let (mut largest, mut heads) = (0, 0);
        let summary = check(packed().as_slice(), |head, records| {
            heads += u32::from(head.is_some());
            largest = largest.max(records.len());
            Ok(())
        });
        let summary = summary.unwrap();
        assert_eq!((summary.records, summary.meta.index, heads), (2000, 2001, 1));
        assert!(largest < 500, "{largest} records in one part");
    }

    #[test]
    fn damaged_and_cut_off_files_are_refused() {
        let whole = packed();
        for length in (0..whole.len()).step_by(whole.len() / 40) {
            assert!(read(&whole[..length]).is_err(), "cut off at {length}");
        }
        let unpacked = |bytes: &[u8]| {
            let mut content = Vec::new();
            GzDecoder::new(bytes).read_to_end(&mut content).map(|_| content).ok()
        };
        for at in (10..whole.len() - 8).step_by(whole.len() / 60) {
            let mut changed = whole.clone();
            changed[at] ^= 0x10;
            // In a run of equal bytes another distance may copy the same ones: such a change does no damage.
            let same = unpacked(&changed) == unpacked(&whole);
            assert_eq!(read(&changed).is_ok(), same, "byte {at} changed");
        }
    }

    #[test]
    fn other_files_are_told_from_damaged_ones() {
        assert!(read(b"garbage").unwrap_err().starts_with("failed to decompress snapshot: "));
        assert!(read(b"").unwrap_err().starts_with("failed to decompress snapshot: "));
        let archive = |files: &[(&str, &str)]| {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
            for (name, text) in files {
                put(&mut gzip, name, text.len() as u64, |tar| tar.write_all(text.as_bytes())).unwrap();
            }
            gzip.write_all(&[0; 2 * TAR_BLOCK]).unwrap();
            read(&gzip.finish().unwrap()).unwrap_err()
        };
        assert!(archive(&[("meta.json", r#"{"Version":1,"ID":"2-5-1"}"#)]).contains("a snapshot of Consul"));
        assert!(
            archive(&[("meta.json", r#"{"Format":"ryo","FormatVersion":9}"#)]).contains("it has format 9")
        );
        assert!(archive(&[("meta.json", r#"{"Format":"ryo","FormatVersion":1}"#)]).contains("no SHA256SUMS"));
        assert!(archive(&[("x", "")]).contains("unexpected file \"x\""));
        assert!(archive(&[]).contains("no SHA256SUMS"));
    }
}
