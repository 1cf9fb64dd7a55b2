//! Runs recorded scenarios against a registry, an agent or a watcher.
//!
//! A suite is a folder of scenarios in text beside this crate's sources; the program under test is a parameter. What all
//! suites need lies here: options, verdicts, the subject's process, a blocking HTTP client, globs and patterns. How one
//! suite reads and judges its scenarios lies in the folder of its name. `faults` runs no scenarios: servers under load are killed
//! and cut off, and `history` judges what clients saw. Neither does `calls`: templates are evaluated beside consul-template. The formats are described in `README.md`.

use std::{path::PathBuf, thread, time::Duration};

pub mod calls;
pub mod case;
pub mod cli;
pub mod client;
pub mod dns;
pub mod faults;
pub mod glob;
pub mod history;
pub mod http;
pub mod known;
pub mod options;
pub mod pattern;
pub mod ports;
pub mod serve;
pub mod subject;
pub mod template;

/// The folder a suite's scenarios lie in, `conformance/<suite>`.
pub fn data(suite: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(suite)
}

/// Lets the calling thread wait, while a real program is at work.
#[expect(
    clippy::disallowed_methods,
    reason = "threads of the runner wait for other processes; there is no runtime to block"
)]
pub fn pause(time: Duration) {
    thread::sleep(time);
}
