//! The end of what a program or a peer said: the first bytes go when there are too many.

use std::collections::VecDeque;

/// Keeps the last bytes of a stream and counts all of them.
#[derive(Debug)]
pub struct Tail {
    kept: VecDeque<u8>,
    bytes_max: usize,
    total: usize,
}

impl Tail {
    /// Keeps at most so many bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self { kept: VecDeque::new(), bytes_max, total: 0 }
    }

    /// Takes what was said next.
    pub fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len();
        let bytes = &bytes[bytes.len().saturating_sub(self.bytes_max)..];
        let too_many = (self.kept.len() + bytes.len()).saturating_sub(self.bytes_max);
        self.kept.drain(..too_many);
        self.kept.extend(bytes);
    }

    /// The text alone, whatever is missing: what an HTTP check shows of a body.
    pub fn into_end(self) -> String {
        String::from_utf8_lossy(&Vec::from(self.kept)).into_owned()
    }

    /// The text, with a word about what is missing: `Captured 4096 of 9000 bytes\n...\n`.
    pub fn into_text(self) -> String {
        let kept: Vec<u8> = self.kept.into();
        let text = String::from_utf8_lossy(&kept);
        if self.total > kept.len() {
            return format!("Captured {} of {} bytes\n...\n{text}", kept.len(), self.total);
        }
        text.into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::Tail;

    #[test]
    fn the_last_bytes_stay() {
        let mut tail = Tail::new(5);
        tail.push(b"ab");
        tail.push(b"cdefgh");
        assert_eq!(tail.into_text(), "Captured 5 of 8 bytes\n...\ndefgh");
        let mut long = Tail::new(2);
        long.push(b"abc");
        assert_eq!(long.into_end(), "bc");
        let mut short = Tail::new(5);
        short.push(b"abc");
        assert_eq!(short.into_text(), "abc");
    }
}
