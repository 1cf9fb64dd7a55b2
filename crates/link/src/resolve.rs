//! Where an address leads that may hold a name.

use std::{io, net::SocketAddr};

use tokio::net::lookup_host;

/// The first address of `10.0.0.1:8300`, `[fd10::1]:8300` or `registry.lan:8300`, by the system's resolver where it holds a name.
///
/// Errors when the name has no address, or nobody answers for it: try again later.
pub async fn resolve(address: &str) -> io::Result<SocketAddr> {
    if let Ok(address) = address.parse() {
        return Ok(address);
    }
    let nothing = || io::Error::new(io::ErrorKind::NotFound, format!("{address} has no address"));
    lookup_host(address).await?.next().ok_or_else(nothing)
}
