//! Checks by a program: exit 0 is passing, 1 is a warning, anything else critical.

use std::time::Duration;

use daemon::{
    Tail,
    child::{self, Child},
};
use registry_wire::duration;
use tokio::time::timeout;

use super::{Observed, Status, limit};
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
        let child = Child { args: &self.args, variables: &[], input: &[] };
        match timeout(self.limit, child.run(&mut said)).await {
            Ok(Ok(status)) => Observed::new(verdict(status.code()), said.into_text()),
            Ok(Err(error)) => {
                let program = self.args.first().map_or("", String::as_str);
                Observed::critical(child::reason(program, &error))
            }
            // The group was killed when the future was dropped.
            Err(_) => Observed::critical(timed_out(self.limit, said)),
        }
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
        let nowhere = Script { args: vec!["no-such-program".into()], limit: LIMIT, output_bytes_max: 10 };
        let said = "exec: \"no-such-program\": executable file not found in $PATH";
        assert_eq!(nowhere.run().await, Observed::critical(said));
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
