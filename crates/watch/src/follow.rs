//! One subject asked for again and again, as Consul's own watches do it.
//!
//! An answer with the index of the one before says nothing; one with another index but the same data neither. An index
//! that runs backwards is forgotten. After a failure it is asked anew, after a pause that grows with the square of the
//! number of failures.

use std::{future::Future, time::Duration};

use registry_client::{Client, Request, RequestError, Response};
use serde::Deserialize;
use tokio::time::{Instant, sleep_until};

use crate::Subject;

/// The longest wait for one answer; the registry holds a question for ten minutes at most, and a sixteenth.
const ANSWER_MAX: Duration = Duration::from_secs(700);
/// The pause after the first failure; it grows with the square of their number.
const PAUSE: Duration = Duration::from_secs(5);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(180);
/// The least time between two questions of which the first brought nothing new.
const PAUSE_WITHOUT_NEWS: Duration = Duration::from_millis(100);

/// Whoever answers requests: a client of a registry elsewhere, or an agent that asks itself.
pub trait Ask {
    /// Sends one request and reads its whole answer, whatever its status.
    fn ask(&self, request: Request) -> impl Future<Output = Result<Response, RequestError>> + Send;
}

impl Ask for Client {
    async fn ask(&self, request: Request) -> Result<Response, RequestError> {
        self.send(&request).await
    }
}

/// Data that is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Compact JSON, without a newline: `{"Key":"a",…}`, `null` for a key that is not there.
    pub data: Vec<u8>,
    /// The answer's index; 0 where there is none.
    pub index: u64,
}

/// A question without an answer. The follower pauses by itself before it asks again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Trouble {
    /// What went wrong.
    pub error: RequestError,
    /// After how long it is asked again.
    pub pause: Duration,
}

/// Follows a subject.
#[derive(Debug)]
pub struct Follower<A> {
    asked: A,
    subject: Subject,
    /// What is asked, without index or hash.
    request: Request,
    at: At,
    last: Option<Vec<u8>>,
    failures: u32,
    not_before: Option<Instant>,
}

/// Where a question stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct At {
    /// The index of the last answer; 0 asks for one at once.
    index: u64,
    /// The same for what has a hash instead.
    hash: String,
}

impl<A: Ask> Follower<A> {
    /// Prepares to follow a subject. `more` are parameters of every question: `("dc", "dc2")`, `("stale", "")`.
    pub fn new(asked: A, subject: Subject, more: Vec<(String, String)>) -> Self {
        let mut request = Request { timeout: Some(ANSWER_MAX), ..subject.request() };
        request.query.extend(more);
        Self { asked, subject, request, at: At::default(), last: None, failures: 0, not_before: None }
    }

    /// Waits for what is new; the first answer always is. Dropping the future ends the request under way and loses nothing.
    pub async fn next(&mut self) -> Result<Change, Trouble> {
        loop {
            if let Some(time) = self.not_before {
                sleep_until(time).await;
                self.not_before = None;
            }
            match self.ask().await {
                Ok(Some(change)) => return Ok(change),
                Ok(None) => self.not_before = Some(Instant::now() + jittered(PAUSE_WITHOUT_NEWS)),
                Err(error) => return Err(self.fail(error)),
            }
        }
    }

    async fn ask(&mut self) -> Result<Option<Change>, RequestError> {
        let answer = self.asked.ask(self.question()).await?;
        let index = answer.index;
        let found = if self.subject.may_be_absent() { answer.found()? } else { Some(answer.success()?) };
        let at = match (&self.subject, &found) {
            (Subject::AgentService { .. }, Some(answer)) => At { index: 0, hash: hash(answer)? },
            _ => At { index, hash: String::new() },
        };
        if self.at != At::default() && self.at == at {
            self.failures = 0;
            return Ok(None);
        }
        let data = match &found {
            Some(answer) => self.subject.read(answer, self.at.index)?,
            None => b"null".to_vec(),
        };
        self.failures = 0;
        let is_backwards = at.index < self.at.index && !matches!(self.subject, Subject::Event { .. });
        self.at = if is_backwards { At::default() } else { at };
        if self.last.as_ref() == Some(&data) {
            return Ok(None);
        }
        self.last = Some(data.clone());
        Ok(Some(Change { data, index }))
    }

    fn question(&self) -> Request {
        let request = self.request.clone().with_unless_empty("hash", &self.at.hash);
        if self.at.index == 0 { request } else { request.with("index", self.at.index.to_string()) }
    }

    fn fail(&mut self, error: RequestError) -> Trouble {
        self.at = At::default();
        self.failures = self.failures.saturating_add(1);
        let pause = PAUSE.saturating_mul(self.failures.saturating_mul(self.failures)).min(PAUSE_MAX);
        self.not_before = Some(Instant::now() + jittered(pause));
        Trouble { error, pause }
    }
}

/// A service's hash, which is asked with instead of an index.
fn hash(answer: &Response) -> Result<String, RequestError> {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "PascalCase", default)]
    struct Hashed {
        content_hash: String,
    }
    Ok(answer.json::<Hashed>()?.content_hash)
}

/// A pause that is up to a tenth longer, so that many agents do not come back at once.
fn jittered(pause: Duration) -> Duration {
    pause + pause.mul_f64(rand::random::<f64>() / 10.0)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Gives its answers in order, then none any more; notes what it was asked.
    #[derive(Clone, Default)]
    struct Script {
        answers: Arc<Mutex<Vec<Result<Response, RequestError>>>>,
        asked: Arc<Mutex<Vec<String>>>,
    }

    impl Ask for Script {
        async fn ask(&self, request: Request) -> Result<Response, RequestError> {
            self.asked.lock().unwrap().push(request.path_and_query());
            let next = {
                let mut answers = self.answers.lock().unwrap();
                if answers.is_empty() { None } else { Some(answers.remove(0)) }
            };
            match next {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        }
    }

    fn answer(status: u16, index: u64, body: &str) -> Result<Response, RequestError> {
        let body = body.to_owned().into();
        Ok(Response { status, index, known_leader: true, last_contact: Duration::ZERO, body })
    }

    fn follower(
        subject: Subject,
        answers: Vec<Result<Response, RequestError>>,
    ) -> (Follower<Script>, Script) {
        let script = Script { answers: Arc::new(Mutex::new(answers)), ..Script::default() };
        (Follower::new(script.clone(), subject, Vec::new()), script)
    }

    async fn data(follower: &mut Follower<Script>) -> (String, u64) {
        let change = follower.next().await.unwrap();
        (String::from_utf8(change.data).unwrap(), change.index)
    }

    #[tokio::test(start_paused = true)]
    async fn only_other_data_is_a_change() {
        let entry = r#"[{"Key":"a","Value":"eA==","ModifyIndex":7}]"#;
        let key = Subject::Key("a".into());
        let answers = vec![
            answer(404, 3, ""),
            answer(404, 3, ""),
            answer(404, 5, ""),
            answer(200, 7, entry),
            answer(200, 2, entry),
            answer(200, 2, r#"[{"Key":"a"}]"#),
        ];
        let (mut follower, script) = follower(key, answers);
        assert_eq!(data(&mut follower).await, ("null".into(), 3));
        let whole = r#"{"Key":"a","CreateIndex":0,"ModifyIndex":7,"LockIndex":0,"Flags":0,"Value":"eA==","Session":""}"#;
        assert_eq!(data(&mut follower).await, (whole.into(), 7));
        assert!(data(&mut follower).await.0.contains(r#""Value":null"#));
        let asked = script.asked.lock().unwrap().clone();
        let with = |index: &str| format!("/v1/kv/a{index}");
        assert_eq!(asked, ["", "?index=3", "?index=3", "?index=5", "?index=7", ""].map(with));
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_with_failures_and_end_with_an_answer() {
        let away = || answer(500, 0, "No cluster leader");
        let key = Subject::Key("a".into());
        let answers = vec![away(), away(), answer(404, 9, ""), away(), answer(404, 9, "")];
        let (mut follower, script) = follower(key, answers);
        let start = Instant::now();
        let first = follower.next().await.unwrap_err();
        assert_eq!(
            (first.to_string(), first.pause),
            ("Unexpected response code: 500 (No cluster leader)".into(), PAUSE)
        );
        assert_eq!(follower.next().await.unwrap_err().pause, PAUSE * 4);
        assert_eq!(data(&mut follower).await.0, "null");
        let taken = start.elapsed();
        assert!(taken >= PAUSE * 5 && taken <= PAUSE * 6, "{taken:?}");
        assert_eq!(follower.next().await.unwrap_err().pause, PAUSE);
        // It is back, with what was known before.
        assert!(tokio::time::timeout(PAUSE * 3, follower.next()).await.is_err());
        assert_eq!(script.asked.lock().unwrap().last().unwrap(), "/v1/kv/a?index=9");
    }

    #[tokio::test(start_paused = true)]
    async fn events_are_handed_out_once_and_an_agents_service_has_a_hash() {
        let id = |n: u8| format!("b54fe110-7af5-cafc-d1fb-afc8ba432b1{n}");
        let event = |n: u8| format!(r#"{{"ID":"{}","Name":"e","Payload":null}}"#, id(n));
        let index =
            |n: u8| serde_json::from_str::<registry_wire::event::UserEvent>(&event(n)).unwrap().index();
        let answers = vec![
            answer(200, 1, "[]"),
            answer(200, index(1), &format!("[{}]", event(1))),
            answer(200, index(2), &format!("[{},{}]", event(1), event(2))),
        ];
        let (mut events, _) = follower(Subject::Event { name: String::new() }, answers);
        assert_eq!(data(&mut events).await, ("[]".into(), 1));
        assert!(data(&mut events).await.0.contains(&id(1)));
        let second = data(&mut events).await.0;
        assert!(second.contains(&id(2)) && !second.contains(&id(1)), "{second}");

        let service = |hash: &str| answer(200, 0, &format!("{{\"ID\":\"w\",\"ContentHash\":\"{hash}\"}}\n"));
        let (mut own, script) = follower(
            Subject::AgentService { id: "w".into() },
            vec![service("aa"), service("aa"), service("bb")],
        );
        assert_eq!(data(&mut own).await, (r#"{"ID":"w","ContentHash":"aa"}"#.into(), 0));
        assert!(data(&mut own).await.0.contains("bb"));
        assert_eq!(script.asked.lock().unwrap()[1], "/v1/agent/service/w?hash=aa");
    }
}
