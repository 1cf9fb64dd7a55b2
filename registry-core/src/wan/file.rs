//! The servers of all datacenters on disk: a restart finds them again, also when nobody is there to be joined.

use std::path::Path;

use link::calls::WanServer;
use serde::{Deserialize, Serialize};

use crate::storage::{StorageError, read_if_there, write_whole};

/// The format that this release writes.
const FORMAT: u32 = 1;
const NAME: &str = "wan.json";

#[derive(Serialize, Deserialize)]
struct Kept {
    format: u32,
    servers: Vec<WanServer>,
}

/// The servers kept in this folder. A file that cannot be read keeps no server from starting: whom it names is joined again.
pub(super) fn read(folder: &Path) -> Vec<WanServer> {
    let path = folder.join(NAME);
    let read = read_if_there(&path).and_then(|bytes| match bytes {
        None => Ok(Vec::new()),
        Some(bytes) => {
            let kept: Kept = serde_json::from_slice(&bytes).map_err(|error| StorageError::Damaged {
                path: path.display().to_string(),
                why: error.to_string(),
            })?;
            Ok(if kept.format <= FORMAT { kept.servers } else { Vec::new() })
        }
    });
    read.unwrap_or_else(|error| {
        tracing::warn!(target: "agent.server.serf.wan", %error, "Ignoring the servers of other datacenters that were known");
        Vec::new()
    })
}

/// Keeps the servers.
pub(super) fn write(folder: &Path, servers: Vec<WanServer>) -> Result<(), StorageError> {
    let text = serde_json::to_vec_pretty(&Kept { format: FORMAT, servers }).expect("servers are plain data");
    write_whole(&folder.join(NAME), &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_found_and_what_is_torn_does_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()), []);
        let server = WanServer { node: "n2".into(), datacenter: "dc2".into(), ..WanServer::default() };
        write(folder.path(), vec![server.clone()]).unwrap();
        assert_eq!(read(folder.path()), [server]);
        for torn in ["", "{", "[]", r#"{"format":1}"#] {
            std::fs::write(folder.path().join(NAME), torn).unwrap();
            assert_eq!(read(folder.path()), []);
        }
    }
}
