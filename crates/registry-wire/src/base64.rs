//! Base64 as Go's decoder reads it: padded, line ends passed over, with its words for what is wrong.

/// Why a text is no base64: `illegal base64 data at input byte 3`. Its writer is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("illegal base64 data at input byte {0}")]
pub struct BadBase64(pub usize);

/// Encodes bytes in the standard alphabet, padded.
pub fn encode(bytes: &[u8]) -> String {
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes)
}

/// Decodes a text; bits after the last whole byte count for nothing (as in Go).
pub fn decode(text: &str) -> Result<Vec<u8>, BadBase64> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    read(text.as_bytes(), &mut bytes).map(|()| bytes)
}

/// Decodes as far as it goes: the whole groups before what is wrong, and what that is.
pub fn decode_before(text: &[u8]) -> (Vec<u8>, Option<BadBase64>) {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let problem = read(text, &mut bytes).err();
    if problem.is_some() {
        bytes.truncate(bytes.len() / 3 * 3);
    }
    (bytes, problem)
}

fn read(text: &[u8], bytes: &mut Vec<u8>) -> Result<(), BadBase64> {
    let (mut bits, mut digits): (u32, usize) = (0, 0);
    let mut rest = text.iter().copied().enumerate().filter(|(_, c)| !matches!(c, b'\r' | b'\n'));
    while let Some((at, c)) = rest.next() {
        if c == b'=' {
            return padded(at, digits, &mut rest, text.len());
        }
        bits = (bits << 6) | u32::from(digit(c).ok_or(BadBase64(at))?);
        digits += 1;
        match digits % 4 {
            2 => bytes.push((bits >> 4) as u8),
            3 => bytes.push((bits >> 2) as u8),
            0 => bytes.push(bits as u8),
            _ => {}
        }
    }
    // Where the last group of four would begin.
    let whole = text.len() - digits % 4;
    if digits % 4 == 0 { Ok(()) } else { Err(BadBase64(whole)) }
}

/// Whether what follows the first `=` at this place is right: one more after two digits, none after three, then nothing.
fn padded(
    at: usize,
    digits: usize,
    rest: &mut impl Iterator<Item = (usize, u8)>,
    length: usize,
) -> Result<(), BadBase64> {
    match digits % 4 {
        0 | 1 => return Err(BadBase64(at)),
        2 => match rest.next() {
            None => return Err(BadBase64(length)),
            Some((second, c)) if c != b'=' => return Err(BadBase64(second - 1)),
            Some(_) => {}
        },
        _ => {}
    }
    rest.next().map_or(Ok(()), |(more, _)| Err(BadBase64(more)))
}

fn digit(c: u8) -> Option<u8> {
    match c {
        b'A'..=b'Z' => Some(c - b'A'),
        b'a'..=b'z' => Some(c - b'a' + 26),
        b'0'..=b'9' => Some(c - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_where_go_finds_them() {
        let table = [
            ("x", 0),
            ("AA", 0),
            ("AA=", 3),
            ("AA==x", 4),
            ("AA=x", 2),
            ("A===", 1),
            ("=", 0),
            ("AAAAA", 4),
            ("A=", 1),
            ("short", 4),
            ("a?", 1),
        ];
        for (text, at) in table {
            assert_eq!(decode(text), Err(BadBase64(at)), "{text}");
        }
    }

    #[test]
    fn what_is_before_a_mistake_is_kept() {
        assert_eq!(decode_before(b"aGVs\nbG8="), (b"hello".to_vec(), None));
        assert_eq!(decode_before(b"***"), (Vec::new(), Some(BadBase64(0))));
        assert_eq!(decode_before(b"aGVs*"), (b"hel".to_vec(), Some(BadBase64(4))));
        assert_eq!(decode_before(b"value\n"), (vec![0xbd, 0xa9, 0x6e], Some(BadBase64(5))));
    }

    #[test]
    fn padded_texts_are_read() {
        assert_eq!(decode("aGVs\nbG8="), Ok(b"hello".to_vec()));
        assert_eq!(decode("AA\n=="), Ok(vec![0]));
        assert_eq!(decode("//8="), Ok(vec![255, 255]));
        assert_eq!(decode(""), Ok(Vec::new()));
    }
}
