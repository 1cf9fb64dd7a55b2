//! Calls of other servers: checked, and handed to the engine.

use http::{HeaderMap, HeaderName, Request, Response, StatusCode};
use http_api::{Body, body};
use link::calls::{self, CLUSTER_HEADER, TARGET_HEADER, VERSION_HEADER};
use openraft::{
    errors::{Fatal, RaftError},
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, VoteRequest,
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::time::Instant;

use super::{
    Replication, image,
    kinds::{Kinds, LogId, Vote},
};

pub(super) const APPEND: &str = "/internal/raft/append";
pub(super) const VOTE: &str = "/internal/raft/vote";
pub(super) const PRE_VOTE: &str = "/internal/raft/pre-vote";
pub(super) const TRANSFER: &str = "/internal/raft/transfer";
pub(super) const SNAPSHOT: &str = "/internal/raft/snapshot";

/// The longest call: entries are sent some megabytes at a time, but a single one may be as large as a request may be.
const CALL_BYTES_MAX: usize = 64 << 20;

/// What a leader says to the one that is to lead after it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Transfer {
    pub(super) from: Vote,
    pub(super) to: u64,
    pub(super) last: Option<LogId>,
}

/// Why a call is not answered as it wishes.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{0}")]
    NotForUs(String),
    #[error("not a call of this release: {0}")]
    Unreadable(String),
    #[error("this server does not know that call; it may be older than its caller")]
    Unknown,
    #[error("another snapshot is being received")]
    Busy,
    #[error("the log has stopped: {0}")]
    Stopped(#[from] Fatal<Kinds>),
}

impl Refused {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotForUs(_) => StatusCode::CONFLICT,
            Self::Unreadable(_) => StatusCode::BAD_REQUEST,
            Self::Unknown => StatusCode::NOT_FOUND,
            Self::Busy | Self::Stopped(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl From<RaftError<Kinds>> for Refused {
    fn from(error: RaftError<Kinds>) -> Self {
        match error {
            RaftError::Fatal(fatal) => Self::Stopped(fatal),
            RaftError::APIError(never) => match never {},
        }
    }
}

impl Replication {
    /// Answers a call of another server's log.
    pub(crate) async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let refused = match self.answered(request).await {
            Ok(bytes) => return Response::new(body::full(bytes)),
            Err(refused) => refused,
        };
        let mut answer = Response::new(body::full(refused.to_string()));
        *answer.status_mut() = refused.status();
        answer
    }

    async fn answered(&self, request: Request<Body>) -> Result<Vec<u8>, Refused> {
        let (head, mut sent) = request.into_parts();
        self.for_us(&head.headers).map_err(Refused::NotForUs)?;
        match head.uri.path() {
            APPEND => {
                let question: AppendEntriesRequest<Kinds> = read(&mut sent).await?;
                let vote = question.vote;
                let answer = self.raft.append_entries(question).await?;
                if !matches!(answer, AppendEntriesResponse::HigherVote(_)) {
                    self.heard_from(&vote);
                }
                written(&answer)
            }
            VOTE => written(&self.raft.vote(read::<VoteRequest<Kinds>>(&mut sent).await?).await?),
            PRE_VOTE => written(&self.raft.pre_vote(read::<VoteRequest<Kinds>>(&mut sent).await?).await?),
            TRANSFER => {
                let Transfer { from, to, last } = read(&mut sent).await?;
                written(&self.raft.handle_transfer_leader(TransferLeaderRequest::new(from, to, last)).await?)
            }
            SNAPSHOT => {
                let _alone = self.receiving.try_acquire().map_err(|_| Refused::Busy)?;
                let received = image::incoming(&self.snapshots, &self.disk, sent).await;
                let (vote, snapshot) = received.map_err(|e| Refused::Unreadable(e.to_string()))?;
                let answer: SnapshotResponse<Kinds> = self.raft.install_full_snapshot(vote, snapshot).await?;
                if answer.vote == vote {
                    self.heard_from(&vote);
                }
                written(&answer)
            }
            _ => Err(Refused::Unknown),
        }
    }

    /// Whether a call is meant for this server, by a server of this cluster that speaks as it does.
    pub(crate) fn for_us(&self, headers: &HeaderMap) -> Result<(), String> {
        let version: u32 = text(headers, &VERSION_HEADER).parse().unwrap_or(0);
        if !calls::speak(calls::VERSION, version) {
            let ours = calls::VERSION;
            return Err(format!("the caller speaks version {version} of the calls, this server {ours}"));
        }
        let (cluster, ours) = (text(headers, &CLUSTER_HEADER), self.identity.cluster());
        if cluster != &*ours {
            return Err(format!("the caller belongs to cluster '{cluster}', this server to '{ours}'"));
        }
        let (target, us) = (text(headers, &TARGET_HEADER), self.identity.server().to_string());
        if target != us {
            return Err(format!("the caller means server '{target}', this is '{us}'"));
        }
        Ok(())
    }

    /// Notes that the leader has just been heard of.
    fn heard_from(&self, vote: &Vote) {
        if vote.committed {
            self.contact.send_replace(Some(Instant::now()));
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

async fn read<T: DeserializeOwned>(sent: &mut Body) -> Result<T, Refused> {
    let bytes = body::collect(sent, CALL_BYTES_MAX).await.map_err(|e| Refused::Unreadable(e.to_string()))?;
    rmp_serde::from_slice(&bytes).map_err(|e| Refused::Unreadable(e.to_string()))
}

fn written(answer: &impl Serialize) -> Result<Vec<u8>, Refused> {
    Ok(rmp_serde::to_vec_named(answer).expect("the engine's answers are plain data"))
}
