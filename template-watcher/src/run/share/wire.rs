//! How answers look in a key: JSON, compressed. Whoever cannot read it asks by itself.

use std::io::{Read as _, Write as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use serde::{Deserialize, Serialize};

use crate::{answers::Answer, query::Query};

/// The most that a key holds by default.
const VALUE_BYTES_MAX: usize = 512 * 1024;

/// The most that is made of a value: what is larger was not written by a watcher.
const TEXT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Stands for answers that no key holds. An empty value would say that they are still to come.
const TOO_LARGE: &[u8] = b"-";

/// The form of what is shared; other forms are not read.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Outgoing<'a> {
    version: u32,
    answers: Vec<(&'a Query, &'a Answer)>,
}

#[derive(Deserialize)]
struct Incoming {
    version: u32,
    answers: Vec<(Query, Answer)>,
}

/// The value of the key; [`TOO_LARGE`] when it would be that, and then everybody asks.
pub(super) fn encode<'a>(answers: impl Iterator<Item = (&'a Query, &'a Answer)>) -> Bytes {
    let outgoing = Outgoing { version: VERSION, answers: answers.collect() };
    let text = serde_json::to_vec(&outgoing).expect("answers are texts, numbers and lists of them");
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let value =
        encoder.write_all(&text).and_then(|()| encoder.finish()).expect("memory takes what is written");
    if value.len() > VALUE_BYTES_MAX {
        tracing::warn!(target: "runner", bytes = value.len(), "the answers of a template are too large to share");
        return Bytes::from_static(TOO_LARGE);
    }
    value.into()
}

/// What a value says, as the API shows it (base64); nothing when it is not what a watcher writes.
pub(super) fn decode(value: Option<&str>) -> Vec<(Query, Answer)> {
    let read = || {
        let value = STANDARD.decode(value?).ok()?;
        let mut text = Vec::new();
        GzDecoder::new(value.as_slice()).take(TEXT_BYTES_MAX).read_to_end(&mut text).ok()?;
        let incoming: Incoming = serde_json::from_slice(&text).ok()?;
        (incoming.version == VERSION).then_some(incoming.answers)
    };
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answers::{CatalogSnippet, HealthService, KeyAnswer, KeyPair};

    #[test]
    fn answers_come_back_as_they_were() {
        let pair = KeyPair { path: "a".into(), value: vec![0, 159, 255], ..KeyPair::default() };
        let answers = [
            (Query::key("a").unwrap(), Answer::Key(KeyAnswer { now: Some(pair.clone()), last: None })),
            (Query::prefix("a@dc2").unwrap(), Answer::Pairs(vec![pair])),
            (Query::service("web|any").unwrap(), Answer::Instances(vec![HealthService::default()])),
            (Query::services("").unwrap(), Answer::Services(vec![CatalogSnippet::default()])),
        ];
        let value = STANDARD.encode(encode(answers.iter().map(|(query, answer)| (query, answer))));
        assert_eq!(decode(Some(&value)), answers);
        assert_eq!(decode(Some("")), []);
        assert_eq!(decode(Some(&STANDARD.encode(b"x"))), []);
        assert_eq!(decode(None), []);
    }

    #[test]
    fn what_is_too_large_is_not_shared() {
        let value: Vec<u8> = (0..1024 * 1024).map(|_| rand::random()).collect();
        let answer = Answer::File(value);
        let value = encode([(&Query::file("x"), &answer)].into_iter());
        assert_eq!(value, TOO_LARGE);
        assert_eq!(decode(Some(&STANDARD.encode(value))), []);
    }
}
