//! The names of what this program counts; `docs/metrics.md` says which of Consul's there are besides.

/// How a name is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Happenings.
    Counter,
    /// Something that has a value at any time.
    Gauge,
    /// Durations, in milliseconds.
    Sample,
}

/// A name with what it counts.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Without the configuration's prefix: `kvs.apply`.
    pub name: &'static str,
    /// How it is counted.
    pub kind: Kind,
    /// What it counts.
    pub help: &'static str,
}

const fn known(kind: Kind, name: &'static str, help: &'static str) -> Known {
    Known { name, kind, help }
}

/// The row of a name, if it has one. Names with a part of the user's, as those of events, have none.
pub fn find(name: &str) -> Option<&'static Known> {
    NAMES.iter().find(|known| known.name == name)
}

use Kind::{Counter, Gauge, Sample};

/// All of them, by name.
pub const NAMES: &[Known] = &[
    known(Sample, "api.http", "Requests to the HTTP API, by method and endpoint: how long they took"),
    known(Gauge, "autopilot.failure_tolerance", "How many servers may fail while the others go on"),
    known(Gauge, "autopilot.healthy", "Whether all servers are well"),
    known(
        Counter,
        "catalog.connect.not-found",
        "Questions for the mesh instances of a service that found none",
    ),
    known(Counter, "catalog.connect.query", "Questions to the catalog for the mesh instances of a service"),
    known(Sample, "catalog.deregister", "Removals from the catalog: how long they took"),
    known(Sample, "catalog.register", "Registrations in the catalog: how long they took"),
    known(
        Counter,
        "catalog.service.not-found",
        "Questions to the catalog for a service that found no instance",
    ),
    known(Counter, "catalog.service.query", "Questions to the catalog for a service"),
    known(Counter, "catalog.service.query-tags", "Questions to the catalog for a service with tags"),
    known(Counter, "client.rpc", "Requests handed to the registry by this agent"),
    known(Counter, "client.rpc.exceeded", "Requests refused by this agent's limits.rpc_rate"),
    known(Counter, "client.rpc.failed", "Requests that no registry answered"),
    known(Sample, "config_entry.apply", "Changes of config entries: how long they took"),
    known(Sample, "config_entry.delete", "Removals of config entries: how long they took"),
    known(Sample, "dns.domain_query", "DNS questions for names of the domain: how long they took"),
    known(Sample, "dns.ptr_query", "DNS questions for the name of an address: how long they took"),
    known(Sample, "dns.query", "DNS questions by type: how long they took"),
    known(
        Counter,
        "dns.stale_queries",
        "DNS answers from the last known state, because no registry answered",
    ),
    known(Sample, "fsm.coordinate.batch-update", "Network coordinates as the state machine took them"),
    known(Sample, "fsm.deregister", "Removals from the catalog as the state machine made them"),
    known(Sample, "fsm.kvs.cas", "Conditional changes of keys as the state machine made them"),
    known(Sample, "fsm.kvs.delete", "Deletions of keys as the state machine made them"),
    known(
        Sample,
        "fsm.kvs.delete-tree",
        "Deletions of keys by prefix or condition as the state machine made them",
    ),
    known(Sample, "fsm.kvs.lock", "Locks of keys as the state machine made them"),
    known(Sample, "fsm.kvs.set", "Changes of keys as the state machine made them"),
    known(Sample, "fsm.kvs.unlock", "Unlocks of keys as the state machine made them"),
    known(Sample, "fsm.persist", "Snapshots of the state: how long writing them took"),
    known(
        Sample,
        "fsm.prepared-query.delete",
        "Deletions of prepared queries as the state machine made them",
    ),
    known(Sample, "fsm.prepared-query.set", "Changes of prepared queries as the state machine made them"),
    known(Sample, "fsm.register", "Registrations as the state machine made them"),
    known(Sample, "fsm.session.create", "New sessions as the state machine made them"),
    known(Sample, "fsm.session.destroy", "Ends of sessions as the state machine made them"),
    known(Sample, "fsm.txn", "Transactions as the state machine made them"),
    known(Counter, "health.connect.not-found", "Questions for the health of mesh instances that found none"),
    known(Counter, "health.connect.query", "Questions for the health of the mesh instances of a service"),
    known(
        Counter,
        "health.service.not-found",
        "Questions for the health of a service that found no instance",
    ),
    known(Counter, "health.service.query", "Questions for the health of a service"),
    known(Counter, "health.service.query-tags", "Questions for the health of a service with tags"),
    known(Sample, "kvs.apply", "Changes of keys: how long they took"),
    known(Sample, "leader.barrier", "How long a new leader waited until its state was complete"),
    known(Sample, "leader.reconcile", "How long the leader took to compare the catalog with who is alive"),
    known(
        Sample,
        "leader.reconcileMember",
        "How long the leader took to bring one node's entries up to date",
    ),
    known(Gauge, "members.clients", "Agents that are alive"),
    known(Gauge, "members.servers", "Servers that are alive"),
    known(Sample, "prepared-query.apply", "Changes of prepared queries: how long they took"),
    known(Gauge, "raft.applied_index", "The last log entry that the state has"),
    known(Counter, "raft.apply", "Changes put into the log"),
    known(Gauge, "raft.commitNumLogs", "How many changes the last log entry held"),
    known(Sample, "raft.commitTime", "How long the log took to make a batch of changes durable and apply it"),
    known(Sample, "raft.fsm.apply", "How long the state machine took for a batch of changes"),
    known(Gauge, "raft.last_index", "The last log entry on disk"),
    known(
        Sample,
        "raft.leader.dispatchLog",
        "How long the leader took to put a batch of changes into the log",
    ),
    known(Gauge, "raft.leader.dispatchNumLogs", "How many changes the leader put into the log at once"),
    known(Gauge, "raft.peers", "How many servers vote"),
    known(Sample, "raft.snapshot.create", "How long a snapshot of the state took"),
    known(Counter, "raft.state.candidate", "How often this server stood for election"),
    known(Counter, "raft.state.follower", "How often this server began to follow"),
    known(Counter, "raft.state.leader", "How often this server began to lead"),
    known(Counter, "raft.verify_leader", "How often this server made sure that it still leads"),
    known(Counter, "rpc.accept_conn", "Connections of agents that were accepted"),
    known(Sample, "rpc.consistentRead", "How long reads with ?consistent took to make sure who leads"),
    known(Gauge, "rpc.queries_blocking", "Blocking queries that wait now"),
    known(Counter, "rpc.query", "Reads of the registry"),
    known(Counter, "rpc.rate_limit.exceeded", "Requests over limits.request_limits"),
    known(Counter, "rpc.request", "Requests to the registry, from its own agent and all others"),
    known(Counter, "rpc.request_error", "Requests to the registry that failed on its side"),
    known(Gauge, "runtime.alloc_bytes", "Memory that the process has for itself, in bytes"),
    known(Gauge, "runtime.num_goroutines", "Tasks that exist"),
    known(Gauge, "runtime.sys_bytes", "Memory that the process holds, in bytes"),
    known(Counter, "serf.events", "Events in the fleet"),
    known(Counter, "serf.member.failed", "Nodes whose lease ran out"),
    known(Counter, "serf.member.join", "Nodes that came or came back"),
    known(Counter, "serf.member.left", "Nodes that said goodbye"),
    known(Counter, "serf.member.update", "Nodes that changed what they tell of themselves"),
    known(Gauge, "server.isLeader", "Whether this server leads"),
    known(Sample, "session.apply", "Changes of sessions: how long they took"),
    known(Sample, "session.renew", "Renewals of sessions: how long they took"),
    known(Gauge, "session_ttl.active", "Sessions whose time to live is watched"),
    known(Sample, "session_ttl.invalidate", "How long ending a session took whose time was over"),
    known(Gauge, "state.config_entries", "Config entries by kind"),
    known(Gauge, "state.kv_entries", "Keys"),
    known(Gauge, "state.nodes", "Nodes in the catalog"),
    known(Gauge, "state.service_instances", "Instances of services in the catalog"),
    known(Gauge, "state.services", "Services in the catalog"),
    known(Sample, "txn.apply", "Transactions that write: how long they took"),
    known(Sample, "txn.read", "Transactions that only read: how long they took"),
    known(Gauge, "version", "1, with the version as a label"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_in_order_and_in_the_documentation() {
        assert!(NAMES.is_sorted_by(|a, b| a.name < b.name));
        let page = include_str!("../../../docs/metrics.md");
        for known in NAMES {
            assert!(
                page.contains(&format!("| `consul.{}` |", known.name)),
                "{} is not in docs/metrics.md",
                known.name
            );
        }
    }

    #[test]
    fn every_name_is_counted_somewhere() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let mut code = String::new();
        let folders = ["agent/src", "registry-core/src", "crates"];
        let mut folders = Vec::from(folders.map(|folder| std::path::Path::new(root).join(folder)));
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.ends_with("telemetry/src/recorder") {
                    folders.push(path);
                } else if path.extension().is_some_and(|end| end == "rs")
                    && !path.ends_with("telemetry/src/names.rs")
                {
                    code.push_str(&std::fs::read_to_string(path).unwrap());
                }
            }
        }
        for known in NAMES {
            assert!(code.contains(&format!("\"{}\"", known.name)), "nothing counts {}", known.name);
        }
    }
}
