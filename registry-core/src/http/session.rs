//! `/v1/session/`: what locks are held by.

use std::{sync::Arc, time::Duration};

use http_api::{Answer, ApiError, Call};
use registry_state::{
    Action, Behavior, Caseless, Outcome, ServiceCheckRef, Session, SessionId, Stored,
    read::{SessionInfo, SessionList, SessionsOfNode},
};
use registry_wire::{
    duration,
    json::{Json, Unknown, decode},
    session::SessionBody,
};
use serde_json::json;

use super::{
    Api, asking_node,
    respond::{Encoded, Family, encoded, read, written},
    shape,
};
use crate::{ReadError, figures};

const MISSING_SESSION: &str = "Missing session";
/// The check of a node's agent, which a session depends on unless it says otherwise.
const SERF_HEALTH: &str = "serfHealth";
/// The delay of a lock whose session ended, unless it says otherwise.
const LOCK_DELAY: Duration = Duration::from_secs(15);
/// The longest TTL.
const TTL_MAX: Duration = Duration::from_secs(24 * 3600);

/// `PUT /v1/session/create`.
pub(super) async fn create(api: Api, mut call: Call) -> Result<Answer, ApiError> {
    call.refuse_enterprise()?;
    let sent = call.body().await?;
    let body = if sent.is_empty() { Ok(SessionBody::default()) } else { decode(&sent, Unknown::Skip) };
    let undecodable =
        |e: &dyn std::fmt::Display| ApiError::bad_request(format!("Request decode failed: {e}"));
    let body = body.map_err(|e| undecodable(&e))?;
    api.serves_call(&call)?;
    let lock_delay = lock_delay(&body.lock_delay).map_err(|e| undecodable(&e))?;
    let behavior = match body.behavior.as_str() {
        "" | "release" => Behavior::Release,
        "delete" => Behavior::Delete,
        other => return Err(ApiError::internal(format!("Invalid Behavior setting '{other}'"))),
    };
    vet_ttl(&body.ttl, api.settings().session_ttl_min)?;
    let node = if body.node.is_empty() {
        asking_node(&call).unwrap_or(&api.0.registry.settings().node_name).to_owned()
    } else {
        body.node.clone()
    };
    let id = api.writer().session_id();
    let (node_checks, checks) = checks(&body);
    let linked = |checks: Vec<registry_wire::session::ServiceCheck>| {
        checks.into_iter().map(|c| ServiceCheckRef { id: c.id, namespace: c.namespace }).collect()
    };
    let session = Session {
        id: id.clone(),
        name: body.name,
        node,
        lock_delay_ns: lock_delay,
        behavior,
        ttl: body.ttl,
        node_checks,
        service_checks: body.service_checks.map(linked),
        checks,
    };
    match api.writer().write(Action::SessionCreate(Box::new(session))).await?.outcome {
        Outcome::Done => Ok(Answer::json(&json!({ "ID": &*id }))),
        outcome => written(outcome, "apply failed: "),
    }
}

/// The checks of the node, and the old field. An empty one of either means that no agent has to be alive. The old field does not count
/// when it names no more than it always did, or when the new one is empty.
fn checks(body: &SessionBody) -> (Option<Vec<String>>, Vec<String>) {
    let old = body.checks.0.clone().flatten();
    let node_checks = match (&body.node_checks.0, &body.checks.0) {
        (Some(given), _) => given.clone(),
        (None, Some(old)) if old.as_ref().is_none_or(Vec::is_empty) => Some(Vec::new()),
        _ => Some(vec![SERF_HEALTH.to_owned()]),
    };
    let none = node_checks.as_ref().is_none_or(Vec::is_empty);
    let old = old.filter(|old| !none && *old != [SERF_HEALTH]);
    (node_checks, old.unwrap_or_default())
}

/// The lock-delay in nanoseconds. What is below 1000 is taken for seconds, texts too, as Consul does: `"-1s"` is not a
/// second but an age. A value of another kind is none.
fn lock_delay(sent: &Json) -> Result<i64, duration::DurationError> {
    let nanos = match sent {
        Json::Null => return Ok(i64::try_from(LOCK_DELAY.as_nanos()).expect("15 s in nanoseconds fit")),
        Json::Text(text) => duration::parse_nanos(text)?,
        Json::Number(number) => number.as_i64().unwrap_or_else(|| whole(number.as_f64())),
        _ => 0,
    };
    Ok(if nanos < 1000 { nanos.wrapping_mul(1_000_000_000) } else { nanos })
}

/// A fraction cut off; what no 64 bits hold is the least number, as on the machines Consul runs on.
fn whole(number: Option<f64>) -> i64 {
    let number = number.unwrap_or(f64::NAN).trunc();
    let fits = (-9.3e18..9.2e18).contains(&number);
    if fits { number as i64 } else { i64::MIN }
}

fn vet_ttl(ttl: &str, min: Duration) -> Result<(), ApiError> {
    if ttl.is_empty() {
        return Ok(());
    }
    let nanos = duration::parse_nanos(ttl)
        .map_err(|e| ApiError::internal(format!("Session TTL '{ttl}' invalid: {e}")))?;
    let fits = u64::try_from(nanos).is_ok_and(|n| (min..=TTL_MAX).contains(&Duration::from_nanos(n)));
    if nanos == 0 || fits {
        return Ok(());
    }
    let (min, max) = (duration::format(min), duration::format(TTL_MAX));
    Err(ApiError::internal(format!("Invalid Session TTL '{nanos}', must be between [{min}={max}]")))
}

/// `PUT /v1/session/destroy/:id`.
pub(super) async fn destroy(api: Api, call: Call) -> Result<Answer, ApiError> {
    call.refuse_enterprise()?;
    let id = SessionId::from(call.name_or(MISSING_SESSION)?);
    api.serves_call(&call)?;
    written(api.writer().write(Action::SessionDestroy { id }).await?.outcome, "apply failed: ")
}

/// `PUT /v1/session/renew/:id`.
pub(super) async fn renew(api: Api, call: Call) -> Result<Answer, ApiError> {
    call.refuse_enterprise()?;
    let asked = call.read_options()?;
    let id = SessionId::from(call.name_or(MISSING_SESSION)?);
    api.serves(asked.datacenter.as_deref())?;
    let start = std::time::Instant::now();
    api.registry().leadership().leading().await.map_err(ReadError::from)?;
    match api.registry().timers().renew(&id) {
        Some(session) => {
            figures::wrote(Some("session.renew"), start);
            Ok(Answer::json(&[shape::session(&session)]))
        }
        None => Err(ApiError::not_found(format!("Session id '{id}' not found"))),
    }
}

/// `GET /v1/session/info/:id`.
pub(super) async fn info(api: Api, call: Call) -> Result<Answer, ApiError> {
    call.refuse_enterprise()?;
    let asked = call.read_options()?;
    let id = SessionId::from(call.name_or(MISSING_SESSION)?);
    let encode: fn(&Option<Arc<Stored<Session>>>, &()) -> Encoded = |found, ()| {
        let shown: Vec<_> = found.iter().map(|session| shape::session(session)).collect();
        encoded(&shown)
    };
    read(&api, &asked, Family::Plain, SessionInfo { id }, (), encode).await
}

/// `GET /v1/session/list`.
pub(super) async fn list(api: Api, call: Call) -> Result<Answer, ApiError> {
    call.refuse_enterprise()?;
    read(&api, &call.read_options()?, Family::Plain, SessionList, (), |found, ()| sessions(found)).await
}

/// `GET /v1/session/node/:node`.
pub(super) async fn of_node(api: Api, call: Call) -> Result<Answer, ApiError> {
    call.refuse_enterprise()?;
    let asked = call.read_options()?;
    let node = Caseless::new(&call.name_or("Missing node name")?);
    read(&api, &asked, Family::Plain, SessionsOfNode { node }, (), |found, ()| sessions(found)).await
}

fn sessions(found: &[Arc<Stored<Session>>]) -> Encoded {
    let shown: Vec<_> = found.iter().map(|session| shape::session(session)).collect();
    encoded(&shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &str) -> SessionBody {
        decode(text.as_bytes(), Unknown::Skip).unwrap()
    }

    #[test]
    fn a_session_depends_on_its_agent_unless_it_says_otherwise() {
        let node_checks = |text| checks(&body(text)).0;
        let some = |names: &[&str]| Some(names.iter().map(|n| (*n).to_owned()).collect());
        assert_eq!(node_checks("{}"), some(&["serfHealth"]));
        assert_eq!(node_checks(r#"{"NodeChecks":["a"]}"#), some(&["a"]));
        assert_eq!(node_checks(r#"{"nodechecks":[]}"#), some(&[]));
        assert_eq!(node_checks(r#"{"NodeChecks":null}"#), None);
        assert_eq!(node_checks(r#"{"Checks":[]}"#), some(&[]));
        assert_eq!(node_checks(r#"{"Checks":null}"#), some(&[]));
        assert_eq!(checks(&body(r#"{"Checks":["a"]}"#)), (some(&["serfHealth"]), vec!["a".to_owned()]));
    }

    #[test]
    fn lock_delays_are_texts_seconds_or_nanoseconds() {
        let nanos = |text: &str| lock_delay(&body(&format!("{{\"LockDelay\":{text}}}")).lock_delay).unwrap();
        for (text, expected) in [
            ("null", 15_000_000_000),
            ("true", 0),
            ("[]", 0),
            ("1e20", 0),
            ("5.5", 5_000_000_000),
            ("\"5ns\"", 5_000_000_000),
            ("\"-1s\"", -1_000_000_000_000_000_000),
            ("15", 15_000_000_000),
            ("5000000000", 5_000_000_000),
            ("\"90s\"", 90_000_000_000),
            ("\"0s\"", 0),
            ("-1", -1_000_000_000),
        ] {
            assert_eq!(nanos(text), expected, "{text}");
        }
    }

    #[test]
    fn ttls_have_bounds() {
        let said = |ttl| vet_ttl(ttl, Duration::from_secs(10)).map_err(|e| e.text.into_owned());
        for fine in ["", "0", "0s", "10s", "24h"] {
            assert_eq!(said(fine), Ok(()), "{fine}");
        }
        let bounds =
            |nanos: &str| Err(format!("Invalid Session TTL '{nanos}', must be between [10s=24h0m0s]"));
        assert_eq!(said("9999ms"), bounds("9999000000"));
        assert_eq!(said("-5s"), bounds("-5000000000"));
        assert_eq!(
            said("10"),
            Err("Session TTL '10' invalid: time: missing unit in duration \"10\"".to_owned())
        );
    }
}
