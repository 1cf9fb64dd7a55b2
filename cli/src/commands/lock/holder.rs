//! A session, and the lock or the place among several that it holds.
//!
//! The recipes are those of Consul's client ("Lock" and "Semaphore" of its documentation), with their flags and keys.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use registry_client::{Client, Request, RequestError, Response};
use registry_wire::kv::KvPair;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout_at};

use crate::client::succeed;

/// Marks the key of a lock.
const LOCK_FLAGS: u64 = 0x2ddc_cbc0_58a5_0c18;
/// Marks the keys of a semaphore.
const SEMAPHORE_FLAGS: u64 = 0xe0f6_9a2b_aa41_4de0;
/// How long a session lives without renewal.
const TTL: Duration = Duration::from_secs(15);
/// How long one question is held.
const WAIT: &str = "15s";
/// The longest wait for its answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// How long a lock that could not be taken, though it is free, is left alone: its delay may run.
const DELAY_PAUSE: Duration = Duration::from_secs(5);
/// The pause after a failing question.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// Why there is no lock; asking again changes nothing.
#[derive(Debug)]
pub(super) struct Refused(pub(super) String);

impl From<RequestError> for Refused {
    fn from(error: RequestError) -> Self {
        Self(error.to_string())
    }
}

/// Who holds a semaphore: `{"Limit":2,"Holders":{"SESSION":true}}`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Holders {
    limit: i64,
    holders: BTreeMap<String, bool>,
}

/// A session that wants a lock.
pub(super) struct Holder {
    client: Client,
    prefix: String,
    session: String,
    limit: i64,
}

impl Holder {
    /// Makes the session.
    pub(super) async fn new(
        client: Client,
        prefix: &str,
        limit: i64,
        name: &str,
    ) -> Result<Self, RequestError> {
        let body = json!({ "Name": name, "TTL": format!("{}s", TTL.as_secs()) }).to_string();
        let made: Value = client.json(&Request::put("/v1/session/create", body)).await?;
        let session = made["ID"].as_str().unwrap_or_default().to_owned();
        Ok(Self { client, prefix: prefix.trim_end_matches('/').to_owned(), session, limit })
    }

    /// Waits for the lock; `false` when the time is over.
    pub(super) async fn acquire(&self, wait: Option<Duration>) -> Result<bool, Refused> {
        let acquiring = async {
            tokio::select! {
                acquired = async { if self.is_lock() { self.lock().await } else { self.enter().await } } => acquired,
                () = self.renew() => unreachable!("renewing goes on for ever"),
            }
        };
        match wait {
            None => acquiring.await.map(|()| true),
            Some(wait) => match timeout_at(Instant::now() + wait, acquiring).await {
                Ok(acquired) => acquired.map(|()| true),
                Err(_) => Ok(false),
            },
        }
    }

    fn is_lock(&self) -> bool {
        self.limit == 1
    }

    /// The key of the lock, or of the list of holders.
    fn key(&self) -> String {
        format!("{}/.lock", self.prefix)
    }

    fn contender(&self) -> String {
        format!("{}/{}", self.prefix, self.session)
    }

    /// Keeps the session alive, for ever; a session that is gone is seen by what it held.
    async fn renew(&self) {
        let request = Request::put(Request::path_to("/v1/session/renew", &self.session), "");
        loop {
            sleep(TTL / 2).await;
            // A registry that is away may be back before the session ends.
            let _ = self.client.send(&request).await;
        }
    }

    async fn lock(&self) -> Result<(), Refused> {
        let mut index = 0;
        loop {
            let answer = self.get(&self.key(), index).await?;
            index = answer.index;
            let known = first(&answer)?;
            if known.as_ref().is_some_and(|pair| pair.flags != LOCK_FLAGS) {
                return Err(Refused("Existing key does not match lock use".into()));
            }
            if known.is_some_and(|pair| !pair.session.is_empty() && pair.session != self.session) {
                continue;
            }
            let request = self.put(&self.key(), Vec::new(), LOCK_FLAGS);
            if self.client.json::<bool>(&request.with("acquire", self.session.as_str())).await? {
                return Ok(());
            }
            // Its delay runs, or another was faster: whatever changes, or some seconds, is reason to look again.
            let _ = timeout_at(Instant::now() + DELAY_PAUSE, self.get(&self.key(), index)).await;
            index = 0;
        }
    }

    async fn enter(&self) -> Result<(), Refused> {
        let request = self.put(&self.contender(), Vec::new(), SEMAPHORE_FLAGS);
        if !self.client.json::<bool>(&request.with("acquire", self.session.as_str())).await? {
            return Err(Refused("failed to make contender entry".into()));
        }
        let mut index = 0;
        loop {
            let answer = self.list(index).await?;
            index = answer.index;
            let (mut list, at) = self.holders(&answer)?;
            if list.limit != self.limit {
                let (theirs, ours) = (list.limit, self.limit);
                return Err(Refused(format!("Semaphore limit conflict (lock: {theirs}, local: {ours})")));
            }
            if i64::try_from(list.holders.len()).is_ok_and(|count| count >= self.limit) {
                continue;
            }
            list.holders.insert(self.session.clone(), true);
            if self.write(&list, at).await? {
                return Ok(());
            }
            index = 0;
        }
    }

    /// The holders whose sessions live, and the index of their list.
    fn holders(&self, answer: &Response) -> Result<(Holders, u64), Refused> {
        let pairs = all(answer)?;
        let key = self.key();
        let Some(pair) = pairs.iter().find(|pair| pair.key == key) else {
            return Ok((Holders { limit: self.limit, holders: BTreeMap::new() }, 0));
        };
        if pair.flags != SEMAPHORE_FLAGS {
            return Err(Refused("Existing key does not match semaphore use".into()));
        }
        let value = BASE64_STANDARD.decode(pair.value.as_deref().unwrap_or_default()).unwrap_or_default();
        let mut list: Holders =
            serde_json::from_slice(&value).map_err(|e| Refused(format!("cannot read the holders: {e}")))?;
        let lives = |session: &String| {
            pairs.iter().any(|pair| pair.session == *session && pair.key.ends_with(session.as_str()))
        };
        list.holders.retain(|session, _| lives(session));
        Ok((list, pair.modify_index))
    }

    async fn write(&self, list: &Holders, at: u64) -> Result<bool, RequestError> {
        let value = serde_json::to_vec(list).expect("holders are plain data");
        let request = self.put(&self.key(), value, SEMAPHORE_FLAGS).with("cas", at.to_string());
        self.client.json(&request).await
    }

    /// Returns once the lock is lost: another has it, the session is gone, or the registry fails too often.
    pub(super) async fn lost(&self, retries: i64) {
        tokio::select! {
            () = self.follow(retries) => {}
            () = self.renew() => {}
        }
    }

    async fn follow(&self, retries: i64) {
        let (mut index, mut failures) = (0, 0);
        loop {
            let asked =
                if self.is_lock() { self.get(&self.key(), index).await } else { self.list(index).await };
            let held = asked.map_err(Refused::from).and_then(|answer| {
                let held = if self.is_lock() {
                    first(&answer)?.is_some_and(|pair| pair.session == self.session)
                } else {
                    self.holders(&answer)?.0.holders.contains_key(&self.session)
                };
                index = answer.index;
                Ok(held)
            });
            match held {
                Ok(true) => failures = 0,
                Ok(false) => return,
                Err(_) if failures >= retries => return,
                Err(_) => {
                    (failures, index) = (failures + 1, 0);
                    sleep(RETRY_PAUSE).await;
                }
            }
        }
    }

    /// Gives everything back: the lock, its key if nobody else wants it, and the session.
    pub(super) async fn release(&self) {
        // What cannot be given back now goes with the session, whose time runs out.
        let _ = if self.is_lock() { self.unlock().await } else { self.withdraw().await };
        let destroy = Request::put(Request::path_to("/v1/session/destroy", &self.session), "");
        let _ = succeed(&self.client, &destroy).await;
    }

    async fn unlock(&self) -> Result<(), Refused> {
        let key = self.key();
        if first(&self.get(&key, 0).await?)?.is_none_or(|pair| pair.session != self.session) {
            return Ok(());
        }
        let release = self.put(&key, Vec::new(), LOCK_FLAGS).with("release", self.session.as_str());
        self.client.json::<bool>(&release).await?;
        let left = first(&self.get(&key, 0).await?)?;
        if let Some(pair) = left.filter(|pair| pair.session.is_empty() && pair.flags == LOCK_FLAGS) {
            self.delete(&key, pair.modify_index).await?;
        }
        Ok(())
    }

    async fn withdraw(&self) -> Result<(), Refused> {
        succeed(&self.client, &Request::delete(Request::kv_path(&self.contender()))).await?;
        loop {
            let (mut list, at) = self.holders(&self.list(0).await?)?;
            if at == 0 {
                return Ok(());
            }
            list.holders.remove(&self.session);
            if list.holders.is_empty() {
                return self.delete(&self.key(), at).await;
            }
            if self.write(&list, at).await? {
                return Ok(());
            }
        }
    }

    async fn delete(&self, key: &str, at: u64) -> Result<(), Refused> {
        let request = Request::delete(Request::kv_path(key)).with("cas", at.to_string());
        succeed(&self.client, &request).await?;
        Ok(())
    }

    fn put(&self, key: &str, value: Vec<u8>, flags: u64) -> Request {
        Request::put(Request::kv_path(key), value).with("flags", flags.to_string())
    }

    async fn get(&self, key: &str, index: u64) -> Result<Response, RequestError> {
        self.ask(Request::get(Request::kv_path(key)), index).await
    }

    async fn list(&self, index: u64) -> Result<Response, RequestError> {
        let path = Request::kv_path(&format!("{}/", self.prefix));
        self.ask(Request::get(path).with("recurse", ""), index).await
    }

    async fn ask(&self, request: Request, index: u64) -> Result<Response, RequestError> {
        let request = match index {
            0 => request,
            index => request.with("index", index.to_string()).with("wait", WAIT),
        };
        self.client.send(&Request { timeout: Some(ANSWER_MAX), ..request }).await
    }
}

fn all(answer: &Response) -> Result<Vec<KvPair>, RequestError> {
    let found = answer.clone().found()?;
    found.map_or(Ok(Vec::new()), |answer| answer.json())
}

fn first(answer: &Response) -> Result<Option<KvPair>, RequestError> {
    Ok(all(answer)?.into_iter().next())
}
