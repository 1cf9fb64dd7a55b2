//! `/v1/event/`: firing user events, and those that reached this node.

use std::time::Duration;

use http::{Request, StatusCode};
use http_api::{Answer, ApiError, Call, body};
use link::calls;
use registry_wire::{event::UserEvent, header, kv, options};
use tokio::time::{Instant, sleep_until, timeout};

use super::{ASK_LIMIT, Context};
use crate::events;

/// How long a list waits when it does not say, and at most.
const WAIT_MAX: Duration = Duration::from_secs(600);
/// How long firing waits to be heard here: at first for the registry, then for the event itself.
const HEARD_LIMIT: Duration = Duration::from_secs(1);

/// `PUT /v1/event/fire/:name`: answers once the registry has it and, as a rule, this node has heard of it.
pub(super) async fn fire(context: Context, mut call: Call) -> Result<Answer, ApiError> {
    let name = call.name_or("Missing name")?;
    let text = |name: &str| call.query.text(name).map(|text| text.into_owned()).unwrap_or_default();
    let mut event = UserEvent {
        id: uuid::Uuid::new_v4().to_string(),
        name,
        payload: None,
        node_filter: text("node"),
        service_filter: text("service"),
        tag_filter: text("tag"),
        version: 1,
        ltime: 0,
    };
    let datacenter = options::datacenter(&call.query);
    let payload = call.body().await?;
    event.payload = kv::encode_value(&payload);
    event.check(payload.len()).map_err(|error| ApiError::internal(error.to_string()))?;
    if let Some(datacenter) =
        datacenter.filter(|name| !name.is_empty() && *name != context.config().datacenter)
    {
        send(&context, &format!("{}?dc={}", calls::EVENT, crate::api_path(&datacenter)), &event).await?;
        return Ok(Answer::json(&event));
    }
    let mut known = context.events.known();
    // Whoever fires an event through an agent that has just started finds it there all the same.
    let _ = timeout(HEARD_LIMIT, known.wait_for(|index| *index > 0)).await;
    let index = send(&context, calls::EVENT, &event).await?;
    let _ = timeout(HEARD_LIMIT, known.wait_for(|known| *known >= index)).await;
    Ok(Answer::json(&event))
}

/// Gives the event to the registry, and its index back.
async fn send(context: &Context, call: &str, event: &UserEvent) -> Result<u64, ApiError> {
    let sent = serde_json::to_vec(event).expect("an event is plain data");
    let request = Request::put(call).body(body::full(sent)).expect("a path of plain letters");
    let answer = timeout(ASK_LIMIT, context.backend.call(request)).await;
    let answer = answer.map_err(|_| ApiError::internal("the registry does not answer in time"))?;
    let (head, mut body) = answer.map_err(|error| ApiError::internal(error.to_string()))?.into_parts();
    if head.status != StatusCode::OK {
        let text = body::collect(&mut body, 1 << 16).await.unwrap_or_default();
        return Err(ApiError::new(head.status, String::from_utf8_lossy(&text).into_owned()));
    }
    let index = head.headers.get(header::INDEX).and_then(|index| index.to_str().ok()?.parse().ok());
    Ok(index.unwrap_or_default())
}

/// `GET /v1/event/list[?name=]`: waits while the newest event of that name is the one that `index` stands for.
pub(super) async fn list(context: Context, call: Call) -> Result<Answer, ApiError> {
    let (newer_than, wait) = options::blocking(&call.query)?;
    let name = call.query.text("name").unwrap_or_default();
    let limit = wait.unwrap_or(WAIT_MAX).min(WAIT_MAX);
    let end = Instant::now() + limit;
    let mut known = context.events.known();
    loop {
        // Marked as seen before the look: an event in between is a reason to look again.
        known.mark_unchanged();
        let events = context.events.named(&name);
        let index = events::index_of(&events);
        if newer_than == 0 || newer_than != index || Instant::now() >= end {
            let shown: Vec<&UserEvent> = events.iter().map(|event| &**event).collect();
            return Ok(Answer::json(&shown).with(header::INDEX, index.into()));
        }
        tokio::select! {
            changed = known.changed() => if changed.is_err() { sleep_until(end).await },
            () = sleep_until(end) => {}
        }
    }
}
