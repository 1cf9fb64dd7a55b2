//! A shared key of a fleet: `encrypt` in the configuration. Who proves none that is [installed](crate::Keyring) is no peer.
//!
//! From the key both ends derive one Ed25519 key pair (HKDF with SHA-256, RFC 5869), show it to each other as a raw public key
//! (RFC 7250: no certificate, no date, no name) in TLS 1.3. It proves that a peer belongs to the fleet, not which of its nodes it
//! is. The caller chooses the key and names it, by a part of its public half's hash, where TLS has the server's name.

use std::{fmt, io, sync::Arc};

use ring::{digest, hkdf};
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
        ClientHello, NoServerSessionStorage, ResolvesServerCert,
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
/// So much of a hash tells keys apart, and nothing of what they are.
const ID_BYTES: usize = 8;
/// What the name begins with that a caller asks for.
const NAME_HEAD: &str = "key-";

/// A text that is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("key size must be 16, 24 or 32 bytes")]
pub struct BadKey;

/// What does not fit between this node and a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum KeyFault {
    /// Both have keys, and none in common.
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

/// One key; clones share it. It is never printed.
#[derive(Clone)]
pub struct Key(Arc<Inner>);

struct Inner {
    secret: Box<[u8]>,
    id: String,
    own: Arc<CertifiedKey>,
    connector: TlsConnector,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(hidden)")
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.secret() == other.secret()
    }
}

impl Eq for Key {}

impl Key {
    /// The key that these 16, 24 or 32 bytes are.
    ///
    /// Errors with any other number of bytes.
    pub fn new(secret: &[u8]) -> Result<Self, BadKey> {
        if !LENGTHS.contains(&secret.len()) {
            return Err(BadKey);
        }
        let own = Arc::new(own_key(secret));
        let same = Arc::new(Installed::new(std::iter::once(spki(&own).to_vec()).collect()));
        let hash = digest::digest(&digest::SHA256, spki(&own));
        let id = hash.as_ref()[..ID_BYTES].iter().map(|byte| format!("{byte:02x}")).collect();
        let connector = Arc::new(client(same, own.clone())).into();
        Ok(Self(Arc::new(Inner { secret: secret.into(), id, own, connector })))
    }

    /// The secret itself, for `/v1/operator/keyring` and the file of keys; not for the log.
    pub fn secret(&self) -> &[u8] {
        &self.0.secret
    }

    /// What nodes call the key when they speak of it without telling it: `5d2e81f07a33c9be`.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The caller's end, which takes no other key than this.
    pub(crate) fn connector(&self) -> &TlsConnector {
        &self.0.connector
    }

    /// What a caller asks for in place of the server's name.
    pub(crate) fn server_name(&self) -> ServerName<'static> {
        ServerName::try_from(format!("{NAME_HEAD}{}", self.id())).expect("hexadecimal digits are a name")
    }

    /// Whether a peer has shown this key.
    pub(crate) fn is_shown(&self, shown: &CertificateDer<'_>) -> bool {
        shown.as_ref() == spki(&self.0.own)
    }
}

/// The listener's end: any of these keys lets a caller in; it shows the one that the caller names, else the first.
pub(crate) fn acceptor(keys: &[Key]) -> TlsAcceptor {
    let installed = Installed::new(keys.iter().map(|key| spki(&key.0.own).to_vec()).collect());
    let shown = keys.iter().map(|key| (format!("{NAME_HEAD}{}", key.id()), key.0.own.clone())).collect();
    Arc::new(server(Arc::new(installed), Arc::new(Shown(shown)))).into()
}

fn spki(key: &CertifiedKey) -> &[u8] {
    key.end_entity_cert().expect("it was made with one")
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

fn provider() -> Arc<CryptoProvider> {
    Arc::new(crypto::ring::default_provider())
}

fn server(installed: Arc<Installed>, shown: Arc<Shown>) -> ServerConfig {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider knows TLS 1.3")
        .with_client_cert_verifier(installed)
        .with_cert_resolver(shown);
    // Every connection proves the key anew, and nothing is kept of those that ended.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config
}

fn client(same: Arc<Installed>, own: Arc<CertifiedKey>) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider knows TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(same)
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(own)));
    config.resumption = Resumption::disabled();
    config
}

/// The keys that a listener can show, by their names.
#[derive(Debug)]
struct Shown(Vec<(String, Arc<CertifiedKey>)>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = self.0.iter().find(|(name, _)| hello.server_name() == Some(name));
        // Callers of before keyrings name nothing.
        named.or(self.0.first()).map(|(_, key)| key.clone())
    }

    fn only_raw_public_keys(&self) -> bool {
        true
    }
}

/// Accepts the public keys that follow from the secrets.
#[derive(Debug)]
struct Installed {
    spkis: Vec<Vec<u8>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Installed {
    fn new(spkis: Vec<Vec<u8>>) -> Self {
        Self { spkis, algorithms: provider().signature_verification_algorithms }
    }

    fn has(&self, shown: &CertificateDer<'_>) -> Result<(), Error> {
        match self.spkis.iter().any(|spki| shown.as_ref() == spki) {
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

impl ServerCertVerifier for Installed {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.has(shown).map(|()| ServerCertVerified::assertion())
    }

    raw_public_key!();
}

impl ClientCertVerifier for Installed {
    fn verify_client_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.has(shown).map(|()| ClientCertVerified::assertion())
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
