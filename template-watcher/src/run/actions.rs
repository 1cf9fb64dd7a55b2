//! Commands after changes: one after the other, each once a batch, and again until they work.

use std::time::Duration;

use tokio::{task::JoinHandle, time::Instant};

use super::{
    RunError,
    observe::{Event, Observers, Subject},
    slot::Slot,
};
use crate::{
    command::{CommandError, Program},
    config::go_list,
};

/// The first and the longest pause before a failed command is tried again.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// A command and the template it belongs to.
#[derive(Clone, Debug)]
pub(super) struct Job {
    program: Program,
    /// Source and destination, for messages.
    names: (String, String),
    /// How often it has failed so far.
    failures: u32,
}

impl Job {
    pub(super) fn new(program: Program, names: (String, String)) -> Self {
        Self { program, names, failures: 0 }
    }

    fn is_same(&self, other: &Self) -> bool {
        self.program.words == other.program.words
    }

    fn message(&self, error: &CommandError) -> String {
        let words = go_list(&self.program.words);
        let (source, destination) = &self.names;
        format!("failed to execute command {words:?} from {source:?} => {destination:?}: {error}")
    }
}

/// What became of a batch.
pub(super) type Done = Vec<(Job, Result<(), CommandError>, Duration)>;

/// Commands that wait, run, or are to be tried again.
#[derive(Debug, Default)]
pub(super) struct Actions {
    pub(super) observers: Observers,
    waiting: Vec<Job>,
    running: Option<Batch>,
    failed: Vec<(Instant, Job)>,
}

/// A running batch; dropped, its present command is told to end.
#[derive(Debug)]
struct Batch(JoinHandle<Done>);

impl Drop for Batch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Actions {
    /// Wants a command run. An equal one that waits already counts for both; one that failed before is superseded.
    pub(super) fn queue(&mut self, mut job: Job) {
        if let Some(at) = self.failed.iter().position(|(_, failed)| failed.is_same(&job)) {
            job.failures = self.failed.remove(at).1.failures;
        }
        let (source, destination) = (&job.names.0, &job.names.1);
        let template = Subject { source, destination };
        self.observers.tell(Event::CommandQueued { words: &job.program.words, template });
        if !self.waiting.iter().any(|waiting| waiting.is_same(&job)) {
            self.waiting.push(job);
        }
    }

    /// Takes the commands of a new configuration: what is still to be run becomes what its template wants now, and is
    /// given up where no template wants anything.
    pub(super) fn follow(&mut self, slots: &[Slot]) {
        let now = |mut job: Job| {
            let wants = |slot: &&Slot| slot.program.as_ref().is_some_and(|p| p.words == job.program.words);
            let of_names = |slot: &&Slot| slot.names() == job.names;
            let slot = slots.iter().find(wants).or_else(|| slots.iter().find(of_names))?;
            job.program = slot.program.clone()?;
            Some(job)
        };
        let failed = std::mem::take(&mut self.failed);
        self.failed = failed.into_iter().filter_map(|(at, job)| Some((at, now(job)?))).collect();
        for job in std::mem::take(&mut self.waiting).into_iter().filter_map(now) {
            self.queue(job);
        }
    }

    /// Starts what waits, unless a batch still runs.
    pub(super) fn start(&mut self) {
        if self.running.is_some() || self.waiting.is_empty() {
            return;
        }
        let batch = std::mem::take(&mut self.waiting);
        let observers = self.observers.clone();
        self.running = Some(Batch(tokio::spawn(async move {
            let mut done = Vec::new();
            for job in batch {
                tracing::info!(target: "runner", "executing command {:?} from {:?} => {:?}",
                    go_list(&job.program.words), job.names.0, job.names.1);
                observers.tell(Event::CommandStarted { words: &job.program.words });
                let start = Instant::now();
                let result = job.program.run().await;
                done.push((job, result, start.elapsed()));
            }
            done
        })));
    }

    pub(super) fn is_busy(&self) -> bool {
        self.running.is_some()
    }

    /// The end of the running batch; never, when none runs.
    pub(super) async fn next(&mut self) -> Done {
        let Some(batch) = &mut self.running else { return std::future::pending().await };
        let done = (&mut batch.0).await;
        self.running = None;
        match done {
            Ok(done) => done,
            Err(e) => std::panic::resume_unwind(e.into_panic()),
        }
    }

    /// Looks at what a batch did: with `fatal` a failure ends the run, otherwise it is told once and tried again.
    pub(super) fn judge(&mut self, done: Done, fatal: bool) -> Result<(), RunError> {
        let mut reasons = Vec::new();
        for (mut job, result, took) in done {
            let failure = result.as_ref().err().map(CommandError::short);
            let words = job.program.words.clone();
            match result {
                Ok(()) if job.failures > 0 => {
                    let (words, attempts) = (go_list(&job.program.words), job.failures + 1);
                    tracing::warn!(target: "runner", "command {words:?} worked at attempt {attempts}");
                }
                Ok(()) => {}
                Err(error) if fatal => reasons.push(job.message(&error)),
                Err(error) => {
                    if job.failures == 0 {
                        tracing::error!(target: "runner", "{} (trying again until it works)", job.message(&error));
                    } else {
                        tracing::debug!(target: "runner", "{}", job.message(&error));
                    }
                    job.failures = job.failures.saturating_add(1);
                    self.fail(job);
                }
            }
            let failed = self.failed.iter().find(|(_, job)| job.program.words == words);
            let (again, failure) = (failed.map(|(at, _)| *at), failure.as_deref());
            self.observers.tell(Event::CommandEnded { words: &words, took, failure, again });
        }
        if reasons.is_empty() { Ok(()) } else { Err(RunError::Failed(listed(&reasons))) }
    }

    fn fail(&mut self, job: Job) {
        // A newer good file has queued the same command meanwhile: that run decides.
        if let Some(newer) = self.waiting.iter_mut().find(|waiting| waiting.is_same(&job)) {
            newer.failures = job.failures;
            return;
        }
        let (first, longest) = PAUSE;
        let pause = first.saturating_mul(1 << (job.failures - 1).min(10)).min(longest);
        let jitter = pause.mul_f64(rand::random::<f64>() / 10.0);
        self.failed.push((Instant::now() + pause + jitter, job));
    }

    /// When the next failed command is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.failed.iter().map(|(at, _)| *at).min()
    }

    /// Queues the failed commands that are due.
    pub(super) fn retry(&mut self, now: Instant) {
        let (due, later): (Vec<_>, _) =
            std::mem::take(&mut self.failed).into_iter().partition(|(at, _)| *at <= now);
        self.failed = later;
        for (_, job) in due {
            self.queue(job);
        }
        self.start();
    }
}

/// Several reasons as one text, in the form scripts know.
fn listed(reasons: &[String]) -> String {
    let noun = if reasons.len() == 1 { "error" } else { "errors" };
    let list: String = reasons.iter().map(|reason| format!("\n\t* {reason}")).collect();
    format!("{} {noun} occurred:{list}", reasons.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(line: &str) -> Job {
        let program = Program::of_words(&[line], Duration::from_secs(10));
        Job::new(program, ("in".into(), "out".into()))
    }

    fn failure() -> CommandError {
        CommandError::Start("no".into())
    }

    #[tokio::test]
    async fn equal_commands_run_once_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let line = |word: &str| format!("echo {word} >> {}", log.display());
        let mut actions = Actions::default();
        for word in ["a", "b", "a", "c"] {
            actions.queue(job(&line(word)));
        }
        actions.start();
        let done = actions.next().await;
        assert_eq!(done.len(), 3);
        actions.judge(done, true).unwrap();
        assert_eq!(std::fs::read_to_string(log).unwrap(), "a\nb\nc\n");
        assert!(!actions.is_busy());
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_command_is_due_again_later_and_later() {
        let mut actions = Actions::default();
        let mut pauses = Vec::new();
        let mut done = vec![(job("x"), Err(failure()), Duration::ZERO)];
        for _ in 0..8 {
            actions.judge(done, false).unwrap();
            let pause = actions.deadline().unwrap() - Instant::now();
            pauses.push(pause.as_secs_f64());
            let (_, job) = actions.failed.remove(0);
            done = vec![(job, Err(failure()), Duration::ZERO)];
        }
        for (pause, expected) in pauses.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]) {
            assert!((expected..=expected * 1.1).contains(pause), "{pauses:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_newer_good_file_supersedes_a_failed_command() {
        let mut actions = Actions::default();
        let failed = ["x", "y"].map(|line| (job(line), Err(failure()), Duration::ZERO));
        actions.judge(failed.into(), false).unwrap();
        actions.queue(job("x"));
        assert_eq!(actions.failed.len(), 1, "only y is still to be tried again");
        assert_eq!(actions.waiting.len(), 1);
    }

    #[test]
    fn failures_in_the_recorded_words() {
        let mut actions = Actions::default();
        let done = vec![(job("exit 3"), Err(failure()), Duration::ZERO), (job("b"), Ok(()), Duration::ZERO)];
        let said = actions.judge(done, true).unwrap_err().to_string();
        let expected = "1 error occurred:\n\t* failed to execute command \"[\\\"exit 3\\\"]\" from \"in\" => \"out\": child: no";
        assert_eq!(said, expected);
    }
}
