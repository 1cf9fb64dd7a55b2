//! What this registry does not have: every such path answers, and says what is missing.

use http::Method;
use http_api::{Answer, ApiError, Call};

use super::{Api, connected::nothing, respond::Family};

pub(super) const NO_MESH: &str = "Connect must be enabled in order to use this endpoint";

/// Access control lists are off: 401, as Consul answers then.
pub(super) async fn acl(_: Api, _: Call) -> Result<Answer, ApiError> {
    Err(ApiError::new(http::StatusCode::UNAUTHORIZED, "ACL support disabled"))
}

/// There is no mesh and no certificate authority.
pub(super) async fn mesh(_: Api, _: Call) -> Result<Answer, ApiError> {
    Err(ApiError::internal(NO_MESH))
}

/// Lists that are empty because nothing of their kind can be made: peerings, exported services.
pub(super) async fn empty_list(api: Api, call: Call) -> Result<Answer, ApiError> {
    let asked = call.read_options()?;
    api.serves(asked.datacenter.as_deref())?;
    nothing(&api, &asked, Family::Plain).await
}

/// The same for what belongs to a gateway, which must be named.
pub(super) async fn of_gateway(api: Api, call: Call) -> Result<Answer, ApiError> {
    call.name_or("Missing gateway name")?;
    empty_list(api, call).await
}

/// `GET /v1/internal/ui/exported-services?peer=`: none, but the peer must be named.
pub(super) async fn exported_to_peer(api: Api, call: Call) -> Result<Answer, ApiError> {
    match call.query.filled("peer") {
        Some(_) => empty_list(api, call).await,
        None => Err(ApiError::internal("must provide PeerName")),
    }
}

/// `GET /v1/peering/:name`: there is none of that name.
pub(super) async fn peering(_: Api, call: Call) -> Result<Answer, ApiError> {
    match call.method {
        Method::GET if call.name().is_empty() => Err(ApiError::bad_request("Must specify a name to fetch.")),
        Method::GET => Err(ApiError::not_found(format!("Peering not found for {:?}", call.name()))),
        _ => Err(ApiError::absent("Cluster peering")),
    }
}

/// `GET /v1/internal/ui/metrics-proxy/…`.
pub(super) async fn metrics_proxy(_: Api, _: Call) -> Result<Answer, ApiError> {
    Err(ApiError::not_found("Metrics proxy is not enabled"))
}

/// A handler for endpoints of a part that is not here: 501 naming it.
macro_rules! absent_parts {
    ($($name:ident = $what:literal),* $(,)?) => {$(
        #[doc = concat!($what, ": 501.")]
        pub(super) async fn $name(_: Api, call: Call) -> Result<Answer, ApiError> {
            call.read_options()?;
            Err(ApiError::absent($what))
        }
    )*};
}

absent_parts! {
    federation = "Federation of datacenters",
    peerings = "Cluster peering",
    virtual_ip = "Virtual IP addresses",
}
