//! What the operator can say about DNS, as the listener needs it.

use std::{collections::BTreeMap, fmt, net::SocketAddr, str::FromStr, time::Duration};

use hickory_proto::rr::Name;

/// The DNS side of an agent's configuration. All of it may change at a reload: publish a new value on the channel given
/// to [`serve`](super::serve()).
///
/// The defaults are Consul's. Its `use_cache` and `cache_max_age` have nothing to say here: a look-up is answered from memory, and only
/// while no registry answers from what it said last; `allow_stale` and `max_stale` bound that, see
/// [`Config::dns_last_known`](crate::config::Config::dns_last_known).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `domain`: the zone answered for.
    pub domain: Domain,
    /// `alt_domain`: a second zone with the same names.
    pub alt_domain: Option<Domain>,
    /// The agent's own datacenter.
    pub datacenter: String,
    /// The agent's node, as metrics name it.
    pub node: String,
    /// `dns_config.a_record_limit`: at most so many addresses in an answer; 0 means all.
    pub a_record_limit: usize,
    /// `dns_config.udp_answer_limit`: at most so many records over UDP while the client takes no more than 512 bytes.
    pub udp_answer_limit: usize,
    /// `dns_config.enable_truncate`: whether a reply that was cut says so, so that clients ask again over TCP.
    pub enable_truncate: bool,
    /// `dns_config.only_passing`: whether instances with a warning are left out too.
    pub only_passing: bool,
    /// `dns_config.node_ttl`.
    pub node_ttl: Duration,
    /// `dns_config.service_ttl`: by name, by `prefix*` and by `*`. Names are asked in lower case, so that a key with
    /// capitals never holds (as in Consul).
    pub service_ttl: BTreeMap<String, Duration>,
    /// `dns_config.soa`.
    pub soa: Soa,
    /// `dns_config.disable_compression`: whether names are written out each time.
    pub disable_compression: bool,
    /// `dns_config.enable_additional_node_meta_txt`: whether a node's meta accompanies its address.
    pub enable_additional_node_meta_txt: bool,
    /// `recursors`: who is asked about other domains, as [`find_recursors`](super::find_recursors()) finds them; nobody means
    /// that such questions are refused.
    pub recursors: Vec<SocketAddr>,
    /// `dns_config.recursor_strategy`.
    pub recursor_strategy: RecursorStrategy,
    /// `dns_config.recursor_timeout`: how long each recursor has.
    pub recursor_timeout: Duration,
    /// `translate_wan_addrs`: whether nodes and services of another datacenter are given by their `wan` addresses.
    pub translate_wan_addrs: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            domain: Domain(Name::from_labels(["consul"]).expect("a short label")),
            alt_domain: None,
            datacenter: "dc1".into(),
            node: String::new(),
            a_record_limit: 0,
            udp_answer_limit: 3,
            enable_truncate: false,
            only_passing: false,
            node_ttl: Duration::ZERO,
            service_ttl: BTreeMap::new(),
            soa: Soa::default(),
            disable_compression: false,
            enable_additional_node_meta_txt: true,
            recursors: Vec::new(),
            recursor_strategy: RecursorStrategy::Sequential,
            recursor_timeout: Duration::from_secs(2),
            translate_wan_addrs: false,
        }
    }
}

impl Settings {
    /// The TTL of a service's records: the exact name, else the longest `prefix*`, else 0.
    ///
    /// Shape: with `{"db": 11s, "db*": 42s, "*": 5s}` the service `db` has 11 s, `dbx` 42 s, `web` 5 s.
    pub fn ttl_of_service(&self, name: &str) -> Duration {
        let by_prefix = || {
            self.service_ttl
                .iter()
                .filter_map(|(key, ttl)| Some((key.strip_suffix('*')?, ttl)))
                .filter(|(prefix, _)| name.starts_with(prefix))
                .max_by_key(|(prefix, _)| prefix.len())
                .map(|(_, ttl)| ttl)
        };
        self.service_ttl.get(name).or_else(by_prefix).copied().unwrap_or_default()
    }
}

/// A zone's name, as `domain` and `alt_domain` give it. Shape: `consul`, `Home.Example.`; case and a final dot do not
/// matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain(pub(super) Name);

impl FromStr for Domain {
    type Err = BadDomain;

    /// Errors when a label is empty or longer than 63 bytes, when the whole is longer than 255, or when nothing is left.
    fn from_str(text: &str) -> Result<Self, BadDomain> {
        let bad = || BadDomain(text.to_owned());
        let lower = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let name = Name::from_labels(lower.split('.').map(str::as_bytes)).map_err(|_| bad())?;
        if lower.split('.').any(str::is_empty) { Err(bad()) } else { Ok(Self(name)) }
    }
}

/// Prints it whole and in lower case: `consul.`
impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The text is no domain to answer for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a DNS domain: labels of 1 to 63 bytes with dots between them are wanted, 255 bytes in all"
)]
pub struct BadDomain(String);

/// The numbers of the zone's SOA record, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Soa {
    /// `refresh`.
    pub refresh: u32,
    /// `retry`.
    pub retry: u32,
    /// `expire`.
    pub expire: u32,
    /// `min_ttl`: how long resolvers may keep a negative answer, and the TTL of the record itself.
    pub min_ttl: u32,
}

impl Default for Soa {
    fn default() -> Self {
        Self { refresh: 3600, retry: 600, expire: 86400, min_ttl: 0 }
    }
}

/// In which order recursors are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecursorStrategy {
    /// As configured: the second only when the first fails.
    Sequential,
    /// In another order for each question.
    Random,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_gives_the_ttl() {
        let secs = |pairs: &[(&str, u64)]| Settings {
            service_ttl: pairs.iter().map(|(k, s)| ((*k).to_owned(), Duration::from_secs(*s))).collect(),
            ..Settings::default()
        };
        let settings = secs(&[("*", 5), ("db*", 42), ("db-main*", 66), ("db", 11), ("WEB", 9)]);
        for (name, wanted) in [("db", 11), ("dbx", 42), ("db-main", 66), ("db-main-2", 66), ("web", 5)] {
            assert_eq!(settings.ttl_of_service(name), Duration::from_secs(wanted), "{name}");
        }
        assert_eq!(secs(&[("web", 3)]).ttl_of_service("other"), Duration::ZERO);
    }

    #[test]
    fn domains_are_read_in_lower_case_and_checked() {
        assert_eq!("Home.Consul.".parse::<Domain>().unwrap().0.to_ascii(), "home.consul.");
        for bad in ["", ".", "a..b", &"x".repeat(64)] {
            assert!(bad.parse::<Domain>().is_err(), "{bad}");
        }
    }
}
