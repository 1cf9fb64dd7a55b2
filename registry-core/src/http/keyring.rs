//! `/v1/operator/keyring`: the shared key. There is none yet, and the answers are Consul's without encryption.

use http::Method;
use http_api::{Answer, ApiError, Call};
use registry_wire::json::Unknown;
use serde::Deserialize;

use super::Api;

/// How many others may pass a request on, at most.
const RELAY_FACTOR_MAX: i64 = 5;

/// `GET`, `POST`, `PUT` and `DELETE`.
pub(super) async fn serve(api: Api, mut call: Call) -> Result<Answer, ApiError> {
    if matches!(call.method, Method::POST | Method::PUT | Method::DELETE) {
        let _: Body = call.decode(Unknown::Refuse).await?;
    }
    if let Some(factor) = call.query.filled("relay-factor") {
        check_relay_factor(&factor)?;
    }
    let local_only = match call.query.filled("local-only").as_deref() {
        None | Some("false" | "0" | "f") => false,
        Some("true" | "1" | "t") => true,
        Some(other) => {
            return Err(ApiError::bad_request(format!(
                "Error parsing local-only: strconv.ParseBool: parsing {other:?}: invalid syntax"
            )));
        }
    };
    if local_only && call.method != Method::GET {
        return Err(ApiError::bad_request(
            "Invalid use of local-only: local-only can only be set for list requests",
        ));
    }
    let why = match call.method {
        Method::GET => "Keyring is empty (encryption not enabled)",
        _ => "No keyring to modify (encryption not enabled)",
    };
    let settings = api.registry().settings();
    let (node, datacenter) = (&settings.node_name, &settings.datacenter);
    let (mut count, mut lines) = (2, String::new());
    if settings.serf_wan.is_some() && !local_only {
        count += 2;
        lines = format!("\t* WAN error: 1/1 nodes reported failure\n\t* {node}.{datacenter}: {why}\n");
    }
    lines += &format!("\t* {datacenter} (LAN) error: 1/1 nodes reported failure\n\t* {node}: {why}\n");
    Err(ApiError::internal(format!("{count} errors occurred:\n{lines}\n")))
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Body {
    #[serde(rename = "Key")]
    _key: String,
}

fn check_relay_factor(text: &str) -> Result<(), ApiError> {
    let factor: i64 = text.parse().map_err(|_| {
        ApiError::bad_request(format!(
            "Error parsing relay factor: strconv.Atoi: parsing {text:?}: invalid syntax"
        ))
    })?;
    if (0..=RELAY_FACTOR_MAX).contains(&factor) {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "Invalid relay-factor: Relay factor must be in range: [0, {RELAY_FACTOR_MAX}]"
    )))
}
