//! What is to be run.

use std::{io, io::Write as _, os::unix::fs::PermissionsExt as _, time::Duration};

use daemon::child;
use registry_wire::base64;
use serde::{Deserialize, Deserializer, de};
use tempfile::TempPath;

use crate::backend::ask::Failed;

/// Signs of life come no more often than this, whatever the sender says.
const BEAT_MIN: Duration = Duration::from_millis(200);

/// A job: `{"Command":"uptime","Wait":2000000000}`, or `Args` for a program without a shell, or `Script`, a file in base64.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Job {
    command: String,
    args: Option<Vec<String>>,
    #[serde(deserialize_with = "script")]
    script: Vec<u8>,
    /// How long the sender listens without hearing anything, in nanoseconds.
    wait: i64,
}

/// Why a job cannot be run.
#[derive(Debug, thiserror::Error)]
pub(super) enum JobError {
    #[error("failed to get remote exec job: {0}")]
    Unread(Failed),
    #[error("failed to decode remote exec spec: {0}")]
    Undecoded(#[from] serde_json::Error),
}

/// The words of a program, and the file it needs.
pub(super) struct Args {
    words: Vec<String>,
    /// Removed when this is dropped.
    _file: Option<TempPath>,
}

impl Args {
    pub(super) fn words(&self) -> &[String] {
        &self.words
    }
}

impl Job {
    pub(super) fn read(text: &[u8]) -> Result<Self, JobError> {
        Ok(serde_json::from_slice(text)?)
    }

    /// For the log.
    pub(super) fn shown(&self) -> String {
        match &self.args {
            Some(args) if !args.is_empty() => args.join(" "),
            _ if !self.script.is_empty() => "(a file)".to_owned(),
            _ => self.command.clone(),
        }
    }

    /// How often the sender is to hear something: twice in the time that it waits.
    pub(super) fn beat(&self) -> Duration {
        Duration::from_nanos(u64::try_from(self.wait).unwrap_or(0) / 2).max(BEAT_MIN)
    }

    /// What to run; a script becomes a file that only this user may read.
    pub(super) fn args(&self) -> io::Result<Args> {
        if let Some(words) = self.args.as_ref().filter(|args| !args.is_empty()) {
            return Ok(Args { words: words.clone(), _file: None });
        }
        if self.script.is_empty() {
            return Ok(Args { words: child::by_shell(&self.command), _file: None });
        }
        let mut file = tempfile::Builder::new().prefix("rexec").tempfile()?;
        file.write_all(&self.script)?;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o700))?;
        // Closed: what is open for writing cannot be run.
        let path = file.into_temp_path();
        Ok(Args { words: child::by_shell(&path.display().to_string()), _file: Some(path) })
    }
}

/// A file in base64; `null` is none.
fn script<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
    base64::decode(&text).map_err(|error| de::Error::custom(format!("its script: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_before_a_script_and_that_before_a_command() {
        let words = |text: &str| Job::read(text.as_bytes()).unwrap().args().unwrap().words().to_vec();
        assert_eq!(words(r#"{"Command":"c","Args":["echo","a b"],"Script":"eA=="}"#), ["echo", "a b"]);
        let script = words(r#"{"Command":"c","Script":"eA=="}"#);
        assert!(script[2].contains("/rexec"), "{script:?}");
        assert!(!std::path::Path::new(&script[2]).exists(), "removed with the job");
        assert_eq!(words(r#"{"Command":"uptime"}"#)[1..], ["-c", "uptime"]);
        assert!(Job::read(b"garbage").is_err() && Job::read(br#"{"Script":"?"}"#).is_err());
    }

    #[test]
    fn a_sender_hears_something_twice_in_its_time() {
        let beat = |wait: i64| Job { wait, ..Job::default() }.beat();
        assert_eq!(beat(2_000_000_000), Duration::from_secs(1));
        assert_eq!((beat(0), beat(-5)), (BEAT_MIN, BEAT_MIN));
    }
}
