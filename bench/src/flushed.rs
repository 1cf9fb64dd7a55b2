//! A server that does nothing but write: what a durable write costs over HTTP when there is no log, no state and no consensus.
//!
//! hyper reads the requests, one thread appends the bodies to a file and flushes it, all that wait at once, and then the
//! answers go out. Runs as a process of its own (`bench hold disk`).

use std::{convert::Infallible, fs::File, io::Write as _, net::SocketAddr, thread};

use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
};

/// About what a registry's log has for a write besides its value.
const AROUND: [u8; 160] = [b'x'; 160];
/// More than the clients of any load.
const QUEUE: usize = 1024;

struct Waiting {
    body: Bytes,
    done: oneshot::Sender<()>,
}

/// Writes and answers until it is killed.
pub(crate) async fn serve(address: SocketAddr) -> anyhow::Result<()> {
    let folder = tempfile::Builder::new().prefix("bench-").tempdir()?;
    let file = File::create(folder.path().join("log"))?;
    // Nobody cleans up after a process that is killed; an open file lives on without its name.
    folder.close()?;
    let (queue, waiting) = mpsc::channel(QUEUE);
    thread::spawn(move || flush(file, waiting));
    let listener = TcpListener::bind(address).await?;
    loop {
        let (client, _) = listener.accept().await?;
        client.set_nodelay(true)?;
        let queue = queue.clone();
        let service = service_fn(move |request| answer(request, queue.clone()));
        tokio::spawn(async move {
            // A client that breaks off has lost nothing.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(client), service).await;
        });
    }
}

/// Ends when a write fails; then clients get no answers, and the load says so.
fn flush(mut file: File, mut waiting: mpsc::Receiver<Waiting>) -> std::io::Result<()> {
    let mut batch = Vec::new();
    while waiting.blocking_recv_many(&mut batch, QUEUE) > 0 {
        let bytes: Vec<u8> = batch.iter().flat_map(|one| AROUND.iter().chain(&one.body).copied()).collect();
        file.write_all(&bytes)?;
        file.sync_data()?;
        for one in batch.drain(..) {
            // Its client may be gone.
            let _ = one.done.send(());
        }
    }
    Ok(())
}

async fn answer(
    request: Request<Incoming>,
    queue: mpsc::Sender<Waiting>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let (done, flushed) = oneshot::channel();
    let written = queue.send(Waiting { body, done }).await.is_ok() && flushed.await.is_ok();
    let status = if written { 200 } else { 500 };
    let answer = Response::builder().status(status).body(Full::new(Bytes::from_static(b"true")));
    Ok(answer.expect("a fixed answer"))
}
