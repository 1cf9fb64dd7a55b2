//! Reads answered: how a question is asked, and which headers its answer gets.

use std::{hash::Hash, sync::Arc};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use http_api::{Answer, ApiError};
use registry_state::{Outcome, read::Read};
use registry_wire::{
    filter::{Filter, FilterError, Kind},
    header, json,
    options::{self, ReadOptions},
};
use serde::Serialize;

use super::{Api, recent::Question};
use crate::{Absent, Consistency, Options, ReadError, Wait, WriteFailed};

/// An answer's body; `None` is 404 without one.
pub(super) type Encoded = Option<Bytes>;

/// Which of the read headers an endpoint sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Keys and sessions: without the effective consistency.
    Plain,
    /// Catalog and health: with it.
    Discovery,
}

/// What shapes a body besides the question.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Form {
    pub(super) datacenter: Arc<str>,
    pub(super) filter: Option<Filter>,
}

impl Form {
    /// The form that a request asks for; 500 if its filter does not fit these fields.
    pub(super) fn of(api: &Api, asked: &ReadOptions, fields: &'static Kind) -> Result<Self, ApiError> {
        let refused = |e| failed_read(ApiError::internal(format!("{}{e}", FilterError::PREFIX)));
        let filter = asked.filter.as_deref().map(|text| Filter::parse(text, fields).map_err(refused));
        Ok(Self { datacenter: api.datacenter().clone(), filter: filter.transpose()? })
    }

    /// Whether the filter lets an object through.
    pub(super) fn keeps(&self, shown: &impl Serialize) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.keeps(shown))
    }

    /// The list of what the filter lets through.
    pub(super) fn list<T: Serialize>(&self, shown: impl Iterator<Item = T>) -> Encoded {
        let kept: Vec<T> = shown.filter(|object| self.keeps(object)).collect();
        encoded(&kept)
    }
}

/// Asks a question and encodes its answer; those who wait for the same share both.
pub(super) async fn read<R, F>(
    api: &Api,
    asked: &ReadOptions,
    family: Family,
    question: R,
    form: F,
    encode: fn(&R::Output, &F) -> Encoded,
) -> Result<Answer, ApiError>
where
    R: Read + Hash + Send + Sync + 'static,
    R::Output: Absent + Send,
    F: Hash + Send + Sync + 'static,
{
    api.serves(asked.datacenter.as_deref()).map_err(failed_read)?;
    let options = reader_options(api, asked);
    let found = if asked.index > 0 {
        api.reader().encoded(question, form, options, encode).await?
    } else if family == Family::Plain {
        let encoded = |(value, index)| (encode(&value, &form), index);
        api.reader().look_up(options.consistency, |state| encoded(question.run(state))).await?
    } else {
        let key = Question::of(&question, &form, encode);
        let encode = |value: &R::Output| encode(value, &form);
        let recent = &api.0.recent;
        api.reader()
            .look_up(options.consistency, |state| {
                recent.answer(key, state, |state| question.run(state), encode)
            })
            .await?
    };
    let mut answer = match found.value {
        Some(body) => Answer::encoded(body),
        None => Answer::empty().status(StatusCode::NOT_FOUND),
    };
    read_headers(&mut answer, found.index, found.known_leader, found.last_contact_ms, family, asked);
    Ok(answer)
}

/// A read that fails after its parameters were read still has a read's headers, of an answer that knows nothing.
pub(super) fn failed_read(error: ApiError) -> ApiError {
    let of_nothing = [
        (header::INDEX, "1"),
        (header::KNOWN_LEADER, "false"),
        (header::LAST_CONTACT, "0"),
        (header::QUERY_BACKEND, "blocking-query"),
    ];
    of_nothing
        .into_iter()
        .fold(error, |error, (name, value)| error.with(name, HeaderValue::from_static(value)))
}

/// The reader's options for what a client asked.
pub(super) fn reader_options(api: &Api, asked: &ReadOptions) -> Options {
    let consistency = match asked.consistency {
        options::Consistency::Default => Consistency::Default,
        options::Consistency::Consistent => Consistency::Consistent,
        options::Consistency::Stale => Consistency::Stale,
    };
    let limit = asked.wait.unwrap_or(api.settings().wait_default).min(api.settings().wait_max);
    let wait = (asked.index > 0).then_some(Wait { index: asked.index, limit });
    Options { consistency, wait }
}

/// Puts the headers of a read on its answer.
pub(super) fn read_headers(
    answer: &mut Answer,
    index: u64,
    known_leader: bool,
    last_contact_ms: u64,
    family: Family,
    asked: &ReadOptions,
) {
    let mut set = |name: HeaderName, value: HeaderValue| drop(answer.headers.insert(name, value));
    set(header::INDEX, index.into());
    set(header::KNOWN_LEADER, HeaderValue::from_static(if known_leader { "true" } else { "false" }));
    set(header::LAST_CONTACT, last_contact_ms.into());
    set(header::QUERY_BACKEND, HeaderValue::from_static("blocking-query"));
    if family != Family::Plain {
        set(header::EFFECTIVE_CONSISTENCY, HeaderValue::from_static(asked.consistency.name()));
    }
}

/// The JSON of a value as a body.
pub(super) fn encoded(value: &(impl Serialize + ?Sized)) -> Encoded {
    Some(Bytes::from(json::to_vec(value)))
}

/// What a write that says true or false answers; `prefix` stands before the text of a failure.
pub(super) fn written(outcome: Outcome, prefix: &str) -> Result<Answer, ApiError> {
    match outcome {
        Outcome::Done => Ok(Answer::encoded(Bytes::from_static(b"true"))),
        Outcome::Refused => Ok(Answer::encoded(Bytes::from_static(b"false"))),
        Outcome::Failed(why) => Err(ApiError::internal(format!("{prefix}{why}"))),
        Outcome::Txn(_) | Outcome::TxnFailed(_) => unreachable!("only a transaction has such an outcome"),
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        Self::internal(error.to_string())
    }
}

impl From<WriteFailed> for ApiError {
    fn from(error: WriteFailed) -> Self {
        Self::internal(error.to_string())
    }
}
