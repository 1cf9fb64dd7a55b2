//! What runs in a web container: a small HTTP server in a process of its own, so that it can be killed.

use std::{convert::Infallible, net::SocketAddr};

use http_body_util::Full;
use hyper::{Response, body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Answers every request at `listen` with `name`, until the process is killed.
pub(crate) fn serve(listen: SocketAddr, name: &str) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(listen).await?;
        loop {
            let (tcp, _) = listener.accept().await?;
            let page = Bytes::from(format!("{name}\n"));
            tokio::spawn(async move {
                let answer = service_fn(|_| {
                    let page = page.clone();
                    async move { Ok::<_, Infallible>(Response::new(Full::new(page))) }
                });
                // A client that goes away is its own business.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(tcp), answer).await;
            });
        }
    })
}
