//! `ryo dev`: the whole system in one process.

use std::{fs, process::Command};

use hickory_proto::rr::RecordType;
use nix::sys::signal::Signal;

use crate::{
    ask::{LONG, dns, http, until},
    process::Process,
    stage::{Stage, run, ryo},
};

fn dev(stage: &Stage, words: &[&str]) -> Process {
    let address = stage.address(10);
    let mut command: Command = ryo();
    command.args(["dev", "-node", "dev"]).arg(format!("-client={address}")).arg(format!("-bind={address}"));
    Process::start(command.args(words), &stage.folder().join("log"))
}

/// Waits until it takes a key.
fn put(stage: &Stage, process: &mut Process, key: &str, value: &str) {
    until(LONG, "a key is taken", || {
        process.must_run();
        let page = http((stage.address(10), 8500).into(), "PUT", &format!("/v1/kv/{key}"), value.as_bytes())?;
        if page.text == "true" { Ok(()) } else { Err(format!("{page:?}")) }
    });
}

#[test]
fn one_command_serves_http_and_dns_and_renders_until_a_signal() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let stage = Stage::new();
        let folder = stage.folder().display().to_string();
        fs::write(stage.folder().join("a.tmpl"), "hello {{ key \"name\" }}\n").unwrap();
        let template = format!("{folder}/a.tmpl:{folder}/a:echo ran >> {folder}/ran");
        let mut process = dev(&stage, &["-template", &template]);
        put(&stage, &mut process, "name", "world");
        let wait_for = |file: &str, text: &str| {
            until(LONG, &format!("{file} is {text:?}"), || {
                match fs::read_to_string(stage.folder().join(file)) {
                    Ok(now) if now == text => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            });
        };
        wait_for("a", "hello world\n");
        wait_for("ran", "ran\n");
        let records =
            dns((stage.address(10), 8600).into(), "consul.service.consul.", RecordType::SRV).unwrap();
        assert_eq!(records.answers, ["1 1 8300 dev.node.dc1.consul."]);
        let address = format!("-http-addr={}:8500", stage.address(10));
        let (code, said) = run(ryo().args(["kv", "get", &address, "name"]));
        assert_eq!((code, said.trim()), (0, "world"));
        assert_eq!(process.stop(signal), 0);
        assert_eq!(fs::read_to_string(stage.folder().join("a")).unwrap(), "hello world\n");
    }
}

#[test]
fn a_data_folder_keeps_what_it_was_given_and_memory_does_not() {
    let stage = Stage::new();
    let data = format!("-data-dir={}/data", stage.folder().display());
    for (words, kept) in [(vec![data.as_str()], true), (Vec::new(), false)] {
        let mut process = dev(&stage, &words);
        put(&stage, &mut process, "a", "1");
        process.kill();
        let mut process = dev(&stage, &words);
        put(&stage, &mut process, "b", "2");
        let page = http((stage.address(10), 8500).into(), "GET", "/v1/kv/a?raw", b"").unwrap();
        assert_eq!(page.status == 200, kept, "{words:?}: {page:?}");
        assert_eq!(process.stop(Signal::SIGINT), 0);
    }
}

#[test]
fn what_cannot_run_is_said_at_once() {
    let stage = Stage::new();
    let (code, said) = run(ryo().args(["dev", "-template", &format!("{}/none", stage.folder().display())]));
    assert!(code != 0 && said.contains("none"), "{code} {said}");
    let taken = std::net::TcpListener::bind((stage.address(10), 8500)).unwrap();
    let address = stage.address(10);
    let (code, said) = run(ryo().args(["dev", &format!("-client={address}"), &format!("-bind={address}")]));
    assert!(code == 1 && said.contains(&taken.local_addr().unwrap().to_string()), "{code} {said}");
}
