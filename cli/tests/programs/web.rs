//! A web server of a test, which can be stopped and started as services are.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU16, Ordering::SeqCst},
    },
    thread::JoinHandle,
    time::Duration,
};

/// Answers every request with its status and text; its port is closed when it is dropped.
pub(crate) struct Web {
    at: SocketAddr,
    status: Arc<AtomicU16>,
    ending: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

impl Web {
    /// Serves `text` with status 200 at an address; port 0 is a free one.
    pub(crate) fn at(address: SocketAddr, text: &'static str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let at = listener.local_addr().unwrap();
        let (status, ending) = (Arc::new(AtomicU16::new(200)), Arc::new(AtomicBool::new(false)));
        let (now, over) = (status.clone(), ending.clone());
        let serving = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(SeqCst) {
                    return;
                }
                // Whoever hangs up, as checks do, is not answered.
                let _ = stream.map(|stream| answer(stream, now.load(SeqCst), text));
            }
        });
        Self { at, status, ending, serving: Some(serving) }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.at
    }

    /// What requests are answered with from now on.
    pub(crate) fn set_status(&self, status: u16) {
        self.status.store(status, SeqCst);
    }
}

fn answer(mut stream: TcpStream, status: u16, text: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut asked = [0; 4096];
    if stream.read(&mut asked)? == 0 {
        return Ok(());
    }
    let length = text.len();
    let reason = if status == 200 { "OK" } else { "x" };
    let head = format!("HTTP/1.1 {status} {reason}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all((head + text).as_bytes())
}

impl Drop for Web {
    fn drop(&mut self) {
        self.ending.store(true, SeqCst);
        // Wakes it, so that the port is closed when this returns.
        let _ = TcpStream::connect(self.at);
        if let Some(serving) = self.serving.take() {
            let _ = serving.join();
        }
    }
}
