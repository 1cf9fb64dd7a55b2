//! The built binary as its users run it: real processes on loopback addresses, each fleet on a network of its own.
//!
//! `stage` starts programs, asks them and ends them; the other files are what users rely on, by topic. Limits are at
//! least five times what is expected, so that a busy machine passes.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![expect(clippy::print_stdout, reason = "what a failed test's programs said")]

mod addresses;
mod ask;
mod bad_files;
mod bad_requests;
mod checks;
mod dev;
mod disk;
mod dropin;
mod forwarders;
mod https;
mod keys;
mod logs;
mod metrics;
mod names;
mod namespace;
mod nodes;
mod observe;
mod playbooks;
mod podman;
mod process;
mod registrator;
mod reload;
mod services;
mod stage;
mod supervised;
mod terminal;
mod watcher;
mod watches;
