//! The table of leases: who holds which name, and when something is due for it. No clock, no waiting.

use std::collections::BTreeMap;

use link::calls::Lease;
use tokio::time::Instant;

/// How a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Alive,
    Failed,
    Left,
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
}

/// The rows, by name in lower case.
#[derive(Default)]
pub(super) struct Table(BTreeMap<String, Row>);

impl Table {
    /// A sign of life: the lease ends at `end` now. Tells whether the node is to be written anew; errors when a younger
    /// agent has the name.
    pub(super) fn keep(&mut self, lease: &Lease, end: Instant) -> Result<bool, String> {
        let name = key(&lease.node);
        let fresh = match self.0.get(&name) {
            Some(row) if row.due.standing() == Standing::Left && row.lease.id != lease.id => true,
            Some(row) if row.lease.id != lease.id && row.lease.boot_ms > lease.boot_ms => {
                let (node, id, address) = (&lease.node, &row.lease.id, &row.lease.address);
                return Err(format!(
                    "node name '{node}' was taken over by a younger agent (id {id} at {address}); stop this one or rename it"
                ));
            }
            // A row from before a restart does not know when its agent started.
            Some(row) if row.lease.boot_ms == 0 => !same_node(&row.lease, lease),
            Some(row) => row.due.standing() != Standing::Alive || row.lease != *lease,
            None => true,
        };
        self.0.insert(name, Row { lease: lease.clone(), due: Due::Silent(end) });
        Ok(fresh)
    }

    /// A node known from the catalog; a row that is there already stays.
    pub(super) fn adopt(&mut self, lease: Lease, due: Due) {
        let row = self.0.entry(key(&lease.node)).or_insert_with(|| Row { lease, due });
        if due.standing() == Standing::Alive && row.due.standing() != Standing::Alive {
            // The catalog shows it alive, so a sign of life must come or its silence be written again.
            row.due = due;
        }
    }

    /// The holder with this id says goodbye: the row is shown as left until `until`. False when another one holds it.
    pub(super) fn leave(&mut self, node: &str, id: &str, until: Instant) -> bool {
        let Some(row) = self.0.get_mut(&key(node)).filter(|row| row.lease.id == id) else { return false };
        row.due = Due::Unlisted(until);
        true
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
    pub(super) fn fell_silent(&mut self, node: &str, now: Instant, reap_after: std::time::Duration) -> bool {
        let Some(row) = self.0.get_mut(&key(node)) else { return true };
        let over = matches!(row.due, Due::Silent(end) if end <= now);
        if over {
            row.due = Due::Forgotten(now + reap_after);
        }
        over
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

/// Whether two leases say the same of the node.
fn same_node(a: &Lease, b: &Lease) -> bool {
    a.id == b.id && a.address == b.address && a.tagged_addresses == b.tagged_addresses && a.meta == b.meta
}
