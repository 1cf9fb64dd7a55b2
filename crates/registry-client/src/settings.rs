//! Where the registry is and who asks: settings of a client, and those that the environment gives.

use std::path::PathBuf;

use crate::error::SettingsError;

/// The address when nobody says another.
const ADDRESS: &str = "127.0.0.1:8500";

/// Settings of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `127.0.0.1:8500`, `[::1]:8500`, `http://…`, `https://…` or `unix:///run/consul.sock`; empty for the default.
    pub address: String,
    /// Takes an odd `address` as Consul's own client does: a slash at its end keeps what is asked for from being found, and
    /// without `http://` all of it is a host's name.
    pub keeps_odd: bool,
    /// Sent as `X-Consul-Token` when `token_file` has none; empty for none.
    pub token: String,
    /// Where the token stands; read once, blanks around it are dropped.
    pub token_file: Option<PathBuf>,
    /// Sent as HTTP basic authentication.
    pub basic_auth: Option<BasicAuth>,
    /// Sent as `?dc=`; empty for the agent's own.
    pub datacenter: String,
    /// Sent as `?ns=`; empty for none.
    pub namespace: String,
    /// Sent as `?partition=`; empty for none.
    pub partition: String,
    /// How `https` is spoken.
    pub tls: Tls,
}

/// A user and a password.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BasicAuth {
    /// The user.
    pub user: String,
    /// The password; may be empty.
    pub password: String,
}

/// How `https` is spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Speak it although the address does not say so.
    pub enabled: bool,
    /// Check the registry's certificate.
    pub verify: bool,
    /// A PEM file of authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// A folder of such files.
    pub ca_path: Option<PathBuf>,
    /// The client's certificate, PEM.
    pub cert_file: Option<PathBuf>,
    /// Its key, PEM; the certificate's file when not given.
    pub key_file: Option<PathBuf>,
    /// The name expected in the registry's certificate; empty for the address's.
    pub server_name: String,
}

impl Tls {
    /// Whether files are named that must be there.
    pub(crate) fn has_files(&self) -> bool {
        [&self.ca_file, &self.ca_path, &self.cert_file].into_iter().any(Option::is_some)
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            enabled: false,
            verify: true,
            ca_file: None,
            ca_path: None,
            cert_file: None,
            key_file: None,
            server_name: String::new(),
        }
    }
}

impl BasicAuth {
    /// Reads `user` or `user:password`; the password may hold colons.
    pub fn read(text: &str) -> Self {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        Self { user: user.to_owned(), password: password.to_owned() }
    }
}

impl Settings {
    /// The settings that the process's environment gives (`CONSUL_HTTP_ADDR`, `CONSUL_HTTP_TOKEN`, …).
    pub fn from_environment() -> Self {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// The settings that some variables give; an empty variable counts as not set.
    pub fn from_variables(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let text = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let path = |name: &str| text(name).map(PathBuf::from);
        let is = |name: &str, default: bool| match text(name).as_deref() {
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => true,
            Some("0" | "f" | "F" | "false" | "FALSE" | "False") => false,
            _ => default,
        };
        let token_file = path("CONSUL_HTTP_TOKEN_FILE");
        Self {
            address: text("CONSUL_HTTP_ADDR").unwrap_or_default(),
            keeps_odd: false,
            token: text("CONSUL_HTTP_TOKEN").unwrap_or_default(),
            token_file,
            basic_auth: text("CONSUL_HTTP_AUTH").map(|text| BasicAuth::read(&text)),
            datacenter: String::new(),
            namespace: text("CONSUL_NAMESPACE").unwrap_or_default(),
            partition: text("CONSUL_PARTITION").unwrap_or_default(),
            tls: Tls {
                enabled: is("CONSUL_HTTP_SSL", false),
                verify: is("CONSUL_HTTP_SSL_VERIFY", true),
                ca_file: path("CONSUL_CACERT"),
                ca_path: path("CONSUL_CAPATH"),
                cert_file: path("CONSUL_CLIENT_CERT"),
                key_file: path("CONSUL_CLIENT_KEY"),
                server_name: text("CONSUL_TLS_SERVER_NAME").unwrap_or_default(),
            },
        }
    }

    /// The token to send, from its file where needed; empty for none.
    pub(crate) fn read_token(&self) -> Result<String, SettingsError> {
        let Some(path) = &self.token_file else { return Ok(self.token.clone()) };
        let text = std::fs::read_to_string(path).map_err(|source| SettingsError::File {
            what: "token file",
            path: path.clone(),
            source,
        })?;
        let found = text.trim();
        Ok(if found.is_empty() { &self.token } else { found }.to_owned())
    }

    /// Takes the address apart.
    pub(crate) fn endpoint(&self) -> Result<Endpoint, SettingsError> {
        let address = if self.address.is_empty() { ADDRESS } else { &self.address };
        let refuse =
            |reason: &str| SettingsError::Address { address: address.to_owned(), reason: reason.to_owned() };
        let (scheme, rest) = match address.split_once("://") {
            Some(parts) => parts,
            None => (if self.tls.enabled { "https" } else { "http" }, address),
        };
        let plain = !self.keeps_odd || address.contains("://");
        match scheme {
            _ if self.keeps_odd && rest.is_empty() => {
                Ok(Endpoint::nowhere("", "http: no Host in request URL"))
            }
            "http" | "https" if !plain && rest.contains(ODD) || self.keeps_odd && rest.contains('@') => {
                Ok(Endpoint::nowhere(rest, &format!("dial tcp: lookup {}: no such host", host(rest))))
            }
            "http" | "https" if self.keeps_odd && port_is_too_large(rest) => {
                let port = rest.rsplit_once(':').map_or("", |(_, port)| port);
                Ok(Endpoint::nowhere(rest, &format!("dial tcp: address {port}: invalid port")))
            }
            "unix" if rest.is_empty() => Err(refuse("a path follows unix://")),
            "unix" => Ok(Endpoint { socket: Some(rest.into()), ..Endpoint::at("http://localhost".into()) }),
            "http" | "https" => {
                let scheme = if self.tls.enabled { "https" } else { scheme };
                let host = rest.trim_end_matches('/');
                if host.is_empty() {
                    return Err(refuse("a host is missing"));
                }
                let rest = if self.keeps_odd { rest } else { host };
                Ok(Endpoint::at(format!("{scheme}://{rest}")))
            }
            _ => Err(refuse("write HOST:PORT, http://, https:// or unix://")),
        }
    }
}

/// Where a path is. A lone slash at the end of the address swallows the path's first part, as in Go's URLs, where
/// `//v1/kv` names a host `v1`.
pub(crate) fn url(base: &str, path: &str) -> String {
    let lone = base
        .split("://")
        .nth(1)
        .and_then(|rest| rest.split_once('/'))
        .is_some_and(|(_, rest)| rest.is_empty());
    match path[1..].find('/').filter(|_| lone) {
        Some(end) => format!("{}{}", base.trim_end_matches('/'), &path[end + 1..]),
        None => format!("{base}{path}"),
    }
}

/// An address taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// `http://127.0.0.1:8500`, without a slash at the end.
    pub(crate) base: String,
    /// The unix socket to speak to.
    pub(crate) socket: Option<PathBuf>,
    /// Why nobody can be reached there: what Go's client says to each request.
    pub(crate) nowhere: Option<String>,
}

impl Endpoint {
    fn at(base: String) -> Self {
        Self { base, socket: None, nowhere: None }
    }

    /// A host that is none, written into URLs as Go writes it.
    fn nowhere(host: &str, why: &str) -> Self {
        let written: String = host
            .chars()
            .map(|c| if ODD.contains(&c) { format!("%{:02X}", u32::from(c)) } else { c.to_string() })
            .collect();
        Self { nowhere: Some(why.to_owned()), ..Self::at(format!("http://{written}")) }
    }
}

/// What the name of a host cannot hold.
const ODD: [char; 5] = [' ', '/', '?', '#', '@'];

/// The host of `HOST:PORT`; all of it when no number follows.
pub(crate) fn host(address: &str) -> &str {
    match address.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|c| c.is_ascii_digit()) => host,
        _ => address,
    }
}

fn port_is_too_large(address: &str) -> bool {
    let port = &address[host(address).len()..];
    port.len() > 1 && port[1..].parse::<u16>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(address: &str, tls: bool) -> String {
        let tls = Tls { enabled: tls, ..Tls::default() };
        let endpoint = Settings { address: address.into(), tls, ..Settings::default() }.endpoint();
        endpoint.map_or_else(|e| e.to_string(), |endpoint| endpoint.base)
    }

    #[test]
    fn addresses() {
        assert_eq!(base("", false), "http://127.0.0.1:8500");
        assert_eq!(base("[::1]:8500", false), "http://[::1]:8500");
        assert_eq!(base("http://a:1/", false), "http://a:1");
        assert_eq!(base("a:1", true), "https://a:1");
        assert_eq!(base("https://a:1", false), "https://a:1");
        assert!(base("ftp://a", false).contains("write HOST:PORT"));
        assert!(base("http://", false).contains("a host is missing"));
        let unix =
            Settings { address: "unix:///run/x.sock".into(), ..Settings::default() }.endpoint().unwrap();
        assert_eq!(unix.socket, Some("/run/x.sock".into()));
    }

    fn settings(address: &str) -> Settings {
        Settings { address: address.into(), keeps_odd: true, ..Settings::default() }
    }

    #[test]
    fn an_odd_address_is_a_host_that_nobody_knows() {
        let said = |address: &str| {
            let endpoint = settings(address).endpoint().unwrap();
            (endpoint.base, endpoint.nowhere.unwrap_or_default())
        };
        let cases = [
            ("a:1/x", "http://a:1%2Fx", "dial tcp: lookup a:1/x: no such host"),
            (" a:1", "http://%20a:1", "dial tcp: lookup  a: no such host"),
            ("http://u:p@a:1", "http://u:p%40a:1", "dial tcp: lookup u:p@a: no such host"),
            ("a:99999", "http://a:99999", "dial tcp: address 99999: invalid port"),
            ("http://", "http://", "http: no Host in request URL"),
            ("[::1]:8500", "http://[::1]:8500", ""),
            ("http://a:1/x", "http://a:1/x", ""),
        ];
        for (address, base, why) in cases {
            assert_eq!(said(address), (base.into(), why.into()), "{address}");
        }
    }

    #[test]
    fn a_slash_at_the_end_is_kept_on_demand() {
        let url = |address: &str| url(&settings(address).endpoint().unwrap().base, "/v1/kv/a");
        assert_eq!(url("http://a:1/"), "http://a:1/kv/a");
        assert_eq!(url("http://a:1/x/"), "http://a:1/x//v1/kv/a");
        assert_eq!(url("http://a:1/x"), "http://a:1/x/v1/kv/a");
    }

    #[test]
    fn variables() {
        let settings = Settings::from_variables(|name| match name {
            "CONSUL_HTTP_ADDR" => Some("a:1".into()),
            "CONSUL_HTTP_AUTH" => Some("ann:pw:x".into()),
            "CONSUL_HTTP_SSL_VERIFY" => Some("false".into()),
            "CONSUL_HTTP_TOKEN" => Some(String::new()),
            _ => None,
        });
        assert_eq!(settings.address, "a:1");
        assert_eq!(settings.basic_auth, Some(BasicAuth { user: "ann".into(), password: "pw:x".into() }));
        assert!(!settings.tls.verify && !settings.tls.enabled && settings.token.is_empty());
    }
}
