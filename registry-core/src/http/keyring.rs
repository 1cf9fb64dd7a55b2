//! `/v1/operator/keyring`: the shared key, which is the configuration's `encrypt` and cannot be changed here.

use std::collections::BTreeMap;

use http::Method;
use http_api::{Answer, ApiError, Call};
use link::{
    Key,
    calls::{self, Member, status},
};
use registry_wire::{base64, json::Unknown};
use serde::{Deserialize, Serialize};

use super::Api;

/// How many others may pass a request on, at most.
const RELAY_FACTOR_MAX: i64 = 5;
/// What a node says that has no key.
const EMPTY: &str = "Keyring is empty (encryption not enabled)";
/// The same to a change.
const NOTHING_TO_CHANGE: &str = "No keyring to modify (encryption not enabled)";

/// `GET`, `POST`, `PUT` and `DELETE`.
pub(super) async fn serve(api: Api, mut call: Call) -> Result<Answer, ApiError> {
    let changes = matches!(call.method, Method::POST | Method::PUT | Method::DELETE);
    let body: Body = if changes { call.decode(Unknown::Refuse).await? } else { Body::default() };
    if let Some(factor) = call.query.filled("relay-factor") {
        check_relay_factor(&factor)?;
    }
    let local_only = match call.query.filled("local-only").as_deref() {
        None | Some("false" | "0" | "f") => false,
        Some("true" | "1" | "t") => true,
        Some(other) => {
            return Err(ApiError::bad_request(format!(
                "Error parsing local-only: strconv.ParseBool: parsing {other:?}: invalid syntax"
            )));
        }
    };
    if local_only && call.method != Method::GET {
        return Err(ApiError::bad_request(
            "Invalid use of local-only: local-only can only be set for list requests",
        ));
    }
    let pools = pools(&api, !local_only).await;
    let fault = match (&api.registry().settings().encrypt, base64::decode(&body.key)) {
        // A text that is no key is refused before any node is asked.
        (_, Err(text)) if changes => Fault::Text(text.to_string()),
        (None, _) => Fault::Nodes(if changes { NOTHING_TO_CHANGE } else { EMPTY }.to_owned()),
        (Some(own), Ok(key)) if changes => match change(&call.method, &key, own)? {
            Some(why) => Fault::Nodes(why),
            None => return Ok(Answer::done()),
        },
        (Some(own), _) => return Ok(Answer::json(&shown(&pools, own))),
    };
    Err(ApiError::internal(failures(&pools, &fault)))
}

/// What a change of the keyring comes to, where there is a key: `None` is done, for it is so already; else each node's words.
///
/// The key is the configuration's and holds for as long as the program runs, so that a second one cannot be installed.
fn change(method: &Method, key: &[u8], own: &Key) -> Result<Option<String>, ApiError> {
    let is_own = key == own.secret();
    let fault = match *method {
        Method::POST => Key::new(key).err().map(|unfit| unfit.to_string()),
        Method::PUT => (!is_own).then(|| "Requested key is not in the keyring".to_owned()),
        _ => is_own.then(|| "Removing the primary key is not allowed".to_owned()),
    };
    if *method == Method::POST && fault.is_none() && !is_own {
        return Err(ApiError::absent(
            "a second key beside the configured one (to change it, set \"encrypt\" on every node and restart them)",
        ));
    }
    Ok(fault)
}

/// Nodes that share a key.
struct Pool {
    wan: bool,
    datacenter: String,
    members: Vec<String>,
}

/// This datacenter's nodes and, beyond local questions, the servers of all datacenters and the nodes of each.
async fn pools(api: &Api, everywhere: bool) -> Vec<Pool> {
    let (registry, settings) = (api.registry(), api.registry().settings());
    let lan = |datacenter: &str, members| Pool { wan: false, datacenter: datacenter.to_owned(), members };
    let own = lan(&settings.datacenter, alive(registry.leases().members()));
    if !everywhere || settings.serf_wan.is_none() {
        return vec![own];
    }
    let servers = alive(registry.wan().members());
    let mut pools = vec![Pool { wan: true, datacenter: settings.datacenter.clone(), members: servers }, own];
    for datacenter in &registry.wan().datacenters()[1..] {
        // One that does not answer is left out, like a node that does not.
        if let Some(members) = registry.wan().get(datacenter, calls::MEMBERS).await {
            pools.push(lan(datacenter, alive(members)));
        }
    }
    pools
}

fn alive(members: Vec<Member>) -> Vec<String> {
    members.into_iter().filter(|member| member.status == status::ALIVE).map(|member| member.name).collect()
}

/// The keys of each pool: every node of it has the one.
fn shown(pools: &[Pool], own: &Key) -> Vec<PoolKeys> {
    let key = base64::encode(own.secret());
    let of = |pool: &Pool| {
        let keys = BTreeMap::from([(key.clone(), pool.members.len())]);
        PoolKeys {
            wan: pool.wan,
            datacenter: pool.datacenter.clone(),
            segment: "",
            primary_keys: keys.clone(),
            keys,
            num_nodes: pool.members.len(),
        }
    };
    pools.iter().map(of).collect()
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PoolKeys {
    #[serde(rename = "WAN")]
    wan: bool,
    datacenter: String,
    segment: &'static str,
    keys: BTreeMap<String, usize>,
    primary_keys: BTreeMap<String, usize>,
    num_nodes: usize,
}

/// Why a question about the keyring fails.
enum Fault {
    /// The key is no base64.
    Text(String),
    /// Every node says this.
    Nodes(String),
}

/// What each pool of members answered, as one text.
fn failures(pools: &[Pool], fault: &Fault) -> String {
    let mut lines = Vec::new();
    for pool in pools {
        let name = if pool.wan { "WAN".to_owned() } else { format!("{} (LAN)", pool.datacenter) };
        match fault {
            Fault::Text(text) => lines.push(format!("{name} error: {text}")),
            Fault::Nodes(why) => {
                let count = pool.members.len();
                lines.push(format!("{name} error: {count}/{count} nodes reported failure"));
                lines.extend(pool.members.iter().map(|member| format!("{member}: {why}")));
            }
        }
    }
    let errors = if lines.len() == 1 { "error" } else { "errors" };
    format!("{} {errors} occurred:\n\t* {}\n\n", lines.len(), lines.join("\n\t* "))
}

#[derive(Default, Deserialize)]
#[serde(rename = "agent.keyringArgs", rename_all = "PascalCase", default)]
struct Body {
    key: String,
}

fn check_relay_factor(text: &str) -> Result<(), ApiError> {
    let factor: i64 = text.parse().map_err(|_| {
        ApiError::bad_request(format!(
            "Error parsing relay factor: strconv.Atoi: parsing {text:?}: invalid syntax"
        ))
    })?;
    if (0..=RELAY_FACTOR_MAX).contains(&factor) {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "Invalid relay-factor: Relay factor must be in range: [0, {RELAY_FACTOR_MAX}]"
    )))
}
