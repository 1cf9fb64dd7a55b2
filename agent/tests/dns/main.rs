//! The DNS listener on real sockets, before a catalog in memory: the recorded scenarios that need no more than that, and
//! what they do not cover.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::{
    collections::{BTreeMap, HashSet},
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use agent::{
    backend::Unavailable,
    dns::{Listeners, RecursorStrategy, Settings, Soa, serve},
};
use conformance::dns::{
    ask::Asker,
    scenario::{Scenario, fill},
    stub::Stub,
    wire,
};
use daemon::Shutdown;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tokio::sync::watch;

use self::catalog::Catalog;

mod catalog;

const SERVER_PORT: u16 = 8300;

/// A listener on a free port, with its catalog and its settings. It ends when it is dropped.
struct Subject {
    address: SocketAddr,
    catalog: Arc<Catalog>,
    settings: watch::Sender<Arc<Settings>>,
    shutdown: Shutdown,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Subject {
    fn start(settings: Settings) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let entered = runtime.enter();
        let listeners = Listeners::bind(&[(Ipv4Addr::LOCALHOST, 0).into()]).unwrap();
        let (catalog, shutdown) = (Arc::new(Catalog::with_server(SERVER_PORT)), Shutdown::default());
        let (sender, receiver) = watch::channel(Arc::new(settings));
        let address = listeners.addresses()[0];
        runtime.spawn(serve(listeners, receiver, catalog.clone(), shutdown.clone()));
        drop(entered);
        Self { address, catalog, settings: sender, shutdown, runtime: Some(runtime) }
    }

    fn ask(&self, name: &str, kind: &str) -> wire::Reply {
        let head = wire::Head { flags: 0x0100, edns: None };
        let questions = [(name.to_owned(), kind.to_owned(), "IN".to_owned())];
        let message = [&[0, 9][..], &wire::query(&head, &questions).unwrap()].concat();
        wire::parse(&self.exchange(&message).expect("a reply")).unwrap()
    }

    /// Asks up to five times: behind a full queue a datagram gets lost, and clients ask again.
    fn exchange(&self, message: &[u8]) -> Option<Vec<u8>> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let mut buffer = vec![0; 65_535];
        (0..5).find_map(|_| {
            socket.send_to(message, self.address).unwrap();
            let length = socket.recv(&mut buffer).ok()?;
            Some(buffer[..length].to_vec())
        })
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        self.shutdown.request();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

/// Runs a scenario; `None` when its fixture needs a whole agent.
fn replay(scenario: &Scenario) -> Option<Vec<String>> {
    let catalog_only = |step: &Value| {
        let path = step["put"].as_str().or(step["post"].as_str()).unwrap_or_default();
        path.starts_with("/v1/catalog/") || path == "/v1/query"
    };
    if !scenario.fixture.iter().all(catalog_only) {
        return None;
    }
    let start = |(name, zone): (&String, &BTreeMap<_, _>)| (name.clone(), Stub::start(zone.clone()).unwrap());
    let stubs: BTreeMap<String, Stub> = scenario.stubs.iter().map(start).collect();
    let mut names: BTreeMap<String, String> =
        stubs.iter().map(|(name, stub)| (name.clone(), stub.address().to_string())).collect();
    let config = fill(&json!(scenario.config.clone().unwrap_or_default()), &names);
    let subject = Subject::start(settings(&config));
    names.insert("server_port".into(), SERVER_PORT.to_string());
    for step in &scenario.fixture {
        let bound = |at: usize| step["repeat"][at].as_u64().unwrap_or_default();
        for i in bound(0)..=bound(1) {
            let filled =
                fill(step, &[("i".to_owned(), i.to_string()), ("hex".to_owned(), format!("{i:02x}"))].into());
            match filled["put"].as_str() {
                Some("/v1/catalog/register") => subject.catalog.register(filled["body"].clone()),
                Some("/v1/catalog/deregister") => subject.catalog.deregister(filled["body"].clone()),
                _ => {}
            }
        }
    }
    let asker = Asker { address: subject.address, stubs, names };
    // Prepared queries are the registry's; here nobody knows them.
    let queries = scenario.queries.iter().filter(|query| query.quirk.is_none());
    let queries = queries.filter(|query| !query.name.to_lowercase().contains(".query."));
    Some(queries.flat_map(|query| asker.check(query)).collect())
}

/// The settings in a scenario's configuration.
fn settings(config: &Value) -> Settings {
    let dns = &config["dns_config"];
    let mut settings = Settings::default();
    let duration = |value: &Value| value.as_str().map(go_duration);
    let flag = |value: &Value, default: bool| value.as_bool().unwrap_or(default);
    let number = |value: &Value, default: u64| value.as_u64().unwrap_or(default);
    if let Some(domain) = config["domain"].as_str() {
        settings.domain = domain.parse().unwrap();
    }
    settings.alt_domain = config["alt_domain"].as_str().map(|domain| domain.parse().unwrap());
    settings.a_record_limit = number(&dns["a_record_limit"], 0) as usize;
    settings.udp_answer_limit = number(&dns["udp_answer_limit"], 3) as usize;
    settings.enable_truncate = flag(&dns["enable_truncate"], false);
    settings.only_passing = flag(&dns["only_passing"], false);
    settings.node_ttl = duration(&dns["node_ttl"]).unwrap_or_default();
    settings.service_ttl = dns["service_ttl"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, ttl)| (name.clone(), duration(ttl).unwrap()))
        .collect();
    let soa = |key: &str, default: u32| number(&dns["soa"][key], default.into()) as u32;
    let usual = Soa::default();
    settings.soa = Soa {
        refresh: soa("refresh", usual.refresh),
        retry: soa("retry", usual.retry),
        expire: soa("expire", usual.expire),
        min_ttl: soa("min_ttl", usual.min_ttl),
    };
    settings.disable_compression = flag(&dns["disable_compression"], false);
    settings.enable_additional_node_meta_txt = flag(&dns["enable_additional_node_meta_txt"], true);
    settings.recursors = config["recursors"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|at| at.as_str().unwrap().parse().unwrap())
        .collect();
    if dns["recursor_strategy"] == "random" {
        settings.recursor_strategy = RecursorStrategy::Random;
    }
    settings.recursor_timeout = duration(&dns["recursor_timeout"]).unwrap_or(settings.recursor_timeout);
    settings.translate_wan_addrs = flag(&config["translate_wan_addrs"], false);
    settings
}

/// Durations of one unit, as the scenarios have them.
fn go_duration(text: &str) -> Duration {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let count: u64 = text[..text.len() - unit.len()].parse().unwrap();
    match unit {
        "ms" => Duration::from_millis(count),
        "s" => Duration::from_secs(count),
        "m" => Duration::from_secs(count * 60),
        "h" => Duration::from_secs(count * 3600),
        other => panic!("no unit {other}"),
    }
}

#[test]
fn recorded_scenarios() {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(conformance::data("dns")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let (mut bad, mut ran) = (Vec::new(), 0);
    for path in files {
        if let Some(differences) = replay(&Scenario::read(&path).unwrap()) {
            ran += 1;
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            bad.extend(differences.into_iter().map(|line| format!("{name}: {line}")));
        }
    }
    assert!(ran > 60, "only {ran} scenarios can be run here");
    assert!(bad.is_empty(), "{} differences:\n{}", bad.len(), bad.join("\n"));
}

#[test]
fn a_registry_that_is_away_is_a_server_failure_and_comes_back() {
    let subject = Subject::start(Settings::default());
    *subject.catalog.fails.lock().unwrap() = Some(Unavailable::NoServers);
    assert_eq!(subject.ask("srv1.node.consul.", "A").rcode, "SERVFAIL");
    assert_eq!(subject.ask("consul.service.consul.", "SRV").rcode, "SERVFAIL");
    *subject.catalog.fails.lock().unwrap() = None;
    assert_eq!(subject.ask("srv1.node.consul.", "A").sections[0], ["srv1.node.consul. 0 IN A 127.0.0.1"]);
}

#[test]
fn new_settings_and_new_instances_hold_from_the_next_question_on() {
    let subject = Subject::start(Settings::default());
    let answer = || subject.ask("consul.service.consul.", "A").sections[0].clone();
    assert_eq!(answer(), ["consul.service.consul. 0 IN A 127.0.0.1"]);
    let ttl = [("*".to_owned(), Duration::from_secs(7))].into();
    subject.settings.send(Arc::new(Settings { service_ttl: ttl, ..Settings::default() })).unwrap();
    assert_eq!(answer(), ["consul.service.consul. 7 IN A 127.0.0.1"]);
    subject.catalog.deregister(json!({"Node": "srv1"}));
    assert_eq!(subject.ask("consul.service.consul.", "A").rcode, "NXDOMAIN");
}

#[test]
fn a_long_answer_is_the_same_each_time_but_for_its_order() {
    let subject = Subject::start(Settings::default());
    let register = |at: usize| {
        let service = json!({"Service": "web", "ID": "web", "Port": 8000 + at});
        let (node, address) = (format!("n{at}"), format!("10.0.0.{at}"));
        let meta =
            if at.is_multiple_of(3) { json!({"rack": at.to_string(), "room": "1"}) } else { json!(null) };
        subject
            .catalog
            .register(json!({"Node": node, "Address": address, "NodeMeta": meta, "Service": service}));
    };
    (1..=20).for_each(register);
    let ask = |kind: &str, size: Option<u16>| {
        let edns = size.map(|size| (size, 0, false, None));
        let question = ("Web.service.consul.".to_owned(), kind.to_owned(), "IN".to_owned());
        let message = wire::query(&wire::Head { flags: 0x0100, edns }, &[question]).unwrap();
        let id: [u8; 2] = rand::random();
        let bytes = subject.exchange(&[&id[..], &message].concat()).expect("a reply");
        assert_eq!(bytes[..2], id);
        (bytes.len(), wire::parse(&bytes).unwrap())
    };
    let sorted = |reply: &wire::Reply| {
        let mut sections = reply.sections.clone();
        sections.iter_mut().for_each(|section| section.sort());
        format!("{:?} {:?} {sections:?}", reply.rcode, reply.flags)
    };
    for (kind, beside) in [("SRV", 20 + 12), ("A", 0)] {
        let (length, first) = ask(kind, Some(4096));
        assert_eq!((first.sections[0].len(), first.sections[2].len()), (20, beside), "{kind}");
        let mut orders = HashSet::from([first.sections[0].clone()]);
        for _ in 0..30 {
            let (again, reply) = ask(kind, Some(4096));
            assert_eq!((again, sorted(&reply)), (length, sorted(&first)));
            if kind == "SRV" {
                let column = |section: usize, column: usize| -> Vec<&str> {
                    let records = reply.sections[section].iter();
                    records.map(|record| record.split(' ').nth(column).unwrap()).collect()
                };
                let mut glue = column(2, 0);
                glue.dedup();
                assert_eq!(column(0, 7), glue, "glue in the order of its records");
            }
            orders.insert(reply.sections[0].clone());
        }
        assert!(orders.len() > 25, "{kind}: {} orders of 31", orders.len());
        assert_eq!(ask(kind, None).1.sections[0].len(), 3, "cut for a client of 512 bytes");
    }
    register(21);
    assert_eq!(ask("SRV", Some(4096)).1.sections[0].len(), 21);
    let ttl = [("*".to_owned(), Duration::from_secs(7))].into();
    subject.settings.send(Arc::new(Settings { service_ttl: ttl, ..Settings::default() })).unwrap();
    assert!(ask("SRV", Some(4096)).1.sections[0].iter().all(|record| record.contains(" 7 IN SRV ")));
    *subject.catalog.fails.lock().unwrap() = Some(Unavailable::NoLeader);
    assert_eq!(ask("SRV", Some(4096)).1.rcode, "SERVFAIL");
}

#[test]
fn a_recursor_that_is_this_very_listener_is_not_asked() {
    let subject = Subject::start(Settings::default());
    let recursors = vec![subject.address];
    subject.settings.send(Arc::new(Settings { recursors, ..Settings::default() })).unwrap();
    assert_eq!(subject.ask("www.example.org.", "A").rcode, "REFUSED");
}

#[test]
fn a_connection_takes_several_questions_and_odd_bytes_do_no_harm() {
    let subject = Subject::start(Settings::default());
    let head = wire::Head { flags: 0x0100, edns: None };
    let question = [("srv1.node.consul.".to_owned(), "A".to_owned(), "IN".to_owned())];
    let asked = |id: u8| [&[0, id][..], &wire::query(&head, &question).unwrap()].concat();
    let framed = |message: &[u8]| [&(message.len() as u16).to_be_bytes(), message].concat();
    let mut stream = TcpStream::connect(subject.address).unwrap();
    // Three at once; the one in the middle is no question at all.
    stream.write_all(&[framed(&asked(1)), framed(&[1, 2, 3]), framed(&asked(2))].concat()).unwrap();
    for id in [1, 2] {
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut reply).unwrap();
        assert_eq!(wire::parse(&reply).unwrap().id, id);
    }
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut random = StdRng::seed_from_u64(7);
    for _ in 0..2000 {
        let mut noise = asked(3);
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(2..noise.len());
            noise[at] = random.random();
        }
        noise.truncate(random.random_range(0..=noise.len()));
        socket.send_to(&noise, subject.address).unwrap();
    }
    assert_eq!(subject.ask("srv1.node.consul.", "A").rcode, "NOERROR");
}

#[test]
fn a_port_that_is_taken_is_an_error_that_names_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let first = Listeners::bind(&[(Ipv4Addr::LOCALHOST, 0).into()]).unwrap();
    let error = Listeners::bind(&first.addresses()).unwrap_err();
    assert!(error.to_string().contains(&first.addresses()[0].to_string()), "{error}");
    let udp_only = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let taken = udp_only.local_addr().unwrap();
    assert_eq!(Listeners::bind(&[taken]).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
}
