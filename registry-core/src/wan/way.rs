//! The way to another datacenter: a server of it that answers.

use std::{sync::Arc, time::Duration};

use agent::backend::{Unavailable, remote::unavailable};
use http::{HeaderValue, Request, Response};
use http_api::{Body, body};
use link::{Link, LinkError, Unanswered, calls};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};

use super::{Wan, table::Standing, talk};

/// How long an answer may take that others wait for.
const GET_LIMIT: Duration = Duration::from_secs(5);
/// The longest of them; ten thousand members have some 6 MB.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// A server that can be asked.
struct Way {
    name: String,
    id: String,
    link: Arc<Link>,
    trip: Duration,
}

impl Wan {
    /// Asks a server of this datacenter, the nearest that answers; what one did not get goes to the next.
    ///
    /// Errors at once when no server of it is known, or none has answered lately.
    pub(crate) async fn call(
        &self,
        datacenter: &str,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, Unavailable> {
        let mut last = None;
        for way in self.ways(datacenter)? {
            request.headers_mut().remove(calls::WAN_TARGET_HEADER);
            if let Ok(id) = HeaderValue::from_str(&way.id) {
                request.headers_mut().insert(calls::WAN_TARGET_HEADER, id);
            }
            match way.link.try_call(request).await {
                Ok(answer) => return Ok(answer),
                Err(Unanswered { error, unsent }) => {
                    self.doubt(&way.name);
                    match unsent {
                        Some(unsent) => request = *unsent,
                        None => return Err(unavailable(&error)),
                    }
                    last = Some(error);
                }
            }
        }
        Err(unavailable(&last.expect("there was a server to ask")))
    }

    /// What a server of this datacenter answers to a question of ours; `None` when it gives no such answer in time.
    pub(crate) async fn get<T: DeserializeOwned>(&self, datacenter: &str, target: &str) -> Option<T> {
        let request = Request::get(target).body(body::empty()).ok()?;
        let asked = async {
            let answer = self.call(datacenter, request).await.ok()?;
            talk::read(answer, ANSWER_BYTES_MAX).await.ok()
        };
        timeout(GET_LIMIT, asked).await.ok().flatten()
    }

    /// The servers of a datacenter that answer, the nearest first; at least one.
    fn ways(&self, datacenter: &str) -> Result<Vec<Way>, Unavailable> {
        let state = self.state();
        let (mut ways, mut away) = (Vec::new(), None);
        for (name, known) in state.table.others() {
            let Some(peer) = state.peers.get(name).filter(|_| known.server.datacenter == datacenter) else {
                continue;
            };
            if known.standing == Standing::Alive {
                let trip = peer.trip().unwrap_or(Duration::MAX);
                ways.push(Way {
                    name: name.clone(),
                    id: known.server.id.clone(),
                    link: peer.link.clone(),
                    trip,
                });
            } else {
                away = Some((peer.link.address(), peer.reason.clone()));
            }
        }
        ways.sort_by_key(|way| way.trip);
        match (ways.is_empty(), away) {
            (false, _) => Ok(ways),
            (true, None) => Err(Unavailable::NoPathToDatacenter),
            (true, Some((address, reason))) => {
                let reason =
                    reason.rsplit_once(&format!("{address}: ")).map_or(&*reason, |(_, why)| why).into();
                Err(unavailable(&LinkError::Connect { address, reason }))
            }
        }
    }

    /// A call failed: whether the server is there is found out now.
    fn doubt(&self, name: &str) {
        if let Some(peer) = self.state().peers.get_mut(name) {
            peer.next = Instant::now();
        }
        self.news.notify_one();
    }
}
