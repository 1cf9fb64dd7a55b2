//! For tests: a store, its writer and reader without a log, so that time can be simulated.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use daemon::Shutdown;
use futures_util::future::{Either, ready};
use registry_state::{Action, Check, KvPut, Node, Outcome, Register, Service};
use tokio::sync::watch;

use crate::{
    Leadership, Reader, Role, Store, Writer,
    writer::{Propose, WriteFailed, Written},
};

pub(crate) struct Simulated {
    pub(crate) store: Arc<Store>,
    pub(crate) writer: Writer,
    pub(crate) reader: Reader,
    pub(crate) leadership: Leadership,
    pub(crate) role: watch::Sender<Role>,
    pub(crate) shutdown: Shutdown,
    /// While it is set, the log takes nothing.
    pub(crate) broken: Arc<AtomicBool>,
    /// While it is set, the other servers do not answer, so that this one cannot be sure to lead.
    pub(crate) alone: Arc<AtomicBool>,
    batches: Arc<AtomicUsize>,
}

pub(crate) fn leading() -> Role {
    Role { leader: Some("127.0.0.1:8300".to_owned()), id: 1, serving: true }
}

impl Simulated {
    pub(crate) fn start() -> Self {
        let (store, shutdown) = (Arc::new(Store::default()), Shutdown::default());
        let (role, receiver) = watch::channel(leading());
        let alone = Arc::new(AtomicBool::new(false));
        let (unheard, unsure) = (alone.clone(), alone.clone());
        let leadership = Leadership::new(
            receiver,
            Arc::new(move || !unheard.load(Relaxed)),
            Arc::new(move || Either::Left(ready(!unsure.load(Relaxed)))),
            Arc::new(|| None),
            Duration::from_secs(7),
        );
        let (applying, batches) = (store.clone(), Arc::new(AtomicUsize::new(0)));
        let (counting, broken) = (batches.clone(), Arc::new(AtomicBool::new(false)));
        let breaking = broken.clone();
        let propose: Propose = Arc::new(move |commands| {
            if breaking.load(Relaxed) {
                return Box::pin(async { Err(WriteFailed::Unknown) });
            }
            counting.fetch_add(1, Relaxed);
            let outcomes = applying.apply(&commands);
            Box::pin(async move { Ok(outcomes) })
        });
        let (writer, _) =
            Writer::start(leadership.clone(), propose, crate::Clock::default().moments(), shutdown.clone());
        let reader = Reader::new(store.clone(), leadership.clone(), shutdown.clone());
        Self { store, writer, reader, leadership, role, shutdown, broken, alone, batches }
    }

    /// How many log entries there would be.
    pub(crate) fn batches(&self) -> usize {
        self.batches.load(Relaxed)
    }

    pub(crate) async fn done(&self, action: Action) -> Written {
        let written = self.writer.write(action).await.unwrap();
        assert_eq!(written.outcome, Outcome::Done);
        written
    }

    pub(crate) async fn put(&self, key: &str, value: &str) -> Written {
        let (key, value) = (key.into(), value.to_owned().into());
        self.done(Action::KvPut(KvPut { key, value, ..KvPut::default() })).await
    }

    pub(crate) async fn register(&self, node: &str, service: Option<&str>, check: Option<Check>) -> Written {
        let node = Node { name: node.to_owned(), address: "10.0.0.9".to_owned(), ..Node::default() };
        let service =
            service.map(|name| Service { id: name.into(), name: name.into(), ..Service::default() });
        let checks = check.into_iter().collect();
        self.done(Action::Register(Box::new(Register { node, service, checks, ..Register::default() }))).await
    }
}
