//! The steady stream of requests through the proxy, on both routes, all along.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::ask::http;

/// One route through the proxy, chosen by the `Host` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Servers rendered into the configuration.
    Rendered,
    /// Servers found by HAProxy itself through the agent's DNS.
    ByName,
}

impl Route {
    /// The host that the proxy routes by.
    pub(crate) fn host(self) -> &'static str {
        match self {
            Self::Rendered => "www.demo",
            Self::ByName => "srv.demo",
        }
    }
}

/// What happened to the requests since the last look.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Answered with 200, on both routes.
    pub(crate) answered: usize,
    /// Failed on the rendered route; must stay empty.
    pub(crate) rendered_failed: Vec<String>,
    /// 503 on the route by name: HAProxy resolves anew after each reload.
    pub(crate) by_name_503: usize,
    /// Anything else that failed on the route by name; must stay empty.
    pub(crate) by_name_failed: Vec<String>,
    /// Who answered last, and when.
    pub(crate) last_page: String,
}

/// Two threads that ask until dropped.
pub(crate) struct Traffic {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Traffic {
    /// Starts the stream: some fifty requests a second on each route.
    pub(crate) fn start(proxy: SocketAddr) -> Self {
        let (seen, stop) = (Arc::new(Mutex::new(Seen::default())), Arc::new(AtomicBool::new(false)));
        let threads = [Route::Rendered, Route::ByName]
            .into_iter()
            .map(|route| {
                let (seen, stop) = (seen.clone(), stop.clone());
                std::thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        request(proxy, route, &seen);
                    }
                })
            })
            .collect();
        Self { seen, stop, threads }
    }

    /// What happened since the last call.
    pub(crate) fn take(&self) -> Seen {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let last_page = seen.last_page.clone();
        std::mem::replace(&mut *seen, Seen { last_page, ..Seen::default() })
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A panic in there has been printed by the thread itself.
            let _ = thread.join();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "paces a plain thread")]
fn request(proxy: SocketAddr, route: Route, seen: &Mutex<Seen>) {
    let start = Instant::now();
    let page = http(proxy, route.host(), "/", Duration::from_secs(5));
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    match (page, route) {
        (Ok(page), _) if page.status == 200 => {
            seen.answered += 1;
            seen.last_page = page.text;
        }
        (Ok(page), Route::ByName) if page.status == 503 => seen.by_name_503 += 1,
        (page, Route::ByName) => seen.by_name_failed.push(format!("{page:?} after {:?}", start.elapsed())),
        (page, Route::Rendered) => seen.rendered_failed.push(format!("{page:?} after {:?}", start.elapsed())),
    }
    drop(seen);
    std::thread::sleep(Duration::from_millis(20).saturating_sub(start.elapsed()));
}
