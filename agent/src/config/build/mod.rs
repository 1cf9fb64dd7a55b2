//! The merged settings judged as a whole.
//!
//! Errors come in two kinds, as in Consul: those of single values are collected and listed together, those of the whole
//! stop at the first.

mod containers;
mod limits;
mod log;
mod reader;
mod rules;
mod telemetry;
mod tls;

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, time::Duration};

use registry_wire::catalog::TextMap;
use serde_json::{Map, Value as Json};

use self::reader::Reader;
use super::{
    Config, ConfigError, Flags, Http, Listen, Ports, Remarks, ScriptChecks, Ui, UnixSockets, address,
    error_list,
};
use crate::{
    definition::{CheckDefinition, ServiceDefinition},
    dns,
};

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
    let ports = ports(r);
    let join = joins(r, "retry_join", "start_join");
    let addresses = Addresses::read(r, &join)?;
    let datacenter = r.text("datacenter").unwrap_or("dc1").to_lowercase();
    let server = r.bool("server", flags.dev);
    let bootstrap_expect = r.number("bootstrap_expect", 0u32);
    let local = addresses.client_text.clone();
    let own =
        |r: &Reader<'_>, key: &str| r.text(&format!("addresses.{key}")).map_or(local.clone(), str::to_owned);
    let (http, https, dns) = (own(r, "http"), own(r, "https"), own(r, "dns"));
    let listens = |key: &str, text: &str, port| {
        address::listens(text, port)
            .ok_or_else(|| ConfigError::new(format!("addresses.{key}: {text:?} is no list of addresses")))
    };
    let script_checks = ScriptChecks {
        local: r.bool("enable_local_script_checks", false) || r.bool("enable_script_checks", false),
        remote: r.bool("enable_script_checks", false),
    };
    let (services, checks) = (services(r, settings), checks(r, settings));
    let watches = std::mem::take(&mut remarks.watches);
    let (mut warnings, mut notices) = spoken(remarks);
    notices.extend(watches.notices);
    let https_tls = tls::read(r, &mut notices)?;
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
        http_listen: listens("http", &http, ports.http)?,
        https_listen: listens("https", &https, ports.https)?
            .into_iter()
            .filter(|_| ports.https.is_some())
            .collect(),
        https: https_tls,
        dns_listen: listens("dns", &dns, ports.dns)?
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
            mode: r.text("unix_sockets.mode").and_then(|mode| u32::from_str_radix(mode, 8).ok()),
        },
        dns: dns_settings(r, &datacenter)?,
        recursors: r.texts("recursors"),
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
        retry_interval_wan: r.duration("retry_interval_wan", Duration::from_secs(30)),
        connect: r.bool("connect.enabled", true),
        reconnect_timeout: r.given_duration("reconnect_timeout"),
        reconnect_timeout_wan: r.given_duration("reconnect_timeout_wan"),
        leave_on_terminate: r.bool("leave_on_terminate", !server),
        skip_leave_on_interrupt: r.bool("skip_leave_on_interrupt", server),
        leave_drain_time: r.duration("performance.leave_drain_time", Duration::from_secs(5)),
        rpc_hold_timeout: r.duration("performance.rpc_hold_timeout", Duration::from_secs(7)),
        encrypt: None,
        mesh: r
            .bool("connect.enabled", false)
            .then(|| r.text("connect.ca_config.cluster_id").unwrap_or_default().to_owned()),
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
        watches: watches.good,
        refused_watch: watches.refused,
        warnings,
        notices,
        datacenter,
        flags: flags.clone(),
    })
}

/// The node's own addresses.
struct Addresses {
    bind: IpAddr,
    serf_lan: IpAddr,
    serf_wan: IpAddr,
    advertise: IpAddr,
    advertise_wan: IpAddr,
    tagged: TextMap,
    clients: Vec<IpAddr>,
    client_text: String,
}

impl Addresses {
    fn read(r: &Reader<'_>, join: &[String]) -> Result<Self, ConfigError> {
        let bind = r.text("bind_addr").unwrap_or(if r.dev() { "127.0.0.1" } else { "0.0.0.0" });
        let bind = match address::ips(bind).as_deref() {
            Some([one]) => *one,
            Some(_) => return Err(ConfigError::new("bind_addr cannot contain multiple addresses")),
            None => return Err(ConfigError::new("bind_addr cannot be empty")),
        };
        let client_text = r.text("client_addr").unwrap_or("127.0.0.1").to_owned();
        let clients = address::listens(&client_text, Some(0)).ok_or_else(|| {
            ConfigError::new(format!(
                "client_addr: {client_text:?} is no list of addresses (such as \"127.0.0.1 ::1\")"
            ))
        })?;
        let clients = clients.into_iter().filter_map(|listen| match listen {
            Listen::Tcp(address) => Some(address.ip()),
            Listen::Unix(_) => None,
        });
        let given = |key: &str| -> Result<Option<IpAddr>, ConfigError> {
            let Some(text) = r.text(key) else { return Ok(None) };
            let first = address::ips(text).and_then(|ips| ips.first().copied());
            first.map(Some).ok_or_else(|| ConfigError::new(format!("{key}: {text:?} is no IP address")))
        };
        let serf_lan = given("serf_lan")?.unwrap_or(bind);
        let serf_wan = given("serf_wan")?.unwrap_or(bind);
        let (lan4, lan6) = (given("advertise_addr_ipv4")?, given("advertise_addr_ipv6")?);
        let (wan4, wan6) = (given("advertise_addr_wan_ipv4")?, given("advertise_addr_wan_ipv6")?);
        let family = if bind.is_ipv6() { lan6.or(lan4) } else { lan4.or(lan6) };
        let advertise =
            given("advertise_addr")?.or(family).unwrap_or_else(|| address::advertised(bind, join));
        let advertise_wan = given("advertise_addr_wan")?.unwrap_or(advertise);
        for (address, name) in [(advertise, "Advertise"), (advertise_wan, "Advertise WAN")] {
            if address.is_unspecified() {
                let text = format!("{name} address cannot be 0.0.0.0, :: or [::]");
                return Err(ConfigError::new(text));
            }
        }
        let mut tagged = TextMap::new();
        let v4 = |ip: IpAddr| Some(ip).filter(IpAddr::is_ipv4);
        let v6 = |ip: IpAddr| Some(ip).filter(IpAddr::is_ipv6);
        for (tag, ip) in [
            ("lan", Some(advertise)),
            ("lan_ipv4", lan4.or(v4(advertise))),
            ("lan_ipv6", lan6.or(v6(advertise))),
            ("wan", Some(advertise_wan)),
            ("wan_ipv4", wan4.or(v4(advertise_wan))),
            ("wan_ipv6", wan6.or(v6(advertise_wan))),
        ] {
            tagged.extend(ip.map(|ip| (tag.to_owned(), ip.to_string())));
        }
        tagged.extend(r.text_map("tagged_addresses"));
        let clients = clients.collect();
        Ok(Self { bind, serf_lan, serf_wan, advertise, advertise_wan, tagged, clients, client_text })
    }
}

fn ports(r: &mut Reader<'_>) -> Ports {
    let dev_grpc = if r.dev() { 8502 } else { -1 };
    let server_grpc = if r.bool("server", r.dev()) { 8503 } else { -1 };
    Ports {
        dns: r.port("dns", 8600),
        http: r.port("http", 8500),
        https: r.port("https", -1),
        serf_lan: r.port("serf_lan", 8301),
        serf_wan: r.port("serf_wan", 8302),
        server: r.port("server", 8300),
        grpc: r.port("grpc", dev_grpc),
        grpc_tls: r.port("grpc_tls", server_grpc),
    }
}

/// The addresses to join, an old key's after the new one's.
fn joins(r: &Reader<'_>, key: &str, old: &str) -> Vec<String> {
    let mut all = r.texts(key);
    all.extend(r.texts(old));
    all
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

fn services(r: &mut Reader<'_>, settings: &Map<String, Json>) -> Vec<ServiceDefinition> {
    let blocks = settings.get("services").and_then(Json::as_array).into_iter().flatten();
    let mut services = Vec::new();
    for block in blocks.filter_map(Json::as_object) {
        let name = block.get("name").and_then(Json::as_str).unwrap_or_default();
        match ServiceDefinition::from_file(block) {
            Ok(service) => {
                if let Err(reason) = service.validate_weights() {
                    r.error(format!("Invalid weight definition for service {name}: {reason}"));
                }
                services.push(service);
            }
            Err(error) => r.error(bad_duration(block, &error.to_string())),
        }
    }
    services
}

fn checks(r: &mut Reader<'_>, settings: &Map<String, Json>) -> Vec<CheckDefinition> {
    let blocks = settings.get("checks").and_then(Json::as_array).into_iter().flatten();
    let mut checks = Vec::new();
    for block in blocks.filter_map(Json::as_object) {
        match CheckDefinition::from_file(block) {
            Ok(check) => checks.push(check),
            Err(error) => r.error(bad_duration(block, &error.to_string())),
        }
    }
    checks
}

/// `check[web].interval: invalid duration: "60": time: …`, with the value that the decoder's text is about.
fn bad_duration(block: &Map<String, Json>, text: &str) -> String {
    let blocks = [Some(block), block.get("check").and_then(Json::as_object)];
    let listed =
        block.get("checks").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_object);
    for block in blocks.into_iter().flatten().chain(listed) {
        for key in ["interval", "timeout", "ttl", "deregister_critical_service_after"] {
            if let Some(value) = block.get(key).and_then(Json::as_str)
                && registry_wire::duration::parse_nanos(value).is_err_and(|error| error.to_string() == text)
            {
                let id = block.get("id").and_then(Json::as_str).unwrap_or_default();
                return format!("check[{id}].{key}: invalid duration: {value:?}: {text}");
            }
        }
    }
    text.to_owned()
}

/// What there is to say about the files themselves: in Consul's words, and in ours.
fn spoken(remarks: Remarks) -> (Vec<String>, Vec<String>) {
    let mut warnings = remarks.skipped;
    let mut old = remarks.old;
    old.sort_unstable();
    old.dedup();
    let said = |(name, today): &(&str, &str)| {
        format!("The '{name}' field is deprecated. Use the '{today}' field instead.")
    };
    warnings.extend(old.iter().map(said));
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
