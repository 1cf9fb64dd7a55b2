//! `/v1/connect/ca/roots`: the root certificate of a mesh that is not there.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, header::CONTENT_TYPE};
use http_api::{Answer, ApiError, Call};
use serde_json::json;

use super::{
    Api, absent, cached,
    connected::Nothing,
    respond::{Encoded, Family, encoded, failed_read, read},
};
use crate::storage::MeshRoot;

/// `GET /v1/connect/ca/roots`, as PEM with `?pem=true`; 500 unless the configuration has `connect.enabled`.
pub(super) async fn roots(api: Api, call: Call) -> Result<Answer, ApiError> {
    let Some(root) = api.registry().mesh_root() else {
        let asked = call.read_options()?;
        api.serves(asked.datacenter.as_deref()).map_err(failed_read)?;
        return absent::mesh(call).await;
    };
    if call.query.filled("pem").is_some_and(|pem| pem == "true") {
        let kind = HeaderValue::from_static("application/pem-certificate-chain");
        return Ok(Answer::encoded(Bytes::from(root.pem)).with(CONTENT_TYPE, kind));
    }
    let asked = call.read_options()?;
    // The root never changes while a registry runs: who waits for a change waits as long as they asked for.
    read(&api, &asked, Family::Plain, Nothing, root, |_, root| shown(root)).await
}

/// `GET /v1/agent/connect/ca/roots`: the same, which Consul's agents keep in a cache.
pub(super) async fn agent_roots(api: Api, call: Call) -> Result<Answer, ApiError> {
    Ok(cached::mark(roots(api, call).await?, Some(Duration::ZERO)))
}

fn shown(root: &MeshRoot) -> Encoded {
    encoded(&json!({
        "ActiveRootID": root.id,
        "TrustDomain": format!("{}.consul", root.cluster),
        "Roots": [{
            "ID": root.id,
            "Name": "Consul CA Primary Cert",
            "SerialNumber": root.serial,
            "SigningKeyID": root.key_id,
            "ExternalTrustDomain": root.cluster,
            "NotBefore": root.not_before,
            "NotAfter": root.not_after,
            "RootCert": root.pem,
            "IntermediateCerts": null,
            "Active": true,
            "PrivateKeyType": "ec",
            "PrivateKeyBits": 256,
            "CreateIndex": 1,
            "ModifyIndex": 1,
        }],
    }))
}
