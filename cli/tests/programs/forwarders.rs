//! dnsmasq, unbound and bind9 before an agent's DNS port, as people run them so that names need no port.
//!
//! The forwarders are Debian's packages; `./test` installs them, and a test says which one is missing.

use std::{
    fmt::Write as _,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
};

use hickory_proto::{op::ResponseCode, rr::RecordType};
use nix::{sys::signal::Signal, unistd::User};
use serde_json::json;

use crate::{
    ask::{LONG, Records, dns, dns_over_tcp, until},
    process::{Process, installed},
    stage::{Node, Stage},
};

/// More addresses than a UDP answer of 1232 bytes holds, and fewer than the 100 that bind9 takes of a name.
const MANY: usize = 90;

/// One kind of forwarder.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    program: &'static str,
    package: &'static str,
    /// The configuration from folder, own address and the agent's DNS address.
    file: fn(&Path, SocketAddr, SocketAddr) -> String,
    words: &'static [&'static str],
}

pub(crate) const DNSMASQ: Kind = Kind {
    program: "dnsmasq",
    package: "dnsmasq-base",
    file: |_, own, agent| {
        let user = User::from_uid(nix::unistd::getuid()).unwrap().unwrap().name;
        format!(
            "port={}\nlisten-address={}\nbind-interfaces\nno-resolv\nno-hosts\npid-file=\nuser={user}\n\
             server=/consul/{}#{}\n",
            own.port(),
            own.ip(),
            agent.ip(),
            agent.port()
        )
    },
    words: &["--keep-in-foreground", "--log-facility=-", "--conf-file={}"],
};

const UNBOUND: Kind = Kind {
    program: "unbound",
    package: "unbound",
    file: |folder, own, agent| {
        format!(
            "server:\n interface: {}@{}\n do-daemonize: no\n username: \"\"\n chroot: \"\"\n directory: \"{}\"\n\
             \x20pidfile: \"\"\n logfile: \"\"\n use-syslog: no\n access-control: 127.0.0.0/8 allow\n\
             \x20do-not-query-localhost: no\n module-config: \"iterator\"\n\
             forward-zone:\n name: \"consul.\"\n forward-addr: {}@{}\n",
            own.ip(),
            own.port(),
            folder.display(),
            agent.ip(),
            agent.port()
        )
    },
    words: &["-d", "-c", "{}"],
};

const BIND: Kind = Kind {
    program: "named",
    package: "bind9",
    file: |folder, own, agent| {
        format!(
            "options {{ directory \"{0}\"; pid-file \"{0}/pid\"; session-keyfile \"{0}/key\"; recursion yes;\n\
             listen-on port {1} {{ {2}; }}; listen-on-v6 {{ none; }}; dnssec-validation no; }};\n\
             controls {{ }};\n\
             zone \"consul\" {{ type forward; forward only; forwarders {{ {3} port {4}; }}; }};\n",
            folder.display(),
            own.port(),
            own.ip(),
            agent.ip(),
            agent.port()
        )
    },
    words: &["-g", "-n", "1", "-c", "{}"],
};

impl Kind {
    pub(crate) fn path(self) -> PathBuf {
        installed(self.program, self.package)
    }

    fn start(self, stage: &Stage, own: SocketAddr, agent: SocketAddr) -> Process {
        let folder = stage.folder().join(self.program);
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("conf");
        std::fs::write(&file, (self.file)(&folder, own, agent)).unwrap();
        let words = self.words.iter().map(|word| word.replace("{}", &file.display().to_string()));
        Process::start(Command::new(self.path()).args(words), &folder.join("log"))
    }
}

/// A free port, for 53 is root's; bind9 listens only at addresses that an interface has, so not on the test's network.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A registry with a service of two instances, one of many, and one behind a name of the zone.
fn registry(stage: &Stage) -> (Node, Process) {
    let node = stage.registry();
    node.write("ryo.d/dns.hcl", "dns_config { enable_truncate = true }\n");
    let process = node.start_and_wait();
    let register = |name: &str, address: String, service: &str| {
        let body = json!({"Node": name, "Address": address, "Service": {"Service": service, "Port": 80}});
        node.put_ok("/v1/catalog/register", &body.to_string());
    };
    register("w1", "10.0.0.1".into(), "web");
    register("w2", "10.0.0.2".into(), "web");
    register("ext", "w1.node.consul".into(), "behind");
    for at in 0..MANY {
        register(&format!("m{at}"), format!("10.1.0.{at}"), "many");
    }
    (node, process)
}

/// Waits until a question is answered with these records, in any order.
fn wait_for(at: SocketAddr, name: &str, kind: RecordType, wanted: &[&str]) -> Records {
    // A forwarder that lost its server may stay away from it for a while.
    until(2 * LONG, &format!("{name} {kind} is {wanted:?}"), || {
        let mut found = dns(at, name, kind)?;
        found.answers.sort();
        if found.answers == wanted { Ok(found) } else { Err(format!("{found:?}")) }
    })
}

fn ask_through(kind: Kind) {
    let stage = Stage::new();
    let (node, mut agent) = registry(&stage);
    let own = free_address();
    let mut forwarder = kind.start(&stage, own, node.dns_server());
    wait_for(own, "web.service.consul.", RecordType::A, &["10.0.0.1", "10.0.0.2"]);
    forwarder.must_run();
    answers_are_the_agents(own);
    // An instance that fails is out of the very next answer.
    let failing = json!({"Node": "w2", "Address": "10.0.0.2", "Check": {"Name": "c", "Status": "critical"}});
    node.put_ok("/v1/catalog/register", &failing.to_string());
    assert_eq!(dns(own, "web.service.consul.", RecordType::A).unwrap().answers, ["10.0.0.1"]);
    // Either may go and come back.
    agent.kill();
    agent = node.start_and_wait();
    wait_for(own, "web.service.consul.", RecordType::A, &["10.0.0.1"]);
    forwarder.kill();
    let again = kind.start(&stage, own, node.dns_server());
    let srv =
        wait_for(own, "consul.service.consul.", RecordType::SRV, &["1 1 8300 registry.node.dc1.consul."]);
    assert_eq!(srv.code, ResponseCode::NoError);
    drop(again);
    agent.must_run();
}

/// The kinds of answers that a forwarder has to hand on as they are.
fn answers_are_the_agents(own: SocketAddr) {
    let ask = |name: &str, kind| dns(own, name, kind).unwrap();
    let mut srv = ask("_web._tcp.service.consul.", RecordType::SRV);
    srv.answers.sort();
    assert_eq!(srv.answers, ["1 1 80 w1.node.dc1.consul.", "1 1 80 w2.node.dc1.consul."]);
    for (name, kind, code) in [
        ("web.service.consul.", RecordType::AAAA, ResponseCode::NoError),
        ("nothing.service.consul.", RecordType::A, ResponseCode::NXDomain),
        ("web.service.nowhere.consul.", RecordType::A, ResponseCode::NXDomain),
    ] {
        let found = ask(name, kind);
        assert_eq!((found.code, found.answers.len()), (code, 0), "{name} {kind}");
    }
    assert_eq!(ask("w1.node.consul.", RecordType::A).answers, ["10.0.0.1"]);
    assert_eq!(ask("behind.service.consul.", RecordType::A).answers, ["10.0.0.1"]);
    let all = dns_over_tcp(own, "many.service.consul.", RecordType::A).unwrap();
    assert_eq!(all.answers.len(), MANY, "over UDP the answer is cut and says so, over TCP it is whole");
}

#[test]
fn dnsmasq_asks_the_agent() {
    ask_through(DNSMASQ);
}

#[test]
fn unbound_asks_the_agent() {
    ask_through(UNBOUND);
}

#[test]
fn bind9_asks_the_agent() {
    ask_through(BIND);
}

/// One resolver for both: the agent hands on what is not its own.
#[test]
fn the_agent_asks_its_recursors_and_says_once_that_none_answers() {
    let stage = Stage::new();
    // dnsmasq stands for the internet.
    let internet = free_address();
    let answers = Kind {
        file: |_, own, _| {
            let user = User::from_uid(nix::unistd::getuid()).unwrap().unwrap().name;
            let mut file = format!("port={}\nlisten-address={}\nbind-interfaces\n", own.port(), own.ip());
            write!(file, "no-resolv\nno-hosts\npid-file=\nuser={user}\naddress=/example.org/192.0.2.7\n")
                .unwrap();
            file
        },
        ..DNSMASQ
    };
    let upstream = answers.start(&stage, internet, internet);
    let node = stage.registry();
    let dead = free_address();
    node.write(
        "ryo.d/dns.hcl",
        &format!("recursors = [\"{dead}\", \"{internet}\"]\ndns_config {{ recursor_timeout = \"500ms\" }}\n"),
    );
    let agent = node.start_and_wait();
    let body =
        json!({"Node": "rds", "Address": "db.example.org", "Service": {"Service": "rds", "Port": 5432}});
    node.put_ok("/v1/catalog/register", &body.to_string());
    wait_for(node.dns_server(), "www.example.org.", RecordType::A, &["192.0.2.7"]);
    assert_eq!(node.dns("rds.service.consul.", RecordType::A).answers, ["192.0.2.7"]);
    upstream.kill();
    for _ in 0..3 {
        assert_eq!(node.dns("www.example.org.", RecordType::A).code, ResponseCode::ServFail);
    }
    let said = agent.log().matches("dns: all resolvers failed").count();
    assert_eq!(said, 1, "{}", agent.log());
    let upstream = answers.start(&stage, internet, internet);
    wait_for(node.dns_server(), "www.example.org.", RecordType::A, &["192.0.2.7"]);
    assert!(agent.log().contains("resolvers answer again"), "{}", agent.log());
    drop(upstream);
    assert_eq!(agent.stop(Signal::SIGTERM), 1);
}
