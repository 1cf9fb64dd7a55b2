//! The fields of every kind, as Consul's documentation of its configuration entries lists them.

mod chain;
mod defaults;
mod gateways;
mod shared;
mod trust;

use super::schema::Field;
use chain::{RESOLVER, ROUTER, SPLITTER};
use defaults::{PROXY_DEFAULTS, SERVICE_DEFAULTS};
use gateways::{API_GATEWAY, BOUND_API_GATEWAY, CERTIFICATE, HTTP_ROUTE, INGRESS, TCP_ROUTE, TERMINATING};
use trust::{EXPORTED, INTENTIONS, JWT_PROVIDER, MESH, SAMENESS_GROUP};

/// The kinds and their fields; every one begins with its kind.
pub(super) const KINDS: &[(&str, &[Field])] = &[
    ("service-defaults", SERVICE_DEFAULTS),
    ("proxy-defaults", PROXY_DEFAULTS),
    ("service-router", ROUTER),
    ("service-splitter", SPLITTER),
    ("service-resolver", RESOLVER),
    ("ingress-gateway", INGRESS),
    ("terminating-gateway", TERMINATING),
    ("service-intentions", INTENTIONS),
    ("mesh", MESH),
    ("exported-services", EXPORTED),
    ("sameness-group", SAMENESS_GROUP),
    ("api-gateway", API_GATEWAY),
    ("bound-api-gateway", BOUND_API_GATEWAY),
    ("http-route", HTTP_ROUTE),
    ("tcp-route", TCP_ROUTE),
    ("inline-certificate", CERTIFICATE),
    ("file-system-certificate", CERTIFICATE),
    ("jwt-provider", JWT_PROVIDER),
];

/// The fields of a kind; `None` for a kind that does not exist.
pub(super) fn fields(kind: &str) -> Option<&'static [Field]> {
    KINDS.iter().find(|(name, _)| *name == kind).map(|(_, fields)| *fields)
}
