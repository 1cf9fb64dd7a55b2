//! The examples: each `run` shows its files at work with the real program, and judges itself.

use std::{path::Path, process::Command};

use crate::{
    process::installed,
    stage::{not_run, run, ryo},
};

/// What a `run` ends with where no namespace may be made.
const NO_NAMESPACE: i32 = 77;

/// Runs an example that needs these programs: their names, and the Debian packages that have them.
fn shows(example: &str, programs: &[(&str, &str)]) -> String {
    for (program, package) in [("jq", "jq"), ("curl", "curl")].iter().chain(programs) {
        installed(program, package);
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(example).join("run");
    let (code, said) = run(Command::new(script).env("RYO", ryo().get_program()));
    if code == NO_NAMESPACE {
        not_run(&said);
    } else {
        assert_eq!(code, 0, "{said}");
    }
    said
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
