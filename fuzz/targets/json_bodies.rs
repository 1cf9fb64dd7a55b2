//! The JSON bodies of requests, each read as what it is for.
#![no_main]

use agent::definition::{CheckDefinition, ServiceDefinition};
use libfuzzer_sys::fuzz_target;
use registry_wire::{
    config_entry,
    json::{Unknown, decode, indent},
    prepared, register,
    session::SessionBody,
    txn::OpBody,
};

fuzz_target!(|body: &[u8]| {
    let _ = decode::<register::RegisterBody>(body, Unknown::Skip);
    let _ = decode::<register::DeregisterBody>(body, Unknown::Skip);
    let _ = decode::<Vec<OpBody>>(body, Unknown::Skip);
    let _ = decode::<SessionBody>(body, Unknown::Skip);
    let _ = decode::<prepared::Definition>(body, Unknown::Skip);
    let _ = config_entry::parse(body);
    if let Ok(check) = CheckDefinition::from_api(body) {
        let _ = (check.runs.validate(), check.health_check("node"));
    }
    if let Ok(service) = ServiceDefinition::from_api(body) {
        let _ = service.validate();
    }
    let _ = indent(body, "    ");
});
