//! `kv get`, `kv put`, `kv delete`.

use clap::{Args, Subcommand};
use daemon::Exit;
use registry_client::{Client, Request, RequestError};
use registry_wire::{base64, kv::KvPair};
use serde_json::json;

use super::{
    data,
    kv_transfer::{Export, Import},
};
use crate::{
    client::{AskFlags, succeed},
    flags::go_uint,
    output::{aligned, failure, line, note, show},
};

/// Read and write keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Kv {
    /// Delete a key, or all keys with a prefix
    Delete(Delete),
    /// Print keys as JSON, for import
    Export(Export),
    /// Print a key's value, or keys with a prefix
    Get(Get),
    /// Write keys from the JSON of export
    Import(Import),
    /// Write a value
    Put(Put),
}

impl Kv {
    pub(crate) fn run(self) -> Exit {
        match self {
            Self::Delete(command) => command.run(),
            Self::Export(command) => command.run(),
            Self::Get(command) => command.run(),
            Self::Import(command) => command.run(),
            Self::Put(command) => command.run(),
        }
    }
}

/// Print a key's value, or keys with a prefix
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  ryo kv get service/web/port\n  ryo kv get -recurse service/\n  \
    ryo kv get -keys -separator=/ service/\n\nExit codes: 0 found, 1 no such key or no answer")]
pub(crate) struct Get {
    /// Print the value in base64
    #[arg(long)]
    base64: bool,
    /// Print flags, indexes and the session too
    #[arg(long)]
    detailed: bool,
    /// Print names of keys only, up to the separator
    #[arg(long)]
    keys: bool,
    /// Print all keys with the prefix
    #[arg(long)]
    recurse: bool,
    /// Where names end with -keys; empty for whole names
    #[arg(long, default_value = "/", value_name = "TEXT")]
    separator: String,
    #[command(flatten)]
    ask: AskFlags,
    /// The key or prefix
    #[arg(value_name = "KEY")]
    words: Vec<String>,
}

/// The one key that may be named, without a leading slash; empty when none is.
fn one_key(words: &[String]) -> Result<&str, Exit> {
    match words {
        [] => Ok(""),
        [key] => Ok(key.strip_prefix('/').unwrap_or(key)),
        more => Err(failure(format!("Too many arguments (expected 1, got {})", more.len()))),
    }
}

impl Get {
    fn run(self) -> Exit {
        let key = match one_key(&self.words) {
            Ok(key) => key,
            Err(exit) => return exit,
        };
        if key.is_empty() && !self.keys && !self.recurse {
            return failure("Error! Missing KEY argument");
        }
        self.ask.run(async |client| {
            let asked = match (self.keys, self.recurse) {
                (true, _) => self.print_keys(&client, key).await,
                (false, true) => self.print_all(&client, key).await,
                (false, false) => self.print_one(&client, key).await,
            };
            asked.unwrap_or_else(|e| failure(format!("Error querying Consul agent: {e}")))
        })
    }

    fn request(&self, key: &str) -> Request {
        Request::get(Request::kv_path(key))
    }

    async fn print_keys(&self, client: &Client, prefix: &str) -> Result<Exit, RequestError> {
        let separator = if self.recurse { "" } else { self.separator.as_str() };
        let request = self.request(prefix).with("keys", "").with_unless_empty("separator", separator);
        let keys: Vec<String> = client.json_if_found(&self.ask.apply(request)).await?.unwrap_or_default();
        if self.ask.json() {
            return Ok(show(true, &keys, String::new));
        }
        keys.iter().for_each(line);
        Ok(Exit::Success)
    }

    async fn print_all(&self, client: &Client, prefix: &str) -> Result<Exit, RequestError> {
        let request = self.ask.apply(self.request(prefix).with("recurse", ""));
        let pairs: Vec<KvPair> = client.json_if_found(&request).await?.unwrap_or_default();
        if self.ask.json() {
            return Ok(show(true, &pairs, String::new));
        }
        for (number, pair) in pairs.iter().enumerate() {
            if self.detailed {
                let gap = if number + 1 < pairs.len() { "\n" } else { "" };
                line([&self.details(pair), gap.as_bytes()].concat());
            } else {
                line([pair.key.as_bytes(), b":", &self.value(pair)].concat());
            }
        }
        Ok(Exit::Success)
    }

    async fn print_one(&self, client: &Client, key: &str) -> Result<Exit, RequestError> {
        let pairs: Option<Vec<KvPair>> = client.json_if_found(&self.ask.apply(self.request(key))).await?;
        let Some(pair) = pairs.as_ref().and_then(|pairs| pairs.first()) else {
            return Ok(failure(format!("Error! No key exists at: {key}")));
        };
        if self.ask.json() {
            return Ok(show(true, pair, String::new));
        }
        line(if self.detailed { self.details(pair) } else { self.value(pair) });
        Ok(Exit::Success)
    }

    /// The value as it is printed: its bytes, or base64.
    fn value(&self, pair: &KvPair) -> Vec<u8> {
        let coded = pair.value.as_deref().unwrap_or_default();
        if self.base64 { coded.into() } else { base64::decode(coded).unwrap_or_else(|_| coded.into()) }
    }

    fn details(&self, pair: &KvPair) -> Vec<u8> {
        let session = if pair.session.is_empty() { "-" } else { &pair.session };
        let text = aligned([
            ("CreateIndex", pair.create_index.to_string()),
            ("Flags", pair.flags.to_string()),
            ("Key", pair.key.clone()),
            ("LockIndex", pair.lock_index.to_string()),
            ("ModifyIndex", pair.modify_index.to_string()),
            ("Session", session.to_owned()),
            ("Value", String::new()),
        ]);
        let value = self.value(pair);
        if value.is_empty() { text.trim_end().into() } else { [text.as_bytes(), &value].concat() }
    }
}

/// Write a value
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  ryo kv put service/web/port 8080\n  ryo kv put service/web/page @page.html\n  \
    date | ryo kv put last -\n\nExit codes: 0 written, 1 refused or no answer"
)]
pub(crate) struct Put {
    /// Take the lock on the key for -session
    #[arg(long)]
    acquire: bool,
    /// The data is base64: decode it first
    #[arg(long)]
    base64: bool,
    /// Write only if the key has -modify-index, or with 0 if it does not exist
    #[arg(long)]
    cas: bool,
    /// The key's own number
    #[arg(long, default_value_t = 0, value_name = "NUMBER", value_parser = go_uint)]
    flags: u64,
    /// The index for -cas
    #[arg(long, default_value_t = 0, value_name = "INDEX", value_parser = go_uint)]
    modify_index: u64,
    /// Give the lock back
    #[arg(long)]
    release: bool,
    /// The session of -acquire and -release
    #[arg(long, default_value = "", value_name = "ID", hide_default_value = true)]
    session: String,
    #[command(flatten)]
    ask: AskFlags,
    /// The key, then the value: text, @FILE, or - for standard input; none for an empty value
    #[arg(value_name = "KEY [DATA]")]
    words: Vec<String>,
}

impl Put {
    fn run(self) -> Exit {
        let (key, argument) = match self.words.as_slice() {
            [] => return failure("Error! Missing KEY argument"),
            [key] => (key, ""),
            [key, data] => (key, data.as_str()),
            more => {
                return failure(format!("Error! Too many arguments (expected 1 or 2, got {})", more.len()));
            }
        };
        let mut value = match data::read(argument) {
            Ok(value) => value,
            Err(why) => return failure(format!("Error! {why}")),
        };
        if self.base64 {
            let (decoded, problem) = base64::decode_before(&value);
            problem.iter().for_each(|why| note(format!("Error! Cannot base 64 decode data: {why}")));
            value = decoded;
        }
        if (self.acquire || self.release) && self.session.is_empty() {
            return failure("Error! Missing -session (required with -acquire and -release)");
        }
        if key.starts_with('/') {
            return failure(format!(
                "Error! Failed writing data: Invalid key. Key must not begin with a '/': {key}"
            ));
        }
        self.ask.run(async |client| self.write(&client, key, value).await)
    }

    async fn write(&self, client: &Client, key: &str, value: Vec<u8>) -> Exit {
        let mut request = Request::put(Request::kv_path(key), value);
        if self.flags != 0 {
            request = request.with("flags", self.flags.to_string());
        }
        let (request, done) = if self.cas {
            (request.with("cas", self.modify_index.to_string()), "Data written to")
        } else if self.acquire {
            (request.with("acquire", self.session.as_str()), "Lock acquired on")
        } else if self.release {
            (request.with("release", self.session.as_str()), "Lock released on")
        } else {
            (request, "Data written to")
        };
        match client.json::<bool>(&self.ask.apply(request)).await {
            Ok(true) => show(self.ask.json(), &json!({ "Key": key, "Written": true }), || {
                format!("Success! {done}: {key}")
            }),
            Ok(false) => failure(self.refused(key)),
            Err(e) if self.cas => failure(format!("Error! Did not write to {key}: {e}")),
            Err(e) => failure(format!("Error! Failed writing data: {e}")),
        }
    }

    fn refused(&self, key: &str) -> String {
        match (self.cas, self.acquire) {
            (true, _) if self.modify_index == 0 => {
                format!("Error! Did not write to {key}: CAS performed with index=0 and key already exists.")
            }
            (true, _) => format!("Error! Did not write to {key}: CAS failed"),
            (false, true) => "Error! Did not acquire lock".into(),
            (false, false) => "Error! Did not release lock".into(),
        }
    }
}

/// Delete a key, or all keys with a prefix
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  ryo kv delete service/web/port\n  ryo kv delete -recurse service/web/\n\n\
    Exit codes: 0 deleted or not there, 1 refused or no answer"
)]
pub(crate) struct Delete {
    /// Delete only if the key has -modify-index
    #[arg(long)]
    cas: bool,
    /// The index for -cas
    #[arg(long, default_value_t = 0, value_name = "INDEX", value_parser = go_uint)]
    modify_index: u64,
    /// Delete all keys with the prefix
    #[arg(long)]
    recurse: bool,
    #[command(flatten)]
    ask: AskFlags,
    /// The key or prefix
    #[arg(value_name = "KEY")]
    words: Vec<String>,
}

impl Delete {
    fn run(self) -> Exit {
        let key = match one_key(&self.words) {
            Ok(key) => key,
            Err(exit) => return exit,
        };
        match (self.cas, self.modify_index) {
            _ if key.is_empty() && !self.recurse => return failure("Error! Missing KEY argument"),
            (false, 1..) => return failure("Cannot specify -modify-index without -cas!"),
            (true, 0) => {
                return failure(
                    "Cannot delete a key that does not exist. Provide a -modify-index greater than than 0.",
                );
            }
            (true, _) if self.recurse => return failure("Cannot specify both -cas and -recurse!"),
            _ => {}
        }
        self.ask.run(async |client| self.delete(&client, key).await)
    }

    async fn delete(&self, client: &Client, key: &str) -> Exit {
        let request = self.ask.apply(Request::delete(Request::kv_path(key)));
        let (request, done) = match (self.recurse, self.cas) {
            (true, _) => (request.with("recurse", ""), "Deleted keys with prefix"),
            (false, true) => (request.with("cas", self.modify_index.to_string()), "Deleted key"),
            (false, false) => (request, "Deleted key"),
        };
        match succeed(client, &request).await {
            Ok(answer) if self.cas && answer.body.as_ref() != b"true" => {
                failure(format!("Error! Did not delete key {key}: CAS failed"))
            }
            Ok(_) => show(self.ask.json(), &json!({ "Key": key, "Deleted": true }), || {
                format!("Success! {done}: {key}")
            }),
            Err(e) if self.recurse => failure(format!("Error! Did not delete prefix {key}: {e}")),
            Err(e) if self.cas => failure(format!("Error! Did not delete key {key}: {e}")),
            Err(e) => failure(format!("Error deleting key {key}: {e}")),
        }
    }
}
