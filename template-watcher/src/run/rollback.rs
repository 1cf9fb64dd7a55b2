//! After a command that failed: the bytes before return, the text that did it is kept aside, and the command runs again.

use std::{path::Path, time::Duration};

use super::{
    RunError, Runner,
    actions::Done,
    deliver::{file, target},
    job::{Job, Undo},
    observe::Event,
    slot::Slot,
};
use crate::output;

/// The first and the longest pause before a text that had to be taken back is tried again, unless another one comes.
const PAUSE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3600));

impl Runner {
    /// Looks at how a command ended, and takes back what it could not work with.
    pub(super) fn judge(&mut self, done: Done) -> Result<(), RunError> {
        if let Some(job) = self.actions.judge(done)? {
            self.go_back(&job);
            self.actions.run_again(job);
        }
        Ok(())
    }

    fn go_back(&mut self, job: &Job) {
        let reason = job.went_back.as_deref().unwrap_or_default();
        for undo in &job.undo {
            let of_file =
                |slot: &&mut Slot| slot.config.destination.as_deref() == Some(undo.destination.as_path());
            // A template that is gone meanwhile leaves its file as it is.
            let Some(slot) = self.slots.iter_mut().find(of_file) else { continue };
            let file = file(&slot.config, &undo.destination);
            match output::prepare(&target(&slot.config, &file), &undo.text) {
                Ok(candidate) => slot.keep_rejected(candidate),
                Err(error) => tracing::warn!(target: "runner", "cannot keep the refused text: {error}"),
            }
            match restore(slot, &file, undo) {
                Ok(()) => {
                    self.observers.tell(Event::RolledBack { template: slot.subject(), reason });
                    slot.refuse(undo.text.clone(), PAUSE);
                }
                Err(error) => tracing::error!(target: "runner",
                    "the bytes before cannot return to {}: {error}", undo.destination.display()),
            }
        }
    }
}

fn restore(slot: &Slot, file: &Path, undo: &Undo) -> Result<(), output::OutputError> {
    let target = target(&slot.config, file);
    output::prepare(&output::Target { backups: 0, ..target }, &undo.before)?.commit()?;
    output::sync_folder(output::parent(target.path));
    Ok(())
}

impl Slot {
    /// Keeps a refused candidate beside the file, where the configuration wants it; it is a help and no more.
    pub(super) fn keep_rejected(&self, candidate: output::Candidate) {
        let Some(path) = &self.config.rejected else { return };
        if let Err(error) = candidate.keep_as(path) {
            tracing::warn!(target: "runner", "cannot keep the refused text as {}: {error}", path.display());
        }
    }

    /// Takes the refused text away, because a good one is in place.
    pub(super) fn forget_rejected(&mut self) {
        let kept = self.config.rejected.as_deref().filter(|path| Path::exists(path));
        if let Some(Err(error)) = kept.map(std::fs::remove_file) {
            tracing::warn!(target: "runner", "cannot remove the refused text: {error}");
        }
    }
}
