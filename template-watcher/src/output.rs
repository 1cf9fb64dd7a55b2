//! Putting a file in place: all or nothing, with the mode and owner it had.
//!
//! The candidate stands beside the destination, so that the swap is one rename; whoever reads the destination sees the
//! old or the new text, never a part. Only where a rename is impossible (a file that is a mount of its own) it is
//! written in place.

mod attributes;

use std::{
    fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

use nix::unistd::{Group, User};
use tempfile::NamedTempFile;
use thiserror::Error;

use crate::{config::go_io, diff};

/// The mode of a file that is new and has none configured.
const MODE: u32 = 0o644;

/// The same of a secret one.
const MODE_SECRET: u32 = 0o600;

/// How many links in a row are followed, as in Linux.
const LINKS_MAX: u32 = 40;

/// Where a text goes and what the file shall be like.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The destination.
    pub path: &'a Path,
    /// The mode; `None` keeps that of the present file, or 0644, or 0600 for a secret one.
    pub perms: Option<u32>,
    /// Whether the text is for its owner alone; `None` when not said: then one with a private key is.
    pub secret: Option<bool>,
    /// The owner, by name or number; `None` keeps it.
    pub user: Option<&'a str>,
    /// The group, by name or number; `None` keeps it.
    pub group: Option<&'a str>,
    /// How many files before the present one are kept: `DEST.bak`, `DEST.bak.2` and so on, the newest first.
    pub backups: u32,
    /// Make the folders above.
    pub create_dirs: bool,
}

/// Why a file could not be put in place. The old file is where it was.
#[derive(Debug, Error)]
pub enum OutputError {
    /// The present file cannot be read.
    #[error("failed reading file: read {}: {}", path.display(), go_io(source))]
    Read {
        /// The destination.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder does not exist and may not be made.
    #[error("failed writing file: parent directory is missing: {}", .0.display())]
    NoParent(PathBuf),
    /// A user or group is not known on this machine.
    #[error("failed looking up {0}: {0}: unknown {0} {1}")]
    UnknownName(&'static str, String),
    /// The candidate cannot be written or swapped in.
    #[error("failed writing file: {what} {}: {}", path.display(), go_io(source))]
    Write {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A file that is ready to be swapped in; dropping it removes it.
#[derive(Debug)]
pub struct Candidate {
    file: NamedTempFile,
    destination: PathBuf,
    text: Vec<u8>,
    backups: u32,
}

/// What stands at a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Present {
    /// Nothing.
    Absent,
    /// The text, with the owner asked for: nothing is to be done.
    Same,
    /// These bytes, and they or their owner differ.
    Other(Vec<u8>),
}

/// Reads what stands at the destination, and compares it with a text.
///
/// A mode that differs is not repaired by itself, as in consul-template.
pub fn present(target: &Target<'_>, text: &[u8]) -> Result<Present, OutputError> {
    let refuse = |source| OutputError::Read { path: target.path.to_owned(), source };
    let present = match fs::read(target.path) {
        Ok(present) => present,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Present::Absent),
        Err(e) => return Err(refuse(e)),
    };
    if present != text {
        return Ok(Present::Other(present));
    }
    let (user, group) = owner(target)?;
    if (user, group) == (None, None) {
        return Ok(Present::Same);
    }
    let metadata = fs::metadata(target.path).map_err(refuse)?;
    let is_anothers =
        user.is_some_and(|user| user != metadata.uid()) || group.is_some_and(|group| group != metadata.gid());
    Ok(if is_anothers { Present::Other(present) } else { Present::Same })
}

/// Writes the candidate beside the destination, with its final mode and owner, and down to the disk.
pub fn prepare(target: &Target<'_>, text: &[u8]) -> Result<Candidate, OutputError> {
    let folder = parent(target.path);
    if !folder.is_dir() {
        if !target.create_dirs {
            return Err(OutputError::NoParent(folder.to_owned()));
        }
        let made = DirBuilder::new().recursive(true).mode(0o755).create(folder);
        made.map_err(|source| OutputError::Write { what: "mkdir", path: folder.to_owned(), source })?;
    }
    let present = fs::metadata(target.path).ok();
    let (user, group) = owner(target)?;
    let name = target.path.file_name().unwrap_or_default().to_string_lossy();
    // What is told names the destination: the candidate's own name is another at each attempt.
    let refuse = |what, source| OutputError::Write { what, path: target.path.to_owned(), source };
    let mut file = tempfile::Builder::new()
        .prefix(&format!(".{name}."))
        .make_in(folder, |path| {
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
        })
        .map_err(|source| OutputError::Write { what: "create a file in", path: folder.to_owned(), source })?;
    let path = file.path().to_owned();
    file.as_file_mut().write_all(text).map_err(|e| refuse("write", e))?;
    keep_owner(&path, present.as_ref(), target);
    if user.is_some() || group.is_some() {
        chown(&path, user, group).map_err(|e| refuse("chown", e))?;
    }
    // After chown, which takes set-id bits away.
    let present_mode = present.as_ref().map(|metadata| metadata.mode() & 0o7777);
    let mode = target.perms.or(present_mode).unwrap_or_else(|| {
        let is_secret = target.secret.unwrap_or_else(|| diff::has_private_key(text));
        if is_secret { MODE_SECRET } else { MODE }
    });
    fs::set_permissions(&path, Permissions::from_mode(mode)).map_err(|e| refuse("chmod", e))?;
    if present.is_some() {
        attributes::copy(target.path, &path);
    }
    file.as_file().sync_all().map_err(|e| refuse("fsync", e))?;
    Ok(Candidate {
        file,
        destination: target.path.to_owned(),
        text: text.to_owned(),
        backups: target.backups,
    })
}

impl Candidate {
    /// The candidate's own path, for checks.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Puts the candidate somewhere else than it was meant for, with its mode; on another file system it is copied.
    pub fn keep_as(self, path: &Path) -> io::Result<()> {
        match self.file.persist(path) {
            Ok(_) => Ok(()),
            Err(e) if e.error.kind() == io::ErrorKind::CrossesDevices => {
                // Nobody shall read it before it has its mode.
                let _ = fs::remove_file(path);
                fs::copy(e.file.path(), path).map(drop)
            }
            Err(e) => Err(e.error),
        }
    }

    /// Swaps the candidate in. The folder's [`sync_folder`] is the caller's: several files may share one.
    pub fn commit(self) -> Result<(), OutputError> {
        if self.backups > 0 {
            keep_backup(&self.destination, self.backups);
        }
        let destination = self.destination;
        let refuse = |what, source| OutputError::Write { what, path: destination.clone(), source };
        match self.file.persist(&destination) {
            Ok(_) => {}
            Err(e) if is_a_mount(&e.error) => {
                write_in_place(&destination, &self.text).map_err(|e| refuse("write in place", e))?;
            }
            Err(e) => return Err(refuse("rename to", e.error)),
        }
        Ok(())
    }
}

/// Takes the name of a new file down to the disk: without this it may be lost in a power cut although the text is safe. No
/// error: the file is in place, and its command must run.
pub fn sync_folder(folder: &Path) {
    if let Err(error) = File::open(folder).and_then(|folder| folder.sync_all()) {
        tracing::warn!(target: "runner", path = %folder.display(), %error, "cannot fsync the folder");
    }
}

/// The folder that a file is in.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Gives the candidate the owner of the present file; without the right to, it is told and goes on.
fn keep_owner(path: &Path, present: Option<&Metadata>, target: &Target<'_>) {
    let Some(present) = present else { return };
    let own = fs::metadata(path).map(|metadata| (metadata.uid(), metadata.gid())).ok();
    if own != Some((present.uid(), present.gid()))
        && let Err(error) = chown(path, Some(present.uid()), Some(present.gid()))
    {
        let path = target.path.display();
        tracing::warn!(target: "runner", %path, %error, "cannot keep the owner of the present file");
    }
}

/// Keeps the present file as `DEST.bak`, and those before it: by a second link, so that it is never gone; a failure is told
/// and no more.
fn keep_backup(destination: &Path, count: u32) {
    if !destination.exists() {
        return;
    }
    let named = |end: &str| {
        let mut name = destination.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let kept = |number: u32| match number {
        1 => named(".bak"),
        number => named(&format!(".bak.{number}")),
    };
    for number in (1..count).rev() {
        // Where there are fewer, there is nothing to move.
        let _ = fs::rename(kept(number), kept(number + 1));
    }
    let (new, kept) = (named(".bak.new"), kept(1));
    let _ = fs::remove_file(&new);
    let linked = fs::hard_link(destination, &new).or_else(|_| fs::copy(destination, &new).map(drop));
    if let Err(error) = linked.and_then(|()| fs::rename(&new, &kept)) {
        tracing::warn!(target: "runner", path = %kept.display(), %error, "cannot keep a backup");
    }
}

/// The file that a path leads to, its links followed; where there is none yet, the place where the links end.
pub fn followed(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        let Ok(next) = fs::read_link(&path) else { break };
        path = parent(&path).join(next);
    }
    path
}

/// A file that is bind-mounted by itself can be written but not replaced.
fn is_a_mount(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ResourceBusy | io::ErrorKind::CrossesDevices)
}

fn write_in_place(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).truncate(true).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

/// What a file shows of a change without being read. `None` when it is not there.
pub(crate) fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some(Stamp {
        file: (metadata.dev(), metadata.ino()),
        size: metadata.size(),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

/// Differs once somebody has written, moved or replaced the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    file: (u64, u64),
    size: u64,
    changed: (i64, i64),
}

/// The owner and group asked for, as numbers.
pub(crate) fn owner(target: &Target<'_>) -> Result<(Option<u32>, Option<u32>), OutputError> {
    let user = target.user.map(|name| {
        let known = || User::from_name(name).ok().flatten().map(|user| user.uid.as_raw());
        name.parse().ok().or_else(known).ok_or_else(|| OutputError::UnknownName("user", name.to_owned()))
    });
    let group = target.group.map(|name| {
        let known = || Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw());
        name.parse().ok().or_else(known).ok_or_else(|| OutputError::UnknownName("group", name.to_owned()))
    });
    Ok((user.transpose()?, group.transpose()?))
}

#[cfg(test)]
mod tests;
