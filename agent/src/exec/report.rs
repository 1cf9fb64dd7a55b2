//! What is told of a job: keys beside it, held by its session.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{Request, StatusCode};
use http_api::{Body, body};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};

use crate::backend::{
    Backend,
    ask::{Failed, ask},
};

/// The longest piece of output, as in Consul.
const PIECE_BYTES_MAX: usize = 4096;
/// All that is told of a job's output; the rest is thrown away.
const OUTPUT_BYTES_MAX: usize = 4 << 20;
const CUT: &[u8] = b"\n... (the rest of the output is left out)\n";
/// How long one call may take, and how often it is tried while nobody answers: the session ends soon after.
const CALL_LIMIT: Duration = Duration::from_secs(5);
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_secs(1);

/// The keys of one job on this node.
pub(super) struct Report {
    backend: Arc<dyn Backend>,
    node: String,
    /// `_rexec/SESSION/`.
    folder: String,
    session: String,
    pieces: AtomicU32,
    /// Whether the session is gone: then nobody reads any more.
    lost: AtomicBool,
}

impl Report {
    pub(super) fn new(backend: Arc<dyn Backend>, node: &str, prefix: &str, session: &str) -> Self {
        let folder = format!("{prefix}/{session}/");
        let (node, session) = (node.to_owned(), session.to_owned());
        Self { backend, node, folder, session, pieces: AtomicU32::new(0), lost: AtomicBool::new(false) }
    }

    /// The job, as the sender wrote it; `None` when it is gone.
    pub(super) async fn job(&self) -> Result<Option<Vec<u8>>, Failed> {
        let path = format!("/v1/kv/{}?raw&consistent", crate::api_path(&format!("{}job", self.folder)));
        let read = self.call(|| Request::get(&path).body(body::empty()).expect("an encoded path")).await;
        match read {
            Ok(text) => Ok(Some(text)),
            Err(Failed::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Tells that this node takes the job; `false` when it cannot be told.
    pub(super) async fn acknowledge(&self) -> bool {
        self.tell("ack", Vec::new()).await;
        !self.lost.load(Relaxed)
    }

    /// Tells how it ended.
    pub(super) async fn exit(&self, code: i32) {
        self.tell("exit", code.to_string().into_bytes()).await;
    }

    /// Tells what the program says: a piece when there is enough for one, and what there is, be it nothing, at each beat.
    pub(super) async fn output(&self, mut said: mpsc::Receiver<Vec<u8>>, beat: Duration) {
        let (mut waiting, mut left) = (Vec::new(), OUTPUT_BYTES_MAX);
        let mut due = Instant::now() + beat;
        loop {
            tokio::select! {
                heard = said.recv() => {
                    let Some(heard) = heard else { break };
                    if left == 0 {
                        continue;
                    }
                    waiting.extend_from_slice(&heard[..heard.len().min(left)]);
                    left -= heard.len().min(left);
                    if left == 0 {
                        waiting.extend_from_slice(CUT);
                    }
                    if waiting.len() < PIECE_BYTES_MAX {
                        continue;
                    }
                    self.piece(waiting.drain(..PIECE_BYTES_MAX).collect()).await;
                }
                () = sleep_until(due) => {
                    let length = waiting.len().min(PIECE_BYTES_MAX);
                    self.piece(waiting.drain(..length).collect()).await;
                }
            }
            due = Instant::now() + beat;
        }
        for rest in waiting.chunks(PIECE_BYTES_MAX) {
            self.piece(rest.to_vec()).await;
        }
    }

    async fn piece(&self, bytes: Vec<u8>) {
        let number = self.pieces.fetch_add(1, Relaxed);
        self.tell(&format!("out/{number:05x}"), bytes).await;
    }

    /// Writes a key of this node. One line of the log says when that is no longer possible; the program goes on.
    async fn tell(&self, what: &str, value: Vec<u8>) {
        if self.lost.load(Relaxed) {
            return;
        }
        let key = crate::api_path(&format!("{}{}/{what}", self.folder, self.node));
        let path = format!("/v1/kv/{key}?acquire={}", crate::api_path(&self.session));
        let written =
            self.call(|| Request::put(&path).body(body::full(value.clone())).expect("an encoded path"));
        let why = match written.await {
            Ok(answer) if answer.starts_with(b"true") => return,
            Ok(_) => "its session does not hold the key".to_owned(),
            Err(error) => error.to_string(),
        };
        self.lost.store(true, Relaxed);
        tracing::error!(target: "agent", key = what, error = why, "failed to write what came of a remote exec job");
    }

    /// Asks again while nobody answers.
    async fn call(&self, request: impl Fn() -> Request<Body>) -> Result<Vec<u8>, Failed> {
        let mut tries = 1;
        loop {
            match ask(&*self.backend, &self.node, request(), CALL_LIMIT).await {
                Ok((_, bytes)) => return Ok(bytes.to_vec()),
                Err(Failed::Nobody(_) | Failed::Late) if tries < TRIES => {
                    tries += 1;
                    sleep(PAUSE.mul_f64(rand::random_range(0.75..1.25))).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}
