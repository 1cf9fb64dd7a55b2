//! A registry of keys alone, just enough of it to watch: recursion, blocking, indexes, and going away.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::timeout,
};

/// The registry. Dropping it or [`Registry::down`] closes its port and all connections.
pub(crate) struct Registry {
    address: SocketAddr,
    state: Arc<State>,
    tasks: JoinSet<()>,
}

struct State {
    keys: Mutex<BTreeMap<String, String>>,
    index: watch::Sender<u64>,
    asked: Mutex<Vec<String>>,
    /// How many questions wait for a change.
    held: watch::Sender<usize>,
}

impl Registry {
    /// Starts with some keys.
    pub(crate) async fn with(keys: &[(&str, &str)]) -> Self {
        let keys = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let state = State {
            keys: Mutex::new(keys),
            index: watch::channel(10).0,
            asked: Mutex::default(),
            held: watch::channel(0).0,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut registry = Self { address, state: Arc::new(state), tasks: JoinSet::new() };
        registry.serve(listener);
        registry
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn put(&self, key: &str, value: &str) {
        self.state.keys.lock().unwrap().insert(key.to_owned(), value.to_owned());
        self.state.index.send_modify(|index| *index += 1);
    }

    pub(crate) fn remove(&self, key: &str) {
        self.state.keys.lock().unwrap().remove(key);
        self.state.index.send_modify(|index| *index += 1);
    }

    pub(crate) fn clear(&self) {
        self.state.keys.lock().unwrap().clear();
        self.state.index.send_modify(|index| *index += 1);
    }

    /// The paths asked for so far, each once, without parameters.
    pub(crate) fn asked(&self) -> Vec<String> {
        let mut asked = self.state.asked.lock().unwrap().clone();
        asked.sort();
        asked.dedup();
        asked
    }

    /// Waits until so many questions wait for a change: whoever asks nothing does not see an outage.
    pub(crate) async fn holds(&self, count: usize) {
        self.state.held.subscribe().wait_for(|held| *held >= count).await.unwrap();
    }

    pub(crate) async fn down(&mut self) {
        self.tasks.shutdown().await;
    }

    pub(crate) async fn up(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.serve(listener);
    }

    fn serve(&mut self, listener: TcpListener) {
        let state = Arc::clone(&self.state);
        self.tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(connection(stream, Arc::clone(&state)));
            }
        });
    }
}

async fn connection(mut stream: TcpStream, state: Arc<State>) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let head = String::from_utf8(head).unwrap();
        let target = head.split(' ').nth(1).unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        state.asked.lock().unwrap().push(path.to_owned());
        let key = path.strip_prefix("/v1/kv/").unwrap_or_default();
        let recurse = query.contains("recurse");
        let wanted =
            query.split('&').find_map(|pair| pair.strip_prefix("index=")).map_or(0, |i| i.parse().unwrap());
        let before = state.answer(key, recurse);
        let mut changes = state.index.subscribe();
        if wanted >= *changes.borrow_and_update() {
            state.held.send_modify(|held| *held += 1);
            // As the real one, the answer comes when something changed there, or at the end of the wait.
            let _ = timeout(Duration::from_secs(60), async {
                while state.answer(key, recurse) == before {
                    changes.changed().await.unwrap();
                }
            })
            .await;
            state.held.send_modify(|held| *held -= 1);
        }
        let index = *state.index.borrow();
        let (status, body) = state.answer(key, recurse);
        let answer = format!(
            "HTTP/1.1 {status} X\r\nX-Consul-Index: {index}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

impl State {
    fn answer(&self, wanted: &str, recurse: bool) -> (u16, String) {
        let keys = self.keys.lock().unwrap();
        let found =
            keys.iter().filter(|(key, _)| if recurse { key.starts_with(wanted) } else { *key == wanted });
        let pairs: Vec<String> = found
            .map(|(key, value)| format!(r#"{{"Key":"{key}","Value":"{}"}}"#, STANDARD.encode(value)))
            .collect();
        if pairs.is_empty() { (404, String::new()) } else { (200, format!("[{}]", pairs.join(","))) }
    }
}
