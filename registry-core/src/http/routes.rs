//! The table of endpoints.

use http::Method;
use http_api::Table;

use super::{
    Api, absent, autopilot, cached, cached::AddKept as _, catalog, config_entry, connected, coordinate,
    health, intention, internal, keyring, kv, mesh, operator, query, register, session, snapshot, status,
    txn, usage,
};

const GET: &[Method] = &[Method::GET];
const PUT: &[Method] = &[Method::PUT];
const POST: &[Method] = &[Method::POST];
const DELETE: &[Method] = &[Method::DELETE];
const GET_PUT: &[Method] = &[Method::GET, Method::PUT];
const GET_POST: &[Method] = &[Method::GET, Method::POST];
const GET_DELETE: &[Method] = &[Method::GET, Method::DELETE];
const GET_PUT_DELETE: &[Method] = &[Method::GET, Method::PUT, Method::DELETE];
const GET_POST_PUT_DELETE: &[Method] = &[Method::GET, Method::POST, Method::PUT, Method::DELETE];

/// Every path with its methods; a path that ends in a slash stands for all below it.
pub(super) fn table(indented: bool) -> Table<Api> {
    let mut table = Table::new(indented);
    table
        .add("/v1/kv/", GET_PUT_DELETE, kv::serve)
        .add("/v1/txn", PUT, txn::serve)
        .add("/v1/catalog/register", PUT, register::register)
        .add("/v1/catalog/deregister", PUT, register::deregister)
        .add_kept("/v1/catalog/datacenters", &cached::DATACENTERS, catalog::datacenters)
        .add("/v1/catalog/nodes", GET, catalog::nodes)
        .add_kept("/v1/catalog/services", &cached::CATALOG_SERVICES, catalog::services)
        .add_kept("/v1/catalog/service/", &cached::CATALOG_SERVICE, catalog::service)
        .add_kept("/v1/catalog/connect/", &cached::CATALOG_CONNECT, connected::catalog_connect)
        .add("/v1/catalog/node/", GET, catalog::node)
        .add("/v1/catalog/node-services/", GET, catalog::node_services)
        .add("/v1/catalog/gateway-services/", GET, connected::gateway_services)
        .add_kept("/v1/health/service/", &cached::HEALTH_SERVICE, health::service)
        .add_kept("/v1/health/connect/", &cached::HEALTH_CONNECT, connected::health_connect)
        .add_kept("/v1/health/ingress/", &cached::HEALTH_INGRESS, connected::ingress)
        .add("/v1/health/node/", GET, health::node)
        .add("/v1/health/checks/", GET, health::checks)
        .add("/v1/health/state/", GET, health::state)
        .add("/v1/session/create", PUT, session::create)
        .add("/v1/session/destroy/", PUT, session::destroy)
        .add("/v1/session/renew/", PUT, session::renew)
        .add("/v1/session/info/", GET, session::info)
        .add("/v1/session/node/", GET, session::of_node)
        .add("/v1/session/list", GET, session::list)
        .add("/v1/status/leader", GET, status::leader)
        .add("/v1/status/peers", GET, status::peers)
        .add("/v1/operator/raft/configuration", GET, operator::raft_configuration);
    add_operation(&mut table);
    add_acl(&mut table);
    add_mesh(&mut table);
    table
}

/// Operators' endpoints, queries, coordinates.
fn add_operation(table: &mut Table<Api>) {
    table
        .add("/v1/operator/raft/transfer-leader", POST, operator::transfer_leader)
        .add("/v1/operator/raft/peer", DELETE, operator::remove_peer)
        .add("/v1/operator/keyring", GET_POST_PUT_DELETE, keyring::serve)
        .add("/v1/operator/usage", GET, usage::usage)
        .add("/v1/operator/autopilot/configuration", GET_PUT, autopilot::configuration)
        .add("/v1/operator/autopilot/health", GET, autopilot::health)
        .add("/v1/operator/autopilot/state", GET, autopilot::state)
        .add("/v1/query", GET_POST, query::all)
        .add("/v1/query/", &[], query::one)
        .add("/v1/coordinate/datacenters", GET, coordinate::datacenters)
        .add("/v1/coordinate/nodes", GET, coordinate::nodes)
        .add("/v1/coordinate/node/", GET, coordinate::node)
        .add("/v1/coordinate/update", PUT, coordinate::update)
        .add("/v1/snapshot", GET_PUT, snapshot::serve)
        .add("/v1/config", PUT, config_entry::put)
        .add("/v1/config/", GET_DELETE, config_entry::serve)
        .add("/v1/internal/ui/nodes", GET, internal::nodes)
        .add("/v1/internal/ui/node/", GET, internal::node)
        .add("/v1/internal/ui/services", GET, internal::services)
        .add("/v1/internal/ui/catalog-overview", GET, internal::overview)
        .add("/v1/internal/ui/exported-services", GET, absent::exported_to_peer)
        .add("/v1/internal/ui/gateway-services-nodes/", GET, internal::of_gateway)
        .add("/v1/internal/ui/gateway-intentions/", GET, absent::of_gateway)
        .add("/v1/internal/ui/service-topology/", GET, internal::service_topology)
        .add("/v1/internal/ui/metrics-proxy/", GET, absent::metrics_proxy);
}

/// Access control: all of it off.
fn add_acl(table: &mut Table<Api>) {
    for (path, methods) in [
        ("/v1/acl/bootstrap", PUT),
        ("/v1/acl/login", POST),
        ("/v1/acl/logout", POST),
        ("/v1/acl/replication", GET),
        ("/v1/acl/tokens", GET),
        ("/v1/acl/token", PUT),
        ("/v1/acl/token/self", GET),
        ("/v1/acl/token/", GET_PUT_DELETE),
        ("/v1/acl/policies", GET),
        ("/v1/acl/policy", PUT),
        ("/v1/acl/policy/", GET_PUT_DELETE),
        ("/v1/acl/policy/name/", GET),
        ("/v1/acl/roles", GET),
        ("/v1/acl/role", PUT),
        ("/v1/acl/role/name/", GET),
        ("/v1/acl/role/", GET_PUT_DELETE),
        ("/v1/acl/binding-rules", GET),
        ("/v1/acl/binding-rule", PUT),
        ("/v1/acl/binding-rule/", GET_PUT_DELETE),
        ("/v1/acl/auth-methods", GET),
        ("/v1/acl/auth-method", PUT),
        ("/v1/acl/auth-method/", GET_PUT_DELETE),
        ("/v1/acl/templated-policies", GET),
        ("/v1/acl/templated-policy/name/", GET),
        ("/v1/acl/templated-policy/preview/", POST),
        ("/v1/internal/acl/authorize", POST),
    ] {
        table.add(path, methods, absent::acl);
    }
}

/// The mesh, peering and federation: not here.
fn add_mesh(table: &mut Table<Api>) {
    table
        .add("/v1/connect/ca/configuration", GET_PUT, absent::authority)
        .add("/v1/connect/ca/roots", GET, mesh::roots)
        .add("/v1/agent/connect/ca/roots", GET, mesh::agent_roots)
        .add("/v1/connect/intentions", GET_POST, intention::serve)
        .add("/v1/connect/intentions/exact", GET_PUT_DELETE, intention::exact)
        .add("/v1/connect/intentions/match", GET, intention::matching)
        .add("/v1/connect/intentions/check", GET, intention::check)
        .add("/v1/connect/intentions/", GET_PUT_DELETE, intention::by_id)
        .add("/v1/discovery-chain/", GET_POST, absent::discovery_chain)
        .add("/v1/exported-services", GET, absent::empty_list)
        .add("/v1/internal/federation-states", GET, absent::empty_list)
        .add("/v1/internal/federation-states/mesh-gateways", GET, absent::federation_gateways)
        .add("/v1/internal/federation-state/", GET, absent::federation_state)
        .add("/v1/internal/service-virtual-ip", PUT, absent::virtual_ip)
        .add("/v1/peering/token", POST, absent::peering_token)
        .add("/v1/peering/establish", POST, absent::peering_establish)
        .add("/v1/peering/", GET_DELETE, absent::peering)
        .add("/v1/peerings", GET, absent::empty_list);
}
