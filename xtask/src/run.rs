//! Programs that are started and waited for.

use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

/// Runs a program to its end. Errors name it when it is not there or fails.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| missing(command))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}

/// What a program prints, without the last line's end.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let done = command.stderr(Stdio::inherit()).output().with_context(|| missing(command))?;
    ensure!(done.status.success(), "{command:?}: {}", done.status);
    let text = String::from_utf8(done.stdout).with_context(|| format!("{command:?} prints no text"))?;
    Ok(text.trim_end().to_owned())
}

fn missing(command: &Command) -> String {
    format!("{} cannot be started; is it installed?", command.get_program().display())
}
