//! The agent itself and its fleet: who it is, who is there, and what it is told to do.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use http_api::{Answer, ApiError, Call};
use link::calls::{self, Member};
use registry_wire::{filter::fields, json::Unknown};
use serde_json::{Value, json};

use super::{Context, Order, done, enable, filter, keeps, unfit};
use crate::CONSUL_VERSION;

/// When that version was built; clients show it.
const BUILD_DATE: &str = "2025-08-12T00:00:00Z";

/// `GET /v1/agent/self`.
pub(super) async fn own(context: Context, _: Call) -> Result<Answer, ApiError> {
    let config = context.config();
    let member = members_of(&context, calls::MEMBERS).await.ok().and_then(|members| {
        members.into_iter().find(|member| member.name.eq_ignore_ascii_case(&config.node_name))
    });
    let member = member.unwrap_or_else(|| Member {
        name: config.node_name.clone(),
        addr: config.advertise_addr.to_string(),
        port: config.ports.serf_lan.unwrap_or_default(),
        ..Member::default()
    });
    let mut meta = config.node_meta.clone();
    meta.insert("consul-network-segment".into(), String::new());
    meta.insert("consul-version".into(), CONSUL_VERSION.into());
    let at = |port: Option<u16>| {
        json!(format!("tcp://{}", std::net::SocketAddr::new(config.advertise_addr, port.unwrap_or_default())))
    };
    let dns: Vec<String> =
        config.dns_listen.iter().flat_map(|at| [format!("tcp://{at}"), format!("udp://{at}")]).collect();
    Ok(Answer::json(&json!({
        "Config": {
            "Datacenter": config.datacenter,
            "PrimaryDatacenter": config.primary_datacenter,
            "NodeName": config.node_name,
            "NodeID": &*context.node_id,
            "Revision": "",
            "Server": config.server,
            "Version": CONSUL_VERSION,
            "BuildDate": BUILD_DATE,
        },
        "DebugConfig": {
            "Datacenter": config.datacenter,
            "NodeName": config.node_name,
            "NodeID": &*context.node_id,
            "ServerMode": config.server,
            "AdvertiseAddrLAN": config.advertise_addr,
            "AdvertiseAddrWAN": config.advertise_addr_wan,
            "SerfAdvertiseAddrLAN": at(config.ports.serf_lan),
            "SerfAdvertiseAddrWAN": at(config.ports.serf_wan),
            "DNSAddrs": dns,
            "DNSDomain": config.dns.domain.to_string(),
            "DNSPort": config.ports.dns.map_or(-1, i32::from),
            "EnableScriptChecks": config.script_checks.remote,
            "DevMode": config.dev,
        },
        "Coord": context.coordinates.now(),
        "Member": member,
        "Stats": stats(&context).await,
        "Meta": meta,
        "xDS": { "SupportedProxies": {}, "Port": -1, "Ports": { "Plaintext": -1, "TLS": -1 } },
    })))
}

/// Figures by section, all of them texts, as `consul info` prints them.
async fn stats(context: &Context) -> Value {
    let config = context.config();
    let checks = context.local.checks();
    let (at_intervals, ttls) = context.local.check_counts();
    let mut stats = json!({
        "agent": {
            "check_monitors": at_intervals.to_string(),
            "check_ttls": ttls.to_string(),
            "checks": checks.len().to_string(),
            "services": context.local.services().len().to_string(),
        },
        "build": { "prerelease": "", "revision": "", "version": CONSUL_VERSION, "version_metadata": "" },
        "consul": { "acl": "disabled", "server": config.server.to_string() },
        "runtime": {
            "arch": std::env::consts::ARCH,
            "os": std::env::consts::OS,
            "cpu_count": std::thread::available_parallelism().map_or(1, usize::from).to_string(),
        },
    });
    if !config.server {
        let peers = match context.ask(Method::GET, "/v1/status/peers").await {
            Ok((StatusCode::OK, bytes)) => serde_json::from_slice::<Vec<String>>(&bytes).unwrap_or_default(),
            _ => Vec::new(),
        };
        stats["consul"]["known_servers"] = json!(peers.len().to_string());
        return stats;
    }
    if let Ok((StatusCode::OK, bytes)) = context.ask(Method::GET, calls::STATS).await
        && let Ok(sections) = serde_json::from_slice::<BTreeMap<String, Value>>(&bytes)
    {
        for (section, figures) in sections {
            match (stats[&section].as_object_mut(), figures) {
                (Some(ours), Value::Object(figures)) => ours.extend(figures),
                (_, figures) => stats[section] = figures,
            }
        }
    }
    stats
}

/// `GET /v1/agent/version`.
pub(super) async fn version(_: Context, _: Call) -> Result<Answer, ApiError> {
    Ok(Answer::json(&json!({
        "SHA": "",
        "BuildDate": BUILD_DATE,
        "HumanVersion": CONSUL_VERSION,
        "FIPS": "",
    })))
}

/// `GET /v1/agent/members`.
pub(super) async fn members(context: Context, call: Call) -> Result<Answer, ApiError> {
    let wan = call.query.filled("wan").is_some();
    let segment = call.query.filled("segment").filter(|segment| segment != "_all");
    if wan && segment.is_some() {
        return Err(ApiError::bad_request("Cannot provide a segment with wan=true"));
    }
    call.refuse_partition()?;
    let filter = filter(&call, &fields::MEMBER).map_err(unfit)?;
    if segment.is_some() {
        return Err(ApiError::internal("Network segments are not supported in this version of Consul"));
    }
    if wan && !context.config().server {
        return Ok(Answer::json(&()));
    }
    let mut members = members_of(&context, if wan { calls::WAN_MEMBERS } else { calls::MEMBERS }).await?;
    members.retain(|member| keeps(filter.as_ref(), member));
    Ok(Answer::json(&members))
}

async fn members_of(context: &Context, call: &str) -> Result<Vec<Member>, ApiError> {
    let (status, bytes) = context.ask(Method::GET, call).await?;
    if status != StatusCode::OK {
        return Err(ApiError::internal(String::from_utf8_lossy(&bytes).into_owned()));
    }
    serde_json::from_slice(&bytes).map_err(|error| ApiError::internal(error.to_string()))
}

/// `PUT /v1/agent/maintenance`.
pub(super) async fn maintenance(context: Context, call: Call) -> Result<Answer, ApiError> {
    let enable = enable(&call)?;
    let reason = call.query.text("reason").unwrap_or_default();
    context.local.node_maintenance(enable, &reason);
    context.synced().await;
    done()
}

/// `PUT /v1/agent/reload`.
pub(super) async fn reload(context: Context, _: Call) -> Result<Answer, ApiError> {
    context.order(Order::Reload).await?.map_err(ApiError::internal)?;
    done()
}

/// `PUT /v1/agent/join/:address`.
pub(super) async fn join(context: Context, call: Call) -> Result<Answer, ApiError> {
    call.refuse_partition()?;
    let target = call.name().into_owned();
    if call.query.filled("wan").is_some() {
        if !context.config().server {
            return Err(ApiError::internal("Must be a server to join WAN cluster"));
        }
        let call = format!("{}{}", calls::WAN_JOIN, crate::api_path(&target));
        return match context.ask(Method::PUT, &call).await? {
            (StatusCode::OK, _) => done(),
            (_, bytes) => Err(ApiError::internal(String::from_utf8_lossy(&bytes).into_owned())),
        };
    }
    context.order(|done| Order::Join(target, done)).await?.map_err(ApiError::internal)?;
    done()
}

/// `PUT /v1/agent/leave`.
pub(super) async fn leave(context: Context, _: Call) -> Result<Answer, ApiError> {
    context.order(Order::Leave).await?;
    done()
}

/// `PUT /v1/agent/force-leave/:node`.
pub(super) async fn force_leave(context: Context, call: Call) -> Result<Answer, ApiError> {
    call.refuse_partition()?;
    let node = call.name();
    let unknown = || ApiError::internal(format!("agent: No node found with name '{node}'"));
    if node.is_empty() {
        return Err(unknown());
    }
    if call.query.has("wan") && !context.config().server {
        return Err(ApiError::internal("Must be a server to force-leave a node from the WAN cluster"));
    }
    let encoded = percent_encoding::utf8_percent_encode(&node, percent_encoding::NON_ALPHANUMERIC);
    let call = match (call.query.has("wan"), call.query.has("prune")) {
        (false, false) => calls::FORCE_LEAVE,
        (false, true) => calls::PRUNE,
        (true, false) => calls::WAN_FORCE_LEAVE,
        (true, true) => calls::WAN_PRUNE,
    };
    let (status, bytes) = context.ask(Method::PUT, &format!("{call}{encoded}")).await?;
    match status {
        StatusCode::OK => done(),
        StatusCode::NOT_FOUND => Err(unknown()),
        _ => Err(ApiError::internal(String::from_utf8_lossy(&bytes).into_owned())),
    }
}

/// `PUT /v1/agent/token/:kind`: there is no access control yet.
pub(super) async fn token(_: Context, _: Call) -> Result<Answer, ApiError> {
    Err(ApiError::new(StatusCode::UNAUTHORIZED, "ACL support disabled"))
}

/// `POST /v1/agent/connect/authorize`: read as Consul reads it; without a mesh nobody can be authorized.
pub(super) async fn authorize(context: Context, mut call: Call) -> Result<Answer, ApiError> {
    #[derive(Default, serde::Deserialize)]
    #[serde(rename = "structs.ConnectAuthorizeRequest", rename_all = "PascalCase", default)]
    struct Asked {
        target: String,
        #[serde(rename = "ClientCertURI")]
        _client_cert_uri: String,
        #[serde(rename = "ClientCertSerial")]
        _client_cert_serial: String,
    }
    call.refuse_enterprise()?;
    let asked: Asked = call.decode(Unknown::Refuse).await?;
    if asked.target.is_empty() {
        return Err(ApiError::bad_request("Target service must be specified"));
    }
    mesh(context, call).await
}

/// The mesh's endpoints: there is no mesh.
pub(super) async fn mesh(_: Context, call: Call) -> Result<Answer, ApiError> {
    call.read_options()?;
    call.refuse_enterprise()?;
    Err(ApiError::internal("Connect must be enabled in order to use this endpoint"))
}
