//! The names of Consul's headers, in lower case; HTTP/1 listeners write them as `X-Consul-Index`.

use http::HeaderName;

/// The index of an answer: send it back as `index` to wait for the next one.
pub const INDEX: HeaderName = HeaderName::from_static("x-consul-index");
/// `true` if the server that answered knows a leader.
pub const KNOWN_LEADER: HeaderName = HeaderName::from_static("x-consul-knownleader");
/// Milliseconds since that server heard of the leader; 0 on the leader.
pub const LAST_CONTACT: HeaderName = HeaderName::from_static("x-consul-lastcontact");
/// `leader`, `consistent` or `stale`.
pub const EFFECTIVE_CONSISTENCY: HeaderName = HeaderName::from_static("x-consul-effective-consistency");
/// Always `blocking-query` here.
pub const QUERY_BACKEND: HeaderName = HeaderName::from_static("x-consul-query-backend");
/// `allow` or `deny`.
pub const DEFAULT_ACL_POLICY: HeaderName = HeaderName::from_static("x-consul-default-acl-policy");
/// `true` when addresses are translated for other datacenters.
pub const TRANSLATE_ADDRESSES: HeaderName = HeaderName::from_static("x-consul-translate-addresses");
/// The hash of one service of an agent.
pub const CONTENT_HASH: HeaderName = HeaderName::from_static("x-consul-contenthash");
/// The reason beside a coded answer.
pub const REASON: HeaderName = HeaderName::from_static("x-consul-reason");
/// `HIT` or `MISS`, on answers to `?cached`.
pub const CACHE: HeaderName = HeaderName::from_static("x-cache");
/// The namespace a client asks for; not supported.
pub const NAMESPACE: HeaderName = HeaderName::from_static("x-consul-namespace");
/// The partition a client asks for; not supported.
pub const PARTITION: HeaderName = HeaderName::from_static("x-consul-partition");
/// A client's token.
pub const TOKEN: HeaderName = HeaderName::from_static("x-consul-token");
