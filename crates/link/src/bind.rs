//! Taking an address that may not be there yet.

use std::{io, net::SocketAddr, time::Duration};

use daemon::Shutdown;
use tokio::time::sleep;

use crate::{Listener, Network};

/// How often an address that is not there yet is looked for.
const PAUSE: Duration = Duration::from_millis(500);

/// Binds an address. While this machine does not have it, waits and tries again, and says so once: interfaces may come up
/// after the program.
///
/// Errors when it is taken or forbidden, or when the end is asked for first.
pub async fn bind(network: &dyn Network, address: SocketAddr, shutdown: &Shutdown) -> io::Result<Listener> {
    let mut waiting = false;
    loop {
        match network.bind(address).await {
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                if !std::mem::replace(&mut waiting, true) {
                    tracing::warn!(target: "agent", %address, "this machine does not have the address yet: waiting");
                }
            }
            bound => {
                if waiting && bound.is_ok() {
                    tracing::info!(target: "agent", %address, "the address is there now");
                }
                return bound;
            }
        }
        tokio::select! {
            () = sleep(PAUSE) => {}
            () = shutdown.requested() => {
                return Err(io::Error::new(io::ErrorKind::Interrupted, "stopped waiting for the address"));
            }
        }
    }
}
