//! Scenarios as the runner sees them: something with a name that can be run and says what differs.

use std::{
    collections::VecDeque,
    panic::{self, AssertUnwindSafe},
    sync::{Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use crate::{
    known::{Expected, Known},
    options::Options,
};

/// One scenario.
pub struct Case {
    /// Its name within the suite, `001-kv-basics` or `render/key/simple`.
    pub name: String,
    /// Runs it.
    pub run: Box<dyn FnOnce() -> Verdict + Send>,
}

impl Case {
    /// A scenario that is run by this function; an error counts as a difference.
    pub fn new(
        name: impl Into<String>,
        run: impl FnOnce() -> anyhow::Result<Verdict> + Send + 'static,
    ) -> Self {
        let run = move || run().unwrap_or_else(|e| Verdict::Differs(vec![format!("{e:#}")]));
        Self { name: name.into(), run: Box::new(run) }
    }
}

/// How a scenario ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All as recorded.
    Same,
    /// One line for each thing that differs; not empty.
    Differs(Vec<String>),
    /// Not run, and why: it needs what this machine has not.
    Skipped(String),
}

impl Verdict {
    /// [`Verdict::Same`] when nothing differs.
    pub fn from_differences(differences: Vec<String>) -> Self {
        if differences.is_empty() { Self::Same } else { Self::Differs(differences) }
    }
}

/// What came of a run of scenarios.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Passed, or failed as known.
    pub passed: usize,
    /// Failed, or passed against the list of known failures.
    pub failed: usize,
    /// How many of `passed` failed as known.
    pub known: usize,
}

struct Finished {
    name: String,
    verdict: Verdict,
    took: Duration,
}

/// Runs the scenarios, `options.jobs` at once in their order, and prints a line for each that is not as it should be.
pub fn run_all(cases: Vec<Case>, options: &Options, known: &Known) -> Tally {
    let queue = Mutex::new(VecDeque::from(cases));
    let (done, finished) = mpsc::sync_channel(options.jobs.max(1));
    thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            let (queue, done) = (&queue, done.clone());
            scope.spawn(move || {
                while let Some(case) = take(queue) {
                    // The receiver outlives the workers: it reads until all senders are gone.
                    let _ = done.send(run_one(case));
                }
            });
        }
        drop(done);
        let mut tally = Tally::default();
        for case in finished {
            report(&case, options, known, &mut tally);
        }
        tally
    })
}

fn take(queue: &Mutex<VecDeque<Case>>) -> Option<Case> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

fn run_one(case: Case) -> Finished {
    let begin = Instant::now();
    let verdict = panic::catch_unwind(AssertUnwindSafe(case.run))
        .unwrap_or_else(|_| Verdict::Differs(vec!["the runner itself failed, see above".into()]));
    Finished { name: case.name, verdict, took: begin.elapsed() }
}

#[expect(clippy::print_stdout, reason = "the runner's report")]
fn report(case: &Finished, options: &Options, known: &Known, tally: &mut Tally) {
    let full = format!("{}/{}", options.suite.name(), case.name);
    let seconds = case.took.as_secs_f64();
    let expected = known.expected(&full);
    match (&case.verdict, expected) {
        (Verdict::Skipped(why), _) => println!("SKIP {full}: {why}"),
        (Verdict::Same, Some(Expected::Failure)) => {
            tally.failed += 1;
            println!(
                "FAIL {full}: it passes now: take its line out of known-failures.txt, the list only shrinks"
            );
        }
        (Verdict::Same, _) => {
            tally.passed += 1;
            if options.verbose {
                println!("ok   {full} ({seconds:.1} s)");
            }
        }
        (Verdict::Differs(lines), expected) => {
            let label = if expected.is_some() { "known" } else { "FAIL" };
            if expected.is_some() {
                tally.passed += 1;
                tally.known += 1;
            } else {
                tally.failed += 1;
            }
            if options.verbose {
                println!("{label} {full} ({seconds:.1} s)\n     {}", lines.join("\n     "));
            } else if expected.is_none() {
                println!("FAIL {full}: {}", one_line(lines));
            }
        }
    }
}

/// All differences in one line of bounded length.
fn one_line(lines: &[String]) -> String {
    const LENGTH_MAX: usize = 600;
    let mut text = lines.join(" | ").replace('\n', "\\n");
    if let Some((cut, _)) = text.char_indices().nth(LENGTH_MAX) {
        text.truncate(cut);
        text += &format!("… ({} differences; all with -v)", lines.len());
    }
    text
}
