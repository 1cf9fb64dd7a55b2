//! Ports and folders that cannot be had, and a disk that was left in the middle of a write.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
};

use crate::{
    process::Process,
    stage::{Node, Stage, run},
};

/// Expects a node not to start, with exit code 1 and all of these words.
fn refused(node: &Node, words: &[&str]) {
    let (code, said) = run(&mut node.command());
    assert_eq!(code, 1, "{said}");
    for word in words {
        assert!(said.contains(word), "no {word:?}: {said}");
    }
}

#[test]
fn a_port_in_use_is_named_with_what_to_do() {
    let stage = Stage::new();
    let registry = stage.registry();
    for port in [8300, 8301, 8500, 8600] {
        let address = SocketAddr::new(registry.address, port);
        let _taken = TcpListener::bind(address).unwrap();
        refused(&registry, &[&address.to_string(), "in use", "or set another address or port"]);
    }
    let address = SocketAddr::new(registry.address, 8600);
    let taken = UdpSocket::bind(address).unwrap();
    refused(&registry, &[&address.to_string(), "in use", "or set another address or port"]);
    drop(taken);
    // Nothing of the failed starts stands in the way.
    let _process = registry.start_and_wait();
}

#[test]
fn a_folder_that_cannot_be_written_is_named_with_what_to_do() {
    let stage = Stage::new();
    let (registry, agent) = (stage.registry(), stage.agent("web1", 11));
    for node in [&registry, &agent] {
        node.write("data", "a file\n");
        refused(node, &[&*node.data().to_string_lossy(), "is not a directory"]);
        // Also root cannot make a folder below a file.
        let below = node.data().join("below");
        node.write("ryo.d/zz.hcl", &format!("data_dir = \"{}\"\n", below.display()));
        refused(node, &[&*below.to_string_lossy(), "must be writable for this user"]);
        assert_eq!(fs::read_to_string(node.data()).unwrap(), "a file\n");
    }
}

#[test]
fn a_second_registry_on_a_folder_is_refused_and_the_first_one_lives() {
    let stage = Stage::new();
    let registry = stage.registry();
    let mut process = registry.start_and_wait();
    registry.put_ok("/v1/kv/a", "1");
    let file = fs::read_to_string(registry.folder.join("ryo.d/ryo.hcl")).unwrap();
    let (address, other) = (registry.address.to_string(), stage.address(9).to_string());
    registry.write("ryo.d/ryo.hcl", &file.replace(&format!("\"{address}\""), &format!("\"{other}\"")));
    refused(&registry, &[&*registry.data().to_string_lossy(), "in use by another process", "data_dir"]);
    process.must_run();
    registry.put_ok("/v1/kv/b", "2");
    assert_eq!(registry.get("/v1/kv/a?raw").text, "1");
}

/// The newest file of the log that holds anything.
fn last_log_file(data: &Path) -> PathBuf {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut folders = vec![data.join("raft/log")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.retain(|file| fs::metadata(file).unwrap().len() > 0);
    files.sort();
    files.pop().unwrap()
}

fn restart(registry: &Node, process: Process) -> Process {
    process.kill();
    registry.start_and_wait()
}

#[test]
fn a_torn_last_record_costs_only_itself() {
    let stage = Stage::new();
    let registry = stage.registry();
    let mut process = registry.start_and_wait();
    for cut in [1, 7, 30] {
        for n in 0..10 {
            registry.put_ok(&format!("/v1/kv/{cut}/{n}"), &n.to_string());
        }
        let index = registry.get(&format!("/v1/kv/{cut}/9")).index;
        // It is acknowledged with the others, and is what the cut takes.
        registry.put_ok(&format!("/v1/kv/{cut}/last"), "torn");
        process.kill();
        let file = last_log_file(&registry.data());
        let length = fs::metadata(&file).unwrap().len();
        File::options().write(true).open(&file).unwrap().set_len(length - cut).unwrap();

        let said = fs::read_to_string(registry.folder.join("log")).unwrap().len();
        process = registry.start_and_wait();
        let log = process.log()[said..].to_owned();
        let told = log.matches("removed a torn record at the end of the log").count();
        assert_eq!(told, 1, "a cut of {cut} bytes is told {told} times:\n{log}");
        for n in 0..10 {
            assert_eq!(registry.get(&format!("/v1/kv/{cut}/{n}?raw")).text, n.to_string());
        }
        assert!(registry.get("/v1/kv/?recurse").index >= index);
        registry.put_ok("/v1/kv/after", &cut.to_string());
        process = restart(&registry, process);
        assert_eq!(registry.get("/v1/kv/after?raw").text, cut.to_string());
    }
}
