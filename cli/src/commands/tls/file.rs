//! Files that are made once: a certificate that everyone may read, a key that only its owner may.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use crate::{client::system_words, output::line};

/// Refuses a name that is taken.
pub(super) fn must_be_free(path: &str) -> Result<(), String> {
    if Path::new(path).exists() { Err(format!("{path} already exists.")) } else { Ok(()) }
}

/// Writes a new file and says so.
pub(super) fn save(path: &str, text: &str, mode: u32) -> Result<(), String> {
    let written = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = written.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    match written {
        Ok(()) => {
            line(format!("==> Saved {path}"));
            Ok(())
        }
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(format!("{path} already exists.")),
        Err(e) => Err(format!("open {path}: {}", system_words(&e))),
    }
}
