//! Percent encoding as Go's `net/url` reads and writes it; on bytes, for keys are bytes.

/// A `%` without two hex digits after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid URL escape")]
pub struct BadEscape;

/// Decodes a path or a part of it: `a%2Fb` is `a/b`, `+` stays.
pub fn decode_path(text: &str) -> Result<Vec<u8>, BadEscape> {
    decode(text, false)
}

/// Decodes a name or value of a query string: `a+b%21` is `a b!`.
pub fn decode_query(text: &str) -> Result<Vec<u8>, BadEscape> {
    decode(text, true)
}

fn decode(text: &str, plus_is_space: bool) -> Result<Vec<u8>, BadEscape> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || bytes.next().and_then(|b| (b as char).to_digit(16)).ok_or(BadEscape);
                (digit()? * 16 + digit()?) as u8
            }
            b'+' if plus_is_space => b' ',
            other => other,
        });
    }
    Ok(decoded)
}

/// Encodes a name or value for a query string: letters, digits and `-_.~` stay, a space is `+`.
pub fn encode_query(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => text.push(byte as char),
            b' ' => text.push('+'),
            _ => {
                text.push('%');
                for digit in [byte >> 4, byte & 15] {
                    text.push(b"0123456789ABCDEF"[digit as usize] as char);
                }
            }
        }
    }
    text
}

/// Bytes as text with U+FFFD for each byte that is not part of a UTF-8 sequence, as Go shows them.
pub fn lossy(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|_| text.push('\u{fffd}'));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_bytes_and_refuses_bad_escapes() {
        assert_eq!(decode_path("a%2Fb+c%fF"), Ok(b"a/b+c\xff".to_vec()));
        assert_eq!(decode_query("a+b%21"), Ok(b"a b!".to_vec()));
        for bad in ["%", "%2", "%zz", "a%2"] {
            assert_eq!(decode_path(bad), Err(BadEscape), "{bad}");
        }
    }

    #[test]
    fn encodes_as_go_and_shows_bytes_as_go() {
        assert_eq!(encode_query("a b/ü~".as_bytes()), "a+b%2F%C3%BC~");
        assert_eq!(lossy(b"a\xe2\x82z\xff"), "a\u{fffd}\u{fffd}z\u{fffd}");
    }
}
