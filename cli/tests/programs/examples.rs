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

/// Runs an example that prints what stands in its `expected-output.txt`.
fn says(example: &str, programs: &[(&str, &str)]) {
    if let Some(said) = shows(example, programs) {
        assert_eq!(said, fs::read_to_string(folder(example).join("expected-output.txt")).unwrap());
    }
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
    says("certbot", &programs);
}

#[test]
fn three_servers_grow_lose_replace_and_recover() {
    says("three-servers", &[("ip", "iproute2")]);
}

#[test]
fn two_datacenters_answer_for_each_other_and_do_without_each_other() {
    says("two-datacenters", &[("ip", "iproute2"), ("dig", "bind9-dnsutils")]);
}

#[test]
fn resolvers_give_names_without_a_port() {
    let resolvers =
        [("dnsmasq", "dnsmasq-base"), ("named", "bind9"), ("unbound", "unbound"), ("dig", "bind9-dnsutils")];
    says("resolvers", &resolvers);
}

#[test]
fn agent_and_watcher_live_under_runit() {
    says("runit", &[("runsvdir", "runit"), ("ip", "iproute2")]);
}

#[test]
fn clients_take_the_newest_version_that_is_well() {
    says("versions", &[("dig", "bind9-dnsutils")]);
}

#[test]
fn containers_that_come_and_go_are_fed_to_the_registry_and_served() {
    says("docker-host", &[("nginx", "nginx-light")]);
}

#[test]
fn features_are_switched_jobs_run_once_and_one_leads() {
    says("features-and-locks", &[]);
}

#[test]
fn programs_check_services_outside_are_named_and_jobs_report() {
    says("script-checks", &[("dig", "bind9-dnsutils")]);
}
