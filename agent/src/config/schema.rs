//! Which keys a configuration file may have, and of which type: Consul 1.21's, all of them.
//!
//! One row a key. What ryo does not do is a row too, with the reason: such a key is accepted and named once in a notice,
//! so that a file written for Consul starts an agent here.

mod idle;
mod service;

use Shape::{Any, Bool, Float, Int, Object, Objects, Text, TextMap, Texts};

use self::service::LOCALITY;
pub(super) use self::service::{CHECK, SERVICE};

/// What a key's value looks like.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    Bool,
    Int,
    Float,
    Text,
    Texts,
    TextMap,
    TextsMap,
    /// One block, at most once in a file.
    Object(&'static [Key]),
    /// Any number of blocks.
    Objects(&'static [Key]),
    /// Blocks by a name of the user's.
    ObjectMap(&'static [Key]),
    /// An object of the user's own names and shapes, unpacked as [`super::unpack`] says.
    Opaque,
    /// Kept or dropped as it stands; not looked into.
    Any,
}

/// What ryo does with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// It has its effect, or its effect is what always happens here.
    Used,
    /// It has none, for this reason.
    Without(&'static str),
    /// It has none in Consul itself; it belongs to Consul Enterprise.
    Enterprise,
    /// An old spelling that works; the text says what to write today.
    Old(&'static str),
    /// An old key without effect; the text is Consul's.
    Gone(&'static str),
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    /// A second spelling, compared without regard to case.
    pub(super) alias: Option<&'static str>,
    pub(super) shape: Shape,
    pub(super) used: Use,
}

const fn key(name: &'static str, shape: Shape) -> Key {
    Key { name, alias: None, shape, used: Use::Used }
}

const fn also(name: &'static str, alias: &'static str, shape: Shape) -> Key {
    Key { name, alias: Some(alias), shape, used: Use::Used }
}

const fn without(name: &'static str, shape: Shape, reason: &'static str) -> Key {
    Key { name, alias: None, shape, used: Use::Without(reason) }
}

const fn enterprise(name: &'static str, shape: Shape) -> Key {
    Key { name, alias: None, shape, used: Use::Enterprise }
}

const fn gone(name: &'static str, shape: Shape, text: &'static str) -> Key {
    Key { name, alias: None, shape, used: Use::Gone(text) }
}

const fn old(name: &'static str, shape: Shape, today: &'static str) -> Key {
    Key { name, alias: None, shape, used: Use::Old(today) }
}

const ACL: &str = "access control is not there yet";
const GOSSIP: &str = "agents keep a lease, there is no gossip";
const MESH: &str = "there is no service mesh";
const RAFT: &str = "this engine chooses its own";
const LINK: &str = "the link on ports.server is protected by encrypt, not by certificates";
const GRPC: &str = "gRPC is not served";
const ENTERPRISE: &str = "it belongs to Consul Enterprise";
const CIRCONUS: &str = "metrics are not sent to Circonus";
const BUILD: &str = "it belongs to Consul's own builds";
const FIXED: &str = "the value is fixed, in Consul too";

const PORTS: &[Key] = &[
    key("dns", Int),
    key("http", Int),
    key("https", Int),
    key("serf_lan", Int),
    key("serf_wan", Int),
    key("server", Int),
    key("grpc", Int),
    key("grpc_tls", Int),
    without("proxy_min_port", Int, MESH),
    without("proxy_max_port", Int, MESH),
    key("sidecar_min_port", Int),
    key("sidecar_max_port", Int),
    without("expose_min_port", Int, MESH),
    without("expose_max_port", Int, MESH),
];

const ADDRESSES: &[Key] =
    &[key("dns", Text), key("http", Text), key("https", Text), key("grpc", Text), key("grpc_tls", Text)];

const SOA: &[Key] = &[key("refresh", Int), key("retry", Int), key("expire", Int), key("min_ttl", Int)];

const DNS: &[Key] = &[
    key("allow_stale", Bool),
    key("a_record_limit", Int),
    key("disable_compression", Bool),
    key("enable_truncate", Bool),
    key("max_stale", Text),
    key("node_ttl", Text),
    key("only_passing", Bool),
    key("recursor_strategy", Text),
    key("recursor_timeout", Text),
    key("service_ttl", TextMap),
    key("udp_answer_limit", Int),
    key("enable_additional_node_meta_txt", Bool),
    key("soa", Object(SOA)),
    key("use_cache", Bool),
    key("cache_max_age", Text),
    enterprise("prefer_namespace", Bool),
];

const HTTP: &[Key] = &[
    key("block_endpoints", Texts),
    key("allow_write_http_from", Texts),
    key("response_headers", TextMap),
    key("use_cache", Bool),
    key("max_header_bytes", Int),
];

const UI: &[Key] = &[
    key("enabled", Bool),
    key("dir", Text),
    key("content_path", Text),
    without("metrics_provider", Text, "the page shows no metrics"),
    without("metrics_provider_files", Texts, "the page shows no metrics"),
    without("metrics_provider_options_json", Text, "the page shows no metrics"),
    without("metrics_proxy", Object(idle::METRICS_PROXY), "the page shows no metrics"),
    without("dashboard_url_templates", TextMap, "the page shows no metrics"),
];

const LIMITS: &[Key] = &[
    key("http_max_conns_per_client", Int),
    key("https_handshake_timeout", Text),
    key("kv_max_value_size", Int),
    key("txn_max_req_len", Int),
    key("request_limits", Object(REQUEST_LIMITS)),
    without("rpc_handshake_timeout", Text, GOSSIP),
    without("rpc_client_timeout", Text, GOSSIP),
    key("rpc_max_burst", Int),
    key("rpc_max_conns_per_client", Int),
    key("rpc_rate", Float),
];

const REQUEST_LIMITS: &[Key] = &[key("mode", Text), key("read_rate", Float), key("write_rate", Float)];

const TELEMETRY: &[Key] = &[
    key("disable_hostname", Bool),
    key("dogstatsd_addr", Text),
    key("dogstatsd_tags", Texts),
    key("enable_host_metrics", Bool),
    key("filter_default", Bool),
    key("metrics_prefix", Text),
    key("prefix_filter", Texts),
    key("prometheus_retention_time", Text),
    key("statsd_address", Text),
    key("statsite_address", Text),
    key("retry_failed_connection", Bool),
    without("circonus_api_app", Text, CIRCONUS),
    without("circonus_api_token", Text, CIRCONUS),
    without("circonus_api_url", Text, CIRCONUS),
    without("circonus_broker_id", Text, CIRCONUS),
    without("circonus_broker_select_tag", Text, CIRCONUS),
    without("circonus_check_display_name", Text, CIRCONUS),
    without("circonus_check_force_metric_activation", Text, CIRCONUS),
    without("circonus_check_id", Text, CIRCONUS),
    without("circonus_check_instance_id", Text, CIRCONUS),
    without("circonus_check_search_tag", Text, CIRCONUS),
    without("circonus_check_tags", Text, CIRCONUS),
    without("circonus_submission_interval", Text, CIRCONUS),
    without("circonus_submission_url", Text, CIRCONUS),
    without("disable_per_tenancy_usage_metrics", Bool, ENTERPRISE),
];

const PERFORMANCE: &[Key] = &[
    key("leave_drain_time", Text),
    key("rpc_hold_timeout", Text),
    key("raft_multiplier", Int),
    without("grpc_keepalive_interval", Text, MESH),
    without("grpc_keepalive_timeout", Text, MESH),
];

const AUTOPILOT: &[Key] = &[
    key("cleanup_dead_servers", Bool),
    enterprise("disable_upgrade_migration", Bool),
    key("last_contact_threshold", Text),
    key("max_trailing_logs", Int),
    key("min_quorum", Int),
    enterprise("redundancy_zone_tag", Text),
    key("server_stabilization_time", Text),
    enterprise("upgrade_version_tag", Text),
];

const TLS_DEFAULTS: &[Key] = &[
    key("ca_file", Text),
    key("ca_path", Text),
    key("cert_file", Text),
    key("key_file", Text),
    key("tls_min_version", Text),
    key("tls_cipher_suites", Text),
    key("verify_incoming", Bool),
    key("verify_outgoing", Bool),
    without("verify_server_hostname", Bool, LINK),
    key("use_auto_cert", Bool),
];

const TLS: &[Key] = &[
    key("defaults", Object(TLS_DEFAULTS)),
    key("https", Object(TLS_DEFAULTS)),
    without("internal_rpc", Object(TLS_DEFAULTS), LINK),
    without("grpc", Object(TLS_GRPC), GRPC),
];

const TLS_GRPC: &[Key] = &[
    key("ca_file", Text),
    key("ca_path", Text),
    key("cert_file", Text),
    key("key_file", Text),
    key("tls_min_version", Text),
    key("tls_cipher_suites", Text),
    key("verify_incoming", Bool),
    key("verify_outgoing", Bool),
    key("verify_server_hostname", Bool),
    key("use_auto_cert", Bool),
];

/// Ours: Consul leaves this to programs beside it.
const CONTAINER_SOURCE: &[Key] = &[
    key("enabled", Bool),
    key("socket", Text),
    key("host_address", Text),
    key("internal", Bool),
    key("explicit", Bool),
    key("tags", Texts),
    key("cleanup", Bool),
    key("resync_interval", Text),
];

const UNIX_SOCKETS: &[Key] = &[key("user", Text), key("group", Text), key("mode", Text)];

/// The top level of a file.
pub(super) const ROOT: &[Key] = &[
    without("acl", Object(idle::ACL), ACL),
    key("addresses", Object(ADDRESSES)),
    key("advertise_addr", Text),
    key("advertise_addr_ipv4", Text),
    key("advertise_addr_ipv6", Text),
    key("advertise_addr_wan", Text),
    key("advertise_addr_wan_ipv4", Text),
    key("advertise_addr_wan_ipv6", Text),
    without("advertise_reconnect_timeout", Text, GOSSIP),
    without("ae_interval", Text, FIXED),
    key("alt_domain", Text),
    enterprise("audit", Object(idle::AUDIT)),
    key("auto_config", Object(idle::AUTO_CONFIG)),
    key("auto_encrypt", Object(idle::AUTO_ENCRYPT)),
    key("auto_reload_config", Bool),
    key("autopilot", Object(AUTOPILOT)),
    key("bind_addr", Text),
    key("bootstrap", Bool),
    key("bootstrap_expect", Int),
    without("cache", Object(idle::CACHE), "answers are remembered within fixed bounds"),
    key("check", Object(&CHECK)),
    without("check_deregister_interval_min", Text, FIXED),
    key("check_output_max_size", Int),
    without("check_reap_interval", Text, FIXED),
    key("check_update_interval", Text),
    key("checks", Objects(&CHECK)),
    key("client_addr", Text),
    without("cloud", Object(idle::CLOUD), "there is no cloud behind this"),
    without("config_entries", Object(idle::CONFIG_ENTRIES), MESH),
    without(
        "connect",
        Object(idle::CONNECT),
        "there is no service mesh, only a root certificate for those who ask for one",
    ),
    without("consul", Object(idle::CONSUL), FIXED),
    key("container_source", Object(CONTAINER_SOURCE)),
    key("data_dir", Text),
    key("datacenter", Text),
    key("default_query_time", Text),
    without("default_intention_policy", Text, MESH),
    key("disable_anonymous_signature", Bool),
    key("disable_coordinates", Bool),
    key("disable_host_node_id", Bool),
    key("disable_http_unprintable_char_filter", Bool),
    key("disable_keyring_file", Bool),
    key("disable_remote_exec", Bool),
    key("disable_update_check", Bool),
    key("discard_check_output", Bool),
    key("discovery_max_stale", Text),
    key("dns_config", Object(DNS)),
    key("domain", Text),
    without("enable_agent_tls_for_checks", Bool, "checks show no certificate of their own"),
    without("enable_central_service_config", Bool, MESH),
    without("enable_debug", Bool, "there is no profiler"),
    key("enable_local_script_checks", Bool),
    key("enable_script_checks", Bool),
    key("enable_syslog", Bool),
    key("encrypt", Text),
    key("encrypt_verify_incoming", Bool),
    key("encrypt_verify_outgoing", Bool),
    without("experiments", Texts, "there are none"),
    without("gossip_lan", Object(idle::GOSSIP), GOSSIP),
    without("gossip_wan", Object(idle::GOSSIP), GOSSIP),
    key("http_config", Object(HTTP)),
    key("leave_on_terminate", Bool),
    enterprise("license_path", Text),
    key("limits", Object(LIMITS)),
    without("locality", Object(LOCALITY), ENTERPRISE),
    key("log_file", Text),
    key("log_json", Bool),
    key("log_level", Text),
    key("log_rotate_bytes", Int),
    key("log_rotate_duration", Text),
    key("log_rotate_max_files", Int),
    key("max_query_time", Text),
    key("node_id", Text),
    key("node_meta", TextMap),
    key("node_name", Text),
    enterprise("partition", Text),
    without("peering", Object(idle::PEERING), MESH),
    key("performance", Object(PERFORMANCE)),
    key("pid_file", Text),
    key("ports", Object(PORTS)),
    key("primary_datacenter", Text),
    without("primary_gateways", Texts, MESH),
    without("primary_gateways_interval", Text, MESH),
    key("protocol", Int),
    old("raft_boltdb", Object(idle::RAFT_BOLTDB), "raft_logstore.boltdb"),
    without("raft_logstore", Object(idle::RAFT_LOGSTORE), RAFT),
    key("raft_protocol", Int),
    without("raft_snapshot_interval", Text, RAFT),
    without("raft_snapshot_threshold", Int, RAFT),
    without("raft_trailing_logs", Int, RAFT),
    without("raft_prevote_disabled", Bool, RAFT),
    enterprise("read_replica", Bool),
    key("reconnect_timeout", Text),
    key("reconnect_timeout_wan", Text),
    key("recursors", Texts),
    key("rejoin_after_leave", Bool),
    without("reporting", Object(idle::REPORTING), "nothing is reported to anybody"),
    key("retry_interval", Text),
    key("retry_interval_wan", Text),
    key("retry_join", Texts),
    key("retry_join_wan", Texts),
    key("retry_max", Int),
    key("retry_max_wan", Int),
    without("rpc", Object(idle::RPC), GOSSIP),
    key("segment", Text),
    without("segment_limit", Int, FIXED),
    without("segment_name_limit", Int, FIXED),
    key("segments", Objects(idle::SEGMENT)),
    key("serf_lan", Text),
    without("serf_lan_allowed_cidrs", Texts, GOSSIP),
    key("serf_wan", Text),
    without("serf_wan_allowed_cidrs", Texts, GOSSIP),
    key("server", Bool),
    // A server of any age may start again here: it is never refused.
    key("server_rejoin_age_max", Text),
    key("server_name", Text),
    key("service", Object(&SERVICE)),
    key("services", Objects(&SERVICE)),
    key("session_ttl_min", Text),
    key("skip_leave_on_interrupt", Bool),
    without("snapshot_agent", Any, ENTERPRISE),
    without("sync_coordinate_interval_min", Text, FIXED),
    without("sync_coordinate_rate_target", Float, FIXED),
    key("syslog_facility", Text),
    key("tagged_addresses", TextMap),
    key("telemetry", Object(TELEMETRY)),
    key("tls", Object(TLS)),
    key("translate_wan_addrs", Bool),
    key("ui_config", Object(UI)),
    key("unix_sockets", Object(UNIX_SOCKETS)),
    key("use_streaming_backend", Bool),
    key("watches", Objects(&[])),
    without("build_date", Any, BUILD),
    without("revision", Text, BUILD),
    without("version", Text, BUILD),
    without("version_metadata", Text, BUILD),
    without("version_prerelease", Text, BUILD),
    without("xds", Object(idle::XDS), MESH),
    gone(
        "acl_enforce_version_8",
        Bool,
        "config key \"acl_enforce_version_8\" is deprecated and should be removed",
    ),
    old("acl_agent_master_token", Text, "acl.tokens.agent_recovery"),
    old("acl_agent_token", Text, "acl.tokens.agent"),
    old("acl_datacenter", Text, "primary_datacenter"),
    old("acl_default_policy", Text, "acl.default_policy"),
    old("acl_down_policy", Text, "acl.down_policy"),
    old("acl_enable_key_list_policy", Bool, "acl.enable_key_list_policy"),
    old("acl_master_token", Text, "acl.tokens.initial_management"),
    old("acl_replication_token", Text, "acl.tokens.replication"),
    old("acl_token", Text, "acl.tokens.default"),
    old("acl_ttl", Text, "acl.token_ttl"),
    old("ca_file", Text, "tls.defaults.ca_file"),
    old("ca_path", Text, "tls.defaults.ca_path"),
    old("cert_file", Text, "tls.defaults.cert_file"),
    old("enable_acl_replication", Bool, "acl.enable_token_replication"),
    old("key_file", Text, "tls.defaults.key_file"),
    old("non_voting_server", Bool, "read_replica"),
    old("start_join", Texts, "retry_join"),
    old("start_join_wan", Texts, "retry_join_wan"),
    old("tls_cipher_suites", Text, "tls.defaults.tls_cipher_suites"),
    old("tls_min_version", Text, "tls.defaults.tls_min_version"),
    gone(
        "tls_prefer_server_cipher_suites",
        Bool,
        "The 'tls_prefer_server_cipher_suites' field is deprecated and will be ignored.",
    ),
    old("ui", Bool, "ui_config.enabled"),
    old("ui_content_path", Text, "ui_config.content_path"),
    old("ui_dir", Text, "ui_config.dir"),
    old("verify_incoming", Bool, "tls.defaults.verify_incoming"),
    old("verify_incoming_https", Bool, "tls.https.verify_incoming"),
    old("verify_incoming_rpc", Bool, "tls.internal_rpc.verify_incoming"),
    old("verify_outgoing", Bool, "tls.defaults.verify_outgoing"),
    old("verify_server_hostname", Bool, "tls.internal_rpc.verify_server_hostname"),
];

/// The row of a key as a user wrote it, in any case.
pub(super) fn find(keys: &'static [Key], written: &str) -> Option<&'static Key> {
    let is = |name: &str| name.eq_ignore_ascii_case(written);
    keys.iter().find(|key| is(key.name) || key.alias.is_some_and(is))
}

/// The known key nearest to an unknown one, when it is near enough to be meant: `recusors` → `recursors`.
pub(super) fn nearest(keys: &'static [Key], written: &str) -> Option<&'static str> {
    let written = written.to_ascii_lowercase();
    let distances = keys.iter().map(|key| (distance(key.name, &written), key.name));
    distances.min().filter(|(steps, name)| *steps <= 2 && steps * 2 <= name.len()).map(|(_, name)| name)
}

/// Insertions, deletions and replacements from one word to the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, cb) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_key() {
        assert_eq!(nearest(ROOT, "recusors"), Some("recursors"));
        assert_eq!(nearest(ROOT, "recursor"), Some("recursors"));
        assert_eq!(nearest(&SERVICE, "prot"), Some("port"));
        assert_eq!(nearest(ROOT, "nosuch"), None);
    }

    #[test]
    fn names_are_unique() {
        for keys in [ROOT, &SERVICE, &CHECK, DNS, PORTS] {
            let mut names: Vec<_> =
                keys.iter().flat_map(|key| [Some(key.name), key.alias]).flatten().collect();
            names.sort_unstable();
            let all = names.len();
            names.dedup();
            assert_eq!(names.len(), all);
        }
    }
}
