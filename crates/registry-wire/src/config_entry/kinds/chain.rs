//! Where requests for a service go: `service-router`, `service-splitter`, `service-resolver`.

use super::super::schema::{
    Field,
    Holds::{Count, Duration, Flag, Float, Nanos, Numbers, Object, ObjectMap, Objects, Text, Texts},
    always, filled, given,
};
use super::shared::{CREATE_INDEX, HASH, KIND, META, MODIFY_INDEX, NAME, REQUEST_HEADERS, RESPONSE_HEADERS};

pub(super) const ROUTER: &[Field] = &[
    KIND,
    NAME,
    always(
        "Routes",
        Objects(&[
            given("Match", Object(&[given("HTTP", Object(ROUTE_MATCH))])),
            given("Destination", Object(ROUTE_DESTINATION)),
        ]),
    ),
    META,
    HASH,
    CREATE_INDEX,
    MODIFY_INDEX,
];

pub(super) const ROUTE_MATCH: &[Field] = &[
    filled("PathExact", Text),
    filled("PathPrefix", Text),
    filled("PathRegex", Text),
    filled("CaseInsensitive", Flag),
    filled(
        "Header",
        Objects(&[
            always("Name", Text),
            filled("Present", Flag),
            filled("Exact", Text),
            filled("Prefix", Text),
            filled("Suffix", Text),
            filled("Regex", Text),
            filled("Invert", Flag),
        ]),
    ),
    filled(
        "QueryParam",
        Objects(&[
            always("Name", Text),
            filled("Present", Flag),
            filled("Exact", Text),
            filled("Regex", Text),
        ]),
    ),
    filled("Methods", Texts),
];

pub(super) const ROUTE_DESTINATION: &[Field] = &[
    filled("RequestTimeout", Duration),
    filled("IdleTimeout", Duration),
    filled("Service", Text),
    filled("ServiceSubset", Text),
    filled("Namespace", Text),
    filled("Partition", Text),
    filled("PrefixRewrite", Text),
    filled("NumRetries", Count(32)),
    filled("RetryOnConnectFailure", Flag),
    filled("RetryOn", Texts),
    filled("RetryOnStatusCodes", Numbers),
    REQUEST_HEADERS,
    RESPONSE_HEADERS,
];

pub(super) const SPLITTER: &[Field] = &[
    KIND,
    NAME,
    always(
        "Splits",
        Objects(&[
            always("Weight", Float),
            filled("Service", Text),
            filled("ServiceSubset", Text),
            filled("Namespace", Text),
            filled("Partition", Text),
            REQUEST_HEADERS,
            RESPONSE_HEADERS,
        ]),
    ),
    META,
    HASH,
    CREATE_INDEX,
    MODIFY_INDEX,
];

pub(super) const RESOLVER: &[Field] = &[
    filled("ConnectTimeout", Duration),
    filled("RequestTimeout", Duration),
    KIND,
    NAME,
    filled("DefaultSubset", Text),
    filled("Subsets", ObjectMap(&[filled("Filter", Text), filled("OnlyPassing", Flag)])),
    given(
        "Redirect",
        Object(&[
            filled("Service", Text),
            filled("ServiceSubset", Text),
            filled("Namespace", Text),
            filled("Partition", Text),
            filled("Datacenter", Text),
            filled("Peer", Text),
            filled("SamenessGroup", Text),
        ]),
    ),
    filled(
        "Failover",
        ObjectMap(&[
            filled("Service", Text),
            filled("ServiceSubset", Text),
            filled("Namespace", Text),
            filled("Datacenters", Texts),
            filled(
                "Targets",
                Objects(&[
                    filled("Service", Text),
                    filled("ServiceSubset", Text),
                    filled("Partition", Text),
                    filled("Namespace", Text),
                    filled("Datacenter", Text),
                    filled("Peer", Text),
                ]),
            ),
            given("Policy", Object(&[filled("Mode", Text), filled("Regions", Texts)])),
            filled("SamenessGroup", Text),
        ]),
    ),
    given("LoadBalancer", Object(LOAD_BALANCER)),
    given("PrioritizeByLocality", Object(&[filled("Mode", Text)])),
    META,
    HASH,
    CREATE_INDEX,
    MODIFY_INDEX,
];

pub(super) const LOAD_BALANCER: &[Field] = &[
    filled("Policy", Text),
    given(
        "RingHashConfig",
        Object(&[filled("MinimumRingSize", Count(64)), filled("MaximumRingSize", Count(64))]),
    ),
    given("LeastRequestConfig", Object(&[filled("ChoiceCount", Count(32))])),
    filled(
        "HashPolicies",
        Objects(&[
            filled("Field", Text),
            filled("FieldValue", Text),
            given(
                "CookieConfig",
                Object(&[filled("Session", Flag), filled("TTL", Nanos), filled("Path", Text)]),
            ),
            filled("SourceIP", Flag),
            filled("Terminal", Flag),
        ]),
    ),
];
