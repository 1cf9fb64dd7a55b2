//! Ids from what the user wrote: a whole id, the start of one, or a name.

use registry_client::{Client, Request};
use serde::de::DeserializeOwned;

use super::shape::{Policy, Role, Rule, Token};
use crate::client::AskFlags;

/// The length of a whole id.
const UUID: usize = 36;

/// A policy's id.
pub(super) async fn policy(client: &Client, ask: &AskFlags, id: &str, name: &str) -> Result<String, String> {
    if !id.is_empty() {
        let listed = by_start(client, ask, "/v1/acl/policies", id, |policy: Policy| policy.id).await?;
        return listed.ok_or_else(|| format!("No such policy ID with prefix: {id}"));
    }
    let found: Option<Policy> = by_name(client, ask, "/v1/acl/policy/name", name)
        .await
        .map_err(|why| format!("Failed to find policy with name {name}: {why}"))?;
    found.map(|policy| policy.id).ok_or_else(|| format!("No such policy with name: {name}"))
}

/// A role's id.
pub(super) async fn role(client: &Client, ask: &AskFlags, id: &str, name: &str) -> Result<String, String> {
    if !id.is_empty() {
        let listed = by_start(client, ask, "/v1/acl/roles", id, |role: Role| role.id).await?;
        return listed.ok_or_else(|| format!("No such role ID with prefix: {id}"));
    }
    let found: Option<Role> = by_name(client, ask, "/v1/acl/role/name", name).await?;
    found.map(|role| role.id).ok_or_else(|| format!("No such role with name {name}"))
}

/// A token's accessor id.
pub(super) async fn token(client: &Client, ask: &AskFlags, id: &str) -> Result<String, String> {
    let listed = by_start(client, ask, "/v1/acl/tokens", id, |token: Token| token.accessor_id).await?;
    listed.ok_or_else(|| format!("No such token ID with prefix: {id}"))
}

/// A rule's id.
pub(super) async fn rule(client: &Client, ask: &AskFlags, id: &str) -> Result<String, String> {
    let listed = by_start(client, ask, "/v1/acl/binding-rules", id, |rule: Rule| rule.id).await?;
    listed.ok_or_else(|| format!("no such rule ID with prefix: {id}: ACL not found"))
}

/// Something by its name; `None` when there is none.
pub(super) async fn by_name<T: DeserializeOwned>(
    client: &Client,
    ask: &AskFlags,
    path: &str,
    name: &str,
) -> Result<Option<T>, String> {
    let request = ask.apply(Request::get(Request::path_to(path, name)));
    client.json_if_found(&request).await.map_err(|e| e.to_string())
}

/// The one id that begins so; a whole one is taken as it is.
async fn by_start<T: DeserializeOwned>(
    client: &Client,
    ask: &AskFlags,
    path: &str,
    start: &str,
    id: impl Fn(T) -> String,
) -> Result<Option<String>, String> {
    if start.len() == UUID {
        return Ok(Some(start.to_owned()));
    }
    let listed: Vec<T> = client.json(&ask.apply(Request::get(path))).await.map_err(|e| e.to_string())?;
    let mut fitting = listed.into_iter().map(id).filter(|id| id.starts_with(start));
    match (fitting.next(), fitting.next()) {
        (Some(_), Some(_)) => Err(format!("several ids begin with {start}: write more of it")),
        (found, _) => Ok(found),
    }
}
