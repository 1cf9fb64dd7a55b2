//! How many questions there are and how long they take, under Consul's names.

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use hickory_proto::rr::RecordType;
use metrics::{Histogram, histogram};

const TYPES: [RecordType; 9] = [
    RecordType::A,
    RecordType::AAAA,
    RecordType::SRV,
    RecordType::ANY,
    RecordType::PTR,
    RecordType::TXT,
    RecordType::SOA,
    RecordType::NS,
    RecordType::CNAME,
];

/// Times the questions of one listener.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    domain: OnceLock<Histogram>,
    reverse: OnceLock<Histogram>,
    /// By type; the last one is for all that are not [`TYPES`].
    by_type: [OnceLock<Histogram>; TYPES.len() + 1],
}

/// Whose names a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// The own domain.
    Domain,
    /// Addresses.
    Reverse,
}

impl Figures {
    /// Notes how long a question took.
    pub(super) fn took(&self, node: &str, about: About, kind: RecordType, start: Instant) {
        let milliseconds = start.elapsed().as_secs_f64() * 1000.0;
        let (all, name) = match about {
            About::Domain => (&self.0.domain, "dns.domain_query"),
            About::Reverse => (&self.0.reverse, "dns.ptr_query"),
        };
        all.get_or_init(|| histogram!(name, "node" => node.to_owned())).record(milliseconds);
        let at = TYPES.iter().position(|known| *known == kind).unwrap_or(TYPES.len());
        let shown = || TYPES.get(at).map_or("OTHER".to_owned(), ToString::to_string);
        let of_type = || histogram!("dns.query", "node" => node.to_owned(), "type" => shown());
        self.0.by_type[at].get_or_init(of_type).record(milliseconds);
    }
}
