//! `services`: registers instances with the local agent, and takes them away.

use std::collections::BTreeMap;

use agent::config::{self, Flags};
use clap::{Args, Subcommand};
use daemon::Exit;
use registry_client::{Client, Request};
use serde_json::{Map, Value, json};

use super::export::{Export, Exported};
use crate::{
    client::{AskFlags, succeed},
    flags::{Pair, go_int, pair},
    output::{failure, line, told},
};

/// Register and deregister services with the local agent
#[derive(Debug, Subcommand)]
pub(crate) enum Services {
    /// Deregister services with the local agent
    Deregister(Box<Deregister>),
    /// Let other clusters see a service
    Export(Export),
    /// List the services that other clusters may see
    #[command(name = "exported-services")]
    Exported(Exported),
    /// Register services with the local agent
    Register(Box<Register>),
}

/// Register services with the local agent
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  ryo services register web.hcl\n  \
    ryo services register -name=web -port=8080 -tag=v1\n\nExit codes: 0 done, 1 refused or no answer")]
pub(crate) struct Register {
    /// The instance's own address, when it is not the node's
    #[arg(long, default_value = "", value_name = "ADDRESS", hide_default_value = true)]
    address: String,
    /// The instance's id; its name when not given
    #[arg(long, default_value = "", value_name = "ID", hide_default_value = true)]
    id: String,
    /// The kind, for proxies and gateways
    #[arg(long, default_value = "", value_name = "KIND", hide_default_value = true)]
    kind: String,
    /// A pair of the instance's meta data (repeatable)
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    meta: Vec<Pair>,
    /// The service's name
    #[arg(long, default_value = "", value_name = "NAME", hide_default_value = true)]
    name: String,
    /// The instance's port
    #[arg(long, default_value_t = 0, value_name = "PORT", hide_default_value = true, value_parser = go_int)]
    port: i64,
    /// The instance's Unix socket, instead of address and port
    #[arg(long, default_value = "", value_name = "PATH", hide_default_value = true)]
    socket: String,
    /// A tag (repeatable)
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// A further address under a name: `lan=10.0.0.7:90` (repeatable)
    #[arg(long, value_name = "NAME=ADDRESS", value_parser = pair)]
    tagged_address: Vec<Pair>,
    #[command(flatten)]
    ask: AskFlags,
    /// Files with `service` blocks, HCL or JSON
    #[arg(value_name = "FILE")]
    words: Vec<String>,
}

/// Deregister services with the local agent
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  ryo services deregister -id=web-1\n  ryo services deregister web.hcl\n\n\
    Exit codes: 0 done, 1 refused or no answer"
)]
pub(crate) struct Deregister {
    /// The instance's id
    #[arg(long, default_value = "", value_name = "ID", hide_default_value = true)]
    id: String,
    #[command(flatten)]
    ask: AskFlags,
    /// The files that the instances were registered with
    #[arg(value_name = "FILE")]
    words: Vec<String>,
}

impl Services {
    pub(crate) fn run(self) -> Exit {
        match self {
            Self::Deregister(command) => command.run(),
            Self::Export(command) => command.run(),
            Self::Exported(command) => command.run(),
            Self::Register(command) => command.run(),
        }
    }
}

impl Register {
    fn run(self) -> Exit {
        let bodies = match (self.words.is_empty(), self.name.is_empty()) {
            (true, true) => {
                return failure("Service registration requires at least one argument or flags.");
            }
            (false, false) => return failure("Service registration requires arguments or -id, not both."),
            (true, false) if has_port(&self.address) => {
                return failure(
                    "Invalid Service address when using CLI flags. Use -port flag instead: \
                     address should not contain port",
                );
            }
            (true, false) => match self.body() {
                Ok(body) => vec![body],
                Err(why) => return failure(why),
            },
            (false, true) => match of_files(&self.words) {
                Ok(bodies) => bodies,
                Err(e) => return failure(e),
            },
        };
        self.ask.run(async |client| register(&client, &self.ask, &bodies).await)
    }

    /// What the flags say, as the agent's API reads it.
    fn body(&self) -> Result<Value, String> {
        let meta: BTreeMap<_, _> = self.meta.iter().map(|pair| (&pair.name, &pair.value)).collect();
        let address = |pair: &Pair| {
            let address = address(&pair.value).map_err(|why| format!("Invalid Tagged address: {why}"));
            Ok::<_, String>((pair.name.clone(), address?))
        };
        let tagged: BTreeMap<_, _> = self.tagged_address.iter().map(address).collect::<Result<_, _>>()?;
        Ok(json!({
            "Kind": self.kind, "ID": self.id, "Name": self.name, "Port": self.port, "Address": self.address,
            "SocketPath": self.socket, "Tags": self.tag, "Meta": meta, "TaggedAddresses": tagged,
        }))
    }
}

impl Deregister {
    fn run(self) -> Exit {
        let ids = match (self.words.is_empty(), &*self.id) {
            (true, "") => return failure("Service deregistration requires at least one argument or -id."),
            (true, id) => vec![(String::new(), id.to_owned())],
            (false, "") => match of_files(&self.words) {
                Ok(bodies) => bodies.iter().map(name_and_id).collect(),
                Err(e) => return failure(e),
            },
            (false, _) => return failure("Service deregistration requires arguments or -id, not both."),
        };
        self.ask.run(async |client| {
            for (name, id) in &ids {
                let path = Request::path_to("/v1/agent/service/deregister", id);
                if let Err(e) = succeed(&client, &self.ask.apply(Request::put(path, ""))).await {
                    return failure(format!("Error deregistering service {name:?}: {e}"));
                }
                if !self.ask.json() {
                    line(format!("Deregistered service: {id}"));
                }
            }
            let ids: Vec<&String> = ids.iter().map(|(_, id)| id).collect();
            told(self.ask.json(), &json!({ "Deregistered": ids }))
        })
    }
}

async fn register(client: &Client, ask: &AskFlags, bodies: &[Value]) -> Exit {
    for body in bodies {
        let name = body["Name"].as_str().unwrap_or_default();
        let request = Request::put("/v1/agent/service/register", body.to_string());
        if let Err(e) = succeed(client, &ask.apply(request)).await {
            return failure(format!("Error registering service {name:?}: {e}"));
        }
        if !ask.json() {
            line(format!("Registered service: {name}"));
        }
    }
    let names: Vec<&Value> = bodies.iter().map(|body| &body["Name"]).collect();
    told(ask.json(), &json!({ "Registered": names }))
}

fn name_and_id(body: &Value) -> (String, String) {
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    match text("Id") {
        id if id.is_empty() => (text("Name"), text("Name")),
        id => (text("Name"), id),
    }
}

/// The services of these files, as the agent's API reads them.
fn of_files(files: &[String]) -> Result<Vec<Value>, String> {
    let found = config::services(&Flags::of_sources(files.to_vec(), None));
    let found = found.map_err(|e| format!("Error: {e}"))?;
    Ok(found.into_iter().map(|service| for_api(service, false)).collect())
}

/// Names of a file as names of the API: `tagged_addresses` becomes `TaggedAddresses`.
///
/// The API does not look at the case of letters. What users name themselves stays as it is.
fn for_api(value: Value, in_check: bool) -> Value {
    match value {
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|e| field_for_api(e, in_check)).collect())
        }
        Value::Array(items) => items.into_iter().map(|item| for_api(item, in_check)).collect(),
        plain => plain,
    }
}

fn field_for_api((name, value): (String, Value), in_check: bool) -> (String, Value) {
    match &*name {
        "id" if in_check => ("CheckID".into(), value),
        "meta" | "header" | "config" => (pascal(&name), value),
        "tagged_addresses" => {
            let named: Map<String, Value> = match value {
                Value::Object(fields) => {
                    fields.into_iter().map(|(name, value)| (name, for_api(value, false))).collect()
                }
                _ => Map::new(),
            };
            (pascal(&name), named.into())
        }
        "check" | "checks" => (pascal(&name), for_api(value, true)),
        _ => (pascal(&name), for_api(value, in_check)),
    }
}

fn pascal(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters
            .next()
            .map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
            .unwrap_or_default()
    };
    name.split('_').map(word).collect()
}

/// `10.0.0.7:90` as the API writes an address. Errors in Go's words when there is no port, or none that is a number.
fn address(text: &str) -> Result<Value, String> {
    let wrong = |what: &str| Err(format!("address {text}: {what}"));
    let Some((host, port)) = text.rsplit_once(':') else { return wrong("missing port in address") };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = match bare {
        Some(bare) => bare,
        None if text.ends_with(']') => return wrong("missing port in address"),
        None if host.contains(':') => return wrong("too many colons in address"),
        None => host,
    };
    let port: i64 = port.parse().map_err(|_| format!("strconv.Atoi: parsing {port:?}: invalid syntax"))?;
    Ok(json!({"Address": host, "Port": port}))
}

/// Whether a port follows the host. An IPv6 address has one only behind brackets.
fn has_port(text: &str) -> bool {
    match text.rsplit_once(':') {
        Some((host, port)) => {
            (!host.contains(':') || host.ends_with(']')) && !port.is_empty() && port.parse::<u16>().is_ok()
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{address, for_api, has_port};

    #[test]
    fn names_of_files_become_names_of_the_api() {
        let service = json!({
            "name": "web", "meta": {"a_b": "c"}, "tagged_addresses": {"lan_ipv4": {"address": "a", "port": 1}},
            "checks": [{"id": "c1", "tls_skip_verify": true, "header": {"x_y": ["z"]}}],
        });
        let wanted = json!({
            "Name": "web", "Meta": {"a_b": "c"}, "TaggedAddresses": {"lan_ipv4": {"Address": "a", "Port": 1}},
            "Checks": [{"CheckID": "c1", "TlsSkipVerify": true, "Header": {"x_y": ["z"]}}],
        });
        assert_eq!(for_api(service, false), wanted);
    }

    #[test]
    fn an_address_may_hold_a_port() {
        assert_eq!(address("10.0.0.7:90"), Ok(json!({"Address": "10.0.0.7", "Port": 90})));
        assert_eq!(address("[::1]:90"), Ok(json!({"Address": "::1", "Port": 90})));
        assert_eq!(address("::1"), Err("address ::1: too many colons in address".into()));
        assert_eq!(address("[::1]"), Err("address [::1]: missing port in address".into()));
        assert_eq!(address("a"), Err("address a: missing port in address".into()));
        assert_eq!(address("a:x"), Err("strconv.Atoi: parsing \"x\": invalid syntax".into()));
        assert!(!has_port("db.example") && has_port("db.example:1"));
    }
}
