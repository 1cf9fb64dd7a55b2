//! `/v1/operator/`: the servers and their log.

use http_api::{Answer, ApiError, Call};
use serde_json::json;

use super::Api;

/// `GET /v1/operator/raft/configuration`: the servers.
pub(super) async fn raft_configuration(api: Api, call: Call) -> Result<Answer, ApiError> {
    call.read_options()?;
    api.serves_call(&call)?;
    let (settings, leader) = (api.0.registry.settings(), api.0.registry.leadership().leader());
    let last_index = api.0.registry.store().state().index();
    let servers = api.0.registry.peers().into_iter().map(|address| {
        json!({
            "ID": settings.node_id,
            "Node": settings.node_name,
            "Leader": Some(&address) == leader.as_ref(),
            "Address": address,
            "ProtocolVersion": "3",
            "Voter": true,
            "LastIndex": last_index,
        })
    });
    Ok(Answer::json(&json!({ "Servers": servers.collect::<Vec<_>>(), "Index": 0 })))
}

/// `DELETE /v1/operator/raft/peer`: the sole server cannot be removed, and there is no other.
pub(super) async fn remove_peer(api: Api, call: Call) -> Result<Answer, ApiError> {
    api.serves_call(&call)?;
    let (id, address) = (call.query.filled("id"), call.query.filled("address"));
    let unknown =
        |what: String| Err(ApiError::internal(format!("{what} was not found in the Raft configuration")));
    match (id, address) {
        (None, None) => Err(ApiError::bad_request(
            "Must specify either ?id with the server's ID or ?address with IP:port of peer to remove",
        )),
        (Some(_), Some(_)) => Err(ApiError::bad_request("Must specify only one of ?id or ?address")),
        (Some(id), None) if *id != *api.registry().settings().node_id => unknown(format!("id {id:?}")),
        (None, Some(address)) if !api.registry().peers().iter().any(|peer| *peer == *address) => {
            unknown(format!("address {address:?}"))
        }
        _ => Err(ApiError::internal("need at least one voter in configuration: {[]}")),
    }
}

/// `POST /v1/operator/raft/transfer-leader`: there is no other server to lead.
pub(super) async fn transfer_leader(api: Api, call: Call) -> Result<Answer, ApiError> {
    api.serves_call(&call)?;
    match call.query.filled("id") {
        Some(id) if *id != *api.registry().settings().node_id => {
            Err(ApiError::internal(format!("Could not find address for server id {id}")))
        }
        Some(_) => Err(ApiError::internal("cannot transfer leadership to itself")),
        None => Err(ApiError::internal("cannot find peer")),
    }
}
