//! Where to go: the question an agent asks on the ports that used to be gossip's.
//!
//! Configuration names a registry by its address alone, or with port 8301 or 8302. A connection there gets one line of
//! JSON, [`Directions`], and is closed: people's `retry_join` lines, firewalls and port settings stay as they are. An
//! agent answers too, with where its registry is; one that knows none yet closes without a word.

use std::{io, net::SocketAddr, pin::pin, time::Duration};

use daemon::Shutdown;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use crate::{Accept, Network};

/// The answer to a join: `{"datacenter":"dc1","server":"10.0.0.1:8300","cluster":"…","version":1}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directions {
    /// The registry's datacenter.
    pub datacenter: String,
    /// Where its link listens.
    pub server: SocketAddr,
    /// The id of its cluster: which history it belongs to. Empty from an agent, which does not know.
    pub cluster: String,
    /// The newest version of the internal calls it speaks.
    pub version: u32,
}

/// Asking and answering each take no longer than this.
const LIMIT: Duration = Duration::from_secs(3);
/// An answer is one line; anything longer comes from something else.
const LINE_BYTES_MAX: u64 = 4096;

/// Asks the registry or agent at `address` (`10.0.0.1:8301`) where the registry's link is.
///
/// Errors when nobody listens there, something else does, or an agent that knows no registry yet; try again later.
pub async fn ask(network: &dyn Network, address: SocketAddr) -> io::Result<Directions> {
    let asked = async {
        let stream = network.connect(address).await?;
        let mut line = Vec::new();
        stream.take(LINE_BYTES_MAX).read_to_end(&mut line).await?;
        if line.is_empty() {
            let text = format!("what listens at {address} knows no registry yet");
            return Err(io::Error::new(io::ErrorKind::NotConnected, text));
        }
        serde_json::from_slice(&line).map_err(|_| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("what listens at {address} is no ryo registry"),
            )
        })
    };
    timeout(LIMIT, asked).await?
}

/// Tells everyone who connects to `listener` where to go, if `directions` knows, until shutdown.
pub async fn answer(listener: impl Accept, directions: impl Fn() -> Option<Directions>, shutdown: Shutdown) {
    let mut end = pin!(shutdown.requested());
    loop {
        let accepted = tokio::select! {
            () = &mut end => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((mut stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let line = directions().map_or_else(Vec::new, |directions| {
            serde_json::to_vec(&directions).expect("directions are plain data")
        });
        // A line fits the socket's buffer, so that a peer which does not read holds up nobody.
        let _ = timeout(LIMIT, async {
            stream.write_all(&line).await?;
            stream.shutdown().await
        })
        .await;
    }
}
