//! Every key that Consul 1.21.4's `validate` knows is known here: used, or accepted with a notice that names it; what it
//! refuses is refused. The list was asked of it key by key.

use std::fs;

use agent::config::{Flags, load};
use serde_json::{Map, Value, json};

const KNOWN: &str = "
    acl.enabled acl.policy_ttl acl.role_ttl acl.token_ttl acl.down_policy acl.default_policy
    acl.enable_key_list_policy acl.enable_token_persistence acl.enable_token_replication
    acl.tokens.initial_management acl.tokens.agent_recovery acl.tokens.config_file_service_registration
    acl.tokens.default acl.tokens.agent acl.tokens.replication acl.tokens.dns acl.tokens.managed_service_provider
    acl.tokens.master acl.tokens.agent_master acl.msp_disable_bootstrap auto_config.enabled auto_config.intro_token
    auto_config.intro_token_file auto_config.server_addresses auto_config.dns_sans auto_config.ip_sans
    auto_config.authorization.enabled auto_config.authorization.static.jwt_validation_pub_keys
    auto_config.authorization.static.oidc_discovery_url auto_config.authorization.static.oidc_discovery_ca_cert
    auto_config.authorization.static.jwks_url auto_config.authorization.static.jwks_ca_cert
    auto_config.authorization.static.jwt_supported_algs auto_config.authorization.static.bound_audiences
    auto_config.authorization.static.bound_issuer auto_config.authorization.static.expiration_leeway
    auto_config.authorization.static.not_before_leeway auto_config.authorization.static.clock_skew_leeway
    auto_config.authorization.static.claim_mappings auto_config.authorization.static.list_claim_mappings
    auto_config.authorization.static.allow_reuse auto_config.authorization.static.claim_assertions auto_encrypt.tls
    auto_encrypt.dns_san auto_encrypt.ip_san auto_encrypt.allow_tls autopilot.cleanup_dead_servers
    autopilot.disable_upgrade_migration autopilot.last_contact_threshold autopilot.max_trailing_logs
    autopilot.min_quorum autopilot.redundancy_zone_tag autopilot.server_stabilization_time
    autopilot.upgrade_version_tag cache.entry_fetch_max_burst cache.entry_fetch_rate config_entries.bootstrap
    connect.enabled connect.ca_provider connect.ca_config connect.enable_mesh_gateway_wan_federation
    connect.test_ca_leaf_root_change_spread gossip_lan.gossip_nodes gossip_lan.gossip_interval
    gossip_lan.probe_interval gossip_lan.probe_timeout gossip_lan.suspicion_mult gossip_lan.retransmit_mult
    gossip_wan.gossip_nodes peering.enabled peering.test_allow_peer_registrations rpc.enable_streaming
    tls.defaults.ca_file tls.defaults.ca_path tls.defaults.cert_file tls.defaults.key_file
    tls.defaults.tls_min_version tls.defaults.tls_cipher_suites tls.defaults.verify_incoming
    tls.defaults.verify_outgoing tls.defaults.verify_server_hostname tls.defaults.use_auto_cert
    tls.grpc.use_auto_cert tls.https.verify_incoming tls.internal_rpc.verify_server_hostname
    xds.update_max_per_second raft_logstore.backend raft_logstore.disable_log_cache
    raft_logstore.verification.enabled raft_logstore.verification.interval raft_logstore.boltdb.no_freelist_sync
    raft_logstore.wal.segment_size_mb raft_boltdb.NoFreelistSync reporting.license.enabled cloud.resource_id
    cloud.client_id cloud.client_secret cloud.hostname cloud.auth_url cloud.scada_address audit.enabled audit.sink
    locality.region locality.zone ui_config.metrics_proxy.base_url ui_config.metrics_proxy.add_headers
    ui_config.metrics_proxy.path_allowlist snapshot_agent segments.name segments.bind segments.port
    segments.advertise segments.rpc_listener node_name node_id node_meta datacenter primary_datacenter data_dir
    server bootstrap bootstrap_expect domain alt_domain recursors log_level log_json log_file log_rotate_bytes
    log_rotate_duration log_rotate_max_files enable_syslog syslog_facility pid_file disable_update_check
    disable_anonymous_signature enable_debug client_addr bind_addr advertise_addr advertise_addr_ipv4
    advertise_addr_ipv6 advertise_addr_wan advertise_addr_wan_ipv4 advertise_addr_wan_ipv6 serf_lan serf_wan
    tagged_addresses translate_wan_addrs retry_join retry_interval retry_max retry_join_wan retry_interval_wan
    retry_max_wan rejoin_after_leave reconnect_timeout reconnect_timeout_wan leave_on_terminate
    skip_leave_on_interrupt encrypt encrypt_verify_incoming encrypt_verify_outgoing disable_keyring_file
    unix_sockets.user unix_sockets.group unix_sockets.mode limits.http_max_conns_per_client
    limits.https_handshake_timeout limits.rpc_handshake_timeout limits.rpc_client_timeout limits.rpc_max_burst
    limits.rpc_max_conns_per_client limits.rpc_rate limits.kv_max_value_size limits.txn_max_req_len
    limits.request_limits.mode limits.request_limits.read_rate limits.request_limits.write_rate
    performance.leave_drain_time performance.raft_multiplier performance.rpc_hold_timeout
    performance.grpc_keepalive_interval performance.grpc_keepalive_timeout watches service services check checks
    session_ttl_min check_update_interval check_output_max_size discard_check_output default_query_time
    max_query_time discovery_max_stale disable_coordinates disable_remote_exec disable_host_node_id
    disable_http_unprintable_char_filter enable_script_checks enable_local_script_checks enable_agent_tls_for_checks
    enable_central_service_config use_streaming_backend raft_protocol raft_snapshot_interval raft_snapshot_threshold
    raft_trailing_logs raft_prevote_disabled protocol experiments segment segments license_path auto_reload_config
    advertise_reconnect_timeout default_intention_policy primary_gateways primary_gateways_interval read_replica
    serf_lan_allowed_cidrs serf_wan_allowed_cidrs server_rejoin_age_max server_name partition ports.dns ports.http
    ports.https ports.serf_lan ports.serf_wan ports.server ports.grpc ports.grpc_tls ports.proxy_min_port
    ports.proxy_max_port ports.sidecar_min_port ports.sidecar_max_port ports.expose_min_port ports.expose_max_port
    addresses.dns addresses.http addresses.https addresses.grpc addresses.grpc_tls dns_config.allow_stale
    dns_config.a_record_limit dns_config.disable_compression dns_config.enable_truncate dns_config.max_stale
    dns_config.node_ttl dns_config.only_passing dns_config.recursor_strategy dns_config.recursor_timeout
    dns_config.service_ttl dns_config.udp_answer_limit dns_config.enable_additional_node_meta_txt
    dns_config.soa.refresh dns_config.soa.retry dns_config.soa.expire dns_config.soa.min_ttl dns_config.use_cache
    dns_config.cache_max_age dns_config.prefer_namespace http_config.block_endpoints
    http_config.allow_write_http_from http_config.response_headers http_config.use_cache
    http_config.max_header_bytes ui_config.enabled ui_config.dir ui_config.content_path ui_config.metrics_provider
    ui_config.metrics_provider_files ui_config.metrics_provider_options_json ui_config.dashboard_url_templates
    telemetry.statsd_address telemetry.statsite_address telemetry.dogstatsd_addr telemetry.dogstatsd_tags
    telemetry.disable_hostname telemetry.metrics_prefix telemetry.prefix_filter telemetry.filter_default
    telemetry.prometheus_retention_time telemetry.enable_host_metrics telemetry.retry_failed_connection
    telemetry.disable_per_tenancy_usage_metrics telemetry.circonus_api_app telemetry.circonus_api_token
    telemetry.circonus_api_url telemetry.circonus_broker_id telemetry.circonus_broker_select_tag
    telemetry.circonus_check_display_name telemetry.circonus_check_force_metric_activation
    telemetry.circonus_check_id telemetry.circonus_check_instance_id telemetry.circonus_check_search_tag
    telemetry.circonus_check_tags telemetry.circonus_submission_interval telemetry.circonus_submission_url
    acl_agent_master_token acl_agent_token acl_datacenter acl_default_policy acl_down_policy
    acl_enable_key_list_policy acl_master_token acl_replication_token acl_token acl_ttl ca_file ca_path cert_file
    key_file enable_acl_replication non_voting_server start_join start_join_wan tls_cipher_suites tls_min_version
    tls_prefer_server_cipher_suites ui ui_content_path ui_dir verify_incoming verify_incoming_https
    verify_incoming_rpc verify_outgoing verify_server_hostname acl_enforce_version_8 service.kind service.id
    service.name service.tags service.address service.tagged_addresses service.meta service.port service.socket_path
    service.check service.checks service.token service.weights.passing service.weights.warning
    service.enable_tag_override service.locality.region service.proxy.destination_service_name
    service.proxy.destination_service_id service.proxy.local_service_address service.proxy.local_service_port
    service.proxy.local_service_socket_path service.proxy.mode service.proxy.config service.proxy.upstreams
    service.proxy.mesh_gateway.mode service.proxy.expose.checks service.proxy.expose.paths
    service.proxy.transparent_proxy.outbound_listener_port service.proxy.transparent_proxy.dialed_directly
    service.connect.native service.connect.sidecar_service check.id check.name check.notes check.service_id
    check.token check.status check.args check.http check.header check.method check.body check.disable_redirects
    check.output_max_size check.tcp check.tcp_use_tls check.udp check.interval check.docker_container_id check.shell
    check.grpc check.grpc_use_tls check.tls_server_name check.tls_skip_verify check.alias_node check.alias_service
    check.timeout check.ttl check.h2ping check.h2ping_use_tls check.os_service check.success_before_passing
    check.failures_before_warning check.failures_before_critical check.deregister_critical_service_after ae_interval
    check_deregister_interval_min check_reap_interval segment_limit segment_name_limit sync_coordinate_interval_min
    sync_coordinate_rate_target consul.coordinate.update_batch_size consul.coordinate.update_max_batches
    consul.coordinate.update_period consul.raft.election_timeout consul.raft.heartbeat_timeout
    consul.raft.leader_lease_timeout consul.server.health_interval";

const UNKNOWN: &str = "acl.disabled_ttl connect.enable_serverless_plugin cloud.node_id cloud.node_name audit.rpc_enforcement ui_config.hcp_enabled \
    enable_ui bind_wan service.namespace check.namespace check.partition acl.tokens.nosuch consul.serf consul.raft.nosuch nosuch";

/// Reads a file with the two keys that each needs, and one at a path.
fn read(path: &str, value: Value) -> Result<Vec<String>, (String, String)> {
    let dir = tempfile::tempdir().expect("a folder for the test");
    let mut file = Map::from_iter([
        ("data_dir".to_owned(), json!(dir.path().join("d"))),
        ("bind_addr".to_owned(), json!("127.0.0.1")),
    ]);
    let nested = path.rsplit('.').fold(value, |inner, step| json!({ step: inner }));
    file.extend(nested.as_object().expect("a path has a step").clone());
    let name = dir.path().join("a.json");
    fs::write(&name, Value::Object(file).to_string()).expect("a file for the test");
    let flags = Flags::parse([format!("-config-file={}", name.display())]).expect("the test's own flag");
    match load(&flags) {
        Ok(config) => Ok(config.notices),
        Err(error) => Err((error.to_string(), error.hint().unwrap_or_default().to_owned())),
    }
}

#[test]
fn every_key_of_consul_is_known() {
    let mut count = 0;
    for path in KNOWN.split_whitespace() {
        // What a null sets is nothing, whatever the type: only the name is looked at.
        if let Err((text, _)) = read(path, Value::Null) {
            assert!(!text.contains("invalid config key"), "{path}: {text}");
        }
        count += 1;
    }
    assert!(count > 380, "{count}");
}

#[test]
fn what_consul_refuses_is_refused_with_its_place() {
    for path in UNKNOWN.split_whitespace() {
        let (text, hint) = read(path, Value::Null).expect_err(path);
        assert!(text.contains(&format!("* invalid config key {path}\n")), "{path}: {text}");
        assert!(hint.contains("a.json:1:") && hint.contains(path), "{path}: {hint}");
    }
}

#[test]
fn what_has_no_effect_is_named_once() {
    for (path, value, named) in [
        ("acl.tokens.default", json!("x"), "acl"),
        ("consul.raft.heartbeat_timeout", json!("1s"), "consul"),
        ("check_reap_interval", json!("1s"), "check_reap_interval"),
        ("gossip_lan.probe_interval", json!("1s"), "gossip_lan"),
        ("raft_logstore.wal.segment_size_mb", json!(64), "raft_logstore"),
        ("ui_config.metrics_proxy.base_url", json!("http://x/"), "ui_config.metrics_proxy"),
        ("config_entries.bootstrap", json!([{"kind": "proxy-defaults", "name": "global"}]), "config_entries"),
    ] {
        let notices = read(path, value).unwrap_or_else(|(text, _)| panic!("{path}: {text}"));
        let naming: Vec<_> =
            notices.iter().filter(|notice| notice.contains(&format!("key {named} "))).collect();
        assert_eq!(naming.len(), 1, "{path}: {notices:?}");
    }
}

#[test]
fn a_slip_within_a_block_finds_its_key() {
    let (_, hint) = read("acl.tokens.defualt", json!("x")).expect_err("no such key");
    assert!(hint.ends_with("unknown key \"acl.tokens.defualt\"; did you mean \"default\"?"), "{hint}");
    let (_, hint) = read("autopilot.min_quorom", json!(3)).expect_err("no such key");
    assert!(hint.ends_with("did you mean \"min_quorum\"?"), "{hint}");
}

#[test]
fn what_belongs_to_enterprise_or_the_past_is_said_in_consuls_words() {
    for (path, value, said) in [
        (
            "audit.enabled",
            json!(true),
            "\"audit\" is a Consul Enterprise configuration and will have no effect",
        ),
        (
            "autopilot.redundancy_zone_tag",
            json!("x"),
            "\"autopilot.redundancy_zone_tag\" is a Consul Enterprise configuration and will have no effect",
        ),
        (
            "read_replica",
            json!(true),
            "\"read_replica (or the deprecated non_voting_server)\" is a Consul Enterprise configuration and will have no effect",
        ),
        (
            "acl.tokens.master",
            json!("x"),
            "The 'acl.tokens.master' field is deprecated. Use the 'acl.tokens.initial_management' field instead.",
        ),
        (
            "raft_boltdb.NoFreelistSync",
            json!(true),
            "The 'raft_boltdb' field is deprecated. Use the 'raft_logstore.boltdb' field instead.",
        ),
        (
            "acl_enforce_version_8",
            json!(true),
            "config key \"acl_enforce_version_8\" is deprecated and should be removed",
        ),
    ] {
        let dir = tempfile::tempdir().expect("a folder for the test");
        let inner = path.rsplit('.').fold(value, |inner, step| json!({ step: inner }));
        let name = dir.path().join("a.json");
        fs::write(&name, inner.to_string()).expect("a file for the test");
        let words = [
            format!("-config-file={}", name.display()),
            "-bind=127.0.0.1".into(),
            format!("-data-dir={}", dir.path().display()),
        ];
        let config = load(&Flags::parse(words).expect("the test's own flags")).expect("known keys");
        assert_eq!(config.warnings, [said], "{path}");
    }
    let (text, _) = read("segment", json!("x")).expect_err("refused");
    assert_eq!(text, "Network segments are not supported in this version of Consul");
}
