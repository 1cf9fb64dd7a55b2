//! What the loop does, told to whoever wants to know: the one seam for metrics, status, `explain` and notices.
//!
//! Observers are told in the order in which things happen, while they happen: they take note and return at once.

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    answers::{Answer, Asked},
    query::Query,
};

/// Somebody who is told what happens.
pub trait Observer: Send + Sync {
    /// Takes note. It must neither block nor fail.
    fn see(&self, event: &Event<'_>);
}

/// The template, and the file it makes, that an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subject<'a> {
    /// Its source as in messages: a path, or `(dynamic)`.
    pub source: &'a str,
    /// Its destination; empty when it has none.
    pub destination: &'a str,
}

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// These templates are looked after from now on: at the start, and after the configuration was read again.
    Began {
        /// All of them, in the order of the configuration.
        templates: &'a [Subject<'a>],
    },
    /// A list of `for_each` made or gave up templates: these are looked after now.
    FannedOut {
        /// All of them.
        templates: &'a [Subject<'a>],
    },
    /// The configuration is read again; [`Event::Began`] or [`Event::NotReread`] follows.
    Rereading,
    /// The configuration or a template could not be read again; what ran before goes on.
    NotReread {
        /// Why.
        reason: &'a str,
    },
    /// A question found an answer that differs from the known one.
    Answered {
        /// The question.
        query: &'a Query,
        /// What was known before; `None` at the first time.
        before: Option<&'a Answer>,
        /// What is known now.
        now: &'a Answer,
    },
    /// A question finds no answer at the moment; told once, until [`Event::Answered`] or [`Event::AnswersAgain`].
    Failing {
        /// The question.
        query: &'a Query,
        /// Why.
        reason: &'a str,
    },
    /// A failing question is answered again, whether or not the answer is another one.
    AnswersAgain {
        /// The question.
        query: &'a Query,
    },
    /// An answer is not believed yet, because it empties what was full after the registry was away.
    Doubted {
        /// The question.
        query: &'a Query,
        /// For how long it is held back.
        limit: Duration,
    },
    /// A template was evaluated.
    Evaluated {
        /// The template.
        template: Subject<'a>,
        /// What it asked, and what it still waits for.
        asked: &'a Asked,
        /// The questions whose new answers caused it; none at the start and after a reload.
        causes: &'a [Query],
        /// Whether a text came of it, or why none did.
        outcome: Evaluation<'a>,
    },
    /// A text waits; the file stays as it is.
    HeldBack {
        /// The template.
        template: Subject<'a>,
        /// What it waits for.
        reason: Hold<'a>,
    },
    /// The file was written.
    Written {
        /// The template.
        template: Subject<'a>,
        /// The bytes before; `None` when there was no file.
        before: Option<&'a [u8]>,
        /// The bytes now.
        now: &'a [u8],
        /// Whether the configuration says that nobody shall see it.
        is_secret: bool,
        /// The questions whose new answers made the difference.
        causes: &'a [Query],
    },
    /// The file had these bytes already.
    Unchanged {
        /// The template.
        template: Subject<'a>,
    },
    /// The check refused a text; the file stays as it is and the text is checked again later.
    Rejected {
        /// The template.
        template: Subject<'a>,
        /// What the check said.
        reason: &'a str,
    },
    /// The file could not be written; it is tried again.
    NotWritten {
        /// The template.
        template: Subject<'a>,
        /// Why.
        reason: &'a str,
    },
    /// A command failed, and the bytes before are back in the file.
    RolledBack {
        /// The template.
        template: Subject<'a>,
        /// How the command failed.
        reason: &'a str,
    },
    /// A command was asked for by a change.
    CommandQueued {
        /// Its words.
        words: &'a [String],
        /// The template that asked.
        template: Subject<'a>,
    },
    /// A command begins.
    CommandStarted {
        /// Its words.
        words: &'a [String],
    },
    /// A command ended.
    CommandEnded {
        /// Its words.
        words: &'a [String],
        /// How long it ran, waiting for locks not counted.
        took: Duration,
        /// Why it did not do its work.
        failure: Option<&'a str>,
        /// When it is tried again.
        again: Option<Instant>,
    },
    /// All templates are rendered and stand in their files; told at each first time after a start or a reload.
    Ready,
    /// The program ends.
    Stopping,
}

/// What came of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evaluation<'a> {
    /// A whole text.
    Text(&'a [u8]),
    /// Answers are missing; [`Asked::missing`] names them.
    Waiting,
    /// The template is wrong, or the data are.
    Failed(&'a str),
}

/// What a text waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold<'a> {
    /// Further changes (`wait`), until then.
    Quiet(Instant),
    /// A guard does not believe it; the text says why, and what would let it through.
    Guard(&'a str),
}

/// All who are told.
#[derive(Clone, Default)]
pub(crate) struct Observers(Vec<Arc<dyn Observer>>);

impl Observers {
    pub(crate) fn add(&mut self, observer: Arc<dyn Observer>) {
        self.0.push(observer);
    }

    pub(super) fn tell(&self, event: Event<'_>) {
        for observer in &self.0 {
            observer.see(&event);
        }
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} observers", self.0.len())
    }
}
