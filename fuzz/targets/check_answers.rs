//! What the thing under check says: whatever the bytes, HTTP, gRPC, HTTP/2 ping, TCP and UDP checks and programs come to a verdict,
//! and keep no more of it than they may.
#![no_main]

use std::{cell::RefCell, fs, net::SocketAddr, path::PathBuf, time::Duration};

use agent::{checks::Checks, definition::CheckDefinition};
use libfuzzer_sys::fuzz_target;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, UdpSocket},
    runtime::{Builder, Runtime},
    time::timeout,
};

const OUTPUT_BYTES_MAX: usize = 512;
/// What a check says beside the output: its kind, address and the reason.
const OWN_WORDS_BYTES_MAX: usize = 1024;

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    static CHECKS: RefCell<Option<Checks>> = const { RefCell::new(None) };
}

/// Reads what is asked, says the bytes, and hangs up.
async fn say(listener: &TcpListener, bytes: &[u8]) {
    let Ok((mut stream, _)) = listener.accept().await else { return };
    let _ = timeout(Duration::from_millis(20), stream.read(&mut [0; 4096])).await;
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
}

/// Answers each datagram with the bytes, as many as one holds.
async fn send(socket: &UdpSocket, bytes: &[u8]) {
    let Ok((_, from)) = socket.recv_from(&mut [0; 4096]).await else { return };
    let _ = socket.send_to(&bytes[..bytes.len().min(60_000)], from).await;
}

/// The bytes as a file, for a program to print; in memory, and of this process alone.
fn as_file(bytes: &[u8]) -> PathBuf {
    let path = PathBuf::from(format!("/dev/shm/ryo-fuzz-{}", std::process::id()));
    fs::write(&path, bytes).expect("memory for a small file");
    path
}

async fn check(kind: u8, bytes: &[u8]) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let at: SocketAddr = listener.local_addr().expect("it is bound");
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    let what = match kind % 6 {
        0 => format!(r#""HTTP":"http://{at}/""#),
        1 => format!(r#""GRPC":"{at}/web""#),
        2 => format!(r#""H2PING":"{at}","H2PingUseTLS":false"#),
        3 => format!(r#""TCP":"{at}""#),
        4 => format!(r#""UDP":"{}""#, socket.local_addr().expect("it is bound")),
        // Both streams, and an exit code of the fuzzer's choice.
        _ => format!(
            r#""Args":["/bin/sh","-c","cat {0}; tail -c 100 {0} >&2; exit {1}"]"#,
            as_file(bytes).display(),
            kind / 6 % 4
        ),
    };
    let body = format!(r#"{{"Name":"c",{what},"Interval":"1s","Timeout":"200ms"}}"#);
    let definition = CheckDefinition::from_api(body.as_bytes()).expect("a check as clients send it");
    let checks = CHECKS.with(|kept| {
        let make = || Checks::new(OUTPUT_BYTES_MAX, "node".to_owned(), None);
        kept.borrow_mut().get_or_insert_with(make).clone()
    });
    let observed = tokio::select! {
        observed = checks.run_once(&definition.runs) => observed.expect("it looks at the world"),
        () = async { loop { say(&listener, bytes).await } } => unreachable!("it goes on"),
        () = async { loop { send(&socket, bytes).await } } => unreachable!("it goes on"),
    };
    let kept = observed.output.len();
    // Bytes that are no text become three each.
    assert!(kept <= 3 * OUTPUT_BYTES_MAX + OWN_WORDS_BYTES_MAX, "{kept} bytes: {}", observed.output);
}

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    RUNTIME.with(|runtime| runtime.block_on(check(*kind, bytes)));
});
