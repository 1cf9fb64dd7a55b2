//! Which fields each kind of object can be filtered by. Indexes and definitions cannot be selected.

use Kind::{Address, Flag, List, Map, Number, Struct, Text, Texts, Unsigned};

/// What a field holds.
#[derive(Debug)]
pub enum Kind {
    /// A text.
    Text,
    /// A whole number.
    Number,
    /// A whole number that is not negative, of so many bits.
    Unsigned(u32),
    /// An IP address; Consul takes it for a list of bytes.
    Address,
    /// True or false.
    Flag,
    /// A list of texts.
    Texts,
    /// Values by name.
    Map(&'static Kind),
    /// Fields by name.
    Struct(&'static [(&'static str, Kind)]),
    /// A list of objects; a selector into it means any of them.
    List(&'static [(&'static str, Kind)]),
}

const TEXT_MAP: Kind = Map(&Text);
const ADDRESSES: Kind = Map(&Struct(&[("Address", Text), ("Port", Number)]));
const WEIGHTS: Kind = Struct(&[("Passing", Number), ("Warning", Number)]);
const CONNECT: Kind = Struct(&[("Native", Flag)]);
const GATEWAY: Kind = Struct(&[("Mode", Text)]);
const EXPOSE: Kind = Struct(&[
    ("Checks", Flag),
    (
        "Paths",
        List(&[
            ("ListenerPort", Number),
            ("Path", Text),
            ("LocalPathPort", Number),
            ("Protocol", Text),
            ("ParsedFromCheck", Flag),
        ]),
    ),
]);
const EXTENSIONS: Kind = List(&[("Name", Text), ("Required", Flag)]);
const PROXY: Kind = Struct(&[
    ("Mode", Text),
    ("DestinationServiceName", Text),
    ("DestinationServiceID", Text),
    ("LocalServiceAddress", Text),
    ("LocalServicePort", Number),
    ("LocalServiceSocketPath", Text),
    (
        "Upstreams",
        List(&[
            ("DestinationType", Text),
            ("DestinationNamespace", Text),
            ("DestinationPartition", Text),
            ("DestinationPeer", Text),
            ("DestinationName", Text),
            ("Datacenter", Text),
            ("LocalBindAddress", Text),
            ("LocalBindPort", Number),
            ("LocalBindSocketPath", Text),
            ("LocalBindSocketMode", Text),
            ("MeshGateway", GATEWAY),
        ]),
    ),
    ("MeshGateway", GATEWAY),
    ("Expose", EXPOSE),
    ("TransparentProxy", Struct(&[("OutboundListenerPort", Number), ("DialedDirectly", Flag)])),
    (
        "AccessLogs",
        Struct(&[
            ("Enabled", Flag),
            ("DisableListenerLogs", Flag),
            ("Type", Text),
            ("Path", Text),
            ("JSONFormat", Text),
            ("TextFormat", Text),
        ]),
    ),
    ("EnvoyExtensions", EXTENSIONS),
]);

const NODE_FIELDS: &[(&str, Kind)] = &[
    ("ID", Text),
    ("Node", Text),
    ("Address", Text),
    ("Datacenter", Text),
    ("TaggedAddresses", TEXT_MAP),
    ("Meta", TEXT_MAP),
    ("Partition", Text),
    ("PeerName", Text),
];

const SERVICE_FIELDS: &[(&str, Kind)] = &[
    ("Kind", Text),
    ("ID", Text),
    ("Service", Text),
    ("Tags", Texts),
    ("Address", Text),
    ("TaggedAddresses", ADDRESSES),
    ("Meta", TEXT_MAP),
    ("Port", Number),
    ("SocketPath", Text),
    ("Weights", WEIGHTS),
    ("EnableTagOverride", Flag),
    ("Proxy", PROXY),
    ("Connect", CONNECT),
    ("PeerName", Text),
];

const CHECK_FIELDS: &[(&str, Kind)] = &[
    ("Node", Text),
    ("CheckID", Text),
    ("Name", Text),
    ("Status", Text),
    ("Notes", Text),
    ("Output", Text),
    ("ServiceID", Text),
    ("ServiceName", Text),
    ("ServiceTags", Texts),
    ("Type", Text),
    ("Interval", Text),
    ("Timeout", Text),
    ("ExposedPort", Number),
    ("PeerName", Text),
];

/// A node: `/v1/catalog/nodes`.
pub const NODE: Kind = Struct(NODE_FIELDS);

/// An instance: `/v1/catalog/node/:node`, `/v1/agent/services`.
pub const SERVICE: Kind = Struct(SERVICE_FIELDS);

/// A check: `/v1/health/node/:node`, `/v1/agent/checks`.
pub const CHECK: Kind = Struct(CHECK_FIELDS);

/// An instance with its node and checks: `/v1/health/service/:service`.
pub const HEALTH_INSTANCE: Kind = Struct(&[
    ("Node", Struct(NODE_FIELDS)),
    ("Service", Struct(SERVICE_FIELDS)),
    ("Checks", List(CHECK_FIELDS)),
]);

/// A node with its instances and checks: `/v1/internal/ui/nodes`.
pub const NODE_INFO: Kind = Struct(&[
    ("ID", Text),
    ("Node", Text),
    ("Address", Text),
    ("TaggedAddresses", TEXT_MAP),
    ("Meta", TEXT_MAP),
    ("Partition", Text),
    ("PeerName", Text),
    ("Services", List(SERVICE_FIELDS)),
    ("Checks", List(CHECK_FIELDS)),
]);

/// An instance with its node in one object: `/v1/catalog/service/:service`, `/v1/catalog/services`.
pub const SERVICE_NODE: Kind = Struct(&[
    ("ID", Text),
    ("Node", Text),
    ("Address", Text),
    ("Datacenter", Text),
    ("TaggedAddresses", TEXT_MAP),
    ("NodeMeta", TEXT_MAP),
    ("ServiceKind", Text),
    ("ServiceID", Text),
    ("ServiceName", Text),
    ("ServiceTags", Texts),
    ("ServiceAddress", Text),
    ("ServiceTaggedAddresses", ADDRESSES),
    ("ServiceWeights", WEIGHTS),
    ("ServiceMeta", TEXT_MAP),
    ("ServicePort", Number),
    ("ServiceSocketPath", Text),
    ("ServiceEnableTagOverride", Flag),
    ("ServiceProxy", PROXY),
    ("ServiceConnect", CONNECT),
    ("PeerName", Text),
]);

/// A configuration entry of the only kind whose list can be filtered: `/v1/config/service-defaults`.
pub const SERVICE_DEFAULTS: Kind = Struct(&[
    ("Kind", Text),
    ("Name", Text),
    ("Protocol", Text),
    ("Mode", Text),
    ("TransparentProxy", Struct(&[("OutboundListenerPort", Number), ("DialedDirectly", Flag)])),
    ("MutualTLSMode", Text),
    ("MeshGateway", GATEWAY),
    ("Expose", EXPOSE),
    ("ExternalSNI", Text),
    ("Destination", Struct(&[("Addresses", Texts), ("Port", Number)])),
    ("MaxInboundConnections", Number),
    ("LocalConnectTimeoutMs", Number),
    ("LocalRequestTimeoutMs", Number),
    ("BalanceInboundConnections", Text),
    ("EnvoyExtensions", EXTENSIONS),
    ("Meta", TEXT_MAP),
    ("Hash", Unsigned(64)),
    ("EnterpriseMeta", Struct(&[])),
    ("RaftIndex", Struct(&[])),
]);

/// An intention: `/v1/connect/intentions`.
pub const INTENTION: Kind = Struct(&[
    ("ID", Text),
    ("Description", Text),
    ("SourcePeer", Text),
    ("SourceNS", Text),
    ("SourceName", Text),
    ("SourcePartition", Text),
    ("SourceSamenessGroup", Text),
    ("DestinationNS", Text),
    ("DestinationName", Text),
    ("SourceType", Text),
    ("Action", Text),
    ("Meta", TEXT_MAP),
    ("Precedence", Number),
]);

/// A member: `/v1/agent/members`.
pub const MEMBER: Kind = Struct(&[
    ("Name", Text),
    ("Addr", Address),
    ("Port", Unsigned(16)),
    ("Tags", TEXT_MAP),
    ("Status", Number),
    ("ProtocolMin", Unsigned(8)),
    ("ProtocolMax", Unsigned(8)),
    ("ProtocolCur", Unsigned(8)),
    ("DelegateMin", Unsigned(8)),
    ("DelegateMax", Unsigned(8)),
    ("DelegateCur", Unsigned(8)),
]);
