//! One task for each question that some template asks; all their news in one channel.

use std::{
    collections::{HashMap, HashSet},
    fs,
    time::{Duration, SystemTime},
};

use registry_client::{Client, Event, Request, RequestError, Watch, WatchSettings};
use serde::Deserialize;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{
    answers::{Answer, CatalogNode},
    ask,
    config::{Intervals, go_io},
    query::{Query, Region},
};

/// How many news wait for the runner; then the watches wait.
const NEWS_MAX: usize = 256;

/// Above this many questions the operator is told: each holds a connection to the agent.
const MANY: usize = 512;

/// How often a file is looked at.
const FILE_POLL: Duration = Duration::from_secs(2);

/// How long a datacenter may take to say that it is there.
const REACH_LIMIT: Duration = Duration::from_secs(5);

/// Something new about a question.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) query: Query,
    pub(crate) what: What,
}

/// What is new.
#[derive(Debug)]
pub(crate) enum What {
    /// An answer; the flag says that the registry was away or began anew before it.
    Answer(Box<Answer>, bool),
    /// No answer can be had at the moment; said once.
    Failing {
        /// Why.
        error: String,
        /// What many questions may have in common: that the registry is away, or its words.
        cause: Cause,
    },
    /// The permitted attempts are used up.
    GaveUp(String),
}

/// Why questions find no answer; told once for all that share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The registry is not reached.
    Away,
    /// It does not permit the question.
    Denied(String),
    /// It says something else.
    Other(String),
}

impl What {
    fn failing(error: &RequestError) -> Self {
        let cause = match error {
            RequestError::Unreachable { .. } | RequestError::TimedOut { .. } => Cause::Away,
            RequestError::Status { status: 401 | 403, body } => Cause::Denied(body.clone()),
            RequestError::Status { body, .. } => Cause::Other(body.clone()),
            RequestError::Decode(reason) => Cause::Other(reason.clone()),
        };
        Self::Failing { error: error.to_string(), cause }
    }
}

/// The questions that are watched.
#[derive(Debug)]
pub(crate) struct Watches {
    client: Client,
    settings: WatchSettings,
    intervals: Intervals,
    tasks: HashMap<Query, Task>,
    sender: mpsc::Sender<News>,
    told_many: bool,
}

/// A task that ends with its owner.
#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Watches {
    /// Begins with no question, and gives the end of the channel on which the news come.
    pub(crate) fn new(
        client: Client,
        settings: WatchSettings,
        intervals: Intervals,
    ) -> (Self, mpsc::Receiver<News>) {
        let (sender, receiver) = mpsc::channel(NEWS_MAX);
        (Self { client, settings, intervals, tasks: HashMap::new(), sender, told_many: false }, receiver)
    }

    /// Watches exactly these questions from now on.
    pub(crate) fn follow(&mut self, used: &HashSet<&Query>) {
        self.tasks.retain(|query, _| used.contains(query));
        for query in used {
            if !self.tasks.contains_key(query) {
                tracing::debug!(target: "watcher", "adding {query}");
                let settings = WatchSettings { min_interval: self.intervals.of(query), ..self.settings };
                let source = Source { client: self.client.clone(), settings, query: (*query).clone() };
                let task = tokio::spawn(source.run(self.sender.clone()));
                self.tasks.insert((*query).clone(), Task(task));
            }
        }
        if self.tasks.len() > MANY && !self.told_many {
            self.told_many = true;
            let count = self.tasks.len();
            tracing::warn!(target: "watcher", count, "templates ask very many questions; one ls instead of many keys is cheaper");
        }
    }

    /// Where the questions go.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    pub(crate) fn is_followed(&self, query: &Query) -> bool {
        self.tasks.contains_key(query)
    }
}

/// One question and how it is asked.
struct Source {
    client: Client,
    settings: WatchSettings,
    query: Query,
}

impl Source {
    async fn run(self, news: mpsc::Sender<News>) {
        match &self.query {
            Query::File { path } => follow_file(&self.query, path, &news).await,
            Query::Datacenters { reachable_only: true } => self.poll_reachable(&news).await,
            Query::Node { name, region } if name.is_empty() => {
                let name = self.own_node(&news).await;
                self.watch(ask::node(&name, region), &news).await;
            }
            query => match ask::request(query) {
                Some(request) => self.watch(request, &news).await,
                None => unreachable!("the other arms take the questions without a request"),
            },
        }
    }

    async fn watch(&self, request: Request, news: &mpsc::Sender<News>) {
        let absent_is_an_answer = matches!(self.query, Query::Key { .. } | Query::Prefix { .. });
        let settings = WatchSettings { absent_is_an_answer, ..self.settings };
        let mut watch = Watch::new(self.client.clone(), request, settings);
        loop {
            let what = match watch.next().await {
                Event::Answer { response, after_reset } => match ask::answer(&self.query, &response) {
                    Ok(answer) => {
                        self.warn_of_no_node(&answer);
                        // Without a leader a server may not know what the others do.
                        What::Answer(Box::new(answer), after_reset || !response.known_leader)
                    }
                    Err(e) => What::failing(&e),
                },
                Event::Failing(e) => What::failing(&e),
                Event::GaveUp(e) => What::GaveUp(e.to_string()),
            };
            if news.send(News { query: self.query.clone(), what }).await.is_err() {
                return;
            }
        }
    }

    /// A template that asks for a node by name rarely means one that is not there.
    fn warn_of_no_node(&self, answer: &Answer) {
        if let (Query::Node { name, .. }, Answer::Node(CatalogNode { node: None, .. })) =
            (&self.query, answer)
        {
            tracing::warn!(target: "watcher", "{}: no node exists with the name {name:?}", self.query);
        }
    }

    /// The name of the agent's own node; asked until it is known.
    async fn own_node(&self, news: &mpsc::Sender<News>) -> String {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Agent {
            config: AgentConfig,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct AgentConfig {
            node_name: String,
        }
        let mut failures = 0;
        loop {
            match self.client.json::<Agent>(&Request::get("/v1/agent/self")).await {
                Ok(agent) => return agent.config.node_name,
                Err(e) => self.tell_failing(&mut failures, &e, news).await,
            }
            sleep(self.settings.retry.backoff.max(Duration::from_secs(1))).await;
        }
    }

    /// Asks again and again which datacenters answer.
    async fn poll_reachable(&self, news: &mpsc::Sender<News>) {
        let mut failures = 0;
        loop {
            match self.client.json::<Vec<String>>(&Request::get("/v1/catalog/datacenters")).await {
                Ok(names) => {
                    failures = 0;
                    let mut there = Vec::new();
                    for name in names {
                        let region = Region { datacenter: name.clone(), ..Region::default() };
                        let request =
                            ask::request(&Query::Services { region }).expect("services are one request");
                        let answer = timeout(REACH_LIMIT, self.client.send(&request)).await;
                        if answer.is_ok_and(|answer| answer.is_ok_and(|answer| answer.status == 200)) {
                            there.push(name);
                        }
                    }
                    there.sort();
                    let what = What::Answer(Box::new(Answer::Datacenters(there)), false);
                    let _ = news.send(News { query: self.query.clone(), what }).await;
                }
                Err(e) => {
                    self.tell_failing(&mut failures, &e, news).await;
                    sleep(self.settings.retry.backoff.max(Duration::from_secs(1))).await;
                    continue;
                }
            }
            sleep(self.settings.poll).await;
        }
    }

    /// Tells the first failure, and from then on nothing until the permitted attempts are used up.
    async fn tell_failing(&self, failures: &mut u32, error: &RequestError, news: &mpsc::Sender<News>) {
        let failed = std::mem::replace(failures, failures.saturating_add(1));
        let what = match (failed, self.settings.retry.attempts) {
            (_, Some(most)) if failed >= most => What::GaveUp(error.to_string()),
            (0, _) => What::failing(error),
            _ => return,
        };
        // A closed channel means that the runner is gone, and this task is about to be.
        let _ = news.send(News { query: self.query.clone(), what }).await;
    }
}

/// Reads a file, and reads it again when its size or time changed.
async fn follow_file(query: &Query, path: &str, news: &mpsc::Sender<News>) {
    let mut seen: Option<(SystemTime, u64)> = None;
    let mut failing = false;
    loop {
        let now = fs::metadata(path).and_then(|m| Ok((m.modified()?, m.len())));
        if failing || seen.is_none() || now.as_ref().ok() != seen.as_ref() {
            let what = match fs::read(path) {
                Ok(text) => {
                    failing = false;
                    seen = now.ok();
                    Some(What::Answer(Box::new(Answer::File(text)), false))
                }
                Err(_) if failing => None,
                Err(e) => {
                    failing = true;
                    Some(What::GaveUp(format!("open {path}: {}", go_io(&e))))
                }
            };
            if let Some(what) = what
                && news.send(News { query: query.clone(), what }).await.is_err()
            {
                return;
            }
        }
        sleep(FILE_POLL).await;
    }
}
