//! Requests while servers come and go, over real links.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use tokio::net::TcpListener;

use super::*;

/// A registry that counts what reaches it and says it back.
#[derive(Clone, Default)]
struct Registry {
    seen: Arc<AtomicUsize>,
    /// Whether it keeps requests without ever answering.
    silent: bool,
    /// Whether it says that it knows no leader.
    unserved: bool,
    /// What it says to everything, in place of what it got.
    says: Option<String>,
    /// The ids of the requests.
    ids: Arc<Mutex<Vec<String>>>,
}

impl Registry {
    fn serve(&self, listener: TcpListener) -> JoinHandle<()> {
        let registry = self.clone();
        let handler = move |_, request: Request<Body>| {
            let registry = registry.clone();
            async move {
                if let Some(id) = request.headers().get(REQUEST_HEADER) {
                    registry.ids.lock().unwrap().push(id.to_str().unwrap().to_owned());
                }
                let sent = whole(request.into_body()).await.unwrap();
                registry.seen.fetch_add(1, Relaxed);
                if registry.silent {
                    std::future::pending::<()>().await;
                }
                let said = registry.says.clone().map_or(sent, Bytes::from);
                let mut answer = Response::new(body::full(said));
                if registry.unserved {
                    answer.headers_mut().insert(UNSERVED_HEADER, HeaderValue::from_static("1"));
                }
                answer
            }
        };
        tokio::spawn(link::serve(listener, None, handler, Shutdown::default()))
    }
}

fn remote(server: SocketAddr, hold: Duration) -> Arc<Remote> {
    let remote = Remote {
        servers: Servers::default(),
        lease: RwLock::default(),
        remembered: Mutex::new(Remembered::new(Duration::ZERO)),
        settings: Settings {
            lease: Lease::default(),
            joins: Joins { targets: Vec::new(), datacenter: "dc1".into(), network: link::network(None) },
            keys: None,
            retry_interval: Duration::from_secs(1),
            retry_max: 0,
            remember: Duration::ZERO,
            hold,
        },
        attachment: watch::channel(Attachment::Attached).0,
        returns: watch::channel(0).0,
        coordinates: Arc::default(),
        version: AtomicU32::new(0),
    };
    remote.learn(&[server]);
    Arc::new(remote)
}

fn write() -> Request<Body> {
    Request::put("/v1/kv/a").body(body::full("value")).unwrap()
}

/// A place where nobody listens now.
async fn free_place() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn a_write_that_was_not_sent_waits_for_the_server_and_is_done_once() {
    let (place, registry) = (free_place().await, Registry::default());
    let remote = remote(place, Duration::from_secs(20));
    let writing = remote.forward(write());
    tokio::pin!(writing);
    assert!(timeout(Duration::from_millis(100), &mut writing).await.is_err(), "it did not wait");
    let _serving = registry.serve(TcpListener::bind(place).await.unwrap());
    let answer = writing.await.unwrap();
    assert_eq!(whole(answer.into_body()).await.unwrap(), "value");
    assert_eq!(registry.seen.load(Relaxed), 1);
}

#[tokio::test]
async fn a_write_is_held_for_its_time_only() {
    let place = free_place().await;
    let error = remote(place, Duration::from_millis(100)).forward(write()).await.unwrap_err();
    let said = format!(
        "rpc error getting client: failed to get conn: dial tcp <nil>->{place}: connect: connection refused"
    );
    assert_eq!(error.to_string(), said);
}

#[tokio::test]
async fn a_write_that_may_have_arrived_is_not_sent_again_and_a_read_is() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = listener.local_addr().unwrap();
    let silent = Registry { silent: true, ..Registry::default() };
    let serving = silent.serve(listener);
    let remote = remote(place, Duration::from_secs(20));
    let (writing, reading) = {
        let read = Request::get("/v1/kv/a").body(body::empty()).unwrap();
        let (one, other) = (remote.clone(), remote.clone());
        (
            tokio::spawn(async move { one.forward(write()).await.map(drop) }),
            tokio::spawn(async move { other.forward(read).await.map(drop) }),
        )
    };
    while silent.seen.load(Relaxed) < 2 {
        tokio::task::yield_now().await;
    }
    serving.abort();
    let error = writing.await.unwrap().unwrap_err();
    assert_eq!((error.to_string().as_str(), error), ("rpc error making call: EOF", Unavailable::Interrupted));
    let registry = Registry::default();
    let _serving = registry.serve(TcpListener::bind(place).await.unwrap());
    reading.await.unwrap().unwrap();
    assert_eq!(registry.seen.load(Relaxed), 1);
}

#[tokio::test]
async fn a_write_comes_again_under_its_id_where_servers_know_requests() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = listener.local_addr().unwrap();
    let silent = Registry { silent: true, ..Registry::default() };
    let serving = silent.serve(listener);
    let remote = remote(place, Duration::from_secs(20));
    remote.version.store(calls::VERSION, Relaxed);
    let writing = tokio::spawn(async move { remote.forward(write()).await });
    while silent.seen.load(Relaxed) < 1 {
        tokio::task::yield_now().await;
    }
    serving.abort();
    // Only then is its place free.
    let _ = serving.await;
    let registry = Registry::default();
    let _serving = registry.serve(TcpListener::bind(place).await.unwrap());
    let answer = writing.await.unwrap().unwrap();
    assert_eq!(whole(answer.into_body()).await.unwrap(), "value");
    assert_eq!(*registry.ids.lock().unwrap(), *silent.ids.lock().unwrap());
    assert_eq!(registry.ids.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_server_without_a_leader_is_left_for_another_within_a_second() {
    let (one, other) = (TcpListener::bind("127.0.0.1:0").await, TcpListener::bind("127.0.0.1:0").await);
    let (one, other) = (one.unwrap(), other.unwrap());
    let places = [one.local_addr().unwrap(), other.local_addr().unwrap()];
    let cannot = Registry { unserved: true, ..Registry::default() };
    let (_cannot, _can) = (cannot.serve(one), Registry::default().serve(other));
    let remote = remote(places[0], Duration::from_secs(20));
    remote.servers.set(&places);
    let start = Instant::now();
    let read = Request::get("/v1/kv/a").body(body::empty()).unwrap();
    let answer = remote.forward(read).await.unwrap();
    assert!(!answer.headers().contains_key(UNSERVED_HEADER));
    assert!(start.elapsed() < Duration::from_secs(1));
    remote.forward(write()).await.unwrap();
    assert_eq!(cannot.seen.load(Relaxed), 1, "the one that answers is asked first from then on");
}

#[tokio::test]
async fn a_server_that_falls_silent_is_left_for_another_with_all_that_wait_for_it() {
    let serve = async |registry: &Registry| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        (listener.local_addr().unwrap(), registry.serve(listener))
    };
    // It takes everything and answers nothing, as a process that is stopped or a machine behind a cut cable.
    let silent = Registry { silent: true, ..Registry::default() };
    let lease = calls::Granted { version: calls::VERSION, ..calls::Granted::default() };
    let well = Registry { says: Some(serde_json::to_string(&lease).unwrap()), ..Registry::default() };
    let ((first, _one), (second, _other)) = (serve(&silent).await, serve(&well).await);
    let remote = remote(first, Duration::from_secs(20));
    remote.servers.set(&[first, second]);
    let reader = remote.clone();
    let reading = tokio::spawn(async move {
        let read = Request::get("/v1/kv/a?index=7").body(body::empty()).unwrap();
        reader.forward(read).await.map(drop)
    });
    while silent.seen.load(Relaxed) < 1 {
        tokio::task::yield_now().await;
    }
    lease::take(&remote).await.unwrap();
    assert_eq!(*remote.attachment.borrow(), Attachment::Attached, "the lease is kept at the other one");
    reading.await.unwrap().unwrap();
    assert_eq!((silent.seen.load(Relaxed), well.seen.load(Relaxed)), (2, 2));
}

#[tokio::test]
async fn a_registry_whose_machine_is_gone_does_not_hold_up_what_is_known() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = listener.local_addr().unwrap();
    let _silent = Registry { silent: true, ..Registry::default() }.serve(listener);
    let remote = remote(place, Duration::from_secs(20));
    *remote.remembered.lock().unwrap() = Remembered::new(Duration::from_secs(60));
    let lookup = Lookup::Node { name: "a".into(), datacenter: None };
    remote.remembered().remember(lookup.clone(), Bytes::new(), Found::Node(None));
    remote.attachment.send_replace(Attachment::Away);
    let start = Instant::now();
    remote.look_up(lookup).await.unwrap();
    assert!(start.elapsed() < LOOKUP_LIMIT);
}
