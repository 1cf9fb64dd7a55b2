//! The end of an answer's body, unpacked where the check asked for it packed.

use std::io::{self, Write};

use daemon::Tail;
use flate2::write::GzDecoder;
use reqwest::Response;

/// Reads to the end of the body, or as far as it comes: what is missing changes nothing, for the status has been said.
pub(super) async fn end_of(answer: &mut Response, said: &mut Said) {
    while let Ok(Some(bytes)) = answer.chunk().await {
        if said.hear(&bytes).is_err() {
            return;
        }
    }
}

/// What was said so far.
pub(super) enum Said {
    Plain(Kept),
    Gzip(GzDecoder<Kept>),
}

/// A tail that can be written to.
pub(super) struct Kept(Tail);

impl Said {
    pub(super) fn new(is_packed: bool, bytes_max: usize) -> Self {
        let kept = Kept(Tail::new(bytes_max));
        if is_packed { Self::Gzip(GzDecoder::new(kept)) } else { Self::Plain(kept) }
    }

    fn hear(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(kept) => kept.write_all(bytes),
            Self::Gzip(packed) => packed.write_all(bytes),
        }
    }

    /// The last bytes, as text.
    pub(super) fn into_end(self) -> String {
        match self {
            Self::Plain(kept) => kept.0.into_end(),
            Self::Gzip(mut packed) => {
                // A body that is cut off, or was never packed, shows what could be read.
                let _ = packed.try_finish();
                std::mem::replace(&mut packed.get_mut().0, Tail::new(0)).into_end()
            }
        }
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
