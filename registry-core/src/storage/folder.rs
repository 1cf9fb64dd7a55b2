//! The data folder: its lock, and who this server is.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use nix::{
    fcntl::{Flock, FlockArg},
    sys::statvfs::statvfs,
};
use serde::{Deserialize, Serialize};

use super::{StorageError, replace};

/// The format of the folder that this release writes.
const FORMAT: u32 = 1;

/// What the file about this server holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Written {
    /// The format of the folder.
    format: u32,
    /// The server's id in the cluster.
    server: u64,
    /// The cluster's id, a UUID; empty while it belongs to none.
    cluster: String,
}

/// Who this server is, for the other servers. Made with the folder, never used again without it.
#[derive(Debug)]
pub(crate) struct Identity {
    path: PathBuf,
    server: u64,
    cluster: RwLock<Arc<str>>,
}

impl Identity {
    /// The server's id in the cluster.
    pub(crate) fn server(&self) -> u64 {
        self.server
    }

    /// The cluster's id, a UUID; empty while this server belongs to none.
    pub(crate) fn cluster(&self) -> Arc<str> {
        self.cluster.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes this server one of that cluster, for as long as it has its disk.
    pub(crate) fn take_cluster(&self, cluster: &str) -> Result<(), StorageError> {
        let written = Written { format: FORMAT, server: self.server, cluster: cluster.to_owned() };
        written.write(&self.path)?;
        *self.cluster.write().unwrap_or_else(PoisonError::into_inner) = cluster.into();
        Ok(())
    }
}

impl Written {
    fn write(&self, path: &Path) -> Result<(), StorageError> {
        let text = serde_json::to_vec_pretty(self).expect("numbers and texts are JSON");
        replace(path, |file| std::io::Write::write_all(file, &text)).map_err(StorageError::io(path))
    }
}

/// A data folder that belongs to this process until the drop.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    identity: Arc<Identity>,
    _lock: Flock<File>,
    /// Removes a folder in memory with the process.
    _memory: Option<tempfile::TempDir>,
}

/// Where folders in memory are made, and how they are called.
const MEMORY: &str = "/dev/shm";
const MEMORY_ROOM_BYTES: u64 = 256 << 20;
const MEMORY_PREFIX: &str = "ryo-memory-";

impl Folder {
    /// Opens `data_dir`/raft, makes it if need be, and locks it.
    pub(crate) fn open(data_dir: &Path) -> Result<Self, StorageError> {
        let path = data_dir.join("raft");
        fs::create_dir_all(&path).map_err(StorageError::io(&path))?;
        Self::of(path, None)
    }

    /// A folder in memory: the same engine, nothing on a disk. It goes with the process; what a killed process left is
    /// removed by the next one.
    pub(crate) fn in_memory() -> Result<Self, StorageError> {
        let parent = if has_room(MEMORY) { PathBuf::from(MEMORY) } else { std::env::temp_dir() };
        remove_left(&parent);
        let made = tempfile::Builder::new().prefix(MEMORY_PREFIX).tempdir_in(&parent);
        let made = made.map_err(StorageError::io(&parent))?;
        Self::of(made.path().to_owned(), Some(made))
    }

    fn of(path: PathBuf, memory: Option<tempfile::TempDir>) -> Result<Self, StorageError> {
        let lock = lock(&path)?.ok_or_else(|| StorageError::InUse { path: path.display().to_string() })?;
        let identity = Arc::new(identity(path.join("identity.json"))?);
        Ok(Self { path, identity, _lock: lock, _memory: memory })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }
}

/// Whether there is such a file system in memory, with enough room: many containers have one of 64 MB.
fn has_room(path: &str) -> bool {
    statvfs(path).is_ok_and(|fs| fs.blocks_available() * fs.fragment_size() >= MEMORY_ROOM_BYTES)
}

/// The lock on a folder; `None` when another process has it. It goes with the process, however that ends.
fn lock(folder: &Path) -> Result<Option<Flock<File>>, StorageError> {
    let path = folder.join("lock");
    let file = File::create(&path).map_err(StorageError::io(&path))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(StorageError::io(&path)(errno.into())),
    }
}

fn identity(path: PathBuf) -> Result<Identity, StorageError> {
    let written = match read_if_there(&path)? {
        Some(bytes) => {
            let written: Written =
                serde_json::from_slice(&bytes).map_err(|e| StorageError::damaged(&path, e))?;
            if written.format > FORMAT {
                let path = path.display().to_string();
                return Err(StorageError::Newer { path, found: written.format, known: FORMAT });
            }
            written
        }
        None => {
            if let Some(theirs) = of_consul(&path) {
                let folder = theirs.display().to_string();
                tracing::warn!(target: "agent.server", folder, "this is Consul's data, which is not read: the registry begins empty, kv import brings keys over");
            }
            let server = rand::random_range(1..=u64::MAX);
            let written = Written { format: FORMAT, server, cluster: String::new() };
            written.write(&path)?;
            written
        }
    };
    let cluster = RwLock::new(written.cluster.as_str().into());
    Ok(Identity { path, server: written.server, cluster })
}

/// What a Consul has left beside this file: its log. Nothing of it is read, and nothing is removed.
fn of_consul(beside: &Path) -> Option<PathBuf> {
    ["wal", "raft.db"].map(|name| beside.with_file_name(name)).into_iter().find(|path| path.exists())
}

/// A file's bytes; `None` when there is none.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, StorageError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(StorageError::io(path)(e)),
    }
}

/// Removes folders in memory whose process is gone. What cannot be removed is another user's.
fn remove_left(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(MEMORY_PREFIX));
        let folder = entry.path();
        // Without its lock file it is being made at this moment.
        if ours && folder.join("lock").exists() && matches!(lock(&folder), Ok(Some(_))) {
            let _ = fs::remove_dir_all(&folder);
        }
    }
}
