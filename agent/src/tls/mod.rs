//! TLS: which library does it, and what the HTTPS listeners show and ask for.

mod files;

use std::{
    path::PathBuf,
    sync::{Arc, Once},
};

use rustls::{
    CipherSuite, RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::{CryptoProvider, ring},
    server::{VerifierBuilderError, WebPkiClientVerifier},
    version::{TLS12, TLS13},
};

use crate::config::{HttpsTls, TlsVersion};

/// Chooses ring for all of this process that does not choose for itself; to be called before reqwest is.
pub(crate) fn choose_provider() {
    static CHOSEN: Once = Once::new();
    // Another part of the program may have chosen already; any will do.
    CHOSEN.call_once(|| drop(ring::default_provider().install_default()));
}

/// Why HTTPS cannot be served; the words are Consul's where it has some.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate or its key.
    #[error("Failed to load cert/key pair: {0}")]
    Pair(String),
    /// A file of authorities.
    #[error("Error loading from {path}: {reason}")]
    Authorities {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Clients are to show certificates that nobody could check.
    #[error("VerifyIncoming set but no CA certificates were provided")]
    NoAuthorities,
    /// Clients are to be checked by a server that has nothing to show.
    #[error(
        "VerifyIncoming requires either a Cert and Key pair in the configuration file, or auto_encrypt/auto_config be enabled"
    )]
    NoPair,
    /// The authorities are there but of no use.
    #[error("no client could be checked: {0}")]
    Verifier(#[from] VerifierBuilderError),
    /// The library refuses the versions or cipher suites.
    #[error("tls: {0}")]
    Refused(#[from] rustls::Error),
}

impl TlsError {
    /// The text, and where the keys stand that it is about: `… (/etc/ryo.d/tls.hcl:3:5: tls.https.cert_file)`.
    pub(crate) fn placed(&self, settings: &HttpsTls) -> String {
        let keys: &[&str] = match self {
            Self::Pair(_) => &["cert_file", "key_file"],
            Self::Authorities { .. } => &["ca_file", "ca_path"],
            Self::NoAuthorities | Self::NoPair | Self::Verifier(_) => &["verify_incoming"],
            Self::Refused(_) => &[],
        };
        let about = |path: &str| keys.iter().any(|key| path.rsplit('.').next() == Some(*key));
        let places = settings.places.iter().filter(|(path, _)| about(path));
        let places: Vec<String> = places.map(|(path, place)| format!("{place}: {path}")).collect();
        if places.is_empty() { self.to_string() } else { format!("{self} ({})", places.join(", ")) }
    }
}

/// Reads the files and says how HTTPS is served; `None` where no certificate is configured.
///
/// Errors when a file cannot be read or does not fit; nothing has been changed then.
pub(crate) fn server_config(settings: &HttpsTls) -> Result<Option<ServerConfig>, TlsError> {
    let authorities = files::authorities(settings)?;
    if settings.verify_incoming && authorities.is_empty() {
        return Err(TlsError::NoAuthorities);
    }
    let Some((chain, key)) = files::pair(settings)? else {
        return if settings.verify_incoming { Err(TlsError::NoPair) } else { Ok(None) };
    };
    let provider = Arc::new(provider(settings));
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(&versions(settings))?;
    let builder = if settings.verify_incoming {
        let mut roots = RootCertStore::empty();
        for (path, certificate) in authorities {
            roots
                .add(certificate)
                .map_err(|error| TlsError::Authorities { path, reason: error.to_string() })?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    builder.with_single_cert(chain, key).map(Some).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            TlsError::Pair("tls: private key does not match public key".into())
        }
        other => TlsError::Pair(format!("tls: {other}")),
    })
}

fn versions(settings: &HttpsTls) -> Vec<&'static SupportedProtocolVersion> {
    match settings.min_version {
        TlsVersion::V1_2 => vec![&TLS12, &TLS13],
        TlsVersion::V1_3 => vec![&TLS13],
    }
}

fn provider(settings: &HttpsTls) -> CryptoProvider {
    let mut provider = ring::default_provider();
    if !settings.cipher_suites.is_empty() {
        // Those of TLS 1.3 cannot be chosen, as in Go.
        let chosen = |suite: CipherSuite| settings.cipher_suites.iter().any(|name| is_called(suite, name));
        provider.cipher_suites.retain(|suite| suite.tls13().is_some() || chosen(suite.suite()));
    }
    provider
}

/// Whether a suite has this name of `tls_cipher_suites`, such as `TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256`.
fn is_called(suite: CipherSuite, name: &str) -> bool {
    suite.as_str().is_some_and(|own| own == name || own.strip_suffix("_SHA256") == Some(name))
}

/// Whether this program can speak a cipher suite of TLS 1.2.
pub(crate) fn knows_suite(name: &str) -> bool {
    ring::ALL_CIPHER_SUITES.iter().any(|suite| suite.tls13().is_none() && is_called(suite.suite(), name))
}

#[cfg(test)]
mod tests;
