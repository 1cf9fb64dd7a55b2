//! What an agent counts about its calls to the registry, under Consul's names.

use http::{HeaderValue, Response};
use http_api::Body;
use metrics::counter;

use crate::backend::Unavailable;

/// Notes a call to the catalog and how it went.
pub(crate) fn called(node: &HeaderValue, call: &str, answered: &Result<Response<Body>, Unavailable>) {
    let count = |name: String| {
        counter!(name, "node" => node.to_str().unwrap_or_default().to_owned()).increment(1);
    };
    count(format!("client.api.{call}"));
    match answered {
        Ok(answer) if answer.status().is_server_error() => count(format!("client.rpc.error.{call}")),
        Ok(_) => count(format!("client.api.success.{call}")),
        Err(_) => count(format!("client.rpc.error.{call}")),
    }
}

/// Notes that a user event came, whether or not it is for this node.
pub(crate) fn event(name: &str) {
    counter!("serf.events", "network" => "lan").increment(1);
    counter!(format!("serf.events.consul:event:{name}"), "network" => "lan").increment(1);
}

/// The name of the call at a path of the catalog; all others are counted as `client.rpc` only.
pub(crate) fn call(path: &str) -> Option<&'static str> {
    Some(match path.strip_prefix("/v1/catalog/")?.split('/').next()? {
        "register" => "catalog_register",
        "deregister" => "catalog_deregister",
        "datacenters" => "catalog_datacenters",
        "nodes" => "catalog_nodes",
        "services" => "catalog_services",
        "service" => "catalog_service_nodes",
        "connect" => "catalog_connect_service_nodes",
        "node" => "catalog_node_services",
        "node-services" => "catalog_node_service_list",
        "gateway-services" => "catalog_gateway_services",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::call;

    #[test]
    fn calls_have_names() {
        assert_eq!(call("/v1/catalog/service/web"), Some("catalog_service_nodes"));
        assert_eq!(call("/v1/catalog/nodes"), Some("catalog_nodes"));
        assert_eq!(call("/v1/kv/nodes"), None);
    }
}
