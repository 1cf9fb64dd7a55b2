//! One question, asked again and again: blocking queries with back-off.
//!
//! The rules are those of Consul's "Blocking Queries" page: an index that runs backwards is forgotten, an answer with
//! the same index says nothing new, and the client's limit is longer than the server's `wait` with its 1/16 of chance.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::{
    client::Client,
    error::RequestError,
    request::{Request, Response},
};

/// How failing requests are repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How often at most; `None` for ever.
    pub attempts: Option<u32>,
    /// The first pause; it doubles each time.
    pub backoff: Duration,
    /// The longest pause; zero for no limit but a day.
    pub max_backoff: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: None, backoff: Duration::from_millis(250), max_backoff: Duration::from_secs(60) }
    }
}

impl Retry {
    /// The pause before repetition `failures` (from 1), without jitter.
    fn pause(&self, failures: u32) -> Duration {
        let cap = if self.max_backoff.is_zero() { Duration::from_secs(86_400) } else { self.max_backoff };
        let doubled = self.backoff.saturating_mul(1 << (failures - 1).min(30));
        doubled.min(cap)
    }
}

/// How a question is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchSettings {
    /// How long the registry holds a question whose answer does not change.
    pub wait: Duration,
    /// Take answers of any server that is at most this far behind the leader; zero asks the leader.
    pub max_stale: Duration,
    /// How failing requests are repeated.
    pub retry: Retry,
    /// The pause between questions to endpoints that cannot block.
    pub poll: Duration,
    /// The least time from one question to the next, whatever it is asked again for; zero for none. What has been quiet for
    /// so long is told at once when it changes.
    pub min_interval: Duration,
    /// Whether 404 is an answer (a key that is not there) or an error.
    pub absent_is_an_answer: bool,
}

impl Default for WatchSettings {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(60),
            max_stale: Duration::from_secs(2),
            retry: Retry::default(),
            poll: Duration::from_secs(15),
            min_interval: Duration::ZERO,
            absent_is_an_answer: false,
        }
    }
}

/// What a watch has to say.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// An answer with a new index.
    Answer {
        /// The answer.
        response: Response,
        /// Whether the index ran backwards or the registry was away since the last answer: then emptiness is suspicious.
        after_reset: bool,
    },
    /// The registry does not answer any more; said once, until it answers again.
    Failing(RequestError),
    /// The permitted repetitions are used up; the watch goes on when asked again.
    GaveUp(RequestError),
}

/// The least time between two questions of which the first brought nothing new: a registry that answers too early must
/// not be asked in a tight loop.
const PAUSE_WITHOUT_NEWS: Duration = Duration::from_millis(100);

/// A question that is asked for ever. Dropping the future of [`Watch::next`] ends the request under way.
#[derive(Debug)]
pub struct Watch {
    client: Client,
    request: Request,
    settings: WatchSettings,
    index: u64,
    failures: u32,
    was_reset: bool,
    not_before: Option<Instant>,
    /// When it was asked last.
    asked: Option<Instant>,
}

impl Watch {
    /// Prepares a watch. `request` has neither `index` nor `wait`.
    pub fn new(client: Client, request: Request, settings: WatchSettings) -> Self {
        Self {
            client,
            request,
            settings,
            index: 0,
            failures: 0,
            was_reset: false,
            not_before: None,
            asked: None,
        }
    }

    /// Waits for the next thing to say. Cancel-safe between requests: a dropped wait loses no answer that was handed out.
    pub async fn next(&mut self) -> Event {
        loop {
            self.await_turn().await;
            match self.ask().await {
                Ok(response) => {
                    if let Some(event) = self.judge(response) {
                        return event;
                    }
                }
                Err(error) => {
                    if let Some(event) = self.fail(error) {
                        return event;
                    }
                }
            }
        }
    }

    /// Waits until it may be asked again.
    async fn await_turn(&mut self) {
        let by_interval = self.asked.map(|asked| asked + jittered(self.settings.min_interval));
        if let Some(at) = self.not_before.take().max(by_interval) {
            sleep_until(at).await;
        }
        self.asked = Some(Instant::now());
    }

    /// One request; a stale answer that is too old is asked for again at the leader.
    async fn ask(&self) -> Result<Response, RequestError> {
        let stale = !self.settings.max_stale.is_zero();
        let response = self.checked(&self.question(stale)).await?;
        if stale && response.last_contact > self.settings.max_stale {
            return self.checked(&self.question(false)).await;
        }
        Ok(response)
    }

    async fn checked(&self, request: &Request) -> Result<Response, RequestError> {
        let response = self.client.send(request).await?;
        if response.status == 404 && self.settings.absent_is_an_answer {
            Ok(response)
        } else {
            response.success()
        }
    }

    fn question(&self, stale: bool) -> Request {
        let mut request = self.request.clone();
        // After a failure it is asked without waiting: the answer tells that the registry is back, and what it lost.
        if self.index > 0 && self.failures == 0 {
            let wait = self.settings.wait;
            request =
                request.with("index", self.index.to_string()).with("wait", format!("{}ms", wait.as_millis()));
            request.timeout = Some(wait + wait / 16 + Duration::from_secs(10));
        }
        if stale { request.with("stale", "") } else { request }
    }

    /// What an answer means; `None` when it says nothing new.
    fn judge(&mut self, response: Response) -> Option<Event> {
        let after_failure = std::mem::take(&mut self.failures) > 0;
        self.was_reset |= after_failure;
        if response.index == 0 {
            self.not_before = Some(Instant::now() + jittered(self.settings.poll));
        } else if response.index < self.index {
            // Restored or rebuilt: what it says now is asked for anew, from the beginning.
            self.index = 0;
            self.was_reset = true;
            return None;
        } else if response.index == self.index {
            self.not_before = Some(Instant::now() + jittered(PAUSE_WITHOUT_NEWS));
            if !after_failure {
                return None;
            }
        }
        self.index = response.index;
        Some(Event::Answer { response, after_reset: std::mem::take(&mut self.was_reset) })
    }

    fn fail(&mut self, error: RequestError) -> Option<Event> {
        let gave_up = self.settings.retry.attempts.is_some_and(|most| self.failures >= most);
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(Instant::now() + jittered(self.settings.retry.pause(self.failures)));
        if gave_up {
            Some(Event::GaveUp(error))
        } else if self.failures == 1 {
            Some(Event::Failing(error))
        } else {
            None
        }
    }
}

/// A pause that is up to a tenth longer, so that many clients do not come back at once.
fn jittered(pause: Duration) -> Duration {
    pause + pause.mul_f64(rand::random::<f64>() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    const INTERVAL: Duration = Duration::from_millis(100);

    /// How often a question is asked within ten seconds, and the longest time for which a change was not known, when an
    /// answer comes at the first multiple of `every`.
    async fn asked_in_ten_seconds(every: Duration) -> (u32, Duration) {
        let client = Client::new(Settings::default()).expect("the address is right");
        let settings = WatchSettings { min_interval: INTERVAL, ..WatchSettings::default() };
        let mut watch = Watch::new(client, Request::get("/v1/catalog/services"), settings);
        let start = Instant::now();
        let (mut count, mut longest, mut answered) = (0, Duration::ZERO, start);
        while start.elapsed() < Duration::from_secs(10) {
            watch.await_turn().await;
            count += 1;
            // A change while nobody asks is told to the question after it.
            let unknown_since = answered + every;
            longest = longest.max(Instant::now().saturating_duration_since(unknown_since));
            sleep_until(unknown_since.max(Instant::now())).await;
            answered = Instant::now();
        }
        (count, longest)
    }

    #[tokio::test(start_paused = true)]
    async fn what_changes_all_the_time_is_asked_at_most_once_in_the_interval() {
        let (count, longest) = asked_in_ten_seconds(Duration::from_millis(20)).await;
        assert!((90..=101).contains(&count), "{count} times");
        assert!(longest <= INTERVAL.mul_f64(1.1), "{longest:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_changes_now_and_then_is_told_at_once() {
        let (count, longest) = asked_in_ten_seconds(Duration::from_millis(500)).await;
        assert_eq!((count, longest), (20, Duration::ZERO));
    }
}
