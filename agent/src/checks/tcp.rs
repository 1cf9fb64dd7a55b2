//! Checks of a port: whether a connection is taken, whether a datagram is refused.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    net::{UdpSocket, lookup_host},
    time::timeout,
};

use super::{
    Observed, Status,
    dial::{self, Tls, TlsConfigs, dial_error},
    limit,
};
use crate::definition::CheckType;

const LIMIT: Duration = Duration::from_secs(10);

/// `tcp = "localhost:8140"`: passing when a connection is made, with `tcp_use_tls` when TLS is spoken on it too.
pub(super) struct Tcp {
    target: String,
    tls: Option<Tls>,
    limit: Duration,
}

impl Tcp {
    pub(super) fn new(check: &CheckType, tls: &Arc<TlsConfigs>) -> Self {
        let tls = check.tcp_use_tls.then(|| Tls::new(check, None, tls));
        Self { target: check.tcp.clone(), tls, limit: limit(check, LIMIT) }
    }

    pub(super) async fn run(&self) -> Observed {
        match timeout(self.limit, self.connect()).await {
            Ok(Ok(said)) => Observed::new(Status::Passing, said),
            Ok(Err(reason)) => Observed::critical(reason),
            Err(_) if self.tls.is_some() => Observed::critical("context deadline exceeded"),
            Err(_) => Observed::critical(format!("dial tcp {}: i/o timeout", self.target)),
        }
    }

    async fn connect(&self) -> Result<String, String> {
        let stream = dial::tcp(&self.target).await?;
        let Some(tls) = &self.tls else { return Ok(format!("TCP connect {}: Success", self.target)) };
        tls.over(stream, &self.target).await?;
        Ok(format!("TCP+TLS connect {}: Success", self.target))
    }
}

/// `udp = "localhost:53"`: critical when the other end refuses an empty datagram; silence is fine.
pub(super) struct Udp {
    target: String,
    limit: Duration,
}

impl Udp {
    pub(super) fn new(check: &CheckType) -> Self {
        Self { target: check.udp.clone(), limit: limit(check, LIMIT) }
    }

    pub(super) async fn run(&self) -> Observed {
        let asked = async {
            let address = lookup_host(&self.target).await?.next();
            let address = address.ok_or_else(|| io::Error::other("the name has no address"))?;
            let local = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(local).await?;
            socket.connect(address).await?;
            socket.send(&[]).await?;
            Ok((socket.local_addr()?, address, socket.recv(&mut [0]).await))
        };
        match timeout(self.limit, asked).await {
            Ok(Err(error)) => Observed::critical(dial_error("udp", &self.target, &error).await),
            Ok(Ok((own, other, Err(error)))) if error.kind() == io::ErrorKind::ConnectionRefused => {
                Observed::critical(format!("read udp {own}->{other}: read: connection refused"))
            }
            Ok(Ok(_)) | Err(_) => {
                Observed::new(Status::Passing, format!("UDP connect {}: Success", self.target))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    fn tcp(target: String) -> Tcp {
        Tcp::new(&CheckType { tcp: target, ..CheckType::default() }, &Arc::default())
    }

    #[tokio::test]
    async fn a_taken_connection_passes_and_a_refused_one_says_so() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let check = tcp(address.to_string());
        let passing = Observed::new(Status::Passing, format!("TCP connect {address}: Success"));
        assert_eq!(check.run().await, passing);
        drop(listener);
        let refused = format!("dial tcp {address}: connect: connection refused");
        assert_eq!(check.run().await, Observed::critical(refused));
    }

    #[tokio::test]
    async fn a_refused_datagram_is_critical() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        drop(socket);
        let check = Udp::new(&CheckType { udp: address.to_string(), ..CheckType::default() });
        let Observed { status, output } = check.run().await;
        assert_eq!(status, Status::Critical);
        assert!(output.ends_with(&format!("->{address}: read: connection refused")), "{output}");
    }
}
