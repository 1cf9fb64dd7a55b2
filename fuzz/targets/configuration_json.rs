//! An agent's configuration as JSON, in a file as configuration management writes them: understood, or refused with its place.
#![no_main]

use std::{fs, path::PathBuf};

use agent::config::{Flags, load};
use libfuzzer_sys::fuzz_target;

/// Keys whose values name what would be read from this machine.
const OF_THIS_MACHINE: [&str; 5] = ["file", "dir", "path", "_ca", "{{"];

thread_local! {
    static FILE: PathBuf = PathBuf::from(format!("/dev/shm/ryo-fuzz-{}.json", std::process::id()));
}

fuzz_target!(|text: &str| {
    let lower = text.to_ascii_lowercase();
    // JSON may hide letters behind escapes.
    if lower.contains("\\u") || OF_THIS_MACHINE.iter().any(|word| lower.contains(word)) {
        return;
    }
    FILE.with(|file| {
        fs::write(file, text).expect("memory for a small file");
        let words = [
            "-dev".into(),
            "-bind=127.0.0.1".into(),
            "-node=n".into(),
            format!("-config-file={}", file.display()),
        ];
        let flags = Flags::parse(words).expect("the target's own flags");
        if let Err(error) = load(&flags) {
            assert!(!error.to_string().is_empty(), "refused without a word: {text}");
        }
    });
});
