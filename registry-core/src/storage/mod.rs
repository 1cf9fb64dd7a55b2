//! Files of the registry beside its log: who it is, the lock on its folder, snapshots.
//!
//! Every file is written aside, flushed, renamed into place and its folder flushed: a crash leaves the old file or the
//! new one.

mod disk;
mod folder;
mod mesh_root;
pub(crate) mod snapshots;

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

pub use disk::Disk;
pub(crate) use folder::{Folder, Identity, read_if_there};
pub(crate) use mesh_root::{MeshRoot, MeshRoots};

/// Why files of the registry cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// A file or folder cannot be read or written.
    #[error("cannot use {path}: {source}; check that it exists and that this user may write there")]
    Io {
        /// Which one.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// Another process has the folder.
    #[error("{path} is in use by another process; stop that one first, or give this one another data_dir")]
    InUse {
        /// The folder.
        path: String,
    },
    /// A newer release wrote the folder.
    #[error(
        "{path} was written by a newer release (format {found}; this release reads up to {known}): use that release"
    )]
    Newer {
        /// The file that says so.
        path: String,
        /// Its format.
        found: u32,
        /// The newest format known.
        known: u32,
    },
    /// A file is not what was written.
    #[error("{path} is damaged: {why}; restore the data folder from a backup")]
    Damaged {
        /// Which one.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// The log begins after the newest snapshot that can be read.
    #[error(
        "the log begins after the newest readable snapshot in {folder}; restore the data folder from a backup"
    )]
    SnapshotMissing {
        /// The snapshots' folder.
        folder: String,
    },
}

impl StorageError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.display().to_string(), source }
    }

    fn damaged(path: &Path, why: impl ToString) -> Self {
        Self::Damaged { path: path.display().to_string(), why: why.to_string() }
    }
}

/// Writes a file that is small: a crash leaves the old one or the new one.
pub(crate) fn write_whole(path: &Path, text: &[u8]) -> Result<(), StorageError> {
    replace(path, |file| file.write_all(text)).map_err(StorageError::io(path))
}

/// Writes a file so that a crash leaves the old one or the new one, whole.
fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let aside = path.with_extension("tmp");
    let mut file = File::create(&aside)?;
    write(&mut file)?;
    file.flush()?;
    file.sync_all()?;
    fs::rename(&aside, path)?;
    let folder = path.parent().expect("a file stands in a folder");
    File::open(folder)?.sync_all()
}
