//! Functions that ask for what few registries have: roots and certificates of the mesh, peers, partitions.
//!
//! The answers are the registry's own JSON, and become records of the types that Consul's client has for them. What the
//! registry does not have at all it refuses, and the question waits as one that fails.

use go_template::{Signature, StructType, Type, Value};
use serde_json::Value as Json;

use super::{Context, Row, data::data, shapes, string};
use crate::query::{Mesh, Query};

const TEXTS: &[Type] = &[Type::Str];
const ROOTS: Type = Type::List(&Type::Pointer(&ROOT));
const PEERINGS: Type = Type::List(&Type::Pointer(&PEERING));
const PARTITIONS: Type = Type::List(&Type::Pointer(&PARTITION));
const EXPORTED: Type = Type::List(&Type::Struct(&EXPORTED_SERVICE));
const IMPORTED: Type = Type::List(&Type::Struct(&IMPORTED_SERVICE));

pub(super) const ROWS: &[Row] = &[
    data(
        "caRoots",
        Signature::new(&[], ROOTS),
        "The roots that sign certificates of the mesh.",
        |context, _| list(context, Mesh::Roots, "", ROOTS),
    )
    .example("{{ range caRoots }}{{ .Name }} {{ .Active }}{{ end }}", "Consul CA true"),
    data(
        "caLeaf",
        Signature::new(TEXTS, Type::Any),
        "A certificate and its key for a service of the mesh.",
        |context, args| match string(&args[0]).as_str() {
            "" => Ok(Value::Nil),
            service => Ok(asked(context, Mesh::Leaf, service)?
                .and_then(|found| {
                    found.first().map(|leaf| shapes::of_json(Type::Pointer(&LEAF), Some(leaf), &MESH))
                })
                .unwrap_or(Value::Nil)),
        },
    )
    .example(
        r#"{{ with caLeaf "web" }}{{ .Service }} {{ .ValidBefore }}{{ end }}"#,
        "web 2026-11-24 19:58:47 +0000 UTC",
    ),
    data(
        "peerings",
        Signature::variadic(TEXTS, PEERINGS),
        "The clusters that are peers, `[?partition=NAME]`.",
        |context, args| {
            let text: String = args.iter().map(string).collect();
            let partition = match text.strip_prefix("?partition=") {
                Some(name) => name,
                None if text.is_empty() => "",
                None => return Err(format!("list.peering: invalid format: {text:?}")),
            };
            list(context, Mesh::Peerings, partition, PEERINGS)
        },
    )
    .example("{{ len peerings }}", "0"),
    data(
        "partitions",
        Signature::new(&[], PARTITIONS),
        "The partitions of a registry that has them.",
        |context, _| list(context, Mesh::Partitions, "", PARTITIONS),
    )
    .example("{{ range partitions }}{{ .Name }}{{ end }}", "default"),
    data(
        "exportedServices",
        Signature::variadic(TEXTS, EXPORTED),
        "The services that others may use, of a partition when one is named.",
        |context, args| match args {
            [] => list(context, Mesh::Exported, "", EXPORTED),
            [partition] => list(context, Mesh::Exported, &string(partition), EXPORTED),
            _ => Err("exportedServices: wrong number of arguments, expected 0 or 1".to_owned()),
        },
    )
    .example("{{ range exportedServices }}{{ .Service }} {{ .Consumers.Peers }}{{ end }}", "web [east]"),
    data(
        "importedServices",
        Signature::new(TEXTS, IMPORTED),
        "The services of others that a partition may use.",
        |context, args| match string(&args[0]).as_str() {
            "" => Err("importedServices: partition name is required".to_owned()),
            partition => list(context, Mesh::Imported, partition, IMPORTED),
        },
    )
    .example(r#"{{ range importedServices "default" }}{{ .Service }}{{ end }}"#, "db"),
];

static ROOT: StructType = StructType {
    name: "api.CARoot",
    fields: &[
        ("ID", Type::Str),
        ("Name", Type::Str),
        ("RootCertPEM", Type::Str),
        ("Active", Type::Bool),
        ("NotBefore", Type::Str),
        ("NotAfter", Type::Str),
        ("DaysRemaining", Type::Any),
        ("CreateIndex", Type::UINT64),
        ("ModifyIndex", Type::UINT64),
    ],
};

static LEAF: StructType = StructType {
    name: "api.LeafCert",
    fields: &[
        ("SerialNumber", Type::Str),
        ("CertPEM", Type::Str),
        ("PrivateKeyPEM", Type::Str),
        ("Service", Type::Str),
        ("ServiceURI", Type::Str),
        ("ValidAfter", Type::Str),
        ("ValidBefore", Type::Str),
        ("CreateIndex", Type::UINT64),
        ("ModifyIndex", Type::UINT64),
    ],
};

static PEERING: StructType = StructType {
    name: "dependency.Peering",
    fields: &[
        ("ID", Type::Str),
        ("Name", Type::Str),
        ("Partition", Type::Str),
        ("Meta", Type::STR_MAP),
        ("PeeringState", Type::Str),
        ("PeerID", Type::Str),
        ("PeerServerName", Type::Str),
        ("PeerServerAddresses", Type::STRINGS),
        ("StreamStatus", Type::Struct(&STREAM)),
        ("Remote", Type::Struct(&REMOTE)),
    ],
};

static STREAM: StructType = StructType {
    name: "dependency.PeeringStreamStatus",
    fields: &[
        ("ImportedServices", Type::STRINGS),
        ("ExportedServices", Type::STRINGS),
        ("LastHeartbeat", Type::Str),
        ("LastReceive", Type::Str),
        ("LastSend", Type::Str),
    ],
};

static REMOTE: StructType = StructType {
    name: "dependency.PeeringRemoteInfo",
    fields: &[("Partition", Type::Str), ("Datacenter", Type::Str)],
};

static PARTITION: StructType =
    StructType { name: "dependency.Partition", fields: &[("Name", Type::Str), ("Description", Type::Str)] };

static EXPORTED_SERVICE: StructType = StructType {
    name: "dependency.ExportedService",
    fields: &[
        ("Service", Type::Str),
        ("Partition", Type::Str),
        ("Namespace", Type::Str),
        ("Consumers", Type::Struct(&CONSUMERS)),
    ],
};

static CONSUMERS: StructType = StructType {
    name: "dependency.ResolvedConsumers",
    fields: &[("Peers", Type::STRINGS), ("Partitions", Type::STRINGS)],
};

static IMPORTED_SERVICE: StructType = StructType {
    name: "dependency.ImportedService",
    fields: &[("Service", Type::Str), ("Namespace", Type::Str), ("SourcePartition", Type::Str)],
};

/// How these records stand in the registry's JSON.
const MESH: shapes::Reading =
    shapes::Reading { names: &[("RootCertPEM", "RootCert"), ("PeeringState", "State")], text: time };

fn asked(context: &Context<'_>, what: Mesh, name: &str) -> Result<Option<Vec<Json>>, String> {
    let query = Query::Mesh { what, name: name.to_owned() };
    Ok(context.scope.ask(&query).and_then(|answer| answer.documents().map(<[Json]>::to_vec)))
}

fn list(context: &Context<'_>, what: Mesh, name: &str, ty: Type) -> Result<Value, String> {
    let found = asked(context, what, name)?.unwrap_or_default();
    Ok(shapes::of_json(ty, Some(&Json::Array(found)), &MESH))
}

/// A time as Go prints it; any other text stays.
fn time(text: &str) -> String {
    match chrono::DateTime::parse_from_rfc3339(text) {
        Ok(time) if text.ends_with('Z') => time.format("%Y-%m-%d %H:%M:%S%.f +0000 UTC").to_string(),
        _ => text.to_owned(),
    }
}
