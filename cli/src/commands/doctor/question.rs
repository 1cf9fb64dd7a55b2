//! One question to a name server, to see whether it answers at all.

use std::{net::SocketAddr, time::Duration};

use hickory_resolver::{
    Resolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
};

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(2);

/// Whether a server knows an address of this name.
pub(super) async fn answers(server: SocketAddr, name: &str) -> bool {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = server.port();
        connection
    });
    let server = NameServerConfig::new(server.ip(), true, connections.into());
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    let mut builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default());
    let options = builder.options_mut();
    (options.timeout, options.attempts, options.use_hosts_file) = (LIMIT, 1, ResolveHosts::Never);
    let Ok(resolver) = builder.build() else { return false };
    // With a dot at its end the name is looked for as it stands.
    let name = format!("{}.", name.trim_end_matches('.'));
    matches!(tokio::time::timeout(LIMIT, resolver.lookup_ip(name)).await, Ok(Ok(found)) if found.iter().next().is_some())
}

#[cfg(test)]
mod tests {
    use tokio::net::UdpSocket;

    use super::*;

    /// A server that answers one question with this code and these records.
    async fn server(code: u8, records: &'static [u8]) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut question = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut question).await {
                // The question ends with the name's zero, type and class; what follows it is the client's EDNS record.
                let name = question[12..length].iter().position(|byte| *byte == 0).unwrap();
                let question = &question[..12 + name + 5];
                let is_for_ipv4 = question[question.len() - 3] == 1;
                let records = if is_for_ipv4 { records } else { &[] };
                let counts = [0, 1, 0, u8::from(!records.is_empty()), 0, 0, 0, 0];
                let head = [&question[..2], &[0x85, 0x80 | code], &counts].concat();
                socket.send_to(&[&head, &question[12..], records].concat(), from).await.unwrap();
            }
        });
        address
    }

    #[tokio::test]
    async fn only_an_answer_with_an_address_counts() {
        let record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04\x0a\x00\x00\x01";
        assert!(answers(server(0, record).await, "consul.service.consul").await);
        assert!(!answers(server(0, b"").await, "consul.service.consul").await);
        assert!(!answers(server(3, b"").await, "consul.service.consul.").await);
    }

    #[tokio::test]
    async fn nobody_there_is_no_answer() {
        let free = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert!(!answers(free, "consul.service.consul").await);
    }
}
