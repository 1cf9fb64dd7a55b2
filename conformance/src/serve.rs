//! A small HTTP/1.1 server for the scenarios' own targets: the stub that checks ask, the proxy a watcher speaks to.

use std::{
    io::{self, BufReader, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use crate::client::{self, Answer, Request};

/// A server on loopback, a thread for each connection. It ends, and its connections with it, when it is dropped.
pub struct Server {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    accepting: Option<thread::JoinHandle<()>>,
}

impl Server {
    /// Serves `answer` on a free port (0) or this one.
    ///
    /// Errors when the port is taken.
    pub fn start(
        port: u16,
        answer: impl Fn(Request) -> io::Result<Answer> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let address = listener.local_addr()?;
        let mut server = Self { address, ended: Arc::default(), open: Arc::default(), accepting: None };
        let (ended, open, answer) = (server.ended.clone(), server.open.clone(), Arc::new(answer));
        server.accepting = Some(thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                if let Ok(clone) = stream.try_clone() {
                    open.lock().unwrap_or_else(PoisonError::into_inner).push(clone);
                }
                let answer = answer.clone();
                thread::spawn(move || serve(stream, &*answer));
            }
        }));
        Ok(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which closes its listener: the port can be bound again after that.
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            // It panics nowhere, and this is no place to pass a panic on.
            let _ = accepting.join();
        }
        for stream in self.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // Fails when the other side has closed it already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// Answers requests until the connection ends or the answer fails.
fn serve(stream: TcpStream, answer: &dyn Fn(Request) -> io::Result<Answer>) {
    let Ok(mut output) = stream.try_clone() else { return };
    let mut input = BufReader::new(stream);
    while let Ok(request) = read_request(&mut input) {
        let head = request.method == "HEAD";
        let Ok(answer) = answer(request) else { break };
        if output.write_all(&bytes(&answer, head)).is_err() {
            break;
        }
    }
    // The clone kept for the end of the server would hold the connection open.
    let _ = output.shutdown(Shutdown::Both);
}

fn read_request(input: &mut BufReader<TcpStream>) -> io::Result<Request> {
    let (first, headers) = client::read_head(input)?;
    let mut words = first.split(' ');
    let mut request = Request::new(words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut body = Vec::new();
    if let Some((_, length)) = headers.iter().find(|(name, _)| name == "content-length") {
        client::read_exactly(input, length.parse().map_err(io::Error::other)?, &mut body)?;
    }
    request.headers = headers;
    request.body = Some(body).filter(|body| !body.is_empty());
    Ok(request)
}

fn bytes(answer: &Answer, head: bool) -> Vec<u8> {
    let mut out = format!("HTTP/1.1 {} {}\r\n", answer.status, reason(answer.status));
    for (name, value) in &answer.headers {
        out += &format!("{name}: {value}\r\n");
    }
    if answer.status != 204 {
        out += &format!("Content-Length: {}\r\n", answer.body.len());
    }
    out += "\r\n";
    let mut out = out.into_bytes();
    if !head && answer.status != 204 {
        out.extend(&answer.body);
    }
    out
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        404 => "Not Found",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Answer",
    }
}
