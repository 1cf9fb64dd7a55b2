//! Connections that checks make: over TCP, and over TLS on top of it, with errors in the words that Consul's users know.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::definition::CheckType;

/// Connects to `host:port`; the error is a text such as `dial tcp 127.0.0.1:8140: connect: connection refused`.
pub(super) async fn tcp(target: &str) -> Result<TcpStream, String> {
    if !has_port(target) {
        return Err(format!("dial tcp: address {target}: missing port in address"));
    }
    match TcpStream::connect(target).await {
        Ok(stream) => Ok(stream),
        Err(error) => Err(dial_error("tcp", target, &error).await),
    }
}

/// The ways in which checks of an agent speak TLS. Checks that agree share one, and with it the system's certificates: reading them takes
/// a while, and keeping them 300 kB.
#[derive(Debug, Default)]
pub(super) struct TlsConfigs(Mutex<HashMap<Way, Arc<ClientConfig>>>);

/// What a configuration must be made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Way {
    skip_verify: bool,
    /// The name for ALPN.
    protocol: Option<&'static str>,
}

impl TlsConfigs {
    fn get(&self, way: Way) -> Result<Arc<ClientConfig>, rustls::Error> {
        let mut configs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = configs.get(&way) {
            return Ok(config.clone());
        }
        let config = Arc::new(way.build()?);
        configs.insert(way, config.clone());
        Ok(config)
    }
}

/// How a check speaks TLS: `tls_skip_verify`, `tls_server_name`, and the protocol it wants to speak inside.
pub(super) struct Tls {
    way: Way,
    server_name: String,
    configs: Arc<TlsConfigs>,
}

impl Tls {
    /// `protocol` is the name for ALPN, as `h2`.
    pub(super) fn new(check: &CheckType, protocol: Option<&'static str>, configs: &Arc<TlsConfigs>) -> Self {
        let way = Way { skip_verify: check.tls_skip_verify, protocol };
        Self { way, server_name: check.tls_server_name.clone(), configs: configs.clone() }
    }

    /// Speaks TLS on a connection to `target`; the error is a text such as `tls: first record does not look like a TLS handshake`.
    pub(super) async fn over(&self, stream: TcpStream, target: &str) -> Result<TlsStream<TcpStream>, String> {
        let name = if self.server_name.is_empty() { host(target) } else { &self.server_name };
        let name = name.trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(name).map_err(|error| format!("tls: {error}"))?;
        let config = self.configs.get(self.way).map_err(|error| format!("tls: {error}"))?;
        let connector = TlsConnector::from(config);
        connector.connect(name, stream).await.map_err(|error| tls_error(&error))
    }
}

impl Way {
    fn build(self) -> Result<ClientConfig, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let mut config = if self.skip_verify {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
                .with_no_client_auth()
        } else {
            builder.with_platform_verifier()?.with_no_client_auth()
        };
        config.alpn_protocols = self.protocol.iter().map(|name| name.as_bytes().to_vec()).collect();
        Ok(config)
    }
}

/// Takes any certificate, as `tls_skip_verify` asks for; the handshake itself must still be right.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn tls_error(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidMessage(_)) => {
            "tls: first record does not look like a TLS handshake".into()
        }
        Some(rustls::Error::InvalidCertificate(reason)) => {
            format!("tls: failed to verify certificate: x509: {reason:?}")
        }
        Some(other) => format!("tls: {other}"),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "EOF".into(),
        None => error.to_string(),
    }
}

/// A failed connection in the words that Consul's users know: `dial tcp 127.0.0.1:8140: connect: connection refused`.
pub(super) async fn dial_error(network: &str, target: &str, error: &io::Error) -> String {
    let address = match lookup_host(target).await {
        Ok(mut found) => found.next().map_or_else(|| target.to_owned(), |address| address.to_string()),
        Err(_) => return format!("dial {network}: lookup {}{}: no such host", host(target), asked_of()),
    };
    match error.kind() {
        io::ErrorKind::ConnectionRefused => format!("dial {network} {address}: connect: connection refused"),
        io::ErrorKind::TimedOut => format!("dial {network} {address}: i/o timeout"),
        io::ErrorKind::HostUnreachable => format!("dial {network} {address}: connect: no route to host"),
        io::ErrorKind::NetworkUnreachable => {
            format!("dial {network} {address}: connect: network is unreachable")
        }
        _ => format!("dial {network} {address}: {error}"),
    }
}

/// ` on 10.0.0.2:53`: whom this machine asks for names.
fn asked_of() -> String {
    let settings = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let server = settings.lines().find_map(|line| line.strip_prefix("nameserver")?.trim().parse().ok());
    server.map(|ip| format!(" on {}", SocketAddr::new(ip, 53))).unwrap_or_default()
}

/// An error of a connection that speaks HTTP/2, as Go says it.
pub(super) fn http2_error(error: &h2::Error) -> String {
    match error.get_io().map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionReset) => "read: connection reset by peer".to_owned(),
        Some(io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe) => "EOF".to_owned(),
        _ => error.to_string(),
    }
}

fn host(target: &str) -> &str {
    target.rsplit_once(':').map_or(target, |(host, _)| host)
}

fn has_port(target: &str) -> bool {
    target.rsplit_once(':').is_some_and(|(host, port)| !host.ends_with(':') && !port.contains(']'))
}
