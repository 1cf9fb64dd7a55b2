//! What the disk can do to a registry: cut the last record off, leave a snapshot half written, refuse to be written,
//! belong to another process or release; and what the registry leaves on the disk.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use daemon::Shutdown;
use registry_core::{Options, Registry, Settings, StartError};
use registry_state::{Action, Index, KvPut, Outcome, State, read::KvGet};

fn settings(folder: &Path) -> Settings {
    let mut settings = Settings::new("n1", "11111111-2222-4333-8444-555555555555");
    settings.data_dir = Some(folder.to_owned());
    settings
}

async fn start(settings: Settings) -> Arc<Registry> {
    Registry::start(settings, Shutdown::default()).await.unwrap()
}

async fn stop(registry: Arc<Registry>) {
    registry.shutdown().request();
    registry.ended().await;
    assert_eq!(Arc::strong_count(&registry), 1, "a task that has ended holds the registry");
}

async fn put(registry: &Registry, key: &str, value: &str) -> Index {
    let put = KvPut { key: key.into(), value: value.to_owned().into(), ..KvPut::default() };
    let written = registry.writer().write(Action::KvPut(put)).await.unwrap();
    assert_eq!(written.outcome, Outcome::Done);
    written.index
}

async fn value(registry: &Registry, key: &str) -> Option<String> {
    let answer = registry.reader().read(&KvGet { key: key.into() }, Options::default()).await.unwrap();
    answer.value.map(|entry| String::from_utf8(entry.value.value.to_vec()).unwrap())
}

/// The files of a folder and all below it, with their sizes.
fn files(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.clone(), fs::metadata(&path).unwrap().len()));
        }
    }
    found.sort();
    found
}

fn log_files(folder: &Path) -> Vec<(PathBuf, u64)> {
    files(&folder.join("raft/log"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_finds_everything_and_an_idle_registry_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let registry = start(settings(folder.path())).await;
    let index = put(&registry, "a", "1").await;
    let before: State = State::clone(&registry.store().state());
    stop(registry).await;
    let registry = start(settings(folder.path())).await;
    assert_eq!(value(&registry, "a").await.as_deref(), Some("1"));
    let now = registry.store().state();
    assert!(now.index() >= before.index());
    let next = put(&registry, "b", "1").await;
    assert!(next > index);
    // How far the log is committed is noted after the answer.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let sizes = files(folder.path());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(files(folder.path()), sizes, "an idle registry wrote");
    stop(registry).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_last_record_costs_only_itself() {
    let folder = tempfile::tempdir().unwrap();
    let registry = start(settings(folder.path())).await;
    put(&registry, "a", "1").await;
    stop(registry).await;
    // What a crash leaves: the beginning of a record, or zeros where the file had grown before its bytes came.
    for torn in [1, 9, 40, 0] {
        let (last, _) = log_files(folder.path()).pop().unwrap();
        let record = fs::read(&last).unwrap();
        let junk = if torn == 0 { &[0; 64][..] } else { &record[..torn] };
        OpenOptions::new().append(true).open(&last).unwrap().write_all(junk).unwrap();
        let registry = start(settings(folder.path())).await;
        assert_eq!(value(&registry, "a").await.as_deref(), Some("1"), "after {} bytes", junk.len());
        put(&registry, "b", "2").await;
        stop(registry).await;
        let registry = start(settings(folder.path())).await;
        assert_eq!(value(&registry, "b").await.as_deref(), Some("2"));
        stop(registry).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_bound_the_log_and_a_restart_begins_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let small = || Settings { snapshot_every: 100, ..settings(folder.path()) };
    let registry = start(small()).await;
    let big = "x".repeat(60_000);
    for n in 0..600 {
        put(&registry, &format!("k{}", n % 7), &format!("{n} {big}")).await;
    }
    let index = registry.store().state().index();
    stop(registry).await;
    let bytes: u64 = log_files(folder.path()).iter().map(|(_, bytes)| bytes).sum();
    // 36 MB were written; what stays are the entries since the last snapshot, those kept before it, and whole files.
    assert!(bytes < 24 << 20, "{bytes} bytes of log");
    let place = folder.path().join("raft/snapshots");
    let snapshots = files(&place);
    // The end does not wait for a snapshot that is being written, nor for the oldest to be removed after that.
    assert!((2..=3).contains(&snapshots.len()), "{snapshots:?}");
    // A crash while the next one was being written, and one before an old one was removed.
    fs::write(place.join("00000000000000009999.tmp"), "half").unwrap();
    fs::write(place.join("00000000000000000001.snapshot"), "old").unwrap();
    let registry = start(small()).await;
    assert!(registry.store().state().index() >= index);
    assert_eq!(value(&registry, "k4").await, Some(format!("599 {big}")));
    // It may be writing the one that the end cut short.
    let two = async {
        while files(&place).len() != 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), two).await.expect("old snapshots are removed");
    stop(registry).await;
    // Without any snapshot the log alone is not the whole state: better no start than a wrong one.
    for (path, _) in &snapshots {
        fs::write(path, "damaged").unwrap();
    }
    for (path, _) in files(&folder.path().join("raft/snapshots")) {
        fs::write(path, "damaged").unwrap();
    }
    let error = refused(small()).await;
    assert!(error.contains("newest readable snapshot"), "{error}");
}

async fn refused(settings: Settings) -> String {
    match Registry::start(settings, Shutdown::default()).await {
        Ok(_) => panic!("it started"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_that_cannot_be_used_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = refused(settings(&file)).await;
    assert!(error.contains(&*file.to_string_lossy()) && error.contains("may write there"), "{error}");

    let registry = start(settings(folder.path())).await;
    let error = refused(settings(folder.path())).await;
    assert!(error.contains("in use by another process"), "{error}");
    stop(registry).await;

    let identity = folder.path().join("raft/identity.json");
    let newer = fs::read_to_string(&identity).unwrap().replace("\"format\": 1", "\"format\": 2");
    fs::write(&identity, newer).unwrap();
    let error = refused(settings(folder.path())).await;
    assert!(error.contains("newer release") && error.contains("identity.json"), "{error}");
    fs::write(&identity, "{").unwrap();
    let error = refused(settings(folder.path())).await;
    assert!(error.contains("is damaged"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_damaged_before_its_end_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let registry = start(settings(folder.path())).await;
    for n in 0..50 {
        put(&registry, "a", &n.to_string()).await;
    }
    stop(registry).await;
    let (first, bytes) = log_files(folder.path()).into_iter().find(|(_, bytes)| *bytes > 0).unwrap();
    let mut damaged = fs::read(&first).unwrap();
    damaged[bytes as usize / 2] ^= 0xff;
    fs::write(&first, damaged).unwrap();
    let error = refused(settings(folder.path())).await;
    assert!(error.contains("cannot open the log") && error.contains("backup"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_this_release_lacks_and_ports_in_use_are_refused() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut second = Settings::new("n1", "id");
    second.server = taken.local_addr().unwrap();
    match Registry::start(second, Shutdown::default()).await {
        Err(StartError::Bind { address, .. }) => assert_eq!(address, taken.local_addr().unwrap()),
        other => panic!("{:?}", other.map(|_| "it started")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_memory_nothing_is_left_behind() {
    let registry = start(Settings::new("n1", "11111111-2222-4333-8444-555555555555")).await;
    put(&registry, "a", "1").await;
    assert_eq!(value(&registry, "a").await.as_deref(), Some("1"));
    let place = registry.folder().to_owned();
    assert!(place.exists());
    stop(registry).await;
    assert!(!place.exists());
}
