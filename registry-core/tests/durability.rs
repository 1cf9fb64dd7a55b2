//! Nothing acknowledged is lost when the process is killed at any moment.
//!
//! The test starts itself again as the registry, with 32 writers that tell each acknowledged write on standard output,
//! and kills it; the next round must find all of that.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use daemon::Shutdown;
use registry_core::{Consistency, Options, Registry, Settings};
use registry_state::{Action, KvPut, Outcome, read::KvGet};

const FOLDER: &str = "RYO_DURABILITY_FOLDER";
const WRITERS: u64 = 32;
const ROUNDS: usize = 20;

/// What the killed process had acknowledged: the last value of each writer, and the highest index.
#[derive(Default)]
struct Acknowledged {
    values: BTreeMap<u64, u64>,
    index: u64,
}

#[test]
fn nothing_acknowledged_is_lost_by_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Acknowledged::default();
    let mut total = 0;
    for round in 0..ROUNDS {
        let (mut child, mut lines) = start(folder.path());
        check(&mut lines, &acknowledged, round);
        let kill_at = std::time::Instant::now() + Duration::from_millis(rand::random_range(30..250));
        let mut line = String::new();
        while std::time::Instant::now() < kill_at && lines.read_line(&mut line).unwrap() > 0 {
            total += note(&line, &mut acknowledged);
            line.clear();
        }
        child.kill().unwrap();
        // What stands in the pipe was acknowledged as well; only a last line cut off by the kill does not count.
        while lines.read_line(&mut line).unwrap() > 0 {
            total += note(&line, &mut acknowledged);
            line.clear();
        }
        child.wait().unwrap();
    }
    let (mut child, mut lines) = start(folder.path());
    check(&mut lines, &acknowledged, ROUNDS);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(total > ROUNDS as u64 * 32, "only {total} writes were acknowledged: the test saw too little");
    println!("{total} acknowledged writes, none lost");
}

fn start(folder: &Path) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_killed_process", "--nocapture", "--ignored"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap());
    (child, lines)
}

/// Reads what the new process found, up to its `READY <index>`, and compares.
fn check(lines: &mut impl BufRead, acknowledged: &Acknowledged, round: usize) {
    let mut found = BTreeMap::new();
    let mut line = String::new();
    loop {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "round {round}: the registry did not start");
        let words: Vec<_> = line.split_whitespace().collect();
        match words.as_slice() {
            ["FOUND", writer, value] => {
                found.insert(writer.parse::<u64>().unwrap(), value.parse::<u64>().unwrap());
            }
            ["READY", index] => {
                let index: u64 = index.parse().unwrap();
                assert!(index >= acknowledged.index, "round {round}: index {index} < {}", acknowledged.index);
                break;
            }
            _ => {}
        }
    }
    for (writer, value) in &acknowledged.values {
        let there = found.get(writer).copied().unwrap_or(0);
        assert!(there >= *value, "round {round}: writer {writer} had {value} acknowledged, found {there}");
    }
}

fn note(line: &str, acknowledged: &mut Acknowledged) -> u64 {
    let words: Vec<_> = line.split_whitespace().collect();
    let ["ACK", writer, value, index, "."] = words.as_slice() else { return 0 };
    acknowledged.values.insert(writer.parse().unwrap(), value.parse().unwrap());
    acknowledged.index = acknowledged.index.max(index.parse().unwrap());
    1
}

#[test]
#[ignore = "the other process of nothing_acknowledged_is_lost_by_kill_9"]
fn the_killed_process() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut settings = Settings::new("n1", "11111111-2222-4333-8444-555555555555");
        settings.data_dir = Some(folder.into());
        // Small, so that snapshots and the purge of the log are killed too.
        settings.snapshot_every = 200;
        let registry = Registry::start(settings, Shutdown::default()).await.unwrap();
        let mut writers = Vec::new();
        for writer in 0..WRITERS {
            let value = value_of(&registry, writer).await;
            tell(&format!("FOUND {writer} {value}"));
            writers.push((writer, value));
        }
        tell(&format!("READY {}", registry.store().state().index()));
        let tasks =
            writers.into_iter().map(|(writer, value)| tokio::spawn(write(registry.clone(), writer, value)));
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    });
}

async fn value_of(registry: &Registry, writer: u64) -> u64 {
    let options = Options { consistency: Consistency::Default, wait: None };
    let question = KvGet { key: format!("writer/{writer}").as_str().into() };
    let answer = registry.reader().read(&question, options).await.unwrap();
    let entry = answer.value.map(|e| String::from_utf8(e.value.value.to_vec()).unwrap());
    entry.map_or(0, |text| text.parse().unwrap())
}

async fn write(registry: std::sync::Arc<Registry>, writer: u64, mut value: u64) {
    loop {
        value += 1;
        let key = format!("writer/{writer}").as_str().into();
        let put = KvPut { key, value: value.to_string().into(), ..KvPut::default() };
        let written = registry.writer().write(Action::KvPut(put)).await.unwrap();
        assert_eq!(written.outcome, Outcome::Done);
        tell(&format!("ACK {writer} {value} {} .", written.index));
    }
}

fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{line}").unwrap();
    out.flush().unwrap();
}
