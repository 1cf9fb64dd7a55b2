//! Changed files: by a signal, by themselves, and refused; and what `validate` says of them beforehand.

use std::{fs, time::Duration};

use nix::sys::signal::Signal;

use crate::{
    ask::{LONG, pause, until},
    stage::{Node, Stage, run, ryo},
};

fn service(name: &str) -> String {
    format!("service {{\n name = \"{name}\"\n port = 80\n}}\n")
}

/// Waits until a node's role in the catalog is this.
fn wait_for_role(registry: &Node, node: &str, role: &str) {
    until(LONG, &format!("{node} has the role {role}"), || {
        let page = registry.try_get(&format!("/v1/catalog/node/{node}"))?;
        if page.json()["Node"]["Meta"]["role"] == role { Ok(()) } else { Err(page.text) }
    });
}

#[test]
fn changed_files_are_taken_over_by_themselves_only_where_that_is_asked_for() {
    let stage = Stage::new();
    let (quiet, eager) = (stage.registry(), stage.agent("web1", 11));
    eager.write("ryo.d/auto.hcl", "auto_reload_config = true\n");
    let quiet_agent = quiet.start_and_wait();
    let agent = eager.start_and_wait();
    eager.write("ryo.d/web.hcl", &service("web"));
    quiet.write("ryo.d/db.hcl", &service("db"));
    quiet.wait_for_instances("web", &["web"]);

    // A file that is wrong changes nothing, and the log says where it is wrong.
    eager.write("ryo.d/web.hcl", "service {\n name = \"web\"\n prot = 80\n}\n");
    until(LONG, "the refusal is logged", || {
        let log = agent.log();
        let says = log.contains("keeping the old")
            && log.contains("web.hcl:3:2")
            && log.contains("did you mean \\\"port\\\"");
        if says { Ok(()) } else { Err(log) }
    });
    assert_eq!(quiet.instances("web"), ["web"]);
    fs::remove_file(eager.folder.join("ryo.d/web.hcl")).unwrap();
    eager.write("ryo.d/web2.hcl", &service("web2"));
    quiet.wait_for_instances("web2", &["web2"]);
    quiet.wait_for_instances("web", &[]);

    // The other agent has not looked in all that time.
    assert_eq!(quiet.instances("db"), [""; 0]);
    quiet_agent.signal(Signal::SIGHUP);
    quiet.wait_for_instances("db", &["db"]);
}

#[test]
fn an_address_that_a_reload_adds_is_joined() {
    let stage = Stage::new();
    let (registry, web) = (stage.registry(), stage.agent("web1", 11));
    let file = fs::read_to_string(web.folder.join("ryo.d/ryo.hcl")).unwrap();
    let nobody = stage.address(99);
    web.write("ryo.d/ryo.hcl", &file.replace(&format!("\"{}\"", registry.address), &format!("\"{nobody}\"")));
    let _registry = registry.start_and_wait();
    let mut agent = web.start();
    until(LONG, "it says that nobody answers", || {
        let log = agent.log();
        if log.contains("Join cluster failed, will retry") { Ok(()) } else { Err(log) }
    });
    // The old address stays: a list only grows.
    web.write("ryo.d/join.hcl", &format!("retry_join = [\n  \"{}\",\n]\n", registry.address));
    agent.signal(Signal::SIGHUP);
    web.wait_for_registry(&mut agent);
}

#[test]
fn the_meta_of_a_node_follows_its_file() {
    let stage = Stage::new();
    let (registry, web) = (stage.registry(), stage.agent("web1", 11));
    let role = |role: &str| format!("node_meta {{\n role = \"{role}\"\n}}\n");
    web.write("ryo.d/meta.hcl", &role("old"));
    registry.write("ryo.d/meta.hcl", &role("old"));
    let server = registry.start_and_wait();
    let agent = web.start_and_wait();
    wait_for_role(&registry, "web1", "old");
    wait_for_role(&registry, "registry", "old");
    for (node, process) in [(&web, &agent), (&registry, &server)] {
        node.write("ryo.d/meta.hcl", &role("new"));
        process.signal(Signal::SIGHUP);
        wait_for_role(&registry, &node.name, "new");
    }
    // Two signs of life later it is still so.
    pause(Duration::from_millis(2500));
    wait_for_role(&registry, "web1", "new");
    wait_for_role(&registry, "registry", "new");
}

#[test]
fn validate_says_what_the_agent_would_say() {
    for (file, text) in [
        ("z.hcl", "service {\n name = \"web\n}"),
        ("z.hcl", "nosuch = 1\nrecusors = []\n"),
        ("z.hcl", "server = \"perhaps\"\n"),
        ("z.hcl", "service { name = \"a\" }\nservice { name = \"b\" }\n"),
        ("z.hcl", "ports { http = 70000 }\n"),
        ("z.hcl", "datacenter = \"a b\"\n"),
        ("z.hcl", "bootstrap = true\n"),
        ("z.hcl", "bind_addr = \"{{ Nope }}\"\n"),
        ("z.hcl", "advertise_addr = \"{{ Nope }}\"\nclient_addr = \"x\"\n"),
        ("z.hcl", "advertise_addr_ipv4 = \"::1\"\n"),
        ("z.hcl", "retry_join = [\"{{ GetAllInterfaces | include \\\"network\\\" \\\"bad\\\" }}\"]\n"),
        ("z.hcl", "addresses { dns = \"unix:///x\" }\n"),
        ("z.hcl", "encrypt = \"short\"\n"),
        ("z.hcl", "segment = \"x\"\n"),
        ("z.hcl", "check {\n name = \"c\"\n tcp = \"x:1\"\n}\n"),
        ("z.hcl", "check {\n name = \"c\"\n args = [\"true\"]\n interval = \"5s\"\n}\n"),
        ("z.hcl", "watches = [{ type = \"nosuch\" args = [\"true\"] }]\n"),
        ("z.json", "{\"watches\": [{\"type\": \"key\", \"key\": \"a\"}]}"),
        ("z.json", "{\"service\": {\"name\": \"x\", \"weights\": {\"passing\": 0}}}"),
        ("z.json", "{"),
    ] {
        let stage = Stage::new();
        let node = stage.agent("web1", 11);
        node.write(&format!("ryo.d/{file}"), text);
        let (code, said) = run(ryo().arg("validate").arg(node.folder.join("ryo.d")));
        assert_eq!(code, 1, "{text}: {said}");
        let validated =
            said.split_once("Config validation failed: ").unwrap_or_else(|| panic!("{text}: {said}")).1;
        let (code, started) = run(&mut node.command());
        assert_eq!(code, 1, "{text}: {started}");
        let started = started.rsplit_once("==> ").unwrap_or_else(|| panic!("{text}: {started}")).1;
        assert_eq!(started.trim(), validated.trim(), "{text}");
    }
}
