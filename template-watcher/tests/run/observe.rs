//! What observers are told while a file follows a key.

use std::{
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};

use daemon::Shutdown;
use template_watcher::{
    config::{Invocation, invocation},
    observe::{Evaluation, Event, Observer},
    run_observed,
};
use tokio::time::{Instant, sleep};

use crate::registry::Registry;

/// Writes down what happens, a word an event.
#[derive(Default)]
struct Diary(Mutex<Vec<String>>);

impl Observer for Diary {
    fn see(&self, event: &Event<'_>) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let line = match event {
            Event::Began { templates } => format!("began {}", templates.len()),
            Event::Answered { query, before, .. } => format!("answered {query} {}", before.is_some()),
            Event::Evaluated { asked, causes, outcome: Evaluation::Waiting, .. } => {
                format!("waiting {} {}", asked.missing.len(), causes.len())
            }
            Event::Evaluated { outcome: Evaluation::Text(now), .. } => format!("text {}", text(now)),
            Event::Written { before, now, causes, .. } => {
                format!("written {:?} {} {}", before.map(text), text(now), causes[0])
            }
            Event::CommandStarted { words } => format!("started {}", words[0]),
            Event::CommandEnded { failure, again, .. } => format!("ended {failure:?} {}", again.is_some()),
            Event::Rejected { .. } => "rejected".to_owned(),
            Event::Ready => "ready".to_owned(),
            _ => return,
        };
        self.0.lock().unwrap().push(line);
    }
}

#[tokio::test]
async fn observers_see_the_way_from_answer_to_command() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::with(&[("a", "1")]).await;
    let (template, out) = (folder.path().join("t"), folder.path().join("out"));
    fs::write(&template, "{{ key \"a\" }}").unwrap();
    let argument = format!("{}:{}:exit 1", template.display(), out.display());
    let words = ["-consul-addr", &registry.address(), "-template", &argument].map(str::to_owned);
    let Invocation::Run(config) = invocation("ryo-watch", &words).unwrap() else { panic!("a run") };
    let (diary, shutdown) = (Arc::new(Diary::default()), Shutdown::default());
    let run = tokio::spawn(run_observed(*config, shutdown.clone(), vec![diary.clone()]));
    let end = Instant::now() + Duration::from_secs(20);
    while !diary.0.lock().unwrap().iter().any(|line| line.starts_with("ended")) {
        assert!(Instant::now() < end, "{:?}", diary.0.lock().unwrap());
        sleep(Duration::from_millis(10)).await;
    }
    shutdown.request();
    run.await.unwrap().unwrap();
    let expected = [
        "began 1",
        "waiting 1 0",
        "answered kv.get(a) false",
        "text 1",
        "written None 1 kv.get(a)",
        "started exit 1",
        "ended Some(\"exit status 1\") true",
        "ready",
    ];
    assert_eq!(*diary.0.lock().unwrap(), expected);
}
