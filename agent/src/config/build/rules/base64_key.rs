//! The shared key, which is base64.

use registry_wire::base64;

/// Decodes a key of 16, 24 or 32 bytes.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, String> {
    let bytes = base64::decode(text).map_err(|fault| fault.to_string())?;
    match bytes.len() {
        16 | 24 | 32 => Ok(bytes),
        _ => Err("key size must be 16, 24 or 32 bytes".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_their_length() {
        assert_eq!(decode("short"), Err("illegal base64 data at input byte 4".into()));
        assert_eq!(decode("AAAAAAAAAAAAAAAAAAAAAA==").map(|key| key.len()), Ok(16));
        assert_eq!(decode("AAAA"), Err("key size must be 16, 24 or 32 bytes".into()));
        assert_eq!(decode("//8="), Err("key size must be 16, 24 or 32 bytes".into()));
    }
}
