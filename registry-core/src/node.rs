//! A registry's node: the registry and the agent in front of it, in one process.

use std::sync::Arc;

use agent::{Agent, config::Config};
use daemon::{Exit, Shutdown, logs::LogLevel};
use tokio::task::JoinHandle;

use crate::{Embedded, Registry, Settings, StartError, http};

/// What `ryo agent -server` and `ryo dev` run.
pub struct ServerNode {
    registry: Arc<Registry>,
    agent: Agent,
    measuring: Vec<JoinHandle<()>>,
}

impl ServerNode {
    /// Starts both, with everything tried that can fail: folder, log, ports, definitions. Nothing runs after an error.
    pub async fn start(mut config: Config, shutdown: Shutdown) -> Result<Self, StartError> {
        // Without a data folder each call makes a new id, and both must have the same.
        let id = agent::node_id(&config)?;
        config.node_id = Some(id.clone());
        let keys = agent::keyring(&config)?;
        // First of all, so that what happens at the start is counted.
        let measuring = telemetry::install().start(config.telemetry.clone(), &shutdown);
        let registry = Registry::start(Settings::of(&config, id, keys), shutdown.clone()).await?;
        let routes = http::router(registry.clone(), http::Settings::of(&config));
        let routes = http::forward::to_leader(registry.clone(), Arc::new(routes));
        let routes = http::limit::within(config.limits.requests, routes);
        let routes = http::datacenter::everywhere(registry.clone(), routes);
        registry.serve(routes.clone());
        let backend = Arc::new(Embedded::new(registry.clone(), routes));
        match agent::start(config, backend, shutdown.clone()).await {
            Ok(agent) => Ok(Self { registry, agent, measuring }),
            Err(error) => {
                shutdown.request();
                registry.ended().await;
                Err(error.into())
            }
        }
    }

    /// The registry.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Serves until the end, and waits until everything is on disk; gives the process's exit code.
    pub async fn run(self, level: Option<LogLevel>) -> Exit {
        let exit = self.agent.run(level).await;
        self.registry.shutdown().request();
        self.registry.ended().await;
        for task in self.measuring {
            // A task that panicked has said so already.
            let _ = task.await;
        }
        if self.registry.gave_up() { Exit::Failure } else { exit }
    }
}
