//! HAProxy without a watcher: it asks an agent's DNS for a service's server, as project templates configure it.

use std::{net::SocketAddr, process::Command};

use hickory_proto::{op::ResponseCode, rr::RecordType};
use nix::sys::signal::Signal;

use crate::{
    ask::{LONG, http, until},
    process::{Process, installed},
    stage::{Node, Stage},
    web::Web,
};

const PORT: u16 = 8080;

/// The file that a proxy's container has, with times as long as HAProxy's own.
fn start_haproxy(stage: &Stage, frontend: SocketAddr, agent: &Node) -> Process {
    let folder = stage.folder().join("haproxy");
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("haproxy.cfg");
    let text = format!(
        "global\n  maxconn 100\n\
         defaults\n  mode http\n  timeout connect 1s\n  timeout client 10s\n  timeout server 10s\n\
         resolvers consul\n  nameserver consul {}\n  accepted_payload_size 8192\n\
         frontend in\n  bind {frontend}\n  default_backend web\n\
         backend web\n  server-template web 1 _web._tcp.service.consul resolvers consul resolve-prefer ipv4 \
         init-addr none check\n",
        agent.dns_server(),
    );
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(installed("haproxy", "haproxy"));
    Process::start(command.arg("-db").arg("-f").arg(file), &folder.join("log"))
}

/// A container's agent with the service `web`, whose check asks the web server on the container's address.
fn container(stage: &Stage, name: &str, host: u8) -> Node {
    let node = stage.agent(name, host);
    let check = format!("check {{ http = \"http://{}:{PORT}/\" interval = \"1s\" }}", node.address);
    node.write("ryo.d/web.hcl", &format!("service {{\n name = \"web\"\n port = {PORT}\n {check}\n}}\n"));
    node
}

#[test]
fn haproxy_finds_loses_and_finds_the_server_of_a_service() {
    let stage = Stage::new();
    let (registry, proxy) = (stage.registry(), stage.agent("proxy", 20));
    let [first, second] = [container(&stage, "web1", 11), container(&stage, "web2", 12)];
    let frontend = SocketAddr::new(stage.address(20), PORT);
    let mut haproxy = start_haproxy(&stage, frontend, &proxy);
    let mut becomes = |wanted: &str| {
        until(2 * LONG, &format!("the proxy answers {wanted}"), || {
            haproxy.must_run();
            let page = http(frontend, "GET", "/", b"")?;
            let text = if page.status == 200 { page.text.clone() } else { page.status.to_string() };
            if text == wanted { Ok(()) } else { Err(format!("{page:?}")) }
        });
    };
    // There is neither a registry nor an agent yet.
    becomes("503");
    let _registry = registry.start_and_wait();
    let _proxy = proxy.start_and_wait();
    let agent = first.start_and_wait();
    let serve = |node: &Node, text| Web::at((node.address, PORT).into(), text);
    let web = serve(&first, "one");
    becomes("one");

    drop(web);
    becomes("503");
    until(LONG, "the name is gone", || match proxy.dns("_web._tcp.service.consul.", RecordType::SRV).code {
        ResponseCode::NXDomain => Ok(()),
        code => Err(code.to_string()),
    });
    let _web = serve(&first, "one");
    becomes("one");

    // The service moves to another container.
    let _second = second.start_and_wait();
    let _other = serve(&second, "two");
    proxy.wait_for_instances("web?passing", &["web", "web"]);
    assert_eq!(agent.stop(Signal::SIGTERM), 0);
    becomes("two");
}
