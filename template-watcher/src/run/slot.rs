//! One template while it runs: its text, what it asked, what came of it, and when it is due.

use std::{sync::Arc, time::Duration};

use indexmap::IndexSet;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::{
    fan::Fan,
    observe::{Evaluation, Event, Hold, Observers, Subject},
    pending::Note,
};
use crate::{
    action::Action,
    answers::{Answers, Asked, Known, Surroundings},
    config::TemplateConfig,
    expect::{Counts, entries},
    output::{Stamp, stamp},
    query::Query,
    render::{Body, Outcome, render},
    source,
};

/// The first and the longest pause before a file that could not be written is written again.
pub(super) const WRITE_PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The same before a refused candidate is checked again: a check may have failed for want of memory, of a name server,
/// or of a certificate that comes later, and nothing but another look can tell.
pub(super) const CHECK_PAUSE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

pub(super) struct Slot {
    source: String,
    destination: String,
    pub(super) config: TemplateConfig,
    pub(super) action: Option<Action>,
    /// The note that its command has still to run.
    pub(super) note: Option<Note>,
    /// Where its answers are shared, if they are.
    pub(super) share: Option<String>,
    /// Whether a process before this one left its command undone.
    pub(super) is_left_undone: bool,
    /// Whether its command runs once even if its file needs no change.
    pub(super) runs_first: bool,
    surroundings: Arc<Surroundings>,
    text: Vec<u8>,
    body: Option<Box<dyn Body>>,
    pub(super) asked: Asked,
    /// The questions whose answers have changed since it was evaluated.
    pub(super) causes: IndexSet<Query>,
    /// The same since its file was dealt with.
    pub(super) causes_so_far: IndexSet<Query>,
    /// An answer it used has changed since it was rendered.
    pub(super) dirty: bool,
    /// What came of the last rendering; taken away once it is dealt with.
    pub(super) outcome: Option<Outcome>,
    /// Its file stands as it should, at least once.
    pub(super) rendered: bool,
    timer: Option<Timer>,
    /// What was told last about this template, so that it is told once.
    pub(super) told: Option<String>,
    /// How its file looked when it was dealt with last.
    stands: Option<Stamp>,
    /// The digest of the text that was dealt with last, in place or printed: thousands of texts would take room.
    last: Option<Digest>,
    again: Option<(Instant, Duration)>,
    /// The text that was taken back last, and the pause after it.
    taken_back: Option<(Vec<u8>, Duration)>,
    /// What its lists held when its file was dealt with last.
    pub(super) counts: Option<Counts>,
    /// Since when a guard holds its text back.
    held: Option<Instant>,
    /// Its lines are the items of another template, instead of a file.
    pub(super) fan: Option<Fan>,
}

/// What tells texts apart.
type Digest = [u8; 32];

fn digest(text: &[u8]) -> Digest {
    Sha256::digest(text).into()
}

/// Source and destination.
pub(super) type Names = (String, String);

/// Waits for further changes.
#[derive(Clone, Copy, Debug)]
struct Timer {
    due: Instant,
    at_the_latest: Instant,
}

impl Slot {
    /// Reads the template's text. Errors in the recorded words when there is none.
    pub(super) fn load(config: TemplateConfig, environment: &[(String, String)]) -> Result<Self, String> {
        let (source, destination) = (config.source.name(), config.destination_name());
        let (config, fan) = match Fan::of(&config) {
            Some((config, fan)) => (config, Some(fan)),
            None => (config, None),
        };
        let text = source::text(&config.source)?;
        let surroundings = source::surroundings(&config, environment);
        Ok(Self {
            source,
            destination,
            config,
            action: None,
            note: None,
            share: None,
            is_left_undone: false,
            runs_first: false,
            surroundings,
            text,
            body: None,
            asked: Asked::default(),
            causes: IndexSet::new(),
            causes_so_far: IndexSet::new(),
            dirty: true,
            outcome: None,
            rendered: false,
            timer: None,
            told: None,
            stands: None,
            last: None,
            again: None,
            taken_back: None,
            counts: None,
            held: None,
            fan,
        })
    }

    /// Its text.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Source and destination, for messages.
    pub(super) fn names(&self) -> Names {
        (self.source.clone(), self.destination.clone())
    }

    /// The same for observers.
    pub(super) fn subject(&self) -> Subject<'_> {
        Subject { source: &self.source, destination: &self.destination }
    }

    /// Says what is done after its changes, and finds out whether that was left undone.
    pub(super) fn act_by(&mut self, action: Option<Action>) {
        self.note = self.config.destination.as_deref().filter(|_| action.is_some()).map(Note::of);
        self.runs_first = self.config.run_on_start;
        self.is_left_undone = self.note.as_ref().is_some_and(Note::is_there);
        self.action = action;
    }

    /// Understands the text, unless that has been done.
    pub(super) fn read(&mut self) -> Result<(), String> {
        if self.body.is_none() {
            self.body = Some(source::body(&self.config, &self.text)?);
        }
        Ok(())
    }

    /// Renders with the answers known, and remembers what came of it; tells whether it asked something else than before.
    pub(super) fn render(&mut self, answers: &Arc<Answers>, observers: &Observers) -> bool {
        self.dirty = false;
        let causes: Vec<Query> = self.causes.drain(..).collect();
        if let Err(reason) = self.read() {
            self.tell_evaluated(observers, &causes, Evaluation::Failed(&reason));
            self.outcome = Some(Outcome::Unreadable(reason));
            return false;
        }
        let Some(body) = &self.body else { return false };
        let (mut asked, outcome) = render(body.as_ref(), answers, &self.surroundings);
        if matches!(outcome, Outcome::Failed(_)) {
            // What it asked before may be what heals it.
            asked.used.extend(self.asked.used.iter().cloned());
        }
        let asks_else = asked.used != self.asked.used;
        self.asked = asked;
        let seen = match &outcome {
            Outcome::Text(text) => Evaluation::Text(text),
            Outcome::Waiting => Evaluation::Waiting,
            Outcome::Unreadable(reason) | Outcome::Failed(reason) => Evaluation::Failed(reason),
        };
        self.tell_evaluated(observers, &causes, seen);
        self.causes_so_far.extend(causes);
        // The first text after a start or a new configuration waits for nothing.
        let wait = self.config.wait.filter(|_| self.rendered && self.last.is_some());
        self.timer = match (&outcome, wait) {
            (Outcome::Text(text), Some(wait)) if !self.is_last(text) => {
                let now = Instant::now();
                let at_the_latest = self.timer.map_or(now + wait.max, |timer| timer.at_the_latest);
                Some(Timer { due: (now + wait.min).min(at_the_latest), at_the_latest })
            }
            _ => None,
        };
        if !matches!(outcome, Outcome::Text(_)) {
            self.held = None;
        }
        // A pause is for the text that failed; another one may be better.
        if self.outcome.as_ref() != Some(&outcome) {
            self.again = None;
        }
        self.outcome = Some(outcome);
        asks_else
    }

    /// Whether a new answer may change its text, or what its guards count.
    pub(super) fn is_concerned(&self, query: &Query, before: Option<&Known>, now: &Known) -> bool {
        let counted = || {
            self.config.expect.is_any()
                && before.map(|before| entries(before.answer())) != Some(entries(now.answer()))
        };
        self.asked.is_changed_by(query, before, now) || (self.asked.has(query) && counted())
    }

    fn tell_evaluated(&self, observers: &Observers, causes: &[Query], outcome: Evaluation<'_>) {
        let (template, asked) = (self.subject(), &self.asked);
        observers.tell(Event::Evaluated { template, asked, causes, outcome });
    }

    /// When it must be looked at again although nothing changed.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let timer = self.timer.map(|timer| timer.due);
        let again = self.again.map(|(at, _)| at);
        let believed = self.held.zip(self.config.guard_for).map(|(since, limit)| since + limit);
        timer.into_iter().chain(again).chain(believed).min()
    }

    /// Whether its text still waits for further changes or for another try.
    pub(super) fn is_held(&self, once: bool, observers: &Observers) -> bool {
        let now = Instant::now();
        let timer = self.timer.filter(|timer| now < timer.due && !once);
        if let Some(Timer { due, .. }) = timer {
            observers.tell(Event::HeldBack { template: self.subject(), reason: Hold::Quiet(due) });
        }
        timer.is_some() || self.again.is_some_and(|(at, _)| now < at)
    }

    /// Whether its text could not be put in place before. What a check says may name its own process, so that equal
    /// words do not show it.
    pub(super) fn is_tried_again(&self) -> bool {
        self.again.is_some()
    }

    /// Whether this is the text that was dealt with last.
    pub(super) fn is_last(&self, text: &[u8]) -> bool {
        self.last.is_some_and(|last| last == digest(text))
    }

    /// Its text has been dealt with.
    pub(super) fn settle(&mut self, text: &[u8]) {
        self.timer = None;
        self.again = None;
        self.held = None;
        self.stands = self.look();
        self.last = Some(digest(text));
    }

    /// Whether somebody else has changed its file, or taken it away, since it was dealt with.
    pub(super) fn is_touched(&self) -> bool {
        let is_done = self.rendered && self.outcome.is_none() && !self.dirty && self.last.is_some();
        is_done && self.look() != self.stands
    }

    fn look(&self) -> Option<Stamp> {
        self.config.destination.as_deref().and_then(stamp)
    }

    /// A guard does not permit its text, which is kept; tells whether it has waited for long enough all the same.
    pub(super) fn hold(&mut self, text: &[u8]) -> bool {
        let since = *self.held.get_or_insert_with(Instant::now);
        let is_over = self.config.guard_for.is_some_and(|limit| since.elapsed() >= limit);
        if !is_over {
            (self.timer, self.again) = (None, None);
            self.outcome = Some(Outcome::Text(text.to_owned()));
        }
        is_over
    }

    /// Its text was taken back. It is kept for later, unless another one has come.
    pub(super) fn refuse(&mut self, text: Vec<u8>, (first, longest): (Duration, Duration)) {
        let pause = match &self.taken_back {
            Some((known, pause)) if *known == text => (*pause * 2).min(longest),
            _ => first,
        };
        self.taken_back = Some((text.clone(), pause));
        self.last = None;
        if self.outcome.is_none() {
            self.outcome = Some(Outcome::Text(text));
            self.again = Some((Instant::now() + pause, pause));
        }
    }

    /// Its text could not be put in place; it is kept and tried again.
    pub(super) fn try_later(&mut self, text: Vec<u8>, (first, longest): (Duration, Duration)) {
        let pause = self.again.map_or(first, |(_, pause)| (pause * 2).min(longest));
        self.again = Some((Instant::now() + pause, pause));
        (self.timer, self.held) = (None, None);
        self.outcome = Some(Outcome::Text(text));
    }

    /// Tells something once, until something else is to be told; says whether it was.
    pub(super) fn tell(&mut self, reason: String) -> bool {
        let is_new = self.told.as_ref() != Some(&reason);
        if is_new {
            tracing::error!(target: "runner", "{reason}");
            self.told = Some(reason);
        }
        is_new
    }

    /// Something that was told does not hold any more.
    pub(super) fn tell_over(&mut self) {
        if self.told.take().is_some() {
            let (source, destination) = self.names();
            tracing::warn!(target: "runner", "{source:?} => {destination:?} is in order again");
        }
    }
}
