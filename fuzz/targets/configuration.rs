//! Configuration files: HCL and JSON, as such and as an agent's configuration.
#![no_main]

use agent::config::{Flags, load};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let _ = hcl1::parse("f.hcl", text);
    let _ = hcl1::parse_json("f.json", text);
    let Ok(text) = std::str::from_utf8(text) else { return };
    // What these name would be read from this machine.
    if text.contains("file") || text.contains("dir") || text.contains("_ca") {
        return;
    }
    let words = ["-dev", "-bind=127.0.0.1", "-node=n"].map(String::from).into_iter();
    let Ok(flags) = Flags::parse(words.chain([format!("-hcl={text}")])) else { return };
    let _ = load(&flags);
});
