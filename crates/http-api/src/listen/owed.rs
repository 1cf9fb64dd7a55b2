//! Room that a client of HTTP/2 owes for the answers it asked for.
//!
//! Over HTTP/1.1 a client that takes nothing leaves the socket full. Here it may read, answer pings, and still give no
//! answer room to flow. So answers go out in small pieces, and each waits for room for a bounded time.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::time::{Instant, sleep};

use crate::{Body, body::BodyError};

/// The next piece is asked for when there is room again; what was asked for is held by the connection.
const PIECE_BYTES: usize = 16 << 10;

/// The answers of one connection that wait for room. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Owed(Arc<Mutex<Waiting>>);

/// Since when each answer waits.
#[derive(Default)]
struct Waiting {
    answers: u64,
    since: HashMap<u64, Instant>,
}

impl Owed {
    /// A body that goes out piece by piece, and waits from now on.
    pub(super) fn answer(&self, body: Body) -> Body {
        let number = {
            let mut waiting = self.waiting();
            waiting.answers += 1;
            waiting.answers
        };
        let account = Account { owed: self.clone(), number };
        account.open();
        Pieces { body, rest: Bytes::new(), account }.boxed_unsync()
    }

    /// Returns once an answer has waited for this long.
    pub(super) async fn overdue(&self, limit: Duration) {
        loop {
            sleep(limit / 4).await;
            if self.waiting().since.values().any(|since| since.elapsed() >= limit) {
                return;
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One answer's place among those that wait.
struct Account {
    owed: Owed,
    number: u64,
}

impl Account {
    fn open(&self) {
        self.owed.waiting().since.insert(self.number, Instant::now());
    }

    fn settle(&self) {
        self.owed.waiting().since.remove(&self.number);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.settle();
    }
}

/// A body in pieces.
struct Pieces {
    body: Body,
    /// What has come of it and has not gone out.
    rest: Bytes,
    account: Account,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = BodyError;

    /// hyper asks when there is room: the client has paid, and what the body itself waits for is not its fault.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.account.settle();
        if self.rest.is_empty() {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                end => return Poll::Ready(end),
            };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(other) => return Poll::Ready(Some(Ok(other))),
            }
        }
        let length = self.rest.len().min(PIECE_BYTES);
        let piece = self.rest.split_to(length);
        self.account.open();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, body) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}
