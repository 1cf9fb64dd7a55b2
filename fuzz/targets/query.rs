//! The query string of a request, as every endpoint reads it.
#![no_main]

use http::HeaderMap;
use libfuzzer_sys::fuzz_target;
use registry_wire::{
    options::ReadOptions,
    query::{Query, parse_bool, parse_i64, parse_u64},
};

fuzz_target!(|text: &str| {
    let Ok(query) = Query::parse(text) else { return };
    let _ = ReadOptions::parse(&query, &HeaderMap::new());
    for value in query.all("index") {
        let _ = (parse_u64(&value), parse_i64(&value), parse_bool(&value));
    }
    let _ = query.sorted();
});
