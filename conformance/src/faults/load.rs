//! Clients that read, write, swap and delete keys at all servers, and contend for a lock; all they see is noted.

use std::{
    net::SocketAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread::{Scope, ScopedJoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::{
    client::{Answer, Connection, Request},
    history::{Begun, History, Op, Ret},
    pause,
};

/// Clients on keys, half of which only read.
const CLIENTS: usize = 32;
/// Clients that want the lock.
const CONTENDERS: usize = 4;
/// Operations on a group of keys before the clients go on to the next: histories of thousands take too long to judge.
const TOGETHER: usize = 192;
/// How many of these one without an answer counts for: each could stand at any place in the order, and few of them make many orders.
const UNANSWERED: usize = 16;
/// Keys in a group.
const KEYS: usize = 8;
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// An answer that took longer says nothing of a lock: a server that stood still for four seconds is removed, and the sessions that
/// were made at it end, while the answer still lies with it.
const TRUSTED: Duration = Duration::from_secs(2);

/// The clients, and what they saw.
pub(super) struct Load {
    servers: Vec<SocketAddr>,
    history: Mutex<History>,
    over: AtomicBool,
    operations: AtomicUsize,
    values: AtomicUsize,
    /// Who believes to hold the lock now.
    holders: AtomicUsize,
    taken: AtomicUsize,
    /// The lock was held twice at a time.
    broken: AtomicBool,
}

impl Load {
    pub(super) fn new(servers: Vec<SocketAddr>) -> Self {
        Self {
            servers,
            history: Mutex::default(),
            over: AtomicBool::new(false),
            operations: AtomicUsize::new(0),
            values: AtomicUsize::new(0),
            holders: AtomicUsize::new(0),
            taken: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
        }
    }

    /// Starts all clients; they go on until [`Load::end`].
    pub(super) fn start<'scope>(
        &'scope self,
        threads: &'scope Scope<'scope, '_>,
    ) -> Vec<ScopedJoinHandle<'scope, ()>> {
        let on_keys = (0..CLIENTS).map(|number| {
            threads.spawn(move || {
                Client::new(self, number % 2 == 0).work(number);
            })
        });
        let contenders = (0..CONTENDERS).map(|_| {
            threads.spawn(|| {
                let mut asker = Asker::new(&self.servers);
                while !self.is_over() {
                    self.hold_once(&mut asker);
                }
            })
        });
        on_keys.chain(contenders).collect()
    }

    pub(super) fn end(&self) {
        self.over.store(true, SeqCst);
    }

    fn is_over(&self) -> bool {
        self.over.load(SeqCst)
    }

    fn history(&self) -> std::sync::MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the lock once, holds it for a moment and gives it back.
    fn hold_once(&self, asker: &mut Asker<'_>) {
        let body = r#"{"LockDelay": "0s", "NodeChecks": [], "Behavior": "release"}"#;
        let Some(made) = asker.ask("PUT", "/v1/session/create", Some(body.to_owned())) else { return };
        let made: Value = serde_json::from_slice(&made.body).unwrap_or_default();
        let Some(session) = made["ID"].as_str() else { return };
        let acquire = format!("/v1/kv/faults/lock?acquire={session}");
        for _ in 0..20 {
            let asked = Instant::now();
            match asker.ask("PUT", &acquire, Some("held".to_owned())) {
                Some(answer) if answer.text().trim() == "true" => {
                    if asked.elapsed() < TRUSTED {
                        self.hold();
                    }
                    break;
                }
                Some(_) => pause(Duration::from_millis(20)),
                // It may be held now: only the end of the session frees it for certain.
                None => break,
            }
        }
        let destroy = format!("/v1/session/destroy/{session}");
        while asker.ask("PUT", &destroy, None).is_none() && !self.is_over() {}
    }

    fn hold(&self) {
        self.taken.fetch_add(1, SeqCst);
        if self.holders.fetch_add(1, SeqCst) > 0 {
            self.broken.store(true, SeqCst);
        }
        pause(Duration::from_millis(rand::random_range(0..10)));
        self.holders.fetch_sub(1, SeqCst);
    }

    /// Reads every key once more, now that all is well.
    pub(super) fn look_at_all(&self) -> anyhow::Result<()> {
        let keys = self.history().keys();
        let mut client = Client::new(self, true);
        for key in keys {
            client.read(&key).with_context(|| format!("{key} cannot be read although all is well"))?;
        }
        Ok(())
    }

    pub(super) fn counts(&self) -> (usize, usize) {
        self.history().counts()
    }

    pub(super) fn locks(&self) -> usize {
        self.taken.load(SeqCst)
    }

    /// Errors with what has no order, and when the lock was held twice.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        self.history().check().map_err(anyhow::Error::msg)?;
        ensure!(!self.broken.load(SeqCst), "the lock was held twice at a time");
        Ok(())
    }
}

/// Asks any server, over a connection to each that is kept: with one for each request there would soon be no port left.
struct Asker<'a> {
    servers: &'a [SocketAddr],
    open: Vec<Option<Connection>>,
}

impl<'a> Asker<'a> {
    fn new(servers: &'a [SocketAddr]) -> Self {
        Self { servers, open: servers.iter().map(|_| None).collect() }
    }

    /// `None` when the outcome is unknown.
    fn ask(&mut self, method: &str, path: &str, body: Option<String>) -> Option<Answer> {
        let server = rand::random_range(0..self.servers.len());
        let request = Request { body: body.map(String::into_bytes), ..Request::new(method, path) };
        let answer = self.ask_one(server, &request).filter(|answer| matches!(answer.status, 200 | 404));
        if answer.is_none() {
            // A server that is not there refuses at once.
            pause(Duration::from_millis(20));
        }
        answer
    }

    fn ask_one(&mut self, server: usize, request: &Request) -> Option<Answer> {
        let mut connection = match self.open[server].take() {
            Some(kept) => kept,
            None => Connection::open(self.servers[server], PATIENCE).ok()?,
        };
        let answer = connection.send(request).ok()?;
        if answer.header("connection") != Some("close") {
            self.open[server] = Some(connection);
        }
        Some(answer)
    }
}

/// Somebody who does one thing after the other.
struct Client<'a> {
    load: &'a Load,
    asker: Asker<'a>,
    thread: u64,
    only_reads: bool,
}

impl<'a> Client<'a> {
    fn new(load: &'a Load, only_reads: bool) -> Self {
        let thread = load.history().thread();
        Self { load, asker: Asker::new(&load.servers), thread, only_reads }
    }

    fn work(mut self, number: usize) {
        while !self.load.is_over() {
            let group = self.load.operations.fetch_add(1, SeqCst) / TOGETHER;
            let key = format!("faults/{group}/{}", number % KEYS);
            let done = match rand::random_range(0..10) {
                _ if self.only_reads => self.read(&key).map(drop),
                0..5 => self.write(&key),
                5..9 => self.swap(&key),
                _ => self.delete(&key),
            };
            if done.is_none() {
                // What was asked for may still happen: whoever goes on is somebody else.
                self.thread = self.load.history().thread();
                self.load.operations.fetch_add(UNANSWERED, SeqCst);
            }
        }
    }

    fn begin(&self, key: &str, op: Op) -> Begun {
        self.load.history().begin(self.thread, key, op)
    }

    fn end(&self, begun: &Begun, ret: Ret) {
        self.load.history().end(begun, ret);
    }

    /// The value and its index.
    fn read(&mut self, key: &str) -> Option<(Option<u64>, u64)> {
        let begun = self.begin(key, Op::Read);
        let consistent = if rand::random_range(0..2) == 0 { "?consistent" } else { "" };
        let answer = self.asker.ask("GET", &format!("/v1/kv/{key}{consistent}"), None)?;
        let found: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let (value, index) = match found.get(0) {
            Some(pair) => {
                use base64::{Engine as _, engine::general_purpose::STANDARD};
                let bytes = STANDARD.decode(pair["Value"].as_str()?).ok()?;
                (Some(std::str::from_utf8(&bytes).ok()?.parse().ok()?), pair["ModifyIndex"].as_u64()?)
            }
            None if answer.status == 404 => (None, 0),
            None => return None,
        };
        self.end(&begun, Ret::Value(value));
        Some((value, index))
    }

    fn value(&self) -> u64 {
        self.load.values.fetch_add(1, SeqCst) as u64 + 1
    }

    fn write(&mut self, key: &str) -> Option<()> {
        let value = self.value();
        let begun = self.begin(key, Op::Write(value));
        let answer = self.asker.ask("PUT", &format!("/v1/kv/{key}"), Some(value.to_string()))?;
        assert_eq!(answer.text().trim(), "true", "a write that nothing stands against");
        self.end(&begun, Ret::Done);
        Some(())
    }

    fn delete(&mut self, key: &str) -> Option<()> {
        let begun = self.begin(key, Op::Delete);
        self.asker.ask("DELETE", &format!("/v1/kv/{key}"), None)?;
        self.end(&begun, Ret::Done);
        Some(())
    }

    fn swap(&mut self, key: &str) -> Option<()> {
        let (before, index) = self.read(key)?;
        let value = self.value();
        let begun = self.begin(key, Op::Swap(before, value));
        let answer = self.asker.ask("PUT", &format!("/v1/kv/{key}?cas={index}"), Some(value.to_string()))?;
        self.end(&begun, Ret::Swapped(answer.text().trim() == "true"));
        Some(())
    }
}
