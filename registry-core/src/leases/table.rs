//! The table of leases: who holds which name, and when something is due for it. No clock, no waiting.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

use link::calls::{Departed, KeysSeen, Lease, status};
use tokio::time::Instant;

/// How a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Alive,
    Failed,
    Left,
}

impl Standing {
    /// The number that clients know.
    pub(super) fn status(self) -> u8 {
        match self {
            Self::Alive => status::ALIVE,
            Self::Failed => status::FAILED,
            Self::Left => status::LEFT,
        }
    }
}

/// What is due for a node, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Its lease ends.
    Silent(Instant),
    /// It has been silent for so long that it is forgotten.
    Forgotten(Instant),
    /// It has left and is no longer shown.
    Unlisted(Instant),
}

impl Due {
    fn at(self) -> Instant {
        let (Self::Silent(at) | Self::Forgotten(at) | Self::Unlisted(at)) = self;
        at
    }

    fn standing(self) -> Standing {
        match self {
            Self::Silent(_) => Standing::Alive,
            Self::Forgotten(_) => Standing::Failed,
            Self::Unlisted(_) => Standing::Left,
        }
    }
}

struct Row {
    lease: Lease,
    due: Due,
    /// Which keys it has said to have.
    keys: Option<KeysSeen>,
}

impl Row {
    /// Whether the agent itself said goodbye: nothing of that start of it may follow. One that was forced out may come back.
    fn said_goodbye(&self) -> bool {
        self.due.standing() == Standing::Left && self.lease.boot_ms != 0
    }
}

/// What a sign of life tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// Nothing new.
    Known,
    /// A node that was not there, or was started anew.
    Joined,
    /// The node says something else of itself than before.
    Changed,
}

/// The rows, by name in lower case.
#[derive(Default)]
pub(super) struct Table(BTreeMap<String, Row>);

impl Table {
    /// A sign of life: the lease ends at `end` now. Errors when a younger agent has the name.
    pub(super) fn keep(&mut self, lease: &Lease, end: Instant) -> Result<Sign, String> {
        let name = key(&lease.node);
        let sign = match self.0.get(&name) {
            // A sign that its own agent's goodbye has overtaken.
            Some(row) if row.said_goodbye() && !is_other(&row.lease, lease) => {
                return Err(format!("node '{}' has left", lease.node));
            }
            Some(row) if row.due.standing() == Standing::Left && row.lease.id != lease.id => Sign::Joined,
            Some(row)
                if row.due.standing() == Standing::Alive
                    && row.lease.id != lease.id
                    && row.lease.boot_ms > lease.boot_ms =>
            {
                let (node, id, address) = (&lease.node, &row.lease.id, &row.lease.address);
                return Err(format!(
                    "node name '{node}' was taken over by a younger agent (id {id} at {address}); stop this one or rename it"
                ));
            }
            // A row from before a restart does not know when its agent started.
            Some(row)
                if row.lease.boot_ms == 0
                    && row.due.standing() == Standing::Alive
                    && same_node(&row.lease, lease) =>
            {
                Sign::Known
            }
            Some(row) if row.due.standing() != Standing::Alive || is_other(&row.lease, lease) => Sign::Joined,
            Some(row) if row.lease != *lease => Sign::Changed,
            Some(_) => Sign::Known,
            None => Sign::Joined,
        };
        let keys = self.0.remove(&name).and_then(|row| row.keys);
        self.0.insert(name, Row { lease: lease.clone(), due: Due::Silent(end), keys });
        Ok(sign)
    }

    /// A node known from the catalog; a row that is there already stays.
    pub(super) fn adopt(&mut self, lease: Lease, due: Due) {
        let row = self.0.entry(key(&lease.node)).or_insert_with(|| Row { lease, due, keys: None });
        if due.standing() == Standing::Alive && row.due.standing() != Standing::Alive {
            // The catalog shows it alive, so a sign of life must come or its silence be written again.
            row.due = due;
        }
    }

    /// The holder says goodbye: the row is shown as left until `until`. False when another one holds it.
    pub(super) fn leave(&mut self, lease: &Lease, until: Instant) -> bool {
        self.unlist(&lease.node, &lease.id, lease.boot_ms, until)
    }

    /// The holder with this id is forced out: shown as left like one that said goodbye, but when it starts to speak again it is back.
    pub(super) fn force_out(&mut self, node: &str, id: &str, until: Instant) {
        self.unlist(node, id, 0, until);
    }

    fn unlist(&mut self, node: &str, id: &str, boot_ms: u64, until: Instant) -> bool {
        let Some(row) = self.0.get_mut(&key(node)).filter(|row| row.lease.id == id) else { return false };
        row.due = Due::Unlisted(until);
        row.lease.boot_ms = boot_ms;
        true
    }

    /// Whether the last that was heard of a node is its agent's goodbye.
    pub(super) fn said_goodbye(&self, node: &str) -> bool {
        self.0.get(&key(node)).is_some_and(Row::said_goodbye)
    }

    /// The row of this holder, which has left the catalog, is shown no longer; nothing when another one holds the name.
    pub(super) fn prune(&mut self, node: &str, id: &str) {
        if self
            .0
            .get(&key(node))
            .is_some_and(|row| row.lease.id == id && row.due.standing() == Standing::Left)
        {
            self.0.remove(&key(node));
        }
    }

    /// The node of this holder, which has left, is still to be removed at `at`; nothing when another one holds the name.
    pub(super) fn forget_at(&mut self, node: &str, id: &str, at: Instant) {
        let left = |row: &&mut Row| row.lease.id == id && row.due.standing() == Standing::Left;
        if let Some(row) = self.0.get_mut(&key(node)).filter(left) {
            row.due = Due::Forgotten(at);
        }
    }

    /// How a node stands, and its id.
    pub(super) fn standing(&self, node: &str) -> Option<(Standing, String)> {
        self.0.get(&key(node)).map(|row| (row.due.standing(), row.lease.id.clone()))
    }

    /// It was written that the node is silent. False when a sign of life came meanwhile.
    pub(super) fn fell_silent(&mut self, node: &str, now: Instant, reap_after: Duration) -> bool {
        let Some(row) = self.0.get_mut(&key(node)) else { return true };
        let over = matches!(row.due, Due::Silent(end) if end <= now);
        if over {
            row.due = Due::Forgotten(now + reap_after);
        }
        over
    }

    /// No lease ends before this: until then nobody could have been heard.
    pub(super) fn spare_until(&mut self, at: Instant) {
        for row in self.0.values_mut() {
            if let Due::Silent(end) = &mut row.due {
                *end = (*end).max(at);
            }
        }
    }

    /// What could not be done is due again at `at`.
    pub(super) fn postpone(&mut self, node: &str, at: Instant) {
        if let Some(row) = self.0.get_mut(&key(node)) {
            row.due = match row.due {
                Due::Silent(due) => Due::Silent(due.max(at)),
                Due::Forgotten(due) => Due::Forgotten(due.max(at)),
                Due::Unlisted(due) => Due::Unlisted(due.max(at)),
            };
        }
    }

    /// The node is gone.
    pub(super) fn forget(&mut self, node: &str) {
        self.0.remove(&key(node));
    }

    /// Only those that have left are kept.
    pub(super) fn forget_living(&mut self) {
        self.0.retain(|_, row| row.due.standing() == Standing::Left);
    }

    /// Those that have left, for a server that may lead next; `None` when it knows them by this mark.
    pub(super) fn departed_unless(&self, known: u64, now: Instant) -> Option<Vec<Departed>> {
        let departed = |(row, until): (&Row, Instant)| {
            let listed = until.saturating_duration_since(now).as_millis();
            let listed_ms = u64::try_from(listed).unwrap_or(u64::MAX);
            Departed { lease: row.lease.clone(), listed_ms }
        };
        (self.departed_mark() != known).then(|| self.departed().map(departed).collect())
    }

    /// The same number for the same nodes that have left; 0 for none.
    pub(super) fn departed_mark(&self) -> u64 {
        let (mut hasher, mut mark) = (DefaultHasher::new(), 0);
        for (row, _) in self.departed() {
            (&row.lease.node, &row.lease.id).hash(&mut hasher);
            mark = hasher.finish().max(1);
        }
        mark
    }

    fn departed(&self) -> impl Iterator<Item = (&Row, Instant)> {
        self.0.values().filter_map(|row| match row.due {
            Due::Unlisted(until) => Some((row, until)),
            Due::Silent(_) | Due::Forgotten(_) => None,
        })
    }

    /// The leader has told who has left: so it is here, too.
    pub(super) fn learn_departed(&mut self, departed: Vec<Departed>, now: Instant) {
        self.0.retain(|_, row| row.due.standing() != Standing::Left);
        for Departed { lease, listed_ms } in departed {
            let due = Due::Unlisted(now.checked_add(Duration::from_millis(listed_ms)).unwrap_or(now));
            self.0.entry(key(&lease.node)).or_insert(Row { lease, due, keys: None });
        }
    }

    /// A node has said which keys it has.
    pub(super) fn has_keys(&mut self, node: &str, keys: KeysSeen) {
        if let Some(row) = self.0.get_mut(&key(node)) {
            row.keys = Some(keys);
        }
    }

    /// The nodes that are there, and which keys each has said to have.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&Lease, Option<&KeysSeen>)> {
        let alive = self.0.values().filter(|row| row.due.standing() == Standing::Alive);
        alive.map(|row| (&row.lease, row.keys.as_ref()))
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.0.values().map(|row| row.due.at()).min()
    }

    /// What is due by now.
    pub(super) fn due(&self, now: Instant) -> Vec<(String, Due)> {
        let rows = self.0.values().filter(|row| row.due.at() <= now);
        rows.map(|row| (row.lease.node.clone(), row.due)).collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Lease, Standing)> {
        self.0.values().map(|row| (&row.lease, row.due.standing()))
    }
}

fn key(node: &str) -> String {
    node.to_lowercase()
}

/// Whether two leases of a name are of two agents, or of two starts of one.
fn is_other(a: &Lease, b: &Lease) -> bool {
    a.id != b.id || a.boot_ms != b.boot_ms
}

/// Whether two leases say the same of the node.
fn same_node(a: &Lease, b: &Lease) -> bool {
    a.server.is_some() == b.server.is_some()
        && a.id == b.id
        && a.address == b.address
        && a.tagged_addresses == b.tagged_addresses
        && a.meta == b.meta
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_of_life_tells_what_is_new() {
        let (mut table, end) = (Table::default(), Instant::now());
        let mut lease = Lease { node: "web1".into(), id: "a".into(), boot_ms: 1, ..Lease::default() };
        assert_eq!(table.keep(&lease, end), Ok(Sign::Joined));
        assert_eq!(table.keep(&lease, end), Ok(Sign::Known));
        lease.meta.insert("rack".into(), "2".into());
        assert_eq!(table.keep(&lease, end), Ok(Sign::Changed));
        lease.boot_ms = 2;
        assert_eq!(table.keep(&lease, end), Ok(Sign::Joined));
        assert!(table.leave(&lease, end));
        assert_eq!(table.keep(&lease, end), Err("node 'web1' has left".to_owned()));
        lease.boot_ms = 3;
        assert_eq!(table.keep(&lease, end), Ok(Sign::Joined));
        table.force_out("web1", "a", end);
        assert_eq!(table.keep(&lease, end), Ok(Sign::Joined));
    }
}
