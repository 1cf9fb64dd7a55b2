//! Gateways, their routes and certificates.

use super::super::schema::{
    Field,
    Holds::{Count, Flag, Nanos, Number, Numbers, Object, Objects, Text, TextMap, Texts},
    always, filled, given, or_null,
};
use super::shared::{
    CREATE_INDEX, HASH, JWT, KIND, META, MODIFY_INDEX, NAME, PASSIVE_HEALTH_CHECK, REQUEST_HEADERS,
    RESPONSE_HEADERS,
};

pub(super) const SDS: Field =
    given("SDS", Object(&[filled("ClusterName", Text), filled("CertResource", Text)]));
pub(super) const GATEWAY_TLS: &[Field] = &[
    always("Enabled", Flag),
    SDS,
    filled("TLSMinVersion", Text),
    filled("TLSMaxVersion", Text),
    filled("CipherSuites", Texts),
];

pub(super) const INGRESS: &[Field] = &[
    KIND,
    NAME,
    always("TLS", Object(GATEWAY_TLS)),
    always(
        "Listeners",
        Objects(&[
            always("Port", Number),
            always("Protocol", Text),
            given("TLS", Object(GATEWAY_TLS)),
            always(
                "Services",
                Objects(&[
                    always("Name", Text),
                    always("Hosts", Texts),
                    given("TLS", Object(&[SDS])),
                    REQUEST_HEADERS,
                    RESPONSE_HEADERS,
                    filled("MaxConnections", Count(32)),
                    filled("MaxPendingRequests", Count(32)),
                    filled("MaxConcurrentRequests", Count(32)),
                    PASSIVE_HEALTH_CHECK,
                    META,
                ]),
            ),
        ]),
    ),
    given(
        "Defaults",
        Object(&[
            always("MaxConnections", Count(32)),
            always("MaxPendingRequests", Count(32)),
            always("MaxConcurrentRequests", Count(32)),
            PASSIVE_HEALTH_CHECK,
        ]),
    ),
    META,
    HASH,
    CREATE_INDEX,
    MODIFY_INDEX,
];

pub(super) const TERMINATING: &[Field] = &[
    KIND,
    NAME,
    always(
        "Services",
        Objects(&[
            filled("Name", Text),
            filled("CAFile", Text),
            filled("CertFile", Text),
            filled("KeyFile", Text),
            filled("SNI", Text),
            filled("DisableAutoHostRewrite", Flag),
        ]),
    ),
    META,
    HASH,
    CREATE_INDEX,
    MODIFY_INDEX,
];

pub(super) const REFERENCE: &[Field] =
    &[always("Kind", Text), always("Name", Text), always("SectionName", Text)];
pub(super) const STATUS: Field = always(
    "Status",
    Object(&[always(
        "Conditions",
        Objects(&[
            always("Type", Text),
            always("Status", Text),
            always("Reason", Text),
            always("Message", Text),
            always("Resource", Object(REFERENCE)),
            always("LastTransitionTime", Text),
        ]),
    )]),
);

pub(super) const API_GATEWAY: &[Field] = &[
    KIND,
    NAME,
    always(
        "Listeners",
        Objects(&[
            always("Name", Text),
            always("Hostname", Text),
            always("Port", Number),
            always("Protocol", Text),
            always(
                "TLS",
                Object(&[
                    always("Certificates", Objects(REFERENCE)),
                    always("MaxVersion", Text),
                    always("MinVersion", Text),
                    always("CipherSuites", Texts),
                ]),
            ),
            given("Override", Object(&[JWT])),
            given("Default", Object(&[JWT])),
        ]),
    ),
    STATUS,
    META,
    HASH,
    CREATE_INDEX,
    MODIFY_INDEX,
];

pub(super) const BOUND_API_GATEWAY: &[Field] = &[KIND, NAME, META, HASH, CREATE_INDEX, MODIFY_INDEX];

pub(super) const ROUTE_HEADERS: Field =
    always("Headers", Objects(&[always("Add", TextMap), always("Remove", Texts), always("Set", TextMap)]));
pub(super) const ROUTE_FILTERS: Field = always(
    "Filters",
    Object(&[
        ROUTE_HEADERS,
        or_null("URLRewrite", Object(&[always("Path", Text)])),
        or_null(
            "RetryFilter",
            Object(&[
                always("NumRetries", Count(32)),
                always("RetryOn", Texts),
                always("RetryOnStatusCodes", Numbers),
                always("RetryOnConnectFailure", Flag),
            ]),
        ),
        or_null("TimeoutFilter", Object(&[always("RequestTimeout", Nanos), always("IdleTimeout", Nanos)])),
        or_null(
            "JWT",
            Object(&[filled(
                "Providers",
                Objects(&[
                    filled("Name", Text),
                    filled("VerifyClaims", Objects(&[filled("Path", Texts), filled("Value", Text)])),
                ]),
            )]),
        ),
    ]),
);
pub(super) const RESPONSE_FILTERS: Field = always("ResponseFilters", Object(&[ROUTE_HEADERS]));
pub(super) const MATCHED: &[Field] = &[always("Match", Text), always("Name", Text), always("Value", Text)];

pub(super) const HTTP_ROUTE: &[Field] = &[
    KIND,
    NAME,
    always("Parents", Objects(REFERENCE)),
    always(
        "Rules",
        Objects(&[
            ROUTE_FILTERS,
            RESPONSE_FILTERS,
            always(
                "Matches",
                Objects(&[
                    always("Headers", Objects(MATCHED)),
                    always("Method", Text),
                    always("Path", Object(&[always("Match", Text), always("Value", Text)])),
                    always("Query", Objects(MATCHED)),
                ]),
            ),
            always(
                "Services",
                Objects(&[always("Name", Text), always("Weight", Number), ROUTE_FILTERS, RESPONSE_FILTERS]),
            ),
        ]),
    ),
    always("Hostnames", Texts),
    STATUS,
    META,
    HASH,
    CREATE_INDEX,
    MODIFY_INDEX,
];

pub(super) const TCP_ROUTE: &[Field] = &[
    KIND,
    NAME,
    always("Parents", Objects(REFERENCE)),
    always("Services", Objects(&[always("Name", Text)])),
    STATUS,
    META,
    HASH,
    CREATE_INDEX,
    MODIFY_INDEX,
];

pub(super) const CERTIFICATE: &[Field] = &[
    KIND,
    NAME,
    always("Certificate", Text),
    always("PrivateKey", Text),
    META,
    HASH,
    CREATE_INDEX,
    MODIFY_INDEX,
];
