//! One at a time: locks that a command waits for, on this machine by a file, in the fleet by a key of the registry.

use std::{
    fs::{File, OpenOptions, TryLockError},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::Duration,
};

use registry_client::{Client, Request};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

/// How often a lock that others have is asked for.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// How long the registry keeps the lock of a watcher that has died.
const SESSION_TTL: Duration = Duration::from_secs(15);

/// How long it may take to give a lock back; after that its time does it.
const GIVE_BACK_LIMIT: Duration = Duration::from_secs(3);

/// A lock on a file of this machine, held until it is dropped or the process ends.
pub(super) async fn of_machine(path: &Path, limit: Duration) -> Result<File, String> {
    let shown = path.display();
    let options = OpenOptions::new().create(true).append(true).mode(0o644).to_owned();
    let file = options.open(path).map_err(|e| format!("cannot open the lock file {shown}: {e}"))?;
    let end = Instant::now() + limit;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < end => sleep(ASK_EVERY).await,
            Err(TryLockError::WouldBlock) => return Err(not_had(&format!("the lock file {shown}"), limit)),
            Err(TryLockError::Error(e)) => return Err(format!("cannot lock {shown}: {e}")),
        }
    }
}

/// A lock on a key of the registry, held by a session that is renewed while [`OfFleet::during`] runs.
pub(super) struct OfFleet {
    client: Client,
    key: String,
    session: String,
}

#[derive(Deserialize)]
struct Session {
    #[serde(rename = "ID")]
    id: String,
}

impl OfFleet {
    /// Waits for the lock. Errors when others have it for longer than `limit`, or the registry is away for so long.
    pub(super) async fn take(client: &Client, key: &str, limit: Duration) -> Result<Self, String> {
        let mut last = not_had(&format!("the lock {key} of the registry"), limit);
        let taking = async {
            loop {
                match Self::try_take(client, key).await {
                    Ok(Some(lock)) => return lock,
                    Ok(None) => last = not_had(&format!("the lock {key} of the registry"), limit),
                    Err(e) => last = format!("cannot ask for the lock {key}: {e}"),
                }
                sleep(ASK_EVERY + ASK_EVERY.mul_f64(rand::random())).await;
            }
        };
        timeout(limit, taking).await.map_err(|_| last)
    }

    /// The lock, if nobody has it. A session that got nothing is left to its time.
    async fn try_take(client: &Client, key: &str) -> Result<Option<Self>, String> {
        let holder = Request::get(Request::kv_path(key)).with("consistent", "");
        let held: Option<Vec<Holder>> = client.json_if_found(&holder).await.map_err(|e| e.to_string())?;
        if held.into_iter().flatten().any(|holder| !holder.session.is_empty()) {
            return Ok(None);
        }
        let ttl = format!("{}s", SESSION_TTL.as_secs());
        let wish = json!({ "Name": key, "TTL": ttl, "LockDelay": "1ms", "Behavior": "release" });
        let create = Request::put("/v1/session/create", wish.to_string());
        let Session { id: session } = client.json(&create).await.map_err(|e| e.to_string())?;
        let lock = Self { client: client.clone(), key: key.to_owned(), session };
        let host = nix::unistd::gethostname().unwrap_or_default();
        let who = format!("{} {}", host.display(), std::process::id());
        let acquire = Request::put(Request::kv_path(key), who).with("acquire", &lock.session);
        match client.json::<bool>(&acquire).await {
            Ok(true) => Ok(Some(lock)),
            other => {
                lock.end_session().await;
                other.map(|_| None).map_err(|e| e.to_string())
            }
        }
    }

    /// Runs something while the lock is held, then gives the lock back.
    pub(super) async fn during<T>(self, work: impl Future<Output = T>) -> T {
        let renewing = async {
            let mut ticks = interval(SESSION_TTL / 3);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let renew = Request::put(Request::path_to("/v1/session/renew", &self.session), "");
                // A lock that is lost meanwhile is no reason to break off what is half done.
                let _ = self.client.send(&renew).await;
            }
        };
        let done = tokio::select! {
            done = work => done,
            () = renewing => unreachable!("the lock is renewed until the work is done"),
        };
        self.give_back().await;
        done
    }

    async fn give_back(self) {
        let release = Request::put(Request::kv_path(&self.key), "").with("release", &self.session);
        // Without an answer the session's time gives it back.
        let _ = timeout(GIVE_BACK_LIMIT, self.client.send(&release)).await;
        self.end_session().await;
    }

    async fn end_session(&self) {
        let destroy = Request::put(Request::path_to("/v1/session/destroy", &self.session), "");
        let _ = timeout(GIVE_BACK_LIMIT, self.client.send(&destroy)).await;
    }
}

/// Of a key, who holds it.
#[derive(Deserialize)]
struct Holder {
    #[serde(rename = "Session", default)]
    session: String,
}

fn not_had(what: &str, limit: Duration) -> String {
    format!("{what} was not to be had within {}", registry_wire::duration::format(limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_locked_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = of_machine(&path, Duration::ZERO).await.unwrap();
        let said = of_machine(&path, Duration::ZERO).await.unwrap_err();
        assert!(said.ends_with("was not to be had within 0s"), "{said}");
        drop(first);
        of_machine(&path, Duration::ZERO).await.unwrap();
        let said = of_machine(&folder.path().join("no/lock"), Duration::ZERO).await.unwrap_err();
        assert!(said.starts_with("cannot open the lock file "), "{said}");
    }
}
