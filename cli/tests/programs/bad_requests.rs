//! Requests that are wrong, over HTTP and DNS: each is answered in words or dropped, and the server lives.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, TcpStream, UdpSocket},
    time::Duration,
};

use hickory_proto::rr::RecordType;

use crate::{
    ask::{LONG, question},
    stage::{Node, Stage},
};

#[test]
fn a_value_over_the_limit_is_refused_in_words_and_the_old_one_stays() {
    let stage = Stage::new();
    let (registry, web) = (stage.registry(), stage.agent("web1", 11));
    let _registry = registry.start_and_wait();
    let _agent = web.start_and_wait();
    for node in [&registry, &web] {
        let fits = "x".repeat(512 * 1024);
        node.put_ok("/v1/kv/big", &fits);
        let page = node.put("/v1/kv/big", &(fits.clone() + "x"));
        assert_eq!(page.status, 413, "{page:?}");
        assert!(page.text.contains("524289 bytes) too large, max size: 524288 bytes"), "{page:?}");
        assert_eq!(node.get("/v1/kv/big?raw").text.len(), fits.len());
        // A length that is only claimed is refused before anything is read.
        let head = "PUT /v1/kv/big HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n";
        let answer = raw(node, head.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    }
}

#[test]
fn bodies_and_questions_that_make_no_sense_get_400_with_the_reason() {
    let stage = Stage::new();
    let registry = stage.registry();
    let mut process = registry.start_and_wait();
    for (path, body, reason) in [
        ("/v1/agent/service/register", "{\"Name\": \"web\",", "Request decode failed"),
        ("/v1/agent/service/register", "{\"Nmae\": \"web\"}", "unknown field \"Nmae\""),
        ("/v1/agent/service/register", "{\"Check\": {\"Script\": \"true\"}, \"Name\": \"a\"}", "Script"),
        ("/v1/catalog/register", "[]", "Request decode failed"),
        ("/v1/session/create", "{\"TTL\": 1", "Request decode failed"),
    ] {
        let page = registry.put(path, body);
        assert_eq!(page.status, 400, "{path} {body}: {page:?}");
        assert!(page.text.contains(reason), "{path} {body}: {page:?}");
    }
    for line in ["GET /v1/kv/%zz HTTP/1.1\r\nHost: a", "GET", "\u{0}\u{1}\u{2}", "GET / HTTP/9.9"] {
        let answer = raw(&registry, format!("{line}\r\nConnection: close\r\n\r\n").as_bytes());
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{line:?}: {answer}");
    }
    process.must_run();
    assert_eq!(registry.get("/v1/status/leader").status, 200);
}

/// What the server says to these bytes before it closes, or within two seconds.
fn raw(node: &Node, bytes: &[u8]) -> String {
    let mut tcp = TcpStream::connect(node.http()).unwrap();
    tcp.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    tcp.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    // A reset or a time-out ends the answer as a close does.
    let _ = tcp.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// Packets that are no questions: too short, cut at every place, pointers that lead in circles, counts that lie, noise.
fn malformed() -> Vec<Vec<u8>> {
    let good = question("registry.node.consul.", RecordType::A);
    let mut packets: Vec<Vec<u8>> = (0..good.len()).map(|length| good[..length].to_vec()).collect();
    let header = |counts: [u8; 8]| [&[0x12, 0x67, 1, 0][..], &counts].concat();
    let one = header([0, 1, 0, 0, 0, 0, 0, 0]);
    packets.push([&one[..], &[0xc0, 12, 0, 1, 0, 1]].concat());
    packets.push([&one[..], &[0xc0, 14, 0xc0, 12, 0, 1, 0, 1]].concat());
    packets.push([&one[..], &[0xc0, 0xff, 0, 1, 0, 1]].concat());
    packets.push([&one[..], &[0x80, 1, 0, 1, 0, 1]].concat());
    packets.push([&one[..], &[63; 300]].concat());
    packets.push(header([0xff; 8]));
    packets.push([&header([0xff; 8])[..], &good[12..]].concat());
    // An answer instead of a question, which must not be answered: two servers would talk for ever.
    let mut answer = good.clone();
    answer[2] |= 0x80;
    packets.push(answer);
    packets.extend((0..200).map(|_| (0..rand::random_range(1..600)).map(|_| rand::random()).collect()));
    packets
}

#[test]
fn malformed_dns_over_udp_leaves_the_server_answering() {
    let stage = Stage::new();
    let registry = stage.registry();
    let mut process = registry.start_and_wait();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    for (n, packet) in malformed().iter().enumerate() {
        socket.send_to(packet, registry.dns_server()).unwrap();
        // In between, so that none is lost in a full queue and each is followed by a good one.
        if n % 10 == 0 {
            answers(&registry);
        }
    }
    answers(&registry);
    process.must_run();
    assert!(!process.log().contains("panic"), "{}", process.log());
}

fn answers(registry: &Node) {
    let records = registry.dns("registry.node.consul.", RecordType::A);
    assert_eq!(records.answers, [registry.address.to_string()]);
}

#[test]
fn malformed_dns_over_tcp_leaves_the_server_answering() {
    let stage = Stage::new();
    let registry = stage.registry();
    let mut process = registry.start_and_wait();
    let connect = || {
        let tcp = TcpStream::connect(registry.dns_server()).unwrap();
        tcp.set_read_timeout(Some(LONG)).unwrap();
        tcp
    };
    let with_length = |packet: &[u8]| [&(packet.len() as u16).to_be_bytes()[..], packet].concat();
    for packet in malformed() {
        let mut tcp = connect();
        // The server may close before all is sent.
        let _ = tcp.write_all(&with_length(&packet)).and_then(|()| tcp.shutdown(Shutdown::Write));
        let _ = tcp.read_to_end(&mut Vec::new());
    }
    // Lengths that promise more than comes, and connections that never say anything.
    let _silent: Vec<TcpStream> = (0..50).map(|_| connect()).collect();
    connect().write_all(&[0xff, 0xff, 1]).unwrap();
    connect().write_all(&[0]).unwrap();

    let mut tcp = connect();
    tcp.write_all(&with_length(&question("registry.node.consul.", RecordType::A))).unwrap();
    let mut length = [0; 2];
    tcp.read_exact(&mut length).unwrap();
    let mut answer = vec![0; u16::from_be_bytes(length).into()];
    tcp.read_exact(&mut answer).unwrap();
    let answer = hickory_proto::op::Message::from_vec(&answer).unwrap();
    assert_eq!(answer.answers.len(), 1);
    answers(&registry);
    process.must_run();
    assert!(!process.log().contains("panic"), "{}", process.log());
}
