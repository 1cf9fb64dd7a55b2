//! The shared key, which is base64.

use link::{BadKey, Key};
use registry_wire::base64;

/// A text that is no key, in Consul's words.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    /// It is not base64.
    #[error("encrypt has invalid key: {0}")]
    Text(String),
    /// It has another length than a key.
    #[error("Failed to configure keyring: Invalid key: {0}")]
    Length(#[from] BadKey),
}

/// Decodes a key of 16, 24 or 32 bytes.
pub(super) fn decode(text: &str) -> Result<Key, Unfit> {
    let bytes = base64::decode(text).map_err(|fault| Unfit::Text(fault.to_string()))?;
    Ok(Key::new(&bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_their_length() {
        let said = |text| decode(text).unwrap_err().to_string();
        assert_eq!(said("short"), "encrypt has invalid key: illegal base64 data at input byte 4");
        let length = "Failed to configure keyring: Invalid key: key size must be 16, 24 or 32 bytes";
        assert_eq!((said("AAAA").as_str(), said("//8=").as_str()), (length, length));
        assert_eq!(decode("AAAAAAAAAAAAAAAAAAAAAA==").unwrap().secret().len(), 16);
    }
}
