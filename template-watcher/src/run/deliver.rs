//! From a rendered text to a file in place: compared, checked, swapped, and its command queued.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use tokio::time::Instant;

use super::{
    RunError, Runner,
    job::{Job, Undo},
    observe::{Event, Hold, Observers},
    slot::{CHECK_PAUSE, Slot, WRITE_PAUSE},
};
use crate::{
    answers::Answers,
    check::check,
    config::TemplateConfig,
    diff,
    expect::{Proposal, Violation, counts, violation},
    output::{self, OutputError, Present, Target},
    query::Query,
    render::Outcome,
};

/// What became of a text.
enum Fate {
    /// The file has it now, and had these bytes before, or did not exist.
    Written(Option<Vec<u8>>),
    /// The file had it already.
    Unchanged,
    /// The check refused it, with this reason.
    Refused(String),
    /// A guard does not permit it.
    Held(Violation),
}

impl Runner {
    /// Deals with what came of one template; tells whether its file changed.
    ///
    /// Errors end the run: with `once` every failure, otherwise only what the user declared fatal and a template that
    /// cannot be read (after a start there are none: a reload reads all before it replaces any). Long, for what becomes of a
    /// text is told here and nowhere else.
    pub(super) async fn deliver(&mut self, index: usize) -> Result<bool, RunError> {
        let (once, dry, now_or_never) =
            (self.config.once, self.config.dry, self.config.once || self.config.parse_only);
        let slot = &mut self.slots[index];
        if matches!(slot.outcome, Some(Outcome::Text(_))) && slot.is_held(once, &self.observers) {
            return Ok(false);
        }
        let text = match slot.outcome.take() {
            Some(Outcome::Text(text)) => text,
            Some(Outcome::Unreadable(reason)) if slot.config.error_fatal.unwrap_or(true) => {
                return Err(RunError::Failed(reason));
            }
            Some(Outcome::Failed(reason)) if slot.config.error_fatal.unwrap_or(now_or_never) => {
                return Err(RunError::Failed(reason));
            }
            Some(Outcome::Unreadable(reason) | Outcome::Failed(reason)) => {
                slot.tell(reason);
                return Ok(false);
            }
            waiting => {
                slot.outcome = waiting;
                return Ok(false);
            }
        };
        let names = slot.names();
        let wrong = |reason: String| format!("error rendering {:?} => {:?}: {reason}", names.0, names.1);
        if let Some(fan) = &mut slot.fan {
            match fan.take(&text) {
                Ok(()) => {
                    slot.rendered = true;
                    slot.tell_over();
                    slot.settle(&text);
                }
                Err(reason) if now_or_never => return Err(RunError::Failed(wrong(reason))),
                Err(reason) => drop(slot.tell(wrong(reason))),
            }
            return Ok(false);
        }
        if dry {
            let path = slot.config.destination.clone().unwrap_or_default();
            output::owner(&target(&slot.config, &path))
                .map_err(|e| RunError::Failed(wrong(e.to_string())))?;
            print(slot, &text, self.config.dry_as_diff).map_err(|reason| RunError::Failed(wrong(reason)))?;
            return Ok(false);
        }
        if slot.config.destination.is_none() {
            return Err(RunError::Failed(wrong("failed writing file: missing destination".into())));
        }
        match swap(slot, &text, &self.answers, &self.config.injected()).await {
            Ok(Fate::Held(violation)) => {
                let reason = wrong(format!("the last good file stays: {}", violation.reason));
                if now_or_never && !violation.is_too_few {
                    return Err(RunError::Failed(reason));
                }
                if slot.tell(reason) {
                    let reason = Hold::Guard(&violation.reason);
                    self.observers.tell(Event::HeldBack { template: slot.subject(), reason });
                }
                Ok(false)
            }
            Ok(Fate::Refused(reason)) => {
                let reason = wrong(format!("the check refused it, the last good file stays: {reason}"));
                self.observers.tell(Event::Rejected { template: slot.subject(), reason: &reason });
                if now_or_never {
                    return Err(RunError::Failed(reason));
                }
                if !slot.is_tried_again() {
                    slot.tell(reason);
                }
                slot.try_later(text, CHECK_PAUSE);
                Ok(false)
            }
            Ok(fate @ (Fate::Written(_) | Fate::Unchanged)) => Ok(self.settle(index, fate, &text)),
            Err(error) if now_or_never => Err(RunError::Failed(wrong(error.to_string()))),
            Err(error) => {
                let reason = wrong(error.to_string());
                self.observers.tell(Event::NotWritten { template: slot.subject(), reason: &reason });
                slot.tell(reason);
                slot.try_later(text, WRITE_PAUSE);
                Ok(false)
            }
        }
    }

    /// A text stands in its file; tells whether the file had another before.
    fn settle(&mut self, index: usize, fate: Fate, text: &[u8]) -> bool {
        let slot = &mut self.slots[index];
        slot.tell_written(&fate, text, &self.observers);
        slot.tell_over();
        slot.rendered = true;
        slot.counts = slot.config.expect.is_any().then(|| counts(&slot.asked.used, &self.answers));
        let is_left_undone = std::mem::take(&mut slot.is_left_undone);
        let runs_first = std::mem::take(&mut slot.runs_first);
        let is_written = matches!(fate, Fate::Written(_));
        let names = slot.names();
        if is_written {
            slot.forget_rejected();
            if let Some(path) = &slot.config.destination {
                self.folders_changed.note(&file(&slot.config, path));
            }
            tracing::info!(target: "runner", "rendered {:?} => {:?}", names.0, names.1);
        } else if is_left_undone {
            tracing::warn!(target: "runner", "{:?} => {:?}: its command did not work before, it is run now", names.0, names.1);
        }
        if let Some(action) = slot.action.clone().filter(|_| is_written || is_left_undone || runs_first) {
            let undo = slot.undo(fate, text);
            let job = Job::new(action, names, slot.note.clone(), undo);
            self.actions.queue(job, Instant::now());
        }
        if let [word] = self.slots[index].config.command.as_slice()
            && is_written
            && self.children.is_process(word)
        {
            self.to_tell.insert(word.clone());
        }
        self.slots[index].settle(text);
        is_written
    }
}

impl Slot {
    /// What is to be undone if the command does not work with this text.
    fn undo(&self, fate: Fate, text: &[u8]) -> Option<Undo> {
        let destination = self.config.destination.clone().filter(|_| self.config.rollback)?;
        let Fate::Written(Some(before)) = fate else { return None };
        Some(Undo { destination, before, text: text.to_owned() })
    }

    /// Tells observers what became of the file, and why.
    fn tell_written(&mut self, fate: &Fate, now: &[u8], observers: &Observers) {
        let causes: Vec<_> = self.causes_so_far.drain(..).collect();
        let template = self.subject();
        observers.tell(match fate {
            Fate::Written(before) => {
                let is_secret = self.config.secret == Some(true);
                Event::Written { template, before: before.as_deref(), now, is_secret, causes: &causes }
            }
            _ => Event::Unchanged { template },
        });
    }
}

/// Compares, checks and swaps.
async fn swap(
    slot: &mut Slot,
    text: &[u8],
    answers: &Answers,
    environment: &[(String, String)],
) -> Result<Fate, OutputError> {
    let Some(path) = slot.config.destination.as_deref() else { return Ok(Fate::Unchanged) };
    let path = file(&slot.config, path);
    let before = match output::present(&target(&slot.config, &path), text)? {
        Present::Same => return Ok(Fate::Unchanged),
        Present::Other(bytes) => Some(bytes),
        Present::Absent => None,
    };
    if let Some(violation) = slot.violation(text, before.as_deref(), answers)
        && !slot.hold(text)
    {
        return Ok(Fate::Held(violation));
    }
    let config = &slot.config;
    let candidate = output::prepare(&target(config, &path), text)?;
    if !config.check.is_empty()
        && let Err(reason) = check(&config.check, config.check_timeout, environment, candidate.path()).await
    {
        // The candidate's name is another each time, and says nothing to people.
        let name = candidate.path().display().to_string();
        slot.keep_rejected(candidate);
        return Ok(Fate::Refused(reason.replace(&name, &path.display().to_string())));
    }
    if let (Some(note), Some(action)) = (&slot.note, &slot.action) {
        note.leave(&action.program.words);
    }
    candidate.commit()?;
    Ok(Fate::Written(before))
}

impl Slot {
    /// What a guard has against a text.
    fn violation(&self, text: &[u8], present: Option<&[u8]>, answers: &Answers) -> Option<Violation> {
        let used: Vec<&Query> = self.asked.used.iter().collect();
        let counts = self.counts.as_ref().filter(|_| present.is_some());
        violation(&self.config.expect, &Proposal { text, present, used: &used, answers, counts })
    }
}

/// The file that changes when a template's destination does.
pub(super) fn file(config: &TemplateConfig, destination: &Path) -> PathBuf {
    if config.follows_links { output::followed(destination) } else { destination.to_owned() }
}

/// A file that is made as a template's own is.
pub(super) fn target<'a>(config: &'a TemplateConfig, path: &'a Path) -> Target<'a> {
    Target {
        path,
        perms: config.perms,
        secret: config.secret,
        user: config.user.as_deref(),
        group: config.group.as_deref(),
        backups: config.backups,
        create_dirs: config.create_dest_dirs,
    }
}

/// Prints what would be written, or how the file would change, if it differs from the file and from what was printed last.
fn print(slot: &mut Slot, text: &[u8], as_diff: bool) -> Result<(), String> {
    let present = slot.config.destination.as_ref().and_then(|path| std::fs::read(path).ok());
    if present.as_deref() != Some(text) && !slot.is_last(text) {
        let name = slot.config.destination_name();
        let shown = if as_diff && slot.config.secret == Some(true) {
            diff::hidden(&name).into_bytes()
        } else if as_diff {
            diff::unified(&present.unwrap_or_default(), text, &name).into_bytes()
        } else {
            [format!("> {name}\n").as_bytes(), text].concat()
        };
        let mut out = std::io::stdout().lock();
        out.write_all(&shown).and_then(|()| out.flush()).map_err(|e| format!("cannot print: {e}"))?;
    }
    slot.settle(text);
    slot.rendered = true;
    Ok(())
}
