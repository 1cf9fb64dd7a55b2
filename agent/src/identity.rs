//! Who this node is: its id on disk, and how the catalog shows it.

use std::{
    fs, io,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use link::calls::{self, Lease};
use registry_wire::catalog::TextMap;

use crate::{config::Config, local::write_aside, sync::Identity};

/// The version of Consul whose interface this is; its clients look at it.
pub const CONSUL_VERSION: &str = "1.21.4";

/// Why the node has no id.
#[derive(Debug, thiserror::Error)]
pub enum NodeIdError {
    /// `node_id` or the file holds something else than a UUID.
    #[error("failed to setup node ID: specified NodeID is invalid: {0}")]
    Invalid(&'static str),
    /// The file cannot be read or written.
    #[error("failed to setup node ID: {path}: {source}; the data folder must be writable for this user")]
    File {
        /// The file or folder.
        path: String,
        /// What the system says.
        source: io::Error,
    },
}

/// The node's id: the configured one, else the one kept in the data folder, else a new one that is kept from now on.
///
/// Called when an agent runs, never when it is installed: an image that many containers start from must not have an id.
/// Without a data folder it is a new one each time.
pub fn node_id(config: &Config) -> Result<String, NodeIdError> {
    if let Some(id) = &config.node_id {
        check(id)?;
    }
    let Some(dir) = &config.data_dir else {
        return Ok(config.node_id.clone().unwrap_or_else(new_id));
    };
    let path = dir.join("node-id");
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |source| NodeIdError::File { path, source }
    };
    fs::create_dir_all(dir).map_err(failed(dir))?;
    let kept = match fs::read(&path) {
        Ok(bytes) => kept_id(&path, &bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(&path)(error)),
    };
    let id = config.node_id.clone().or_else(|| kept.clone()).unwrap_or_else(new_id);
    if kept.as_deref() != Some(&id) {
        write_aside(&path, id.as_bytes()).map_err(failed(&path))?;
    }
    Ok(id)
}

/// The id in a file. What else stands there, after a power cut or in a bad copy, keeps no node from starting: it gets a new
/// id, and the registry takes a node of the same name with a new id for what it is.
fn kept_id(path: &Path, bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes).trim().to_ascii_lowercase();
    match check(&text) {
        Ok(()) => Some(text),
        Err(error) => {
            tracing::warn!(target: "agent", file = %path.display(), %error, "Ignoring a file that cannot be read: the node gets a new id");
            None
        }
    }
}

/// How the catalog shows this node.
pub(crate) fn identity(config: &Config, id: &str) -> Identity {
    Identity {
        node: config.node_name.clone(),
        id: id.to_owned(),
        datacenter: config.datacenter.clone(),
        address: config.advertise_addr.to_string(),
        tagged_addresses: config.tagged_addresses.clone(),
        meta: meta(config),
        server: config.server,
    }
}

/// The operator's pairs, and those that every node has.
pub(crate) fn meta(config: &Config) -> TextMap {
    let mut meta = config.node_meta.clone();
    meta.insert("consul-network-segment".into(), String::new());
    meta.insert("consul-version".into(), CONSUL_VERSION.into());
    meta
}

/// The node as its lease names it.
pub(crate) fn lease(config: &Config, id: &str) -> Lease {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Lease {
        version: calls::VERSION,
        node: config.node_name.clone(),
        id: id.to_owned(),
        address: config.advertise_addr.to_string(),
        tagged_addresses: config.tagged_addresses.clone(),
        meta: meta(config),
        datacenter: config.datacenter.clone(),
        boot_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
        port: config.ports.serf_lan.unwrap_or_default(),
        build: CONSUL_VERSION.to_owned(),
        ..Lease::default()
    }
}

fn new_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

fn check(id: &str) -> Result<(), NodeIdError> {
    match id.len() {
        36 => uuid::Uuid::parse_str(id)
            .map(drop)
            .map_err(|_| NodeIdError::Invalid("uuid is improperly formatted")),
        _ => Err(NodeIdError::Invalid("uuid string is wrong length")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::config::{Flags, load};

    fn config(dir: &Path, more: &str) -> Config {
        let line = format!("-data-dir={} -bind=127.0.0.1 {more}", dir.display());
        load(&Flags::parse(line.split_whitespace().map(String::from)).unwrap()).unwrap()
    }

    #[test]
    fn an_id_is_made_once_and_kept_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), "");
        let id = node_id(&config).unwrap();
        assert_eq!(node_id(&config).unwrap(), id);
        let mode = fs::metadata(dir.path().join("node-id")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn whatever_stands_in_the_file_the_node_starts() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), "");
        let path = dir.path().join("node-id");
        for torn in [&b""[..], b"\0\0\0\0", b"2c2f7d1e-", b"\xff\xfe", b"hello"] {
            fs::write(&path, torn).unwrap();
            let id = node_id(&config).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), id, "{torn:?}");
            assert_eq!(node_id(&config).unwrap(), id);
        }
        let kept = "2C2F7D1E-0000-4000-8000-000000000001";
        fs::write(&path, format!("{kept}\n")).unwrap();
        assert_eq!(node_id(&config).unwrap(), kept.to_ascii_lowercase());
    }

    #[test]
    fn a_bad_id_is_refused_with_consuls_words() {
        let dir = tempfile::tempdir().unwrap();
        let said = node_id(&config(dir.path(), "-node-id=abc")).unwrap_err().to_string();
        assert_eq!(said, "failed to setup node ID: specified NodeID is invalid: uuid string is wrong length");
    }
}
