//! The registry that templates ask: a real one with a fixture, before it a server for what such a one has not.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;

use crate::{client::Answer, options::Options, serve, subject, template};

/// The name of the registry's own node.
pub(super) const OWN_NODE: &str = "agent-one";

pub(super) struct Registry {
    before: serve::Server,
    _registry: template::registry::Registry,
    _link: Option<tempfile::TempDir>,
}

/// The part of the fixture that the registry does not take.
#[derive(Deserialize)]
struct Fixture {
    answers: BTreeMap<String, Value>,
}

impl Registry {
    /// Starts the program under test with the fixture's data.
    pub(super) fn start(options: &Options) -> anyhow::Result<Self> {
        let fixture = crate::data("calls").join("fixture.json");
        let text = std::fs::read_to_string(&fixture).with_context(|| fixture.display().to_string())?;
        let Fixture { answers } = serde_json::from_str(&text)?;
        let (bin, link) = subject::called(options, "consul")?;
        let command = options.server_cmd.as_deref().unwrap_or("{bin} agent -dev -config-file={config}");
        let registry = template::registry::Registry::start(command, &bin, &fixture)?;
        let target = registry.address();
        let before = serve::Server::start(0, move |request| {
            let path = request.path.split('?').next().unwrap_or_default();
            match answers.get(path) {
                Some(answer) => Ok(told(answer)),
                None => template::proxy::passed_on(request, target, Duration::from_secs(10)),
            }
        })?;
        Ok(Self { before, _registry: registry, _link: link })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.before.address()
    }
}

fn told(answer: &Value) -> Answer {
    let headers = [("content-type", "application/json"), ("x-consul-index", "9")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Answer { status: 200, headers, body: answer.to_string().into() }
}
