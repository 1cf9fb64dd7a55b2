//! Who is alive: leases that agents keep by a sign of life each second.
//!
//! Leases live in the leader's memory; only what changes in the catalog is written: a new node, one that went silent, one
//! that came back, one that left. So an idle fleet writes nothing.

mod member;
mod table;
mod written;

use std::{
    fmt,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use daemon::Shutdown;
use link::calls::{Departed, Granted, KeysSeen, Lease, Member, VERSION};
use registry_state::{
    Action, Caseless, CoordinateUpdate, Deregister, Outcome,
    read::{CoordinateOf, Read as _},
};
use registry_wire::coordinate::Coordinate;
use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};
use tracing::{debug, info, warn};

use crate::{
    figures,
    http::shape,
    leadership::Leadership,
    replication::Server,
    settings::Settings,
    store::Store,
    writer::{WriteFailed, Writer},
};
pub(crate) use member::member;
use table::{Due, Sign, Standing, Table};
pub(crate) use written::{SERF_HEALTH, own_lease, own_member};
use written::{alive, is_alive, known_leases, silent};

/// A lease ends this long after the last sign of life.
pub const LEASE_TTL: Duration = Duration::from_secs(4);
/// How long the nodes known from before a restart have for their first sign of life.
const GRACE: Duration = Duration::from_secs(8);
/// How often a leader looks whether it can hear agents at all, and how long it may take to be sure that it leads.
const HEAR_EVERY: Duration = Duration::from_millis(500);
const HEARS_WITHIN: Duration = Duration::from_millis(500);
/// When something that could not be written is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a server leads before it writes where its own node is, as Consul's do: a young fleet is sorted by names.
const LOCATE_AFTER: Range<Duration> = Duration::from_secs(15)..Duration::from_secs(30);

/// Why a lease is not granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseRefused {
    /// The agent's configuration or version does not fit this registry; asking again changes nothing.
    #[error("{0}")]
    Unfit(String),
    /// The catalog did not take the node; the text is Consul's.
    #[error("{0}")]
    Failed(String),
    /// Nobody leads now; ask again.
    #[error(transparent)]
    Unavailable(#[from] WriteFailed),
}

/// Gives all servers of the cluster.
pub(crate) type Servers = Arc<dyn Fn() -> Vec<Server> + Send + Sync>;

/// The leases of all nodes. Only the leader's are of use.
pub struct Leases {
    settings: Settings,
    store: Arc<Store>,
    writer: Writer,
    leadership: Leadership,
    /// All servers of the cluster.
    servers: Servers,
    table: Mutex<Table>,
    /// The table's next deadline may have changed.
    touched: Notify,
}

impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leases").finish_non_exhaustive()
    }
}

impl Leases {
    pub(crate) fn new(
        settings: Settings,
        store: Arc<Store>,
        writer: Writer,
        leadership: Leadership,
        servers: Servers,
    ) -> Self {
        let (table, touched) = (Mutex::default(), Notify::new());
        Self { settings, store, writer, leadership, servers, table, touched }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().expect("nobody panics while holding the leases")
    }

    /// Takes or keeps a lease. A younger agent of the same name takes it over at once.
    pub async fn keep(&self, mut lease: Lease) -> Result<Granted, LeaseRefused> {
        self.fits(&lease)?;
        // It says nothing of the node.
        let departed_mark = std::mem::take(&mut lease.departed_mark);
        self.leadership.leading().await.map_err(WriteFailed::from)?;
        let sign = self.table().keep(&lease, Instant::now() + LEASE_TTL).map_err(LeaseRefused::Unfit)?;
        self.touched.notify_one();
        let taken_in = sign != Sign::Known || !is_alive(&self.store.state(), &lease);
        if taken_in {
            let written = self.writer.write(Action::Register(Box::new(alive(&lease)))).await?;
            if let Outcome::Failed(error) = written.outcome {
                self.table().forget(&lease.node);
                return Err(LeaseRefused::Failed(error.to_string()));
            }
            self.undo_if_left(&lease.node).await?;
            let (node, address) = (&lease.node, &lease.address);
            match sign {
                Sign::Known => {}
                Sign::Changed => figures::member("serf.member.update"),
                Sign::Joined => {
                    info!(target: "agent.server", member = %node, %address, "member joined, marking health alive");
                    figures::member("serf.member.join");
                }
            }
        }
        let (coordinate, located) = self.places(&lease.node);
        let ttl_ms = LEASE_TTL.as_millis() as u64;
        let servers = (self.servers)().into_iter().map(|server| server.addr).collect();
        let departed = || self.table().departed_unless(departed_mark, Instant::now());
        let departed = lease.server.as_ref().and_then(|_| departed());
        let version = VERSION;
        Ok(Granted {
            version,
            ttl_ms,
            servers,
            coordinate,
            located,
            taken_in,
            departed,
            ..Granted::default()
        })
    }

    /// The leader has told this server, which may lead next, who has left.
    pub(crate) fn learn_departed(&self, departed: Vec<Departed>) {
        if !self.leadership.is_serving() {
            self.table().learn_departed(departed, Instant::now());
        }
    }

    /// What the leader is told of those that this server knows to have left.
    pub(crate) fn departed_mark(&self) -> u64 {
        self.table().departed_mark()
    }

    /// Whether the lease of this node runs.
    pub(crate) fn is_alive(&self, node: &str) -> bool {
        self.stands(node, Standing::Alive)
    }

    /// Whether the lease of this node has run out, and nothing was heard of it since.
    pub(crate) fn has_failed(&self, node: &str) -> bool {
        self.stands(node, Standing::Failed)
    }

    /// How a node stands, as [`link::calls::status`] counts; this server itself is alive.
    pub(crate) fn status_of(&self, node: &str) -> u8 {
        let standing = self.table().standing(node).map(|(standing, _)| standing);
        standing.map_or(link::calls::status::ALIVE, Standing::status)
    }

    fn stands(&self, node: &str, as_what: Standing) -> bool {
        self.table().standing(node).is_some_and(|(standing, _)| standing == as_what)
    }

    /// Where this node is, if that is of interest, and whether the catalog knows where another one is.
    fn places(&self, node: &str) -> (Option<Coordinate>, bool) {
        let state = self.store.state();
        let of = |node: &str| CoordinateOf { node: Caseless::new(node), segment: None }.run(&state).0;
        let own = || {
            let written = of(&self.settings.node_name);
            // Until it is written it is where it will be.
            written.first().map_or_else(Coordinate::origin, |entry| shape::coordinate(entry).coord)
        };
        (self.settings.coordinates.then(own), !of(node).is_empty())
    }

    /// Gives a lease back: the node leaves the catalog. Nothing happens when another agent holds the name by now.
    pub async fn release(&self, lease: &Lease) -> Result<(), WriteFailed> {
        self.leadership.leading().await?;
        if self.table().leave(lease, Instant::now() + self.settings.reap_after) {
            self.deregister_left(&lease.node, &lease.id).await?;
            figures::member("serf.member.left");
            info!(target: "agent.server", member = %lease.node, "deregistering member, reason=left");
        }
        Ok(())
    }

    /// Takes back what an agent has just had written about its own node if it has said goodbye by now: on its way a call may be overtaken
    /// by the goodbye, and nobody would ever remove what it brings.
    pub(crate) async fn undo_if_left(&self, node: &str) -> Result<(), WriteFailed> {
        if self.has_left(node) { self.deregister(node).await } else { Ok(()) }
    }

    /// Whether the last that was heard of a node is its agent's goodbye.
    pub(crate) fn has_left(&self, node: &str) -> bool {
        self.table().said_goodbye(node)
    }

    /// Forgets a node that is silent: it leaves the catalog and stays away. `false` when there is no such node; one that
    /// is alive is left as it is. With `prune` it is not listed as one that left either.
    pub async fn force_leave(&self, node: &str, prune: bool) -> Result<bool, WriteFailed> {
        self.leadership.leading().await?;
        let standing = self.table().standing(node);
        let id = match standing {
            None => return Ok(node.eq_ignore_ascii_case(&self.settings.node_name)),
            Some((Standing::Alive, _)) => return Ok(true),
            Some((_, id)) => id,
        };
        self.table().force_out(node, &id, Instant::now() + self.settings.reap_after);
        self.deregister_left(node, &id).await?;
        info!(target: "agent.server", member = node, "deregistering member, reason=forced");
        if prune {
            self.table().prune(node, &id);
        }
        Ok(true)
    }

    /// All nodes that have or had a lease, and this one first, as `/v1/agent/members` shows them.
    pub fn members(&self) -> Vec<Member> {
        let own = own_lease(&self.settings);
        let mut members = vec![member::of_lease(&own, Standing::Alive)];
        let table = self.table();
        members.extend(table.iter().map(|(lease, standing)| member::of_lease(lease, standing)));
        members
    }

    /// The same as the catalog shows it, for a server that knows no leader.
    pub(crate) fn members_by_catalog(&self) -> Vec<Member> {
        let own = own_lease(&self.settings);
        let known = self.known().into_iter();
        let others = known.filter(|(lease, _)| !lease.node.eq_ignore_ascii_case(&own.node));
        let shown = others.map(|(lease, alive)| {
            member::of_lease(&lease, if alive { Standing::Alive } else { Standing::Failed })
        });
        std::iter::once(member::of_lease(&own, Standing::Alive)).chain(shown).collect()
    }

    /// A node has said, with its sign of life, which keys it has.
    pub(crate) fn has_keys(&self, node: &str, keys: KeysSeen) {
        self.table().has_keys(node, keys);
    }

    /// The nodes that are there beside this one: the name, whether it is a server, and which keys it has said to have.
    pub(crate) fn keys(&self) -> Vec<(String, bool, Option<KeysSeen>)> {
        let table = self.table();
        let told = |(lease, keys): (&Lease, Option<&KeysSeen>)| {
            (lease.node.clone(), lease.server.is_some(), keys.cloned())
        };
        table.keys().map(told).collect()
    }

    /// Watches over the leases while this server leads, until shutdown.
    pub(crate) async fn tend(self: Arc<Self>, shutdown: Shutdown) {
        let mut leadership = self.leadership.clone();
        let mut restored = self.store.restored();
        let leading = async {
            loop {
                if leadership.role().serving {
                    tokio::select! {
                        () = self.lead() => {}
                        // Another catalog: look at its nodes, and put this one into it.
                        _ = restored.changed() => {}
                        _ = leadership.changed() => {}
                    }
                } else {
                    // When it leads again, what it knows now is long over: each node has some grace then.
                    self.table().forget_living();
                    leadership.changed().await;
                }
            }
        };
        tokio::select! {
            () = leading => {}
            () = shutdown.requested() => {}
        }
    }

    /// What the one who leads does.
    async fn lead(&self) {
        self.reconcile().await;
        tokio::join!(self.end_leases(), self.hear(), self.locate_own_node());
    }

    /// Looks whether agents can be heard.
    async fn hear(&self) {
        loop {
            self.hears().await;
            sleep(HEAR_EVERY).await;
        }
    }

    /// Whether this leader can take signs of life, which it cannot while most of the others are away or slow. Nobody is to be called
    /// dead for that: every lease runs at least a whole time after it.
    async fn hears(&self) -> bool {
        let asked = Instant::now();
        let leads = self.leadership.leading().await.is_ok();
        let hears = leads && asked.elapsed() < HEARS_WITHIN;
        if !hears {
            self.table().spare_until(Instant::now() + LEASE_TTL);
        }
        hears
    }

    /// Brings the catalog and the leases together when this server begins to lead.
    async fn reconcile(&self) {
        let start = std::time::Instant::now();
        self.adopt().await;
        metrics::histogram!("leader.reconcile").record(figures::since(start));
    }

    /// Takes over what the catalog knows of leases, with some grace, and puts this node into it.
    async fn adopt(&self) {
        let now = Instant::now();
        let known = self.known();
        {
            let mut table = self.table();
            for (lease, alive) in known {
                if !lease.node.eq_ignore_ascii_case(&self.settings.node_name) {
                    // A server looks for the leader by itself, and does not wait for a place to be found.
                    let grace = if lease.server.is_some() { LEASE_TTL } else { GRACE };
                    let silent_until = now + self.settings.reap_after;
                    let due = if alive { Due::Silent(now + grace) } else { Due::Forgotten(silent_until) };
                    table.adopt(lease, due);
                }
            }
        }
        self.register_own_node().await;
    }

    /// The nodes that keep or kept leases, as far as the catalog and the list of servers tell, and whether they were alive.
    fn known(&self) -> Vec<(Lease, bool)> {
        let servers = (self.servers)();
        let mut known = known_leases(&self.store.state());
        for (lease, _) in &mut known {
            lease.datacenter.clone_from(&self.settings.datacenter);
            if let Some(server) = servers.iter().find(|server| server.name == lease.node) {
                lease.port = server.lan_port;
            }
        }
        known
    }

    /// Puts this node into the catalog; tries again until the log takes it.
    async fn register_own_node(&self) {
        let mut told = false;
        loop {
            let registered =
                self.writer.write(Action::Register(Box::new(alive(&own_lease(&self.settings))))).await;
            match registered.map(|written| written.outcome) {
                Ok(Outcome::Failed(error)) => {
                    return warn!(target: "agent.server", %error, "cannot register this node");
                }
                Ok(_) => {
                    let node = &self.settings.node_name;
                    return info!(target: "agent.server", member = %node, "member joined, marking health alive");
                }
                Err(error) => {
                    if !std::mem::replace(&mut told, true) {
                        warn!(target: "agent.server", %error, "cannot register this node; trying again");
                    }
                }
            }
            sleep(AGAIN).await;
        }
    }

    /// Puts this node at the origin of the space of round trips, the place from which all others find theirs. One that is
    /// somewhere already stays there.
    async fn locate_own_node(&self) {
        sleep(rand::random_range(LOCATE_AFTER)).await;
        let node = self.settings.node_name.clone();
        if !self.settings.coordinates || self.places(&node).1 {
            return;
        }
        let coordinate = shape::coordinate_from(&Coordinate::origin());
        let update = CoordinateUpdate { node, coordinate, ..CoordinateUpdate::default() };
        if let Err(error) = self.writer.write(Action::UpdateCoordinate(update)).await {
            debug!(target: "agent.server", %error, "cannot write where this node is; the next leader does");
        }
    }

    /// Marks nodes whose lease ran out, and forgets those that are long gone.
    async fn end_leases(&self) {
        let mut told = false;
        loop {
            let next = self.table().next_due();
            tokio::select! {
                () = async { sleep_until(next.expect("the branch's condition")).await }, if next.is_some() => {}
                () = self.touched.notified() => continue,
            }
            if !self.hears().await {
                continue;
            }
            let due = self.table().due(Instant::now());
            for (node, due) in due {
                let start = std::time::Instant::now();
                let ended = self.end_lease(&node, due).await;
                metrics::histogram!("leader.reconcileMember").record(figures::since(start));
                match ended {
                    Ok(()) => told = false,
                    Err(error) => {
                        if !std::mem::replace(&mut told, true) {
                            warn!(target: "agent.server", member = node, %error, "cannot write that a lease ended; trying again");
                        }
                        self.table().postpone(&node, Instant::now() + AGAIN);
                    }
                }
            }
        }
    }

    async fn end_lease(&self, node: &str, due: Due) -> Result<(), WriteFailed> {
        match due {
            Due::Silent(_) => {
                self.writer.write(Action::Register(Box::new(silent(node)))).await?;
                // A sign of life may have come meanwhile; it wrote that the node is alive, before or after us.
                if self.table().fell_silent(node, Instant::now(), self.settings.reap_after) {
                    info!(target: "agent.server", member = node, "member failed, marking health critical");
                    figures::member("serf.member.failed");
                } else {
                    self.touched.notify_one();
                }
            }
            Due::Forgotten(_) => {
                self.deregister(node).await?;
                info!(target: "agent.server", member = node, "deregistering member, reason=reaped");
                self.table().forget(node);
            }
            Due::Unlisted(_) => self.table().forget(node),
        }
        Ok(())
    }

    /// Removes a node that has just left; what cannot be written now is due again soon.
    async fn deregister_left(&self, node: &str, id: &str) -> Result<(), WriteFailed> {
        self.touched.notify_one();
        self.deregister(node).await.inspect_err(|_| {
            self.table().forget_at(node, id, Instant::now() + AGAIN);
            self.touched.notify_one();
        })
    }

    async fn deregister(&self, node: &str) -> Result<(), WriteFailed> {
        let gone = Deregister { node: node.into(), service_id: None, check_id: None };
        self.writer.write(Action::Deregister(gone)).await.map(drop)
    }

    fn fits(&self, lease: &Lease) -> Result<(), LeaseRefused> {
        let unfit = |why: String| Err(LeaseRefused::Unfit(why));
        let (node, ours) = (&lease.node, &self.settings.datacenter);
        if lease.version.saturating_add(1) < VERSION {
            let version = lease.version;
            return unfit(format!(
                "agent '{node}' speaks version {version}, the registry speaks {VERSION}; update the agent"
            ));
        }
        if lease.datacenter != *ours {
            let theirs = &lease.datacenter;
            return unfit(format!("Member '{node}' part of wrong datacenter '{theirs}'; expected '{ours}'"));
        }
        if node.is_empty() || lease.id.is_empty() || lease.address.is_empty() {
            return unfit("a lease needs the node's name, id and address".to_owned());
        }
        if node.eq_ignore_ascii_case(&self.settings.node_name) {
            return unfit(format!(
                "node name '{node}' is the registry's own; give this agent another node_name"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
