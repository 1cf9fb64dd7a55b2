//! Where an answer ends, and the little of it that a load tool looks at.

use anyhow::{Context as _, bail};

/// A whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// `X-Consul-Index`, 0 without one.
    pub(super) index: u64,
    /// Bytes of head and body together.
    pub(super) length: usize,
}

impl Answer {
    /// Reads the answer at the start of `bytes`; `None` when its end has not come yet.
    ///
    /// Errors when this is not HTTP or the body's end cannot be known.
    pub(super) fn read(bytes: &[u8]) -> anyhow::Result<Option<Self>> {
        const END: &[u8] = b"\r\n\r\n";
        let Some(head_end) = bytes.windows(END.len()).position(|four| four == END) else {
            return Ok(None);
        };
        let (head, body) = (&bytes[..head_end], &bytes[head_end + END.len()..]);
        let status = head.get(9..12).and_then(number).context("the answer is not HTTP")?;
        let status = u16::try_from(status).expect("three digits fit");
        let (mut index, mut body_length) = (0, None);
        for line in head.split(|b| *b == b'\n').skip(1) {
            if let Some(value) = value_of(line, b"content-length") {
                body_length = number(value).and_then(|length| usize::try_from(length).ok());
            } else if let Some(value) = value_of(line, b"x-consul-index") {
                index = number(value).unwrap_or_default();
            } else if value_of(line, b"transfer-encoding").is_some() {
                body_length = match chunks_end(body)? {
                    Some(end) => Some(end),
                    None => return Ok(None),
                };
            }
        }
        let Some(body_length) = body_length else { bail!("an answer with neither length nor chunks") };
        let length = head_end + END.len() + body_length;
        Ok((bytes.len() >= length).then_some(Self { status, index, length }))
    }
}

fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (before, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":")?;
    before.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Where a chunked body ends, trailers included.
fn chunks_end(body: &[u8]) -> anyhow::Result<Option<usize>> {
    let mut at = 0;
    loop {
        let rest = body.get(at..).unwrap_or_default();
        let Some(line) = rest.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
        let digits = rest[..line].split(|b| *b == b';').next().unwrap_or_default();
        let digits = std::str::from_utf8(digits.trim_ascii())?;
        let size = usize::from_str_radix(digits, 16).context("a chunk without a size")?;
        at += line + 2 + size + 2;
        if size == 0 {
            return Ok((body.len() >= at).then_some(at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Answer;

    #[test]
    fn an_answer_is_whole_only_with_its_last_byte() {
        let plain = b"HTTP/1.1 200 OK\r\nx-consul-index: 7\r\nContent-Length: 3\r\n\r\nabc".as_slice();
        let chunked =
            b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".as_slice();
        for (bytes, status, index) in [(plain, 200, 7), (chunked, 404, 0)] {
            for end in 0..bytes.len() {
                assert_eq!(Answer::read(&bytes[..end]).unwrap(), None);
            }
            let whole = Answer { status, index, length: bytes.len() };
            assert_eq!(Answer::read(bytes).unwrap(), Some(whole));
        }
    }

    #[test]
    fn what_has_no_end_is_an_error() {
        assert!(Answer::read(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n").is_err());
        assert!(Answer::read(b"SSH-2.0-x\r\n\r\n").is_err());
    }
}
