//! Who may talk to whom: intentions, the mesh's own settings, exported services, JWT providers.

use super::super::schema::{
    Field,
    Holds::{Flag, Nanos, Number, Object, Objects, Text, TextMap, Texts},
    always, filled, given,
};
use super::shared::{CREATE_INDEX, HASH, JWT, KIND, META, MODIFY_INDEX, NAME};

pub(super) const INTENTIONS: &[Field] = &[
    KIND,
    NAME,
    JWT,
    always(
        "Sources",
        Objects(&[
            always("Name", Text),
            filled("Action", Text),
            filled(
                "Permissions",
                Objects(&[always("Action", Text), given("HTTP", Object(PERMISSION_HTTP)), JWT]),
            ),
            always("Precedence", Number),
            filled("LegacyID", Text),
            always("Type", Text),
            filled("Description", Text),
            filled("LegacyMeta", TextMap),
            filled("LegacyCreateTime", Text),
            filled("LegacyUpdateTime", Text),
            filled("Peer", Text),
            filled("SamenessGroup", Text),
        ]),
    ),
    META,
    HASH,
    CREATE_INDEX,
    MODIFY_INDEX,
];

pub(super) const PERMISSION_HTTP: &[Field] = &[
    filled("PathExact", Text),
    filled("PathPrefix", Text),
    filled("PathRegex", Text),
    filled(
        "Header",
        Objects(&[
            always("Name", Text),
            filled("Present", Flag),
            filled("Exact", Text),
            filled("Prefix", Text),
            filled("Suffix", Text),
            filled("Contains", Text),
            filled("Regex", Text),
            filled("Invert", Flag),
            filled("IgnoreCase", Flag),
        ]),
    ),
    filled("Methods", Texts),
];

pub(super) const DIRECTION_TLS: &[Field] =
    &[filled("TLSMinVersion", Text), filled("TLSMaxVersion", Text), filled("CipherSuites", Texts)];

pub(super) const MESH: &[Field] = &[
    KIND,
    always("TransparentProxy", Object(&[always("MeshDestinationsOnly", Flag)])),
    filled("AllowEnablingPermissiveMutualTLS", Flag),
    filled("ValidateClusters", Flag),
    given(
        "TLS",
        Object(&[given("Incoming", Object(DIRECTION_TLS)), given("Outgoing", Object(DIRECTION_TLS))]),
    ),
    given(
        "HTTP",
        Object(&[
            always("SanitizeXForwardedClientCert", Flag),
            given(
                "Incoming",
                Object(&[given(
                    "RequestNormalization",
                    Object(&[
                        always("InsecureDisablePathNormalization", Flag),
                        always("MergeSlashes", Flag),
                        always("PathWithEscapedSlashesAction", Text),
                        always("HeadersWithUnderscoresAction", Text),
                    ]),
                )]),
            ),
        ]),
    ),
    given("Peering", Object(&[always("PeerThroughMeshGateways", Flag)])),
    META,
    HASH,
    CREATE_INDEX,
    MODIFY_INDEX,
];

pub(super) const EXPORTED: &[Field] = &[
    KIND,
    NAME,
    filled(
        "Services",
        Objects(&[
            always("Name", Text),
            filled("Namespace", Text),
            filled(
                "Consumers",
                Objects(&[filled("Partition", Text), filled("Peer", Text), filled("SamenessGroup", Text)]),
            ),
        ]),
    ),
    META,
    HASH,
    CREATE_INDEX,
    MODIFY_INDEX,
];

pub(super) const SAMENESS_GROUP: &[Field] = &[
    KIND,
    NAME,
    filled("DefaultForFailover", Flag),
    filled("IncludeLocal", Flag),
    always("Members", Objects(&[filled("Partition", Text), filled("Peer", Text)])),
    META,
    HASH,
    CREATE_INDEX,
    MODIFY_INDEX,
];

pub(super) const JWT_PROVIDER: &[Field] = &[
    KIND,
    NAME,
    given(
        "JSONWebKeySet",
        Object(&[
            given("Local", Object(&[filled("JWKS", Text), filled("Filename", Text)])),
            given("Remote", Object(REMOTE_KEYS)),
        ]),
    ),
    filled("Issuer", Text),
    filled("Audiences", Texts),
    filled("Locations", Objects(LOCATION)),
    given("Forwarding", Object(&[filled("HeaderName", Text), always("PadForwardPayloadHeader", Flag)])),
    filled("ClockSkewSeconds", Number),
    given("CacheConfig", Object(&[filled("Size", Number)])),
    META,
    HASH,
    CREATE_INDEX,
    MODIFY_INDEX,
];

pub(super) const REMOTE_KEYS: &[Field] = &[
    filled("URI", Text),
    filled("RequestTimeoutMs", Number),
    filled("CacheDuration", Nanos),
    filled("FetchAsynchronously", Flag),
    given(
        "RetryPolicy",
        Object(&[
            filled("NumRetries", Number),
            given(
                "RetryPolicyBackOff",
                Object(&[filled("BaseInterval", Nanos), filled("MaxInterval", Nanos)]),
            ),
        ]),
    ),
    given(
        "JWKSCluster",
        Object(&[
            filled("DiscoveryType", Text),
            given(
                "TLSCertificates",
                Object(&[
                    given(
                        "CaCertificateProviderInstance",
                        Object(&[filled("InstanceName", Text), filled("CertificateName", Text)]),
                    ),
                    given(
                        "TrustedCA",
                        Object(&[
                            filled("Filename", Text),
                            filled("EnvironmentVariable", Text),
                            filled("InlineString", Text),
                            filled("InlineBytes", Text),
                        ]),
                    ),
                ]),
            ),
            filled("ConnectTimeout", Nanos),
        ]),
    ),
];

pub(super) const LOCATION: &[Field] = &[
    given("Header", Object(&[filled("Name", Text), filled("ValuePrefix", Text), filled("Forward", Flag)])),
    given("QueryParam", Object(&[filled("Name", Text)])),
    given("Cookie", Object(&[filled("Name", Text)])),
];
