//! Keeping this node's lease: a sign of life each second, over the connection that is there anyway.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use daemon::Shutdown;
use http::{Request, StatusCode};
use http_api::body;
use link::{
    Link,
    calls::{self, Granted},
};
use tokio::time::{Instant, sleep};

use super::{Attachment, JoinError, LOOKUP_LIMIT, Remote};

/// How often the lease is kept, and how long a server may take to answer when there are others: a second after the last answer,
/// two and three after it, each time another one is asked, within the four that a lease lasts.
const BEAT: Duration = Duration::from_secs(1);
/// The first pause after a failure; doubled up to [`PAUSE_MAX`] or the configured interval.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// A registry that starts after its agents is found within about this time.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Finds registries and keeps the lease until shutdown.
///
/// One line is logged for each change of state, however often it is tried. Errors only when `retry_max` attempts to join
/// for the first time have failed.
pub(super) async fn keep(remote: Arc<Remote>, shutdown: Shutdown) -> Result<(), JoinError> {
    let mut failures = 0;
    let mut refused = false;
    while !shutdown.is_requested() {
        let pause = match beat(&remote).await {
            Ok(beaten) => {
                (failures, refused) = (0, false);
                attached(&remote, beaten.taken_in);
                // The registry waits to hear that its keys are here.
                if beaten.new_keys { Duration::ZERO } else { BEAT }
            }
            Err(Failed::Refused(reason)) => {
                if !std::mem::replace(&mut refused, true) {
                    tracing::error!(target: "agent", error = %reason, "the registry refuses this node");
                }
                remote.settings.retry_interval.min(Duration::from_secs(10))
            }
            Err(Failed::Away(error) | Failed::Silent(error)) => {
                failures += 1;
                if matches!(error, JoinError::Key { .. }) && !std::mem::replace(&mut refused, true) {
                    tracing::error!(target: "agent", peer = one_line(&error), "the registry does not take this node");
                }
                away(&remote, &error, failures)?;
                pause_after(failures).min(remote.settings.retry_interval)
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = shutdown.requested() => {}
        }
    }
    Ok(())
}

/// Takes the lease now; whoever [keeps](keep) it goes on trying when the registry cannot grant it yet.
///
/// Errors when the registry refuses this node.
pub(super) async fn take(remote: &Remote) -> Result<(), JoinError> {
    match beat(remote).await {
        Ok(beaten) => attached(remote, beaten.taken_in),
        Err(Failed::Refused(reason)) => return Err(JoinError::Nobody(vec![reason])),
        Err(Failed::Away(_) | Failed::Silent(_)) => {}
    }
    Ok(())
}

enum Failed {
    Away(JoinError),
    /// The same: a server did not answer.
    Silent(JoinError),
    Refused(String),
}

/// What a sign of life has brought.
struct Beaten {
    /// The catalog took us in anew.
    taken_in: bool,
    /// Other keys hold here from now on.
    new_keys: bool,
}

/// One sign of life; looks for registries first when none is known or none answered.
async fn beat(remote: &Remote) -> Result<Beaten, Failed> {
    let attached = matches!(*remote.attachment.borrow(), Attachment::Attached);
    if !attached || remote.servers.addresses().is_empty() {
        match remote.settings.joins.find().await {
            Ok(found) => remote.learn(&found),
            // Servers known from before may answer all the same.
            Err(error) if remote.servers.addresses().is_empty() => return Err(Failed::Away(error)),
            Err(_) => {}
        }
    }
    let mut silent = Vec::new();
    let mut others = remote.servers.addresses().len().saturating_sub(1);
    loop {
        let limit = if others > 0 { BEAT } else { LOOKUP_LIMIT };
        match say(remote, limit, attached).await {
            Ok(beaten) => {
                // It is not the network: whoever waits for these waits in vain, and another server answers.
                silent.iter().for_each(|link: &Arc<Link>| link.cut());
                return Ok(beaten);
            }
            Err(Failed::Silent(_)) if others > 0 => silent.extend(remote.servers.preferred()),
            Err(Failed::Away(_)) if others > 0 => {}
            failed => return failed,
        }
        others -= 1;
        remote.servers.prefer_next();
    }
}

/// Tells one server that we live, the one that is asked first or the next that can be reached.
async fn say(remote: &Remote, limit: Duration, attached: bool) -> Result<Beaten, Failed> {
    let request = Request::put(calls::LEASE).body(body::full(remote.sign())).expect("a fixed target");
    let asked_at = Instant::now();
    let answer =
        remote.ask(request, limit).await.map_err(|error| Failed::Silent(reason(error.to_string())))?;
    let text = String::from_utf8_lossy(answer.body());
    match answer.status() {
        StatusCode::OK => {
            let granted: Granted =
                serde_json::from_slice(answer.body()).map_err(|error| nobody(error.to_string()))?;
            remote.version.store(granted.version, Relaxed);
            let servers: Vec<SocketAddr> =
                granted.servers.iter().filter_map(|server| server.parse().ok()).collect();
            if !servers.is_empty() {
                remote.servers.set(&servers);
            }
            // The first sign of life dials and writes; its time says nothing of the network.
            if let Some(registry) = granted.coordinate.filter(|_| attached) {
                remote.coordinates.measured(&registry, granted.located, asked_at.elapsed());
            }
            let new_keys = match (&remote.settings.keys, granted.keys) {
                (Some(keys), Some(told)) => keys.clone().follow(told).await,
                _ => false,
            };
            Ok(Beaten { taken_in: granted.taken_in, new_keys })
        }
        status if status.is_client_error() => Err(Failed::Refused(text.into_owned())),
        _ => Err(nobody(text.into_owned())),
    }
}

fn nobody(why: String) -> Failed {
    Failed::Away(reason(why))
}

fn reason(why: String) -> JoinError {
    JoinError::Nobody(vec![why])
}

fn attached(remote: &Remote, taken_in: bool) {
    let returned = remote.attachment.send_if_modified(|attachment| {
        match attachment {
            Attachment::Attached => return false,
            Attachment::Never => {
                tracing::info!(target: "agent", number_of_nodes = 1, "(LAN) joined");
                tracing::info!(
                    target: "agent",
                    cluster = "LAN",
                    num_agents = 1,
                    "Join cluster completed. Synced with initial agents"
                );
            }
            Attachment::Away => tracing::info!(target: "agent", "the registry is back"),
        }
        *attachment = Attachment::Attached;
        true
    });
    // A registry that lost its disk may be back before anybody missed it.
    if returned || taken_in {
        remote.returns.send_modify(|count| *count += 1);
    }
}

fn away(remote: &Remote, error: &JoinError, failures: u32) -> Result<(), JoinError> {
    let first = failures == 1;
    let settings = &remote.settings;
    let was = *remote.attachment.borrow();
    match was {
        Attachment::Attached => {
            tracing::warn!(target: "agent", error = one_line(error), "no registry answers; trying until one does");
            remote.attachment.send_replace(Attachment::Away);
        }
        Attachment::Never if settings.joins.targets.is_empty() => {
            if first {
                tracing::warn!(target: "agent", "no server to join is configured (retry_join): waiting for a join");
            }
        }
        Attachment::Never if first => {
            tracing::warn!(target: "agent", error = one_line(error), "Join cluster failed, will retry");
        }
        Attachment::Never if settings.retry_max > 0 && failures >= settings.retry_max => {
            return Err(JoinError::GaveUp(Box::new(error.clone())));
        }
        Attachment::Never | Attachment::Away => {}
    }
    Ok(())
}

/// The error on one line, as a log has it.
fn one_line(error: &JoinError) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn pause_after(failures: u32) -> Duration {
    let pause = PAUSE_MIN.saturating_mul(1 << failures.min(16)).min(PAUSE_MAX);
    pause.mul_f64(rand::random_range(0.75..1.25))
}
