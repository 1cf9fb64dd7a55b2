//! Blocks that have no effect here, or hardly one. Their keys are known all the same: a slip in them is found now, and not
//! on the day when somebody moves the file back.

use super::{
    Key,
    Shape::{Any, Bool, Float, Int, Object, Objects, Text, TextMap, Texts},
    enterprise, key, old,
};

pub(super) const ACL: &[Key] = &[
    key("enabled", Bool),
    key("policy_ttl", Text),
    key("role_ttl", Text),
    key("token_ttl", Text),
    key("down_policy", Text),
    key("default_policy", Text),
    key("enable_key_list_policy", Bool),
    key("enable_token_persistence", Bool),
    key("enable_token_replication", Bool),
    enterprise("msp_disable_bootstrap", Bool),
    key("tokens", Object(TOKENS)),
];

const TOKENS: &[Key] = &[
    key("initial_management", Text),
    key("agent_recovery", Text),
    key("config_file_service_registration", Text),
    key("default", Text),
    key("agent", Text),
    key("replication", Text),
    key("dns", Text),
    enterprise("managed_service_provider", Any),
    old("master", Text, "acl.tokens.initial_management"),
    old("agent_master", Text, "acl.tokens.agent_recovery"),
];

pub(super) const AUDIT: &[Key] = &[key("enabled", Bool), key("sink", Any)];

pub(super) const CACHE: &[Key] = &[key("entry_fetch_max_burst", Int), key("entry_fetch_rate", Float)];

pub(super) const CLOUD: &[Key] = &[
    key("resource_id", Text),
    key("client_id", Text),
    key("client_secret", Text),
    key("hostname", Text),
    key("auth_url", Text),
    key("scada_address", Text),
];

pub(super) const CONFIG_ENTRIES: &[Key] = &[key("bootstrap", Any)];

pub(super) const CONNECT: &[Key] = &[
    key("enabled", Bool),
    key("ca_provider", Text),
    key("ca_config", Any),
    key("enable_mesh_gateway_wan_federation", Bool),
    key("test_ca_leaf_root_change_spread", Text),
];

pub(super) const CONSUL: &[Key] = &[
    key("coordinate", Object(COORDINATE)),
    key("raft", Object(RAFT_TIMES)),
    key("server", Object(&[key("health_interval", Text)])),
];

const COORDINATE: &[Key] =
    &[key("update_batch_size", Int), key("update_max_batches", Int), key("update_period", Text)];

const RAFT_TIMES: &[Key] =
    &[key("election_timeout", Text), key("heartbeat_timeout", Text), key("leader_lease_timeout", Text)];

pub(super) const GOSSIP: &[Key] = &[
    key("gossip_nodes", Int),
    key("gossip_interval", Text),
    key("probe_interval", Text),
    key("probe_timeout", Text),
    key("suspicion_mult", Int),
    key("retransmit_mult", Int),
];

pub(super) const PEERING: &[Key] = &[key("enabled", Bool), key("test_allow_peer_registrations", Bool)];

pub(super) const METRICS_PROXY: &[Key] =
    &[key("base_url", Text), key("add_headers", Objects(PROXY_HEADER)), key("path_allowlist", Texts)];

const PROXY_HEADER: &[Key] = &[key("name", Text), key("value", Text)];

pub(super) const RAFT_LOGSTORE: &[Key] = &[
    key("backend", Text),
    key("disable_log_cache", Bool),
    key("verification", Object(&[key("enabled", Bool), key("interval", Text)])),
    key("boltdb", Object(&[key("no_freelist_sync", Bool)])),
    key("wal", Object(&[key("segment_size_mb", Int)])),
];

pub(super) const RAFT_BOLTDB: &[Key] = &[key("NoFreelistSync", Bool)];

pub(super) const REPORTING: &[Key] = &[key("license", Object(&[enterprise("enabled", Bool)]))];

pub(super) const RPC: &[Key] = &[key("enable_streaming", Bool)];

pub(super) const SEGMENT: &[Key] = &[
    key("name", Text),
    key("bind", Text),
    key("port", Int),
    key("advertise", Text),
    key("rpc_listener", Bool),
];

pub(super) const AUTO_CONFIG: &[Key] = &[
    key("enabled", Bool),
    key("intro_token", Text),
    key("intro_token_file", Text),
    key("server_addresses", Texts),
    key("dns_sans", Texts),
    key("ip_sans", Texts),
    key("authorization", Object(&[key("enabled", Bool), key("static", Object(AUTHORIZATION))])),
];

const AUTHORIZATION: &[Key] = &[
    key("jwt_validation_pub_keys", Texts),
    key("oidc_discovery_url", Text),
    key("oidc_discovery_ca_cert", Text),
    key("jwks_url", Text),
    key("jwks_ca_cert", Text),
    key("jwt_supported_algs", Texts),
    key("bound_audiences", Texts),
    key("bound_issuer", Text),
    key("expiration_leeway", Text),
    key("not_before_leeway", Text),
    key("clock_skew_leeway", Text),
    key("claim_mappings", TextMap),
    key("list_claim_mappings", TextMap),
    key("allow_reuse", Bool),
    key("claim_assertions", Texts),
];

pub(super) const AUTO_ENCRYPT: &[Key] =
    &[key("tls", Bool), key("dns_san", Texts), key("ip_san", Texts), key("allow_tls", Bool)];

pub(super) const XDS: &[Key] = &[key("update_max_per_second", Float)];
