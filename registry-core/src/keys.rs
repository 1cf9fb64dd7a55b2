//! The keys of a datacenter: its leader's hold. Every other node says with its sign of life which it has, and is told the leader's when
//! those are others; a leader whose keys have changed less often than those of another server takes that one's.
//!
//! A change is done once every node that is there has said that it has it, so that the next one cuts nobody off.

use std::time::Duration;

use link::{
    Key, Keyring, Keys,
    calls::{KeyringAsked, KeyringReport, KeysSeen, KeysTold, NodeKeys},
};
use registry_wire::base64;
use tokio::time::{Instant, sleep};
use tracing::info;

use crate::Registry;

/// How long nodes may take to say that they have what they were told: a sign of life comes each second.
const HEARD_WITHIN: Duration = Duration::from_secs(4);
/// How often it is looked whether they have.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// What a node says that has no key.
const EMPTY: &str = "Keyring is empty (encryption not enabled)";
/// The same to a change.
const NOTHING_TO_CHANGE: &str = "No keyring to modify (encryption not enabled)";

/// A node has said which keys it has: what it is told to have, and whether it is asked for its own.
pub(crate) async fn heard(
    registry: &Registry,
    node: &str,
    server: bool,
    seen: KeysSeen,
    told: Option<KeysTold>,
) -> (Option<KeysTold>, bool) {
    let Some(ring) = &registry.settings().keys else { return (None, false) };
    if let Some(told) = told.filter(|told| server && told.version > ring.now().version()) {
        ring.clone().follow(told).await;
    }
    let ours = ring.now();
    let differs = ours.seen() != seen;
    let knows_better = server && seen.version > ours.version();
    registry.leases().has_keys(node, seen);
    ((differs && !knows_better).then(|| ours.told()), knows_better)
}

/// Does what is asked, on the leader, with the keys of this datacenter.
pub(crate) async fn here(registry: &Registry, asked: &KeyringAsked) -> KeyringReport {
    let Some(ring) = &registry.settings().keys else {
        return refused(registry, if *asked == KeyringAsked::List { EMPTY } else { NOTHING_TO_CHANGE });
    };
    let _one_at_a_time = registry.changing_keys().lock().await;
    if registry.leadership().leading().await.is_err() {
        let unasked = Some("No cluster leader".to_owned());
        return KeyringReport { unasked, ..report(registry, ring, &|_| false) };
    }
    if *asked == KeyringAsked::List {
        // Just after a change of leader some have not had the time to say it.
        said_by_all(registry, &|seen| seen.is_some()).await;
        return report(registry, ring, &|seen| seen.is_some());
    }
    let next = match changed(&ring.now(), asked) {
        Ok(next) => next,
        Err(why) => return refused(registry, &why),
    };
    // Who has not got the last change would be cut off by the next one.
    if !matches!(asked, KeyringAsked::Install(_)) && !known_by_all(registry, &ring.now().seen()).await {
        return report_of(registry, ring, &ring.now().seen());
    }
    let goal = next.seen();
    match replace(ring, next).await {
        Ok(false) => {}
        Ok(true) => {
            let (version, count) = (goal.version, goal.ids.len());
            info!(target: "agent.server", version, keys = count, "the keyring has changed");
        }
        Err(why) => return refused(registry, &why),
    }
    known_by_all(registry, &goal).await;
    report_of(registry, ring, &goal)
}

/// The keys after a change; the reason, as every node would say it, when there is none.
fn changed(keys: &Keys, asked: &KeyringAsked) -> Result<Keys, String> {
    let secret = |text: &str| base64::decode(text).map_err(|fault| fault.to_string());
    match asked {
        KeyringAsked::List => Ok(keys.clone()),
        KeyringAsked::Install(text) => {
            let key = Key::new(&secret(text)?).map_err(|unfit| unfit.to_string())?;
            keys.with(key).map_err(|refused| refused.to_string())
        }
        KeyringAsked::Use(text) => keys.using(&secret(text)?).map_err(|refused| refused.to_string()),
        KeyringAsked::Remove(text) => keys.without(&secret(text)?).map_err(|refused| refused.to_string()),
    }
}

/// Puts other keys into force here. Whether they were others.
async fn replace(ring: &Keyring, keys: Keys) -> Result<bool, String> {
    if *ring.now() == keys {
        return Ok(false);
    }
    ring.replace_aside(keys).await.map(|()| true).map_err(|error| format!("cannot keep the keys: {error}"))
}

/// Waits until every node that is there has said that it has these keys; `false` when one does not say so in time.
async fn known_by_all(registry: &Registry, goal: &KeysSeen) -> bool {
    said_by_all(registry, &|seen| seen == Some(goal)).await
}

async fn said_by_all(registry: &Registry, said: &(dyn Fn(Option<&KeysSeen>) -> bool + Sync)) -> bool {
    let end = Instant::now() + HEARD_WITHIN;
    loop {
        if registry.leases().keys().iter().all(|(_, _, seen)| said(seen.as_ref())) {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        sleep(LOOK_EVERY).await;
    }
}

/// All nodes that are there; those have answered that have said to have these keys.
fn report_of(registry: &Registry, ring: &Keyring, goal: &KeysSeen) -> KeyringReport {
    report(registry, ring, &|seen| seen == Some(goal))
}

fn report(
    registry: &Registry,
    ring: &Keyring,
    answered: &dyn Fn(Option<&KeysSeen>) -> bool,
) -> KeyringReport {
    let keys = ring.now();
    let of = |(node, server, seen): (String, bool, Option<KeysSeen>)| {
        let ids = seen.iter().flat_map(|seen| &seen.ids);
        let known = ids.filter_map(|id| keys.all().iter().find(|key| key.id() == id));
        let texts = known.map(|key| base64::encode(key.secret())).collect();
        NodeKeys { node, server, keys: texts, answered: answered(seen.as_ref()), refused: None }
    };
    let own = (registry.settings().node_name.clone(), true, Some(keys.seen()));
    let nodes = std::iter::once(own).chain(registry.leases().keys()).map(of).collect();
    KeyringReport { datacenter: registry.settings().datacenter.clone(), nodes, unasked: None }
}

/// What all nodes say, for all have the same keys.
fn refused(registry: &Registry, why: &str) -> KeyringReport {
    let of = |(node, server)| NodeKeys {
        node,
        server,
        answered: true,
        refused: Some(why.to_owned()),
        ..NodeKeys::default()
    };
    let own = (registry.settings().node_name.clone(), true);
    let others = registry.leases().keys().into_iter().map(|(node, server, _)| (node, server));
    let nodes = std::iter::once(own).chain(others).map(of).collect();
    KeyringReport { datacenter: registry.settings().datacenter.clone(), nodes, unasked: None }
}
