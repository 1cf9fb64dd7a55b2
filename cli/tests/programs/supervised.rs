//! An agent under a supervisor: what systemd is told, the file with the process's id, and how it ends.

use std::{fs, os::unix::net::UnixDatagram, path::Path};

use nix::sys::signal::Signal;

use crate::{
    ask::{LONG, until},
    process::Process,
    stage::{Node, Stage},
};

/// The end of the supervisor that programs tell how they are.
struct Ear {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Ear {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, heard: Vec::new() }
    }

    /// All lines so far, in their order.
    fn lines(&mut self) -> &[String] {
        let mut buffer = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            self.heard.extend(String::from_utf8_lossy(&buffer[..length]).lines().map(str::to_owned));
        }
        &self.heard
    }

    fn count(&mut self, line: &str) -> usize {
        self.lines().iter().filter(|heard| *heard == line).count()
    }

    fn wait_for(&mut self, line: &str, times: usize) {
        until(LONG, &format!("{line} is said {times} times"), || {
            if self.count(line) >= times { Ok(()) } else { Err(format!("{:?}", self.heard)) }
        });
    }
}

fn supervised(node: &Node, ear: &Path) -> Process {
    let mut command = node.command();
    command.env("NOTIFY_SOCKET", ear).env("WATCHDOG_USEC", "200000");
    Process::start(&mut command, &node.folder.join("log"))
}

#[test]
fn a_supervisor_hears_of_the_join_of_reloads_and_of_the_end() {
    let stage = Stage::new();
    let (registry, web) = (stage.registry(), stage.agent("web1", 11));
    web.write("ryo.d/pid.hcl", &format!("pid_file = {:?}", web.folder.join("pid")));
    let path = stage.folder().join("notify");
    let mut ear = Ear::at(&path);

    let agent = supervised(&web, &path);
    ear.wait_for("WATCHDOG=1", 5);
    assert_eq!(ear.count("STATUS=looking for a registry"), 1);
    assert_eq!(ear.count("READY=1"), 0, "ready before the join");
    assert_eq!(fs::read_to_string(web.folder.join("pid")).unwrap(), agent.id().to_string());

    let _registry = registry.start_and_wait();
    ear.wait_for("READY=1", 1);
    assert_eq!(ear.count("STATUS=joined"), 1);

    agent.signal(Signal::SIGHUP);
    ear.wait_for("RELOADING=1", 1);
    ear.wait_for("READY=1", 2);
    let lines = ear.lines();
    let reloading = lines.iter().position(|line| line == "RELOADING=1").unwrap();
    assert!(lines[reloading + 1].starts_with("MONOTONIC_USEC="), "{lines:?}");

    assert_eq!(agent.stop(Signal::SIGTERM), 0);
    ear.wait_for("STOPPING=1", 1);
    assert!(!web.folder.join("pid").exists(), "the file with the process's id stays");
}

#[test]
fn a_registry_is_ready_at_once_and_does_not_leave_at_a_signal() {
    let stage = Stage::new();
    let registry = stage.registry();
    let path = stage.folder().join("notify");
    let mut ear = Ear::at(&path);
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let (mut process, said) = (supervised(&registry, &path), ear.count("READY=1"));
        ear.wait_for("READY=1", said + 1);
        registry.wait_for_registry(&mut process);
        assert_eq!(process.stop(signal), 1, "{signal}");
    }
}

/// What follows a signal: the exit code, and whether the node has left.
fn ended_by(signal: Signal, setting: &str) -> (i32, bool) {
    let stage = Stage::new();
    let (registry, web) = (stage.registry(), stage.agent("web1", 11));
    web.write("ryo.d/end.hcl", setting);
    let _registry = registry.start_and_wait();
    let agent = web.start_and_wait();
    let code = agent.stop(signal);
    (code, registry.get("/v1/catalog/node/web1").text.trim() == "null")
}

#[test]
fn signals_leave_or_do_not_as_the_configuration_says() {
    assert_eq!(ended_by(Signal::SIGTERM, ""), (0, true));
    assert_eq!(ended_by(Signal::SIGINT, ""), (0, true));
    assert_eq!(ended_by(Signal::SIGTERM, "leave_on_terminate = false"), (1, false));
    assert_eq!(ended_by(Signal::SIGINT, "skip_leave_on_interrupt = true"), (1, false));
}

#[test]
fn the_level_of_the_log_changes_with_a_reload() {
    let stage = Stage::new();
    let node = stage.registry();
    node.write("ryo.d/log.hcl", "log_level = \"warn\"");
    let process = node.start_and_wait();
    assert!(!process.log().contains("[INFO]"), "{}", process.log());
    node.write("ryo.d/log.hcl", "log_level = \"info\"");
    process.signal(Signal::SIGHUP);
    node.put_ok("/v1/agent/service/register", r#"{"Name":"web"}"#);
    until(LONG, "lines of the new level come", || {
        node.put_ok("/v1/agent/service/register", r#"{"Name":"web"}"#);
        if process.log().contains("[INFO]") { Ok(()) } else { Err(process.log()) }
    });
    node.write("ryo.d/log.hcl", "log_level = \"loud\"");
    let (code, said) = node.ryo(&["reload"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("loud"), "{said}");
}
