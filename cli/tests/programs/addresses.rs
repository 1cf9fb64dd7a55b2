//! Addresses: chosen where nobody named one, awaited where it is not there yet, and of every kind.

use std::{fs, os::unix::fs::MetadataExt as _};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    ask::{LONG, until},
    namespace::Namespace,
    process::Process,
    stage::{Stage, list, run, ryo},
};

/// The JSON of a path, asked for inside; the agent may still be starting.
fn get(namespace: &Namespace, at: &str, path: &str, agent: &mut Process) -> Value {
    until(LONG, &format!("{at} answers {path}"), || {
        agent.must_run();
        let (code, said) = run(namespace
            .inside("curl")
            .args(["-sSfg", "--max-time", "5"])
            .arg(format!("http://{at}{path}")));
        if code != 0 {
            return Err(format!("{said}\n{}", agent.log()));
        }
        serde_json::from_str(&said).map_err(|e| format!("{e}: {said}"))
    })
}

#[test]
fn of_several_private_addresses_the_one_on_the_way_to_the_registry_is_advertised() {
    let Some(namespace) = Namespace::new() else { return };
    namespace.interface("one", &["10.1.0.5/24"]);
    namespace.interface("two", &["10.2.0.5/24"]);
    let stage = Stage::new();
    let node = stage.node_with("web1", 11, "retry_join = [\"10.2.0.1\"]");
    let mut agent = namespace.start(&node);
    let own = get(&namespace, "127.0.0.1:8500", "/v1/agent/self", &mut agent);
    assert_eq!(own["Member"]["Addr"], "10.2.0.5");
    let log = agent.log();
    assert!(
        log.contains("advertising 10.2.0.5, which the way to retry_join's first address leads through"),
        "{log}"
    );
    assert_eq!(log.matches("advertising").count(), 1, "{log}");
}

#[test]
fn without_a_private_address_there_is_still_one_to_advertise() {
    let Some(namespace) = Namespace::new() else { return };
    namespace.interface("wan", &["8.8.4.4/30"]);
    let stage = Stage::new();
    let node = stage.node_with("registry", 10, "server = true\nbootstrap_expect = 1");
    let mut agent = namespace.start(&node);
    let own = get(&namespace, "127.0.0.1:8500", "/v1/agent/self", &mut agent);
    assert_eq!(own["Member"]["Addr"], "8.8.4.4");
    assert!(
        agent.log().contains("advertising 8.8.4.4, for there is no private IPv4 address"),
        "{}",
        agent.log()
    );
}

#[test]
fn an_address_that_comes_later_is_waited_for() {
    for keys in ["server = true\nbootstrap_expect = 1", "retry_join = [\"127.0.0.1\"]"] {
        let Some(namespace) = Namespace::new() else { return };
        let stage = Stage::new();
        let addresses = "bind_addr = \"10.9.0.5\"\nclient_addr = \"10.9.0.5\"";
        let node = stage.node_with("late", 10, &format!("{addresses}\n{keys}"));
        let mut agent = namespace.start(&node);
        until(LONG, "it says that it waits", || {
            agent.must_run();
            if agent.log().contains("does not have the address yet: waiting") {
                Ok(())
            } else {
                Err(agent.log())
            }
        });
        namespace.interface("late", &["10.9.0.5/24"]);
        let own = get(&namespace, "10.9.0.5:8500", "/v1/agent/self", &mut agent);
        assert_eq!(own["Member"]["Addr"], "10.9.0.5");
        until(LONG, "DNS answers too", || {
            let (code, said) = namespace.ryo("10.9.0.5:8600", &["members"]);
            // Whatever DNS makes of a request of HTTP: somebody listens there.
            if code == 1 && !said.contains("connection refused") { Ok(()) } else { Err(said) }
        });
    }
}

#[test]
fn all_addresses_of_both_families_are_served_and_an_agent_joins_over_the_other_one() {
    let Some(namespace) = Namespace::new() else { return };
    namespace.interface("bridge", &["10.1.0.1/24", "fd10:10:10:1::1:1/64"]);
    namespace.interface("other", &["10.1.1.5/24"]);
    let stage = Stage::new();
    let v6 = "fd10:10:10:1::1:1";
    let keys = format!("server = true\nbootstrap_expect = 1\nbind_addr = \"{v6}\"\nclient_addr = \"{v6}\"");
    let registry = stage.node_with("registry", 10, &keys);
    let mut server = namespace.start(&registry);
    get(&namespace, &format!("[{v6}]:8500"), "/v1/status/leader", &mut server);

    // An agent that is bound to IPv4 alone, and serves its clients on everything.
    let keys = format!(
        "bind_addr = \"10.1.1.5\"\nclient_addr = \"[::]\"\nports {{ http = 8501\n dns = 8601 }}\nretry_join = [\"{v6}\"]"
    );
    let web = stage.node_with("web1", 11, &keys);
    let mut agent = namespace.start(&web);
    for at in ["127.0.0.1:8501", "[::1]:8501", "10.1.0.1:8501", &format!("[{v6}]:8501")] {
        get(&namespace, at, "/v1/agent/self", &mut agent);
    }
    until(LONG, "it has joined", || {
        let nodes = get(&namespace, "127.0.0.1:8501", "/v1/catalog/nodes", &mut agent);
        let web = list(&nodes).iter().find(|node| node["Node"] == "web1").cloned();
        web.filter(|web| web["Address"] == "10.1.1.5").ok_or(agent.log())
    });
    // IPv6 literals on the command line.
    let (code, said) = namespace.ryo(&format!("[{v6}]:8500"), &["members"]);
    assert!(code == 0 && said.contains(&format!("[{v6}]:8301")) && said.contains("10.1.1.5:8301"), "{said}");
    assert_eq!(agent.stop(Signal::SIGTERM), 0);
}

#[test]
fn templates_and_several_addresses_for_clients() {
    let Some(namespace) = Namespace::new() else { return };
    namespace.interface("eth0", &["10.1.0.5/24"]);
    namespace.interface("mgmt", &["192.168.7.1/24", "fd07::1/64"]);
    let stage = Stage::new();
    let keys = "server = true\nbootstrap_expect = 1\nbind_addr = \"{{ GetInterfaceIP \\\"eth0\\\" }}\"\n\
                client_addr = \"127.0.0.1 {{ GetAllInterfaces | include \\\"name\\\" \\\"mgmt\\\" | exclude \\\"rfc\\\" \\\"4291\\\" | join \\\"address\\\" \\\" \\\" }}\"\n\
                retry_join = [\"{{ GetInterfaceIPs \\\"nosuch\\\" }}\"]";
    let node = stage.node_with("registry", 10, keys);
    let mut agent = namespace.start(&node);
    for at in ["127.0.0.1:8500", "192.168.7.1:8500", "[fd07::1]:8500"] {
        let own = get(&namespace, at, "/v1/agent/self", &mut agent);
        assert_eq!(own["Member"]["Addr"], "10.1.0.5", "{at}");
    }
    let (code, _) =
        run(namespace.inside("curl").args(["-sS", "--max-time", "5", "http://10.1.0.5:8500/v1/agent/self"]));
    assert_eq!(code, 7, "eth0 is not for clients");
}

#[test]
fn unix_sockets_have_mode_and_owner_and_outlive_a_kill() {
    let stage = Stage::new();
    let node = stage.registry();
    let socket = stage.folder().join("http.sock");
    let own = fs::metadata(stage.folder()).unwrap();
    let keys = |path: &str, more: &str| {
        format!(
            "addresses {{ http = \"unix://{path} {}\" }}\nunix_sockets {{ mode = \"0660\"\n group = \"{}\" {more} }}\n",
            node.address,
            own.gid()
        )
    };
    let path = socket.display().to_string();
    node.write("ryo.d/socket.hcl", &keys(&path, ""));
    let at = format!("unix://{path}");
    let members = || run(ryo().arg("members").env("CONSUL_HTTP_ADDR", &at));
    node.start_and_wait().kill();
    assert!(socket.exists(), "kill -9 leaves the socket behind");
    let agent = node.start_and_wait();
    assert_eq!(fs::metadata(&socket).unwrap().mode() & 0o777, 0o660);
    let (code, said) = members();
    assert!(code == 0 && said.contains("registry"), "{said}");

    // Another agent does not take it away.
    let second = stage.agent("web1", 11);
    second.write("ryo.d/socket.hcl", &format!("addresses {{ http = \"{at}\" }}"));
    assert_eq!(second.start().ended(), 1);
    let log = fs::read_to_string(second.folder.join("log")).unwrap();
    assert!(log.contains("another program listens there"), "{log}");
    assert_eq!(members().0, 0, "the first one still answers");
    agent.stop(Signal::SIGTERM);
    assert!(!socket.exists(), "it goes with its agent");

    node.write("ryo.d/socket.hcl", &keys(&path, "\n user = \"no such user\""));
    assert_eq!(node.start().ended(), 1);
    let log = fs::read_to_string(node.folder.join("log")).unwrap();
    assert!(log.contains("unix_sockets.user") && log.contains("no such user"), "{log}");
}
