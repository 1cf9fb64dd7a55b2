//! One keep-alive connection with at most one request under way.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::SocketAddr,
};

use anyhow::{Context as _, bail, ensure};
use mio::{Interest, Registry, Token, net::TcpStream};

use super::Answer;

/// Bytes read at once; larger than most answers, so that one read is enough.
pub(super) const READ_MAX: usize = 64 * 1024;

/// A connection; it holds memory only while an answer has come in part.
pub(super) struct Connection {
    stream: TcpStream,
    /// The start of an answer whose end has not come yet.
    partial: Vec<u8>,
}

impl Connection {
    /// Connects, and has `registry` report what arrives as `token`.
    pub(super) fn open(address: SocketAddr, registry: &Registry, token: usize) -> anyhow::Result<Self> {
        let stream = std::net::TcpStream::connect(address)
            .with_context(|| format!("cannot connect to {address} for client {token}"))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        registry.register(&mut stream, Token(token), Interest::READABLE)?;
        Ok(Self { stream, partial: Vec::new() })
    }

    /// Sends a request.
    ///
    /// Errors when the socket does not take it at once: a server that has answered everything before has room for it.
    pub(super) fn send(&mut self, request: &[u8]) -> anyhow::Result<()> {
        let sent = self.stream.write(request).context("cannot send a request")?;
        ensure!(sent == request.len(), "the server reads no more requests");
        Ok(())
    }

    /// The answer, once it has come in whole; reads all that is there. `scratch` is for the bytes on their way.
    ///
    /// Errors when the server closes the connection or the answer is not HTTP.
    pub(super) fn receive(&mut self, scratch: &mut [u8; READ_MAX]) -> anyhow::Result<Option<Answer>> {
        loop {
            let count = match self.stream.read(scratch) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(count) => count,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(e).context("cannot read an answer"),
            };
            let answer = if self.partial.is_empty() {
                let answer = Answer::read(&scratch[..count])?;
                if answer.is_none() {
                    self.partial.extend(&scratch[..count]);
                }
                answer
            } else {
                self.partial.extend(&scratch[..count]);
                Answer::read(&self.partial)?
            };
            if answer.is_some() {
                self.partial = Vec::new();
                return Ok(answer);
            }
        }
    }
}
