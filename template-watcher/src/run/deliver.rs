//! From a rendered text to a file in place: compared, checked, swapped, and its command queued.

use std::io::Write as _;

use super::{
    RunError, Runner,
    actions::Job,
    observe::{Event, Observers},
    slot::{CHECK_PAUSE, Slot, WRITE_PAUSE},
};
use crate::{
    check::check,
    output::{self, OutputError, Target},
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
}

impl Runner {
    /// Deals with what came of one template; tells whether its file changed.
    ///
    /// Errors end the run: with `once` every failure, otherwise only what the user declared fatal and a template that
    /// cannot be read (after a start there are none: a reload reads all before it replaces any).
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
        if dry {
            print(slot, text).map_err(|reason| RunError::Failed(wrong(reason)))?;
            return Ok(false);
        }
        if slot.config.destination.is_none() {
            return Err(RunError::Failed(wrong("failed writing file: missing destination".into())));
        }
        match swap(slot, &text, &self.config.environment).await {
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
            Ok(fate) => {
                slot.tell_written(&fate, &text, &self.observers);
                slot.settle(text);
                slot.rendered = true;
                slot.tell_over();
                let written = matches!(fate, Fate::Written(_));
                if written {
                    tracing::info!(target: "runner", "rendered {:?} => {:?}", names.0, names.1);
                    if let Some(program) = slot.program.clone() {
                        self.actions.queue(Job::new(program, names));
                    }
                }
                Ok(written)
            }
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
}

impl Slot {
    /// Tells observers what became of the file, and why.
    fn tell_written(&mut self, fate: &Fate, now: &[u8], observers: &Observers) {
        let causes: Vec<_> = self.causes_so_far.drain(..).collect();
        let template = self.subject();
        observers.tell(match fate {
            Fate::Written(before) => {
                Event::Written { template, before: before.as_deref(), now, causes: &causes }
            }
            _ => Event::Unchanged { template },
        });
    }
}

/// Compares, checks and swaps.
async fn swap(slot: &Slot, text: &[u8], environment: &[(String, String)]) -> Result<Fate, OutputError> {
    let config = &slot.config;
    let Some(path) = &config.destination else { return Ok(Fate::Unchanged) };
    let target = Target {
        path,
        perms: config.perms,
        user: config.user.as_deref(),
        group: config.group.as_deref(),
        backup: config.backup,
        create_dirs: config.create_dest_dirs,
    };
    if !output::differs(&target, text)? {
        return Ok(Fate::Unchanged);
    }
    let candidate = output::prepare(&target, text)?;
    if !config.check.is_empty()
        && let Err(reason) = check(&config.check, config.check_timeout, environment, candidate.path()).await
    {
        // The candidate's name is another each time, and says nothing to people.
        let candidate = candidate.path().display().to_string();
        return Ok(Fate::Refused(reason.replace(&candidate, &path.display().to_string())));
    }
    let before = std::fs::read(path).ok();
    candidate.commit()?;
    Ok(Fate::Written(before))
}

/// Prints what would be written, if it differs from the file and from what was printed last.
fn print(slot: &mut Slot, text: Vec<u8>) -> Result<(), String> {
    let present = slot.config.destination.as_ref().and_then(|path| std::fs::read(path).ok());
    if present.as_ref() != Some(&text) && slot.last.as_ref() != Some(&text) {
        let mut out = std::io::stdout().lock();
        let head = format!("> {}\n", slot.config.destination_name());
        out.write_all(head.as_bytes())
            .and_then(|()| out.write_all(&text))
            .and_then(|()| out.flush())
            .map_err(|e| format!("cannot print: {e}"))?;
    }
    slot.settle(text);
    slot.rendered = true;
    Ok(())
}
