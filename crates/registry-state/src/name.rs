//! Keys, which are bytes, and names, which compare without regard to case.

use std::{borrow::Borrow, fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::serde_bytes;

/// A key of the key-value store: any bytes, compared as bytes. Cloning copies a pointer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<[u8]>);

impl Key {
    /// The key of these bytes.
    pub fn new(bytes: impl AsRef<[u8]>) -> Self {
        Self(Arc::from(bytes.as_ref()))
    }

    /// The key's bytes; not always UTF-8.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key as text, with U+FFFD for what is not UTF-8, as answers show it.
    pub fn to_text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }

    /// Whether the key starts with these bytes.
    pub fn starts_with(&self, prefix: &[u8]) -> bool {
        self.0.starts_with(prefix)
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl Default for Key {
    fn default() -> Self {
        Self::new([])
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<&[u8]> for Key {
    fn from(bytes: &[u8]) -> Self {
        Self::new(bytes)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", crate::error::quoted(&self.0))
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_bytes::deserialize(deserializer).map(Self::new)
    }
}

/// A name as it compares: lower case. Two spellings of a node, service or check are one `Caseless`; the entry keeps
/// the spelling it was registered with. Cloning copies a pointer.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Caseless(Arc<str>);

impl Caseless {
    /// The comparable form of a name.
    pub fn new(name: &str) -> Self {
        if name.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) {
            return Self(Arc::from(name));
        }
        Self(Arc::from(name.to_lowercase()))
    }

    /// Whether this spelling is this name; allocates nothing for ASCII.
    pub fn is(&self, name: &str) -> bool {
        if name.is_ascii() { name.eq_ignore_ascii_case(&self.0) } else { *self == Self::new(name) }
    }

    /// The name in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Caseless {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl fmt::Debug for Caseless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_compare_without_case_and_keys_with_it() {
        assert_eq!(Caseless::new("Wéb-É"), Caseless::new("wéb-é"));
        assert!(
            Caseless::new("Web").is("wEB") && Caseless::new("É").is("é") && !Caseless::new("web").is("web2")
        );
        assert_ne!(Key::from("A"), Key::from("a"));
        assert_eq!(Key::new([0xff, b'a']).to_text(), "\u{fffd}a");
    }
}
