//! Figures of the engine alone, without HTTP: what a change of it costs or saves.
//!
//! `cargo test --release -p registry-core --test figures -- --ignored --nocapture`

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "figures are printed, and what fails ends it")]

use std::{
    fs::File,
    io::Write,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use daemon::Shutdown;
use registry_core::{Consistency, Options, Registry, Settings, Wait};
use registry_state::{Action, KvEntry, KvPut, Stored, read::KvGet};

const WAITERS: usize = 10_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures, and depends on the machine"]
async fn figures() {
    let folder = tempfile::tempdir_in(std::env::current_dir().unwrap()).unwrap();
    println!("bare append and fdatasync: {:.0}/s", fdatasync(folder.path()));
    let started = Instant::now();
    let mut settings = Settings::new("n1", "11111111-2222-4333-8444-555555555555");
    settings.data_dir = Some(folder.path().to_owned());
    let registry = Registry::start(settings.clone(), Shutdown::default()).await.unwrap();
    put(&registry, "first").await;
    println!("start to the first durable write: {:?}, {} kB", started.elapsed(), rss_kb());
    for (clients, each) in [(1, 4000), (16, 2000), (64, 2000)] {
        puts(&registry, clients, each).await;
    }
    gets(&registry).await;
    waiters(&registry).await;
    registry.shutdown().request();
    registry.ended().await;
    drop(registry);
    let started = Instant::now();
    let registry = Registry::start(settings, Shutdown::default()).await.unwrap();
    registry.leadership().leading().await.unwrap();
    println!("restart with {} commands: {:?}", registry.store().state().index(), started.elapsed());
}

fn fdatasync(folder: &Path) -> f64 {
    let mut file = File::create(folder.join("bare")).unwrap();
    let started = Instant::now();
    let mut count = 0;
    while started.elapsed() < Duration::from_secs(1) {
        file.write_all(&[7; 256]).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    f64::from(count) / started.elapsed().as_secs_f64()
}

async fn put(registry: &Registry, key: &str) {
    let put = KvPut { key: key.into(), value: vec![b'x'; 128].into(), ..KvPut::default() };
    // Each value differs, for an equal one is not written.
    let value = format!("{:?}", Instant::now()).into();
    registry.writer().write(Action::KvPut(KvPut { value, ..put })).await.unwrap();
}

async fn puts(registry: &Arc<Registry>, clients: usize, each: usize) {
    let started = Instant::now();
    let tasks = (0..clients).map(|client| {
        let registry = registry.clone();
        tokio::spawn(async move {
            let mut times = Vec::new();
            for n in 0..each {
                let one = Instant::now();
                put(&registry, &format!("k/{client}/{}", n % 100)).await;
                times.push(one.elapsed());
            }
            times
        })
    });
    let mut times = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        times.extend(task.await.unwrap());
    }
    let rate = times.len() as f64 / started.elapsed().as_secs_f64();
    times.sort();
    let (half, most) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    println!("{clients} clients: {rate:.0} puts/s, p50 {half:?}, p99 {most:?}, {} kB", rss_kb());
}

fn encode(found: &Option<Arc<Stored<KvEntry>>>, (): &()) -> Bytes {
    found.as_ref().map(|entry| entry.value.value.clone()).unwrap_or_default()
}

async fn gets(registry: &Registry) {
    for consistency in [Consistency::Default, Consistency::Consistent] {
        let (started, count) = (Instant::now(), 20_000);
        for _ in 0..count {
            let options = Options { consistency, wait: None };
            registry.reader().encoded(KvGet { key: "first".into() }, (), options, encode).await.unwrap();
        }
        let rate = f64::from(count) / started.elapsed().as_secs_f64();
        println!("{consistency:?}: {rate:.0} gets/s by one task");
    }
}

async fn waiters(registry: &Arc<Registry>) {
    let before = rss_kb();
    let index = registry.store().state().index();
    let tasks = (0..WAITERS).map(|_| {
        let registry = registry.clone();
        tokio::spawn(async move {
            let wait = Some(Wait { index, limit: Duration::from_secs(600) });
            let options = Options { consistency: Consistency::Default, wait };
            registry.reader().encoded(KvGet { key: "watched".into() }, (), options, encode).await.unwrap();
            Instant::now()
        })
    });
    let tasks: Vec<_> = tasks.collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    println!("a waiter: {:.1} kB", (rss_kb() - before) as f64 / WAITERS as f64);
    let started = Instant::now();
    put(registry, "watched").await;
    let mut last = started;
    for task in tasks {
        last = last.max(task.await.unwrap());
    }
    println!("{WAITERS} waiters on one key: last awake {:?} after the write began", last - started);
}

fn rss_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
