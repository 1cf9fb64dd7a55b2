//! The keys of this node on its disk: `serf/local.keyring`, the list that Consul keeps there, so that a Consul's folder and what
//! people run on that file go on working. How often the keys have changed stands beside it.
//!
//! As with Consul the file holds once it is there, and `encrypt` only begins it: keys are changed by `keyring`.

use std::{fs, io, os::unix::fs::DirBuilderExt as _, path::Path};

use link::{Key, Keyring, Keys, calls::KeysSeen};
use registry_wire::base64;

use crate::{config::Config, local::write_aside};

/// The folder and the files in it.
const FOLDER: &str = "serf";
const KEYS: &str = "local.keyring";
const VERSION: &str = "local.keyring.version";

/// Why the kept keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The file holds something else than keys.
    #[error("{path} is no list of keys: {why}; restore it, or remove it to begin with \"encrypt\"")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// The file cannot be read or written.
    #[error("cannot use {path}: {source}; the data folder must be writable for this user")]
    File {
        /// The file or folder.
        path: String,
        /// What the system says.
        source: io::Error,
    },
}

/// The keys that this node begins with: those kept in the data folder, else `encrypt`; `None` when there are none.
///
/// Without a data folder, or with `disable_keyring_file`, nothing is kept.
pub fn keyring(config: &Config) -> Result<Option<Keyring>, KeyringError> {
    let Some(data_dir) = config.data_dir.as_deref().filter(|_| config.keyring_file) else {
        return Ok(config.encrypt.clone().map(Keyring::from));
    };
    let folder = data_dir.join(FOLDER);
    let kept = read(&folder)?;
    if let (Some(kept), Some(key)) = (&kept, &config.encrypt)
        && !kept.all().contains(key)
    {
        tracing::warn!(target: "agent", keyring = "LAN", "keyring doesn't include key provided with -encrypt, using keyring");
    }
    let begun = || config.encrypt.clone().and_then(|key| Keys::new(0, vec![key]));
    let is_new = kept.is_none();
    let Some(keys) = kept.or_else(begun) else { return Ok(None) };
    if is_new {
        write(&folder, &keys).map_err(failed(&folder))?;
    }
    Ok(Some(Keyring::new(keys, Some(Box::new(move |keys| write(&folder, keys))))))
}

fn read(folder: &Path) -> Result<Option<Keys>, KeyringError> {
    let path = folder.join(KEYS);
    let Some(text) = read_if_there(&path)? else { return Ok(None) };
    let damaged = |why: String| KeyringError::Damaged { path: path.display().to_string(), why };
    let texts: Vec<String> = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
    let mut keys = Vec::new();
    for text in &texts {
        let bytes = base64::decode(text).map_err(|fault| damaged(fault.to_string()))?;
        keys.push(Key::new(&bytes).map_err(|fault| damaged(fault.to_string()))?);
    }
    let unversioned = Keys::new(0, keys.clone()).ok_or_else(|| damaged("it holds no key".to_owned()))?;
    // The version is that of these keys only; somebody may have put others there.
    let version = read_if_there(&folder.join(VERSION))?
        .and_then(|text| serde_json::from_slice::<KeysSeen>(&text).ok())
        .filter(|seen| seen.ids == unversioned.seen().ids)
        .map_or(0, |seen| seen.version);
    Ok(Keys::new(version, keys))
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, KeyringError> {
    match fs::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path)(error)),
    }
}

/// Both files, for their owner alone; the keys first: a version without its keys counts for nothing.
fn write(folder: &Path, keys: &Keys) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let list = serde_json::to_string_pretty(&keys.told().keys).expect("texts are JSON");
    // A file that is written aside is its owner's alone from its first byte on.
    write_aside(&folder.join(KEYS), list.as_bytes())?;
    let version = serde_json::to_string(&keys.seen()).expect("texts are JSON");
    write_aside(&folder.join(VERSION), version.as_bytes())
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> KeyringError {
    move |source| KeyringError::File { path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::config::{Flags, load};

    fn key(byte: u8) -> Key {
        Key::new(&[byte; 16]).unwrap()
    }

    fn config(folder: &Path, encrypt: Option<Key>) -> Config {
        let line = format!("-data-dir={} -bind=127.0.0.1", folder.display());
        let flags = Flags::parse(line.split_whitespace().map(String::from)).unwrap();
        Config { encrypt, ..load(&flags).unwrap() }
    }

    #[test]
    fn the_file_begins_with_the_configured_key_and_then_holds() {
        let folder = tempfile::tempdir().unwrap();
        assert!(keyring(&config(folder.path(), None)).unwrap().is_none());
        let ring = keyring(&config(folder.path(), Some(key(1)))).unwrap().unwrap();
        let changed = ring.now().with(key(2)).unwrap().using(&[2; 16]).unwrap();
        ring.replace(changed.clone()).unwrap();
        let path = folder.path().join("serf/local.keyring");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let text = "[\n  \"AgICAgICAgICAgICAgICAg==\",\n  \"AQEBAQEBAQEBAQEBAQEBAQ==\"\n]";
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        for encrypt in [None, Some(key(1)), Some(key(3))] {
            let again = keyring(&config(folder.path(), encrypt)).unwrap().unwrap();
            assert_eq!(*again.now(), changed);
        }
        let unkept = Config { keyring_file: false, ..config(folder.path(), Some(key(3))) };
        assert_eq!(keyring(&unkept).unwrap().unwrap().now().primary(), &key(3));
    }

    #[test]
    fn a_list_that_somebody_put_there_is_read_and_what_is_none_ends_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let ring = keyring(&config(folder.path(), Some(key(1)))).unwrap().unwrap();
        ring.replace(ring.now().with(key(2)).unwrap()).unwrap();
        let path = folder.path().join("serf/local.keyring");
        fs::write(&path, r#"["AwMDAwMDAwMDAwMDAwMDAw=="]"#).unwrap();
        let keys = keyring(&config(folder.path(), None)).unwrap().unwrap().now();
        assert_eq!((keys.version(), keys.all()), (0, &[key(3)][..]));
        for text in ["", "{}", "[]", r#"["x"]"#, r#"["AAAA"]"#] {
            fs::write(&path, text).unwrap();
            let error = keyring(&config(folder.path(), None)).unwrap_err();
            assert!(matches!(error, KeyringError::Damaged { .. }), "{text}: {error}");
        }
    }
}
