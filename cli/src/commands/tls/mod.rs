//! `tls`: an authority of a fleet's own, and certificates for its servers, agents and commands.
//!
//! `key` reads and writes keys as OpenSSL does, `file` writes what must not be written over.

mod authority;
mod certificate;
mod file;
mod key;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Subcommand;
use daemon::Exit;
use rcgen::{CertificateParams, KeyIdMethod, PublicKeyData, SerialNumber};
use sha2::{Digest as _, Sha256};

use crate::output::failure;

/// Make certificates for a fleet
#[derive(Debug, Subcommand)]
pub(crate) enum Tls {
    /// The authority that signs them
    #[command(subcommand)]
    Ca(Ca),
    /// The certificates themselves
    #[command(subcommand)]
    Cert(Cert),
}

/// The authority that signs them
#[derive(Debug, Subcommand)]
pub(crate) enum Ca {
    /// Make an authority: a certificate and its key
    Create(authority::Create),
}

/// The certificates themselves
#[derive(Debug, Subcommand)]
pub(crate) enum Cert {
    /// Make a certificate and its key, signed by an authority
    Create(certificate::Create),
}

impl Tls {
    pub(crate) fn run(self) -> Exit {
        let made = match self {
            Self::Ca(Ca::Create(command)) => command.run(),
            Self::Cert(Cert::Create(command)) => command.run(),
        };
        made.map_or_else(failure, |()| Exit::Success)
    }
}

/// A certificate's parameters with what all have: a number, a time from now on, and the key's own name.
///
/// Errors, in the words of Go's checks, when the days are over before they begin.
fn params(days: i64, key: &rcgen::KeyPair) -> Result<(CertificateParams, u128), String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = Duration::from_secs(now.as_secs());
    let mut params = CertificateParams::default();
    // rcgen speaks in dates; seconds are added to the first of them.
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let length = Duration::from_secs(days.unsigned_abs().saturating_mul(24 * 3600).min(CENTURIES));
    params.not_before = epoch + now;
    params.not_after =
        if days < 0 { epoch + now.saturating_sub(length) } else { epoch + now.saturating_add(length) };
    let number = rand::random::<u128>();
    params.serial_number = Some(SerialNumber::from_slice(&number.to_be_bytes()));
    let digest = Sha256::digest(key.subject_public_key_info());
    params.key_identifier_method = KeyIdMethod::PreSpecified(digest.to_vec());
    Ok((params, number))
}

/// Beyond it a date has more than four digits, which certificates cannot hold.
const CENTURIES: u64 = 7_900 * 365 * 24 * 3600;
