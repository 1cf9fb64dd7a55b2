//! One asks for all (`deduplicate`): of the watchers with the same template one asks its questions and shares the answers
//! through a key of the registry; the others follow that key and ask nothing.
//!
//! Who holds the key's lock leads; its session ends with it, the key goes with the session, and the next one takes it. A
//! follower asks by itself whatever it is not told: a leader that knows less costs questions, never a file. Machines have a
//! leader for each template text, so that none is told what another text asked.

mod session;
mod wire;

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use bytes::Bytes;
use registry_client::{Client, Event, Request, Watch, WatchSettings};
use registry_wire::kv::KvPair;
use sha2::{Digest as _, Sha256};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep},
};

use super::slot::Slot;
use crate::{
    answers::{Answer, Answers},
    config::ShareConfig,
    query::Query,
};
use session::Session;

/// How long nothing is asked while nobody has said who leads.
const DECIDE_LIMIT: Duration = Duration::from_secs(2);

/// How many news wait for the loop.
const NEWS_MAX: usize = 64;

/// The pause after a request that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// What is known of a shared template.
#[derive(Debug)]
pub(super) struct News {
    key: String,
    role: Role,
}

#[derive(Debug)]
enum Role {
    /// This watcher asks, and shares.
    Leads,
    /// Another one does, and this is what it shares.
    Follows(Vec<(Query, Answer)>),
    /// Another one does, and has nothing to share yet.
    Waits,
    /// Nobody does at the moment.
    Nobody,
}

/// The shared templates.
pub(super) struct Shares {
    all: HashMap<String, Share>,
    news: mpsc::Receiver<News>,
    session: Session,
    since: Instant,
    /// Whether nobody was waited for any longer.
    asks_anyway: bool,
    /// Dropped, they end.
    _tasks: JoinSet<()>,
}

struct Share {
    leads: bool,
    /// The questions that another one answers; `None` while nobody has said who leads.
    told: Option<HashSet<Query>>,
    /// What goes out, when this watcher leads.
    out: watch::Sender<Bytes>,
}

impl Shares {
    /// Begins to share the templates of these slots.
    pub(super) fn start(
        config: &ShareConfig,
        client: &Client,
        settings: WatchSettings,
        slots: &[Slot],
    ) -> Self {
        let (sender, news) = mpsc::channel(NEWS_MAX);
        let session = Session::keep(client.clone(), config.ttl);
        let (mut tasks, mut all) = (JoinSet::new(), HashMap::new());
        for key in slots.iter().map(|slot| key_of(config, slot)) {
            if all.contains_key(&key) {
                continue;
            }
            let (out, publish) = watch::channel(Bytes::new());
            let settings = WatchSettings {
                wait: config.block_query_wait,
                max_stale: config.max_stale,
                absent_is_an_answer: true,
                ..settings
            };
            let member = Member {
                client: client.clone(),
                key: key.clone(),
                session: session.id(),
                publish,
                news: sender.clone(),
                leads: false,
            };
            tasks.spawn(member.run(settings));
            all.insert(key, Share { leads: false, told: None, out });
        }
        Self { all, news, session, since: Instant::now(), asks_anyway: false, _tasks: tasks }
    }

    /// The next news; never, when nothing is shared.
    pub(super) async fn next(&mut self) -> News {
        match self.news.recv().await {
            Some(news) => news,
            None => std::future::pending().await,
        }
    }

    /// Takes news in, and gives the answers that came with them.
    pub(super) fn take(&mut self, News { key, role }: News) -> Vec<(Query, Answer)> {
        let Some(share) = self.all.get_mut(&key) else { return Vec::new() };
        let leads = matches!(role, Role::Leads);
        if leads != share.leads {
            let what = if leads { "leads" } else { "follows" };
            tracing::info!(target: "runner", "this watcher {what} for {key}");
        }
        share.leads = leads;
        if matches!(role, Role::Waits) {
            return Vec::new();
        }
        let answers = if let Role::Follows(answers) = role { answers } else { Vec::new() };
        share.told = Some(answers.iter().map(|(query, _)| query.clone()).collect());
        answers
    }

    /// Whether a template need not ask a question: another one answers it, or may be about to say so.
    pub(super) fn is_told(&self, slot: &Slot, query: &Query) -> bool {
        let share = slot.share.as_ref().and_then(|key| self.all.get(key));
        match share.map(|share| &share.told) {
            Some(Some(told)) => told.contains(query),
            Some(None) => is_shareable(query) && !self.asks_anyway,
            None => false,
        }
    }

    /// When questions are asked although nobody has said who leads.
    pub(super) fn deadline(&self) -> Option<Instant> {
        (self.is_undecided() && !self.asks_anyway).then(|| self.since + DECIDE_LIMIT)
    }

    /// Whether from now on questions are asked although nobody has said who leads; told once.
    pub(super) fn gives_up_waiting(&mut self) -> bool {
        let is_over = self.is_undecided() && self.since.elapsed() >= DECIDE_LIMIT;
        is_over && !std::mem::replace(&mut self.asks_anyway, true)
    }

    fn is_undecided(&self) -> bool {
        self.all.values().any(|share| share.told.is_none())
    }

    /// Shares the answers of the templates for which this watcher leads.
    pub(super) fn publish(&self, slots: &[Slot], answers: &Answers) {
        for slot in slots {
            let share = slot.share.as_ref().and_then(|key| self.all.get(key));
            let Some(share) = share.filter(|share| share.leads) else { continue };
            let known = slot.asked.used.iter().filter(|query| is_shareable(query));
            let known = known.filter_map(|query| Some((query, answers.get(query)?.as_ref())));
            let text = wire::encode(known);
            share.out.send_if_modified(|out| {
                let is_new = *out != text;
                *out = text;
                is_new
            });
        }
    }

    /// Lets the others lead.
    pub(super) async fn end(&self) {
        self.session.end().await;
    }
}

/// Where the answers of a template are shared.
pub(super) fn key_of(config: &ShareConfig, slot: &Slot) -> String {
    let digest: String = Sha256::digest(slot.text()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}{digest}/data", config.prefix)
}

/// Whether the answer is the same for every machine.
fn is_shareable(query: &Query) -> bool {
    match query {
        // Among these are private keys.
        Query::File { .. } | Query::Mesh { .. } => false,
        Query::Node { name, .. } => !name.is_empty(),
        Query::Service { near, .. } | Query::Nodes { near, .. } => near != "_agent",
        _ => true,
    }
}

/// One template's part in the sharing.
struct Member {
    client: Client,
    key: String,
    session: watch::Receiver<Option<String>>,
    publish: watch::Receiver<Bytes>,
    news: mpsc::Sender<News>,
    leads: bool,
}

impl Member {
    async fn run(mut self, settings: WatchSettings) {
        let mut watch = Watch::new(self.client.clone(), Request::get(Request::kv_path(&self.key)), settings);
        // Nobody may hold the key, and then only a change of it would tell.
        let mut is_free = true;
        loop {
            let role = tokio::select! {
                event = watch.next() => match event {
                    Event::Answer { response, .. } => {
                        let pair = if response.status == 404 { None } else { response.json::<Vec<KvPair>>().ok() };
                        let pair = pair.and_then(|pairs| pairs.into_iter().next());
                        is_free = pair.as_ref().is_none_or(|pair| pair.session.is_empty());
                        self.role(pair).await
                    }
                    // The templates' own questions tell of the outage.
                    Event::Failing(_) | Event::GaveUp(_) => Role::Nobody,
                },
                changed = self.session.changed() => match changed {
                    Ok(()) if is_free => self.role(None).await,
                    Ok(()) => continue,
                    Err(_) => return,
                },
                changed = self.publish.changed() => match changed {
                    Ok(()) if self.leads => self.put().await,
                    Ok(()) => continue,
                    Err(_) => return,
                },
            };
            self.leads = matches!(role, Role::Leads);
            if self.news.send(News { key: self.key.clone(), role }).await.is_err() {
                return;
            }
        }
    }

    /// What the key says; a key that nobody holds is taken.
    async fn role(&mut self, pair: Option<KvPair>) -> Role {
        let own = self.session.borrow().clone();
        match pair {
            Some(pair) if Some(&pair.session) == own.as_ref() => Role::Leads,
            Some(pair) if !pair.session.is_empty() => match pair.value.as_deref() {
                None | Some("") => Role::Waits,
                value => Role::Follows(wire::decode(value)),
            },
            _ if own.is_some() => self.put().await,
            _ => Role::Nobody,
        }
    }

    /// Writes what is shared, under the lock.
    async fn put(&mut self) -> Role {
        let Some(session) = self.session.borrow().clone() else { return Role::Nobody };
        let text = self.publish.borrow_and_update().clone();
        let request = Request::put(Request::kv_path(&self.key), text);
        match self.client.json::<bool>(&request.with("acquire", session)).await {
            Ok(true) => Role::Leads,
            Ok(false) => Role::Nobody,
            Err(error) => {
                tracing::debug!(target: "runner", key = %self.key, %error, "cannot share answers");
                sleep(PAUSE).await;
                Role::Nobody
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_machine_to_machine_is_not_shared() {
        for (query, shared) in [
            (Query::key("a"), true),
            (Query::service("web"), true),
            (Query::service("web~_agent"), false),
            (Query::service("web~node"), true),
            (Query::nodes("~_agent"), false),
            (Query::node(""), false),
            (Query::node("n"), true),
        ] {
            let query = query.unwrap();
            assert_eq!(is_shareable(&query), shared, "{query}");
        }
        assert!(!is_shareable(&Query::file("/etc/hostname")));
    }
}
