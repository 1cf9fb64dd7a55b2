//! What the tools put into a registry before they load it.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, ensure};
use conformance::client::Request;
use serde_json::{Value, json};

/// Instances of the large service.
const INSTANCES: u8 = 50;
/// The large service.
pub(crate) const LARGE: &str = "fifty";
/// A service of one instance.
pub(crate) const SMALL: &str = "one";

/// Registers the service of fifty passing instances on nodes of their own, and the one of a single instance.
pub(crate) fn services(address: SocketAddr) -> anyhow::Result<()> {
    for i in 0..INSTANCES {
        let id = format!("{LARGE}-{i}");
        let service = json!({ "ID": id, "Service": LARGE, "Tags": ["a", "b"], "Port": 8000 + u16::from(i) });
        let check = json!({ "CheckID": format!("service:{id}"), "Name": "answers", "Status": "passing", "ServiceID": id });
        let (node, host) = (format!("host-{i}"), format!("127.0.1.{}", i + 1));
        register(address, &json!({ "Node": node, "Address": host, "Service": service, "Check": check }))?;
    }
    let small = json!({ "Service": SMALL, "Port": 1 });
    register(address, &json!({ "Node": "host-one", "Address": "127.0.2.1", "Service": small }))
}

/// A registration of a service with one passing check.
pub(crate) fn checked(service: &str) -> Value {
    let mut registration = check(service, "passing");
    registration["Service"] = json!({ "Service": service, "Port": 80 });
    registration
}

/// The same service with another tag.
pub(crate) fn tagged(service: &str, tag: &str) -> Value {
    let mut registration = checked(service);
    registration["Service"]["Tags"] = json!([tag]);
    registration
}

/// A registration that changes that check's status.
pub(crate) fn check(service: &str, status: &str) -> Value {
    let check = json!({ "CheckID": service, "Name": "answers", "Status": status, "ServiceID": service });
    json!({ "Node": "host-wait", "Address": "127.0.0.9", "Check": check })
}

/// `PUT /v1/catalog/register`.
pub(crate) fn register(address: SocketAddr, registration: &Value) -> anyhow::Result<()> {
    put(address, "/v1/catalog/register", &registration.to_string())
}

/// `PUT path`; errors unless the answer is 200.
pub(crate) fn put(address: SocketAddr, path: &str, body: &str) -> anyhow::Result<()> {
    let request = Request::with_body("PUT", path, body);
    let answer =
        request.send(address, Duration::from_secs(10)).with_context(|| format!("PUT {path} at {address}"))?;
    ensure!(answer.status == 200, "PUT {path}: {} {}", answer.status, answer.text().trim());
    Ok(())
}
