//! Checks that a program keeps alive itself.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use super::{Observed, Report, Status};

/// A check that has expired is looked at no more often, however short its time.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// A check that turns critical when it is not kept alive in time.
#[derive(Clone)]
pub struct Ttl {
    state: Arc<Mutex<State>>,
    limit: Duration,
    report: Report,
    /// Ends the watch over the time with its last holder.
    _task: Arc<Ends>,
}

struct State {
    ends: Instant,
    last_output: String,
    expired: bool,
}

#[derive(Debug)]
struct Ends(JoinHandle<()>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl std::fmt::Debug for Ttl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ttl").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl Ttl {
    pub(super) fn start(limit: Duration, report: Report) -> Self {
        let state = State { ends: Instant::now() + limit, last_output: String::new(), expired: false };
        let state = Arc::new(Mutex::new(state));
        let task = tokio::spawn(expire(state.clone(), report.clone(), limit));
        Self { state, limit, report, _task: Arc::new(Ends(task)) }
    }

    /// Takes the program's word, and gives it another `ttl`.
    pub fn update(&self, status: Status, output: String) {
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.ends = Instant::now() + self.limit;
            state.expired = false;
            state.last_output.clone_from(&output);
        }
        (self.report)(Observed { status, output });
    }

    /// How long the last word still holds.
    pub fn remaining(&self) -> Duration {
        let ends = self.state.lock().unwrap_or_else(PoisonError::into_inner).ends;
        ends.saturating_duration_since(Instant::now())
    }

    /// Lets a word from before a restart hold for the rest of its time.
    pub fn resume(&self, remaining: Duration, output: String) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.ends = Instant::now() + remaining.min(self.limit);
        state.last_output = output;
    }
}

async fn expire(state: Arc<Mutex<State>>, report: Report, limit: Duration) {
    loop {
        let next = {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            if Instant::now() >= state.ends && !state.expired {
                state.expired = true;
                report(Observed::critical(last_words(&state.last_output)));
            }
            // Once expired it can only be updated, which is seen within one more ttl and then again on time.
            if state.expired { Instant::now() + limit.max(PAUSE_MIN) } else { state.ends }
        };
        sleep_until(next).await;
    }
}

fn last_words(output: &str) -> String {
    if output.is_empty() {
        return "TTL expired".to_owned();
    }
    format!("TTL expired (last output before timeout follows): {output}")
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn started(limit: u64) -> (Ttl, Arc<Mutex<Vec<Observed>>>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = seen.clone();
        let report: Report = Arc::new(move |observed| sink.lock().unwrap().push(observed));
        (Ttl::start(Duration::from_secs(limit), report), seen)
    }

    async fn pass(seconds: u64) {
        for _ in 0..seconds {
            tokio::task::yield_now().await;
            advance(Duration::from_secs(1)).await;
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_critical_once() {
        let (_ttl, seen) = started(10);
        pass(9).await;
        assert!(seen.lock().unwrap().is_empty());
        pass(30).await;
        assert_eq!(*seen.lock().unwrap(), [Observed::critical("TTL expired")]);
    }

    #[tokio::test(start_paused = true)]
    async fn each_word_gives_another_ttl() {
        let (ttl, seen) = started(10);
        for _ in 0..3 {
            pass(8).await;
            ttl.update(Status::Passing, "alive".into());
        }
        assert!(seen.lock().unwrap().iter().all(|observed| observed.status == Status::Passing));
        pass(11).await;
        let last = seen.lock().unwrap().last().cloned();
        let said = "TTL expired (last output before timeout follows): alive";
        assert_eq!(last, Some(Observed::critical(said)));
        ttl.update(Status::Warning, "back".into());
        pass(25).await;
        assert_eq!(seen.lock().unwrap().len(), 6, "expired again after it came back");
    }
}
