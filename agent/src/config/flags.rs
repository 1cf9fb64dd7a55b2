//! The flags of `consul agent`, read as Go reads flags.

use std::fmt::Write as _;

use serde_json::{Map, Value as Json, json};

use Takes::{Bool, Int, Pairs, Text, Texts};

/// What the command line said. Make one with [`Flags::parse`].
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `-config-file` and `-config-dir`, in order.
    pub sources: Vec<String>,
    /// `-config-format`: read every source as `hcl` or `json`, whatever its name.
    pub format: Option<String>,
    /// `-dev`: a server in memory on loopback.
    pub dev: bool,
    /// `-hcl`: further configuration that wins over everything else.
    pub fragments: Vec<String>,
    /// Single values: they win over the files.
    pub(super) settings: Map<String, Json>,
    /// Lists: their elements come before those of the files.
    pub(super) lists: Map<String, Json>,
    /// Old flags that were used, with today's: `("-join", "-retry-join")`.
    pub(super) old: Vec<(&'static str, &'static str)>,
}

/// Why the command line was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlagError {
    /// No such flag. The caller prints the usage and exits with 1.
    #[error("flag provided but not defined: -{0}")]
    Unknown(String),
    /// The value is missing.
    #[error("flag needs an argument: -{0}")]
    NoValue(String),
    /// The value is of another type.
    #[error("invalid value \"{value}\" for flag -{flag}: {reason}")]
    BadValue {
        /// The flag, without dashes.
        flag: String,
        /// What was given.
        value: String,
        /// Why it does not fit.
        reason: &'static str,
    },
    /// Words after the flags.
    #[error("Unexpected extra arguments: [{0}]")]
    Extra(String),
    /// `-h` or `-help`: the caller prints [`Flags::help`] and exits with 0.
    #[error("help requested")]
    Help,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Bool,
    Int,
    Text,
    Texts,
    Pairs,
}

/// One flag: name, type, the configuration key it sets, what it is for.
type Row = (&'static str, Takes, &'static str, &'static str);

const ROWS: &[Row] = &[
    ("advertise", Text, "advertise_addr", "The address that others reach this node by."),
    ("advertise-wan", Text, "advertise_addr_wan", "The same for other datacenters."),
    ("allow-write-http-from", Texts, "http_config.allow_write_http_from", "Only these networks may write."),
    ("alt-domain", Text, "alt_domain", "A second DNS domain."),
    ("auto-reload-config", Bool, "auto_reload_config", "Read the configuration again when its files change."),
    ("bind", Text, "bind_addr", "The address of the servers' own listeners."),
    ("bootstrap", Bool, "bootstrap", "Lead alone."),
    ("bootstrap-expect", Int, "bootstrap_expect", "How many servers there will be."),
    ("check_output_max_size", Int, "check_output_max_size", "Bytes kept of a check's output."),
    ("client", Text, "client_addr", "The addresses of the HTTP and DNS listeners."),
    ("data-dir", Text, "data_dir", "Where this node keeps its data."),
    ("datacenter", Text, "datacenter", "The name of the datacenter."),
    ("default-query-time", Text, "default_query_time", "How long a blocking query waits."),
    ("disable-host-node-id", Bool, "disable_host_node_id", "Accepted: the node's id is always random."),
    ("disable-keyring-file", Bool, "disable_keyring_file", "Keep no keys on disk: start with -encrypt."),
    ("dns-port", Int, "ports.dns", "The DNS port."),
    ("domain", Text, "domain", "The DNS domain."),
    ("enable-local-script-checks", Bool, "enable_local_script_checks", "Run script checks from files."),
    ("enable-script-checks", Bool, "enable_script_checks", "Run script checks from files and the API."),
    ("encrypt", Text, "encrypt", "The key that all nodes share, in base64."),
    ("grpc-port", Int, "ports.grpc", "Accepted: there is no gRPC listener."),
    ("grpc-tls-port", Int, "ports.grpc_tls", "Accepted: there is no gRPC listener."),
    ("http-port", Int, "ports.http", "The HTTP port."),
    ("https-port", Int, "ports.https", "The HTTPS port."),
    ("join", Texts, "retry_join", "Old spelling of -retry-join."),
    ("join-wan", Texts, "retry_join_wan", "Old spelling of -retry-join-wan."),
    ("log-file", Text, "log_file", "Append the log to this file too."),
    ("log-json", Bool, "log_json", "One JSON object a log line."),
    ("log-level", Text, "log_level", "trace, debug, info, warn or err."),
    ("log-rotate-bytes", Int, "log_rotate_bytes", "Set the log file aside at this size."),
    (
        "log-rotate-duration",
        Text,
        "log_rotate_duration",
        "Set the log file aside at this age; 24h by default.",
    ),
    (
        "log-rotate-max-files",
        Int,
        "log_rotate_max_files",
        "How many log files set aside to keep; 0 keeps all.",
    ),
    ("max-query-time", Text, "max_query_time", "The longest wait of a blocking query."),
    ("node", Text, "node_name", "The node's name; the host's by default."),
    ("node-id", Text, "node_id", "The node's id, a UUID; else made once and kept in the data folder."),
    ("node-meta", Pairs, "node_meta", "A pair key:value for the catalog; may be repeated."),
    ("non-voting-server", Bool, "read_replica", "Accepted: Consul Enterprise."),
    ("pid-file", Text, "pid_file", "Where to write the process's id."),
    ("primary-gateway", Texts, "primary_gateways", "Accepted: service mesh."),
    ("protocol", Int, "protocol", "Accepted."),
    ("raft-protocol", Int, "raft_protocol", "Accepted."),
    ("read-replica", Bool, "read_replica", "Accepted: Consul Enterprise."),
    ("recursor", Texts, "recursors", "A DNS server for other domains; may be repeated."),
    ("rejoin", Bool, "rejoin_after_leave", "Accepted: a server that left always comes back."),
    ("retry-interval", Text, "retry_interval", "The time between attempts to join."),
    ("retry-interval-wan", Text, "retry_interval_wan", "The same for other datacenters."),
    ("retry-join", Texts, "retry_join", "The address of a server to join; may be repeated."),
    ("retry-join-wan", Texts, "retry_join_wan", "The same for other datacenters."),
    ("retry-max", Int, "retry_max", "Attempts before giving up; 0 never gives up."),
    ("retry-max-wan", Int, "retry_max_wan", "The same for other datacenters."),
    ("segment", Text, "segment", "Accepted: Consul Enterprise."),
    ("serf-lan-allowed-cidrs", Texts, "serf_lan_allowed_cidrs", "Accepted: there is no gossip."),
    ("serf-lan-bind", Text, "serf_lan", "The address of the port that answers a join."),
    ("serf-lan-port", Int, "ports.serf_lan", "The port that answers a join."),
    ("serf-wan-allowed-cidrs", Texts, "serf_wan_allowed_cidrs", "Accepted: there is no gossip."),
    ("serf-wan-bind", Text, "serf_wan", "The address of the port that answers another datacenter's join."),
    ("serf-wan-port", Int, "ports.serf_wan", "The port that answers another datacenter's join."),
    ("server", Bool, "server", "Be a registry, not only an agent."),
    ("server-port", Int, "ports.server", "The port of the registry's own link."),
    ("syslog", Bool, "enable_syslog", "Send the log to syslog too."),
    ("ui", Bool, "ui_config.enabled", "Show the web page."),
    ("ui-content-path", Text, "ui_config.content_path", "The path of the web page."),
    ("ui-dir", Text, "ui_dir", "A folder with a web page of your own."),
];

impl Flags {
    /// Reads the words after `agent`: `-name value`, `-name=value`, with one dash or two.
    ///
    /// Errors on the first word that does not fit; the texts are those of Go's `flag` package.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, FlagError> {
        let mut flags = Self::default();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let Some(body) = word.strip_prefix('-').filter(|body| !body.is_empty() && word != "--") else {
                let extra: Vec<String> = (word != "--").then_some(word).into_iter().chain(words).collect();
                return if extra.is_empty() { Ok(flags) } else { Err(FlagError::Extra(extra.join(" "))) };
            };
            let body = body.strip_prefix('-').unwrap_or(body);
            let (name, value) = match body.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (body, None),
            };
            flags.take(name, value, &mut words)?;
        }
        Ok(flags)
    }

    fn take(
        &mut self,
        name: &str,
        value: Option<String>,
        words: &mut impl Iterator<Item = String>,
    ) -> Result<(), FlagError> {
        let mut text = |value: Option<String>| {
            value.or_else(|| words.next()).ok_or_else(|| FlagError::NoValue(name.to_owned()))
        };
        match name {
            "h" | "help" => return Err(FlagError::Help),
            "config-file" | "config-dir" => self.sources.push(text(value)?),
            "config-format" => self.format = Some(text(value)?),
            "hcl" => self.fragments.push(text(value)?),
            "dev" => self.dev = boolean(name, value)?,
            _ => {
                let row = ROWS.iter().find(|row| row.0 == name);
                let &(flag, takes, key, _) = row.ok_or_else(|| FlagError::Unknown(name.to_owned()))?;
                match flag {
                    "join" => self.old.push(("-join", "-retry-join")),
                    "join-wan" => self.old.push(("-join-wan", "-retry-join-wan")),
                    _ => {}
                }
                let value =
                    if takes == Bool { json!(boolean(name, value)?) } else { Json::from(text(value)?) };
                self.set(flag, takes, key, value)?;
            }
        }
        Ok(())
    }

    fn set(&mut self, flag: &str, takes: Takes, key: &str, value: Json) -> Result<(), FlagError> {
        let given = value.as_str().unwrap_or_default().to_owned();
        let bad = |reason| FlagError::BadValue { flag: flag.to_owned(), value: given.clone(), reason };
        match takes {
            Bool | Text => *place(&mut self.settings, key) = value,
            Int => {
                let number: i64 = given.parse().map_err(|_| bad("parse error"))?;
                *place(&mut self.settings, key) = json!(number);
            }
            Texts => match place(&mut self.lists, key) {
                Json::Array(list) => list.push(value),
                empty => *empty = json!([value]),
            },
            Pairs => {
                let (name, text) = given.split_once(':').unwrap_or((&given, ""));
                match place(&mut self.settings, key) {
                    Json::Object(map) => drop(map.insert(name.to_owned(), text.into())),
                    empty => *empty = json!({ name: text }),
                }
            }
        }
        Ok(())
    }

    /// Flags that name files and folders only, read by their names or all as `format`.
    pub fn of_sources(sources: Vec<String>, format: Option<String>) -> Self {
        Self { sources, format, ..Self::default() }
    }

    /// The text for `-h`.
    pub fn help() -> String {
        let mut text = String::from(
            "Usage: consul agent [options]\n\n  Starts the agent and runs until it is told to end. With -server it is a registry too.\n\n\
             \x20 Example: consul agent -data-dir=/opt/consul -config-dir=/etc/consul.d -retry-join=10.0.0.10\n\nOptions:\n\n",
        );
        let own: [(&str, &str, &str); 5] = [
            (
                "config-dir",
                "=<path>",
                "A folder whose .hcl and .json files are read in order; may be repeated.",
            ),
            ("config-file", "=<path>", "A file to read; may be repeated."),
            ("config-format", "=<hcl|json>", "Read every file as this, whatever its name."),
            ("dev", "", "A server in memory on loopback, to try things."),
            ("hcl", "=<text>", "Further configuration; wins over files and flags."),
        ];
        let rows = ROWS.iter().map(|(name, takes, _, about)| {
            let value = match takes {
                Bool => "",
                Int => "=<number>",
                Pairs => "=<key:value>",
                Text | Texts => "=<text>",
            };
            (*name, value, *about)
        });
        let mut all: Vec<_> = own.into_iter().chain(rows).collect();
        all.sort_unstable();
        for (name, value, about) in all {
            let _ = writeln!(text, "  -{name}{value}\n     {about}\n");
        }
        text
    }
}

fn boolean(flag: &str, value: Option<String>) -> Result<bool, FlagError> {
    Ok(match value.as_deref() {
        None | Some("1" | "t" | "T" | "true" | "TRUE" | "True") => true,
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") => false,
        Some(other) => {
            let (flag, value) = (flag.to_owned(), other.to_owned());
            return Err(FlagError::BadValue { flag, value, reason: "parse error" });
        }
    })
}

/// The place of `ports.http` in a tree.
fn place<'a>(settings: &'a mut Map<String, Json>, key: &str) -> &'a mut Json {
    match key.split_once('.') {
        None => settings.entry(key).or_insert(Json::Null),
        Some((outer, inner)) => {
            let object = settings.entry(outer).or_insert_with(|| json!({}));
            let object = object.as_object_mut().expect("the rows set only objects under a dotted key");
            object.entry(inner).or_insert(Json::Null)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Flags, FlagError> {
        Flags::parse(line.split(' ').filter(|word| !word.is_empty()).map(String::from))
    }

    #[test]
    fn flags_set_the_keys_of_the_files() {
        let flags = parse(
            "-server -config-dir=/a --config-file b.hcl -http-port 9500 -retry-join x -join=y -node-meta k:v -ui=false",
        )
        .unwrap();
        assert_eq!(flags.sources, ["/a", "b.hcl"]);
        assert_eq!(
            Json::Object(flags.settings),
            json!({"server": true, "ports": {"http": 9500}, "node_meta": {"k": "v"}, "ui_config": {"enabled": false}})
        );
        assert_eq!(Json::Object(flags.lists), json!({"retry_join": ["x", "y"]}));
    }

    #[test]
    fn what_does_not_fit_is_said_in_gos_words() {
        let said = |line| parse(line).unwrap_err().to_string();
        assert_eq!(said("-nosuch"), "flag provided but not defined: -nosuch");
        assert_eq!(said("-node"), "flag needs an argument: -node");
        assert_eq!(said("-dev extra"), "Unexpected extra arguments: [extra]");
        assert_eq!(said("-http-port x"), "invalid value \"x\" for flag -http-port: parse error");
        assert_eq!(parse("-h").unwrap_err(), FlagError::Help);
    }
}
