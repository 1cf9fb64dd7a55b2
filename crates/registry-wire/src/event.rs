//! User events as `/v1/event` shows them.

use serde::{Deserialize, Serialize};

use crate::regexp::{self, PatternError};

/// The most bytes an event may take, name, payload and filters together, as gossip would carry it.
const BYTES_MAX: usize = 512;

/// An event: `{"ID":"…","Name":"deploy","Payload":"djE=","NodeFilter":"","ServiceFilter":"","TagFilter":"","Version":1,"LTime":2}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UserEvent {
    /// A random UUID in lower case.
    #[serde(rename = "ID")]
    pub id: String,
    /// What happened, for those who look for it.
    pub name: String,
    /// What came with it, in padded base64; `null` when nothing did.
    pub payload: Option<String>,
    /// A regular expression that the names of the nodes that get it match; empty is all.
    pub node_filter: String,
    /// One that the name of a service of theirs matches; empty is any or none.
    pub service_filter: String,
    /// One that a tag of that service matches; empty is any or none.
    pub tag_filter: String,
    /// The version of this shape: 1.
    pub version: u32,
    /// Its place among all events; 0 in the answer to whoever fired it.
    #[serde(rename = "LTime")]
    pub ltime: u64,
}

/// Why an event is not fired; the words are Consul's. The caller is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The expression for nodes' names cannot be read.
    #[error("Invalid node filter: {0}")]
    NodeFilter(PatternError),
    /// The expression for services' names cannot be read.
    #[error("Invalid service filter: {0}")]
    ServiceFilter(PatternError),
    /// The expression for tags cannot be read.
    #[error("Invalid tag filter: {0}")]
    TagFilter(PatternError),
    /// Tags belong to services.
    #[error("Cannot provide tag filter without service filter")]
    TagWithoutService,
    /// It is too large even without its frame.
    #[error("error broadcasting event: user event exceeds configured limit of 512 bytes before encoding")]
    TooLarge,
    /// It is too large with its frame.
    #[error(
        "error broadcasting event: encoded user event exceeds configured limit of 512 bytes after encoding"
    )]
    TooLargeEncoded,
}

impl UserEvent {
    /// Refuses what cannot be fired; `payload_bytes` is the payload's length before base64.
    pub fn check(&self, payload_bytes: usize) -> Result<(), EventError> {
        let filter = |text: &str, refuse: fn(PatternError) -> EventError| match text {
            "" => Ok(()),
            text => regexp::compile(text).map(drop).map_err(refuse),
        };
        filter(&self.node_filter, EventError::NodeFilter)?;
        filter(&self.service_filter, EventError::ServiceFilter)?;
        if !self.tag_filter.is_empty() && self.service_filter.is_empty() {
            return Err(EventError::TagWithoutService);
        }
        filter(&self.tag_filter, EventError::TagFilter)?;
        self.check_size(payload_bytes)
    }

    /// The index that stands for this event in answers: its id's halves put together; 0 when that is no UUID.
    pub fn index(&self) -> u64 {
        let digits: String = self.id.chars().filter(|c| *c != '-').collect();
        u128::from_str_radix(&digits, 16).map_or(0, |id| (id >> 64) as u64 ^ id as u64)
    }

    /// Consul's limit is that of its gossip: an event in msgpack, its name twice, in a frame. Scripts that fit there fit
    /// here, and those that do not learn it here too.
    fn check_size(&self, payload_bytes: usize) -> Result<(), EventError> {
        // Lengths from 32 on take a byte more to say; the name stands in the event and, behind 13 bytes, in the frame.
        let text = |text: &str| text.len() + usize::from(text.len() >= 32);
        let filters = [&self.node_filter, &self.service_filter, &self.tag_filter];
        let filters: usize = filters.iter().filter(|text| !text.is_empty()).map(|t| 4 + text(t)).sum();
        let before = payload_bytes + text(&self.name) + self.name.len() + filters + 66;
        let frame = 30 + if self.name.len() + 13 >= 32 { 2 } else { 0 };
        match (before, before + frame) {
            (before, _) if before > BYTES_MAX => Err(EventError::TooLarge),
            (_, after) if after > BYTES_MAX => Err(EventError::TooLargeEncoded),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, node: &str, service: &str, tag: &str) -> UserEvent {
        let [name, node_filter, service_filter, tag_filter] = [name, node, service, tag].map(str::to_owned);
        UserEvent { name, node_filter, service_filter, tag_filter, ..UserEvent::default() }
    }

    #[test]
    fn sizes_are_refused_where_consul_refuses_them() {
        let forty = "b".repeat(40);
        for (event, fits, too_large) in [
            (event("big", "", "", ""), 410, 441),
            (event("b", "", "", ""), 414, 445),
            (event(&forty, "", "", ""), 333, 366),
            (event("big", "n", "", ""), 405, 436),
            (event("big", "", "abcdefgh", ""), 398, 429),
            (event("big", "", "abcdefgh", "t"), 393, 424),
            (event("big", &forty, "", ""), 365, 396),
        ] {
            assert_eq!(event.check(fits), Ok(()), "{event:?}");
            assert_eq!(event.check(fits + 1), Err(EventError::TooLargeEncoded), "{event:?}");
            assert_eq!(event.check(too_large - 1), Err(EventError::TooLargeEncoded), "{event:?}");
            assert_eq!(event.check(too_large), Err(EventError::TooLarge), "{event:?}");
        }
    }

    #[test]
    fn filters_are_read_before_anything_is_sent() {
        assert_eq!(
            event("a", "[", "", "").check(0).unwrap_err().to_string(),
            "Invalid node filter: error parsing regexp: missing closing ]: `[`"
        );
        assert_eq!(event("a", "", "", "x").check(0), Err(EventError::TagWithoutService));
        assert!(matches!(event("a", "", "x", "(").check(0), Err(EventError::TagFilter(_))));
    }
}
