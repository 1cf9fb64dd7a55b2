use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use registry_state::{
    Action, KvDelete,
    read::{HealthService, KvGet, KvList},
};

use super::*;
use crate::{Role, simulated::Simulated};

fn waiting(index: Index, seconds: u64) -> Options {
    let wait = Some(Wait { index, limit: Duration::from_secs(seconds) });
    Options { consistency: Consistency::Default, wait }
}

fn get(key: &str) -> KvGet {
    KvGet { key: key.into() }
}

async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_with_a_newer_answer_or_at_its_limit() {
    let engine = Simulated::start();
    let first = engine.put("a", "1").await.index;
    let at_once = engine.reader.read(&get("a"), waiting(first - 1, 60)).await.unwrap();
    assert_eq!(at_once.index, first);
    let started = Instant::now();
    let late = engine.reader.read(&get("a"), waiting(first, 16)).await.unwrap();
    assert_eq!(late.index, first, "the limit gives what is there");
    let waited = started.elapsed();
    assert!(waited >= Duration::from_secs(16) && waited < Duration::from_secs(17), "{waited:?}");
    for (asked, least, most) in [(0, 300, 319), (9999, 600, 638)] {
        let started = Instant::now();
        engine.reader.read(&get("a"), waiting(first, asked)).await.unwrap();
        let waited = started.elapsed().as_secs();
        assert!((least..=most).contains(&waited), "{asked} waited {waited}");
    }
    let reader = engine.reader.clone();
    let blocked = tokio::spawn(async move { reader.read(&get("a"), waiting(first, 60)).await.unwrap() });
    settle().await;
    let second = engine.put("a", "2").await.index;
    assert_eq!(blocked.await.unwrap().index, second);
    assert_eq!(engine.store.watch().topics(), 0, "nobody waits any more");
}

#[tokio::test(start_paused = true)]
async fn an_absent_key_wakes_when_it_comes_and_goes_and_for_nothing_else() {
    let engine = Simulated::start();
    let index = engine.put("other", "1").await.index;
    let reader = engine.reader.clone();
    let blocked = tokio::spawn(async move { reader.read(&get("a"), waiting(index, 60)).await.unwrap() });
    settle().await;
    engine.put("other", "2").await;
    engine.put("ab", "2").await;
    settle().await;
    assert!(!blocked.is_finished());
    let came = engine.put("a", "1").await.index;
    let answer = blocked.await.unwrap();
    assert_eq!((answer.value.is_some(), answer.index), (true, came));
    let reader = engine.reader.clone();
    let blocked = tokio::spawn(async move { reader.read(&get("a"), waiting(came, 60)).await.unwrap() });
    settle().await;
    let gone = engine.done(Action::KvDelete(KvDelete::Key("a".into()))).await.index;
    let answer = blocked.await.unwrap();
    assert_eq!((answer.value.is_none(), answer.index), (true, gone));
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_what_stays_absent_ends_with_the_newest_index() {
    let engine = Simulated::start();
    let index = engine.put("other", "1").await.index;
    let reader = engine.reader.clone();
    let blocked =
        tokio::spawn(async move { reader.read(&get("a"), waiting(index, 16)).await.unwrap().index });
    let reader = engine.reader.clone();
    let encoded = tokio::spawn(async move {
        let encode = |found: &Option<_>, (): &()| found.is_some();
        reader.encoded(get("a"), (), waiting(index, 16), encode).await.unwrap().index
    });
    settle().await;
    let newest = engine.put("other", "2").await.index;
    assert_eq!((blocked.await.unwrap(), encoded.await.unwrap()), (newest, newest));
}

static ENCODED: AtomicUsize = AtomicUsize::new(0);

#[expect(clippy::ptr_arg, reason = "what the read gives")]
fn encode(found: &Vec<Arc<registry_state::Stored<registry_state::KvEntry>>>, pretty: &bool) -> Bytes {
    ENCODED.fetch_add(1, Relaxed);
    format!("{} {pretty}", found.len()).into()
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_for_one_question_share_one_look_and_unrelated_writes_wake_nobody() {
    let engine = Simulated::start();
    let index = engine.put("p/a", "1").await.index;
    let mut blocked = Vec::new();
    for n in 0..500 {
        let reader = engine.reader.clone();
        blocked.push(tokio::spawn(async move {
            let (question, pretty) = (KvList { prefix: "p/".into() }, n % 2 == 0);
            reader.encoded(question, pretty, waiting(index, 60), encode).await.unwrap()
        }));
    }
    settle().await;
    assert_eq!(ENCODED.load(Relaxed), 2, "two forms, one look each");
    for n in 0..50 {
        engine.put(&format!("q/{n}"), "1").await;
        engine.register(&format!("n{n}"), Some("web"), None).await;
    }
    settle().await;
    assert_eq!(ENCODED.load(Relaxed), 2, "unrelated writes wake nobody");
    let changed = engine.put("p/b", "1").await.index;
    for (n, blocked) in blocked.into_iter().enumerate() {
        let answer = blocked.await.unwrap();
        assert_eq!((answer.index, answer.value), (changed, Bytes::from(format!("2 {}", n % 2 == 0))));
    }
    assert_eq!(ENCODED.load(Relaxed), 4, "one look for each form after the change");
    assert_eq!(engine.reader.looks(), Looks { made: 4, shared: 996 });
    assert_eq!((engine.store.watch().topics(), engine.reader.questions.len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_service_wakes_for_its_own_changes_and_a_restored_state_wakes_everyone() {
    let engine = Simulated::start();
    let index = engine.register("n1", Some("web"), None).await.index;
    let ask = |service: &str| {
        let question = HealthService { service: service.into(), ..HealthService::default() };
        let reader = engine.reader.clone();
        tokio::spawn(async move { reader.read(&question, waiting(index, 60)).await.unwrap() })
    };
    let (web, absent) = (ask("web"), ask("absent"));
    settle().await;
    engine.register("n2", Some("db"), None).await;
    settle().await;
    assert!(!web.is_finished() && !absent.is_finished());
    engine.register("n3", Some("web"), None).await;
    assert_eq!(web.await.unwrap().value.len(), 2);
    assert!(!absent.is_finished());
    let mut other = registry_state::State::clone(&engine.store.state());
    let action = Action::Register(Box::new(registry_state::Register {
        node: registry_state::Node { name: "n9".into(), ..Default::default() },
        service: Some(registry_state::Service {
            id: "absent".into(),
            name: "absent".into(),
            ..Default::default()
        }),
        ..Default::default()
    }));
    other.apply(&registry_state::Command { at_ms: 1, action });
    engine.store.replace(other);
    assert_eq!(absent.await.unwrap().value.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_leader_only_stale_questions_are_answered_and_shutdown_ends_every_wait() {
    let engine = Simulated::start();
    let index = engine.put("a", "1").await.index;
    engine.role.send_replace(Role::default());
    let started = Instant::now();
    let sure = Options::default();
    assert_eq!(engine.reader.read(&get("a"), sure).await.unwrap_err(), ReadError::NoLeader);
    assert_eq!(started.elapsed().as_secs(), 7);
    let stale = Options { consistency: Consistency::Stale, wait: None };
    let answer = engine.reader.read(&get("a"), stale).await.unwrap();
    assert_eq!((answer.index, answer.known_leader), (index, false));
    engine.role.send_replace(crate::simulated::leading());
    let reader = engine.reader.clone();
    let blocked = tokio::spawn(async move { reader.read(&get("a"), waiting(index, 600)).await.unwrap() });
    settle().await;
    engine.shutdown.request();
    assert_eq!(blocked.await.unwrap().index, index);
}

/// Subscribing before looking loses nothing, whatever the moment of the write.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_wake_up_is_lost() {
    let engine = Arc::new(Simulated::start());
    let mut index = engine.put("race", "first").await.index;
    for round in 0..3000 {
        let (reader, writing) = (engine.reader.clone(), engine.clone());
        let writer = tokio::spawn(async move { writing.put("race", &round.to_string()).await.index });
        let limit = Duration::from_secs(60);
        let answer = tokio::time::timeout(limit, reader.read(&get("race"), waiting(index, 600))).await;
        let answer = answer.expect("a wake-up was lost").unwrap();
        index = writer.await.unwrap();
        assert_eq!(answer.index, index);
    }
}
