//! The root certificate that clients of a mesh ask for before they do anything else.
//!
//! There is no mesh: nothing is ever signed with this root, so its private key is forgotten when it is made. But programs
//! written for Consul (its Go client's own test server, for one) wait for a root where `connect.enabled` is set.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use chrono::{DateTime, Days, SecondsFormat, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyIdMethod, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType,
};
use ring::digest;
use serde::{Deserialize, Serialize};

use super::{
    StorageError,
    folder::{Identity, read_if_there},
    replace,
};

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

/// The root of this datacenter, as this server knows it: the leader makes one, the others take it over, and so does every other datacenter
/// from the primary one.
#[derive(Debug)]
pub(crate) struct MeshRoots {
    path: PathBuf,
    identity: Arc<Identity>,
    /// The operator's name for the cluster; empty takes its id.
    name: String,
    root: Mutex<Option<MeshRoot>>,
}

/// How a root lies in the data folder.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// Whether another server made it.
    #[serde(default)]
    given: bool,
    #[serde(flatten)]
    root: MeshRoot,
}

impl MeshRoots {
    /// Those kept in a folder. Errors when what is kept cannot be read, or the name cannot stand in a URI.
    pub(crate) fn open(folder: &Path, identity: Arc<Identity>, name: &str) -> Result<Self, StorageError> {
        let path = folder.join("mesh-root.json");
        MeshRoot::make(name).map_err(|e| StorageError::damaged(&path, e))?;
        let mut known = None;
        if let Some(bytes) = read_if_there(&path)? {
            let kept: Kept = serde_json::from_slice(&bytes).map_err(|e| StorageError::damaged(&path, e))?;
            let ours = if name.is_empty() { identity.cluster().to_string() } else { name.to_owned() };
            let fits = kept.root.cluster == ours || kept.given && name.is_empty();
            known = fits.then_some(kept.root);
        }
        Ok(Self { path, identity, name: name.to_owned(), root: Mutex::new(known) })
    }

    fn root(&self) -> MutexGuard<'_, Option<MeshRoot>> {
        self.root.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The root, if it is known.
    pub(crate) fn known(&self) -> Option<MeshRoot> {
        self.root().clone()
    }

    /// The root; one is made if there is none. `None` before this server belongs to a cluster.
    pub(crate) fn made(&self) -> Option<MeshRoot> {
        let mut root = self.root();
        if root.is_none() {
            let cluster = self.identity.cluster();
            let cluster = if self.name.is_empty() { &*cluster } else { &self.name };
            *root = (!cluster.is_empty()).then(|| MeshRoot::make(cluster).ok()).flatten();
            self.keep(false, root.as_ref());
        }
        root.clone()
    }

    /// Another server has the root. One of another name than the operator's own is left alone.
    pub(crate) fn take_over(&self, given: MeshRoot) {
        let mut root = self.root();
        let fits = self.name.is_empty() || self.name == given.cluster;
        if fits && root.as_ref().is_none_or(|root| root.id != given.id) {
            self.keep(true, Some(&given));
            *root = Some(given);
        }
    }

    /// Writes it down; one that is not on the disk is made or taken over again after a restart.
    fn keep(&self, given: bool, root: Option<&MeshRoot>) {
        let Some(root) = root else { return };
        let text = serde_json::to_vec_pretty(&Kept { given, root: root.clone() });
        let text = text.expect("numbers and texts are JSON");
        if let Err(error) = replace(&self.path, |file| std::io::Write::write_all(file, &text)) {
            tracing::warn!(target: "agent.server.connect", %error, "cannot keep the mesh's root certificate");
        }
    }
}

impl MeshRoot {
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
    use crate::storage::Folder;

    #[test]
    fn a_root_is_kept_and_gives_way_to_the_leaders() {
        let folder = tempfile::tempdir().expect("a folder");
        let own = Folder::open(folder.path()).expect("a data folder");
        let open = |name| MeshRoots::open(folder.path(), own.identity().clone(), name).expect("a root");
        assert_eq!(open("").made(), None, "no cluster, no name for it");
        own.identity().take_cluster("11111111-2222-3333-4444-555555555555").expect("a disk");
        let first = open("").made().expect("made");
        assert_eq!((first.id.len(), first.key_id.len()), (59, 95));
        assert!(first.pem.starts_with("-----BEGIN CERTIFICATE-----\n"), "{}", first.pem);
        assert_eq!(open("").known(), Some(first.clone()));
        let leaders = MeshRoot::make("another").expect("a name");
        open("").take_over(leaders.clone());
        assert_eq!(open("").known(), Some(leaders.clone()));
        assert_ne!(open("named").made(), Some(leaders.clone()), "the operator's name holds");
        let named = open("named");
        named.take_over(leaders);
        assert_eq!(named.known().expect("made").cluster, "named");
    }

    #[test]
    fn a_name_that_no_uri_can_hold_is_refused() {
        assert!(MeshRoot::make("é").is_err());
    }
}
