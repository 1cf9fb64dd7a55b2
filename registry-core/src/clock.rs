//! What time it is, for a server.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::Instant;

/// The time of day as a server's machine shows it: another than on other machines, and it may jump. Nothing that must be right is
/// decided by it; what lasts for a while is measured by [`Moments`], or by a clock that nobody sets.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now_ms())
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::showing(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
    }
}

impl Clock {
    /// A clock that shows what this gives, in milliseconds since 1970: for simulations.
    pub fn showing(now_ms: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(now_ms))
    }

    /// Milliseconds since 1970; 0 on a machine that believes to be before that.
    pub(crate) fn now_ms(&self) -> u64 {
        (self.0)()
    }

    /// Moments from now on.
    pub(crate) fn moments(&self) -> Moments {
        Moments { start_ms: self.now_ms(), start: Instant::now() }
    }
}

/// Milliseconds since 1970 that only ever pass: what the clock showed once, and the time since. That the clock is set later
/// neither lengthens nor shortens what is measured with them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moments {
    start_ms: u64,
    start: Instant,
}

impl Moments {
    pub(crate) fn now_ms(self) -> u64 {
        let since = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.start_ms.saturating_add(since)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn moments_do_not_follow_a_clock_that_is_set() {
        let shown = Arc::new(AtomicU64::new(50_000));
        let read = shown.clone();
        let clock = Clock::showing(move || read.load(Relaxed));
        let moments = clock.moments();
        shown.store(10, Relaxed);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!((moments.now_ms(), clock.now_ms()), (52_000, 10));
    }
}
