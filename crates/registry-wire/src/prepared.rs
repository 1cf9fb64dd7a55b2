//! Prepared queries as `/v1/query` takes and shows them. Lists that were not sent are shown as `null`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};

use crate::catalog::{CheckServiceNode, HealthCheck, Node, NodeService};

/// What a template answers that is run by its id.
pub const TEMPLATE_BY_ID: &str = "prepared query templates can only be resolved up by name, not by ID";

/// A prepared query.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename = "structs.PreparedQuery", rename_all = "PascalCase", default)]
pub struct Definition {
    /// A random UUID in lower case.
    #[serde(rename = "ID")]
    pub id: String,
    /// What the query is run by; a template's is the beginning of the names it answers to.
    pub name: String,
    /// The session it ends with; empty for none.
    pub session: String,
    /// Kept; there is no access control.
    pub token: String,
    /// Whether it is a template.
    pub template: Template,
    /// What it asks.
    pub service: ServiceQuery,
    /// How DNS answers it.
    #[serde(rename = "DNS")]
    pub dns: Dns,
    /// The index of the creation.
    pub create_index: u64,
    /// The index of the last change.
    pub modify_index: u64,
}

/// How a template answers to names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Template {
    /// `name_prefix_match`, or empty for a query that is no template.
    #[serde(rename = "Type")]
    pub kind: String,
    /// Takes the name apart for `${match(1)}`.
    pub regexp: String,
    /// Whether tags that come out empty are left out.
    pub remove_empty_tags: bool,
}

/// Which instances a query wants.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename = "structs.ServiceQuery", rename_all = "PascalCase", default)]
pub struct ServiceQuery {
    /// The service's name.
    pub service: String,
    /// Always empty here.
    pub sameness_group: String,
    /// Where else to look; kept, for there is no way to other datacenters.
    pub failover: Failover,
    /// Whether a warning keeps an instance out too.
    pub only_passing: bool,
    /// Checks that are not looked at.
    #[serde(rename = "IgnoreCheckIDs")]
    pub ignore_check_ids: Option<Vec<String>>,
    /// The node whose instances come first; `_agent` is the one that asks.
    pub near: String,
    /// Tags an instance must have, or with `!` must not.
    pub tags: Option<Vec<String>>,
    /// Pairs its node must have.
    pub node_meta: Option<BTreeMap<String, String>>,
    /// Pairs it must have itself.
    pub service_meta: Option<BTreeMap<String, String>>,
    /// Whether it must be part of a mesh.
    pub connect: bool,
    /// A peer to ask instead of the own datacenter; there are none, so it finds nothing.
    pub peer: String,
}

/// Where to look when nothing is found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Failover {
    /// So many of the nearest datacenters.
    pub nearest_n: i64,
    /// These datacenters.
    pub datacenters: Option<Vec<String>>,
    /// Datacenters and peers, one after the other.
    pub targets: Option<Vec<Target>>,
}

/// A place to look.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Target {
    /// A peer; there are none, so nothing is found there.
    pub peer: String,
    /// A datacenter.
    pub datacenter: String,
}

/// How DNS answers a query.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Dns {
    /// A Go duration such as `10s`; empty means the service's TTL.
    #[serde(rename = "TTL")]
    pub ttl: String,
}

/// What running a query gives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Executed {
    /// The service's name.
    pub service: String,
    /// The instances, in the order to be used; `Checks` is `null` where there are none.
    #[serde(serialize_with = "without_empty_checks")]
    pub nodes: Vec<CheckServiceNode>,
    /// How DNS answers.
    #[serde(rename = "DNS")]
    pub dns: Dns,
    /// Where they are.
    pub datacenter: String,
    /// The peer that was asked last; empty for the own datacenter.
    pub peer_name: String,
    /// How many other places were tried.
    pub failovers: u64,
    /// About the answer.
    #[serde(flatten)]
    pub meta: Meta,
}

fn without_empty_checks<S: Serializer>(nodes: &[CheckServiceNode], to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Shown<'a> {
        node: &'a Node,
        service: &'a NodeService,
        checks: Option<&'a [HealthCheck]>,
    }
    to.collect_seq(nodes.iter().map(|CheckServiceNode { node, service, checks }| Shown {
        node,
        service,
        checks: Some(&checks[..]).filter(|checks| !checks.is_empty()),
    }))
}

/// `/v1/query/:name/explain`: what would be run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Explained {
    /// The query, a template filled in.
    pub query: Definition,
    /// About the answer.
    #[serde(flatten)]
    pub meta: Meta,
}

/// What the body tells about how it came to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Meta {
    /// Always 1 on the wire: these answers do not block.
    pub index: u64,
    /// In nanoseconds.
    pub last_contact: u64,
    /// Whether somebody leads.
    pub known_leader: bool,
    /// `leader`, `consistent` or `stale`.
    pub consistency_level: String,
    /// Always false here.
    pub not_modified: bool,
    /// 0: a plain read.
    pub backend: u64,
    /// Always false here.
    #[serde(rename = "ResultsFilteredByACLs")]
    pub results_filtered_by_acls: bool,
}

impl Default for Meta {
    fn default() -> Self {
        Self {
            index: 1,
            last_contact: 0,
            known_leader: true,
            consistency_level: String::new(),
            not_modified: false,
            backend: 0,
            results_filtered_by_acls: false,
        }
    }
}
