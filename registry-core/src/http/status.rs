//! `/v1/status/`: who leads.

use http_api::{Answer, ApiError, Call};

use super::Api;

/// `GET /v1/status/leader`: the leader's address, or `""`.
pub(super) async fn leader(api: Api, call: Call) -> Result<Answer, ApiError> {
    call.read_options()?;
    api.serves_call(&call)?;
    Ok(Answer::json(&api.0.registry.leadership().leader().unwrap_or_default()))
}

/// `GET /v1/status/peers`: the addresses of all servers.
pub(super) async fn peers(api: Api, call: Call) -> Result<Answer, ApiError> {
    call.read_options()?;
    api.serves_call(&call)?;
    Ok(Answer::json(&api.0.registry.peers()))
}
