//! The shared key's base64, with the errors that Go's decoder gives.

/// Decodes a key of 16, 24 or 32 bytes.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, String> {
    let mut bits: u32 = 0;
    let mut bytes = Vec::new();
    let (body, padding) = match text.find('=') {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    for (at, c) in body.bytes().enumerate() {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return Err(format!("illegal base64 data at input byte {at}")),
        };
        bits = (bits << 6) | u32::from(value);
        match at % 4 {
            1 => bytes.push((bits >> 4) as u8),
            2 => bytes.push((bits >> 2) as u8),
            3 => bytes.push(bits as u8),
            _ => {}
        }
    }
    let missing = (4 - body.len() % 4) % 4;
    if missing == 3 || padding.len() != missing || padding.bytes().any(|c| c != b'=') {
        return Err(format!("illegal base64 data at input byte {}", body.len() / 4 * 4));
    }
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
