//! The shared key between two ends: who has another one, or none, is refused and told why; who stalls, resets or is far
//! away stops nobody.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use daemon::Shutdown;
use http::{Request, Response};
use http_api::{Body, body};
use http_body_util::BodyExt as _;
use link::{Key, KeyFault, Link, LinkError, join};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::{sleep_until, timeout},
};

const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn link_to(address: SocketAddr, key: Option<Key>) -> Link {
    Link::over(link::network(key.map(Into::into)), address)
}

fn key(byte: u8) -> Option<Key> {
    Some(Key::new(&[byte; 32]).unwrap())
}

/// A registry's end: the link, and how many calls are being answered.
struct Server {
    link: SocketAddr,
    joins: SocketAddr,
    under_way: Arc<AtomicUsize>,
}

async fn server(key: Option<Key>) -> Server {
    let network = link::network(key.map(Into::into));
    let listener = network.bind(ANY).await.unwrap();
    let link = listener.local_addr().unwrap();
    let under_way = Arc::new(AtomicUsize::new(0));
    let counting = under_way.clone();
    let handler = move |_, request: Request<Body>| {
        counting.fetch_add(1, Relaxed);
        let ends = Ends(counting.clone());
        async move {
            if request.uri().path() == "/wait" {
                std::future::pending::<()>().await;
            }
            drop(ends);
            Response::new(body::full(request.into_body().collect().await.unwrap().to_bytes()))
        }
    };
    tokio::spawn(link::serve(listener, None, handler, Shutdown::default()));
    let listener = network.bind(ANY).await.unwrap();
    let joins = listener.local_addr().unwrap();
    let told = join::Directions {
        datacenter: "dc1".into(),
        server: link,
        cluster: "c".into(),
        version: link::calls::VERSION,
        id: 7,
        node: "s1".into(),
    };
    tokio::spawn(join::answer(listener, move || Some(told.clone()), Shutdown::default()));
    Server { link, joins, under_way }
}

struct Ends(Arc<AtomicUsize>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

fn put(path: &str, text: &'static str) -> Request<Body> {
    Request::put(path).body(body::full(text)).unwrap()
}

async fn echoed(link: &Link) -> Result<String, LinkError> {
    let answer = link.call(put("/echo", "said")).await?;
    Ok(String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
}

#[tokio::test]
async fn two_ends_with_one_key_understand_each_other() {
    for secret in [&[1; 16][..], &[2; 24], &[3; 32]] {
        let key = Some(Key::new(secret).unwrap());
        let server = server(key.clone()).await;
        let told = join::ask(&*link::network(key.clone().map(Into::into)), server.joins).await.unwrap();
        assert_eq!(told.server, server.link);
        assert_eq!(echoed(&link_to(server.link, key)).await.unwrap(), "said");
    }
}

#[tokio::test]
async fn who_has_another_key_or_none_is_refused_and_knows_why() {
    let fault = |ours: &Option<Key>, theirs: &Option<Key>| match (ours, theirs) {
        (Some(_), Some(_)) => KeyFault::Other,
        (Some(_), None) => KeyFault::TheirsMissing,
        _ => KeyFault::OursMissing,
    };
    for (ours, theirs) in [(key(1), key(2)), (key(1), None), (None, key(2))] {
        let server = server(theirs.clone()).await;
        let expected = fault(&ours, &theirs);
        let refused =
            join::ask(&*link::network(ours.clone().map(Into::into)), server.joins).await.unwrap_err();
        assert_eq!(KeyFault::of(&refused), Some(expected), "{refused}");
        let error = echoed(&link_to(server.link, ours)).await.unwrap_err();
        assert!(error.to_string().ends_with(&expected.to_string()), "{error}");
        assert!(!error.may_have_been_sent(), "{error}");
        assert_eq!(server.under_way.load(Relaxed), 0);
        // Whoever has the right key is not in the way of it.
        assert_eq!(echoed(&link_to(server.link, theirs)).await.unwrap(), "said");
    }
}

#[tokio::test]
async fn nothing_of_a_call_can_be_read_on_the_way() {
    let server = server(key(1)).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let between = listener.local_addr().unwrap();
    let (seen, mut bytes) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = TcpStream::connect(server.link).await.unwrap();
        let (mut buffer, mut back) = ([0; 4096], [0; 4096]);
        loop {
            tokio::select! {
                read = near.read(&mut buffer) => {
                    let Ok(count @ 1..) = read else { return };
                    seen.send(buffer[..count].to_vec()).unwrap();
                    far.write_all(&buffer[..count]).await.unwrap();
                }
                read = far.read(&mut back) => {
                    let Ok(count @ 1..) = read else { return };
                    seen.send(back[..count].to_vec()).unwrap();
                    near.write_all(&back[..count]).await.unwrap();
                }
            }
        }
    });
    let link = link_to(between, key(1));
    assert_eq!(echoed(&link).await.unwrap(), "said");
    drop(link);
    let mut all = Vec::new();
    while let Ok(Some(some)) = timeout(Duration::from_secs(5), bytes.recv()).await {
        all.extend(some);
    }
    assert!(all.len() > 500, "only {} bytes were passed on", all.len());
    for plain in ["said", "/echo", "PRI *"] {
        assert!(!all.windows(plain.len()).any(|window| window == plain.as_bytes()), "{plain} can be read");
    }
}

#[tokio::test]
async fn who_connects_and_stalls_stops_nobody() {
    for key in [None, key(1)] {
        let server = server(key.clone()).await;
        let mut stalling = Vec::new();
        for number in 0..700 {
            let at = if number % 2 == 0 { server.link } else { server.joins };
            let mut tcp = TcpStream::connect(at).await.unwrap();
            if number % 3 == 0 {
                // The head of a handshake record, whose rest never comes.
                tcp.write_all(&[0x16, 3, 1, 2, 0]).await.unwrap();
            }
            stalling.push(tcp);
        }
        let began = Instant::now();
        assert_eq!(echoed(&link_to(server.link, key.clone())).await.unwrap(), "said");
        join::ask(&*link::network(key.clone().map(Into::into)), server.joins).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn thousands_of_calls_given_up_at_once_leave_nothing_behind() {
    let server = server(key(1)).await;
    let link = Arc::new(link_to(server.link, key(1)));
    assert_eq!(echoed(&link).await.unwrap(), "said");
    for _ in 0..5 {
        let mut calls = JoinSet::new();
        for _ in 0..1000 {
            let link = link.clone();
            calls.spawn(async move { link.call(put("/wait", "")).await.map(drop) });
        }
        tokio::task::yield_now().await;
        calls.abort_all();
        while calls.join_next().await.is_some() {}
        assert_eq!(echoed(&link).await.unwrap(), "said");
    }
    ended(&server).await;
}

/// Streams opened and reset in one breath, as in the attacks of 2023 (CVE-2023-44487).
#[tokio::test]
async fn rapid_resets_cost_no_memory_and_stop_nobody() {
    let server = server(None).await;
    let good = link_to(server.link, None);
    assert_eq!(echoed(&good).await.unwrap(), "said");
    let before = resident_kb();
    for _ in 0..20 {
        let mut tcp = TcpStream::connect(server.link).await.unwrap();
        let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        sent.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
        for number in 0..20_000_u32 {
            let stream = (2 * number + 1).to_be_bytes();
            // HEADERS with END_HEADERS: PUT, http, /wait (a literal), and the authority of the static table; then RST_STREAM.
            let head = b"\x42\x03PUT\x86\x04\x05/wait\x01\x01x";
            sent.extend([0, 0, u8::try_from(head.len()).unwrap(), 1, 4]);
            sent.extend(stream);
            sent.extend(head);
            sent.extend([0, 0, 4, 3, 0]);
            sent.extend(stream);
            sent.extend([0, 0, 0, 8]);
        }
        // It may be cut off while it sends.
        let _ = tcp.write_all(&sent).await;
        assert_eq!(echoed(&good).await.unwrap(), "said");
    }
    ended(&server).await;
    let grown = resident_kb().saturating_sub(before);
    assert!(grown < 64 << 10, "400,000 streams of nobody left {grown} kB");
}

/// The memory of this process.
fn resident_kb() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

async fn ended(server: &Server) {
    let ended = async {
        while server.under_way.load(Relaxed) > 0 {
            tokio::task::yield_now().await
        }
    };
    timeout(Duration::from_secs(10), ended).await.expect("calls of nobody go on");
}

/// A network that takes 25 ms each way.
async fn far_away(to: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = TcpStream::connect(to).await.unwrap();
            let (near_read, near_write) = near.into_split();
            let (far_read, far_write) = far.into_split();
            tokio::spawn(carry(near_read, far_write));
            tokio::spawn(carry(far_read, near_write));
        }
    });
    address
}

async fn carry(mut from: tokio::net::tcp::OwnedReadHalf, mut to: tokio::net::tcp::OwnedWriteHalf) {
    let (sender, mut parcels) = mpsc::channel::<(tokio::time::Instant, Vec<u8>)>(1024);
    tokio::spawn(async move {
        while let Some((at, bytes)) = parcels.recv().await {
            sleep_until(at).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let at = tokio::time::Instant::now() + Duration::from_millis(25);
        if sender.send((at, buffer[..count].to_vec())).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn over_a_long_way_calls_share_the_time() {
    let server = server(key(1)).await;
    let link = Arc::new(link_to(far_away(server.link).await, key(1)));
    let began = Instant::now();
    assert_eq!(echoed(&link).await.unwrap(), "said");
    // TCP is made here; TLS and the call take a round trip each.
    assert!(began.elapsed() >= Duration::from_millis(100), "the way is not long: {:?}", began.elapsed());
    let began = Instant::now();
    let mut calls = JoinSet::new();
    for _ in 0..500 {
        let link = link.clone();
        calls.spawn(async move { echoed(&link).await.unwrap() });
    }
    while let Some(answered) = calls.join_next().await {
        assert_eq!(answered.unwrap(), "said");
    }
    // One after the other they would take 25 seconds.
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
