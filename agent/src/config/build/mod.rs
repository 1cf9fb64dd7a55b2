//! The merged settings judged as a whole.
//!
//! Errors come in two kinds, as in Consul: those of single values are collected and listed together, those of the whole
//! stop at the first.

mod addresses;
mod containers;
mod definitions;
mod limits;
mod log;
mod ports;
mod reader;
mod rules;
mod servers;
mod telemetry;
mod tls;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde_json::{Map, Value as Json};

use self::{addresses::Addresses, reader::Reader};
use super::{
    Config, ConfigError, Flags, Http, Listen, Remarks, ScriptChecks, Ui, UnixSockets, address, error_list,
};
use crate::dns;

const MINUTE: Duration = Duration::from_secs(60);

/// Builds the configuration and refuses what cannot work.
pub(super) fn build(
    settings: Map<String, Json>,
    flags: &Flags,
    remarks: Remarks,
) -> Result<Config, ConfigError> {
    let mut reader = Reader::new(&settings, flags.dev);
    let config = assemble(&mut reader, flags, &settings, remarks);
    let errors = reader.into_errors();
    if !errors.is_empty() {
        return Err(ConfigError::new(error_list(&errors)));
    }
    let mut config = config?;
    rules::judge(&mut config, &settings)?;
    Ok(config)
}

#[expect(clippy::too_many_lines, reason = "one line a field: the place where keys become fields")]
fn assemble(
    r: &mut Reader<'_>,
    flags: &Flags,
    settings: &Map<String, Json>,
    mut remarks: Remarks,
) -> Result<Config, ConfigError> {
    let ports = ports::read(r)?;
    let join = joins(r, "retry_join", "start_join");
    let addresses = Addresses::read(r, &ports, &join)?;
    let datacenter = r.text("datacenter").unwrap_or("dc1").to_lowercase();
    let server = r.bool("server", flags.dev);
    let bootstrap_expect = r.number("bootstrap_expect", 0u32);
    let script_checks = ScriptChecks {
        local: r.bool("enable_local_script_checks", false) || r.bool("enable_script_checks", false),
        remote: r.bool("enable_script_checks", false),
    };
    let checks = definitions::checks(r, settings);
    let services = definitions::services(r, settings);
    let watches = std::mem::take(&mut remarks.watches);
    let places = std::mem::take(&mut remarks.places);
    let (mut warnings, mut notices) = spoken(remarks);
    notices.extend(watches.notices);
    let https_tls = tls::read(r, &mut notices, &places)?;
    notices.extend(addresses.remark);
    warnings.extend(addresses.warnings);
    let telemetry = telemetry::read(r, &mut warnings);
    Ok(Config {
        primary_datacenter: r
            .text("primary_datacenter")
            .or_else(|| r.text("acl_datacenter"))
            .map_or_else(|| datacenter.clone(), str::to_lowercase),
        node_name: node_name(r),
        node_id: r.text("node_id").map(str::to_lowercase),
        node_meta: r.text_map("node_meta"),
        data_dir: r.text("data_dir").filter(|dir| !dir.is_empty()).map(PathBuf::from),
        dev: flags.dev,
        server,
        bootstrap: r.bool("bootstrap", false),
        bootstrap_expect,
        bind_addr: addresses.bind,
        serf_lan: addresses.serf_lan,
        serf_wan: addresses.serf_wan,
        advertise_addr: addresses.advertise,
        advertise_addr_wan: addresses.advertise_wan,
        tagged_addresses: addresses.tagged,
        client_addrs: addresses.clients,
        http_listen: addresses.http,
        https_listen: addresses.https,
        https: https_tls,
        dns_listen: addresses
            .dns
            .into_iter()
            .filter_map(|listen| match listen {
                Listen::Tcp(address) => Some(address),
                Listen::Unix(_) => None,
            })
            .collect(),
        ports,
        unix_sockets: UnixSockets {
            user: r.owned("unix_sockets.user"),
            group: r.owned("unix_sockets.group"),
            mode: r.owned("unix_sockets.mode"),
        },
        dns: dns_settings(r, &datacenter)?,
        recursors: recursors(r)?,
        http: Http {
            block_endpoints: r.texts("http_config.block_endpoints"),
            allow_write_http_from: r.texts("http_config.allow_write_http_from"),
            response_headers: r.text_map("http_config.response_headers"),
            max_header_bytes: r.given_number("http_config.max_header_bytes"),
            use_cache: r.bool("http_config.use_cache", true),
        },
        ui: Ui {
            enabled: r.bool("ui_config.enabled", r.bool("ui", flags.dev)),
            dir: r.owned("ui_config.dir").or_else(|| r.owned("ui_dir")).map(PathBuf::from),
            content_path: content_path(
                r.text("ui_config.content_path").or_else(|| r.text("ui_content_path")).unwrap_or("/ui/"),
            ),
        },
        limits: limits::read(r),
        telemetry,
        log: log::read(r),
        pid_file: r.owned("pid_file").map(PathBuf::from),
        retry_interval: r.duration("retry_interval", Duration::from_secs(30)),
        retry_max: r.number("retry_max", 0),
        retry_join: join,
        retry_join_wan: joins(r, "retry_join_wan", "start_join_wan"),
        retry_max_wan: r.number("retry_max_wan", 0),
        retry_interval_wan: r.duration("retry_interval_wan", Duration::from_secs(30)),
        connect: r.bool("connect.enabled", true),
        reconnect_timeout: r.given_duration("reconnect_timeout"),
        reconnect_timeout_wan: r.given_duration("reconnect_timeout_wan"),
        leave_on_terminate: r.bool("leave_on_terminate", !server),
        skip_leave_on_interrupt: r.bool("skip_leave_on_interrupt", server),
        leave_drain_time: r.duration("performance.leave_drain_time", Duration::from_secs(5)),
        raft_multiplier: servers::raft_multiplier(r)?,
        autopilot: servers::autopilot(r)?,
        rpc_hold_timeout: r.duration("performance.rpc_hold_timeout", Duration::from_secs(7)),
        encrypt: None,
        keyring_file: !r.bool("disable_keyring_file", false),
        mesh: r
            .bool("connect.enabled", false)
            .then(|| r.text("connect.ca_config.cluster_id").unwrap_or_default().to_owned()),
        remote_exec: !r.bool("disable_remote_exec", true),
        script_checks,
        check_output_max_size: r.number("check_output_max_size", 4096),
        check_update_interval: r.duration("check_update_interval", 5 * MINUTE),
        discard_check_output: r.bool("discard_check_output", false),
        coordinates: !r.bool("disable_coordinates", false),
        session_ttl_min: r.duration("session_ttl_min", Duration::from_secs(10)),
        default_query_time: r.duration("default_query_time", 5 * MINUTE),
        max_query_time: r.duration("max_query_time", 10 * MINUTE),
        discovery_max_stale: r.duration("discovery_max_stale", Duration::ZERO),
        dns_last_known: match r.bool("dns_config.allow_stale", true) {
            true => r.duration("dns_config.max_stale", 10 * MINUTE),
            false => Duration::ZERO,
        },
        translate_wan_addrs: r.bool("translate_wan_addrs", false),
        allow_unprintable_paths: r.bool("disable_http_unprintable_char_filter", false),
        container_source: containers::read(r)?,
        auto_reload_config: r.bool("auto_reload_config", false),
        services,
        checks,
        awaited: addresses.awaited,
        watches: watches.good,
        refused_watch: watches.refused,
        warnings,
        notices,
        datacenter,
        flags: flags.clone(),
    })
}

/// The addresses to join, an old key's after the new one's.
fn joins(r: &mut Reader<'_>, key: &str, old: &str) -> Vec<String> {
    let mut all = Vec::new();
    for text in r.texts(key).into_iter().chain(r.texts(old)) {
        // `provider=…` has words of its own.
        match if text.contains("{{") { address::words(key, &text) } else { Ok(vec![text]) } {
            Ok(words) => all.extend(words),
            Err(why) => r.error(why),
        }
    }
    all
}

fn recursors(r: &Reader<'_>) -> Result<Vec<String>, ConfigError> {
    let mut all = Vec::new();
    for text in r.texts("recursors") {
        let expanded = address::expand(&text)
            .map_err(|why| ConfigError::new(format!("Invalid DNS recursor template {text:?}: {why}")))?;
        // What is no template stays as written: the agent says what is wrong with it.
        if text.contains("{{") {
            all.extend(expanded.split_whitespace().map(str::to_owned));
        } else {
            all.push(expanded);
        }
    }
    Ok(all)
}

fn dns_settings(r: &mut Reader<'_>, datacenter: &str) -> Result<dns::Settings, ConfigError> {
    let domain = |key: &str, text: &str| {
        text.parse::<dns::Domain>().map_err(|error| ConfigError::new(format!("{key}: {error}")))
    };
    let mut service_ttl = BTreeMap::new();
    for (name, text) in r.text_map("dns_config.service_ttl") {
        let ttl = r.parse_duration(&format!("dns_config.service_ttl[{name:?}]"), &text);
        service_ttl.insert(name, ttl);
    }
    let default = dns::Soa::default();
    Ok(dns::Settings {
        domain: domain("domain", r.text("domain").unwrap_or("consul"))?,
        alt_domain: r
            .text("alt_domain")
            .filter(|d| !d.is_empty())
            .map(|d| domain("alt_domain", d))
            .transpose()?,
        datacenter: datacenter.to_owned(),
        node: node_name(r),
        a_record_limit: r.number("dns_config.a_record_limit", 0),
        udp_answer_limit: r.number("dns_config.udp_answer_limit", 3),
        enable_truncate: r.bool("dns_config.enable_truncate", false),
        only_passing: r.bool("dns_config.only_passing", false),
        node_ttl: r.duration("dns_config.node_ttl", Duration::ZERO),
        service_ttl,
        soa: dns::Soa {
            refresh: r.number("dns_config.soa.refresh", default.refresh),
            retry: r.number("dns_config.soa.retry", default.retry),
            expire: r.number("dns_config.soa.expire", default.expire),
            min_ttl: r.number("dns_config.soa.min_ttl", default.min_ttl),
        },
        disable_compression: r.bool("dns_config.disable_compression", false),
        enable_additional_node_meta_txt: r.bool("dns_config.enable_additional_node_meta_txt", true),
        // Looked for when the agent starts: the files are in order even when a recursor's name is not known.
        recursors: Vec::new(),
        recursor_strategy: match r.text("dns_config.recursor_strategy") {
            Some("random") => dns::RecursorStrategy::Random,
            _ => dns::RecursorStrategy::Sequential,
        },
        recursor_timeout: r.duration("dns_config.recursor_timeout", Duration::from_secs(2)),
        translate_wan_addrs: r.bool("translate_wan_addrs", false),
    })
}

fn content_path(path: &str) -> String {
    format!("/{}/", path.trim_matches('/')).replace("//", "/")
}

/// What there is to say about the files themselves: in Consul's words, and in ours.
fn spoken(remarks: Remarks) -> (Vec<String>, Vec<String>) {
    let mut warnings = remarks.skipped;
    let mut old = remarks.old;
    old.sort_unstable();
    old.dedup();
    let said = |(name, today): &(String, &str)| {
        format!("The '{name}' field is deprecated. Use the '{today}' field instead.")
    };
    warnings.extend(old.iter().map(said));
    warnings.extend(remarks.said);
    let mut without = remarks.without;
    without.sort_unstable();
    without.dedup();
    let notices =
        without.iter().map(|(key, reason)| format!("configuration key {key} has no effect: {reason}"));
    (warnings, notices.collect())
}

fn node_name(r: &Reader<'_>) -> String {
    r.text("node_name").map_or_else(host_name, |name| name.trim().to_owned())
}

pub(super) fn host_name() -> String {
    nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
