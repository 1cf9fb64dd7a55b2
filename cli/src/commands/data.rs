//! Data given on the command line: the text itself, `@file`, or `-` for standard input.

use std::io::Read as _;

use registry_wire::base64;

use crate::client::system_words;

/// Reads what a data argument stands for.
///
/// Errors in words for the user when the file or standard input cannot be read.
pub(crate) fn read(argument: &str) -> Result<Vec<u8>, String> {
    if let Some(path) = argument.strip_prefix('@') {
        return std::fs::read(path)
            .map_err(|e| format!("Failed to read file: open {path}: {}", system_words(&e)));
    }
    if argument != "-" {
        return Ok(argument.as_bytes().to_vec());
    }
    let mut data = Vec::new();
    match std::io::stdin().lock().read_to_end(&mut data) {
        Ok(_) => Ok(data),
        Err(e) => Err(format!("Failed to read stdin: {}", system_words(&e))),
    }
}

/// Decodes padded base64; with an error it gives what could be decoded before it.
pub(crate) fn decode(text: &[u8]) -> (Vec<u8>, Option<String>) {
    let text: String =
        text.iter().map(|byte| char::from(*byte)).filter(|c| !matches!(c, '\r' | '\n')).collect();
    match base64::decode(&text) {
        Ok(data) => (data, None),
        Err(error) => {
            let before = text.get(..error.0 / 4 * 4).unwrap_or_default();
            (base64::decode(before).unwrap_or_default(), Some(error.to_string()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{decode, read};

    #[test]
    fn only_a_lone_dash_is_standard_input() {
        assert_eq!(read("-5").unwrap(), b"-5");
        assert_eq!(read("").unwrap(), b"");
        assert_eq!(
            read("@/nowhere").unwrap_err(),
            "Failed to read file: open /nowhere: no such file or directory"
        );
    }

    #[test]
    fn wrong_base64_tells_where() {
        assert_eq!(decode(b"aGVs\nbG8="), (b"hello".to_vec(), None));
        assert_eq!(decode(b"***"), (Vec::new(), Some("illegal base64 data at input byte 0".into())));
        assert_eq!(decode(b"aGVs*"), (b"hel".to_vec(), Some("illegal base64 data at input byte 4".into())));
    }
}
