//! Other datacenters: who their servers are, which of them answer, and the way to them.
//!
//! Servers learn of each other from those they join, tell all others of them, and keep them on disk (`table`, `file`). Each
//! speaks with each every few seconds over one link (`talk`), and so knows who is there and how far away; a request for
//! another datacenter goes to a server of it that answers, and fails at once while none does (`way`). `joins` is about the
//! configuration's `retry_join_wan`, `answers` about what other servers and this node's agent ask.

mod answers;
mod file;
mod joins;
mod table;
mod talk;
mod way;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use agent::coordinates::vivaldi::Vivaldi;
use daemon::Shutdown;
use link::{
    Link,
    calls::{Member, WanServer, status},
};
use registry_wire::coordinate::Coordinate;
use tokio::{sync::Notify, task::JoinHandle, time::Instant};

use self::table::{Change, Standing, Table};
use crate::{Clock, Disk, leases, links::Links};

pub(crate) use self::{
    answers::{answer, mistaken},
    talk::read,
};

/// How long a server of another datacenter that does not answer is remembered where the configuration does not say.
const FORGET_AFTER: Duration = Duration::from_secs(72 * 3600);

/// Of so many round trips the quickest counts.
const TRIPS: usize = 8;
/// Servers whose distances differ by less are equally far away: such a difference says nothing of the way.
const SAME_PLACE: Duration = Duration::from_millis(5);

/// What the configuration says of other datacenters.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The addresses that servers of other datacenters reach this one at; the first is the one that is shown.
    pub addresses: Vec<IpAddr>,
    /// Servers to join, as written: `10.0.0.1`, `[fd10::1]:8302`, `registry.example:8302`.
    pub joins: Vec<String>,
    /// The longest time between two attempts at a server that does not answer.
    pub retry_interval: Duration,
    /// After how many attempts without one success the program ends; 0 never does.
    pub retry_max: u32,
    /// After how long a server that does not answer is forgotten: `reconnect_timeout_wan`.
    pub forget_after: Duration,
}

impl Settings {
    /// What a server's configuration says.
    pub fn of(config: &agent::config::Config) -> Self {
        let tagged = |tag: &str| config.tagged_addresses.get(tag).and_then(|address| address.parse().ok());
        let mut addresses = vec![config.advertise_addr_wan];
        for address in [tagged("wan_ipv4"), tagged("wan_ipv6")].into_iter().flatten() {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        Self {
            addresses,
            joins: config.retry_join_wan.clone(),
            retry_interval: config.retry_interval_wan,
            retry_max: config.retry_max_wan,
            forget_after: config.reconnect_timeout_wan.unwrap_or(FORGET_AFTER),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            addresses: vec![IpAddr::from([127, 0, 0, 1])],
            joins: Vec::new(),
            retry_interval: Duration::from_secs(30),
            retry_max: 0,
            forget_after: FORGET_AFTER,
        }
    }
}

/// The servers of all datacenters.
pub(crate) struct Wan {
    settings: Settings,
    /// Whether others can join: a port for it is open.
    open: bool,
    links: Links,
    clock: Clock,
    disk: Disk,
    folder: PathBuf,
    shutdown: Shutdown,
    state: Mutex<State>,
    /// There is somebody to speak with, or something to keep.
    news: Notify,
    gave_up: AtomicBool,
}

struct State {
    table: Table,
    peers: HashMap<String, Peer>,
    here: Vivaldi,
    unwritten: bool,
}

/// The way to another server.
struct Peer {
    link: Arc<Link>,
    /// Which of its addresses that is.
    place: usize,
    /// Where it was found, if not at one of these: the other side of a translation of addresses.
    found_at: Option<SocketAddr>,
    speaking: bool,
    /// Whether it is to be told all that is known.
    tell_all: bool,
    failures: u32,
    next: Instant,
    /// Why it did not answer last.
    reason: String,
    /// How long the last calls took.
    trips: VecDeque<Duration>,
    coordinate: Option<Coordinate>,
}

impl Wan {
    /// The servers that were known before, and this one.
    pub(crate) fn new(
        settings: &crate::Settings,
        folder: PathBuf,
        links: Links,
        shutdown: Shutdown,
    ) -> Arc<Self> {
        let wan = settings.wan.clone();
        let now_ms = settings.clock.now_ms();
        let mut member = leases::own_member(settings);
        member.tags.remove("wan_join_port");
        let own = WanServer {
            node: settings.node_name.clone(),
            datacenter: settings.datacenter.clone(),
            id: settings.node_id.clone(),
            links: wan.addresses.iter().map(|ip| SocketAddr::new(*ip, settings.server.port())).collect(),
            join_port: settings.serf_wan.map_or(0, |address| address.port()),
            tags: member.tags,
            incarnation: now_ms,
            left_ms: None,
            seen_ms: now_ms,
        };
        let forget_after_ms = u64::try_from(wan.forget_after.as_millis()).unwrap_or(u64::MAX);
        let mut table = Table::new(own, forget_after_ms);
        let open = settings.serf_wan.is_some();
        if open {
            table.restore(file::read(&folder), now_ms);
        }
        let mut state = State { table, peers: HashMap::new(), here: Vivaldi::default(), unwritten: false };
        state.follow_table(&links);
        Arc::new(Self {
            settings: wan,
            open,
            links,
            clock: settings.clock.clone(),
            disk: settings.disk.clone(),
            folder,
            shutdown,
            state: Mutex::new(state),
            news: Notify::new(),
            gave_up: AtomicBool::new(false),
        })
    }

    /// Speaks with the others and joins the configured ones, until shutdown.
    ///
    /// `own_cluster` tells the links of this datacenter's other servers, which find each other in their own way.
    pub(crate) fn start(
        self: &Arc<Self>,
        own_cluster: impl Fn() -> Vec<SocketAddr> + Send + 'static,
    ) -> Vec<JoinHandle<()>> {
        if !self.open {
            return Vec::new();
        }
        vec![
            tokio::spawn(self.clone().talk()),
            tokio::spawn(self.clone().keep_joining()),
            tokio::spawn(self.clone().keep_together(own_cluster)),
        ]
    }

    /// Whether anybody of another datacenter is known.
    pub(crate) fn has_others(&self) -> bool {
        !self.state().table.others().is_empty()
    }

    /// Whether the attempts to join were used up, which ends the program.
    pub(crate) fn gave_up(&self) -> bool {
        self.gave_up.load(Ordering::Relaxed)
    }

    /// All servers as `members -wan` lists them; none when this server's port for them is closed.
    pub(crate) fn members(&self) -> Vec<Member> {
        if !self.open {
            return Vec::new();
        }
        let state = self.state();
        let others = state.table.others().values().filter(|known| Table::is_listed(known));
        let others = others.map(|known| {
            let status = match known.standing {
                Standing::Alive => status::ALIVE,
                Standing::Heard | Standing::Failed => status::FAILED,
                Standing::Left => status::LEFT,
            };
            member(&known.server, status)
        });
        let own = state.table.own();
        let status = if own.left_ms.is_some() { status::LEFT } else { status::ALIVE };
        let mut members: Vec<_> = others.chain([member(own, status)]).collect();
        members.sort_by(|one, other| one.name.cmp(&other.name));
        members
    }

    /// All datacenters: the own one, then the others by distance.
    pub(crate) fn datacenters(&self) -> Vec<String> {
        let state = self.state();
        let own = &state.table.own().datacenter;
        let mut far: BTreeMap<&str, Option<Duration>> = BTreeMap::new();
        for (name, known) in state.table.others() {
            if known.standing != Standing::Left && known.server.datacenter != *own {
                let trip = state.peers.get(name).and_then(Peer::trip);
                let nearest = far.entry(&known.server.datacenter).or_default();
                *nearest = [*nearest, trip].into_iter().flatten().min();
            }
        }
        let mut sorted: Vec<_> = far.into_iter().collect();
        let steps = |trip: Duration| trip.as_millis() / SAME_PLACE.as_millis();
        sorted.sort_by_key(|(name, trip)| (trip.map_or(u128::MAX, steps), *name));
        [own.clone()].into_iter().chain(sorted.into_iter().map(|(name, _)| name.to_owned())).collect()
    }

    /// Whether this is another datacenter that somebody here has heard of.
    pub(crate) fn knows(&self, datacenter: &str) -> bool {
        let state = self.state();
        if state.table.own().datacenter == datacenter {
            return false;
        }
        let mut others = state.table.others().values();
        others.any(|known| known.standing != Standing::Left && known.server.datacenter == datacenter)
    }

    /// Where the servers of each datacenter are, by datacenter and node.
    pub(crate) fn coordinates(&self) -> BTreeMap<String, BTreeMap<String, Coordinate>> {
        let state = self.state();
        let mut all: BTreeMap<String, BTreeMap<String, Coordinate>> = BTreeMap::new();
        let own = state.table.own();
        let here = state.here.coordinate().clone();
        all.entry(own.datacenter.clone()).or_default().insert(own.node.clone(), here);
        for (name, known) in state.table.others() {
            let coordinate = state.peers.get(name).and_then(|peer| peer.coordinate.clone());
            if let Some(coordinate) = coordinate.filter(|_| known.standing == Standing::Alive) {
                all.entry(known.server.datacenter.clone())
                    .or_default()
                    .insert(known.server.node.clone(), coordinate);
            }
        }
        all
    }

    /// Says in the log what changed, and lets the table be kept.
    fn changed(&self, changes: &[Change], news: bool) {
        for change in changes {
            let (event, name) = match change {
                Change::Joined(name) => ("EventMemberJoin", name),
                Change::Failed(name) => ("EventMemberFailed", name),
                Change::Left(name) => ("EventMemberLeave", name),
                Change::Reaped(name) => ("EventMemberReap", name),
            };
            let mut state = self.state();
            let shown = state.table.others().get(name).and_then(|known| known.server.links.first());
            let address = shown.map(|link| link.ip().to_string()).unwrap_or_default();
            let reason = state.peers.get_mut(name).filter(|_| matches!(change, Change::Failed(_)));
            match reason.map(|peer| peer.reason.clone()) {
                Some(reason) => {
                    tracing::warn!(target: "agent.server.serf.wan", error = reason, "serf: {event}: {name} {address}");
                }
                None => tracing::info!(target: "agent.server.serf.wan", "serf: {event}: {name} {address}"),
            }
        }
        if news || !changes.is_empty() {
            let mut state = self.state();
            state.unwritten = true;
            state.follow_table(&self.links);
            drop(state);
            self.news.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding the servers of other datacenters")
    }
}

impl State {
    /// Makes ways to servers that have none, or have moved, and forgets those to servers that are gone.
    fn follow_table(&mut self, links: &Links) {
        let others = self.table.others();
        self.peers.retain(|name, _| others.get(name).is_some_and(|known| known.standing != Standing::Left));
        for (name, known) in others.iter().filter(|(_, known)| known.standing != Standing::Left) {
            let peer = self.peers.get_mut(name);
            let places = places(known, peer.as_ref().and_then(|peer| peer.found_at));
            let Some(first) = places.first() else { continue };
            match peer {
                Some(peer) if places.contains(&peer.link.address()) => {}
                Some(peer) => {
                    (peer.link, peer.place) = (links.to(*first), 0);
                    (peer.failures, peer.next) = (0, Instant::now());
                }
                None => {
                    self.peers.insert(name.clone(), Peer::new(links.to(*first)));
                }
            }
        }
    }
}

impl Peer {
    /// How far away it is: the quickest of the last calls, for the others say how busy somebody was.
    fn trip(&self) -> Option<Duration> {
        self.trips.iter().min().copied()
    }

    /// Learns how long a call took.
    fn took(&mut self, trip: Duration) {
        if self.trips.len() == TRIPS {
            self.trips.pop_front();
        }
        self.trips.push_back(trip);
    }

    fn new(link: Arc<Link>) -> Self {
        Self {
            link,
            place: 0,
            found_at: None,
            speaking: false,
            tell_all: false,
            failures: 0,
            next: Instant::now(),
            reason: String::new(),
            trips: VecDeque::new(),
            coordinate: None,
        }
    }
}

/// All addresses of a server, the one to be tried first at the front.
fn places(known: &table::Known, found_at: Option<SocketAddr>) -> Vec<SocketAddr> {
    let mut places = known.server.links.clone();
    places.extend(found_at.filter(|at| !known.server.links.contains(at)));
    places
}

fn member(server: &WanServer, status: u8) -> Member {
    Member {
        name: server.name(),
        addr: server.links.first().map(|link| link.ip().to_string()).unwrap_or_default(),
        port: server.join_port,
        ..leases::member(server.tags.clone(), status)
    }
}
