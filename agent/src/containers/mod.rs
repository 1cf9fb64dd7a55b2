//! The container source: services of the containers that a Docker or podman engine runs here, without their knowing of it.
//!
//! What registrator does, with its conventions, inside the agent; off unless the configuration has a `container_source`
//! block. [`engine`] speaks to the engine, [`convention`] makes services of a container (pure), [`metadata`] reads what
//! a container says of itself, and [`follow`](mod@follow) keeps this agent's services in step with the engine.
//! docs/containers.md is the page for users.

mod convention;
mod engine;
mod follow;
mod metadata;

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use daemon::Shutdown;
use tokio::task::JoinHandle;

use self::{engine::Engine, follow::Follower};
use crate::{config::ContainerSource, local::Local, sync::Syncer};

/// How long the catalog may take to forget the services when following ends.
const FAREWELL: Duration = Duration::from_secs(2);

/// The agent follows an engine; [`Following::end`] stops that and takes its services away.
pub(crate) struct Following {
    local: Arc<Local>,
    syncer: Syncer,
    end: Shutdown,
    task: JoinHandle<()>,
}

/// Starts to follow the engine that the configuration names. `node` is the first part of the ids, `address` this node's.
pub(crate) fn follow(
    source: &ContainerSource,
    node: &str,
    address: IpAddr,
    local: Arc<Local>,
    syncer: Syncer,
) -> Following {
    let end = Shutdown::default();
    let rules = convention::Rules {
        host: node.to_owned(),
        node_address: address,
        host_address: source.host_address,
        internal: source.internal,
        explicit: source.explicit,
        tags: source.tags.clone(),
    };
    let follower = Follower {
        engine: Engine::new(source.socket.as_deref()),
        rules,
        cleanup: source.cleanup,
        resync: source.resync_interval,
        local: local.clone(),
        owners: BTreeMap::new(),
        faults: BTreeMap::new(),
    };
    let task = tokio::spawn(follower.run(end.clone()));
    Following { local, syncer, end, task }
}

impl Following {
    /// Stops following and removes what was registered for containers; the catalog is told while there is time.
    pub(crate) async fn end(self) {
        self.end.request();
        // It ends at its next wait; a panic of it has been told already.
        let _ = self.task.await;
        if self.local.forget_containers(|_| false) > 0 {
            self.syncer.settle(FAREWELL).await;
        }
    }
}
