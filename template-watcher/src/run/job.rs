//! A command that was asked for: by which templates, what must be undone when it fails, and when it is due.

use std::path::PathBuf;

use tokio::time::Instant;

use super::{
    observe::Subject,
    pending::Note,
    slot::{Names, Slot},
};
use crate::{
    action::Action,
    command::CommandError,
    config::{Pace, go_list},
    render::Outcome,
};

/// The bytes to which a file returns when its command fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Undo {
    pub(super) destination: PathBuf,
    /// What the file held when the command worked last.
    pub(super) before: Vec<u8>,
    /// What it was given since.
    pub(super) text: Vec<u8>,
}

/// A command, and for whom it runs.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) action: Action,
    /// The templates that asked; at least one.
    asked_by: Vec<Names>,
    /// The notes that it has still to run.
    notes: Vec<Note>,
    pub(super) undo: Vec<Undo>,
    /// How often it has failed so far.
    pub(super) failures: u32,
    pub(super) due: Instant,
    /// It is due, and waits for another command or for a member of its group; their ends wake the loop.
    pub(super) is_blocked: bool,
    /// Its failure, after which the files before returned.
    pub(super) went_back: Option<String>,
}

impl Job {
    pub(super) fn new(action: Action, names: Names, note: Option<Note>, undo: Option<Undo>) -> Self {
        Self {
            action,
            asked_by: vec![names],
            notes: note.into_iter().collect(),
            undo: undo.into_iter().collect(),
            failures: 0,
            due: Instant::now(),
            is_blocked: false,
            went_back: None,
        }
    }

    pub(super) fn words(&self) -> &[String] {
        &self.action.program.words
    }

    /// Source and destination of the template that asked first, for messages.
    pub(super) fn names(&self) -> (&str, &str) {
        self.asked_by.first().map_or(("", ""), |names| (&names.0, &names.1))
    }

    pub(super) fn subject(&self) -> Subject<'_> {
        let (source, destination) = self.names();
        Subject { source, destination }
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.words() == other.words()
    }

    /// Counts for a later one too. Files return to what they held before the first of both.
    pub(super) fn join(&mut self, later: Self) {
        for names in later.asked_by {
            if !self.asked_by.contains(&names) {
                self.asked_by.push(names);
            }
        }
        for note in later.notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        for undo in later.undo {
            match self.undo.iter_mut().find(|mine| mine.destination == undo.destination) {
                Some(mine) => mine.text = undo.text,
                None => self.undo.push(undo),
            }
        }
        self.went_back = None;
    }

    /// Counts for an earlier one too, which has failed.
    pub(super) fn join_before(&mut self, earlier: Self) {
        let later = std::mem::replace(self, earlier);
        let (due, failures) = (later.due, later.failures);
        self.join(later);
        (self.due, self.failures) = (due, failures);
    }

    /// Whether there are files to which the bytes before can return.
    pub(super) fn can_go_back(&self) -> bool {
        !self.undo.is_empty()
    }

    /// Whether all templates of its group are written; without a group they need not be.
    pub(super) fn is_complete(&self, slots: &[Slot]) -> bool {
        let Action { name, pace: Pace { all_members, .. }, .. } = &self.action;
        let is_member = |slot: &&Slot| slot.action.as_ref().is_some_and(|action| action.name == *name);
        let is_written = |slot: &Slot| slot.rendered && !matches!(slot.outcome, Some(Outcome::Text(_)));
        !all_members || slots.iter().filter(is_member).all(is_written)
    }

    /// Nothing is to be run any more, but what `newer` wants.
    pub(super) fn give_up(&self, newer: Option<&Self>) {
        let is_newer = |note: &&Note| newer.is_some_and(|newer| newer.notes.contains(note));
        self.notes.iter().filter(|note| !is_newer(note)).for_each(Note::clear);
    }

    pub(super) fn message(&self, error: &CommandError) -> String {
        let words = go_list(self.words());
        let (source, destination) = self.names();
        format!("failed to execute command {words:?} from {source:?} => {destination:?}: {error}")
    }
}
