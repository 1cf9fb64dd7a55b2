//! What belongs to the primary datacenter and is read everywhere: configuration entries, intentions among them. Each other datacenter keeps a
//! copy, so that reads need nobody else; what is written goes to the primary (`http/datacenter.rs`) and comes back as a copy.

use std::{collections::BTreeMap, sync::Weak, time::Duration};

use daemon::Shutdown;
use http::{Request, Response, StatusCode};
use http_api::{Body, body};
use link::calls;
use registry_state::{
    Action, Caseless, ConfigDelete, ConfigEntry, ConfigPut, Index, Outcome,
    read::{ConfigList, Read as _},
};
use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::{Consistency, Options, Registry, Wait, links, server::said, storage::MeshRoot};

/// How long a question for changes is held by the primary datacenter.
const HELD: Duration = Duration::from_secs(60);
/// How long its answer may take.
const LIMIT: Duration = Duration::from_secs(90);
/// When it is asked again after it did not answer, and how often a server looks whether it leads.
const AGAIN: Duration = Duration::from_secs(1);
/// The longest answer.
const BYTES_MAX: usize = 64 << 20;

/// All entries of the primary datacenter, and the index to wait after.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Entries {
    index: Index,
    entries: Vec<ConfigEntry>,
    /// The root certificate of the mesh, where one is shown.
    mesh_root: Option<MeshRoot>,
}

/// Keeps this datacenter's entries as those of the primary one while this server leads, until shutdown.
pub(crate) async fn follow(registry: Weak<Registry>, primary: String, shutdown: Shutdown) {
    let following = async {
        let (mut after, mut told) = (0, false);
        while let Some(registry) = registry.upgrade() {
            if !registry.leadership().is_serving() {
                after = 0;
                sleep(AGAIN).await;
                continue;
            }
            match follow_once(&registry, &primary, after).await {
                Ok(index) => {
                    if std::mem::take(&mut told) {
                        info!(target: "agent.server.replication.config_entry", %primary, "configuration entries are copied again");
                    }
                    after = index;
                }
                Err(error) => {
                    if !std::mem::replace(&mut told, true) {
                        warn!(target: "agent.server.replication.config_entry", %primary, error, "cannot copy configuration entries; trying until it is possible");
                    }
                    after = 0;
                    sleep(AGAIN).await;
                }
            }
        }
    };
    tokio::select! {
        () = following => {}
        () = shutdown.requested() => {}
    }
}

/// Waits for a change after an index and takes it over. Gives the index of the next one.
async fn follow_once(registry: &Registry, primary: &str, after: Index) -> Result<Index, String> {
    let request = Request::get(format!("{}{after}", calls::WAN_CONFIG)).body(body::empty());
    let request = request.expect("a number fits a path");
    let asked = async {
        let answer = registry.wan().call(primary, request).await.map_err(|error| error.to_string())?;
        let bytes = links::whole(answer, BYTES_MAX).await.map_err(|error| error.to_string())?;
        rmp_serde::from_slice::<Entries>(&bytes).map_err(|error| error.to_string())
    };
    let theirs = timeout(LIMIT, asked).await.map_err(|_| "no answer in time".to_owned())??;
    take_over(registry, theirs.entries).await?;
    if let Some(root) = theirs.mesh_root {
        registry.take_mesh_root(root);
    }
    Ok(theirs.index)
}

async fn take_over(registry: &Registry, theirs: Vec<ConfigEntry>) -> Result<(), String> {
    let (found, _) = ConfigList::default().run(&registry.store().state());
    let key = |entry: &ConfigEntry| (entry.kind.clone(), Caseless::new(&entry.name));
    let mut ours: BTreeMap<_, _> = found.iter().map(|ours| (key(&ours.value), &ours.value)).collect();
    // What stays of ours is theirs no longer.
    let others: Vec<_> = theirs.into_iter().filter(|entry| ours.remove(&key(entry)) != Some(entry)).collect();
    let mut actions: Vec<Action> = ours
        .into_values()
        .map(|gone| {
            let (kind, name) = (gone.kind.clone(), gone.name.clone());
            Action::ConfigDelete(ConfigDelete { kind, name, cas: None })
        })
        .collect();
    actions
        .extend(others.into_iter().map(|entry| Action::ConfigPut(Box::new(ConfigPut { entry, cas: None }))));
    for action in actions {
        let written = registry.writer().write(action).await.map_err(|error| error.to_string())?;
        if let Outcome::Failed(error) = written.outcome {
            return Err(error.to_string());
        }
    }
    Ok(())
}

/// Answers another datacenter's question for all entries, once there is something after the index it knows.
pub(crate) async fn answer(registry: &Registry, after: &str) -> Response<Body> {
    let Ok(after) = after.parse() else { return said(StatusCode::BAD_REQUEST, "not an index") };
    // Any server has them in the same order.
    let wait = (after > 0).then_some(Wait { index: after, limit: HELD });
    let options = Options { consistency: Consistency::Stale, wait };
    match registry.reader().read(&ConfigList::default(), options).await {
        Ok(found) => {
            let entries = found.value.iter().map(|entry| entry.value.clone()).collect();
            let told = Entries { index: found.index, entries, mesh_root: registry.mesh_root() };
            Response::new(body::full(rmp_serde::to_vec_named(&told).expect("entries are plain data")))
        }
        Err(error) => said(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}
