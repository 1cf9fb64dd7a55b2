//! The servers of all datacenters as one server knows them. Pure: times come from the caller, in milliseconds since 1970.
//!
//! Each server says of itself where it is and counts up its `incarnation` whenever that changes; of two sayings the higher
//! one holds, and at the same number a goodbye. Who is alive each server finds out by itself.

use std::collections::BTreeMap;

use link::calls::WanServer;

/// How long a goodbye is remembered, so that nobody who has not heard of it brings the server back.
const LEFT_KEPT_MS: u64 = 24 * 3600 * 1000;
/// More servers than any federation has; a peer that makes up names ends here.
const SERVERS_MAX: usize = 1024;

/// What this server knows of another one's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Others told of it; nobody here has spoken with it yet.
    Heard,
    /// It answers.
    Alive,
    /// It does not.
    Failed,
    /// It said goodbye, or somebody did in its place.
    Left,
}

/// Another server.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) server: WanServer,
    pub(super) standing: Standing,
    /// Since when.
    pub(super) since_ms: u64,
}

/// Something to say in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Joined(String),
    Failed(String),
    Left(String),
    Reaped(String),
}

/// All of them, this server too.
#[derive(Debug)]
pub(super) struct Table {
    own: WanServer,
    others: BTreeMap<String, Known>,
    /// After how long a server that does not answer is forgotten.
    forget_after_ms: u64,
}

impl Table {
    /// A table of this server alone.
    pub(super) fn new(own: WanServer, forget_after_ms: u64) -> Self {
        Self { own, others: BTreeMap::new(), forget_after_ms }
    }

    /// This server, as it tells others of itself.
    pub(super) fn own(&self) -> &WanServer {
        &self.own
    }

    /// The others by name, `n2.dc2`.
    pub(super) fn others(&self) -> &BTreeMap<String, Known> {
        &self.others
    }

    /// All that is known, to be told to others.
    pub(super) fn all(&self) -> Vec<WanServer> {
        let others = self.others.values().map(|known| known.server.clone());
        others.chain([self.own.clone()]).collect()
    }

    /// A number that two tables share when they know the same.
    pub(super) fn digest(&self) -> u32 {
        let own = self.own.name();
        let mut all: Vec<_> = self.others.iter().map(|(name, known)| (name, &known.server)).collect();
        all.push((&own, &self.own));
        all.sort_by_key(|(name, _)| *name);
        let mut hash = crc32fast::Hasher::new();
        for (name, server) in all {
            hash.update(format!("{name} {} {}\n", server.incarnation, server.left_ms.is_some()).as_bytes());
        }
        hash.finalize()
    }

    /// Takes over what another server knows. Gives what changed, and whether anything worth keeping did.
    pub(super) fn merge(&mut self, servers: Vec<WanServer>, now_ms: u64) -> (Vec<Change>, bool) {
        let (mut changes, mut news) = (Vec::new(), false);
        for server in servers {
            let name = server.name();
            if name == self.own.name() {
                news |= self.answer_back(&server);
            } else if self.supersedes(&name, &server, now_ms) {
                news = true;
                changes.extend(self.take(name, server, now_ms));
            }
        }
        (changes, news)
    }

    /// Whether this saying of a server is newer than the one known.
    fn supersedes(&self, name: &str, server: &WanServer, now_ms: u64) -> bool {
        match self.others.get(name).map(|known| &known.server) {
            Some(known) if server.incarnation == known.incarnation => {
                server.left_ms.is_some() && known.left_ms.is_none()
            }
            Some(known) => server.incarnation > known.incarnation,
            // What is long gone is not worth beginning with.
            None => {
                self.others.len() < SERVERS_MAX
                    && server.left_ms.is_none_or(|left| left.saturating_add(LEFT_KEPT_MS) > now_ms)
                    && server.seen_ms.saturating_add(self.forget_after_ms) > now_ms
            }
        }
    }

    fn take(&mut self, name: String, server: WanServer, now_ms: u64) -> Option<Change> {
        let before = self.others.get(&name).map(|known| known.standing);
        let standing = match (server.left_ms, before) {
            (Some(_), _) => Standing::Left,
            (None, Some(Standing::Left) | None) => Standing::Heard,
            (None, Some(standing)) => standing,
        };
        let left = standing == Standing::Left && matches!(before, Some(Standing::Alive | Standing::Failed));
        self.others.insert(name.clone(), Known { server, standing, since_ms: now_ms });
        left.then_some(Change::Left(name))
    }

    /// Somebody says something else of this server than it does: an address of before, or a goodbye. Whether it has to be put right.
    fn answer_back(&mut self, said: &WanServer) -> bool {
        let same = WanServer { seen_ms: self.own.seen_ms, ..said.clone() } == self.own;
        if same || said.incarnation < self.own.incarnation {
            return false;
        }
        self.own.incarnation = said.incarnation + 1;
        true
    }

    /// This server leaves.
    pub(super) fn leave(&mut self, now_ms: u64) {
        self.own.incarnation += 1;
        self.own.left_ms = Some(now_ms);
    }

    /// A server answered.
    pub(super) fn alive(&mut self, name: &str, now_ms: u64) -> Option<Change> {
        let known = self.others.get_mut(name)?;
        known.server.seen_ms = known.server.seen_ms.max(now_ms);
        if matches!(known.standing, Standing::Alive | Standing::Left) {
            return None;
        }
        (known.standing, known.since_ms) = (Standing::Alive, now_ms);
        Some(Change::Joined(name.to_owned()))
    }

    /// A server does not answer.
    pub(super) fn failed(&mut self, name: &str, now_ms: u64) -> Option<Change> {
        let known = self.others.get_mut(name)?;
        if matches!(known.standing, Standing::Failed | Standing::Left) {
            return None;
        }
        (known.standing, known.since_ms) = (Standing::Failed, now_ms);
        Some(Change::Failed(name.to_owned()))
    }

    /// Says goodbye in the place of a server that is gone; `None` when nobody has that name. One that is alive will answer back.
    pub(super) fn force_leave(&mut self, name: &str, now_ms: u64) -> Option<Vec<Change>> {
        let known = self.others.get_mut(name)?;
        if known.standing == Standing::Left {
            return Some(Vec::new());
        }
        known.server.left_ms = Some(now_ms);
        (known.standing, known.since_ms) = (Standing::Left, now_ms);
        Some(vec![Change::Left(name.to_owned())])
    }

    /// Forgets a server that has left.
    pub(super) fn prune(&mut self, name: &str) -> Option<Change> {
        self.others.get_mut(name).map(|known| {
            known.since_ms = 0;
            Change::Reaped(name.to_owned())
        })
    }

    /// Whether a server is listed: one that was pruned is known only so that nobody brings it back.
    pub(super) fn is_listed(known: &Known) -> bool {
        known.standing != Standing::Left || known.since_ms > 0
    }

    /// Forgets who has been gone for too long.
    pub(super) fn reap(&mut self, now_ms: u64) -> Vec<Change> {
        let (forget_after_ms, mut changes) = (self.forget_after_ms, Vec::new());
        self.others.retain(|name, known| {
            let stays = match known.standing {
                Standing::Alive | Standing::Heard => true,
                Standing::Failed => known.since_ms.saturating_add(forget_after_ms) > now_ms,
                Standing::Left => {
                    known.server.left_ms.unwrap_or(known.since_ms).saturating_add(LEFT_KEPT_MS) > now_ms
                }
            };
            if !stays && Self::is_listed(known) {
                changes.push(Change::Reaped(name.clone()));
            }
            stays
        });
        changes
    }

    /// Takes over what a restart found on the disk: nobody has been heard of yet, and nobody is late.
    pub(super) fn restore(&mut self, servers: Vec<WanServer>, now_ms: u64) {
        for server in servers {
            if server.name() == self.own.name() {
                self.own.incarnation = self.own.incarnation.max(server.incarnation + 1);
                continue;
            }
            let standing = if server.left_ms.is_some() { Standing::Left } else { Standing::Heard };
            let server = WanServer { seen_ms: now_ms, ..server };
            self.others.insert(server.name(), Known { server, standing, since_ms: now_ms });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600 * 1000;
    const NOW: u64 = 1_000 * HOUR;

    fn server(node: &str, dc: &str, incarnation: u64) -> WanServer {
        WanServer {
            node: node.into(),
            datacenter: dc.into(),
            id: format!("{node}-id"),
            incarnation,
            seen_ms: NOW,
            ..WanServer::default()
        }
    }

    fn table(node: &str, dc: &str) -> Table {
        Table::new(server(node, dc, 1), 72 * HOUR)
    }

    fn names(table: &Table) -> Vec<&str> {
        table.others().keys().map(String::as_str).collect()
    }

    /// Lets two tables tell each other all they know.
    fn exchange(one: &mut Table, other: &mut Table) {
        other.merge(one.all(), NOW);
        one.merge(other.all(), NOW);
        assert_eq!(one.digest(), other.digest());
    }

    #[test]
    fn who_joins_one_knows_all() {
        let (mut a, mut b, mut c) = (table("a", "x"), table("b", "y"), table("c", "z"));
        exchange(&mut a, &mut b);
        exchange(&mut b, &mut c);
        assert_eq!(names(&c), ["a.x", "b.y"]);
        assert_ne!(a.digest(), c.digest());
        exchange(&mut a, &mut b);
        assert_eq!(names(&a), ["b.y", "c.z"]);
        assert_eq!(a.digest(), c.digest());
        assert_eq!(c.others()["a.x"].standing, Standing::Heard);
        assert_eq!(c.alive("a.x", NOW), Some(Change::Joined("a.x".into())));
        assert_eq!(c.alive("a.x", NOW), None);
    }

    #[test]
    fn the_newer_saying_of_a_server_holds() {
        let mut a = table("a", "x");
        a.merge(vec![server("b", "y", 5)], NOW);
        a.merge(vec![WanServer { id: "old".into(), ..server("b", "y", 4) }], NOW);
        assert_eq!(a.others()["b.y"].server.id, "b-id");
        a.merge(vec![WanServer { id: "new".into(), ..server("b", "y", 6) }], NOW);
        assert_eq!(a.others()["b.y"].server.id, "new");
    }

    #[test]
    fn a_server_that_is_said_to_have_left_answers_back() {
        let (mut a, mut b, mut c) = (table("a", "x"), table("b", "y"), table("c", "z"));
        exchange(&mut a, &mut b);
        exchange(&mut b, &mut c);
        a.alive("b.y", NOW);
        assert_eq!(a.force_leave("b.y", NOW), Some(vec![Change::Left("b.y".into())]));
        assert_eq!(a.force_leave("nobody.y", NOW), None);
        c.merge(a.all(), NOW);
        assert_eq!(c.others()["b.y"].standing, Standing::Left);
        exchange(&mut a, &mut b);
        assert_eq!(a.others()["b.y"].standing, Standing::Heard);
        assert_eq!(a.alive("b.y", NOW), Some(Change::Joined("b.y".into())));
    }

    #[test]
    fn the_rebuilt_server_of_a_name_takes_its_place_even_with_a_slow_clock() {
        let (mut a, mut b) = (table("a", "x"), table("b", "y"));
        a.merge(vec![WanServer { id: "of before".into(), ..server("b", "y", 900) }], NOW);
        exchange(&mut a, &mut b);
        exchange(&mut a, &mut b);
        assert_eq!(a.others()["b.y"].server.id, "b-id");
    }

    #[test]
    fn the_gone_are_forgotten_in_time_and_do_not_come_back() {
        let (mut a, mut c) = (table("a", "x"), table("c", "z"));
        a.merge(vec![server("b", "y", 1), server("l", "y", 1)], NOW);
        exchange(&mut a, &mut c);
        a.failed("b.y", NOW);
        a.force_leave("l.y", NOW);
        assert_eq!(a.reap(NOW + 23 * HOUR), []);
        assert_eq!(a.reap(NOW + 25 * HOUR), [Change::Reaped("l.y".into())]);
        assert_eq!(a.reap(NOW + 73 * HOUR), [Change::Reaped("b.y".into())]);
        // Another server has not noticed yet.
        a.merge(c.all(), NOW + 73 * HOUR);
        assert_eq!(names(&a), ["c.z"]);
    }

    #[test]
    fn nineteen_years_are_not_too_long() {
        let years = 170_880 * HOUR;
        let mut a = Table::new(server("a", "x", 1), years);
        a.merge(vec![server("b", "y", 1)], NOW);
        a.failed("b.y", NOW);
        assert_eq!(a.reap(NOW + years - 1), []);
        assert_eq!(a.reap(NOW + years).len(), 1);
        let mut forever = Table::new(server("a", "x", 1), u64::MAX);
        forever.merge(vec![server("b", "y", 1)], NOW);
        forever.failed("b.y", NOW);
        assert_eq!(forever.reap(u64::MAX - 1), []);
    }

    #[test]
    fn one_that_is_away_for_months_is_worth_one_line_each_way() {
        let mut a = Table::new(server("a", "x", 1), 170_880 * HOUR);
        a.merge(vec![server("b", "y", 1)], NOW);
        a.alive("b.y", NOW);
        let (mut told, mut now) = (Vec::new(), NOW);
        for _ in 0..6 * 30 * 24 {
            now += HOUR;
            told.extend(a.failed("b.y", now));
            // Another server still tells of it.
            told.extend(a.merge(vec![server("b", "y", 1)], now).0);
            told.extend(a.reap(now));
        }
        told.extend(a.alive("b.y", now));
        assert_eq!(told, [Change::Failed("b.y".into()), Change::Joined("b.y".into())]);
    }

    #[test]
    fn a_restart_finds_them_again_and_none_is_late() {
        let mut a = table("a", "x");
        let of_before = server("a", "x", 9);
        a.restore(vec![server("b", "y", 1), of_before], NOW + 9000 * HOUR);
        assert_eq!(a.own().incarnation, 10);
        assert_eq!(a.others()["b.y"].standing, Standing::Heard);
        a.failed("b.y", NOW + 9000 * HOUR);
        assert_eq!(a.reap(NOW + 9001 * HOUR), []);
    }

    #[test]
    fn made_up_names_take_no_memory_without_end() {
        let mut a = table("a", "x");
        a.merge((0..3 * SERVERS_MAX).map(|n| server(&n.to_string(), "y", 1)).collect(), NOW);
        assert_eq!(a.others().len(), SERVERS_MAX);
    }

    #[test]
    fn a_pruned_server_is_not_listed_and_not_brought_back() {
        let (mut a, mut c) = (table("a", "x"), table("c", "z"));
        a.merge(vec![server("b", "y", 1)], NOW);
        exchange(&mut a, &mut c);
        a.force_leave("b.y", NOW);
        a.prune("b.y");
        a.merge(vec![server("b", "y", 1)], NOW);
        assert!(!Table::is_listed(&a.others()["b.y"]));
        c.merge(a.all(), NOW);
        assert_eq!(c.others()["b.y"].standing, Standing::Left);
    }
}
