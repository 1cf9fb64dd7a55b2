//! `keygen` and `keyring`: the key that the nodes of a fleet share.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use clap::Args;
use daemon::Exit;
use registry_client::{Client, Request, RequestError};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::cluster::usage;
use crate::{
    client::{ClientFlags, NoWords, succeed},
    flags::go_int,
    output::{JsonFlag, failure, line, show},
};

/// Make a new key
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  ryo keygen\n\nExit codes: 0 printed")]
pub(crate) struct Keygen {
    #[command(flatten)]
    as_json: JsonFlag,
    #[command(flatten)]
    no_words: NoWords,
}

impl Keygen {
    pub(crate) fn run(self) -> Exit {
        let key = BASE64_STANDARD.encode(rand::random::<[u8; 32]>());
        show(self.as_json.json, &json!({ "Key": key }), || key.clone())
    }
}

/// List and change the keys that nodes share
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  ryo keyring -list\n  ryo keyring -install=KEY\n\n\
    Exit codes: 0 done, 1 refused or no answer")]
pub(crate) struct Keyring {
    /// Add a key on all nodes
    #[arg(long, default_value = "", value_name = "KEY", hide_default_value = true)]
    install: String,
    /// List the keys in use
    #[arg(long)]
    list: bool,
    /// List the keys that messages are encrypted with
    #[arg(long)]
    list_primary: bool,
    /// Ask this agent only
    #[arg(long)]
    local_only: bool,
    /// How many nodes pass an answer on
    #[arg(long, default_value_t = 0, value_name = "NUMBER", value_parser = go_int)]
    relay_factor: i64,
    /// Forget a key on all nodes
    #[arg(long, default_value = "", value_name = "KEY", hide_default_value = true)]
    remove: String,
    /// Encrypt with a key from now on
    #[arg(long = "use", default_value = "", value_name = "KEY", hide_default_value = true)]
    use_key: String,
    #[command(flatten)]
    client: ClientFlags,
    #[command(flatten)]
    no_words: NoWords,
}

/// The keys of one pool of nodes.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
struct Pool {
    #[serde(rename = "WAN")]
    wan: bool,
    datacenter: String,
    segment: String,
    keys: std::collections::BTreeMap<String, usize>,
    primary_keys: std::collections::BTreeMap<String, usize>,
    num_nodes: usize,
}

impl Keyring {
    pub(crate) fn run(self) -> Exit {
        let wishes = [!self.install.is_empty(), !self.use_key.is_empty(), !self.remove.is_empty()];
        let wishes = wishes.into_iter().chain([self.list, self.list_primary]).filter(|wish| *wish).count();
        if wishes == 0 {
            return failure(format!("Usage: consul keyring [options]\n\n{}", usage(&["keyring"])));
        }
        if wishes > 1 {
            return failure("Only a single action is allowed");
        }
        if !(0..=5).contains(&self.relay_factor) {
            return failure("Error parsing relay factor: Relay factor must be in range: [0, 5]");
        }
        if self.local_only && !self.list && !self.list_primary {
            return failure("Error validating local-only: local-only can only be set for list requests");
        }
        self.client.run(async |client| self.act(&client).await)
    }

    async fn act(&self, client: &Client) -> Exit {
        let path = "/v1/operator/keyring";
        let body = |key: &str| json!({ "Key": key }).to_string();
        let (doing, request) = match (&*self.install, &*self.use_key, &*self.remove) {
            ("", "", "") => return self.print(client, path).await,
            ("", "", key) => {
                let request = Request { body: body(key).into(), ..Request::delete(path) };
                ("Removing gossip encryption key...", request)
            }
            ("", key, _) => ("Changing primary gossip encryption key...", Request::put(path, body(key))),
            (key, ..) => {
                let request = Request { body: body(key).into(), ..Request::new("POST", path) };
                ("Installing new gossip encryption key...", request)
            }
        };
        line(format!("==> {doing}"));
        match succeed(client, &self.with_options(request)).await {
            Ok(_) => Exit::Success,
            Err(e) => failure(format!("error: {e}")),
        }
    }

    async fn print(&self, client: &Client, path: &str) -> Exit {
        let which = if self.list { "" } else { "primary " };
        if !self.client.json {
            line(format!("==> Gathering installed {which}encryption keys..."));
        }
        let listed: Result<Vec<Pool>, RequestError> =
            client.json(&self.with_options(Request::get(path))).await;
        match listed {
            Ok(pools) if self.client.json => show(true, &pools, String::new),
            Ok(pools) => {
                pools.iter().for_each(|pool| self.print_pool(pool));
                Exit::Success
            }
            Err(e) => failure(format!("error: {e}")),
        }
    }

    fn print_pool(&self, pool: &Pool) {
        let name = match (pool.wan, &*pool.segment) {
            (true, _) => "WAN".to_owned(),
            (_, "") => format!("{} (LAN)", pool.datacenter),
            (_, segment) => format!("{} (LAN) [{segment}]", pool.datacenter),
        };
        line(format!("\n{name}:"));
        let keys = if self.list { &pool.keys } else { &pool.primary_keys };
        keys.iter().for_each(|(key, nodes)| line(format!("  {key} [{nodes}/{}]", pool.num_nodes)));
    }

    fn with_options(&self, request: Request) -> Request {
        let request = match self.relay_factor {
            0 => request,
            factor => request.with("relay-factor", factor.to_string()),
        };
        if self.local_only { request.with("local-only", "true") } else { request }
    }
}
