//! Commands of scripts that read.

use std::sync::Arc;

use registry_state::{
    Caseless, Check, Key, State, Stored,
    read::{
        CatalogAddress, CatalogNode, CatalogNodes, CatalogService, CatalogServices, ConfigGet, ConfigList,
        CoordinateOf, Coordinates, EventsAfter, Gateways, HealthChecks, HealthNode, HealthService,
        HealthState, KvGet, KvKeys, KvList, QueryGet, QueryList, QueryNamed, Read, SessionInfo, SessionList,
        SessionsOfNode,
    },
};

use super::{show, words::Words};

/// The answer to a line: its index, then what was found.
pub(crate) fn answer(state: &State, words: &Words) -> String {
    let name = Caseless::new(words.at(0));
    let (key, node_meta, tags) = (Key::from(words.at(0)), words.pairs("meta"), words.list("tags"));
    let tags = tags.unwrap_or_default();
    match words.verb() {
        "get" => ask(state, &KvGet { key }, |e| e.iter().map(|e| show::kv(e)).collect()),
        "list" => ask(state, &KvList { prefix: key }, |l| l.iter().map(|e| show::kv(e)).collect()),
        "keys" => {
            let separator = Key::from(words.text("separator").as_str());
            ask(state, &KvKeys { prefix: key, separator }, |l| l.iter().map(|k| format!("{k:?}")).collect())
        }
        "indexes" => indexes(state, words.at(0), words.at(1)),
        "nodes" => ask(state, &CatalogNodes { node_meta }, |l| l.iter().map(|n| show::node(n)).collect()),
        "services" => ask(state, &CatalogServices { node_meta }, |m| {
            m.iter().map(|(name, tags)| format!("{name} {tags:?}")).collect()
        }),
        "service" => ask(state, &CatalogService { service: name, tags, node_meta }, |l| {
            l.iter().map(|i| format!("{} on {}", show::service(&i.service), i.node.name)).collect()
        }),
        "node" => ask(state, &CatalogNode { node: words.at(0).to_owned() }, |found| {
            let services = found.iter().flat_map(|n| n.services.iter().map(|s| show::service(s)));
            found.iter().map(|n| show::node(&n.node)).chain(services).collect()
        }),
        "health" => {
            let passing = words.has("passing");
            ask(state, &HealthService { service: name, tags, node_meta, passing }, |l| {
                l.iter().map(show::health).collect()
            })
        }
        "health-checks" => ask(state, &HealthChecks { service: name, node_meta }, |l| checks(l)),
        "health-node" => ask(state, &HealthNode { node: name }, |l| checks(l)),
        "health-state" => ask(state, &HealthState { state: name, node_meta }, |l| checks(l)),
        "address" => {
            let address = words.at(0).parse().expect("an IP address");
            ask(state, &CatalogAddress { address }, |owner| owner.iter().map(show::owner).collect())
        }
        "config-get" => {
            let (kind, name) = (words.at(0).into(), Caseless::new(words.at(1)));
            ask(state, &ConfigGet { kind, name }, |e| e.iter().map(|e| show::config(e)).collect())
        }
        "config-list" => {
            let kind = Some(words.at(0)).filter(|kind| !kind.is_empty()).map(Arc::from);
            ask(state, &ConfigList { kind }, |l| l.iter().map(|e| show::config(e)).collect())
        }
        "gateways" => ask(state, &Gateways, |l| l.iter().map(|e| show::config(e)).collect()),
        "autopilot-get" => {
            let settings = state.autopilot();
            format!(
                "  min-quorum {} [{} {}]\n",
                settings.min_quorum, settings.create_index, settings.modify_index
            )
        }
        "session" => ask(state, &SessionInfo { id: words.at(0).into() }, |s| {
            s.iter().map(|s| show::session(s)).collect()
        }),
        "sessions" => ask(state, &SessionList, |l| l.iter().map(|s| show::session(s)).collect()),
        "query-of" => {
            ask(state, &QueryGet { id: words.at(0).into() }, |q| q.iter().map(|q| show::query(q)).collect())
        }
        "queries" => ask(state, &QueryList, |l| l.iter().map(|q| show::query(q)).collect()),
        "named" => {
            let name = words.at(0).to_owned();
            ask(state, &QueryNamed { name }, |q| q.iter().map(|q| show::query(q)).collect())
        }
        "sessions-of" => {
            ask(state, &SessionsOfNode { node: name }, |l| l.iter().map(|s| show::session(s)).collect())
        }
        "events" => {
            let after = words.get("after").map(|_| words.number("after"));
            ask(state, &EventsAfter { after }, |l| l.iter().map(|event| show::event(event)).collect())
        }
        "coordinates" => {
            let segment = words.get("segment").map(str::to_owned);
            ask(state, &Coordinates { segment }, |l| l.iter().map(|c| show::coordinate(c)).collect())
        }
        "coordinate" => ask(state, &CoordinateOf { node: name, segment: None }, |l| {
            l.iter().map(|c| show::coordinate(c)).collect()
        }),
        other => panic!("{other} is no command"),
    }
}

fn ask<R: Read>(state: &State, read: &R, lines: impl Fn(&R::Output) -> Vec<String>) -> String {
    let (output, index) = read.run(state);
    let index = index.max(state.restored_at());
    show::indented(&format!("index {index}"), &lines(&output))
}

/// The index of every list, of one node and of one service, in a line.
fn indexes(state: &State, node: &str, service: &str) -> String {
    fn of<R: Read>(state: &State, read: &R) -> u64 {
        read.run(state).1
    }
    let name = Caseless::new(service);
    let (all_checks, everything) = (Caseless::new("any"), Key::from(""));
    format!(
        "  nodes {} {node} {} services {} {service} {} checks {} sessions {} keys {}\n",
        of(state, &CatalogNodes::default()),
        of(state, &CatalogNode { node: node.to_owned() }),
        of(state, &CatalogServices::default()),
        of(state, &HealthService { service: name, ..HealthService::default() }),
        of(state, &HealthState { state: all_checks, node_meta: Vec::new() }),
        of(state, &SessionList),
        of(state, &KvList { prefix: everything }),
    )
}

fn checks(list: &[Arc<Stored<Check>>]) -> Vec<String> {
    list.iter().map(|check| show::check(check)).collect()
}
