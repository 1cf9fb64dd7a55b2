//! Functions that ask for what few registries have: roots and certificates of the mesh, peers, partitions.
//!
//! The answers are the registry's own JSON, and become records of the types that Consul's client has for them. What the
//! registry does not have at all it refuses, and the question waits as one that fails.

use go_template::{Signature, StructType, Type, Value};
use serde_json::{Value as Json, json};

use super::{Context, Row, data::data, shapes, string, time};
use crate::query::{Mesh, Query};

const TEXTS: &[Type] = &[Type::Str];
const ROOTS: Type = Type::List(&Type::Pointer(&ROOT));
const PEERINGS: Type = Type::List(&Type::Pointer(&PEERING));
const PARTITIONS: Type = Type::List(&Type::Pointer(&PARTITION));
const EXPORTED: Type = Type::List(&Type::Struct(&EXPORTED_SERVICE));
const IMPORTED: Type = Type::List(&Type::Struct(&IMPORTED_SERVICE));

/// A certificate and its key.
pub(super) const LEAF_POINTER: Type = Type::Pointer(&LEAF);

pub(super) const ROWS: &[Row] = &[
    data(
        "caRoots",
        // What is said to it does not matter.
        Signature::variadic(TEXTS, ROOTS),
        "The roots that sign certificates of the mesh.",
        |context, _| list(context, Mesh::Roots, "", ROOTS),
    )
    .example("{{ range caRoots }}{{ .Name }} {{ .Active }}{{ end }}", "Consul CA true"),
    data(
        "caLeaf",
        Signature::variadic(TEXTS, Type::Any),
        "A certificate and its key for a service of the mesh.",
        |context, args| match args.first().map(string).unwrap_or_default().as_str() {
            "" => Ok(Value::Nil),
            service => Ok(asked(context, Mesh::Leaf, service)?
                .and_then(|found| found.first().map(|leaf| shapes::of_json(LEAF_POINTER, Some(leaf), MESH)))
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
            [] => exported(context, ""),
            [partition] => exported(context, &string(partition)),
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
        ("NotBefore", time::TIME_POINTER),
        ("NotAfter", time::TIME_POINTER),
        ("DaysRemaining", Type::Pointer(&DAYS)),
        ("CreateIndex", Type::UINT64),
        ("ModifyIndex", Type::UINT64),
    ],
};

/// No registry that ryo stands in for tells it, so that the pointer is nil.
static DAYS: StructType = StructType { name: "int", fields: &[] };

static LEAF: StructType = StructType {
    name: "api.LeafCert",
    fields: &[
        ("SerialNumber", Type::Str),
        ("CertPEM", Type::Str),
        ("PrivateKeyPEM", Type::Str),
        ("Service", Type::Str),
        ("ServiceURI", Type::Str),
        ("ValidAfter", time::TIME),
        ("ValidBefore", time::TIME),
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
        ("LastHeartbeat", time::TIME_POINTER),
        ("LastReceive", time::TIME_POINTER),
        ("LastSend", time::TIME_POINTER),
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

/// Fields that have another name in the registry's JSON.
const MESH: shapes::Names = &[("RootCertPEM", "RootCert"), ("PeeringState", "State")];

fn asked(context: &Context<'_>, what: Mesh, name: &str) -> Result<Option<Vec<Json>>, String> {
    let query = Query::Mesh { what, name: name.to_owned() };
    Ok(context.scope.ask(&query).and_then(|answer| answer.documents().map(<[Json]>::to_vec)))
}

fn list(context: &Context<'_>, what: Mesh, name: &str, ty: Type) -> Result<Value, String> {
    let found = asked(context, what, name)?.unwrap_or_default();
    Ok(shapes::of_json(ty, Some(&Json::Array(found)), MESH))
}

/// Of what is exported consul-template takes over the name and who may use it, lists where the registry has none.
fn exported(context: &Context<'_>, partition: &str) -> Result<Value, String> {
    let found = asked(context, Mesh::Exported, partition)?.unwrap_or_default();
    let list = |service: &Json, name: &str| match service.pointer(&format!("/Consumers/{name}")) {
        Some(Json::Array(list)) => list.clone(),
        _ => Vec::new(),
    };
    let taken = found.iter().map(|service| {
        let consumers = json!({ "Peers": list(service, "Peers"), "Partitions": list(service, "Partitions") });
        json!({ "Service": service.get("Service"), "Consumers": consumers })
    });
    Ok(shapes::of_json(EXPORTED, Some(&taken.collect()), &[]))
}
