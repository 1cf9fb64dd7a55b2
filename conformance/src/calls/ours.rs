//! Our side: the watcher's own engine in this process.

use std::{
    collections::HashSet,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use registry_client::{Client, Settings};
use template_watcher::{
    answers::{Answer, Answers, Scope, Surroundings},
    ask,
    offline::Offline,
    query::Query,
    syntax::{Options, RenderError, Syntax, Template},
};

use tokio::runtime::Runtime;

use super::{Verdict, registry::OWN_NODE, theirs};

/// How often a template is rendered because an answer made it ask for more.
const ROUNDS_MAX: usize = 64;

/// The engine with what it knows of the registry.
pub(super) struct Ours {
    client: Client,
    runtime: Runtime,
    answers: Arc<Answers>,
    unknown: HashSet<Query>,
    surroundings: Arc<Surroundings>,
}

impl Ours {
    pub(super) fn new(registry: SocketAddr) -> anyhow::Result<Self> {
        let environment = std::env::vars().collect();
        let offline = Some(Offline { time: Some(theirs::clock()) });
        let surroundings = Arc::new(Surroundings { environment, offline, ..Surroundings::default() });
        let client = Client::new(Settings { address: registry.to_string(), ..Settings::default() })?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { client, runtime, answers: Arc::default(), unknown: HashSet::new(), surroundings })
    }

    /// Evaluates a template; asks what it asks once.
    pub(super) fn evaluate(&mut self, source: &str) -> Verdict {
        let options = Options::default();
        let template = match Template::compile(Syntax::Go, source.as_bytes(), "t", &options) {
            Ok(template) => template,
            Err(error) => return Verdict::Error(error.to_string()),
        };
        for _ in 0..ROUNDS_MAX {
            let scope = Scope::new(Arc::clone(&self.answers), Arc::clone(&self.surroundings));
            let rendered = catch_unwind(AssertUnwindSafe(|| template.render(&scope)));
            let Ok(rendered) = rendered else { return Verdict::Died("it panicked".to_owned()) };
            let missing = scope.asked().missing;
            if missing.is_empty() {
                return match rendered {
                    Ok(rendered) => Verdict::Text(rendered.bytes),
                    Err(RenderError::Execute { reason, .. } | RenderError::Parse { reason, .. }) => {
                        Verdict::Error(reason)
                    }
                };
            }
            if !missing.iter().any(|query| self.learn(query)) {
                break;
            }
        }
        Verdict::Waiting
    }

    /// Asks a question that was not asked before; `false` when it was, or has no answer.
    fn learn(&mut self, query: &Query) -> bool {
        if self.answers.get(query).is_some() || self.unknown.contains(query) {
            return false;
        }
        match self.ask(query) {
            Some(answer) => Arc::make_mut(&mut self.answers).put(query.clone(), answer),
            None => !self.unknown.insert(query.clone()),
        }
    }

    fn ask(&self, query: &Query) -> Option<Answer> {
        let request = match query {
            Query::File { path } => return std::fs::read(path).ok().map(Answer::File),
            Query::Datacenters { .. } => ask::request(&Query::Datacenters { reachable_only: false })?,
            Query::Node { name, region } if name.is_empty() => ask::node(OWN_NODE, region),
            query => ask::request(query)?,
        };
        let response = self.runtime.block_on(self.client.send(&request)).ok()?;
        let absent = response.status == 404 && matches!(query, Query::Key { .. } | Query::Prefix { .. });
        if response.status != 200 && !absent {
            return None;
        }
        ask::answer(query, &response).ok()
    }
}
