//! What must outlive this process: that a file was swapped in and its command has not worked yet.
//!
//! The note stands beside the destination from before the swap until the command worked, as `.NAME.pending`. A watcher that
//! finds one at its start runs the command although the file is unchanged, for nobody else ever would. It is no more than
//! that: after a power cut the reader of the file starts anew anyway, so that it need not reach the disk.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::json;

/// The note of one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note(PathBuf);

impl Note {
    /// The note of a destination, there or not.
    pub(super) fn of(destination: &Path) -> Self {
        let mut name = OsString::from(".");
        name.push(destination.file_name().unwrap_or_default());
        name.push(".pending");
        Self(destination.with_file_name(name))
    }

    /// Whether a process before this one left its command undone.
    pub(super) fn is_there(&self) -> bool {
        self.0.exists()
    }

    /// Leaves the note; the words and the time in it are for people.
    pub(super) fn leave(&self, command: &[String]) {
        let since = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        let text = json!({ "version": 1, "command": command, "since": since }).to_string();
        if let Err(error) = fs::write(&self.0, text + "\n") {
            let path = self.0.display();
            tracing::warn!(target: "runner", %path, %error, "cannot note that a command is to be run");
        }
    }

    /// Takes the note away.
    pub(super) fn clear(&self) {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let path = self.0.display();
                tracing::warn!(target: "runner", %path, %error, "cannot remove the note of a command that ran");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_stands_beside_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let note = Note::of(&folder.path().join("haproxy.cfg"));
        assert!(!note.is_there());
        note.leave(&["reload".to_owned()]);
        let text = fs::read_to_string(folder.path().join(".haproxy.cfg.pending")).unwrap();
        assert!(text.starts_with(r#"{"command":["reload"],"since":"20"#), "{text}");
        assert!(Note::of(&folder.path().join("haproxy.cfg")).is_there());
        note.clear();
        note.clear();
        assert!(!note.is_there());
    }
}
