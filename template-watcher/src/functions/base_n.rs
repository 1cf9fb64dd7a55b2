//! Base64 and base32 read as Go reads them: newlines do not count, nor do bits that are left over, and errors have a place.

/// The last two digits of base64.
pub(super) const STANDARD: [u8; 2] = *b"+/";
/// The same where the text stands in a URL.
pub(super) const FOR_URLS: [u8; 2] = *b"-_";

/// The bytes behind base64, or in Go's words what is wrong with it.
pub(super) fn from_base64(text: &[u8], last: [u8; 2]) -> Result<Vec<u8>, String> {
    let wrong = |at| format!("illegal base64 data at input byte {at}");
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut group, mut at) = (Vec::with_capacity(4), 0);
    while let Some(byte) = text.get(at) {
        at += 1;
        match digit(*byte, last) {
            Some(digit) => group.push(digit),
            None if matches!(byte, b'\r' | b'\n') => {}
            None if *byte == b'=' && group.len() >= 2 => {
                let end = padding_end(text, at, group.len()).map_err(wrong)?;
                add(&group, 6, &mut out);
                return if end == text.len() { Ok(out) } else { Err(wrong(end)) };
            }
            None => return Err(wrong(at - 1)),
        }
        if group.len() == 4 {
            add(&group, 6, &mut out);
            group.clear();
        }
    }
    if group.is_empty() { Ok(out) } else { Err(wrong(at - group.len())) }
}

/// Where the padding ends whose first sign has been read, or where it is wrong.
fn padding_end(text: &[u8], at: usize, digits: usize) -> Result<usize, usize> {
    let skipped = |at: usize| at + text[at..].iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    let mut end = skipped(at);
    if digits == 2 {
        match text.get(end) {
            None => return Err(text.len()),
            Some(b'=') => end = skipped(end + 1),
            Some(_) => return Err(end - 1),
        }
    }
    Ok(end)
}

fn digit(byte: u8, last: [u8; 2]) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        _ => last.iter().position(|known| *known == byte).and_then(|at| u8::try_from(at + 62).ok()),
    }
}

/// The bytes behind base32, or in Go's words what is wrong with it.
pub(super) fn from_base32(text: &[u8]) -> Result<Vec<u8>, String> {
    let wrong = |at| Err(format!("illegal base32 data at input byte {at}"));
    let text: Vec<u8> = text.iter().copied().filter(|b| !matches!(b, b'\r' | b'\n')).collect();
    let mut out = Vec::with_capacity(text.len() / 8 * 5);
    for (at, group) in text.chunks(8).enumerate() {
        let (at, is_last) = (at * 8, text.len() <= at * 8 + 8);
        let digits: Vec<u8> = group.iter().map_while(|byte| digit_of_32(*byte)).collect();
        let rest = &group[digits.len()..];
        let place = at + digits.len();
        match rest.first() {
            None if digits.len() == 8 => {}
            None => return wrong(at),
            Some(b'=') if is_last && digits.len() >= 2 => {
                if group.len() < 8 {
                    return wrong(text.len());
                }
                if let Some(other) = rest.iter().position(|byte| *byte != b'=') {
                    return wrong(place + other - 1);
                }
                if matches!(digits.len(), 3 | 6) {
                    return wrong(place);
                }
            }
            Some(_) => return wrong(place),
        }
        add(&digits, 5, &mut out);
    }
    Ok(out)
}

fn digit_of_32(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'2'..=b'7' => Some(byte - b'2' + 26),
        _ => None,
    }
}

/// Adds the whole bytes that digits of so many bits make.
fn add(digits: &[u8], bits: usize, out: &mut Vec<u8>) {
    let all = digits.iter().fold(0u64, |all, digit| (all << bits) | u64::from(*digit));
    let length = digits.len() * bits / 8;
    let bytes = (all << (64 - digits.len() * bits)).to_be_bytes();
    out.extend_from_slice(&bytes[..length]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_as_go_reads_it() {
        let read = |text: &str| from_base64(text.as_bytes(), STANDARD);
        for (text, bytes) in [("YWJj", "abc"), ("YR==", "a"), ("YW\nI=\r\n", "ab"), ("", ""), ("YQ=\n=", "a")]
        {
            assert_eq!(read(text), Ok(bytes.as_bytes().to_vec()), "{text:?}");
        }
        for (text, at) in [
            ("x", 0),
            ("\r\nx", 2),
            ("YQ", 0),
            ("YQ=", 3),
            ("YWJjY", 4),
            ("ME======", 4),
            ("Y!==", 1),
            ("YQ=a", 2),
            ("YWI=x", 4),
        ] {
            assert_eq!(read(text), Err(format!("illegal base64 data at input byte {at}")), "{text:?}");
        }
        assert_eq!(from_base64(b"_-8=", FOR_URLS), Ok(vec![0xff, 0xef]));
    }

    #[test]
    fn base32_is_read_as_go_reads_it() {
        let read = |text: &str| from_base32(text.as_bytes());
        for (text, bytes) in [("MFRGG===", "abc"), ("M\nE======\n", "a"), ("MF======", "a"), ("", "")] {
            assert_eq!(read(text), Ok(bytes.as_bytes().to_vec()), "{text:?}");
        }
        for (text, at) in
            [("5.", 1), ("HTTP20xOK", 5), ("ME", 0), ("ME==", 4), ("MFR=====", 3), ("ME==x===", 3), ("=", 0)]
        {
            assert_eq!(read(text), Err(format!("illegal base32 data at input byte {at}")), "{text:?}");
        }
    }
}
