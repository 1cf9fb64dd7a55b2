//! `?cached`: Consul's agents keep answers, and tell in `X-Cache` and `Age` whether they had one.
//!
//! Here nothing is kept: an answer is as fresh as without `?cached`. Who asks for the first time hears `MISS`, and from then on `HIT`, as from
//! an agent of Consul: programs look at these headers to see whether their `?cached` works.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderValue, Method, StatusCode, header::AGE};
use http_api::{Answer, ApiError, Call, Table};
use registry_wire::{
    header,
    options::{self, CacheControl},
};
use tokio::time::Instant;

use super::{Api, asking_node};

/// How many questions are remembered, at 16 bytes each; with one more, all are forgotten.
const QUESTIONS_MAX: usize = 8192;
/// For how long a question is remembered that is not asked again.
const REMEMBERED: Duration = Duration::from_secs(3 * 24 * 3600);

/// An endpoint that `?cached` reaches.
pub(super) struct Kept {
    name: &'static str,
    /// Whether the agent would be told of changes; else it asks again when what it has is too old.
    followed: bool,
    /// Which parameters make another question.
    parameters: &'static [&'static str],
}

const fn followed(name: &'static str, parameters: &'static [&'static str]) -> Kept {
    Kept { name, followed: true, parameters }
}

pub(super) const CATALOG_SERVICES: Kept = followed("catalog/services", &["node-meta", "filter"]);
pub(super) const CATALOG_SERVICE: Kept = followed("catalog/service", &["tag", "node-meta", "filter"]);
pub(super) const CATALOG_CONNECT: Kept = followed("catalog/connect", &["tag", "node-meta", "filter"]);
pub(super) const HEALTH_SERVICE: Kept =
    followed("health/service", &["tag", "node-meta", "filter", "near", "passing"]);
pub(super) const HEALTH_CONNECT: Kept =
    followed("health/connect", &["tag", "node-meta", "filter", "near", "passing"]);
pub(super) const HEALTH_INGRESS: Kept =
    followed("health/ingress", &["tag", "node-meta", "filter", "near", "passing"]);
pub(super) const DATACENTERS: Kept = Kept { name: "catalog/datacenters", followed: false, parameters: &[] };
pub(super) const QUERY: Kept =
    Kept { name: "query/execute", followed: false, parameters: &["limit", "near", "connect"] };

/// When each question was answered first.
#[derive(Default)]
pub(super) struct AskedBefore {
    hasher: RandomState,
    since: Mutex<HashMap<u64, Instant>>,
}

impl AskedBefore {
    /// How old the answer is that an agent of Consul would have; `None` if it has none that does, and gets one now.
    fn age(&self, kept: &Kept, question: u64, control: CacheControl) -> Option<Duration> {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let age = since.get(&question).map(|then| now - *then).filter(|age| *age < REMEMBERED);
        let does = |age: &Duration| kept.followed || control.allows(*age);
        match age.filter(does) {
            Some(_) if kept.followed => Some(Duration::ZERO),
            Some(age) => Some(age),
            None => {
                if since.len() >= QUESTIONS_MAX {
                    since.clear();
                }
                since.insert(question, now);
                None
            }
        }
    }
}

/// A table that knows `?cached`.
pub(super) trait AddKept {
    /// Adds an endpoint whose answers tell, when asked with `?cached`, whether the question was asked before.
    fn add_kept<F, A>(&mut self, path: &'static str, kept: &'static Kept, handler: F) -> &mut Self
    where
        F: Fn(Api, Call) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Answer, ApiError>> + Send + 'static;
}

impl AddKept for Table<Api> {
    fn add_kept<F, A>(&mut self, path: &'static str, kept: &'static Kept, handler: F) -> &mut Self
    where
        F: Fn(Api, Call) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Answer, ApiError>> + Send + 'static,
    {
        self.add(path, &[Method::GET], move |api, call| {
            let noted = Noted::of(kept, &api, &call);
            let answering = handler(api, call);
            async move {
                let answer = answering.await?;
                Ok(match noted {
                    Some(noted) => noted.tell(answer),
                    None => answer,
                })
            }
        })
    }
}

/// What is noted of a request with `?cached` before it is answered.
pub(super) struct Noted {
    api: Api,
    kept: &'static Kept,
    question: u64,
    control: CacheControl,
    /// What the client waits to be left behind, and where the state was then.
    waits: Option<(u64, u64)>,
}

impl Noted {
    /// `None` without `?cached`.
    pub(super) fn of(kept: &'static Kept, api: &Api, call: &Call) -> Option<Self> {
        if !call.query.has("cached") {
            return None;
        }
        let values = |name: &&'static str| {
            let name = *name;
            call.query.all(name).map(move |value| (name, value.into_owned())).collect::<Vec<_>>()
        };
        let parameters: Vec<_> = kept.parameters.iter().flat_map(values).collect();
        let name = call.name().to_lowercase();
        let newer_than = options::blocking(&call.query).map_or(0, |(index, _)| index);
        let state = api.registry().store().state().index();
        Some(Self {
            api: api.clone(),
            kept,
            question: api.0.asked_before.hasher.hash_one((kept.name, name, parameters, asking_node(call))),
            control: CacheControl::read(&call.headers).unwrap_or_default(),
            waits: (newer_than > 0).then_some((newer_than, state)),
        })
    }

    /// What was waited for was not there.
    pub(super) fn tell(self, answer: Answer) -> Answer {
        if answer.status != StatusCode::OK {
            return answer;
        }
        let index = answer.headers.get(header::INDEX).and_then(|index| index.to_str().ok()?.parse().ok());
        let waited = self
            .waits
            .zip(index)
            .is_some_and(|((newer_than, state), index): (_, u64)| index <= newer_than || index > state);
        let age = self.api.0.asked_before.age(self.kept, self.question, self.control);
        mark(answer, age.filter(|_| !waited))
    }
}

/// The answer as one that was there, so old, or that was not.
pub(super) fn mark(mut answer: Answer, age: Option<Duration>) -> Answer {
    let hit = HeaderValue::from_static(if age.is_some() { "HIT" } else { "MISS" });
    answer.headers.insert(header::CACHE, hit);
    if let Some(age) = age {
        answer.headers.insert(AGE, age.as_secs().into());
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(text: &'static str) -> CacheControl {
        let headers = [(http::header::CACHE_CONTROL, HeaderValue::from_static(text))];
        CacheControl::read(&headers.into_iter().collect()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_is_missed_and_the_next_as_old_as_the_first() {
        let asked = AskedBefore::default();
        let age = |kept: &Kept, text| asked.age(kept, 1, control(text)).map(|age| age.as_secs());
        assert_eq!(age(&QUERY, ""), None);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(age(&QUERY, "max-age=5"), Some(3));
        assert_eq!(age(&CATALOG_SERVICE, "max-age=0, must-revalidate"), Some(0));
        assert_eq!(age(&QUERY, "max-age=2"), None);
        assert_eq!((age(&QUERY, "max-age=2"), age(&QUERY, "must-revalidate")), (Some(0), None));
        tokio::time::advance(REMEMBERED).await;
        assert_eq!(age(&QUERY, ""), None);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_is_remembered_than_was_meant() {
        let asked = AskedBefore::default();
        for question in 0..2 * QUESTIONS_MAX as u64 {
            assert_eq!(asked.age(&QUERY, question, CacheControl::default()), None);
        }
        assert!(asked.since.lock().unwrap().len() <= QUESTIONS_MAX);
    }
}
