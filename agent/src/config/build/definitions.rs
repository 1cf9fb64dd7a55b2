//! The services and checks of the files.
//!
//! What is wrong with single values is noted with the reader, all of it, in Consul's order and words.

use std::fmt;

use registry_wire::{
    catalog::{TextMap, Weights},
    duration,
};
use serde_json::{Map, Value as Json};

use super::Reader;
use crate::definition::{CheckDefinition, ServiceDefinition, validate_meta, validate_weights};

pub(super) fn checks(r: &mut Reader<'_>, settings: &Map<String, Json>) -> Vec<CheckDefinition> {
    read(r, settings, "checks", of_check, CheckDefinition::from_file)
}

pub(super) fn services(r: &mut Reader<'_>, settings: &Map<String, Json>) -> Vec<ServiceDefinition> {
    read(r, settings, "services", of_service, ServiceDefinition::from_file)
}

fn read<T, E: fmt::Display>(
    r: &mut Reader<'_>,
    settings: &Map<String, Json>,
    key: &str,
    faults_of: fn(&Map<String, Json>) -> Vec<String>,
    from_file: fn(&Map<String, Json>) -> Result<T, E>,
) -> Vec<T> {
    let mut definitions = Vec::new();
    for block in blocks(settings, key) {
        let faults = faults_of(block);
        match from_file(block) {
            Ok(definition) => definitions.push(definition),
            Err(error) if faults.is_empty() => r.error(error.to_string()),
            Err(_) => {}
        }
        faults.into_iter().for_each(|fault| r.error(fault));
    }
    definitions
}

fn blocks<'a>(settings: &'a Map<String, Json>, key: &str) -> impl Iterator<Item = &'a Map<String, Json>> {
    settings.get(key).and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_object)
}

/// `check[web].interval: invalid duration: "60": time: …`.
fn of_check(block: &Map<String, Json>) -> Vec<String> {
    let id = text(block, "id");
    let keys = ["interval", "timeout", "ttl", "deregister_critical_service_after"];
    let fault = |key: &str| {
        let value = block.get(key)?.as_str()?;
        let error = duration::parse_nanos(value).err()?;
        Some(format!("check[{id}].{key}: invalid duration: {value:?}: {error}"))
    };
    keys.into_iter().filter_map(fault).collect()
}

fn of_service(block: &Map<String, Json>) -> Vec<String> {
    let name = text(block, "name");
    let check = block.get("check").and_then(Json::as_object);
    let mut faults: Vec<String> = blocks(block, "checks").chain(check).flat_map(of_check).collect();
    let meta = block.get("meta").and_then(Json::as_object).into_iter().flatten();
    let meta: TextMap =
        meta.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect();
    let pairs = validate_meta(&meta, true).err();
    faults.extend(pairs.map(|why| format!("invalid meta for service {name}: {why}")));
    if let Some(given) = block.get("weights") {
        let weight = |side: &str| given.get(side).and_then(Json::as_i64).unwrap_or(1);
        let weights = Weights { passing: weight("passing"), warning: weight("warning") };
        let why = validate_weights(weights).err();
        faults.extend(why.map(|why| format!("Invalid weight definition for service {name}: {why}")));
    }
    faults.extend(block.get("proxy").into_iter().flat_map(of_proxy));
    if let Some(sidecar) =
        block.get("connect").and_then(|connect| connect.get("sidecar_service")?.as_object())
    {
        faults.extend(of_sidecar(sidecar));
    }
    faults
}

fn of_proxy(proxy: &Json) -> Vec<String> {
    let mut faults = Vec::new();
    for upstream in proxy["upstreams"].as_array().into_iter().flatten() {
        let mode = upstream["local_bind_socket_mode"].as_str();
        // Any number of octal digits that fits into 32 bits.
        let unfit = mode.filter(|mode| u32::from_str_radix(mode, 8).is_err() || mode.starts_with('+'));
        faults.extend(unfit.map(|mode| format!("local_bind_socket_mode: invalid mode: {mode}")));
        faults.extend(of_gateway_mode(upstream));
    }
    faults.extend(of_gateway_mode(proxy));
    let mode = proxy["mode"].as_str().filter(|mode| !["", "direct", "transparent"].contains(mode));
    faults.extend(mode.map(|mode| format!("Invalid Proxy Mode: {mode:?}")));
    faults
}

fn of_gateway_mode(block: &Json) -> Option<String> {
    let mode = block["mesh_gateway"]["mode"].as_str()?;
    let is_fit = ["", "none", "local", "remote"].contains(&mode);
    (!is_fit).then(|| format!("Invalid Mesh Gateway Mode: {mode:?}"))
}

/// A sidecar is a service like others, but for its id and a sidecar of its own.
fn of_sidecar(block: &Map<String, Json>) -> Vec<String> {
    let mut faults = of_service(block);
    if !text(block, "id").is_empty() {
        faults.push("sidecar_service can't specify an ID".to_owned());
    }
    if block.get("connect").is_some_and(|connect| connect.get("sidecar_service").is_some()) {
        faults.push("sidecar_service can't have a nested sidecar_service".to_owned());
    }
    faults
}

fn text<'a>(block: &'a Map<String, Json>, key: &str) -> &'a str {
    block.get(key).and_then(Json::as_str).unwrap_or_default()
}
