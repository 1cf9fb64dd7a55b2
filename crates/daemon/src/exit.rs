//! Exit codes, the same for every program unless its page says otherwise.

use std::process::ExitCode;

/// How a program ended, as its supervisor sees it.
///
/// The watcher's codes are consul-template's (its `cli.go` documents 12 to 15 as stable); the others are Consul's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All went well, help or version was asked for.
    Success,
    /// The program could not do what was asked; the reason is on standard error.
    Failure,
    /// `members` found nobody, or a child command failed.
    NoMatch,
    /// The watcher was stopped by its kill signal.
    Interrupted,
    /// The watcher's flags were wrong.
    BadFlags,
    /// The watcher failed at run time: a template, a command, a write, the registry.
    RunFailed,
    /// The watcher's configuration could not be loaded.
    BadConfig,
    /// No or an unknown command was named.
    UnknownCommand,
    /// The code of a supervised child, passed on.
    Child(u8),
}

impl Exit {
    /// The number the supervisor gets.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::NoMatch => 2,
            Self::Interrupted => 12,
            Self::BadFlags => 13,
            Self::RunFailed => 14,
            Self::BadConfig => 15,
            Self::UnknownCommand => 127,
            Self::Child(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
