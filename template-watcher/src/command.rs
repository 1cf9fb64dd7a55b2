//! Running programs: reload commands, checks, the question which unit owns a file.
//!
//! Every program runs in its own process group, so that a limit ends all it started.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    os::unix::process::ExitStatusExt as _,
    pin::pin,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use thiserror::Error;
use tokio::{
    io::AsyncReadExt as _,
    process::{Child, Command},
    time::timeout,
};

use crate::{
    config::{EnvConfig, go_io},
    glob::glob,
};

/// How long a program that ran into its limit may take to clean up before it is killed.
const GRACE: Duration = Duration::from_secs(2);

/// How much of a program's output is kept, in bytes.
const OUTPUT_BYTES_MAX: u64 = 64 * 1024;

/// What a service manager tells the process that it has started, and nobody else.
const SUPERVISION: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// All variables that a program sees; the programs of many templates share them.
pub type Environment = Arc<[(OsString, OsString)]>;

/// A program to run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Program {
    /// One text with blanks is for the shell; otherwise a program and its arguments.
    pub words: Vec<String>,
    /// The whole environment.
    pub environment: Environment,
    /// How long it may run; zero to start it and not wait.
    pub limit: Duration,
}

/// Why a program did not do its work; the words are consul-template's.
#[derive(Debug, Error)]
pub enum CommandError {
    /// It could not be started.
    #[error("child: {0}")]
    Start(String),
    /// It said that it failed.
    #[error(
        "child: command exited with a non-zero exit status:\n\n    {command}\n\nPlease ensure the command exits with a zero (0) exit status to indicate success"
    )]
    Failed {
        /// What was run.
        command: String,
        /// Its status.
        status: ExitStatus,
    },
    /// It took too long, and was ended.
    #[error("child: command did not exit within time limit ({:?}):\n    {command}", registry_wire::duration::format(*limit))]
    TooLong {
        /// What was run.
        command: String,
        /// The limit.
        limit: Duration,
    },
    /// A lock that it needs was not to be had.
    #[error("{0}")]
    Locked(String),
    /// The system did not tell how it went.
    #[error("child: {0}")]
    Wait(io::Error),
}

impl CommandError {
    /// What happened in a few words: `exit status 3`, `signal 9`, `time limit of 30s`.
    pub fn short(&self) -> String {
        match self {
            Self::Failed { status, .. } => match (status.code(), status.signal()) {
                (Some(code), _) => format!("exit status {code}"),
                (None, signal) => format!("signal {}", signal.unwrap_or_default()),
            },
            Self::TooLong { limit, .. } => {
                format!("time limit of {}", registry_wire::duration::format(*limit))
            }
            other => other.to_string(),
        }
    }
}

impl Program {
    /// A program of words with this process's environment.
    pub fn of_words(words: &[&str], limit: Duration) -> Self {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Self { words, environment: std::env::vars_os().collect(), limit }
    }

    /// The words that are really executed: one text with blanks is given to `sh -c`.
    pub fn argv(&self) -> Vec<&str> {
        match self.words.as_slice() {
            [line] if line.contains(char::is_whitespace) => vec!["sh", "-c", line],
            words => words.iter().map(String::as_str).collect(),
        }
    }

    /// Starts it in its own process group, with this program's output.
    pub fn start(&self) -> Result<Child, CommandError> {
        self.spawn(&mut self.command())
    }

    /// Runs it to its end, with this program's output.
    pub async fn run(&self) -> Result<(), CommandError> {
        let mut child = self.start()?;
        if self.limit.is_zero() {
            // Asked for: nobody waits for it. The task only takes its status away.
            tokio::spawn(async move { child.wait().await });
            return Ok(());
        }
        let status = self.wait(&mut child).await?;
        if status.success() {
            Ok(())
        } else {
            Err(CommandError::Failed { command: self.argv().join(" "), status })
        }
    }

    /// Runs it to its end and takes what it writes, at most 64 KiB of it, standard error behind standard output.
    pub async fn capture(&self) -> Result<(ExitStatus, String), CommandError> {
        let mut command = self.command();
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.spawn(&mut command)?;
        let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
        let (mut text, mut more) = (Vec::new(), Vec::new());
        let reading = async {
            tokio::join!(read_some(out.as_mut(), &mut text), read_some(err.as_mut(), &mut more));
        };
        let status = {
            let (mut reading, mut waiting) = (pin!(reading), pin!(self.wait(&mut child)));
            tokio::select! {
                () = &mut reading => waiting.await,
                status = &mut waiting => {
                    // A grandchild may hold the pipe open for ever.
                    let _ = timeout(GRACE, reading).await;
                    status
                }
            }
        };
        text.extend(more);
        Ok((status?, String::from_utf8_lossy(&text).into_owned()))
    }

    fn command(&self) -> Command {
        let argv = self.argv();
        let mut command = Command::new(argv.first().copied().unwrap_or_default());
        command.args(argv.get(1..).unwrap_or_default()).stdin(Stdio::null()).process_group(0);
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    fn spawn(&self, command: &mut Command) -> Result<Child, CommandError> {
        command.spawn().map_err(|e| {
            let name = self.argv().first().copied().unwrap_or_default().to_owned();
            if e.kind() == io::ErrorKind::NotFound && !name.contains('/') {
                CommandError::Start(format!("exec: {name:?}: executable file not found in $PATH"))
            } else {
                CommandError::Start(format!("fork/exec {name}: {}", go_io(&e)))
            }
        })
    }

    async fn wait(&self, child: &mut Child) -> Result<ExitStatus, CommandError> {
        let mut group = Group::of(child);
        let ended = match timeout(self.limit, child.wait()).await {
            Ok(status) => status.map_err(CommandError::Wait),
            Err(_) => {
                group.stop(child, Signal::SIGTERM, GRACE).await;
                Err(CommandError::TooLong { command: self.argv().join(" "), limit: self.limit })
            }
        };
        group.done();
        ended
    }
}

/// The process group of a child that is waited for; dropped before its end, it is told to end.
#[derive(Debug)]
pub(crate) struct Group(Option<Pid>);

impl Group {
    pub(crate) fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw))
    }

    /// Sends a signal to all of the group.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = self.0 {
            // Fails only when all of the group are gone.
            let _ = killpg(pid, signal);
        }
    }

    /// Sends a signal, waits, and then kills.
    pub(crate) async fn stop(
        &self,
        child: &mut Child,
        signal: Signal,
        grace: Duration,
    ) -> Option<ExitStatus> {
        self.signal(signal);
        self.wait_or_kill(child, grace).await
    }

    /// Waits for a child that was told to end, and then kills it.
    pub(crate) async fn wait_or_kill(&self, child: &mut Child, grace: Duration) -> Option<ExitStatus> {
        if let Ok(Ok(status)) = timeout(grace, child.wait()).await {
            return Some(status);
        }
        self.signal(Signal::SIGKILL);
        child.wait().await.ok()
    }

    /// Says that the child has ended and its number may mean another.
    pub(crate) fn done(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGTERM);
    }
}

async fn read_some(pipe: Option<&mut (impl tokio::io::AsyncRead + Unpin)>, into: &mut Vec<u8>) {
    let Some(pipe) = pipe else { return };
    // What is lost is only the end of a message.
    let _ = (&mut *pipe).take(OUTPUT_BYTES_MAX).read_to_end(into).await;
    let _ = tokio::io::copy(pipe, &mut tokio::io::sink()).await;
}

/// This process's environment as a command inherits it: without what its service manager told this process alone, which
/// `systemctl` in a command would take for its own.
///
/// Source: [sd_notify(3)](https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html).
pub fn inherited() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| !SUPERVISION.iter().any(|own| name == own))
}

/// The environment of a command: this process's own, filtered, then the custom ones, then what always comes along.
pub fn environment(
    own: impl Iterator<Item = (OsString, OsString)>,
    filter: &EnvConfig,
    injected: &[(String, String)],
) -> Environment {
    let mut all = BTreeMap::new();
    if !filter.pristine {
        all.extend(own.filter(|(name, _)| {
            let name = name.to_string_lossy();
            let matches = |patterns: &[String]| patterns.iter().any(|pattern| glob(pattern, &name));
            (filter.allowlist.is_empty() || matches(&filter.allowlist)) && !matches(&filter.denylist)
        }));
    }
    let custom = filter.custom.iter().filter_map(|pair| pair.split_once('='));
    all.extend(custom.filter(|(name, _)| !name.is_empty()).map(|(name, value)| (name.into(), value.into())));
    all.extend(injected.iter().map(|(name, value)| (name.into(), value.into())));
    all.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(words: &[&str], limit_ms: u64) -> Program {
        Program::of_words(words, Duration::from_millis(limit_ms))
    }

    #[tokio::test]
    async fn texts_with_blanks_are_for_the_shell() {
        let (status, text) = program(&["echo $((1+1)); echo err >&2"], 10_000).capture().await.unwrap();
        assert!(status.success());
        assert_eq!(text, "2\nerr\n");
        let (_, text) = program(&["echo", "$((1+1))", "a b"], 10_000).capture().await.unwrap();
        assert_eq!(text, "$((1+1)) a b\n");
    }

    #[tokio::test]
    async fn failures_in_the_recorded_words() {
        let said = program(&["exit 3"], 10_000).run().await.unwrap_err();
        assert_eq!(said.short(), "exit status 3");
        assert!(
            said.to_string()
                .starts_with("child: command exited with a non-zero exit status:\n\n    sh -c exit 3\n")
        );
        let said = program(&["/no/such/program"], 10_000).run().await.unwrap_err();
        assert_eq!(said.to_string(), "child: fork/exec /no/such/program: no such file or directory");
        let said = program(&["no-such-program"], 10_000).run().await.unwrap_err();
        assert_eq!(said.to_string(), "child: exec: \"no-such-program\": executable file not found in $PATH");
    }

    #[tokio::test]
    async fn a_limit_ends_the_whole_group() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let line = format!("sleep 1000 & echo $! > {}; wait", file.display());
        let said = program(&[&line], 1_500).run().await.unwrap_err();
        assert!(said.to_string().contains("did not exit within time limit (\"1.5s\")"), "{said}");
        let pid = std::fs::read_to_string(file).unwrap();
        let alive = || {
            std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
                .is_ok_and(|stat| !stat.contains(") Z "))
        };
        // The signal is sent, but the kernel ends the process in its own time.
        tokio::time::timeout(std::time::Duration::from_secs(10), async {
            while alive() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("the grandchild was ended too");
    }

    #[test]
    fn environments_are_filtered() {
        let own = || {
            ["A=1", "AB=2", "B=3", "PATH=/bin"].iter().map(|pair| {
                let (name, value) = pair.split_once('=').unwrap();
                (name.into(), value.into())
            })
        };
        let injected = [("ADDR".to_owned(), "x".to_owned())];
        let names = |filter: &EnvConfig| {
            let all = environment(own(), filter, &injected);
            all.iter()
                .map(|(name, value)| format!("{}={}", name.display(), value.display()))
                .collect::<Vec<_>>()
                .join(" ")
        };
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(names(&EnvConfig::default()), "A=1 AB=2 ADDR=x B=3 PATH=/bin");
        let pristine = EnvConfig { pristine: true, custom: texts(&["B=own"]), ..EnvConfig::default() };
        assert_eq!(names(&pristine), "ADDR=x B=own");
        let both = EnvConfig {
            allowlist: texts(&["A*", "PATH"]),
            denylist: texts(&["A?", "ADDR"]),
            ..EnvConfig::default()
        };
        assert_eq!(names(&both), "A=1 ADDR=x PATH=/bin");
    }
}
