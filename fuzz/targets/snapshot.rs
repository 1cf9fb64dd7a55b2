//! Snapshot files and records of the log; a state that can be read must be writable and readable again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use registry_state::codec::{decode_commands, encode_commands, read_snapshot, write_snapshot};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(commands) = decode_commands(bytes) {
        decode_commands(&encode_commands(&commands)).expect("what we write can be read");
    }
    if let Ok(state) = read_snapshot(bytes) {
        let mut written = Vec::new();
        write_snapshot(&state, &mut written).expect("a vector takes all");
        read_snapshot(written.as_slice()).expect("what we write can be read");
    }
});
