//! What travels: Consul's JSON shapes, the query grammar of its HTTP API, header names, Go's durations.
//!
//! Pure: text and values in, text and values out. The disk format is not here (`registry-state` owns it), for the two
//! change for different reasons.

pub mod base64;
pub mod catalog;
pub mod config_entry;
pub mod coordinate;
pub mod definition;
pub mod duration;
pub mod event;
pub mod filter;
pub mod header;
pub mod json;
pub mod kinds;
pub mod kv;
pub mod options;
pub mod percent;
pub mod prepared;
pub mod proxy;
pub mod query;
pub mod regexp;
pub mod register;
pub mod session;
pub mod txn;
