//! What other servers ask of this one, and what this node's agent asks about the other datacenters.

use http::{Method, Request, Response, StatusCode};
use http_api::Body;
use link::calls::{self, WanNews};
use percent_encoding::percent_decode_str;

use super::Wan;
use crate::{
    Registry, copies,
    http::query,
    server::{json, said, unknown, whole},
};

/// Answers a call below [`calls::WAN`].
pub(crate) async fn answer(registry: &Registry, request: Request<Body>) -> Response<Body> {
    let wan = registry.wan();
    if let Some(mistaken) = mistaken(registry, request.headers()) {
        return mistaken;
    }
    let (head, body) = request.into_parts();
    let after = |prefix: &str| {
        let rest = head.uri.path().strip_prefix(prefix)?;
        Some(percent_decode_str(rest).decode_utf8_lossy().into_owned())
    };
    match (&head.method, head.uri.path()) {
        (&Method::PUT, calls::WAN_NEWS) => news(wan, body).await,
        (&Method::PUT, calls::WAN_QUERY) => match whole(body).await {
            Ok(sent) => query::for_another(registry, &sent),
            Err(why) => said(StatusCode::BAD_REQUEST, &why),
        },
        (&Method::GET, calls::WAN_MEMBERS) => json(&wan.members()),
        (&Method::GET, path) if path.starts_with(calls::WAN_CONFIG) => {
            copies::answer(registry, &path[calls::WAN_CONFIG.len()..]).await
        }
        (&Method::PUT, calls::WAN_LEAVE) => {
            wan.leave().await;
            said(StatusCode::OK, "")
        }
        (&Method::PUT, _) => {
            if let Some(target) = after(calls::WAN_JOIN) {
                joined(wan, &target).await
            } else if let Some(name) = after(calls::WAN_FORCE_LEAVE) {
                force_leave(wan, &name, false)
            } else if let Some(name) = after(calls::WAN_PRUNE) {
                force_leave(wan, &name, true)
            } else {
                unknown()
            }
        }
        _ => unknown(),
    }
}

/// The answer to a call that means another server: it had this address before.
pub(crate) fn mistaken(registry: &Registry, headers: &http::HeaderMap) -> Option<Response<Body>> {
    let meant = headers.get(calls::WAN_TARGET_HEADER)?.to_str().unwrap_or_default();
    let own = &registry.settings().node_id;
    let text = format!("this is the server {own}, not {meant}");
    (!meant.is_empty() && meant != own).then(|| said(StatusCode::CONFLICT, &text))
}

async fn news(wan: &Wan, body: Body) -> Response<Body> {
    let sent = match whole(body).await {
        Ok(sent) => sent,
        Err(why) => return said(StatusCode::BAD_REQUEST, &why),
    };
    match serde_json::from_slice::<WanNews>(&sent) {
        Ok(news) if news.from.node.is_empty() || news.from.datacenter.is_empty() => {
            said(StatusCode::BAD_REQUEST, "news without a teller")
        }
        Ok(news) => json(&wan.spoken_to(news)),
        Err(error) => said(StatusCode::BAD_REQUEST, &format!("not news: {error}")),
    }
}

async fn joined(wan: &Wan, target: &str) -> Response<Body> {
    if !wan.open {
        return said(StatusCode::INTERNAL_SERVER_ERROR, "WAN federation is disabled: ports.serf_wan is");
    }
    match wan.join(target).await {
        Ok(()) => said(StatusCode::OK, ""),
        Err(why) => said(StatusCode::INTERNAL_SERVER_ERROR, &agent::backend::remote::several(&[why])),
    }
}

fn force_leave(wan: &Wan, name: &str, prune: bool) -> Response<Body> {
    let mut state = wan.state();
    let Some(mut changes) = state.table.force_leave(name, wan.clock.now_ms()) else {
        drop(state);
        return said(StatusCode::NOT_FOUND, &format!("agent: No node found with name '{name}'"));
    };
    changes.extend(prune.then(|| state.table.prune(name)).flatten());
    drop(state);
    wan.changed(&changes, true);
    said(StatusCode::OK, "")
}
