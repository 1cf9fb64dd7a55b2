//! Policies, roles, tokens and the rest as `/v1/acl/` writes them, with the fields in the order that Consul prints them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A policy.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Policy {
    #[serde(rename = "ID")]
    pub(super) id: String,
    pub(super) name: String,
    pub(super) description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rules: Option<String>,
    pub(super) datacenters: Option<Vec<String>>,
    #[serde(flatten)]
    pub(super) mark: Mark,
}

/// When something was written, and what its content amounts to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Mark {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hash: Option<String>,
    pub(super) create_index: u64,
    pub(super) modify_index: u64,
}

/// Another thing by id and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Link {
    #[serde(rename = "ID", skip_serializing_if = "String::is_empty")]
    pub(super) id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) name: String,
}

/// A service whose usual rights are given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ServiceIdentity {
    pub(super) service_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) datacenters: Option<Vec<String>>,
}

/// A node whose usual rights are given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct NodeIdentity {
    pub(super) node_name: String,
    pub(super) datacenter: String,
}

/// A policy made from a template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct TemplatedPolicy {
    pub(super) template_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) template_variables: Option<Variables>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) datacenters: Option<Vec<String>>,
}

/// What a template is filled with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Variables {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) name: String,
}

/// What tokens and roles are given.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Grants {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) policies: Option<Vec<Link>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) roles: Option<Vec<Link>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service_identities: Option<Vec<ServiceIdentity>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) node_identities: Option<Vec<NodeIdentity>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) templated_policies: Option<Vec<TemplatedPolicy>>,
}

/// A role.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Role {
    #[serde(rename = "ID", skip_serializing_if = "String::is_empty")]
    pub(super) id: String,
    pub(super) name: String,
    pub(super) description: String,
    #[serde(flatten)]
    pub(super) grants: Grants,
    #[serde(flatten)]
    pub(super) mark: Mark,
}

/// A token.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Token {
    pub(super) create_index: u64,
    pub(super) modify_index: u64,
    #[serde(rename = "AccessorID", skip_serializing_if = "String::is_empty")]
    pub(super) accessor_id: String,
    #[serde(rename = "SecretID", skip_serializing_if = "String::is_empty")]
    pub(super) secret_id: String,
    pub(super) description: String,
    #[serde(flatten)]
    pub(super) grants: Grants,
    pub(super) local: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) auth_method: String,
    #[serde(rename = "ExpirationTTL", skip_serializing_if = "String::is_empty")]
    pub(super) expiration_ttl: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expiration_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) create_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hash: Option<String>,
}

/// A token with all that it is given, written out.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Expanded {
    pub(super) expanded_policies: Option<Vec<Policy>>,
    pub(super) expanded_roles: Option<Vec<Role>>,
    #[serde(rename = "NamespaceDefaultPolicyIDs")]
    namespace_default_policy_ids: Option<Vec<String>>,
    #[serde(rename = "NamespaceDefaultRoleIDs")]
    namespace_default_role_ids: Option<Vec<String>>,
    #[serde(rename = "AgentACLDefaultPolicy")]
    pub(super) agent_acl_default_policy: String,
    #[serde(rename = "AgentACLDownPolicy")]
    pub(super) agent_acl_down_policy: String,
    pub(super) resolved_by_agent: String,
    #[serde(flatten)]
    pub(super) token: Token,
}

/// A way to log in.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Method {
    #[serde(rename = "MaxTokenTTL", skip_serializing_if = "String::is_empty")]
    pub(super) max_token_ttl: String,
    pub(super) name: String,
    #[serde(rename = "Type")]
    pub(super) kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) display_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) description: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) token_locality: String,
    #[serde(skip_serializing_if = "Value::is_null")]
    pub(super) config: Value,
    pub(super) create_index: u64,
    pub(super) modify_index: u64,
}

/// What logging in by a method gives.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Rule {
    #[serde(rename = "ID", skip_serializing_if = "String::is_empty")]
    pub(super) id: String,
    pub(super) description: String,
    pub(super) auth_method: String,
    pub(super) selector: String,
    pub(super) bind_type: String,
    pub(super) bind_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bind_vars: Option<Variables>,
    pub(super) create_index: u64,
    pub(super) modify_index: u64,
}

/// A template of policies.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Template {
    pub(super) template_name: String,
    pub(super) schema: String,
    pub(super) template: String,
    pub(super) description: String,
}

/// Templates by name.
pub(super) type Templates = BTreeMap<String, Template>;
