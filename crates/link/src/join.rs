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
    task::JoinSet,
    time::timeout,
};

use crate::{
    Accept, KeyFault, Keyring, Network, Stream,
    keyed::{proved, refuse, shows_key},
    unproven::Unproven,
};

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
    /// The registry's id among the servers; 0 from an agent.
    #[serde(default)]
    pub id: u64,
    /// The node's name; empty from an agent.
    #[serde(default)]
    pub node: String,
}

/// Asking and answering each take no longer than this.
const LIMIT: Duration = Duration::from_secs(3);
/// An answer is one line; anything longer comes from something else.
const LINE_BYTES_MAX: u64 = 4096;

/// What one is told that asks without a key where one is required: `{"encrypt":true}`.
const KEY_WANTED: &[u8] = br#"{"encrypt":true}"#;

/// Asks the registry or agent at `address` (`10.0.0.1:8301`) where the registry's link is.
///
/// Errors when nobody listens there, something else does, or an agent that knows no registry yet: try again later; with a
/// [`KeyFault`] when the keys do not fit.
pub async fn ask(network: &dyn Network, address: SocketAddr) -> io::Result<Directions> {
    let asked = async {
        let mut stream = network.connect(address).await?;
        if network.keys().is_none() {
            // Nothing follows: who requires a key knows at once that there is none.
            stream.shutdown().await?;
        }
        let mut line = Vec::new();
        stream.take(LINE_BYTES_MAX).read_to_end(&mut line).await?;
        read(address, &line)
    };
    timeout(LIMIT, asked).await?
}

fn read(address: SocketAddr, line: &[u8]) -> io::Result<Directions> {
    if line.is_empty() {
        let text = format!("what listens at {address} knows no registry yet");
        return Err(io::Error::new(io::ErrorKind::NotConnected, text));
    }
    if line == KEY_WANTED {
        return Err(KeyFault::OursMissing.into());
    }
    serde_json::from_slice(line).map_err(|_| {
        let text = format!("what listens at {address} is no ryo registry");
        io::Error::new(io::ErrorKind::InvalidData, text)
    })
}

/// Tells everyone who connects to `listener`, and proves one of its keys, where to go, if `directions` knows, until shutdown.
pub async fn answer(listener: impl Accept, directions: impl Fn() -> Option<Directions>, shutdown: Shutdown) {
    let mut end = pin!(shutdown.requested());
    let keys = listener.keys().cloned();
    let (unproven, mut answering) = (Unproven::default(), JoinSet::new());
    loop {
        let accepted = tokio::select! {
            // Those who are being answered end with the set.
            () = &mut end => return,
            Some(_) = answering.join_next(), if !answering.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, peer)) = accepted else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let line = directions().map_or_else(Vec::new, |directions| {
            serde_json::to_vec(&directions).expect("directions are plain data")
        });
        let (unproven, keys) = (unproven.clone(), keys.clone());
        answering.spawn(async move {
            // Its end, its key or its hurry: the asker sees it, and the log hears of keys.
            let _ = unproven.settle(peer, tell(stream, keys.as_ref(), &line)).await;
        });
    }
}

/// Answers one connection. Errors with a [`KeyFault`] when the keys do not fit.
async fn tell(mut stream: Stream, keys: Option<&Keyring>, line: &[u8]) -> io::Result<()> {
    let Some(keys) = keys else {
        stream.write_all(line).await?;
        stream.shutdown().await?;
        // The asker has its answer; what it had to say itself tells whether it wanted a key.
        if shows_key(&mut stream).await != Some(true) {
            return Ok(());
        }
        refuse(&mut stream, &[]).await;
        return Err(KeyFault::OursMissing.into());
    };
    if shows_key(&mut stream).await != Some(true) {
        refuse(&mut stream, KEY_WANTED).await;
        return Err(KeyFault::TheirsMissing.into());
    }
    let (mut stream, _) = proved(stream, keys).await?;
    stream.write_all(line).await?;
    stream.shutdown().await
}
