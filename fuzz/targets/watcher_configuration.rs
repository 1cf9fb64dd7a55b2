//! Configuration of the watcher, files and flags: whatever they say, they are taken or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use template_watcher::config::{Config, invocation};

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let _ = Config::of_text(text);
    let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    // What these name would be read from this machine.
    if !words.iter().any(|word| word.contains("config") || word.contains("file")) {
        let _ = invocation("ryo-watch", &words);
    }
});
