//! Servers that do nothing but hold queries: what the last of ten thousand answers costs when nobody has to think.
//!
//! One writes ready-made bytes to bare sockets, one lets hyper read and write. Each runs as a process of its own (`bench
//! hold`), as a registry does, and answers what [`crate::http::waiters`] asks about one key.

use std::{
    convert::Infallible,
    io::{ErrorKind, Read as _, Write as _},
    net::SocketAddr,
};

use anyhow::ensure;
use clap::ValueEnum;
use http_body_util::Full;
use hyper::{
    Method, Request, Response,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};
use tokio::sync::watch;

use crate::flushed;

/// The head lines that a registry's answer has besides its index and length.
const HEADERS: [(&str, &str); 6] = [
    ("Content-Type", "application/json"),
    ("Vary", "Accept-Encoding"),
    ("X-Consul-Default-Acl-Policy", "allow"),
    ("X-Consul-Knownleader", "true"),
    ("X-Consul-Lastcontact", "0"),
    ("X-Consul-Query-Backend", "blocking-query"),
];
/// About what a registry shows of the key.
const BODY: &str =
    r#"[{"LockIndex":0,"Key":"bench/wait","Flags":0,"Value":"eA==","CreateIndex":5,"ModifyIndex":9}]"#;
/// The largest request that comes.
const REQUEST_MAX: usize = 4096;

/// How held queries are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Holder {
    /// Ready-made bytes on bare sockets, one thread, one `write` for each.
    Bare,
    /// By hyper on tokio, a thread for each processor.
    Hyper,
    /// Not held: written to disk and answered; see [`crate::flushed`].
    Disk,
}

/// Holds and answers until it is killed.
pub(crate) fn serve(holder: Holder, address: SocketAddr) -> anyhow::Result<()> {
    match holder {
        Holder::Bare => Bare::bind(address)?.serve(),
        Holder::Hyper => runtime()?.block_on(serve_with_hyper(address)),
        Holder::Disk => runtime()?.block_on(flushed::serve(address)),
    }
}

/// With a thread for each processor.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// Whether a request waits for the next write.
fn waits(query: &str) -> bool {
    query.contains("index=")
}

struct Bare {
    poll: Poll,
    listener: TcpListener,
    clients: Vec<TcpStream>,
    /// Those that wait, by their place.
    held: Vec<usize>,
    index: u64,
}

impl Bare {
    fn bind(address: SocketAddr) -> anyhow::Result<Self> {
        let (poll, mut listener) = (Poll::new()?, TcpListener::bind(address)?);
        poll.registry().register(&mut listener, Token(usize::MAX - 1), Interest::READABLE)?;
        Ok(Self { poll, listener, clients: Vec::new(), held: Vec::new(), index: 1 })
    }

    fn serve(mut self) -> anyhow::Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            self.poll.poll(&mut events, None)?;
            for event in &events {
                let place = event.token().0;
                if place < self.clients.len() { self.hear(place)? } else { self.accept()? }
            }
        }
    }

    fn accept(&mut self) -> anyhow::Result<()> {
        loop {
            let mut client = match self.listener.accept() {
                Ok((client, _)) => client,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e.into()),
            };
            client.set_nodelay(true)?;
            self.poll.registry().register(&mut client, Token(self.clients.len()), Interest::READABLE)?;
            self.clients.push(client);
        }
    }

    fn hear(&mut self, place: usize) -> anyhow::Result<()> {
        let mut request = [0; REQUEST_MAX];
        let length = match self.clients[place].read(&mut request) {
            // Gone; it is never written to again, unless it was held, and then that fails.
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(e) => return Err(e.into()),
        };
        let request = &request[..length];
        if request.starts_with(b"PUT") {
            self.index += 1;
            let answer = self.answer();
            self.tell(place, &answer)?;
            for held in std::mem::take(&mut self.held) {
                self.tell(held, &answer)?;
            }
        } else if waits(&String::from_utf8_lossy(request)) {
            self.held.push(place);
        } else {
            self.tell(place, &self.answer())?;
        }
        Ok(())
    }

    fn answer(&self) -> Vec<u8> {
        let headers: String = HEADERS.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let (index, length) = (self.index, BODY.len());
        let date = "Date: Thu, 01 Jan 1970 00:00:00 GMT";
        format!("HTTP/1.1 200 OK\r\n{headers}X-Consul-Index: {index}\r\nContent-Length: {length}\r\n{date}\r\n\r\n{BODY}")
            .into_bytes()
    }

    fn tell(&self, place: usize, answer: &[u8]) -> anyhow::Result<()> {
        let written = (&self.clients[place]).write(answer)?;
        ensure!(written == answer.len(), "a client does not read");
        Ok(())
    }
}

async fn serve_with_hyper(address: SocketAddr) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(address).await?;
    let index = watch::Sender::new(1_u64);
    loop {
        let (client, _) = listener.accept().await?;
        client.set_nodelay(true)?;
        let index = index.clone();
        let service = service_fn(move |request| answer_with_hyper(request, index.clone()));
        tokio::spawn(async move {
            let mut builder = http1::Builder::new();
            // A client that breaks off has lost nothing.
            let _ = builder.title_case_headers(true).serve_connection(TokioIo::new(client), service).await;
        });
    }
}

async fn answer_with_hyper(
    request: Request<Incoming>,
    index: watch::Sender<u64>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.method() == Method::PUT {
        index.send_modify(|index| *index += 1);
    } else if request.uri().query().is_some_and(waits) {
        // Fails only when the sender is gone, which is held here.
        let _ = index.subscribe().changed().await;
    }
    let mut answer = Response::builder().header("X-Consul-Index", *index.borrow());
    for (name, value) in HEADERS {
        answer = answer.header(name, value);
    }
    Ok(answer.body(Full::new(Bytes::from_static(BODY.as_bytes()))).expect("fixed headers"))
}
