//! What this registry does not have: every such path answers, and says what is missing.

use std::collections::BTreeMap;

use http::Method;
use http_api::{Answer, ApiError, Call};
use registry_wire::{
    json::{DecodeError, Json, Unknown, decode},
    options::{ReadOptions, refuse_partition},
};
use serde::Deserialize;

use super::{
    Api,
    connected::{Nothing, nothing},
    respond::{Family, encoded, failed_read, read},
};

const NO_PEERING: &str = "peering must be enabled to use this endpoint";
pub(super) const NO_MESH: &str = "Connect must be enabled in order to use this endpoint";

/// Access control lists are off: 401, as Consul answers then.
pub(super) async fn acl(_: Api, _: Call) -> Result<Answer, ApiError> {
    Err(ApiError::new(http::StatusCode::UNAUTHORIZED, "ACL support disabled"))
}

/// There is no mesh and no certificate authority.
pub(super) async fn mesh(call: Call) -> Result<Answer, ApiError> {
    call.read_options()?;
    Err(failed_read(ApiError::internal(NO_MESH)))
}

#[derive(Default, Deserialize)]
#[serde(
    rename = "struct { ForceWithoutCrossSigningSnake bool \"json:\\\"force_without_cross_signing\\\"\"; *structs.Alias }",
    rename_all = "PascalCase",
    default
)]
struct AuthorityBody {
    #[serde(rename = "Provider")]
    _provider: String,
    #[serde(rename = "Config")]
    _config: BTreeMap<String, Json>,
    #[serde(rename = "State")]
    _state: BTreeMap<String, String>,
    #[serde(rename = "ForceWithoutCrossSigning", alias = "force_without_cross_signing")]
    _force_without_cross_signing: bool,
    #[serde(rename = "CreateIndex")]
    _create_index: u64,
    #[serde(rename = "ModifyIndex")]
    _modify_index: u64,
}

/// `GET` and `PUT` of `/v1/connect/ca/configuration`.
pub(super) async fn authority(_: Api, mut call: Call) -> Result<Answer, ApiError> {
    if call.method != Method::PUT {
        return mesh(call).await;
    }
    call.decode::<AuthorityBody>(Unknown::Refuse).await?;
    Err(ApiError::internal(NO_MESH))
}

/// Lists that are empty because nothing of their kind can be made: peerings, exported services.
pub(super) async fn empty_list(api: Api, call: Call) -> Result<Answer, ApiError> {
    // It is about this cluster, whichever datacenter is named (as recorded).
    let asked = ReadOptions { datacenter: None, ..call.read_options()? };
    refuse_partition(&call.query, &call.headers)?;
    nothing(&api, &asked, Family::Plain).await
}

/// The same for what belongs to a gateway, which must be named.
pub(super) async fn of_gateway(api: Api, call: Call) -> Result<Answer, ApiError> {
    let asked = call.read_options()?;
    call.refuse_enterprise()?;
    call.name_or("Missing gateway name")?;
    api.serves(asked.datacenter.as_deref()).map_err(failed_read)?;
    nothing(&api, &asked, Family::Plain).await
}

/// `GET /v1/internal/ui/exported-services?peer=`: none, but the peer must be named.
pub(super) async fn exported_to_peer(api: Api, call: Call) -> Result<Answer, ApiError> {
    let asked = call.read_options()?;
    call.refuse_enterprise()?;
    api.serves(asked.datacenter.as_deref()).map_err(failed_read)?;
    match call.query.filled("peer") {
        Some(_) => nothing(&api, &asked, Family::Plain).await,
        None => Err(failed_read(ApiError::internal("must provide PeerName"))),
    }
}

/// `GET /v1/peering/:name`: there is none of that name.
pub(super) async fn peering(_: Api, call: Call) -> Result<Answer, ApiError> {
    refuse_partition(&call.query, &call.headers)?;
    match call.method {
        _ if call.name().is_empty() => Err(ApiError::bad_request("Must specify a name to fetch.")),
        Method::GET => Err(ApiError::not_found(format!("Peering not found for {:?}", call.name()))),
        _ => Err(ApiError::internal(NO_PEERING)),
    }
}

/// `GET /v1/internal/ui/metrics-proxy/…`.
pub(super) async fn metrics_proxy(_: Api, _: Call) -> Result<Answer, ApiError> {
    Err(ApiError::not_found("Metrics proxy is not enabled"))
}

#[derive(Default, Deserialize)]
#[serde(rename = "api.PeeringGenerateTokenRequest", rename_all = "PascalCase", default)]
struct TokenBody {
    peer_name: String,
    #[serde(rename = "Partition")]
    _partition: String,
    #[serde(rename = "Meta")]
    _meta: BTreeMap<String, String>,
    #[serde(rename = "ServerExternalAddresses")]
    _server_external_addresses: Vec<String>,
}

/// `POST /v1/peering/token`: read as Consul reads it, and then as with peering switched off.
pub(super) async fn peering_token(_: Api, mut call: Call) -> Result<Answer, ApiError> {
    let sent: TokenBody = decode(&call.body().await?, Unknown::Refuse).map_err(undecoded)?;
    if sent.peer_name.is_empty() {
        return Err(ApiError::bad_request(
            "PeerName is required in the payload when generating a new peering token.",
        ));
    }
    Err(ApiError::internal(NO_PEERING))
}

#[derive(Default, Deserialize)]
#[serde(rename = "api.PeeringEstablishRequest", rename_all = "PascalCase", default)]
struct EstablishBody {
    peer_name: String,
    peering_token: String,
    #[serde(rename = "Partition")]
    _partition: String,
    #[serde(rename = "Meta")]
    _meta: BTreeMap<String, String>,
}

/// `POST /v1/peering/establish`: the same.
pub(super) async fn peering_establish(_: Api, mut call: Call) -> Result<Answer, ApiError> {
    let sent: EstablishBody = decode(&call.body().await?, Unknown::Refuse).map_err(undecoded)?;
    for (name, given) in [("PeerName", &sent.peer_name), ("PeeringToken", &sent.peering_token)] {
        if given.is_empty() {
            return Err(ApiError::bad_request(format!(
                "{name} is required in the payload when establishing a peering."
            )));
        }
    }
    Err(ApiError::internal(NO_PEERING))
}

fn undecoded(error: DecodeError) -> ApiError {
    ApiError::bad_request(format!("Body decoding failed: {error}"))
}

/// `GET /v1/internal/federation-states/mesh-gateways`: no datacenter has told of any.
pub(super) async fn federation_gateways(api: Api, call: Call) -> Result<Answer, ApiError> {
    let asked = call.read_options()?;
    api.serves(asked.datacenter.as_deref())?;
    read(&api, &asked, Family::Plain, Nothing, (), |_, ()| encoded(&serde_json::json!({}))).await
}

/// `GET /v1/internal/federation-state/:datacenter`: none is kept.
pub(super) async fn federation_state(_: Api, call: Call) -> Result<Answer, ApiError> {
    call.read_options()?;
    call.name_or("Missing datacenter name")?;
    Err(ApiError::not_found(""))
}

#[derive(Default, Deserialize)]
#[serde(rename = "structs.AssignServiceManualVIPsRequest", rename_all = "PascalCase", default)]
struct VirtualIpBody {
    #[serde(rename = "Datacenter")]
    _datacenter: String,
    #[serde(rename = "Token")]
    _token: String,
    #[serde(rename = "Service")]
    _service: String,
    #[serde(rename = "ManualVIPs")]
    manual_vips: Vec<String>,
}

/// `PUT /v1/internal/service-virtual-ip`: no service has a virtual address that others could be added to.
pub(super) async fn virtual_ip(_: Api, mut call: Call) -> Result<Answer, ApiError> {
    call.refuse_enterprise()?;
    let sent: VirtualIpBody = call.decode(Unknown::Refuse).await?;
    if let Some(odd) = sent.manual_vips.iter().find(|vip| vip.parse::<std::net::Ipv4Addr>().is_err()) {
        return Err(ApiError::internal(format!("{odd:?} is not a valid IPv4 address")));
    }
    Ok(Answer::json(&serde_json::json!({ "Found": false, "UnassignedFrom": null })))
}

/// `/v1/discovery-chain/:service`.
pub(super) async fn discovery_chain(_: Api, mut call: Call) -> Result<Answer, ApiError> {
    call.read_options()?;
    call.name_or("Missing chain name")?;
    call.refuse_enterprise()?;
    if call.method == Method::POST {
        let sent: Result<BTreeMap<String, Json>, _> = decode(&call.body().await?, Unknown::Skip);
        sent.map_err(|error| ApiError::bad_request(format!("Request decoding failed: {error}")))?;
    }
    mesh(call).await
}
