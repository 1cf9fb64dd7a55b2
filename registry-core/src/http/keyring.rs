//! `/v1/operator/keyring`: the shared key. There is none yet, and the answers are Consul's without encryption.

use http::Method;
use http_api::{Answer, ApiError, Call};
use registry_wire::{base64, json::Unknown};
use serde::Deserialize;

use super::Api;

/// How many others may pass a request on, at most.
const RELAY_FACTOR_MAX: i64 = 5;

/// `GET`, `POST`, `PUT` and `DELETE`.
pub(super) async fn serve(api: Api, mut call: Call) -> Result<Answer, ApiError> {
    let changes = matches!(call.method, Method::POST | Method::PUT | Method::DELETE);
    let body: Body = if changes { call.decode(Unknown::Refuse).await? } else { Body::default() };
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
    let bad_key = base64::decode(&body.key).err().map(|fault| fault.to_string());
    Err(ApiError::internal(failures(&api, !local_only, why, bad_key.as_deref())))
}

/// What each pool of members answered, as one text: a key that is none is refused before any node is asked.
fn failures(api: &Api, everywhere: bool, why: &str, bad_key: Option<&str>) -> String {
    let settings = api.registry().settings();
    let (node, datacenter) = (&settings.node_name, &settings.datacenter);
    let wan = ("WAN".to_owned(), format!("{node}.{datacenter}"));
    let lan = (format!("{datacenter} (LAN)"), node.clone());
    let mut lines = Vec::new();
    for (pool, member) in
        Some(wan).filter(|_| settings.serf_wan.is_some() && everywhere).into_iter().chain([lan])
    {
        lines.push(format!("{pool} error: {}", bad_key.unwrap_or("1/1 nodes reported failure")));
        lines.extend(bad_key.is_none().then(|| format!("{member}: {why}")));
    }
    let errors = if lines.len() == 1 { "error" } else { "errors" };
    format!("{} {errors} occurred:\n\t* {}\n\n", lines.len(), lines.join("\n\t* "))
}

#[derive(Default, Deserialize)]
#[serde(rename = "agent.keyringArgs", rename_all = "PascalCase", default)]
struct Body {
    key: String,
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
