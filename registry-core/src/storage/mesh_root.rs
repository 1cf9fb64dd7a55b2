//! The root certificate that clients of a mesh ask for before they do anything else.
//!
//! There is no mesh: nothing is ever signed with this root, so its private key is forgotten when it is made. But programs
//! written for Consul (its Go client's own test server, for one) wait for a root where `connect.enabled` is set.

use std::{fmt::Write as _, path::Path, time::SystemTime};

use chrono::{DateTime, Days, SecondsFormat, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyIdMethod, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType,
};
use ring::digest;
use serde::{Deserialize, Serialize};

use super::{StorageError, folder::read_if_there, replace};

/// How long a root is valid: ten years, as Consul's.
const DAYS: u64 = 3650;

/// A self-signed certificate and what `connect/ca/roots` tells of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct MeshRoot {
    /// The certificate's SHA-1, `9e:f5:…`.
    pub(crate) id: String,
    /// The certificate's serial number.
    pub(crate) serial: u64,
    /// The public key's SHA-256, `fd:dd:…`.
    pub(crate) key_id: String,
    /// The cluster's name in the mesh: a UUID, or what the operator chose.
    pub(crate) cluster: String,
    /// From when it is valid, `2026-11-21T07:45:20Z`.
    pub(crate) not_before: String,
    /// Until when.
    pub(crate) not_after: String,
    /// The certificate.
    pub(crate) pem: String,
}

impl MeshRoot {
    /// The root kept in a folder; one for this cluster is made if there is none, or one of another name.
    pub(crate) fn open(folder: &Path, cluster: &str) -> Result<Self, StorageError> {
        let path = folder.join("mesh-root.json");
        if let Some(bytes) = read_if_there(&path)? {
            let kept: Self = serde_json::from_slice(&bytes).map_err(|e| StorageError::damaged(&path, e))?;
            if kept.cluster == cluster {
                return Ok(kept);
            }
        }
        let made = Self::make(cluster).map_err(|e| StorageError::damaged(&path, e))?;
        let text = serde_json::to_vec_pretty(&made).expect("numbers and texts are JSON");
        replace(&path, |file| std::io::Write::write_all(file, &text)).map_err(StorageError::io(&path))?;
        Ok(made)
    }

    /// Errors when the cluster's name cannot stand in a URI.
    fn make(cluster: &str) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let key_hash = digest::digest(&digest::SHA256, &key.subject_public_key_info());
        let serial = u64::from(rand::random_range(1..=u32::MAX));
        let from: DateTime<Utc> = SystemTime::now().into();
        let until = from.checked_add_days(Days::new(DAYS)).expect("ten years from now are a date");
        let short: String = cluster.chars().take(8).collect();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let name = format!("pri-{serial:08x}.consul.ca.{short}.consul");
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names = vec![SanType::URI(format!("spiffe://{cluster}.consul").try_into()?)];
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.key_identifier_method = KeyIdMethod::PreSpecified(key_hash.as_ref().to_vec());
        params.serial_number = Some(serial.into());
        params.not_before = SystemTime::from(from).into();
        params.not_after = SystemTime::from(until).into();
        let certificate = params.self_signed(&key)?;
        let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, certificate.der());
        let text = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
        Ok(Self {
            id: colons(hash.as_ref()),
            serial,
            key_id: colons(key_hash.as_ref()),
            cluster: cluster.to_owned(),
            not_before: text(from),
            not_after: text(until),
            pem: certificate.pem().replace("\r\n", "\n"),
        })
    }
}

/// `9e:f5:29`.
fn colons(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 3);
    for byte in bytes {
        let colon = if text.is_empty() { "" } else { ":" };
        write!(text, "{colon}{byte:02x}").expect("a string takes every text");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_kept_until_the_cluster_has_another_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = |cluster| MeshRoot::open(folder.path(), cluster).expect("a root");
        let first = open("11111111-2222-3333-4444-555555555555");
        assert_eq!(first.id.len(), 59);
        assert_eq!(first.key_id.len(), 95);
        assert!(first.pem.starts_with("-----BEGIN CERTIFICATE-----\n"), "{}", first.pem);
        assert_eq!(open("11111111-2222-3333-4444-555555555555"), first);
        assert_ne!(open("other").id, first.id);
    }

    #[test]
    fn a_name_that_no_uri_can_hold_is_refused() {
        assert!(MeshRoot::make("é").is_err());
    }
}
