//! The examples: each `run` shows its files at work with the real program, and judges itself.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    process::installed,
    stage::{not_run, run, ryo},
};

/// What a `run` ends with where no namespace may be made.
const NO_NAMESPACE: i32 = 77;

fn folder(example: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(example)
}

/// Runs an example that needs these programs: their names, and the Debian packages that have them. Gives what it says, or
/// nothing, which is counted, where it cannot run.
fn shows(example: &str, programs: &[(&str, &str)]) -> Option<String> {
    for (program, package) in [("jq", "jq"), ("curl", "curl")].iter().chain(programs) {
        installed(program, package);
    }
    let mut script = Command::new(folder(example).join("run"));
    let (code, said) = run(script.env("RYO", ryo().get_program()).env("PEBBLE", authority()));
    if code == NO_NAMESPACE {
        not_run(&said);
        return None;
    }
    assert_eq!(code, 0, "{said}");
    Some(said)
}

/// Where `./test` puts Pebble.
fn authority() -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_ryo")).ancestors().nth(2).unwrap();
    target.join("tools/bin/pebble")
}

#[test]
fn nginx_takes_what_the_example_renders() {
    shows("nginx", &[("nginx", "nginx-light")]);
}

#[test]
fn haproxy_takes_what_the_example_renders() {
    shows("haproxy", &[("haproxy", "haproxy")]);
}

#[test]
fn dnsmasq_takes_what_the_example_renders() {
    shows("dnsmasq", &[("dnsmasq", "dnsmasq-base")]);
}

#[test]
fn prometheus_takes_what_the_example_renders() {
    shows("prometheus", &[("promtool", "prometheus")]);
}

#[test]
fn nftables_takes_what_the_example_renders() {
    shows("nftables", &[("nft", "nftables")]);
}

#[test]
fn caddy_takes_what_the_example_renders() {
    shows("caddy", &[("caddy", "caddy")]);
}

#[test]
fn certbot_gets_and_renews_what_haproxy_serves() {
    if !authority().exists() {
        not_run("Pebble, the certificate authority, is not built: it needs Go");
        return;
    }
    let programs =
        [("certbot", "certbot"), ("haproxy", "haproxy"), ("dnsmasq", "dnsmasq-base"), ("openssl", "openssl")];
    if let Some(said) = shows("certbot", &programs) {
        assert_eq!(said, fs::read_to_string(folder("certbot").join("expected-output.txt")).unwrap());
    }
}

#[test]
fn three_servers_grow_lose_replace_and_recover() {
    if let Some(said) = shows("three-servers", &[("ip", "iproute2")]) {
        assert_eq!(said, fs::read_to_string(folder("three-servers").join("expected-output.txt")).unwrap());
    }
}

#[test]
fn two_datacenters_answer_for_each_other_and_do_without_each_other() {
    if let Some(said) = shows("two-datacenters", &[("ip", "iproute2"), ("dig", "bind9-dnsutils")]) {
        assert_eq!(said, fs::read_to_string(folder("two-datacenters").join("expected-output.txt")).unwrap());
    }
}
