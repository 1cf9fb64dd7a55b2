//! The keys of one node: what it calls others with, and whom it lets in. They change while it runs.
//!
//! A new key is installed everywhere, then made the primary one everywhere, then the old one is removed: at no moment there are
//! two nodes without a key in common. Who was away meanwhile still gets in with the old one while that is installed.

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use registry_wire::base64;
use rustls::pki_types::CertificateDer;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::{
    Key,
    calls::{KeysSeen, KeysTold},
    key,
};

/// How many keys may be installed. A fleet has two while it changes them; each is tried in turn on somebody who knows another.
pub const KEYS_MAX: usize = 8;

/// The keys of one node; clones share them. The first is the primary one, with which it calls others.
#[derive(Clone)]
pub struct Keyring(Arc<Shared>);

struct Shared {
    now: watch::Sender<Arc<Keys>>,
    keep: Option<Keep>,
    /// The version that the log has heard of last.
    told: AtomicU64,
}

/// Puts keys where a restart finds them.
pub type Keep = Box<dyn Fn(&Keys) -> io::Result<()> + Send + Sync>;

/// Keys at one moment, and how often they have changed in their datacenter: of two servers' keys, those with more changes hold.
#[derive(Clone)]
pub struct Keys {
    version: u64,
    keys: Vec<Key>,
    acceptor: TlsAcceptor,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyring(hidden)")
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("version", &self.version).field("count", &self.keys.len()).finish()
    }
}

impl PartialEq for Keys {
    fn eq(&self, other: &Self) -> bool {
        (self.version, &self.keys) == (other.version, &other.keys)
    }
}

/// Why a key is not used or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefused {
    /// It must be installed first.
    #[error("Requested key is not in the keyring")]
    Unknown,
    /// Another one must be primary first.
    #[error("Removing the primary key is not allowed")]
    Primary,
    /// One must be removed first.
    #[error("there are {KEYS_MAX} keys already: remove one first")]
    TooMany,
}

impl From<Key> for Keyring {
    /// A ring of this key alone, which nothing keeps.
    fn from(key: Key) -> Self {
        Self::new(Keys::new(0, vec![key]).expect("one key"), None)
    }
}

impl Keyring {
    /// A ring of these keys, and of what puts later ones where a restart finds them.
    pub fn new(keys: Keys, keep: Option<Keep>) -> Self {
        Self(Arc::new(Shared { now: watch::Sender::new(Arc::new(keys)), keep, told: AtomicU64::default() }))
    }

    /// The keys as they are now.
    pub fn now(&self) -> Arc<Keys> {
        self.0.now.borrow().clone()
    }

    /// Replaces the keys: those who connect from now on meet them, links call with the primary one from their next call on, and
    /// connections that were made with a key that is gone end. Writes a file.
    ///
    /// Errors when they cannot be kept; then nothing has changed.
    pub fn replace(&self, keys: Keys) -> io::Result<()> {
        if *self.now() != keys {
            if let Some(keep) = &self.0.keep {
                keep(&keys)?;
            }
            self.0.now.send_replace(Arc::new(keys));
        }
        Ok(())
    }

    /// [`Keyring::replace`], away from those who wait for the network.
    pub async fn replace_aside(&self, keys: Keys) -> io::Result<()> {
        let ring = self.clone();
        let replaced = tokio::task::spawn_blocking(move || ring.replace(keys)).await;
        replaced.unwrap_or_else(|panicked| Err(io::Error::other(panicked)))
    }

    /// Does as the leader tells, away from those who wait for the network: it writes a file. Whether the keys are others now.
    ///
    /// What cannot be kept is logged, once for the same keys, and not used: the leader will tell it again.
    pub async fn follow(self, told: KeysTold) -> bool {
        let Some(keys) = Keys::of(&told).filter(|keys| *self.now() != *keys) else { return false };
        let version = keys.version;
        let replaced = self.replace_aside(keys).await;
        let told = self.0.told.swap(version, Relaxed) == version;
        match &replaced {
            Ok(()) => tracing::info!(target: "agent", version, "the keyring has changed"),
            Err(error) if !told => {
                tracing::error!(target: "agent", %error, "cannot keep the fleet's new keys; trying again");
            }
            Err(_) => {}
        }
        replaced.is_ok()
    }

    /// Returns once this key is no longer installed.
    pub(crate) async fn lost(&self, key: &Key) {
        let mut now = self.0.now.subscribe();
        let gone = now.wait_for(|keys| !keys.keys.contains(key)).await.is_ok();
        if !gone {
            // Nobody can change them any more.
            std::future::pending::<()>().await;
        }
    }
}

impl Keys {
    /// These keys, the primary one first; `None` when there is none. Of more than [`KEYS_MAX`] the first count.
    pub fn new(version: u64, mut keys: Vec<Key>) -> Option<Self> {
        keys.truncate(KEYS_MAX);
        (!keys.is_empty()).then(|| Self { version, acceptor: key::acceptor(&keys), keys })
    }

    /// How often they have changed.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// All of them, the primary one first.
    pub fn all(&self) -> &[Key] {
        &self.keys
    }

    /// The one that this node calls others with.
    pub fn primary(&self) -> &Key {
        &self.keys[0]
    }

    /// The same with one more; as they are when it is there already.
    pub fn with(&self, key: Key) -> Result<Self, KeyRefused> {
        match self.keys.contains(&key) {
            true => Ok(self.clone()),
            false if self.keys.len() >= KEYS_MAX => Err(KeyRefused::TooMany),
            false => Ok(self.changed(self.keys.iter().cloned().chain([key]).collect())),
        }
    }

    /// The same with another primary key, which must be installed.
    pub fn using(&self, secret: &[u8]) -> Result<Self, KeyRefused> {
        let (mut first, rest): (Vec<_>, Vec<_>) =
            self.keys.iter().cloned().partition(|key| key.secret() == secret);
        match first.first() {
            None => Err(KeyRefused::Unknown),
            Some(key) if key == self.primary() => Ok(self.clone()),
            Some(_) => {
                first.extend(rest);
                Ok(self.changed(first))
            }
        }
    }

    /// The same without a key; as they are when it is not there.
    pub fn without(&self, secret: &[u8]) -> Result<Self, KeyRefused> {
        if self.primary().secret() == secret {
            return Err(KeyRefused::Primary);
        }
        match self.keys.iter().any(|key| key.secret() == secret) {
            true => {
                Ok(self.changed(self.keys.iter().filter(|key| key.secret() != secret).cloned().collect()))
            }
            false => Ok(self.clone()),
        }
    }

    /// Which they are, for others that may know them.
    pub fn seen(&self) -> KeysSeen {
        KeysSeen { version: self.version, ids: self.keys.iter().map(|key| key.id().to_owned()).collect() }
    }

    /// They themselves, for nodes of the same fleet.
    pub fn told(&self) -> KeysTold {
        let keys = self.keys.iter().map(|key| base64::encode(key.secret())).collect();
        KeysTold { version: self.version, keys }
    }

    /// The keys that another node has told; `None` when one of them is no key, or there is none.
    pub fn of(told: &KeysTold) -> Option<Self> {
        let key = |text: &String| Key::new(&base64::decode(text).ok()?).ok();
        Self::new(told.version, told.keys.iter().map(key).collect::<Option<_>>()?)
    }

    fn changed(&self, keys: Vec<Key>) -> Self {
        Self::new(self.version + 1, keys).expect("the primary key stays")
    }

    /// The installed key that a peer has shown.
    pub(crate) fn shown(&self, shown: &[CertificateDer<'_>]) -> Option<Key> {
        let shown = shown.first()?;
        self.keys.iter().find(|key| key.is_shown(shown)).cloned()
    }

    pub(crate) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> Key {
        Key::new(&[byte; 16]).unwrap()
    }

    #[test]
    fn a_key_is_changed_in_three_steps_and_in_no_other_order() {
        let first = Keys::new(0, vec![key(1)]).unwrap();
        assert_eq!(first.using(&[2; 16]), Err(KeyRefused::Unknown));
        assert_eq!(first.without(&[1; 16]), Err(KeyRefused::Primary));
        assert_eq!(first.without(&[2; 16]), Ok(first.clone()));
        let both = first.with(key(2)).unwrap();
        assert_eq!((both.version(), both.primary(), both.all().len()), (1, &key(1), 2));
        assert_eq!(both.with(key(2)), Ok(both.clone()));
        let used = both.using(&[2; 16]).unwrap();
        assert_eq!((used.version(), used.all()), (2, &[key(2), key(1)][..]));
        assert_eq!(used.without(&[2; 16]), Err(KeyRefused::Primary));
        let last = used.without(&[1; 16]).unwrap();
        assert_eq!((last.version(), last.all()), (3, &[key(2)][..]));
    }

    #[test]
    fn there_is_an_end_to_keys() {
        let mut keys = Keys::new(0, vec![key(0)]).unwrap();
        for byte in 1..8 {
            keys = keys.with(key(byte)).unwrap();
        }
        assert_eq!(keys.with(key(8)), Err(KeyRefused::TooMany));
    }

    #[test]
    fn what_cannot_be_kept_is_not_used() {
        let keys = Keys::new(0, vec![key(1)]).unwrap();
        let ring = Keyring::new(keys.clone(), Some(Box::new(|_| Err(io::ErrorKind::StorageFull.into()))));
        ring.replace(keys.with(key(2)).unwrap()).unwrap_err();
        assert_eq!(*ring.now(), keys);
    }
}
