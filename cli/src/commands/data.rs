//! Data given on the command line: the text itself, `@file`, or `-` for standard input.

use std::{io::Read as _, path::Path};

use crate::client::system_words;

/// Reads what a data argument stands for.
///
/// Errors in words for the user when the file or standard input cannot be read.
pub(crate) fn read(argument: &str) -> Result<Vec<u8>, String> {
    match argument.strip_prefix('@') {
        Some(path) => file(path).map_err(|why| format!("Failed to read file: {why}")),
        None if argument == "-" => standard_input(),
        None => Ok(argument.as_bytes().to_vec()),
    }
}

/// Reads a file, or standard input for `-`.
pub(crate) fn file_or_input(name: &str) -> Result<Vec<u8>, String> {
    match name {
        "-" => standard_input(),
        name => file(name).map_err(|why| format!("Failed to read file: {why}")),
    }
}

/// All of a file. Errors as in `open web.hcl: no such file or directory`.
pub(crate) fn file(path: impl AsRef<Path>) -> Result<Vec<u8>, String> {
    std::fs::read(&path).map_err(|e| cannot_open(path, &e))
}

/// Why a file cannot be opened, with its name.
pub(crate) fn cannot_open(path: impl AsRef<Path>, error: &std::io::Error) -> String {
    format!("open {}: {}", path.as_ref().display(), system_words(error))
}

/// All of standard input.
pub(crate) fn standard_input() -> Result<Vec<u8>, String> {
    let mut data = Vec::new();
    let read = std::io::stdin().lock().read_to_end(&mut data);
    read.map(|_| data).map_err(|e| format!("Failed to read stdin: {}", system_words(&e)))
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn only_a_lone_dash_is_standard_input() {
        assert_eq!(read("-5").unwrap(), b"-5");
        assert_eq!(read("").unwrap(), b"");
        assert_eq!(
            read("@/nowhere").unwrap_err(),
            "Failed to read file: open /nowhere: no such file or directory"
        );
    }
}
