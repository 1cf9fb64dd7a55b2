//! What was registered over the API, on disk: it outlives the agent's restart.
//!
//! One file a service (`services/`), a check (`checks/`) and the last word of a TTL check (`checks/state/`), named by the
//! SHA-256 of the id, in Consul's shapes. Files are written aside and renamed; one that cannot be read is left out with
//! a warning.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use registry_wire::catalog::{HealthCheck, NodeService};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};

use crate::definition::{CheckType, Source};

/// How the names of files begin and end that are not in their place yet.
const ASIDE: (&str, &str) = (".new-", ".tmp");

/// The mark of services that were made for a container.
const OF_CONTAINER: &str = "container";

/// A service as it is kept.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct KeptService {
    pub(super) token: String,
    pub(super) service: NodeService,
    pub(super) source: String,
    #[serde(
        rename = "LocallyRegisteredAsSidecar",
        alias = "IsSidecar",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub(super) is_sidecar: bool,
}

/// A check as it is kept.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct KeptCheck {
    pub(super) check: HealthCheck,
    pub(super) chk_type: Option<CheckType>,
    pub(super) token: String,
    pub(super) source: String,
}

/// The last word of a TTL check.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct KeptWord {
    #[serde(rename = "CheckID")]
    pub(super) check_id: String,
    pub(super) output: String,
    pub(super) status: String,
    /// Unix seconds.
    pub(super) expires: i64,
}

/// The mark of what is kept; `None` for what the files define, which is not.
pub(super) fn kept_source(source: Source) -> Option<&'static str> {
    match source {
        Source::File => None,
        Source::Api => Some("remote"),
        Source::Container => Some(OF_CONTAINER),
    }
}

/// Where something came from that was kept under this mark.
pub(super) fn source_of_kept(mark: &str) -> Source {
    if mark == OF_CONTAINER { Source::Container } else { Source::Api }
}

/// The folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Folder {
    Services,
    Checks,
    Words,
}

/// The data folder, or none with `-dev`: then nothing is kept.
#[derive(Clone, Debug)]
pub(super) struct Store(Option<PathBuf>);

impl Store {
    pub(super) fn new(data_dir: Option<PathBuf>) -> Self {
        Self(data_dir)
    }

    fn folder(&self, folder: Folder) -> Option<PathBuf> {
        let name = match folder {
            Folder::Services => "services",
            Folder::Checks => "checks",
            Folder::Words => "checks/state",
        };
        self.0.as_ref().map(|dir| dir.join(name))
    }

    /// Keeps a value under an id.
    pub(super) fn keep(&self, folder: Folder, id: &str, value: &impl Serialize) -> io::Result<()> {
        let Some(dir) = self.folder(folder) else { return Ok(()) };
        fs::create_dir_all(&dir)?;
        let text = serde_json::to_vec(value).expect("these types are plain data");
        let path = dir.join(name_of(id));
        match folder {
            // Heartbeats come often, and one that a power cut takes away is followed by the next.
            Folder::Words => replace(&path, &text, Flush::Not),
            Folder::Services | Folder::Checks => write_aside(&path, &text),
        }
    }

    /// Forgets a value; one that is not there is forgotten already.
    pub(super) fn forget(&self, folder: Folder, id: &str) {
        let Some(dir) = self.folder(folder) else { return };
        let path = dir.join(name_of(id));
        let removed = fs::remove_file(&path).and_then(|()| match folder {
            // A word without its check is dropped at the next start.
            Folder::Words => Ok(()),
            // What was removed shall not come back after a power cut.
            Folder::Services | Folder::Checks => fs::File::open(&dir)?.sync_all(),
        });
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(target: "agent", path = %path.display(), %error, "cannot remove file");
            }
            _ => {}
        }
    }

    /// All values of a folder. What cannot be read is named in the log and left out.
    pub(super) fn load<T: DeserializeOwned>(&self, folder: Folder) -> Vec<T> {
        let Some(dir) = self.folder(folder) else { return Vec::new() };
        let Ok(entries) = fs::read_dir(&dir) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        // An end in the midst of a write leaves these; nobody else knows their names.
        paths.iter().filter(|path| is_aside(path)).for_each(|path| _ = fs::remove_file(path));
        paths.retain(|path| path.is_file() && path.extension().is_none());
        let read = |path: &PathBuf| {
            let text = fs::read(path).map_err(|error| error.to_string());
            match text.and_then(|text| serde_json::from_slice(&text).map_err(|error| error.to_string())) {
                Ok(value) => Some(value),
                Err(error) => {
                    tracing::warn!(target: "agent", file = %path.display(), error, "Ignoring a file that cannot be read");
                    None
                }
            }
        };
        paths.iter().filter_map(read).collect()
    }
}

/// Unix seconds in `ttl` from now.
pub(super) fn expires_in(ttl: Duration) -> i64 {
    let at = SystemTime::now() + ttl;
    at.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// What is left until then; `None` when it is over.
pub(super) fn left_until(expires: i64) -> Option<Duration> {
    let at = UNIX_EPOCH + Duration::from_secs(u64::try_from(expires).ok()?);
    at.duration_since(SystemTime::now()).ok()
}

/// Whether this is a file that was never put in its place.
fn is_aside(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with(ASIDE.0) && name.ends_with(ASIDE.1)
}

fn name_of(id: &str) -> String {
    Sha256::digest(id.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Replaces a file as a whole: a reader sees the old or the new text, after a power cut too.
pub(crate) fn write_aside(path: &Path, text: &[u8]) -> io::Result<()> {
    replace(path, text, Flush::Whole)
}

/// Whether a file is on disk once it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flush {
    Whole,
    Not,
}

fn replace(path: &Path, text: &[u8], flush: Flush) -> io::Result<()> {
    let dir = path.parent().ok_or(io::ErrorKind::NotFound)?;
    let mut aside = tempfile::Builder::new().prefix(ASIDE.0).suffix(ASIDE.1).tempfile_in(dir)?;
    aside.write_all(text)?;
    if flush == Flush::Whole {
        aside.as_file().sync_all()?;
    }
    aside.persist(path).map_err(|error| error.error)?;
    if flush == Flush::Whole { fs::File::open(dir)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_file_is_left_out_and_the_others_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(Some(dir.path().to_owned()));
        for id in ["a", "b"] {
            let service = NodeService { id: id.into(), service: id.into(), ..NodeService::default() };
            store.keep(Folder::Services, id, &KeptService { service, ..KeptService::default() }).unwrap();
        }
        let torn = dir.path().join("services").join(name_of("a"));
        let text = fs::read(&torn).unwrap();
        fs::write(&torn, &text[..text.len() / 2]).unwrap();
        let read: Vec<KeptService> = store.load(Folder::Services);
        assert_eq!(read.iter().map(|kept| kept.service.id.as_str()).collect::<Vec<_>>(), ["b"]);
        store.forget(Folder::Services, "b");
        assert!(store.load::<KeptService>(Folder::Services).is_empty());
    }

    #[test]
    fn without_a_folder_nothing_is_kept() {
        let store = Store::new(None);
        store.keep(Folder::Words, "a", &KeptWord::default()).unwrap();
        assert!(store.load::<KeptWord>(Folder::Words).is_empty());
        assert_eq!(left_until(1), None);
        assert!(left_until(expires_in(Duration::from_secs(60))).is_some());
    }
}
