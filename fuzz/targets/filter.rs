//! Filters: the text of the expression up to the first line's end, then the JSON object that it is asked about.
#![no_main]

use libfuzzer_sys::fuzz_target;
use registry_wire::filter::{Filter, Kind, fields};

static KINDS: [Kind; 4] = [fields::NODE, fields::SERVICE, fields::CHECK, fields::HEALTH_INSTANCE];

fuzz_target!(|text: &str| {
    let (expression, object) = text.split_once('\n').unwrap_or((text, "{}"));
    let object = serde_json::from_str::<serde_json::Value>(object).unwrap_or_default();
    for kind in &KINDS {
        match Filter::parse(expression, kind) {
            Ok(filter) => drop(filter.keeps(&object)),
            Err(error) => drop(error.to_string()),
        }
    }
});
