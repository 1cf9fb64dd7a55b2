//! A client: reads and writes a few keys at one server after the other, and notes what it was told.

use std::{cell::RefCell, net::SocketAddr, rc::Rc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use conformance::history::{Begun, History, Op, Ret};
use http::StatusCode;
use serde::Deserialize;
use tokio::time::sleep;

use crate::caller::{Answer, Caller};

/// How many keys all clients share: few, so that they meet.
const KEYS: u32 = 3;
/// How long they share the same ones.
const EPOCH_SECS: u64 = 4;

/// What all clients of a run share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) history: Rc<RefCell<History>>,
    /// Values that nobody has written yet.
    pub(crate) next_value: Rc<RefCell<u64>>,
    pub(crate) servers: Vec<SocketAddr>,
    /// Whether reads ask for what may be old, as if it were new.
    pub(crate) stale: bool,
}

/// A key as `/v1/kv/KEY` shows it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Pair {
    value: String,
    modify_index: u64,
}

/// What a client knows of a key: its value, and the index that a swap names.
#[derive(Clone, Copy, Default)]
struct Known {
    value: Option<u64>,
    index: u64,
}

pub(crate) struct Client {
    shared: Shared,
    caller: Caller,
    thread: u64,
}

impl Client {
    pub(crate) fn new(shared: Shared) -> Self {
        let caller = Caller::new(&shared.servers);
        let thread = shared.history.borrow_mut().thread();
        Self { shared, caller, thread }
    }

    /// Works until the clock says `until`.
    pub(crate) async fn work(mut self, until: Duration) {
        while turmoil::elapsed() < until {
            // Others after a while: what a checker must look through grows with what happened to one key.
            let epoch = turmoil::elapsed().as_secs() / EPOCH_SECS;
            let key = format!("k{epoch}.{}", rand::random_range(0..KEYS));
            match rand::random_range(0..10) {
                0..4 => drop(self.read(&key).await),
                4..7 => self.write(&key).await,
                7..9 => self.swap(&key).await,
                _ => self.delete(&key).await,
            }
            if rand::random_ratio(1, 20) {
                self.caller.at = rand::random_range(0..self.shared.servers.len());
            }
            sleep(Duration::from_millis(rand::random_range(0..200))).await;
        }
    }

    /// Reads each key at every server, until all answer; errors when one does not within `limit`.
    pub(crate) async fn read_all(mut self, limit: Duration) -> Result<(), String> {
        let (begin, keys) = (turmoil::elapsed(), self.shared.history.borrow().keys());
        for at in 0..self.shared.servers.len() {
            for key in &keys {
                loop {
                    self.caller.at = at;
                    if self.read(key).await.is_some() {
                        break;
                    }
                    if turmoil::elapsed() > begin + limit {
                        return Err(format!("server {at} does not answer {limit:?} after all was mended"));
                    }
                    sleep(Duration::from_millis(200)).await;
                }
            }
        }
        Ok(())
    }

    async fn read(&mut self, key: &str) -> Option<Known> {
        let consistent = match rand::random() {
            _ if self.shared.stale => "?stale",
            true => "?consistent",
            false => "",
        };
        let begun = self.begin(key, Op::Read);
        let known = match self.caller.call("GET", &format!("/v1/kv/{key}{consistent}"), String::new()).await {
            Some(Answer { status: StatusCode::OK, text, .. }) => {
                let [pair]: [Pair; 1] = serde_json::from_str(&text).unwrap();
                let value = String::from_utf8(STANDARD.decode(&pair.value).unwrap()).unwrap();
                Some(Known { value: Some(value.parse().unwrap()), index: pair.modify_index })
            }
            Some(Answer { status: StatusCode::NOT_FOUND, .. }) => Some(Known::default()),
            _ => None,
        };
        self.end(&begun, known.map(|known| Ret::Value(known.value)));
        known
    }

    async fn write(&mut self, key: &str) {
        let value = self.value();
        let begun = self.begin(key, Op::Write(value));
        let answer = self.caller.call("PUT", &format!("/v1/kv/{key}"), value.to_string()).await;
        self.end(&begun, done(answer).map(|_| Ret::Done));
    }

    async fn swap(&mut self, key: &str) {
        let Some(known) = self.read(key).await else { return };
        let value = self.value();
        let begun = self.begin(key, Op::Swap(known.value, value));
        let answer =
            self.caller.call("PUT", &format!("/v1/kv/{key}?cas={}", known.index), value.to_string()).await;
        self.end(&begun, done(answer).map(|text| Ret::Swapped(text.trim() == "true")));
    }

    async fn delete(&mut self, key: &str) {
        let begun = self.begin(key, Op::Delete);
        let answer = self.caller.call("DELETE", &format!("/v1/kv/{key}"), String::new()).await;
        self.end(&begun, done(answer).map(|_| Ret::Done));
    }

    fn begin(&self, key: &str, op: Op) -> Begun {
        self.shared.history.borrow_mut().begin(self.thread, key, op)
    }

    fn end(&mut self, begun: &Begun, ret: Option<Ret>) {
        let mut history = self.shared.history.borrow_mut();
        match ret {
            Some(ret) => history.end(begun, ret),
            None => self.thread = history.thread(),
        }
    }

    fn value(&self) -> u64 {
        let mut next = self.shared.next_value.borrow_mut();
        *next += 1;
        *next
    }
}

/// The text of an answer that says the operation was carried out.
fn done(answer: Option<Answer>) -> Option<String> {
    answer.filter(|answer| answer.status == StatusCode::OK).map(|answer| answer.text)
}
