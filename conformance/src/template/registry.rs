//! The registry behind the watcher, with the fixture's data.

use std::{collections::BTreeMap, fs, io, net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context as _, bail};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    client::{Request, encode},
    subject::{self, Ports, Server},
};

/// A running registry.
pub(crate) struct Registry {
    server: Server,
}

/// The data that all cases of a file start from.
#[derive(Debug, Deserialize)]
struct Fixture {
    #[serde(default)]
    kv: BTreeMap<String, Value>,
    #[serde(default)]
    catalog: Vec<Value>,
}

impl Registry {
    /// Starts an empty registry and loads the fixture.
    pub(crate) fn start(command: &str, bin: &Path, fixture: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(fixture).with_context(|| fixture.display().to_string())?;
        let fixture: Fixture = serde_json::from_str(&text)?;
        let config = |ports: &Ports, folder: &Path| {
            json!({
                "node_name": "agent-one",
                "node_id": "00000000-0000-4000-8000-000000000001",
                "datacenter": "dc1",
                "data_dir": folder.join("data"),
                "bind_addr": "127.0.0.1",
                "client_addr": "127.0.0.1",
                "log_level": "err",
                "disable_update_check": true,
                "ports": subject::ports_config(ports, false),
            })
        };
        let registry = Self { server: Server::start(command, bin, config, is_ready)? };
        for (key, value) in &fixture.kv {
            registry.kv_put(key, value)?;
        }
        for body in &fixture.catalog {
            registry.register(body)?;
        }
        Ok(registry)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.server.http()
    }

    /// Writes a key: a text, or an object with `value` or `base64`, and `flags`.
    pub(super) fn kv_put(&self, key: &str, value: &Value) -> anyhow::Result<()> {
        let flags = value.get("flags").map_or_else(String::new, |flags| format!("?flags={flags}"));
        let data = match (value, value.get("base64").and_then(Value::as_str)) {
            (Value::String(text), _) => text.clone().into_bytes(),
            (_, Some(coded)) => BASE64_STANDARD.decode(coded)?,
            _ => value.get("value").and_then(Value::as_str).unwrap_or_default().into(),
        };
        self.call("PUT", &format!("{}{flags}", kv_path(key)), data)
    }

    /// Deletes a key, or with `recurse` all keys below it.
    pub(super) fn kv_delete(&self, key: &str, recurse: bool) -> anyhow::Result<()> {
        let query = if recurse { "?recurse=true" } else { "" };
        self.call("DELETE", &format!("{}{query}", kv_path(key)), Vec::new())
    }

    /// Registers in the catalog.
    pub(super) fn register(&self, body: &Value) -> anyhow::Result<()> {
        self.call("PUT", "/v1/catalog/register", body.to_string().into())
    }

    /// Takes out of the catalog.
    pub(super) fn deregister(&self, body: &Value) -> anyhow::Result<()> {
        self.call("PUT", "/v1/catalog/deregister", body.to_string().into())
    }

    fn call(&self, method: &str, path: &str, body: Vec<u8>) -> anyhow::Result<()> {
        let answer = Request::with_body(method, path, body).send(self.address(), Duration::from_secs(10))?;
        if answer.status != 200 {
            bail!("the registry: {method} {path}: {} {}", answer.status, answer.text());
        }
        Ok(())
    }
}

/// Ready means: a leader, and its own node in the catalog.
fn is_ready(server: &Server) -> bool {
    let get = |path| -> io::Result<String> { Ok(server.get(path)?.text().trim().to_owned()) };
    let has_leader = get("/v1/status/leader").is_ok_and(|leader| !matches!(leader.as_str(), "" | "\"\""));
    has_leader && get("/v1/catalog/nodes").is_ok_and(|nodes| nodes.contains("agent-one"))
}

fn kv_path(key: &str) -> String {
    format!("/v1/kv/{}", encode(key))
}
