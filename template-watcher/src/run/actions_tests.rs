//! Commands that wait, share, fail and come again.

use super::*;
use crate::action::Action;

fn actions(once: bool) -> Actions {
    Actions::new(Client::new(registry_client::Settings::default()).unwrap(), once)
}

fn job(line: &str) -> Job {
    let program = Program::of_words(&[line], Duration::from_secs(10));
    let action = Action { program, name: None, pace: Pace::default() };
    Job::new(action, ("in".into(), "out".into()), None, None)
}

fn done(job: Job, works: bool) -> Done {
    let result = if works { Ok(()) } else { Err(CommandError::Start("no".into())) };
    Done { job, result, took: Duration::ZERO }
}

#[tokio::test]
async fn equal_commands_run_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let line = |word: &str| format!("echo {word} >> {}", log.display());
    let mut actions = actions(true);
    for word in ["a", "b", "a", "c"] {
        actions.queue(job(&line(word)), Instant::now());
    }
    let mut ran = 0;
    loop {
        actions.start(&[], Instant::now());
        if !actions.is_busy() {
            break;
        }
        let done = actions.next().await;
        actions.judge(done).unwrap();
        ran += 1;
    }
    assert_eq!(ran, 3);
    assert_eq!(std::fs::read_to_string(log).unwrap(), "a\nb\nc\n");
}

#[tokio::test(start_paused = true)]
async fn a_failed_command_is_due_again_later_and_later() {
    let mut actions = actions(false);
    let mut pauses = Vec::new();
    let mut job = job("x");
    for _ in 0..8 {
        actions.judge(done(job, false)).unwrap();
        pauses.push((actions.deadline().unwrap() - Instant::now()).as_secs_f64());
        job = actions.waiting.remove(0);
    }
    for (pause, expected) in pauses.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]) {
        assert!((expected..=expected * 1.1).contains(pause), "{pauses:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_newer_good_file_runs_a_failed_command_at_once() {
    let mut actions = actions(false);
    for line in ["x", "y"] {
        actions.judge(done(job(line), false)).unwrap();
    }
    let now = Instant::now();
    actions.queue(job("x"), now);
    let due: Vec<_> = actions.waiting.iter().map(|job| (job.words()[0].as_str(), job.due <= now)).collect();
    assert_eq!(due, [("x", true), ("y", false)]);
}

#[tokio::test(start_paused = true)]
async fn changes_within_the_window_share_a_run_and_runs_keep_their_distance() {
    let mut actions = actions(false);
    let paced = || {
        let mut job = job("true");
        job.action.pace.coalesce = Duration::from_secs(2);
        job.action.pace.min_interval = Duration::from_secs(30);
        job
    };
    let start = Instant::now();
    actions.queue(paced(), start);
    actions.queue(paced(), start + Duration::from_secs(1));
    assert_eq!(actions.waiting.len(), 1);
    assert_eq!(actions.deadline(), Some(start + Duration::from_secs(2)));
    actions.start(&[], start);
    assert!(!actions.is_busy(), "the window is open");
    let first = actions.waiting.remove(0);
    actions.judge(done(first, true)).unwrap();
    actions.queue(paced(), start + Duration::from_secs(3));
    assert_eq!(actions.deadline(), Some(start + Duration::from_secs(30)));
}

#[tokio::test]
async fn a_failing_command_holds_no_other_up() {
    let mut actions = actions(false);
    let mut hanging = job("sleep 100");
    hanging.failures = 1;
    actions.queue(hanging, Instant::now());
    actions.queue(job("true"), Instant::now());
    actions.start(&[], Instant::now());
    let Done { job, result, .. } = actions.next().await;
    assert!(result.is_ok());
    assert_eq!(job.words(), ["true"]);
}

#[tokio::test]
async fn failures_in_the_recorded_words() {
    let mut actions = actions(true);
    actions.queue(job("b"), Instant::now());
    assert!(matches!(actions.judge(done(job("exit 3"), false)), Ok(None)), "b has still to run");
    let last = actions.waiting.remove(0);
    let said = actions.judge(done(last, true)).unwrap_err().to_string();
    let expected = "1 error occurred:\n\t* failed to execute command \"[\\\"exit 3\\\"]\" from \"in\" => \"out\": child: no";
    assert_eq!(said, expected);
}
