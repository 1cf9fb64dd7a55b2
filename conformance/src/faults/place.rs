//! Where the nodes of a run are.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use tempfile::TempDir;

use super::{apart, network::Network, node::Node};

/// The folder of a run, and its network where it has one of its own.
#[derive(Debug)]
pub(super) struct Place {
    folder: PathBuf,
    pub(super) network: Option<Network>,
    /// The middle of loopback addresses, for runs without a network.
    loopback: (u8, u8),
    _made: Option<TempDir>,
}

impl Place {
    /// A place with hosts whose addresses end in these numbers.
    pub(super) fn new(hosts: impl IntoIterator<Item = u8>) -> anyhow::Result<Self> {
        let loopback = (rand::random_range(1..=254), rand::random_range(0..=255));
        if let Some(folder) = apart::place()? {
            let network = Network::new(hosts).context("cannot make the hosts")?;
            return Ok(Self { folder, network: Some(network), loopback, _made: None });
        }
        let made = tempfile::Builder::new().prefix("ryo-faults-").tempdir()?;
        Ok(Self { folder: made.path().to_owned(), network: None, loopback, _made: Some(made) })
    }

    /// A node that is not started yet.
    pub(super) fn node(&self, bin: &Path, name: String, host: u8) -> Node {
        let (x, y) = self.loopback;
        let (address, host) = match self.network {
            Some(_) => (Network::address(host), Some(host)),
            None => (Ipv4Addr::new(127, x, y, host).into(), None),
        };
        let folder = self.folder.join(&name);
        Node { name, bin: bin.to_owned(), address, host, folder, process: None, stopped: false }
    }
}
