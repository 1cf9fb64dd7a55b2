//! `service-defaults` and `proxy-defaults`.

use super::super::schema::{
    Field,
    Holds::{AnyMap, Flag, Number, Object, Objects, Text, Texts},
    always, filled, given,
};
use super::shared::{
    CREATE_INDEX, ENVOY_EXTENSIONS, EXPOSE, HASH, KIND, MESH_GATEWAY, META, MODIFY_INDEX, NAME,
    PASSIVE_HEALTH_CHECK, TRANSPARENT_PROXY,
};

/// An upstream's settings after its name.
macro_rules! upstream {
    ($($first:expr),*) => {
        &[
            $($first,)*
            always("Peer", Text),
            filled("EnvoyListenerJSON", Text),
            filled("EnvoyClusterJSON", Text),
            filled("Protocol", Text),
            filled("ConnectTimeoutMs", Number),
            given("Limits", Object(&[
                given("MaxConnections", Number),
                given("MaxPendingRequests", Number),
                given("MaxConcurrentRequests", Number),
            ])),
            PASSIVE_HEALTH_CHECK,
            MESH_GATEWAY,
            filled("BalanceOutboundConnections", Text),
        ]
    };
}

pub(super) const RATE_LIMITS: Field = given(
    "RateLimits",
    Object(&[always(
        "InstanceLevel",
        Object(&[
            filled("RequestsPerSecond", Number),
            filled("RequestsMaxBurst", Number),
            filled(
                "Routes",
                Objects(&[
                    filled("PathExact", Text),
                    filled("PathPrefix", Text),
                    filled("PathRegex", Text),
                    filled("RequestsPerSecond", Number),
                    filled("RequestsMaxBurst", Number),
                ]),
            ),
        ]),
    )]),
);

pub(super) const SERVICE_DEFAULTS: &[Field] = &[
    KIND,
    NAME,
    always("Protocol", Text),
    filled("Mode", Text),
    TRANSPARENT_PROXY,
    filled("MutualTLSMode", Text),
    MESH_GATEWAY,
    EXPOSE,
    filled("ExternalSNI", Text),
    given(
        "UpstreamConfig",
        Object(&[
            filled("Overrides", Objects(upstream!(filled("Name", Text)))),
            given("Defaults", Object(upstream!(filled("Name", Text)))),
        ]),
    ),
    given("Destination", Object(&[filled("Addresses", Texts), filled("Port", Number)])),
    filled("MaxInboundConnections", Number),
    filled("LocalConnectTimeoutMs", Number),
    filled("LocalRequestTimeoutMs", Number),
    filled("BalanceInboundConnections", Text),
    RATE_LIMITS,
    ENVOY_EXTENSIONS,
    META,
    HASH,
    CREATE_INDEX,
    MODIFY_INDEX,
];

pub(super) const PROXY_DEFAULTS: &[Field] = &[
    KIND,
    NAME,
    always("Config", AnyMap),
    filled("Mode", Text),
    TRANSPARENT_PROXY,
    filled("MutualTLSMode", Text),
    MESH_GATEWAY,
    EXPOSE,
    always(
        "AccessLogs",
        Object(&[
            filled("Enabled", Flag),
            filled("DisableListenerLogs", Flag),
            filled("Type", Text),
            filled("Path", Text),
            filled("JSONFormat", Text),
            filled("TextFormat", Text),
        ]),
    ),
    ENVOY_EXTENSIONS,
    given("FailoverPolicy", Object(&[filled("Mode", Text), filled("Regions", Texts)])),
    given("PrioritizeByLocality", Object(&[filled("Mode", Text)])),
    META,
    HASH,
    CREATE_INDEX,
    MODIFY_INDEX,
];
