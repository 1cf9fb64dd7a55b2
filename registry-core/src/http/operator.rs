//! `/v1/operator/raft/`: the servers and their log.

use http_api::{Answer, ApiError, Call};
use serde_json::json;

use super::Api;
use crate::replication::{ChangeFailed, Listed};

/// The servers, the leader first and the others by their names.
pub(super) fn servers(api: &Api) -> Vec<Listed> {
    let mut servers = api.registry().replication().listed();
    servers.sort_by(|a, b| (!a.leader, &a.server.name).cmp(&(!b.leader, &b.server.name)));
    servers
}

/// `GET /v1/operator/raft/configuration`: the servers.
pub(super) async fn raft_configuration(api: Api, call: Call) -> Result<Answer, ApiError> {
    call.read_options()?;
    api.serves_call(&call)?;
    let last = api.registry().progress().last;
    let servers = servers(&api).into_iter().map(|listed| {
        json!({
            "ID": listed.server.node_id,
            "Node": listed.server.name,
            "Address": listed.server.addr,
            "Leader": listed.leader,
            "ProtocolVersion": "3",
            "Voter": listed.voter,
            "LastIndex": listed.matched.unwrap_or(if listed.leader { last } else { 0 }),
        })
    });
    Ok(Answer::json(&json!({ "Servers": servers.collect::<Vec<_>>(), "Index": 0 })))
}

/// `DELETE /v1/operator/raft/peer`: removes a server, by the node's id or by its address.
pub(super) async fn remove_peer(api: Api, call: Call) -> Result<Answer, ApiError> {
    api.serves_call(&call)?;
    let (id, address) = (call.query.filled("id"), call.query.filled("address"));
    let unknown =
        |what: String| ApiError::internal(format!("{what} was not found in the Raft configuration"));
    let found = match (id, address) {
        (None, None) => {
            return Err(ApiError::bad_request(
                "Must specify either ?id with the server's ID or ?address with IP:port of peer to remove",
            ));
        }
        (Some(_), Some(_)) => {
            return Err(ApiError::bad_request("Must specify only one of ?id or ?address"));
        }
        (Some(id), None) => servers(&api)
            .into_iter()
            .find(|listed| listed.server.node_id == *id)
            .ok_or_else(|| unknown(format!("id {id:?}")))?,
        (None, Some(address)) => servers(&api)
            .into_iter()
            .find(|listed| listed.server.addr == *address)
            .ok_or_else(|| unknown(format!("address {address:?}")))?,
    };
    let voters = servers(&api).iter().filter(|listed| listed.voter).count();
    if found.voter && voters == 1 {
        return Err(ApiError::internal("need at least one voter in configuration: {[]}"));
    }
    api.registry().servers().remove(found.id).await?;
    Ok(Answer::empty())
}

/// `POST /v1/operator/raft/transfer-leader`: another server leads from now on.
pub(super) async fn transfer_leader(api: Api, call: Call) -> Result<Answer, ApiError> {
    api.serves_call(&call)?;
    let to = match call.query.filled("id") {
        None => None,
        Some(id) => {
            let servers = servers(&api);
            let found = servers.iter().find(|listed| listed.server.node_id == *id);
            match found {
                None => {
                    return Err(ApiError::internal(format!("Could not find address for server id {id}")));
                }
                Some(found) if found.leader => {
                    return Err(ApiError::internal("cannot transfer leadership to itself"));
                }
                Some(found) => Some(found.id),
            }
        }
    };
    api.registry().replication().transfer(to).await?;
    Ok(Answer::json(&json!({ "Success": true })))
}

impl From<ChangeFailed> for ApiError {
    fn from(error: ChangeFailed) -> Self {
        Self::internal(error.to_string())
    }
}
