//! `consul`: keys, sessions, health and the agent, over a blocking client.

use std::time::Duration;

use consul::agent::Agent;
use consul::catalog::Catalog;
use consul::health::Health;
use consul::kv::{KV, KVPair};
use consul::session::{Session, SessionEntry};
use consul::{Client, Config, QueryOptions};

use crate::{NODE, Step, Tally};

pub async fn round(tally: &mut Tally) {
    tally.step("consul: keys", blocking(keys)).await;
    tally.step("consul: a blocking read wakes up", blocking(blocking_read)).await;
    tally.step("consul: sessions and a lock", blocking(lock)).await;
    tally.step("consul: health of a service", blocking(health)).await;
    tally.step("consul: catalog and agent", blocking(catalog_and_agent)).await;
}

/// The client must not run where asynchronous code does.
async fn blocking(step: fn() -> Step) -> Step {
    tokio::task::spawn_blocking(step).await?
}

fn client() -> Client {
    Client::new(Config::new_from_env().expect("an address in the environment"))
}

fn pair(key: &str, value: &str) -> KVPair {
    KVPair { Key: key.to_owned(), Value: value.to_owned(), ..Default::default() }
}

fn keys() -> Step {
    let consul = client();
    assert!(consul.put(&KVPair { Flags: Some(42), ..pair("crate/a", "one") }, None).map_err(text)?.0);
    let (found, meta) = consul.get("crate/a", None).map_err(text)?;
    let found = found.expect("the key was written");
    // The library writes values as JSON texts and gives them back as they travel, so this is base64 of "one" in quotes.
    assert_eq!((found.Value.as_str(), found.Flags), ("Im9uZSI=", Some(42)));
    assert_eq!(found.ModifyIndex, meta.last_index);
    assert_eq!(KV::list(&consul, "crate/", None).map_err(text)?.0.len(), 1);
    assert!(consul.delete("crate/a", None).map_err(text)?.0);
    assert!(KV::list(&consul, "crate/", None).map_err(text)?.0.is_empty());
    Ok(())
}

fn blocking_read() -> Step {
    let consul = client();
    consul.put(&pair("crate-wait", "1"), None).map_err(text)?;
    let index = consul.get("crate-wait", None).map_err(text)?.1.last_index;
    let writer = std::thread::spawn(|| {
        std::thread::sleep(Duration::from_millis(300));
        client().put(&pair("crate-wait", "2"), None).map_err(text)
    });
    let wait =
        QueryOptions { wait_index: index, wait_time: Some(Duration::from_secs(20)), ..Default::default() };
    let (_, meta) = consul.get("crate-wait", Some(&wait)).map_err(text)?;
    assert!(meta.last_index > index);
    writer.join().expect("the writer does not panic")?;
    consul.delete("crate-wait", None).map_err(text)?;
    Ok(())
}

fn lock() -> Step {
    let consul = client();
    let wanted =
        SessionEntry { Name: Some("crate".to_owned()), TTL: Some("15s".to_owned()), ..Default::default() };
    let first = consul.create(&wanted, None).map_err(text)?.0.ID.expect("a session has an id");
    let second = consul.create(&wanted, None).map_err(text)?.0.ID.expect("a session has an id");
    let holder = |session: &str| KVPair { Session: Some(session.to_owned()), ..pair("crate-lock", "held") };
    assert!(consul.acquire(&holder(&first), None).map_err(text)?.0);
    assert!(!consul.acquire(&holder(&second), None).map_err(text)?.0);
    assert_eq!(Session::info(&consul, &first, None).map_err(text)?.0[0].Node.as_deref(), Some(NODE));
    assert!(all(&consul)?.contains(&first) && all(&consul)?.contains(&second));
    assert_eq!(consul.renew(&first, None).map_err(text)?.0.len(), 1);
    assert!(consul.release(&holder(&first), None).map_err(text)?.0);
    assert!(consul.acquire(&holder(&second), None).map_err(text)?.0);
    for session in [first, second] {
        assert!(consul.destroy(&session, None).map_err(text)?.0);
        assert!(!all(&consul)?.contains(&session));
    }
    consul.delete("crate-lock", None).map_err(text)?;
    Ok(())
}

fn all(consul: &Client) -> Result<Vec<String>, String> {
    let (sessions, _) = Session::node(consul, NODE, None).map_err(text)?;
    Ok(sessions.into_iter().filter_map(|session| session.ID).collect())
}

fn health() -> Step {
    let (entries, meta) = client().service("consul", None, true, None).map_err(text)?;
    assert_eq!((entries[0].Node.Node.as_str(), entries[0].Checks[0].CheckID.as_str()), (NODE, "serfHealth"));
    assert!(meta.last_index.is_some());
    Ok(())
}

fn catalog_and_agent() -> Step {
    let consul = client();
    assert_eq!(consul.datacenters().map_err(text)?.0, ["dc1"]);
    assert!(Catalog::services(&consul, None).map_err(text)?.0.contains_key("consul"));
    assert_eq!(Catalog::nodes(&consul, None).map_err(text)?.0.len(), 1);
    assert!(consul.checks().map_err(text)?.is_empty());
    Ok(())
}

/// The library's errors cannot travel between threads.
fn text(error: consul::errors::Error) -> String {
    error.to_string()
}
