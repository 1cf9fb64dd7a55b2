//! The built binary as its users run it: real processes on loopback addresses, each fleet on a network of its own.
//!
//! `stage` starts programs, asks them and ends them; the other files are what users rely on, by topic. Limits are at
//! least five times what is expected, so that a busy machine passes.
//!
//! # What is shown where
//!
//! | What users rely on | Test |
//! | --- | --- |
//! | the version's first line, the binary under Consul's names | `dropin` |
//! | the files, calls and templates of the first users, unchanged | `dropin` |
//! | a service's skeleton beside the agent's file is valid; two in one block are not | `services::a_service_file_…` |
//! | old spellings and slips end the start with the key named; `ui_dir` with a warning | `bad_files` |
//! | `validate` says what the agent says | `reload::validate_…` |
//! | an agent before its registry waits, and joins by name | `nodes::an_agent_started_first_…` |
//! | an empty folder: a leader and a durable write within a second | `nodes::a_registry_on_an_empty_folder_…` |
//! | addresses of every kind, none, several, later ones, both families | `addresses` |
//! | a file becomes a service; a second by HUP, gone by `reload`; a new join address | `services::files_…`, `reload` |
//! | a registry on its old folder, after a stop and after kill -9 | `nodes::a_registry_replaced_…` |
//! | `leave`: gone at once, a sole registry keeps all; how it finds its agent | `nodes::leaving_…`, `dropin::leave_…` |
//! | a container of the same name with another address | `nodes::a_container_of_the_same_name_…` |
//! | several datacenters: who finds whom, `?dc=`, DNS, queries, one that is away | `datacenters` |
//! | several servers: begin, lose one, grow from one, shrink to one, replace one, `join` and `leave` | `servers` |
//! | one key for all: with it, with another, without | `encrypt` |
//! | all of that between packet filters that let in 8301 alone | `firewall` |
//! | by version and health: one question over HTTP and DNS | `services::one_question_…` |
//! | scaling up and down; a feature switched by one key | `services` |
//! | an instance that dies: critical in an interval, removed in the end | `services::an_instance_…`, `outage::an_instance_…` |
//! | a service that stops and comes back; a second machine of the role; who watches is told | `outage` |
//! | checks of each kind, in a container too | `checks`, `podman` |
//! | forms of names, orders, TTLs, external names, prepared queries, `ANY`, port 53 | `names` |
//! | `members`; the page on every node | `names` |
//! | dnsmasq, unbound and bind9 in front, recursors behind, each restarted | `forwarders` |
//! | HAProxy's `server-template` by DNS; HAProxy's file by the watcher | `haproxy`, `watcher` |
//! | the examples, each with the real program it is for | `examples` |
//! | what pages tell operators to do, command by command; every link leads somewhere | `pages`, `links` |
//! | the watcher: keys early and late, bursts, commands that fail | `watcher` |
//! | values byte for byte; locks | `keys` |
//! | a backup, as a snapshot and as text | `observe` |
//! | playbooks, registrator, Traefik, Spring Cloud, call by call | `playbooks`, `registrator`, `clients` |
//! | StatsD's names; syslog and what alerts wait for | `metrics`, `logs` |
//! | a watcher and nginx under runit, with the old spelling of its flag | `runit` |
//! | systemd's notices, signals, exit codes; watches in the configuration | `supervised`, `watches` |
//! | kills while it writes, torn files, a full disk, a registry that restarts, empties or stands still | `faults`, `disk` |
//!
//! A test that cannot run on a machine says so where `RYO_TESTS_NOT_RUN` names a file; `./test` counts these.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![expect(clippy::print_stdout, reason = "what a failed test's programs said")]

mod addresses;
mod ask;
mod bad_files;
mod bad_requests;
mod checks;
mod clients;
mod datacenters;
mod dev;
mod disk;
mod dropin;
mod encrypt;
mod examples;
mod faults;
mod firewall;
mod forwarders;
mod haproxy;
mod https;
mod keys;
mod links;
mod logs;
mod metrics;
mod names;
mod namespace;
mod nodes;
mod observe;
mod outage;
mod pages;
mod playbooks;
mod podman;
mod process;
mod registrator;
mod reload;
mod runit;
mod servers;
mod services;
mod stage;
mod supervised;
mod terminal;
mod watcher;
mod watcher_faults;
mod watcher_fleet;
mod watches;
mod web;
