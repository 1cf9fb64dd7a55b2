//! A caller with several registries to choose from.

use std::{
    net::SocketAddr,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::{Request, Response};
use http_api::Body;

use crate::{Link, LinkError, Network, Tcp, Unanswered};

/// Links to all known servers; the one that answered last is asked first.
pub struct Servers {
    network: Arc<dyn Network>,
    links: RwLock<Arc<[Arc<Link>]>>,
    preferred: AtomicUsize,
}

impl Default for Servers {
    fn default() -> Self {
        Self::over(Arc::new(Tcp))
    }
}

impl Servers {
    /// None yet; links to them go over this network.
    pub fn over(network: Arc<dyn Network>) -> Self {
        Self { network, links: RwLock::default(), preferred: AtomicUsize::default() }
    }

    /// Makes these the known servers; links to those known before are kept.
    pub fn set(&self, addresses: &[SocketAddr]) {
        let mut links = self.links.write().unwrap_or_else(PoisonError::into_inner);
        let known = |address: &SocketAddr| links.iter().find(|link| link.address() == *address).cloned();
        *links = addresses
            .iter()
            .map(|address| {
                known(address).unwrap_or_else(|| Arc::new(Link::over(self.network.clone(), *address)))
            })
            .collect();
    }

    /// The known servers.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.links().iter().map(|link| link.address()).collect()
    }

    /// Sends the request to the first server that takes a connection.
    ///
    /// `None` when no server is known. A request that may have been sent is not repeated: the caller decides, for only it
    /// knows whether twice is harmless.
    pub async fn call(&self, request: Request<Body>) -> Option<Result<Response<Body>, LinkError>> {
        Some(self.try_call(request).await?.map_err(|unanswered| unanswered.error))
    }

    /// The same; a request that no server got comes back.
    pub async fn try_call(&self, request: Request<Body>) -> Option<Result<Response<Body>, Unanswered>> {
        let links = self.links();
        let first = self.preferred.load(Ordering::Relaxed);
        let mut last = None;
        for turn in 0..links.len() {
            let number = (first + turn) % links.len();
            match links[number].connected().await {
                Ok(sender) => {
                    self.preferred.store(number, Ordering::Relaxed);
                    return Some(links[number].send(sender, request).await);
                }
                Err(error) => last = Some(error),
            }
        }
        Some(Err(Unanswered { error: last?, unsent: Some(Box::new(request)) }))
    }

    /// Lets another server be asked first from now on; for a server that answers but cannot serve.
    pub fn prefer_next(&self) {
        self.preferred.fetch_add(1, Ordering::Relaxed);
    }

    /// The server that is asked first; `None` when none is known.
    pub fn preferred(&self) -> Option<Arc<Link>> {
        let links = self.links();
        let number = self.preferred.load(Ordering::Relaxed).checked_rem(links.len())?;
        Some(links[number].clone())
    }

    fn links(&self) -> Arc<[Arc<Link>]> {
        self.links.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
