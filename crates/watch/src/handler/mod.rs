//! Who is told of a change: a program, or a URL.

mod http;
mod program;

use daemon::child;

use crate::Change;

pub use http::HttpHandler;

/// So many bytes of what a handler says are kept.
const OUTPUT_BYTES_MAX: usize = 4096;

/// Who is told of a change. One at a time: the next change waits until this one has been handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handler {
    /// A program with its words, run directly: `["/usr/local/bin/mail-it", "-to", "ops"]`.
    Program(Vec<String>),
    /// A line for a shell.
    Shell(String),
    /// A URL.
    Http(HttpHandler),
}

impl Handler {
    /// Hands a change over; what went wrong stands in the log. Dropping the future ends the handler.
    pub(crate) async fn handle(&self, change: &Change) {
        let input = [&change.data[..], b"\n"].concat();
        match self {
            Self::Program(args) => program::run(args, format!("{args:?}"), &input, change.index).await,
            Self::Shell(line) => {
                let args = child::by_shell(line);
                program::run(&args, line.clone(), &input, change.index).await;
            }
            Self::Http(handler) => handler.send(input, change.index).await,
        }
    }
}
