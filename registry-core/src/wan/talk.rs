//! Speaking with each other server every few seconds: who is there, how far away, and what they know.

use std::{sync::Arc, time::Duration};

use http::{Request, Response};
use http_api::{Body, body};
use link::{
    Link,
    calls::{self, WanNews},
};
use serde::de::DeserializeOwned;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use super::{Wan, file, places, table::Standing};
use crate::links;

/// How often a server that answers is spoken with.
const EVERY: Duration = Duration::from_secs(2);
/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(4);
/// So many failures in a row make a server one that does not answer.
const FAILURES: u32 = 2;
/// The first pause after a failure; doubled up to `retry_interval_wan`.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// How often it is looked whether somebody has been gone for too long.
const REAP_EVERY: Duration = Duration::from_secs(60);
/// A whole table of servers and their tags.
const NEWS_BYTES_MAX: usize = 4 << 20;
/// How long the goodbye may take.
const GOODBYE_LIMIT: Duration = Duration::from_secs(2);

impl Wan {
    /// Speaks with all servers until shutdown.
    pub(crate) async fn talk(self: Arc<Self>) {
        let mut under_way = JoinSet::new();
        loop {
            let wake = self.begin(&mut under_way);
            tokio::select! {
                () = sleep_until(wake) => {}
                () = self.news.notified() => {}
                Some(_) = under_way.join_next(), if !under_way.is_empty() => {}
                () = self.shutdown.requested() => return,
            }
            let reaped = self.state().table.reap(self.clock.now_ms());
            self.changed(&reaped, false);
            self.keep().await;
        }
    }

    /// Begins to speak with those whose turn it is. Gives the time of the next turn.
    fn begin(self: &Arc<Self>, under_way: &mut JoinSet<()>) -> Instant {
        let now = Instant::now();
        let mut wake = now + REAP_EVERY;
        let mut state = self.state();
        for (name, peer) in state.peers.iter_mut().filter(|(_, peer)| !peer.speaking) {
            if peer.next <= now {
                peer.speaking = true;
                under_way.spawn(self.clone().speak(name.clone(), peer.link.clone()));
            } else {
                wake = wake.min(peer.next);
            }
        }
        wake
    }

    async fn speak(self: Arc<Self>, name: String, link: Arc<Link>) {
        let began = Instant::now();
        let outcome = self.exchange(&name, &link).await;
        match outcome {
            Ok(news) => self.spoke(&name, news, began.elapsed()),
            Err(reason) => self.did_not_speak(&name, reason),
        }
        self.news.notify_one();
    }

    /// One question and its answer.
    async fn exchange(&self, name: &str, link: &Link) -> Result<WanNews, String> {
        let (news, target) = {
            let state = self.state();
            let tell_all = state.peers.get(name).is_some_and(|peer| peer.tell_all);
            let target = state.table.others().get(name).map(|known| known.server.id.clone());
            (self.news(&state, tell_all), target.unwrap_or_default())
        };
        ask(link, &news, &target).await
    }

    /// What this server has to tell.
    pub(super) fn news(&self, state: &super::State, all: bool) -> WanNews {
        WanNews {
            version: calls::VERSION,
            from: state.table.own().clone(),
            coordinate: Some(state.here.coordinate().clone()),
            digest: state.table.digest(),
            servers: if all { state.table.all() } else { Vec::new() },
        }
    }

    /// A server answered.
    fn spoke(&self, name: &str, news: WanNews, took: Duration) {
        let now_ms = self.clock.now_ms();
        let mut state = self.state();
        let same = news.from.name() == name;
        let (mut changes, fresh) =
            state.table.merge(news.servers.into_iter().chain([news.from]).collect(), now_ms);
        changes.extend(same.then(|| state.table.alive(name, now_ms)).flatten());
        let digest = state.table.digest();
        let coordinate = news.coordinate.filter(|coordinate| coordinate.is_valid());
        // The first call makes the connection: its time says nothing of the way.
        let measured =
            state.peers.get(name).is_some_and(|peer| peer.failures == 0 && peer.coordinate.is_some());
        if let Some(coordinate) = coordinate.as_ref().filter(|_| measured) {
            state.here.measured(coordinate, took);
        }
        if let Some(peer) = state.peers.get_mut(name) {
            (peer.speaking, peer.failures) = (false, 0);
            peer.coordinate = coordinate.or(peer.coordinate.take());
            if measured {
                peer.took(took);
            }
            // What one of both does not know is told at once.
            let differ = digest != news.digest;
            peer.next = match differ && !peer.tell_all {
                true => Instant::now(),
                false => Instant::now() + EVERY.mul_f64(rand::random_range(0.75..1.25)),
            };
            peer.tell_all = differ;
        }
        drop(state);
        self.changed(&changes, fresh);
    }

    /// A server did not answer.
    fn did_not_speak(&self, name: &str, reason: String) {
        let interval = self.settings.retry_interval;
        let mut state = self.state();
        let known = state.table.others().get(name).cloned();
        let Some((peer, known)) = state.peers.get_mut(name).zip(known) else { return };
        peer.speaking = false;
        peer.failures = peer.failures.saturating_add(1);
        peer.reason = reason;
        let pause = PAUSE_MIN.saturating_mul(1 << peer.failures.min(16)) / 2;
        peer.next = Instant::now() + pause.min(interval).mul_f64(rand::random_range(0.75..1.25));
        // Perhaps another of its addresses is one that we can reach.
        let places = places(&known, peer.found_at);
        if known.standing != Standing::Alive && places.len() > 1 {
            peer.place = (peer.place + 1) % places.len();
            peer.link = self.links.to(places[peer.place]);
        }
        let gone =
            (peer.failures >= FAILURES).then(|| state.table.failed(name, self.clock.now_ms())).flatten();
        drop(state);
        self.changed(gone.as_slice(), false);
    }

    /// Another server speaks with this one. Gives what it is to be told.
    pub(super) fn spoken_to(&self, news: WanNews) -> WanNews {
        let mut state = self.state();
        let name = news.from.name();
        let (changes, fresh) =
            state.table.merge(news.servers.into_iter().chain([news.from]).collect(), self.clock.now_ms());
        let differ = state.table.digest() != news.digest;
        let told = self.news(&state, differ);
        drop(state);
        self.changed(&changes, fresh);
        self.look_again(&name);
        told
    }

    /// A server that did not answer speaks: it is there again. Whether it can be reached is another question, for it may be
    /// behind a translation of addresses.
    fn look_again(&self, name: &str) {
        let mut state = self.state();
        let away = state.table.others().get(name).is_some_and(|known| known.standing != Standing::Alive);
        if let Some(peer) = state.peers.get_mut(name).filter(|_| away) {
            peer.next = Instant::now();
            self.news.notify_one();
        }
    }

    /// Writes the table where it has changed; what cannot be written is tried again with the next change.
    async fn keep(&self) {
        let servers = {
            let mut state = self.state();
            if !std::mem::replace(&mut state.unwritten, false) {
                return;
            }
            state.table.all()
        };
        let folder = self.folder.clone();
        let written = self.disk.run(move || file::write(&folder, servers)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(target: "agent.server.serf.wan", %error, "the servers of other datacenters are not kept on disk");
        }
    }

    /// Says goodbye to all servers.
    pub(crate) async fn leave(&self) {
        let (news, links) = {
            let mut state = self.state();
            state.table.leave(self.clock.now_ms());
            let answering = |name: &String| {
                state.table.others().get(name).is_some_and(|known| known.standing == Standing::Alive)
            };
            let links: Vec<_> = state
                .peers
                .iter()
                .filter(|(name, _)| answering(name))
                .map(|(_, peer)| peer.link.clone())
                .collect();
            (self.news(&state, false), links)
        };
        let mut told: JoinSet<_> = links
            .into_iter()
            .map(|link| {
                let news = news.clone();
                async move { ask(&link, &news, "").await.map(drop) }
            })
            .collect();
        // Whoever does not hear of it notices by itself.
        let _ = timeout(GOODBYE_LIMIT, async { while told.join_next().await.is_some() {} }).await;
    }
}

/// Tells a server, and hears what it has to tell. Errors with the reason.
pub(super) async fn ask(link: &Link, news: &WanNews, target: &str) -> Result<WanNews, String> {
    let sent = serde_json::to_vec(news).expect("news are plain data");
    let mut request = Request::put(calls::WAN_NEWS).body(body::full(sent)).expect("a fixed target");
    if let Ok(target) = target.parse() {
        request.headers_mut().insert(calls::WAN_TARGET_HEADER, target);
    }
    let asked =
        async { read(link.call(request).await.map_err(|error| error.to_string())?, NEWS_BYTES_MAX).await };
    timeout(LIMIT, asked).await.unwrap_or_else(|_| Err(format!("no answer within {} s", LIMIT.as_secs())))
}

/// What an answer of another server holds, at most so many bytes of JSON. Errors with what it says instead.
pub(crate) async fn read<T: DeserializeOwned>(answer: Response<Body>, bytes_max: usize) -> Result<T, String> {
    let bytes = links::whole(answer, bytes_max).await.map_err(|error| error.to_string())?;
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}
