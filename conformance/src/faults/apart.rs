//! Namespaces of the run's own: networks that can be cut, disks that can be filled, and nothing that stays behind.

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::Context as _;
use nix::unistd::getuid;

use super::run_program;

/// Says that this process is in namespaces of its own already.
const MARK: &str = "RYO_FAULTS_APART";
/// A file system in memory there, for what belongs to the run.
const PLACE: &str = "/run";
/// The kernel kills everything in a process namespace with its first process, and this one with whoever started it: however the
/// run ends, servers, networks and mounts go with it.
const ENTER: [&str; 9] = [
    "setpriv",
    "--pdeathsig=KILL",
    "unshare",
    "--mount",
    "--net",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
];

/// Runs this program again in namespaces of its own and gives its end. `None` when it is there already, or when none can be
/// made, which takes root.
pub fn enter() -> anyhow::Result<Option<ExitCode>> {
    if is_apart() || !can_enter() {
        return Ok(None);
    }
    let mut again = command();
    let status =
        again.arg(std::env::current_exe()?).args(std::env::args_os().skip(1)).env(MARK, "1").status();
    let status = status.context("cannot run this program again")?;
    let code = status.code().or(status.signal()).and_then(|code| u8::try_from(code).ok());
    Ok(Some(ExitCode::from(code.unwrap_or(1))))
}

pub(super) fn is_apart() -> bool {
    std::env::var_os(MARK).is_some()
}

fn can_enter() -> bool {
    getuid().is_root() && run_program(command().arg("true")).is_ok()
}

fn command() -> Command {
    let mut command = Command::new(ENTER[0]);
    command.args(&ENTER[1..]);
    command
}

/// Makes the place for what belongs to the run; `None` outside of namespaces.
pub(super) fn place() -> anyhow::Result<Option<PathBuf>> {
    if !is_apart() {
        return Ok(None);
    }
    run_program(Command::new("mount").args(["-t", "tmpfs", "none", PLACE]))?;
    let place = Path::new(PLACE).join("faults");
    fs::create_dir(&place)?;
    Ok(Some(place))
}
