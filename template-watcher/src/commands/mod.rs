//! The watcher's own commands, beside running: what a person or a build asks of templates without touching a file in place.
//!
//! One file a command. Their exit codes: 0 done, 1 a test failed or something was found, 13 wrong flags, 14 a template or
//! the registry failed, 15 a file of ours cannot be read.

mod explain;
mod lint;
mod record;
mod render;
mod test;
mod words;

use std::io::Write as _;

use daemon::Exit;

/// Why a command ends, and what it says on standard error.
#[derive(Debug, PartialEq, Eq)]
struct Failed(Exit, String);

impl Failed {
    fn flags(text: impl Into<String>) -> Self {
        Self(Exit::BadFlags, text.into())
    }

    fn file(text: impl Into<String>) -> Self {
        Self(Exit::BadConfig, text.into())
    }

    fn run(text: impl Into<String>) -> Self {
        Self(Exit::RunFailed, text.into())
    }
}

type Command = fn(&str, &[String]) -> Result<Exit, Failed>;

const COMMANDS: &[(&str, Command)] =
    &[("explain", explain::main), ("lint", lint::main), ("render", render::main), ("test", test::main)];

/// Runs one of the watcher's own commands when the first word names one.
pub(crate) fn run(program: &str, words: &[String]) -> Option<Exit> {
    let (first, rest) = words.split_first()?;
    let (_, command) = COMMANDS.iter().find(|(name, _)| name == first)?;
    Some(match command(program, rest) {
        Ok(exit) => exit,
        Err(Failed(exit, text)) => {
            note(&text);
            exit
        }
    })
}

/// Writes to standard output. A reader that went away has seen enough.
fn print(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

#[expect(clippy::print_stderr, reason = "commands say on standard error why they end")]
fn note(text: &str) {
    eprintln!("{}", text.trim_end());
}
