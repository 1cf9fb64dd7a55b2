//! A host and its containers between packet filters: an agent's container lets nothing in but 8301, the host only the
//! ports of a registry. All that a fleet does works through these.

use std::{fs, net::SocketAddr};

use hickory_proto::{op::ResponseCode, rr::RecordType};
use nix::sys::signal::Signal;

use crate::{
    ask::{self, LONG, Page, until},
    namespace::Namespace,
    process::{Process, installed},
    stage::{Node, Stage, list, run, ryo},
};

/// The registry, on the host's end of the bridge.
const HOST: &str = "10.10.10.1";

/// Lets in what was asked for from inside, and these ports over TCP and UDP; drops the rest.
fn filter(namespace: &Namespace, stage: &Stage, tcp: &str, udp: &str) {
    let rules = format!(
        "table inet filter {{\n chain input {{\n  type filter hook input priority 0; policy drop;\n  iif lo accept\n  \
         ct state established,related accept\n  tcp dport {{ {tcp} }} accept\n  udp dport {{ {udp} }} accept\n }}\n}}\n"
    );
    let file = stage.folder().join("rules.nft");
    fs::write(&file, rules).unwrap();
    let (code, said) = run(namespace.inside(installed("nft", "nftables")).arg("-f").arg(&file));
    assert_eq!(code, 0, "{said}");
}

/// A container: its network, and the node in it.
struct Container {
    inside: Namespace,
    node: Node,
    address: String,
}

impl Container {
    /// A container with an agent and the service `web`, behind its filter. `None` where none may be made.
    fn new(stage: &Stage, host: &Namespace, name: &str, number: u8) -> Option<Self> {
        let inside = Namespace::new()?;
        let address = format!("10.10.10.{number}");
        inside.plug_into(host, "lxdbr0", &format!("{address}/24"));
        filter(&inside, stage, "8301", "8301");
        let keys = format!(
            "bind_addr = \"0.0.0.0\"\nclient_addr = \"0.0.0.0\"\nretry_join = [\"{HOST}\"]\nretry_interval = \"1s\""
        );
        let node = stage.node_with(name, number, &keys);
        node.write("ryo.d/web.hcl", "service {\n name = \"web\"\n tags = [\"v1\"]\n port = 80\n}\n");
        Some(Self { inside, node, address })
    }

    fn start(&self) -> Process {
        self.inside.start(&self.node)
    }

    /// A request to the own agent.
    fn http(&self, method: &str, path: &str, body: &str) -> Result<Page, String> {
        self.asks("127.0.0.1:8500", method, path, body)
    }

    /// A request from inside to anybody.
    fn asks(&self, to: &str, method: &str, path: &str, body: &str) -> Result<Page, String> {
        let to: SocketAddr = to.parse().unwrap();
        self.inside.within(|| ask::http(to, method, path, body.as_bytes()))
    }

    /// Waits until the registry and the own agent give these addresses for the service; over UDP, and over TCP from the registry.
    fn finds_web(&self, addresses: &[&str]) {
        let mut wanted: Vec<String> = addresses.iter().map(|&address| address.to_owned()).collect();
        wanted.sort();
        for (to, tcp) in
            [("127.0.0.1:8600", false), (&*format!("{HOST}:8600"), false), (&format!("{HOST}:8600"), true)]
        {
            let to: SocketAddr = to.parse().unwrap();
            until(LONG, &format!("{to} gives {wanted:?} to {}", self.node.name), || {
                let ask = if tcp { ask::dns_over_tcp } else { ask::dns };
                let mut found = self.inside.within(|| ask(to, "web.service.consul.", RecordType::A))?;
                found.answers.sort();
                let code = if wanted.is_empty() { ResponseCode::NXDomain } else { ResponseCode::NoError };
                if (found.code, &found.answers) == (code, &wanted) {
                    Ok(())
                } else {
                    Err(format!("{found:?}"))
                }
            });
        }
    }

    /// Waits until a key that is written through the own agent is there.
    fn writes(&self, key: &str, value: &str) {
        until(LONG, &format!("{key} is written"), || {
            match self.http("PUT", &format!("/v1/kv/{key}"), value)? {
                Page { status: 200, .. } => Ok(()),
                page => Err(format!("{page:?}")),
            }
        });
    }

    /// What the registry itself answers, asked from inside.
    fn registry(&self, path: &str) -> Page {
        self.asks(&format!("{HOST}:8500"), "GET", path, "").unwrap_or_else(|e| panic!("{path}: {e}"))
    }
}

#[test]
fn a_fleet_between_packet_filters_lacks_nothing() {
    let Some(host) = Namespace::new() else { return };
    host.interface("lxdbr0", &[&format!("{HOST}/24")]);
    let stage = Stage::new();
    filter(&host, &stage, "8300, 8301, 8302, 8500, 8600", "8301, 8302, 8600");
    let addresses = format!("bind_addr = \"{HOST}\"\nclient_addr = \"{HOST}\"");
    let registry =
        stage.node_with("registry", 1, &format!("server = true\nbootstrap_expect = 1\n{addresses}"));
    let containers =
        [("web1", 11), ("web2", 12)].map(|(name, number)| Container::new(&stage, &host, name, number));
    let [Some(web1), Some(web2)] = containers else { return };

    // The agents first: they wait.
    let mut first = web1.start();
    let second = web2.start();
    until(LONG, "the agent says that it waits", || {
        first.must_run();
        if first.log().contains("Join cluster failed, will retry") { Ok(()) } else { Err(first.log()) }
    });
    let mut server = host.start(&registry);
    for container in [&web1, &web2] {
        container.finds_web(&[&web1.address, &web2.address]);
    }
    // Nothing else is let in: from the host no agent can be asked.
    let closed: SocketAddr = format!("{}:8500", web1.address).parse().unwrap();
    let refused =
        host.within(|| std::net::TcpStream::connect_timeout(&closed, std::time::Duration::from_secs(1)));
    assert!(refused.is_err(), "the container's filter is open");

    // Keys, and a reader in one container who waits for what another writes.
    web1.writes("app/port", "80");
    let index = web2.http("GET", "/v1/kv/app/port", "").unwrap().index;
    let waits = format!("/v1/kv/app/port?index={index}&wait=60s");
    let woken = std::thread::scope(|all| {
        let reader = all.spawn(|| web2.http("GET", &waits, "").unwrap());
        web1.writes("app/port", "81");
        reader.join().unwrap()
    });
    assert!(woken.index > index && woken.text.contains("ODE="), "{woken:?}");
    assert_eq!(web1.registry("/v1/kv/app/port?raw").text, "81");

    // A second service by a file and a signal.
    web1.node.write("ryo.d/db.hcl", "service {\n name = \"db\"\n port = 5432\n}\n");
    first.signal(Signal::SIGHUP);
    until(LONG, "the second service is there", || match web2.registry("/v1/catalog/services").text {
        text if text == r#"{"consul":[],"db":[],"web":["v1"]}"# => Ok(()),
        text => Err(text),
    });
    template_follows(&stage, &web2);

    // The registry is killed and comes back on its folder.
    let before = web1.registry("/v1/kv/?recurse");
    server.kill();
    server = host.start(&registry);
    web2.writes("after", "the kill");
    web1.finds_web(&[&web1.address, &web2.address]);
    let now = web1.registry("/v1/kv/app?recurse");
    assert!(now.index >= before.index, "the index went from {} to {}", before.index, now.index);

    // A container is replaced: same name, new address, empty folder.
    first.kill();
    let Some(again) = Container::new(&stage, &host, "web1", 13) else { return };
    let third = again.start();
    web2.finds_web(&[&again.address, &web2.address]);
    assert_eq!(list(&web2.registry("/v1/catalog/nodes").json()).len(), 3);

    // One leaves by the command and one by a signal; the registry comes back from both.
    let left = run(again.inside.inside(ryo().get_program()).arg("leave"));
    assert_eq!((left.0, left.1.trim(), third.ended()), (0, "Graceful leave complete", 0));
    web2.finds_web(&[&web2.address]);
    assert_eq!(second.stop(Signal::SIGTERM), 0);
    assert_eq!(web2.registry("/v1/catalog/services").text, r#"{"consul":[]}"#);
    let left = host.ryo(&format!("{HOST}:8500"), &["leave"]);
    assert_eq!((left.0, left.1.trim(), server.ended()), (0, "Graceful leave complete", 0));
    let _server = host.start(&registry);
    until(LONG, "everything is there again", || {
        let page = web2.asks(&format!("{HOST}:8500"), "GET", "/v1/kv/after?raw", "")?;
        if page.text == "the kill" { Ok(()) } else { Err(format!("{page:?}")) }
    });
}

/// A watcher in a container renders what is there, and what comes.
fn template_follows(stage: &Stage, container: &Container) {
    let folder = stage.folder().display();
    fs::write(stage.folder().join("a.tmpl"), "{{ range ls \"app\" }}{{ .Key }}={{ .Value }}\n{{ end }}")
        .unwrap();
    let mut command = container.inside.inside(ryo().get_program());
    command.args(["template", "-template", &format!("{folder}/a.tmpl:{folder}/a")]);
    let mut watcher = Process::start(&mut command, &stage.folder().join("watcher"));
    let mut becomes = |text: &str| {
        until(LONG, &format!("the file is {text:?}"), || {
            watcher.must_run();
            match fs::read_to_string(stage.folder().join("a")) {
                Ok(now) if now == text => Ok(()),
                other => Err(format!("{other:?} {}", watcher.log())),
            }
        });
    };
    becomes("port=81\n");
    container.writes("app/user", "www");
    becomes("port=81\nuser=www\n");
}
