//! `/v1/operator/`: the servers and their log.

use http_api::{Answer, ApiError, Call};
use serde_json::json;

use super::Api;

/// `GET /v1/operator/raft/configuration`: the servers.
pub(super) async fn raft_configuration(api: Api, call: Call) -> Result<Answer, ApiError> {
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
