//! The shared key of a fleet: `encrypt` in the configuration. Who does not prove it is no peer.
//!
//! From the key both ends derive one Ed25519 key pair (HKDF with SHA-256, RFC 5869), show it to each other as a raw public key
//! (RFC 7250: no certificate, no date, no name) in TLS 1.3, and accept no other. It proves that a peer belongs to the fleet, not which
//! of its nodes it is.

use std::{fmt, io, sync::Arc};

use ring::hkdf;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error,
    ServerConfig, SignatureScheme,
    client::{
        AlwaysResolvesClientRawPublicKeys, Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{self, CryptoProvider, WebPkiSupportedAlgorithms},
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime},
    server::{
        AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// The lengths of AES keys, which the key of `encrypt` has always had.
const LENGTHS: [usize; 3] = [16, 24, 32];
/// What the derived key is for: another use of the same secret would get another one.
const SALT: &[u8] = b"ryo link 1";
/// PKCS#8 around a bare Ed25519 seed (RFC 8410 §7).
const PKCS8_HEAD: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// An Ed25519 seed.
const SEED_BYTES: usize = 32;

/// A text that is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("key size must be 16, 24 or 32 bytes")]
pub struct BadKey;

/// What does not fit between this node and a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum KeyFault {
    /// Both have a key, and they differ.
    #[error("its encrypt key is another one than this node's")]
    Other,
    /// This node has a key, the peer has none.
    #[error("it has no encrypt key and this node has one: set the same on both")]
    TheirsMissing,
    /// The peer has a key, this node has none.
    #[error("it has an encrypt key and this node has none: set the same on both")]
    OursMissing,
}

impl KeyFault {
    /// The fault behind an error of connecting, if it is about keys.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl From<KeyFault> for io::Error {
    fn from(fault: KeyFault) -> Self {
        Self::new(io::ErrorKind::PermissionDenied, fault)
    }
}

/// The key, ready for both ends of a connection; clones share it. It is never printed.
#[derive(Clone)]
pub struct Key(Arc<Inner>);

struct Inner {
    secret: Box<[u8]>,
    acceptor: TlsAcceptor,
    connector: TlsConnector,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(hidden)")
    }
}

impl Key {
    /// The key that these 16, 24 or 32 bytes are.
    ///
    /// Errors with any other number of bytes.
    pub fn new(secret: &[u8]) -> Result<Self, BadKey> {
        if !LENGTHS.contains(&secret.len()) {
            return Err(BadKey);
        }
        let provider = Arc::new(crypto::ring::default_provider());
        let own = own_key(secret);
        let spki = own.end_entity_cert().expect("it was just made with one").to_vec();
        let same = Arc::new(Same { spki, algorithms: provider.signature_verification_algorithms });
        let own = Arc::new(own);
        Ok(Self(Arc::new(Inner {
            secret: secret.into(),
            acceptor: Arc::new(server(provider.clone(), same.clone(), own.clone())).into(),
            connector: Arc::new(client(provider, same, own)).into(),
        })))
    }

    /// The secret itself, for `/v1/operator/keyring`; not for the log.
    pub fn secret(&self) -> &[u8] {
        &self.0.secret
    }

    pub(crate) fn acceptor(&self) -> &TlsAcceptor {
        &self.0.acceptor
    }

    pub(crate) fn connector(&self) -> &TlsConnector {
        &self.0.connector
    }
}

/// What an error of a handshake says about keys.
pub(crate) fn fault(error: &io::Error) -> Option<KeyFault> {
    match error.get_ref()?.downcast_ref::<Error>()? {
        Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)
        | Error::AlertReceived(AlertDescription::AccessDenied) => Some(KeyFault::Other),
        // Without a key a registry answers a join at once and in plain text, and a link with this alert.
        Error::AlertReceived(AlertDescription::UnknownPSKIdentity) | Error::InvalidMessage(_) => {
            Some(KeyFault::TheirsMissing)
        }
        _ => None,
    }
}

fn own_key(secret: &[u8]) -> CertifiedKey {
    let mut pkcs8 = [0; PKCS8_HEAD.len() + SEED_BYTES];
    pkcs8[..PKCS8_HEAD.len()].copy_from_slice(&PKCS8_HEAD);
    hkdf::Salt::new(hkdf::HKDF_SHA256, SALT)
        .extract(secret)
        .expand(&[b"ed25519"], hkdf::HKDF_SHA256)
        .and_then(|seed| seed.fill(&mut pkcs8[PKCS8_HEAD.len()..]))
        .expect("one hash gives one seed");
    let key = crypto::ring::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(&pkcs8[..]));
    let key = key.expect("every seed is an Ed25519 key");
    let spki = key.public_key().expect("an Ed25519 key tells its public half").as_ref().to_vec();
    CertifiedKey::new(vec![CertificateDer::from(spki)], key)
}

fn server(provider: Arc<CryptoProvider>, same: Arc<Same>, own: Arc<CertifiedKey>) -> ServerConfig {
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider knows TLS 1.3")
        .with_client_cert_verifier(same)
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(own)));
    // Every connection proves the key anew, and nothing is kept of those that ended.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config
}

fn client(provider: Arc<CryptoProvider>, same: Arc<Same>, own: Arc<CertifiedKey>) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider knows TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(same)
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(own)));
    config.resumption = Resumption::disabled();
    config
}

/// Accepts the one public key that follows from the secret.
#[derive(Debug)]
struct Same {
    spki: Vec<u8>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Same {
    fn is(&self, shown: &CertificateDer<'_>) -> Result<(), Error> {
        match shown.as_ref() == self.spki {
            true => Ok(()),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn signed(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(key.as_ref());
        crypto::verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms)
    }
}

/// The methods that both traits have.
macro_rules! raw_public_key {
    () => {
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(Error::General("TLS 1.3 only".into()))
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            key: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            self.signed(message, key, signed)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ED25519]
        }

        fn requires_raw_public_keys(&self) -> bool {
            true
        }
    };
}

impl ServerCertVerifier for Same {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.is(shown).map(|()| ServerCertVerified::assertion())
    }

    raw_public_key!();
}

impl ClientCertVerifier for Same {
    fn verify_client_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.is(shown).map(|()| ClientCertVerified::assertion())
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    raw_public_key!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_lengths_of_aes_keys_and_are_never_printed() {
        for length in 0..40 {
            assert_eq!(Key::new(&vec![7; length]).is_ok(), [16, 24, 32].contains(&length), "{length}");
        }
        assert_eq!(format!("{:?}", Key::new(&[7; 16])), "Ok(Key(hidden))");
    }

    /// Nodes of two releases must agree: this literal is what the first release with a key derived.
    #[test]
    fn the_derived_key_stays_the_same() {
        let shown = own_key(b"0123456789abcdef");
        let spki = shown.end_entity_cert().unwrap();
        let hex: String = spki[spki.len() - 32..].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "d841a653b2f27a48e2644fcb4ffc0247146d80c40d6cf0a1df5703a9e569caa0");
    }
}
