//! What the nodes answer: keys `NODE/ack`, `NODE/out/00000` and so on, `NODE/exit`.

use std::{collections::BTreeSet, time::Duration};

use registry_client::{Client, Request};
use registry_wire::{base64, kv::KvPair};
use tokio::time::{Instant, timeout_at};

use crate::output::line;

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ended {
    /// How many nodes took the command.
    pub(super) acknowledged: usize,
    /// How many ended it.
    pub(super) completed: usize,
    /// Whether it failed on any of them.
    pub(super) failed: bool,
}

/// The keys of one run, as they come.
pub(super) struct Answers<'c> {
    client: &'c Client,
    folder: &'c str,
    request: Request,
    seen: BTreeSet<String>,
    ended: Ended,
}

/// What a key tells.
#[derive(Debug, PartialEq, Eq)]
enum Told<'k> {
    Taken(&'k str),
    Output(&'k str),
    Exit(&'k str),
}

impl<'c> Answers<'c> {
    /// Nothing yet; `request` asks for the keys in `folder`.
    pub(super) fn new(client: &'c Client, folder: &'c str, request: Request) -> Self {
        Self { client, folder, request, seen: BTreeSet::new(), ended: Ended::default() }
    }

    /// Prints what comes, until nothing has come for so long.
    pub(super) async fn follow(mut self, quiet: Duration, verbose: bool) -> Result<Ended, String> {
        let (mut index, mut end) = (0_u64, Instant::now() + quiet);
        loop {
            let mut request = self.request.clone().with("recurse", "").with("wait", "10s");
            if index > 0 {
                request = request.with("index", index.to_string());
            }
            let Ok(answer) = timeout_at(end, self.client.send(&request)).await else { return Ok(self.ended) };
            let found = answer.and_then(registry_client::Response::found);
            let Some(answer) = found.map_err(|e| format!("Failed to read answers: {e}"))? else {
                return Ok(self.ended);
            };
            // An index that ran backwards starts the questions over.
            index = if answer.index < index { 0 } else { answer.index };
            let pairs: Vec<KvPair> = answer.json().map_err(|e| e.to_string())?;
            if pairs.iter().filter(|pair| self.tell(pair, verbose)).count() > 0 {
                end = Instant::now() + quiet;
            }
        }
    }

    /// Prints a key's news, if it is news.
    fn tell(&mut self, pair: &KvPair, verbose: bool) -> bool {
        let Some(told) = pair.key.strip_prefix(self.folder).and_then(told) else { return false };
        if !self.seen.insert(pair.key.clone()) {
            return false;
        }
        let value = base64::decode(pair.value.as_deref().unwrap_or_default()).unwrap_or_default();
        let text = String::from_utf8_lossy(&value);
        match told {
            Told::Taken(node) => {
                self.ended.acknowledged += 1;
                if verbose {
                    line(format!("==> {node}: acknowledged"));
                }
            }
            // An empty piece is a sign of life.
            Told::Output(_) if text.is_empty() => {}
            Told::Output(node) => {
                text.split('\n').for_each(|part| line(format!("    {node}: {part}").trim_end()));
            }
            Told::Exit(node) => {
                self.ended.completed += 1;
                self.ended.failed |= text.trim() != "0";
                line(format!("==> {node}: finished with exit code {}", text.trim()));
            }
        }
        true
    }
}

/// `web1/out/00002` and the like.
fn told(key: &str) -> Option<Told<'_>> {
    let (node, rest) = key.split_once('/')?;
    match rest.split('/').next()? {
        "ack" => Some(Told::Taken(node)),
        "out" => Some(Told::Output(node)),
        "exit" => Some(Told::Exit(node)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Told, told};

    #[test]
    fn keys_tell_what_they_are() {
        assert_eq!(told("web1/ack"), Some(Told::Taken("web1")));
        assert_eq!(told("web1/out/0000a"), Some(Told::Output("web1")));
        assert_eq!(told("web1/exit"), Some(Told::Exit("web1")));
        assert_eq!((told("job"), told("web1/other")), (None, None));
    }
}
