//! The caller's end of one link.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use daemon::Shutdown;
use http::{
    Request, Response, Uri, Version,
    uri::{Authority, Scheme},
};
use http_api::{Body, body};
use hyper::{
    client::conn::http2::{Builder, SendRequest},
    rt::Executor,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use crate::{Key, KeyFault, Network, Tcp, wire};

/// The first pause after a connection could not be made; doubled with each further failure.
const BACK_OFF_MIN: Duration = Duration::from_millis(50);
/// The longest pause: a registry that comes back is found within about this time.
const BACK_OFF_MAX: Duration = Duration::from_secs(1);

/// Why a call over a link has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LinkError {
    /// No connection: the call was not sent. Another server may be tried at once, this one after a pause.
    #[error("no connection to {address}: {reason}")]
    Connect {
        /// Whom we tried to reach.
        address: SocketAddr,
        /// What the system said.
        reason: Arc<str>,
    },
    /// The connection ended under the call: whether it took effect is unknown.
    #[error("the connection to {address} ended during a call: {reason}")]
    Ended {
        /// Who was called.
        address: SocketAddr,
        /// What HTTP/2 said.
        reason: Arc<str>,
    },
    /// The request cannot travel over HTTP/2: its target has no path.
    #[error("the request's target is no path: {0}")]
    Target(Arc<str>),
}

impl LinkError {
    /// Whether the call may have reached the other end; a write is repeated only when it did not.
    pub fn may_have_been_sent(&self) -> bool {
        matches!(self, Self::Ended { .. })
    }
}

/// A call without an answer; the request comes back when nothing of it was sent.
#[derive(Debug)]
pub struct Unanswered {
    /// Why.
    pub error: LinkError,
    /// The request, with its whole body, to be sent again.
    pub unsent: Option<Box<Request<Body>>>,
}

/// One HTTP/2 connection to a peer, dialled when first needed and again after it ended.
///
/// While the peer cannot be reached, calls fail at once between the attempts, so that nobody waits for a dead server.
pub struct Link {
    address: SocketAddr,
    network: Arc<dyn Network>,
    state: Mutex<State>,
}

enum State {
    Idle,
    Connected(Connected),
    Away { failures: u32, next_try: Instant, reason: Arc<str> },
}

struct Connected {
    sender: SendRequest<Body>,
    tasks: Tasks,
    /// The key that was the primary one.
    key: Option<Key>,
}

/// The tasks that move a connection's bytes; it ends with them.
#[derive(Clone, Default)]
struct Tasks(Shutdown);

impl<F> Executor<F> for Tasks
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, task: F) {
        let cut = self.0.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = cut.requested() => {}
                _ = task => {}
            }
        });
    }
}

impl Link {
    /// A link to `address` (`10.0.0.1:8300`); nothing is dialled yet.
    pub fn new(address: SocketAddr) -> Self {
        Self::over(Arc::new(Tcp), address)
    }

    /// The same, over another network.
    pub fn over(network: Arc<dyn Network>, address: SocketAddr) -> Self {
        Self { address, network, state: Mutex::new(State::Idle) }
    }

    /// Whom the link leads to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends one request and returns the answer's head; its body follows as the peer sends it.
    ///
    /// The request's path and query go as they are. Dropping the future, or the answer's body, ends the call at the other
    /// end too. There is no time limit here but that of connecting: a blocking query may wait for minutes.
    pub async fn call(&self, request: Request<Body>) -> Result<Response<Body>, LinkError> {
        let sender = self.connected().await?;
        self.send(sender, request).await.map_err(|unanswered| unanswered.error)
    }

    /// Lets the next call dial anew: this connection is open, but nothing comes over it any more. Calls under way may
    /// still end on it.
    pub fn give_up(&self) {
        // Who holds it is dialling already.
        if let Ok(mut state) = self.state.try_lock()
            && matches!(*state, State::Connected(..))
        {
            *state = State::Idle;
        }
    }

    /// Ends the connection, and all calls that wait for answers over it: the peer is there for nobody.
    pub fn cut(&self) {
        if let Ok(mut state) = self.state.try_lock()
            && let State::Connected(connected) = &*state
        {
            connected.tasks.0.request();
            *state = State::Idle;
        }
    }

    /// Sends one request as [`Link::call`] does; one that was not sent comes back.
    pub async fn try_call(&self, request: Request<Body>) -> Result<Response<Body>, Unanswered> {
        match self.connected().await {
            Ok(sender) => self.send(sender, request).await,
            Err(error) => Err(Unanswered { error, unsent: Some(Box::new(request)) }),
        }
    }

    /// A connection that is open now.
    pub(crate) async fn connected(&self) -> Result<SendRequest<Body>, LinkError> {
        let mut state = self.state.lock().await;
        let primary = self.network.keys().map(|keys| keys.now().primary().clone());
        let failures = match &*state {
            State::Connected(open) if !open.sender.is_closed() && open.key == primary => {
                return Ok(open.sender.clone());
            }
            State::Connected(_) | State::Idle => 0,
            State::Away { next_try, reason, .. } if Instant::now() < *next_try => {
                return Err(self.no_connection(reason.clone()));
            }
            State::Away { failures, .. } => *failures,
        };
        match self.dial(primary).await {
            Ok(connected) => {
                let sender = connected.sender.clone();
                *state = State::Connected(connected);
                Ok(sender)
            }
            Err(error) => {
                let reason: Arc<str> = error.to_string().into();
                let next_try = Instant::now() + back_off(failures);
                *state =
                    State::Away { failures: failures.saturating_add(1), next_try, reason: reason.clone() };
                Err(self.no_connection(reason))
            }
        }
    }

    /// Sends over a connection of this link.
    pub(crate) async fn send(
        &self,
        mut sender: SendRequest<Body>,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, Unanswered> {
        wire::leave_hop_headers(request.headers_mut());
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() =
            self.absolute(request.uri()).map_err(|error| Unanswered { error, unsent: None })?;
        let answer = sender.try_send_request(request).await.map_err(|mut failed| {
            let unsent = failed.take_message().map(Box::new);
            let error = failed.into_error();
            let refused = wants_key(&error);
            let reason: Arc<str> = match refused {
                true => KeyFault::OursMissing.to_string().into(),
                false => error.to_string().into(),
            };
            let error = match unsent {
                None if !refused => LinkError::Ended { address: self.address, reason },
                _ => self.no_connection(reason),
            };
            Unanswered { error, unsent }
        })?;
        let mut answer = answer.map(|incoming| body::arriving(Version::HTTP_2, incoming));
        *answer.version_mut() = Version::HTTP_11;
        Ok(answer)
    }

    fn absolute(&self, target: &Uri) -> Result<Uri, LinkError> {
        let mut parts = target.clone().into_parts();
        parts.scheme = Some(Scheme::HTTP);
        let authority = Authority::try_from(self.address.to_string());
        parts.authority = Some(authority.expect("an address with its port is an authority"));
        Uri::from_parts(parts).map_err(|_| LinkError::Target(target.to_string().into()))
    }

    async fn dial(&self, key: Option<Key>) -> io::Result<Connected> {
        let tasks = Tasks::default();
        let dialled = async {
            let stream = self.network.connect(self.address).await?;
            let (sender, connection) = Builder::new(tasks.clone())
                .timer(TokioTimer::new())
                .initial_max_send_streams(wire::STREAMS_MAX as usize)
                .initial_stream_window_size(wire::STREAM_WINDOW_BYTES)
                .initial_connection_window_size(wire::CONNECTION_WINDOW_BYTES)
                .keep_alive_interval(wire::PING)
                .keep_alive_timeout(wire::PING)
                .keep_alive_while_idle(true)
                .handshake(TokioIo::new(stream))
                .await
                .map_err(io::Error::other)?;
            Ok::<_, io::Error>((sender, connection))
        };
        let (sender, connection) = timeout(wire::CONNECT_LIMIT, dialled).await??;
        let address = self.address;
        // The task ends with the connection, and the connection with its last sender.
        tasks.execute(async move {
            if let Err(error) = connection.await {
                tracing::debug!(target: "agent.link", %address, %error, "the link ended");
            }
        });
        Ok(Connected { sender, tasks, key })
    }

    fn no_connection(&self, reason: Arc<str>) -> LinkError {
        LinkError::Connect { address: self.address, reason }
    }
}

/// Whether the peer has ended the connection because nobody proved a key on it; it has then answered nothing.
fn wants_key(error: &hyper::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            return error.reason() == Some(h2::Reason::INADEQUATE_SECURITY);
        }
        source = error.source();
    }
    false
}

/// The pause after so many failures in a row, with some jitter so that a fleet does not return in one moment.
fn back_off(failures: u32) -> Duration {
    let pause = BACK_OFF_MIN.saturating_mul(1 << failures.min(16)).min(BACK_OFF_MAX);
    pause.mul_f64(rand::random_range(0.75..1.25))
}
