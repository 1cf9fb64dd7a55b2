//! Checks: each kind's verdict reaches the catalog, and DNS follows it.

use std::{fs, net::TcpListener};

use hickory_proto::rr::RecordType;

use crate::{
    ask::{LONG, until},
    stage::{Node, Stage, list},
    web::Web,
};

/// Waits until the service's own check has this status, and DNS gives the service unless it is critical.
pub(crate) fn becomes(node: &Node, service: &str, status: &str) {
    until(LONG, &format!("{service} is {status}"), || {
        let checks = node.try_get(&format!("/v1/health/checks/{service}"))?.json();
        let now = list(&checks).first().map(|check| check["Status"].clone()).unwrap_or_default();
        let found = !node.dns(&format!("{service}.service.consul."), RecordType::A).answers.is_empty();
        if now == status && found == (status != "critical") { Ok(()) } else { Err(checks.to_string()) }
    });
}

#[test]
fn the_verdict_of_each_kind_reaches_the_catalog_and_dns() {
    let stage = Stage::new();
    let node = stage.registry();
    let (code, web) = (node.write("code", "0"), Web::at((node.address, 0).into(), "ok"));
    let (web_at, port) = (web.address(), TcpListener::bind((node.address, 0)).unwrap());
    let port_at = port.local_addr().unwrap();
    let services = format!(
        "enable_local_script_checks = true\n\
         services {{ name = \"script\" port = 1 check {{ args = [\"/bin/sh\", \"-c\", \"exit $(cat {})\"] interval = \"1s\" }} }}\n\
         services {{ name = \"http\" port = 2 check {{ http = \"http://{web_at}/\" interval = \"1s\" }} }}\n\
         services {{ name = \"tcp\" port = 3 check {{ tcp = \"{port_at}\" interval = \"1s\" }} }}\n\
         services {{ name = \"ttl\" port = 4 check {{ id = \"beat\" ttl = \"2s\" }} }}\n",
        code.display()
    );
    node.write("ryo.d/services.hcl", &services);
    let _process = node.start_and_wait();
    for service in ["script", "http", "tcp"] {
        becomes(&node, service, "passing");
    }
    node.put_ok("/v1/agent/check/pass/beat", "");
    becomes(&node, "ttl", "passing");

    fs::write(&code, "1").unwrap();
    web.set_status(429);
    becomes(&node, "script", "warning");
    becomes(&node, "http", "warning");
    fs::write(&code, "2").unwrap();
    web.set_status(500);
    drop(port);
    for service in ["script", "http", "tcp", "ttl"] {
        becomes(&node, service, "critical");
    }
    let said = node.get("/v1/health/checks/tcp").json();
    assert_eq!(list(&said)[0]["Output"], format!("dial tcp {port_at}: connect: connection refused"));
    let said = node.get("/v1/health/checks/ttl").json();
    assert!(list(&said)[0]["Output"].as_str().unwrap().starts_with("TTL expired"), "{said}");

    fs::write(&code, "0").unwrap();
    web.set_status(204);
    let _port = TcpListener::bind(port_at).unwrap();
    for service in ["script", "http", "tcp"] {
        becomes(&node, service, "passing");
    }
}
