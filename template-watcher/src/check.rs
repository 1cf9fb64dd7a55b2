//! Looking at a candidate before it is put in place: the user's own program decides.

use std::{path::Path, time::Duration};

use crate::{
    command::{CommandError, Program, environment, inherited},
    config::EnvConfig,
};

/// The mark in a check command that stands for the candidate's path.
const CANDIDATE: &str = "{}";

/// Runs a template's check on a candidate.
///
/// `{}` in the command is replaced by the candidate's path; a command without it gets the path in `$CANDIDATE` only. The
/// error is the reason for people: what the check wrote, and how it ended.
pub async fn check(
    command: &[String],
    limit: Duration,
    injected: &[(String, String)],
    candidate: &Path,
) -> Result<(), String> {
    let path = candidate.display().to_string();
    let shell = command.len() == 1 && command[0].contains(char::is_whitespace);
    let shown = if shell { quote(&path) } else { path.clone() };
    let mut variables = injected.to_vec();
    variables.push(("CANDIDATE".to_owned(), path));
    let program = Program {
        words: command.iter().map(|word| word.replace(CANDIDATE, &shown)).collect(),
        environment: environment(inherited(), &EnvConfig::default(), &variables),
        limit,
    };
    let (status, output) = program.capture().await.map_err(|e: CommandError| e.to_string())?;
    if status.success() {
        return Ok(());
    }
    let how = CommandError::Failed { command: String::new(), status }.short();
    let output = output.trim();
    Err(if output.is_empty() { how } else { format!("{how}: {output}") })
}

/// Quotes a text for the shell.
fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn checked(command: &[&str], text: &str) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("it's");
        std::fs::write(&path, text).unwrap();
        let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        check(&command, Duration::from_secs(10), &[], &path).await
    }

    #[tokio::test]
    async fn the_candidate_is_named() {
        assert_eq!(checked(&["grep -q good {}"], "good").await, Ok(()));
        assert_eq!(checked(&["grep", "-q", "good", "{}"], "good").await, Ok(()));
        assert_eq!(checked(&["grep -q good \"$CANDIDATE\""], "good").await, Ok(()));
    }

    #[tokio::test]
    async fn the_reason_is_what_the_check_says() {
        let said = checked(&["echo 'line 3: no such backend' >&2; exit 1"], "bad").await.unwrap_err();
        assert_eq!(said, "exit status 1: line 3: no such backend");
        assert_eq!(checked(&["false"], "bad").await.unwrap_err(), "exit status 1");
        assert!(checked(&["no-such-check"], "bad").await.unwrap_err().contains("not found in $PATH"));
    }
}
