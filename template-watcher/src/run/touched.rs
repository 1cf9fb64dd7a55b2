//! When files are looked at that somebody else may have changed: after news, as consul-template, which renders all of them
//! then and repairs what it finds; a second apart, for a look is a system call for each file.

use std::time::Duration;

use tokio::time::Instant;

/// The least time between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// The next look.
#[derive(Debug, Default)]
pub(super) struct Touched {
    due: Option<Instant>,
    last: Option<Instant>,
}

impl Touched {
    /// Something has changed in the registry.
    pub(super) fn look_after(&mut self, now: Instant) {
        let soonest = self.last.map_or(now, |last| now.max(last + PAUSE));
        self.due.get_or_insert(soonest);
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Whether the time has come, which is once.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.due.is_some_and(|due| due <= now);
        if is_due {
            (self.due, self.last) = (None, Some(now));
        }
        is_due
    }
}
