//! The connections to other servers: one to each, for all that is said between them but snapshots.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use link::{Link, Network};

/// The connections, by address; clones share them. One that nobody holds any more goes when another is asked for.
#[derive(Clone)]
pub(crate) struct Links {
    network: Arc<dyn Network>,
    known: Arc<Mutex<HashMap<SocketAddr, Arc<Link>>>>,
}

/// So many connections may stay that nobody holds.
const KEPT: usize = 64;

impl Links {
    /// Connections over this network.
    pub(crate) fn over(network: Arc<dyn Network>) -> Self {
        Self { network, known: Arc::default() }
    }

    /// The connection to this address.
    pub(crate) fn to(&self, address: SocketAddr) -> Arc<Link> {
        let mut links = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if links.len() > KEPT {
            links.retain(|_, link| Arc::strong_count(link) > 1);
        }
        links.entry(address).or_insert_with(|| Arc::new(self.own(address))).clone()
    }

    /// A connection that is shared with nobody.
    pub(crate) fn own(&self, address: SocketAddr) -> Link {
        Link::over(self.network.clone(), address)
    }
}
