//! Names and pages as people ask for them: the forms they type, how long an answer holds, and port 53 itself.

use std::{collections::HashSet, fs, process::Command};

use hickory_proto::{op::ResponseCode, rr::RecordType};
use serde_json::json;

use crate::{
    ask::{LONG, http, until},
    forwarders::DNSMASQ,
    namespace::Namespace,
    process::Process,
    stage::{Node, Stage, run, ryo},
};

fn register(registry: &Node, name: &str, address: &str, service: &str, status: &str) {
    let body = json!({
        "Node": name,
        "Address": address,
        "Service": {"Service": service, "Port": 6379},
        "Check": {"Name": "up", "ServiceID": service, "Status": status},
    });
    registry.put_ok("/v1/catalog/register", &body.to_string());
}

#[test]
fn every_form_of_a_name_is_answered_in_changing_order() {
    let stage = Stage::new();
    let (registry, web) = (stage.registry(), stage.agent("web1", 11));
    let _registry = registry.start_and_wait();
    let _agent = web.start_and_wait();
    for (name, host, status) in
        [("r1", 101, "passing"), ("r2", 102, "warning"), ("r3", 103, "passing"), ("r4", 104, "critical")]
    {
        register(&registry, name, &stage.address(host).to_string(), "redis", status);
    }
    let query = br#"{"Name":"redis-primary","Service":{"Service":"redis"}}"#;
    assert_eq!(http(registry.http(), "POST", "/v1/query", query).unwrap().status, 200);
    for node in [&registry, &web] {
        for name in ["consul.service.consul.", "consul.service.dc1.consul.", "_consul._tcp.service.consul."] {
            let found = node.dns(name, RecordType::SRV);
            assert_eq!(found.answers, ["1 1 8300 registry.node.dc1.consul."], "{name}");
            assert_eq!(found.additionals, [registry.address.to_string()], "{name}");
        }
        for name in ["redis.service.dc7.consul.", "redis-primary.query.dc7.consul."] {
            let found = node.dns(name, RecordType::SRV);
            assert_eq!((found.code, found.answers.len()), (ResponseCode::NXDomain, 0), "{name}");
        }
        for name in ["redis.service.consul.", "redis-primary.query.consul."] {
            let mut orders = HashSet::new();
            for _ in 0..60 {
                let mut found = node.dns(name, RecordType::SRV).answers;
                orders.insert(found.clone());
                found.sort();
                assert_eq!(found, ["r1", "r2", "r3"].map(|name| format!("1 1 6379 {name}.node.dc1.consul.")));
            }
            assert!(orders.len() > 1, "{name}: {orders:?}");
        }
    }
}

#[test]
fn an_external_service_keeps_its_name_and_services_have_their_own_ttl() {
    let stage = Stage::new();
    let (registry, web) = (stage.registry(), stage.agent("web1", 11));
    for node in [&registry, &web] {
        node.write(
            "ryo.d/dns.hcl",
            "dns_config {\n  allow_stale = true\n  max_stale = \"2s\"\n  service_ttl {\n    \"*\" = \"0s\"\n    \
             rds = \"5s\"\n  }\n}\n",
        );
    }
    let mut process = registry.start_and_wait();
    let _agent = web.start_and_wait();
    register(&registry, "aws-rds", "db.example.org", "rds", "passing");
    register(&registry, "w9", &stage.address(109).to_string(), "web", "passing");
    // A start of either is a round in which an agent sets the catalog right: nothing of it is the agent's own.
    for round in 0..3 {
        for node in [&registry, &web] {
            let found = node.dns("rds.service.consul.", RecordType::A);
            assert_eq!(
                squeezed(&found.lines),
                ["rds.service.consul. 5 IN CNAME db.example.org."],
                "round {round}"
            );
            let found = node.dns("web.service.consul.", RecordType::A);
            let expected = format!("web.service.consul. 0 IN A {}", stage.address(109));
            assert_eq!(squeezed(&found.lines), [expected], "round {round}");
        }
        process.kill();
        process = registry.start_and_wait();
        let other = stage.agent(&format!("round{round}"), 20 + round);
        let _other = other.start_and_wait();
        web.wait_for_registry(&mut process);
    }
}

/// Records with single blanks.
fn squeezed(lines: &[String]) -> Vec<String> {
    lines.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn members_and_the_registrys_own_names_are_the_same_from_everywhere() {
    let stage = Stage::new();
    let (registry, web) = (stage.registry(), stage.agent("alpha.example.lan", 11));
    let _registry = registry.start_and_wait();
    let _agent = web.start_and_wait();
    web.put_ok("/v1/agent/service/register", r#"{"Name":"puppetmaster","Port":8140,"Tags":["puppet"]}"#);
    registry.wait_for_instances("puppetmaster?passing", &["puppetmaster"]);
    for node in [&registry, &web] {
        let (code, members) = node.ryo(&["members"]);
        let rows: Vec<Vec<&str>> = members.lines().map(|row| row.split_whitespace().collect()).collect();
        let head = ["Node", "Address", "Status", "Type", "Build", "Protocol", "DC", "Partition", "Segment"];
        assert_eq!((code, &rows[0][..]), (0, &head[..]), "{members}");
        let server = (format!("{}:8301", registry.address), "server", "<all>");
        let client = (format!("{}:8301", web.address), "client", "<default>");
        for (row, name, (address, kind, segment)) in
            [(&rows[1], "registry", server), (&rows[2], "alpha.example.lan", client)]
        {
            assert_eq!(row[..4], [name, &address, "alive", kind], "{members}");
            assert_eq!(row[5..], ["2", "dc1", "default", segment], "{members}");
        }
        assert_eq!(rows.len(), 3, "{members}");
        let any = node.dns("consul.service.dc1.consul.", RecordType::ANY);
        assert_eq!(any.answers, [registry.address.to_string()]);
        let srv = node.dns("puppetmaster.service.dc1.consul.", RecordType::SRV);
        assert_eq!(srv.answers, ["1 1 8140 alpha.example.lan.node.dc1.consul."]);
        let address = node.dns("alpha.example.lan.node.dc1.consul.", RecordType::A);
        assert_eq!(address.answers, [web.address.to_string()]);
    }
}

#[test]
fn a_folder_with_a_page_is_served_and_the_root_leads_to_it() {
    let stage = Stage::new();
    let page = stage.folder().join("page");
    fs::create_dir(&page).unwrap();
    fs::write(page.join("index.html"), "<h1>ours</h1>").unwrap();
    let (registry, web) = (stage.registry(), stage.agent("web1", 11));
    let folder = page.display().to_string();
    let start = |node: &Node| {
        let mut process = Process::start(node.command().args(["-ui-dir", &folder]), &node.folder.join("log"));
        node.wait_for_registry(&mut process);
        process
    };
    let _processes = [start(&registry), start(&web)];
    for node in [&registry, &web] {
        let shown = node.get("/ui/");
        assert_eq!((shown.status, shown.text.as_str()), (200, "<h1>ours</h1>"));
        // The client follows: the root answers with where the page is.
        assert_eq!(node.get("/").text, "<h1>ours</h1>");
    }
}

#[test]
fn the_built_in_page_is_on_every_node_where_it_is_asked_for() {
    let stage = Stage::new();
    let (registry, web) = (stage.registry(), stage.agent("web1", 11));
    let plain = stage.agent("web2", 12);
    for node in [&registry, &web] {
        node.write("ryo.d/ui.hcl", "ui_config = { enabled = true }\n");
    }
    // A folder without a page of its own, as old images name one.
    let empty = stage.folder().join("empty");
    fs::create_dir(&empty).unwrap();
    let old = stage.agent("web3", 13);
    old.write("ryo.d/ui.json", &json!({"ui_dir": empty}).to_string());
    let _processes = [&registry, &web, &plain, &old].map(|node| node.start_and_wait());
    for node in [&registry, &web, &old] {
        let page = node.get("/ui/");
        assert_eq!(page.status, 200, "{}", node.name);
        assert!(page.text.starts_with("<!doctype html>"), "{}", page.text);
        for (path, redirect) in [("/", "http/1.1 301"), ("/ui", "http/1.1 307")] {
            let (code, said) =
                run(Command::new("curl").args(["-sSi", &format!("http://{}{path}", node.http())]));
            let head = said.to_ascii_lowercase();
            assert!(code == 0 && head.starts_with(redirect) && head.contains("location: /ui/\r\n"), "{said}");
        }
    }
    assert_eq!((plain.get("/ui/").status, plain.get("/").status), (404, 200));
}

#[test]
fn port_53_answers_for_services_and_for_the_internet() {
    let Some(namespace) = Namespace::new() else { return };
    let stage = Stage::new();
    // dnsmasq stands for the internet.
    let mut dnsmasq = namespace.inside(DNSMASQ.path());
    dnsmasq.args([
        "--keep-in-foreground",
        "--no-resolv",
        "--no-hosts",
        "--pid-file=",
        "--user=root",
        "--port=5300",
    ]);
    let mut internet = Process::start(
        dnsmasq.args(["--listen-address=127.0.0.1", "--address=/example.org/192.0.2.7"]),
        &stage.folder().join("dnsmasq"),
    );
    let node = stage.registry();
    node.write(
        "ryo.d/dns.hcl",
        "ports { dns = 53 }\nrecursors = [\"127.0.0.1:5300\"]\naddresses { dns = \"127.0.0.1\" }\n\
         service {\n  name = \"mysql\"\n  address = \"172.17.0.104\"\n  port = 3306\n}\n",
    );
    let mut agent = namespace.inside(ryo().get_program());
    let mut agent = Process::start(
        agent.args(["agent", "-config-dir"]).arg(node.folder.join("ryo.d")),
        &node.folder.join("log"),
    );
    for (name, address) in [("mysql.service.consul", "172.17.0.104"), ("www.example.org", "192.0.2.7")] {
        until(LONG, &format!("getent finds {name}"), || {
            agent.must_run();
            internet.must_run();
            let (code, said) = run(namespace.inside("getent").args(["hosts", name]));
            let words: Vec<&str> = said.split_whitespace().collect();
            if code == 0 && words == [address, name] { Ok(()) } else { Err(format!("{code} {said}")) }
        });
    }
}
