//! The program: command line, log, signals, exit code.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use daemon::{
    Exit, Shutdown,
    logs::{self, Sink, Style},
};
use nix::sys::signal::Signal;
use notify::{RecursiveMode, Watcher as _};
use signal_hook::iterator::Signals;
use tokio::sync::mpsc;

use crate::{
    action::Host,
    commands,
    config::{Config, Invocation, InvocationError, Source, invocation},
    observe::Observer,
    run::{Control, Reread, RunError, Runner},
    status::{Page, Supervisor, Waiting},
};

/// Signals that are taken besides those configured; the others keep their usual meaning.
const SIGNALS: &[Signal] = &[
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGWINCH,
    Signal::SIGIO,
];

/// The consul-template whose words are spoken; scripts that look for a version under its name find this one.
const SPEAKS: &str = "0.42.1";

fn version(program: &str) -> String {
    let own = env!("CARGO_PKG_VERSION");
    match program {
        "consul-template" => format!("{program} v{SPEAKS} (provided by ryo v{own})\n"),
        _ => format!("{program} v{own}\n"),
    }
}

/// Runs the watcher as a program: `program` is the name in its help, `words` what follows it on the command line.
///
/// The exit code is consul-template's: 0, 12 (stopped), 13 (flags), 14 (failed), 15 (configuration), or the child's.
pub fn main(program: &str, words: &[String]) -> Exit {
    if let Some(exit) = commands::run(program, words) {
        return exit;
    }
    let config = match invocation(program, words) {
        Ok(Invocation::Run(config)) => *config,
        Ok(Invocation::Print(text)) => return print(&text),
        Ok(Invocation::Version) => return print(&version(program)),
        Err(InvocationError::Flags(text)) => return complain(&text, Exit::BadFlags),
        Err(InvocationError::Config(e)) => return complain(&early_line(&e.0), Exit::BadConfig),
    };
    match daemon::init::as_first_process() {
        None => {}
        Some(Ok(exit)) => return exit,
        Some(Err(e)) => return complain(&early_line(&format!("cannot start: {e}")), Exit::RunFailed),
    }
    if let Err(e) = start_log(&config) {
        return complain(&early_line(&format!("{e:#}")), Exit::BadConfig);
    }
    for warning in &config.warnings {
        tracing::warn!(target: "cli", "{warning}");
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return complain(&early_line(&format!("cannot start: {e}")), Exit::RunFailed),
    };
    let reread = reread(program.to_owned(), words.to_owned());
    let exit = runtime.block_on(supervise(config, reread));
    // A name look-up may hang in a thread for long; the end must not wait for it.
    runtime.shutdown_background();
    exit
}

async fn supervise(config: Config, reread: Reread) -> Exit {
    let pid_file = match config.pid_file.clone().map(PidFile::write).transpose() {
        Ok(pid_file) => pid_file,
        Err(e) => {
            tracing::error!(target: "cli", "{e}");
            return Exit::RunFailed;
        }
    };
    let (sender, mut controls) = mpsc::channel(16);
    if let Err(e) = listen(&config, sender.clone()) {
        tracing::error!(target: "cli", "cannot listen for signals: {e}");
        return Exit::RunFailed;
    }
    // Held for as long as files are to be watched.
    let _files = if config.watch_files { watch_files(&config, &sender) } else { None };
    let (observers, page) = match observers(&config).await {
        Ok(observers) => observers,
        Err(e) => {
            tracing::error!(target: "cli", "{e}");
            return Exit::RunFailed;
        }
    };
    let ended = match Runner::start(config, Host::default()).await {
        Ok(mut runner) => {
            observers.into_iter().for_each(|observer| runner.observe(observer));
            runner.page = page;
            runner.run(&Shutdown::default(), &mut controls, Some(reread)).await
        }
        Err(e) => Err(e),
    };
    let exit = match ended {
        Ok(exit) => exit,
        Err(RunError::Failed(reason)) => {
            tracing::error!(target: "cli", "{reason}");
            Exit::RunFailed
        }
        Err(RunError::Config(reason)) => {
            tracing::error!(target: "cli", "{reason}");
            Exit::BadConfig
        }
    };
    if exit == Exit::Interrupted {
        say("Cleaning up...");
    }
    drop(pid_file);
    exit
}

/// Those who are told what happens, and the page that answers for one of them; none for a single run.
async fn observers(config: &Config) -> Result<(Vec<Arc<dyn Observer>>, Option<Page>), String> {
    let mut observers: Vec<Arc<dyn Observer>> = vec![Arc::new(Supervisor::new())];
    if config.once || config.parse_only {
        return Ok((observers, None));
    }
    if !config.wait_warning.is_zero() {
        observers.push(Arc::new(Waiting::new(config.wait_warning)));
    }
    let mut page = Page::default();
    if let Some(board) = page.follow(config.status_address.as_deref()).await? {
        observers.push(board);
    }
    Ok((observers, Some(page)))
}

/// Reads the same command line again.
fn reread(program: String, words: Vec<String>) -> Reread {
    Box::new(move || match invocation(&program, &words) {
        Ok(Invocation::Run(config)) => Ok(*config),
        Ok(_) => unreachable!("the first reading of these words asked for a run"),
        Err(e) => Err(e.to_string()),
    })
}

fn start_log(config: &Config) -> anyhow::Result<()> {
    let level = logs::level(&config.log_level).unwrap_or(logs::level("warn").expect("warn is a level"));
    let file = config.log_file.clone().map(Sink::File);
    let syslog = config.syslog.clone().map(Sink::Syslog);
    let sinks = std::iter::once(Sink::Stderr).chain(file).chain(syslog).collect();
    logs::init(Style::Template, sinks, level).map(drop)
}

/// Sends every signal to the runner. The thread lives as long as the process.
fn listen(config: &Config, sender: mpsc::Sender<Control>) -> std::io::Result<()> {
    let configured = [config.kill_signal, config.reload_signal];
    let mut wanted: Vec<i32> =
        SIGNALS.iter().copied().chain(configured.into_iter().flatten()).map(|signal| signal as i32).collect();
    wanted.retain(|signal| !signal_hook::consts::FORBIDDEN.contains(signal));
    wanted.sort_unstable();
    wanted.dedup();
    let mut signals = Signals::new(&wanted)?;
    std::thread::Builder::new().name("signals".into()).stack_size(64 * 1024).spawn(move || {
        for number in signals.forever() {
            let Ok(signal) = Signal::try_from(number) else { continue };
            if sender.blocking_send(Control::Signal(signal)).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

/// Tells the runner when a template or configuration file changes. Folders are watched, for editors replace files.
fn watch_files(config: &Config, sender: &mpsc::Sender<Control>) -> Option<notify::RecommendedWatcher> {
    let sources = config.templates.iter().filter_map(|template| match &template.source {
        Source::File(path) => Some(path.clone()),
        _ => None,
    });
    let files: Vec<PathBuf> = sources
        .chain(config.paths.iter().cloned())
        .filter_map(|path| std::path::absolute(path).ok())
        .collect();
    let (watched, sender) = (files.clone(), sender.clone());
    let tell = move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
        let ours = |path: &PathBuf| watched.iter().any(|file| path.starts_with(file));
        if !event.kind.is_access() && event.paths.iter().any(ours) {
            // A full channel holds such news already.
            let _ = sender.try_send(Control::FilesChanged);
        }
    };
    let watching = notify::recommended_watcher(tell).and_then(|mut watcher| {
        for file in &files {
            let folder = if file.is_dir() { Some(file.as_path()) } else { file.parent() };
            watcher.watch(folder.unwrap_or(Path::new(".")), RecursiveMode::NonRecursive)?;
        }
        Ok(watcher)
    });
    watching
        .inspect_err(|e| tracing::warn!(target: "cli", "cannot watch files: {e}; send SIGHUP instead"))
        .ok()
}

/// The file with the process id, removed at the end.
struct PidFile(PathBuf);

impl PidFile {
    fn write(path: PathBuf) -> Result<Self, String> {
        fs::write(&path, std::process::id().to_string())
            .map_err(|e| format!("cannot write pid file {}: {e}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!(target: "cli", path = %self.0.display(), %error, "cannot remove the pid file");
        }
    }
}

/// A line before the log stands.
fn early_line(text: &str) -> String {
    format!("{} [ERR] (cli) {text}", chrono::Utc::now().format("%Y/%m/%d %H:%M:%S"))
}

fn print(text: &str) -> Exit {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => Exit::Success,
        Err(_) => Exit::Failure,
    }
}

fn complain(text: &str, exit: Exit) -> Exit {
    say(text);
    exit
}

#[expect(clippy::print_stderr, reason = "said where there is no log yet, or not any more")]
fn say(text: &str) {
    eprintln!("{text}");
}
