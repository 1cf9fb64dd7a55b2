//! A run of faults that is killed leaves nothing behind.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use conformance::pause;

/// How long a machine may take to start or to end what belongs to a run.
const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn a_killed_run_takes_its_servers_networks_and_mounts_along() {
    let folder = tempfile::tempdir().unwrap();
    // Never well, so that the run waits for it until it is killed.
    let bin = folder.path().join("never-well");
    fs::write(&bin, "#!/bin/sh\nwhile :; do sleep 0.2; done\n").unwrap();
    fs::set_permissions(&bin, fs::Permissions::from_mode(0o755)).unwrap();
    let mut run = Command::new(env!("CARGO_BIN_EXE_conformance"));
    run.args(["faults", "--bin"]).arg(&bin).env("TMPDIR", folder.path());
    let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // Without root there are no namespaces, and a kill leaves the servers to whoever killed it.
    if nix::unistd::getuid().is_root() {
        await_servers(&bin, 3);
    }
    run.kill().unwrap();
    run.wait().unwrap();
    if nix::unistd::getuid().is_root() {
        await_servers(&bin, 0);
        let left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["never-well"]);
    }
}

/// Waits until so many servers run.
fn await_servers(bin: &Path, expected: usize) {
    let end = Instant::now() + LIMIT;
    while servers(bin) != expected {
        assert!(Instant::now() < end, "{} servers instead of {expected}", servers(bin));
        pause(Duration::from_millis(20));
    }
}

/// How many processes run the program as an agent.
fn servers(bin: &Path) -> usize {
    let bin = format!("{}\0agent\0", bin.display());
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let commands = processes.filter_map(|process| fs::read_to_string(process.path().join("cmdline")).ok());
    // The loop of a shell, not the program that is about to become it.
    commands.filter(|command| command.starts_with("/bin/sh\0") && command.contains(&bin)).count()
}
