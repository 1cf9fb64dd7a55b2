//! Keys that change while links are open: both ways work at each step, and who has only a removed key is out.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use daemon::Shutdown;
use http::{Request, Response};
use http_api::{Body, body};
use link::{Key, Keyring, Keys, Link, LinkError, join};
use tokio::time::timeout;

const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn ring(keys: &[u8]) -> Keyring {
    let keys = keys.iter().map(|byte| Key::new(&[*byte; 32]).unwrap()).collect();
    Keyring::new(Keys::new(0, keys).unwrap(), None)
}

/// A listener with these keys, which tells each caller where it comes from: one port, one connection.
async fn server(keys: &Keyring) -> SocketAddr {
    let listener = link::network(Some(keys.clone())).bind(ANY).await.unwrap();
    let address = listener.local_addr().unwrap();
    let handler = |peer: SocketAddr, request: Request<Body>| async move {
        if request.uri().path() == "/wait" {
            std::future::pending::<()>().await;
        }
        Response::new(body::full(peer.port().to_string()))
    };
    tokio::spawn(link::serve(listener, None, handler, Shutdown::default()));
    address
}

fn link_to(address: SocketAddr, keys: &Keyring) -> Link {
    Link::over(link::network(Some(keys.clone())), address)
}

/// Which connection a call goes over.
async fn port(link: &Link) -> Result<String, LinkError> {
    let answer = link.call(Request::put("/").body(body::empty()).unwrap()).await?;
    let bytes = body::collect(&mut answer.into_body(), 100).await.unwrap();
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn two_ends_with_one_key_in_common_find_it() {
    for (ours, theirs) in
        [(&[1][..], &[2, 1][..]), (&[2, 1], &[1]), (&[1, 2], &[2, 1]), (&[1, 2, 3], &[4, 3])]
    {
        let theirs = ring(theirs);
        let listener = link::network(Some(theirs.clone())).bind(ANY).await.unwrap();
        let joins = listener.local_addr().unwrap();
        let told = join::Directions {
            datacenter: "dc1".into(),
            server: joins,
            cluster: String::new(),
            version: link::calls::VERSION,
            id: 0,
            node: String::new(),
        };
        tokio::spawn(join::answer(listener, move || Some(told.clone()), Shutdown::default()));
        join::ask(&*link::network(Some(ring(ours))), joins).await.unwrap();
        port(&link_to(server(&theirs).await, &ring(ours))).await.unwrap();
    }
    let error = port(&link_to(server(&ring(&[3])).await, &ring(&[1, 2]))).await.unwrap_err();
    assert!(error.to_string().ends_with("its encrypt key is another one than this node's"), "{error}");
}

#[tokio::test]
async fn a_new_primary_key_makes_new_connections_and_a_removed_one_ends_its_own() {
    let (ours, theirs) = (ring(&[1]), ring(&[1]));
    let address = server(&theirs).await;
    let (changing, staying) = (link_to(address, &ours), link_to(address, &ring(&[1])));
    let first = port(&changing).await.unwrap();
    let old = port(&staying).await.unwrap();
    for ring in [&ours, &theirs] {
        ring.replace(ring.now().with(Key::new(&[2; 32]).unwrap()).unwrap()).unwrap();
    }
    assert_eq!(port(&changing).await.unwrap(), first, "an installed key changes nothing yet");
    ours.replace(ours.now().using(&[2; 32]).unwrap()).unwrap();
    let second = port(&changing).await.unwrap();
    assert_ne!(second, first);
    theirs.replace(theirs.now().using(&[2; 32]).unwrap()).unwrap();
    assert_eq!(port(&changing).await.unwrap(), second);
    assert_eq!(port(&staying).await.unwrap(), old, "the old key is still installed");

    let waiting = staying.call(Request::get("/wait").body(body::empty()).unwrap());
    let remove = async {
        theirs.replace(theirs.now().without(&[1; 32]).unwrap()).unwrap();
    };
    let (ended, ()) = tokio::join!(timeout(Duration::from_secs(10), waiting), remove);
    ended.expect("a connection goes on whose key is gone").unwrap_err();
    assert_eq!(port(&changing).await.unwrap(), second);
    port(&staying).await.unwrap_err();
}
