//! What the catalog is told of a service and of a check.

use registry_wire::catalog::{HealthCheck, NodeService};
use serde_json::{Value as Json, json};

pub(super) fn service_body(service: &NodeService) -> Json {
    let mut body = json!({
        "ID": service.id, "Service": service.service, "Tags": service.tags, "Address": service.address,
        "Port": service.port, "Meta": service.meta, "EnableTagOverride": service.enable_tag_override,
        "Weights": { "Passing": service.weights.passing, "Warning": service.weights.warning },
    });
    let fields = body.as_object_mut().expect("made just now");
    for (key, text) in [("Kind", &service.kind), ("SocketPath", &service.socket_path)] {
        if !text.is_empty() {
            fields.insert(key.into(), text.as_str().into());
        }
    }
    if let Some(addresses) = &service.tagged_addresses {
        fields.insert("TaggedAddresses".into(), serde_json::to_value(addresses).unwrap_or_default());
    }
    for (key, value) in [("Proxy", &service.proxy), ("Connect", &service.connect)] {
        if !value.is_null() {
            fields.insert(key.into(), value.clone());
        }
    }
    if let Some(locality) = &service.locality {
        fields.insert("Locality".into(), locality.clone());
    }
    body
}

pub(super) fn check_body(check: &HealthCheck) -> Json {
    json!({
        "Node": check.node, "CheckID": check.check_id, "Name": check.name, "Status": check.status,
        "Notes": check.notes, "Output": check.output, "ServiceID": check.service_id,
        "ServiceName": check.service_name, "Type": check.kind, "Interval": check.interval, "Timeout": check.timeout,
    })
}
