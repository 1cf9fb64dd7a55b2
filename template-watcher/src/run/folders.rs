//! Folders whose new names are not on the disk yet: taken down a moment later, once for all files that changed meanwhile.
//!
//! A power cut in that moment leaves the file before, whole, and the next start writes the new one again. What it saves is
//! half of the writing of a file that changes often.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::Instant;

use crate::output::{parent, sync_folder};

/// How long a folder waits for further changes.
const PAUSE: Duration = Duration::from_millis(50);

/// The folders that wait.
#[derive(Debug, Default)]
pub(super) struct Folders {
    waiting: BTreeSet<PathBuf>,
    due: Option<Instant>,
}

impl Folders {
    /// A file was put in place.
    pub(super) fn note(&mut self, file: &Path) {
        let folder = parent(file);
        if !self.waiting.contains(folder) {
            self.waiting.insert(folder.to_owned());
        }
        self.due.get_or_insert_with(|| Instant::now() + PAUSE);
    }

    /// When the folders are taken down.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Takes the folders down whose time has come.
    pub(super) fn wake_up(&mut self, now: Instant) {
        if self.due.is_some_and(|due| due <= now) {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.due = None;
        std::mem::take(&mut self.waiting).iter().for_each(|folder| sync_folder(folder));
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        self.flush();
    }
}
