//! Where an agent's log goes besides standard output: files that are rotated, and the machine's syslog.

use std::{fs, os::unix::net::UnixDatagram, process::Command, time::Duration};

use hickory_proto::{op::ResponseCode, rr::RecordType};
use serde_json::Value;

use crate::{
    ask::{LONG, until},
    process::Process,
    stage::{Stage, not_run, run, ryo},
};

#[test]
fn a_log_file_stands_beside_the_output_and_is_rotated() {
    let stage = Stage::new();
    let node = stage.registry();
    let folder = stage.folder().join("logs");
    fs::create_dir(&folder).unwrap();
    node.write(
        "ryo.d/log.json",
        &format!(
            r#"{{"log_file":"{}/","log_rotate_bytes":2000,"log_rotate_max_files":2,"log_json":true,"log_level":"debug"}}"#,
            folder.display()
        ),
    );
    let agent = node.start_and_wait();
    let files = || {
        let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    };
    until(LONG, "three files are there, and the oldest are removed", || {
        // Each request that fails is a line.
        assert_eq!(node.put("/v1/agent/service/register", "{").status, 400);
        let lines = agent.log().matches("Request error").count();
        if files().len() == 3 && lines > 60 { Ok(()) } else { Err(format!("{lines} lines, {:?}", files())) }
    });
    assert!(agent.log().contains("\"@message\":\"Started DNS server\""), "standard output has all lines");
    let files = files();
    assert_eq!(files[2], folder.join("consul.log"), "{files:?}");
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        assert!(text.len() < 4000, "{} bytes", text.len());
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
            assert!(line["@timestamp"].is_string(), "{line}");
        }
    }
}

#[test]
fn a_log_that_cannot_be_written_and_an_unknown_facility_are_said_at_the_start() {
    let stage = Stage::new();
    let node = stage.registry();
    let absent = stage.folder().join("absent/consul.log");
    let (code, said) = run(node.command().arg(format!("-log-file={}", absent.display())));
    assert!(code == 1 && said.contains(&absent.display().to_string()), "{code} {said}");
    node.write("ryo.d/log.hcl", "enable_syslog = true\nsyslog_facility = \"LOCAL8\"\n");
    let (code, said) = run(&mut node.command());
    assert!(code == 1 && said.contains("syslog_facility") && said.contains("LOCAL7"), "{code} {said}");
}

/// The agent gets a `/dev` of its own, whose `log` is the test's.
#[test]
fn syslog_gets_what_alerts_wait_for() {
    let stage = Stage::new();
    let log = stage.folder().join("syslog");
    let syslogd = UnixDatagram::bind(&log).unwrap();
    syslogd.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let script = format!(
        "mount -t tmpfs tmpfs /dev && mknod -m 666 /dev/null c 1 3 && ln -s {} /dev/log && exec \"$@\"",
        log.display()
    );
    let inside = |words: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script, "sh"]).args(words);
        command
    };
    let (code, said) = run(&mut inside(&["true"]));
    if code != 0 {
        not_run(&format!(
            "a mount namespace, which root may make, is needed to stand in for /dev/log: {said}"
        ));
        return;
    }
    let node = stage.registry();
    let dead = stage.address(99);
    node.write(
        "ryo.d/log.hcl",
        &format!("recursors = [\"{dead}\"]\ndns_config {{ recursor_timeout = \"200ms\" }}\n"),
    );
    let ryo = ryo().get_program().to_string_lossy().into_owned();
    let config = node.folder.join("ryo.d").display().to_string();
    let mut command = inside(&[&ryo, "agent", "-config-dir", &config, "-syslog"]);
    let mut agent = Process::start(&mut command, &node.folder.join("log"));
    node.wait_for_registry(&mut agent);
    assert_eq!(node.dns("www.example.org.", RecordType::A).code, ResponseCode::ServFail);
    let mut all = String::new();
    let alert = until(LONG, "the alert comes", || {
        let mut buffer = [0; 9000];
        let length = syslogd.recv(&mut buffer).map_err(|e| format!("{e}\n{all}"))?;
        let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
        all.push_str(&message);
        if message.contains("dns: all resolvers failed") { Ok(message) } else { Err(all.clone()) }
    });
    let tag = format!(" consul[{}]: agent.dns: all resolvers failed for question from client: ", agent.id());
    assert!(alert.starts_with("<131>") && alert.contains(&tag), "{alert}");
    let started = all.lines().find(|line| line.contains("Started DNS server")).unwrap();
    assert!(started.starts_with("<133>"), "{started}");
    assert!(agent.log().contains("[ERROR] agent.dns: all resolvers failed"), "the ordinary log has it too");
}
