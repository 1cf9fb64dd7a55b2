//! Texts with bytes in them that are no UTF-8, as a key's value may be: handled as text, and none of them lost.

use go_template::Value;

use super::{bytes, string};

/// The characters that stand for the bytes 0x80 to 0xff, at the end of the private ones.
const STAND_INS: u32 = 0x0010_ff00;

/// The texts of some arguments. A byte that is no UTF-8 is one character, as it is to Go.
pub(super) struct Texts<const N: usize> {
    texts: [String; N],
    has_stand_ins: bool,
}

impl<const N: usize> Texts<N> {
    /// Reads arguments that the signature says are strings.
    pub(super) fn of(args: [&Value; N]) -> Self {
        let has_stand_ins = args.iter().any(|arg| std::str::from_utf8(bytes(arg)).is_err());
        let read = |arg: &Value| if has_stand_ins { with_stand_ins(bytes(arg)) } else { string(arg) };
        Texts { texts: args.map(read), has_stand_ins }
    }

    /// The texts.
    pub(super) fn get(&self) -> [&str; N] {
        self.texts.each_ref().map(String::as_str)
    }

    /// A text that was made of them, with its bytes again.
    pub(super) fn back(&self, text: &str) -> Vec<u8> {
        if !self.has_stand_ins {
            return text.as_bytes().to_vec();
        }
        let mut out = Vec::with_capacity(text.len());
        for c in text.chars() {
            match u32::from(c).checked_sub(STAND_INS).map(u8::try_from) {
                Some(Ok(byte @ 0x80..)) => out.push(byte),
                _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        out
    }
}

/// Makes a text of some.
pub(super) fn made<const N: usize>(
    args: [&Value; N],
    make: impl FnOnce([&str; N]) -> String,
) -> Result<Value, String> {
    let texts = Texts::of(args);
    Ok(Value::from(texts.back(&make(texts.get()))))
}

/// Makes a list of texts of some.
pub(super) fn parts<const N: usize>(
    args: [&Value; N],
    make: impl FnOnce([&str; N]) -> Vec<String>,
) -> Vec<Vec<u8>> {
    let texts = Texts::of(args);
    make(texts.get()).iter().map(|part| texts.back(part)).collect()
}

fn with_stand_ins(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().filter_map(|byte| char::from_u32(STAND_INS + u32::from(*byte))));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_come_back() {
        let value = Value::from(b"a\xff\xc3\xa9\xfe".as_slice());
        let kept = made([&value], |[text]| {
            assert_eq!(text.chars().count(), 4);
            text.to_uppercase()
        });
        assert_eq!(kept.unwrap().as_bytes(), Some(b"A\xff\xc3\x89\xfe".as_slice()));
        let private = Value::from("\u{10ffff}");
        assert_eq!(made([&private], |[text]| text.to_owned()).unwrap().as_bytes(), private.as_bytes());
    }
}
