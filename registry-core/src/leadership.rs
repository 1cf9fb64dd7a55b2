//! Who leads, and whether this server may answer for the cluster.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, Either, Ready};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

/// When a leader that could not make sure that it still leads tries again.
const AGAIN: Duration = Duration::from_millis(50);

/// Who leads, as this server knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Role {
    /// The leader's internal address, `10.0.0.1:8300`.
    pub leader: Option<String>,
    /// The leader's id among the servers; 0 when nobody leads.
    pub id: u64,
    /// Whether this server leads and its state holds everything that was acknowledged before.
    pub serving: bool,
}

/// Nobody leads, or not this server, and that did not change in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("No cluster leader")]
pub struct NotLeading;

/// Asks whether this server still leads.
pub(crate) type Confirm = Arc<dyn Fn() -> Confirming + Send + Sync>;

/// Whether this server, which leads, may answer without asking the others.
pub(crate) type Holds = Arc<dyn Fn() -> bool + Send + Sync>;

/// How long ago the leader was heard of.
pub(crate) type Heard = Arc<dyn Fn() -> Option<Duration> + Send + Sync>;

/// Whether this server still leads: at once, or when the others have said so.
pub(crate) type Confirming = Either<Ready<bool>, BoxFuture<'static, bool>>;

/// This server's view of who leads. Clones share it.
#[derive(Clone)]
pub struct Leadership {
    role: watch::Receiver<Role>,
    holds: Holds,
    confirm: Confirm,
    heard: Heard,
    hold: Duration,
}

impl fmt::Debug for Leadership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leadership").field("role", &*self.role.borrow()).finish_non_exhaustive()
    }
}

impl Leadership {
    pub(crate) fn new(
        role: watch::Receiver<Role>,
        holds: Holds,
        confirm: Confirm,
        heard: Heard,
        hold: Duration,
    ) -> Self {
        Self { role, holds, confirm, heard, hold }
    }

    /// How long ago this server heard from the leader: nothing on the leader itself, `None` if it never did.
    pub fn contact(&self) -> Option<Duration> {
        if self.is_serving() { Some(Duration::ZERO) } else { (self.heard)() }
    }

    /// How long a question or write waits for a leader before it fails: `rpc_hold_timeout`.
    pub(crate) fn hold(&self) -> Duration {
        self.hold
    }

    /// The leader's internal address, if there is a leader.
    pub fn leader(&self) -> Option<String> {
        self.role.borrow().leader.clone()
    }

    /// Whether there is a leader.
    pub fn knows_leader(&self) -> bool {
        self.role.borrow().leader.is_some()
    }

    /// Who leads, as far as this server knows.
    pub(crate) fn role(&mut self) -> Role {
        self.role.borrow_and_update().clone()
    }

    /// Whether this server leads now, and its state is complete.
    pub fn is_serving(&self) -> bool {
        self.role.borrow().serving
    }

    /// Waits until this server leads, as far as its lease tells, up to Consul's seven seconds.
    pub async fn leading(&self) -> Result<(), NotLeading> {
        if self.is_serving() && (self.holds)() {
            return Ok(());
        }
        timeout(self.hold, self.leads(&self.holds)).await.map_err(|_| NotLeading)
    }

    /// Waits until this server leads, and `enough` says so or the others do.
    async fn leads(&self, enough: &Holds) {
        let mut role = self.role.clone();
        loop {
            if role.wait_for(|role| role.serving).await.is_err() {
                std::future::pending::<()>().await;
            }
            if enough() || (self.confirm)().await {
                return;
            }
            sleep(AGAIN).await;
        }
    }

    /// As [`Leadership::leading`], and makes sure that it is still so.
    pub(crate) async fn confirmed(&self) -> Result<(), NotLeading> {
        if self.is_serving() && (self.confirm)().await {
            return Ok(());
        }
        let never: Holds = Arc::new(|| false);
        timeout(self.hold, self.leads(&never)).await.map_err(|_| NotLeading)
    }

    /// Waits for another role than the last one seen by this clone, and gives it.
    pub(crate) async fn changed(&mut self) -> Role {
        if self.role.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.role.borrow_and_update().clone()
    }
}
