//! Checks by a program: exit 0 is passing, 1 is a warning, anything else critical.

use std::{io, process::Stdio, time::Duration};

use process_wrap::tokio::{CommandWrap, KillOnDrop, ProcessGroup};
use registry_wire::duration;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    time::timeout,
};

use super::{Observed, Status, limit, output::Tail};
use crate::definition::CheckType;

const LIMIT: Duration = Duration::from_secs(30);

/// `args = ["/usr/local/bin/check", "-w", "5"]`: run directly, without a shell, in a process group of its own.
pub(super) struct Script {
    args: Vec<String>,
    limit: Duration,
    output_bytes_max: usize,
}

impl Script {
    pub(super) fn new(check: &CheckType, output_bytes_max: usize) -> Self {
        let args = check.script_args.clone().unwrap_or_default();
        Self { args, limit: limit(check, LIMIT), output_bytes_max }
    }

    pub(super) async fn run(&self) -> Observed {
        let mut said = Tail::new(self.output_bytes_max);
        match timeout(self.limit, self.execute(&mut said)).await {
            Ok(Ok(code)) => Observed::new(verdict(code), said.into_text()),
            Ok(Err(error)) => {
                let program = self.args.first().map_or("", String::as_str);
                Observed::critical(format!("fork/exec {program}: {}", reason(&error)))
            }
            // The group was killed when the future was dropped.
            Err(_) => Observed::critical(timed_out(self.limit, said)),
        }
    }

    /// Runs the program to its end; its exit code, none when a signal ended it.
    async fn execute(&self, said: &mut Tail) -> io::Result<Option<i32>> {
        let (program, args) = self.args.split_first().ok_or_else(|| io::Error::other("no program"))?;
        let mut child = CommandWrap::with_new(program, |command| {
            command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        })
        .wrap(ProcessGroup::leader())
        .wrap(KillOnDrop)
        .spawn()?;
        let (stdout, stderr) = (child.stdout().take(), child.stderr().take());
        let mut guard = Group(child);
        if let (Some(stdout), Some(stderr)) = (stdout, stderr) {
            read_both(stdout, stderr, said).await?;
        }
        let status = guard.0.wait().await?;
        Ok(status.code())
    }
}

/// What an exit code means; none when a signal ended the program.
pub(super) fn verdict(code: Option<i32>) -> Status {
    match code {
        Some(0) => Status::Passing,
        Some(1) => Status::Warning,
        _ => Status::Critical,
    }
}

/// `Timed out (30s) running check`, and what was said until then.
pub(super) fn timed_out(limit: Duration, said: Tail) -> String {
    let text = said.into_text();
    let gap = if text.is_empty() { "" } else { "\n\n" };
    format!("Timed out ({}) running check{gap}{text}", duration::format(limit))
}

/// Kills the whole group when it is dropped before its end.
struct Group(Box<dyn process_wrap::tokio::ChildWrapper>);

impl Drop for Group {
    fn drop(&mut self) {
        // It fails when the group has ended already.
        let _ = self.0.start_kill();
    }
}

/// Reads both streams as they come, so that what is shown has the program's order.
async fn read_both(
    mut stdout: impl AsyncRead + Unpin,
    mut stderr: impl AsyncRead + Unpin,
    said: &mut Tail,
) -> io::Result<()> {
    let (mut from_out, mut from_err) = ([0; 4096], [0; 4096]);
    let (mut out_open, mut err_open) = (true, true);
    while out_open || err_open {
        tokio::select! {
            read = stdout.read(&mut from_out), if out_open => match read? {
                0 => out_open = false,
                n => said.push(&from_out[..n]),
            },
            read = stderr.read(&mut from_err), if err_open => match read? {
                0 => err_open = false,
                n => said.push(&from_err[..n]),
            },
        }
    }
    Ok(())
}

/// The system's words without Rust's addition: `no such file or directory`.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(shell: &str) -> Script {
        let args = ["/bin/sh", "-c", shell].map(str::to_owned).to_vec();
        Script { args, limit: Duration::from_secs(20), output_bytes_max: 4096 }
    }

    #[tokio::test]
    async fn the_exit_code_is_the_verdict() {
        for (shell, status, output) in [
            ("echo fine", Status::Passing, "fine\n"),
            ("echo hm; exit 1", Status::Warning, "hm\n"),
            ("echo no >&2; exit 7", Status::Critical, "no\n"),
            ("kill -9 $$", Status::Critical, ""),
        ] {
            assert_eq!(script(shell).run().await, Observed::new(status, output), "{shell}");
        }
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_critical() {
        let missing = Script { args: vec!["/does/not/exist".into()], limit: LIMIT, output_bytes_max: 10 };
        let said = "fork/exec /does/not/exist: no such file or directory";
        assert_eq!(missing.run().await, Observed::critical(said));
    }

    #[tokio::test]
    async fn a_program_without_end_is_killed_with_all_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let shell = format!("sleep 1000 & echo $! > {}; wait", pid.display());
        let mut endless = script(&shell);
        endless.limit = Duration::from_millis(500);
        assert_eq!(endless.run().await, Observed::critical("Timed out (500ms) running check"));
        let pid: i32 = std::fs::read_to_string(pid).unwrap().trim().parse().unwrap();
        let alive = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z ")
        };
        timeout(Duration::from_secs(10), async {
            while alive() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("the child of the child was killed too");
    }
}
