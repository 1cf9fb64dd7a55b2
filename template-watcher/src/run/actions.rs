//! Commands after changes: each once for all changes that ask for it, one after the other, and again until it works.
//!
//! A command that failed before, or that waits for a lock, has a lane of its own, so that it holds nobody up.

use std::{collections::HashMap, time::Duration};

use registry_client::Client;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    RunError,
    job::Job,
    lock,
    observe::{Event, Observers, Subject},
    slot::Slot,
};
use crate::{
    command::{CommandError, Program},
    config::{Pace, go_list},
};

/// The first and the longest pause before a failed command is tried again.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// How a command ended, and how long it ran.
#[derive(Debug)]
pub(super) struct Done {
    job: Job,
    result: Result<(), CommandError>,
    took: Duration,
}

/// Commands that wait, run, or are to be tried again.
#[derive(Debug)]
pub(super) struct Actions {
    pub(super) observers: Observers,
    /// For locks of the fleet.
    client: Client,
    /// Whether the run ends with its commands: then none waits for others, and none is tried again.
    once: bool,
    waiting: Vec<Job>,
    /// Dropped, they are told to end.
    running: JoinSet<Done>,
    /// The words and the lane of what runs.
    lanes: Vec<(Vec<String>, Lane)>,
    /// When each action with a least interval may run again.
    not_before: HashMap<Vec<String>, Instant>,
    /// Why a run that ends with its commands fails.
    fatal: Vec<String>,
}

/// Which commands run one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    /// Those that usually work, in the order of the templates.
    Common,
    /// Each for itself.
    Own,
}

impl Actions {
    pub(super) fn new(client: Client, once: bool) -> Self {
        Self {
            observers: Observers::default(),
            client,
            once,
            waiting: Vec::new(),
            running: JoinSet::new(),
            lanes: Vec::new(),
            not_before: HashMap::new(),
            fatal: Vec::new(),
        }
    }

    /// Wants a command run. An equal one that waits already, also one that failed before, counts for both.
    pub(super) fn queue(&mut self, mut job: Job, now: Instant) {
        let (source, destination) = job.names();
        let template = Subject { source, destination };
        self.observers.tell(Event::CommandQueued { words: job.words(), template });
        if !self.once {
            job.due = now + job.action.pace.coalesce;
            if let Some(at) = self.not_before.get(job.words()) {
                job.due = job.due.max(*at);
            }
        }
        match self.waiting.iter_mut().find(|waiting| waiting.is_same(&job)) {
            // After a failure the new file decides when: it may be what heals it.
            Some(waiting) if waiting.failures > 0 => {
                waiting.due = job.due;
                waiting.join(job);
            }
            Some(waiting) => waiting.join(job),
            None => self.waiting.push(job),
        }
    }

    /// Takes the commands of a new configuration: what is still to be run becomes what its template wants now, and is
    /// given up where no template wants anything.
    pub(super) fn follow(&mut self, client: Client, slots: &[Slot]) {
        self.client = client;
        for mut job in std::mem::take(&mut self.waiting) {
            let wants = |slot: &&Slot| slot.action.as_ref().is_some_and(|a| a.program.words == job.words());
            let of_names = |slot: &&Slot| slot.subject() == job.subject();
            let slot = slots.iter().find(wants).or_else(|| slots.iter().find(of_names));
            match slot.and_then(|slot| slot.action.clone()) {
                Some(action) => {
                    job.action = action;
                    match self.waiting.iter_mut().find(|waiting| waiting.is_same(&job)) {
                        Some(waiting) => waiting.join(job),
                        None => self.waiting.push(job),
                    }
                }
                None => job.give_up(None),
            }
        }
    }

    /// Starts what is due, unless its lane is taken or a member of its group is not written yet.
    pub(super) fn start(&mut self, slots: &[Slot], now: Instant) {
        let mut later = Vec::new();
        for mut job in std::mem::take(&mut self.waiting) {
            let lane = lane(&job);
            let taken = |(words, other): &(Vec<String>, Lane)| {
                words == job.words() || (lane == Lane::Common && *other == Lane::Common)
            };
            job.is_blocked = job.due <= now && (self.lanes.iter().any(taken) || !job.is_complete(slots));
            if job.due > now || job.is_blocked {
                later.push(job);
                continue;
            }
            let names = job.names();
            tracing::info!(target: "runner", "executing command {:?} from {:?} => {:?}",
                go_list(job.words()), names.0, names.1);
            self.observers.tell(Event::CommandStarted { words: job.words() });
            self.lanes.push((job.words().to_vec(), lane));
            self.running.spawn(execute(job, self.client.clone(), !self.once));
        }
        self.waiting = later;
    }

    /// Whether something runs, or waits to run before a run of `once` may end.
    pub(super) fn is_busy(&self) -> bool {
        !self.lanes.is_empty() || (self.once && !self.waiting.is_empty())
    }

    /// Whether children are not started yet for what runs; in a daemon no command holds them up that may wait itself.
    pub(super) fn holds_children_up(&self) -> bool {
        let is_common = |(_, lane): &(Vec<String>, Lane)| *lane == Lane::Common;
        if self.once { self.is_busy() } else { self.lanes.iter().any(is_common) }
    }

    /// The next end of a command; never, when none runs.
    pub(super) async fn next(&mut self) -> Done {
        match self.running.join_next().await {
            Some(Ok(done)) => done,
            Some(Err(e)) => std::panic::resume_unwind(e.into_panic()),
            None => std::future::pending().await,
        }
    }

    /// Looks at how a command ended: with `once` a failure ends the run after the others, otherwise it is told once and
    /// tried again. A command comes back when its files must return to the bytes before, and then it runs again.
    pub(super) fn judge(&mut self, Done { mut job, result, took }: Done) -> Result<Option<Job>, RunError> {
        let now = Instant::now();
        let words = job.words().to_vec();
        self.lanes.retain(|(running, _)| *running != words);
        if !job.action.pace.min_interval.is_zero() {
            self.not_before.insert(words.clone(), now + job.action.pace.min_interval);
        }
        let failure = result.as_ref().err().map(CommandError::short);
        let mut goes_back = None;
        let mut again = None;
        match result {
            Ok(()) => self.worked(job),
            Err(error) => {
                let message = job.message(&error);
                let newer = self.waiting.iter_mut().find(|waiting| waiting.is_same(&job));
                job.failures = job.failures.saturating_add(1);
                if let Some(newer) = newer {
                    // A newer good file has asked for the same command meanwhile: that run decides.
                    newer.failures = job.failures;
                    newer.join_before(job);
                } else if job.can_go_back() {
                    tracing::error!(target: "runner", "{message}; the files before return");
                    job.went_back = Some(message);
                    goes_back = Some(job);
                } else if self.once {
                    self.fatal.push(job.went_back.clone().unwrap_or(message));
                    job.give_up(None);
                } else {
                    tell_failure(&job, &message);
                    job.due = now + pause(job.failures);
                    again = Some(job.due);
                    self.waiting.push(job);
                }
            }
        }
        self.observers.tell(Event::CommandEnded { words: &words, took, failure: failure.as_deref(), again });
        let ends = !self.fatal.is_empty() && !self.is_busy() && goes_back.is_none();
        if ends { Err(RunError::Failed(listed(&self.fatal))) } else { Ok(goes_back) }
    }

    fn worked(&mut self, job: Job) {
        let words = go_list(job.words());
        if let Some(reason) = &job.went_back {
            tracing::warn!(target: "runner", "command {words:?} works with the files before");
            if self.once {
                self.fatal.push(reason.clone());
            }
        } else if job.failures > 0 {
            let attempts = job.failures + 1;
            tracing::warn!(target: "runner", "command {words:?} worked at attempt {attempts}");
        }
        job.give_up(self.waiting.iter().find(|waiting| waiting.is_same(&job)));
    }

    /// Runs a command again with the files before.
    pub(super) fn run_again(&mut self, mut job: Job) {
        job.undo.clear();
        job.due = Instant::now();
        self.waiting.push(job);
    }

    /// When the next command is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.waiting.iter().filter(|job| !job.is_blocked).map(|job| job.due).min()
    }
}

/// Waits for the locks of an action, and runs it.
async fn execute(job: Job, client: Client, is_paced: bool) -> Done {
    let Pace { splay, lock_file, lock_key, lock_timeout, .. } = &job.action.pace;
    if is_paced && !splay.is_zero() {
        sleep(splay.mul_f64(rand::random())).await;
    }
    let program = &job.action.program;
    let (result, took) = async {
        let _held = match lock_file {
            Some(path) => Some(lock::of_machine(path, *lock_timeout).await.map_err(CommandError::Locked)?),
            None => None,
        };
        Ok(match lock_key {
            Some(key) => {
                let lock = lock::OfFleet::take(&client, key, *lock_timeout).await;
                lock.map_err(CommandError::Locked)?.during(timed(program)).await
            }
            None => timed(program).await,
        })
    }
    .await
    .unwrap_or_else(|error| (Err(error), Duration::ZERO));
    Done { job, result, took }
}

async fn timed(program: &Program) -> (Result<(), CommandError>, Duration) {
    let start = Instant::now();
    (program.run().await, start.elapsed())
}

fn lane(job: &Job) -> Lane {
    let Pace { splay, lock_file, lock_key, .. } = &job.action.pace;
    let may_wait = lock_file.is_some() || lock_key.is_some() || !splay.is_zero();
    if may_wait || job.failures > 0 { Lane::Own } else { Lane::Common }
}

fn tell_failure(job: &Job, message: &str) {
    if job.failures == 1 {
        tracing::error!(target: "runner", "{message} (trying again until it works)");
    } else {
        tracing::debug!(target: "runner", "{message}");
    }
}

/// The pause after so many failures, with jitter.
fn pause(failures: u32) -> Duration {
    let (first, longest) = PAUSE;
    let pause = first.saturating_mul(1 << (failures.max(1) - 1).min(10)).min(longest);
    pause + pause.mul_f64(rand::random::<f64>() / 10.0)
}

/// Several reasons as one text, in the form scripts know.
fn listed(reasons: &[String]) -> String {
    let noun = if reasons.len() == 1 { "error" } else { "errors" };
    let list: String = reasons.iter().map(|reason| format!("\n\t* {reason}")).collect();
    format!("{} {noun} occurred:{list}", reasons.len())
}

#[cfg(test)]
#[path = "actions_tests.rs"]
mod tests;
