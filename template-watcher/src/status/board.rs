//! The board: writes down what observers are told.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::Utc;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::view::{Action, Question, State, Status, TemplateStatus, Time, Write};
use crate::{
    answers::Answer,
    diff,
    functions::hex,
    observe::{Evaluation, Event, Hold, Observer, Subject},
};

/// Files up to this size are kept as they were before the last change, so that the change can be shown.
const KEPT_MAX: usize = 256 * 1024;

/// How often templates are evaluated before questions that nobody asks any more are forgotten.
const FORGET_EACH: u64 = 1024;

/// What is known of the loop. Shared between it and those who ask.
pub(crate) struct Board(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    status: Status,
    /// Where a template stands in the list, by source and destination.
    places: HashMap<(String, String), usize>,
    /// The bytes before the last change, by the template's place.
    before: HashMap<usize, Vec<u8>>,
}

impl Board {
    /// An empty board of a program that starts now.
    pub(crate) fn new() -> Self {
        let status = Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: Utc::now(),
            ..Status::default()
        };
        Self(Mutex::new(Inner { status, ..Inner::default() }))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known now.
    pub(crate) fn status(&self) -> Status {
        let mut inner = self.inner();
        inner.forget();
        inner.status.clone()
    }

    /// What the last change of each file of this name did, secrets masked; all files when the name is empty.
    ///
    /// Files that have been changed by others since, and files too large to be kept, say so.
    pub(crate) fn last_changes(&self, destination: &str) -> String {
        let inner = self.inner();
        let mut text = String::new();
        for (place, template) in inner.status.templates.iter().enumerate() {
            let Some(write) = &template.last_write else { continue };
            if !destination.is_empty() && template.destination != destination {
                continue;
            }
            text.push_str(&changed(template, write, inner.before.get(&place).map(Vec::as_slice)));
        }
        text
    }
}

fn changed(template: &TemplateStatus, write: &Write, before: Option<&[u8]>) -> String {
    let name = &template.destination;
    let note = |reason: &str| format!("--- {name}\n+++ {name}\n({reason})\n");
    match (before, std::fs::read(name)) {
        _ if write.is_secret => diff::hidden(name),
        (None, _) => note("the bytes before are too many to be kept"),
        (_, Err(error)) => note(&error.to_string()),
        (_, Ok(now)) if digest(&now) != write.now => note("somebody else has changed the file since"),
        (Some(before), Ok(now)) => diff::unified(before, &now, name),
    }
}

impl Observer for Board {
    fn see(&self, event: &Event<'_>) {
        self.inner().see(event, Utc::now());
    }
}

impl Inner {
    /// Long, for it is one arm an event.
    fn see(&mut self, event: &Event<'_>, now: Time) {
        match *event {
            Event::Began { templates } => {
                self.status.counts.reloads += u64::from(!self.status.templates.is_empty());
                self.status.ready = false;
                self.status.reload_error = None;
                self.begin(templates, now);
            }
            Event::FannedOut { templates } => self.begin(templates, now),
            Event::Rereading => {}
            Event::NotReread { reason } => {
                self.status.counts.reloads_failed += 1;
                self.status.reload_error = Some(reason.to_owned());
            }
            Event::Answered { query, now: answer, .. } => {
                self.status.counts.answers += 1;
                let question = self.question(&query.to_string(), "answered", now);
                question.answer = in_words(answer);
                question.changes += 1;
                question.changed = Some(now);
            }
            Event::AnswersAgain { query } => {
                self.question(&query.to_string(), "answered", now);
            }
            Event::Failing { query, reason } => {
                reason.clone_into(&mut self.question(&query.to_string(), "failing", now).reason);
            }
            Event::Doubted { query, limit } => {
                self.status.counts.doubted += 1;
                let limit = registry_wire::duration::format(limit);
                self.question(&query.to_string(), "doubted", now).reason =
                    format!("suddenly empty after the registry was away; not believed for {limit}");
            }
            Event::Evaluated { template, asked, outcome, .. } => {
                self.status.counts.evaluations += 1;
                for query in &asked.used {
                    let fresh =
                        Question { state: "unanswered".to_owned(), since: now, ..Question::default() };
                    self.status.questions.entry(query.to_string()).or_insert(fresh);
                }
                self.evaluated(template, asked, outcome, now);
                if self.status.counts.evaluations.is_multiple_of(FORGET_EACH) {
                    self.forget();
                }
            }
            Event::HeldBack { template, reason } => {
                let reason = match reason {
                    Hold::Quiet(due) => {
                        format!("waits for further changes until {}", clock(from_instant(due, now)))
                    }
                    Hold::Guard(reason) => reason.to_owned(),
                };
                self.status.counts.held += u64::from(self.turn(template, State::Held, &reason, now));
            }
            Event::Written { template, before, now: bytes, is_secret, causes } => {
                self.written(template, before, bytes, causes, now);
                if is_secret {
                    self.hide(template);
                }
            }
            Event::Unchanged { template } => {
                self.status.counts.unchanged += 1;
                self.turn(template, State::InPlace, "", now);
            }
            Event::Rejected { template, reason } => {
                self.status.counts.rejected += 1;
                self.turn(template, State::Rejected, reason, now);
            }
            Event::NotWritten { template, reason } => {
                self.status.counts.not_written += 1;
                self.turn(template, State::NotWritten, reason, now);
            }
            Event::RolledBack { template, reason } => {
                self.status.counts.rolled_back += 1;
                self.turn(template, State::RolledBack, reason, now);
            }
            Event::CommandQueued { words, template } => {
                if let Some(found) = self.template(template) {
                    let words = words.to_vec();
                    found.action =
                        Some(Action { words, state: "queued".to_owned(), at: now, ..Action::default() });
                }
            }
            Event::CommandStarted { words } => {
                for action in self.actions(words) {
                    (action.state, action.at) = ("running".to_owned(), now);
                }
            }
            Event::CommandEnded { words, took, failure, again } => {
                self.ended(words, took, failure, again, now)
            }
            Event::Ready => self.status.ready = true,
            Event::Stopping => self.status.stopping = true,
        }
    }

    fn begin(&mut self, templates: &[Subject<'_>], now: Time) {
        let mut before = HashMap::new();
        for (place, template) in std::mem::take(&mut self.status.templates).into_iter().enumerate() {
            let key = (template.source.clone(), template.destination.clone());
            before.insert(key, (template, self.before.remove(&place)));
        }
        self.places.clear();
        self.before.clear();
        for (place, subject) in templates.iter().enumerate() {
            let key = (subject.source.to_owned(), subject.destination.to_owned());
            let (template, kept) = before.remove(&key).unwrap_or_else(|| {
                let (source, destination) = key.clone();
                (TemplateStatus { source, destination, since: now, ..TemplateStatus::default() }, None)
            });
            self.status.templates.push(template);
            self.before.extend(kept.map(|bytes| (place, bytes)));
            self.places.insert(key, place);
        }
    }

    fn question(&mut self, id: &str, state: &str, now: Time) -> &mut Question {
        let question = self.status.questions.entry(id.to_owned()).or_default();
        if question.state != state {
            state.clone_into(&mut question.state);
            question.since = now;
        }
        question.reason.clear();
        question
    }

    fn place(&self, subject: Subject<'_>) -> Option<usize> {
        self.places.get(&(subject.source.to_owned(), subject.destination.to_owned())).copied()
    }

    fn template(&mut self, subject: Subject<'_>) -> Option<&mut TemplateStatus> {
        let place = self.place(subject)?;
        self.status.templates.get_mut(place)
    }

    /// Puts a template into a state; tells whether it was in another one.
    fn turn(&mut self, subject: Subject<'_>, state: State, reason: &str, now: Time) -> bool {
        let Some(template) = self.template(subject) else { return false };
        let other = template.state != state;
        if other {
            template.since = now;
        }
        template.state = state;
        reason.clone_into(&mut template.reason);
        other
    }

    fn evaluated(
        &mut self,
        subject: Subject<'_>,
        asked: &crate::answers::Asked,
        outcome: Evaluation<'_>,
        now: Time,
    ) {
        match outcome {
            Evaluation::Text(_) => self.turn(subject, State::Rendered, "", now),
            Evaluation::Waiting => self.turn(subject, State::Waiting, "", now),
            Evaluation::Failed(reason) => {
                self.status.counts.evaluations_failed += 1;
                self.turn(subject, State::Failed, reason, now)
            }
        };
        let Some(template) = self.template(subject) else { return };
        template.evaluations += 1;
        template.asks = asked.used.iter().map(ToString::to_string).collect();
        template.waits_for = asked.missing.iter().map(ToString::to_string).collect();
        template.waits_since = match asked.missing.is_empty() {
            true => None,
            false => template.waits_since.or(Some(now)),
        };
    }

    /// Keeps nothing of a file that nobody shall see.
    fn hide(&mut self, subject: Subject<'_>) {
        let Some(place) = self.place(subject) else { return };
        self.before.remove(&place);
        if let Some(write) = &mut self.status.templates[place].last_write {
            write.is_secret = true;
        }
    }

    fn written(
        &mut self,
        subject: Subject<'_>,
        before: Option<&[u8]>,
        bytes: &[u8],
        causes: &[crate::query::Query],
        now: Time,
    ) {
        self.status.counts.writes += 1;
        self.status.counts.written_bytes += bytes.len() as u64;
        self.turn(subject, State::InPlace, "", now);
        let Some(place) = self.place(subject) else { return };
        let kept = before.unwrap_or_default();
        if kept.len() <= KEPT_MAX && bytes.len() <= KEPT_MAX {
            self.before.insert(place, kept.to_vec());
        } else {
            self.before.remove(&place);
        }
        let template = &mut self.status.templates[place];
        template.writes += 1;
        template.last_write = Some(Write {
            at: now,
            causes: causes.iter().map(ToString::to_string).collect(),
            before: before.map(digest),
            now: digest(bytes),
            size_bytes: bytes.len(),
            is_secret: false,
        });
    }

    fn actions<'a>(&'a mut self, words: &'a [String]) -> impl Iterator<Item = &'a mut Action> {
        let all = self.status.templates.iter_mut().filter_map(|template| template.action.as_mut());
        all.filter(move |action| action.words == words)
    }

    fn ended(
        &mut self,
        words: &[String],
        took: Duration,
        failure: Option<&str>,
        again: Option<Instant>,
        now: Time,
    ) {
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.status.counts.commands += 1;
        self.status.counts.commands_failed += u64::from(failure.is_some());
        self.status.counts.command_ms = self.status.counts.command_ms.saturating_add(took_ms);
        for action in self.actions(words).filter(|action| action.state == "running") {
            *action = Action {
                words: words.to_vec(),
                state: if failure.is_some() { "failed" } else { "done" }.to_owned(),
                at: now,
                took_ms: Some(took_ms),
                failure: failure.map(str::to_owned),
                again: again.map(|at| from_instant(at, now)),
            };
        }
    }

    /// Forgets questions that no template asks any more.
    fn forget(&mut self) {
        let asked: BTreeSet<&String> =
            self.status.templates.iter().flat_map(|template| &template.asks).collect();
        self.status.questions.retain(|id, _| asked.contains(id));
    }
}

fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn from_instant(at: Instant, now: Time) -> Time {
    let until = at.saturating_duration_since(Instant::now());
    now + chrono::Duration::from_std(until).unwrap_or_default()
}

fn clock(time: Time) -> String {
    time.format("%H:%M:%S").to_string()
}

/// How much an answer is, not what it says.
fn in_words(answer: &Answer) -> String {
    let many = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    match answer {
        Answer::Key(key) => match (&key.now, &key.last) {
            (Some(pair), _) => many(pair.value.len(), "byte"),
            (None, Some(_)) => "absent; its last value is used".to_owned(),
            (None, None) => "absent".to_owned(),
        },
        Answer::Pairs(list) => many(list.len(), "key"),
        Answer::Instances(list) => many(list.len(), "instance"),
        Answer::Services(list) => many(list.len(), "service"),
        Answer::Node(node) if node.node.is_none() => "no such node".to_owned(),
        Answer::Node(node) => format!("a node with {}", many(node.services.len(), "service")),
        Answer::Nodes(list) => many(list.len(), "node"),
        Answer::Datacenters(list) => many(list.len(), "datacenter"),
        Answer::Documents(list) => many(list.len(), "record"),
        Answer::File(bytes) => many(bytes.len(), "byte"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        answers::{Asked, KeyAnswer},
        query::Query,
    };

    const TEMPLATE: Subject<'static> = Subject { source: "in", destination: "/nonexistent/out" };

    fn asked(missing: bool) -> Asked {
        let query = Query::key("a").unwrap();
        let missing = if missing { [query.clone()].into() } else { Default::default() };
        Asked { used: [query].into(), missing, ..Asked::default() }
    }

    #[test]
    fn the_way_of_a_template() {
        let board = Board::new();
        let query = Query::key("a").unwrap();
        board.see(&Event::Began { templates: &[TEMPLATE] });
        let waiting = asked(true);
        board.see(&Event::Evaluated {
            template: TEMPLATE,
            asked: &waiting,
            causes: &[],
            outcome: Evaluation::Waiting,
        });
        let status = board.status();
        assert_eq!(status.templates[0].state, State::Waiting);
        assert_eq!(status.templates[0].waits_for, ["kv.get(a)"]);
        assert_eq!(status.questions["kv.get(a)"].state, "unanswered");
        let answer = Answer::Key(KeyAnswer::default());
        board.see(&Event::Answered { query: &query, before: None, now: &answer });
        assert_eq!(board.status().questions["kv.get(a)"].answer, "absent");
        let complete = asked(false);
        let words = ["reload".to_owned()];
        for event in [
            Event::Evaluated {
                template: TEMPLATE,
                asked: &complete,
                causes: &[],
                outcome: Evaluation::Text(b"x"),
            },
            Event::Written {
                template: TEMPLATE,
                before: None,
                now: b"x",
                is_secret: false,
                causes: std::slice::from_ref(&query),
            },
            Event::CommandQueued { words: &words, template: TEMPLATE },
            Event::CommandStarted { words: &words },
            Event::CommandEnded {
                words: &words,
                took: Duration::from_millis(5),
                failure: Some("no"),
                again: None,
            },
            Event::Ready,
        ] {
            board.see(&event);
        }
        let status = board.status();
        let template = &status.templates[0];
        assert!(status.ready && template.waits_since.is_none());
        assert_eq!((template.state, template.writes, template.evaluations), (State::InPlace, 1, 2));
        assert_eq!(template.last_write.as_ref().unwrap().causes, ["kv.get(a)"]);
        assert_eq!(template.action.as_ref().unwrap().failure.as_deref(), Some("no"));
        assert_eq!((status.counts.commands, status.counts.commands_failed), (1, 1));
        assert!(board.last_changes("").contains("No such file"), "the file of this test does not exist");
        let now = b"new";
        board.see(&Event::Written {
            template: TEMPLATE,
            before: Some(b"old"),
            now,
            is_secret: true,
            causes: &[],
        });
        assert!(
            board.last_changes("").ends_with("\n(its text is secret)\n") && board.inner().before.is_empty()
        );
        // The same after a reload, and without questions that nobody asks.
        board.see(&Event::Began { templates: &[TEMPLATE] });
        let nothing = Asked::default();
        board.see(&Event::Evaluated {
            template: TEMPLATE,
            asked: &nothing,
            causes: &[],
            outcome: Evaluation::Text(b"x"),
        });
        let status = board.status();
        assert!(!status.ready && status.questions.is_empty());
        assert_eq!(status.templates[0].writes, 2);
        let text = serde_json::to_string(&status).unwrap();
        assert_eq!(serde_json::from_str::<Status>(&text).unwrap().templates[0].writes, 2);
    }
}
