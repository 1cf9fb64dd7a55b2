//! Checks: each kind's verdict reaches the catalog, and DNS follows it.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering::Relaxed},
    },
};

use hickory_proto::rr::RecordType;

use crate::{
    ask::{LONG, until},
    stage::{Node, Stage, list},
};

/// Answers every request with the status that is set.
fn answer(listener: TcpListener, status: Arc<AtomicU16>) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = [0; 1024];
            let _ = stream.read(&mut asked);
            let head = format!("HTTP/1.1 {} x\r\nContent-Length: 2\r\n\r\nok", status.load(Relaxed));
            let _ = stream.write_all(head.as_bytes());
        }
    });
}

/// Waits until the service's own check has this status, and DNS gives the service unless it is critical.
fn becomes(node: &Node, service: &str, status: &str) {
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
    let (code, status) = (node.write("code", "0"), Arc::new(AtomicU16::new(200)));
    let web = TcpListener::bind((node.address, 0)).unwrap();
    let (web_at, port) = (web.local_addr().unwrap(), TcpListener::bind((node.address, 0)).unwrap());
    let port_at = port.local_addr().unwrap();
    answer(web, status.clone());
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
    status.store(429, Relaxed);
    becomes(&node, "script", "warning");
    becomes(&node, "http", "warning");
    fs::write(&code, "2").unwrap();
    status.store(500, Relaxed);
    drop(port);
    for service in ["script", "http", "tcp", "ttl"] {
        becomes(&node, service, "critical");
    }
    let said = node.get("/v1/health/checks/tcp").json();
    assert_eq!(list(&said)[0]["Output"], format!("dial tcp {port_at}: connect: connection refused"));
    let said = node.get("/v1/health/checks/ttl").json();
    assert!(list(&said)[0]["Output"].as_str().unwrap().starts_with("TTL expired"), "{said}");

    fs::write(&code, "0").unwrap();
    status.store(204, Relaxed);
    let _port = TcpListener::bind(port_at).unwrap();
    for service in ["script", "http", "tcp"] {
        becomes(&node, service, "passing");
    }
}
