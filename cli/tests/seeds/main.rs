//! What the first five set-ups expect: a check list of 42 items and every command line that their documents have.
//!
//! `checklist` names, for each item, the tests that show it, and fails when one is missing. `scene` plays the command lines as they
//! stand there, on machines of their own (`machine`), with the expected output beside them; what is not ours to build is listed
//! with its reason in `outside.txt`. The other files are items that nothing else shows.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![expect(clippy::print_stdout, reason = "what a failed test's programs said")]

#[allow(dead_code, reason = "shared with the target `programs`, which uses all of it")]
#[path = "../programs/ask.rs"]
mod ask;
mod checklist;
mod identity;
mod machine;
#[allow(dead_code, reason = "shared with the target `programs`, which uses all of it")]
#[path = "../programs/process.rs"]
mod process;
mod rolling;
mod scene;
#[allow(dead_code, reason = "shared with the target `programs`, which uses all of it")]
#[path = "../programs/stage.rs"]
mod stage;

use scene::play;

#[test]
fn a_project_on_containers_with_static_addresses() {
    play("self-hosting");
}

#[test]
fn three_registries_behind_translated_ports_and_a_service_that_scales() {
    play("swarm");
}

#[test]
fn one_machine_as_playbooks_set_it_up() {
    play("travel");
}

#[test]
fn three_servers_and_an_agent_at_home() {
    play("homelab");
}

#[test]
fn one_docker_host_and_registrator() {
    play("one-docker-host");
}

#[test]
fn docker_hosts_behind_translated_ports() {
    play("docker-hosts");
}
