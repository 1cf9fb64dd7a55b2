//! Policies, roles and tokens in words, line for line as Consul prints them.

use registry_wire::base64;

use super::shape::{
    Grants, Link, Mark, Method, NodeIdentity, Policy, Role, Rule, ServiceIdentity, TemplatedPolicy, Token,
};

/// A field and its value: the value begins at the same place in every line.
pub(super) fn field(name: &str, width: usize, value: impl std::fmt::Display) -> String {
    format!("{:<width$}{value}\n", format!("{name}:"))
}

/// How wide names of fields are: those of tokens, and those of everything else.
const TOKEN: usize = 18;
pub(super) const WIDE: usize = 14;

/// A policy on its own, its rules last.
pub(super) fn policy(policy: &Policy, meta: bool) -> String {
    let mut out = field("ID", WIDE, &policy.id) + &field("Name", WIDE, &policy.name);
    out += &policy_rest(policy, meta);
    out + "Rules:\n" + policy.rules.as_deref().unwrap_or_default()
}

fn policy_rest(policy: &Policy, meta: bool) -> String {
    let datacenters = policy.datacenters.as_deref().unwrap_or_default().join(", ");
    let out = field("Description", WIDE, &policy.description) + &field("Datacenters", WIDE, datacenters);
    if meta { out + &mark(&policy.mark) } else { out }
}

/// Policies below their names, without rules.
pub(super) fn policies(found: &[Policy], meta: bool) -> String {
    listed(found, |policy| (policy.name.clone(), field("ID", WIDE, &policy.id) + &policy_rest(policy, meta)))
}

/// A role on its own.
pub(super) fn role(role: &Role, meta: bool) -> String {
    field("ID", WIDE, &role.id) + &field("Name", WIDE, &role.name) + &role_rest(role, meta)
}

fn role_rest(role: &Role, meta: bool) -> String {
    let out = field("Description", WIDE, &role.description);
    let out = if meta { out + &mark(&role.mark) } else { out };
    out + &grants(&role.grants)
}

/// Roles below their names.
pub(super) fn roles(found: &[Role], meta: bool) -> String {
    listed(found, |role| (role.name.clone(), field("ID", WIDE, &role.id) + &role_rest(role, meta)))
}

/// A token with what it is given.
pub(super) fn token(token: &Token, meta: bool) -> String {
    token_head(token, meta) + &grants(&token.grants)
}

/// A token without what it is given.
pub(super) fn token_head(token: &Token, meta: bool) -> String {
    let mut out =
        field("AccessorID", TOKEN, &token.accessor_id) + &field("SecretID", TOKEN, &token.secret_id);
    out += &field("Description", TOKEN, &token.description);
    out += &field("Local", TOKEN, token.local);
    if !token.auth_method.is_empty() {
        out += &field("Auth Method", TOKEN, &token.auth_method);
    }
    out += &field("Create Time", TOKEN, time(token.create_time.as_deref().unwrap_or_default()));
    if let Some(end) = &token.expiration_time {
        out += &field("Expiration Time", TOKEN, time(end));
    }
    if meta {
        out += &field("Hash", TOKEN, hex(token.hash.as_deref()));
        out += &field("Create Index", TOKEN, token.create_index);
        out += &field("Modify Index", TOKEN, token.modify_index);
    }
    out
}

/// A way to log in, with its settings.
pub(super) fn method(method: &Method, meta: bool) -> String {
    const WIDE: usize = 15;
    let mut out = field("Name", WIDE, &method.name) + &field("Type", WIDE, &method.kind);
    if !method.display_name.is_empty() {
        out += &field("DisplayName", WIDE, &method.display_name);
    }
    out += &field("Description", WIDE, &method.description);
    for (name, value) in [("MaxTokenTTL", &method.max_token_ttl), ("TokenLocality", &method.token_locality)] {
        if !value.is_empty() {
            out += &field(name, WIDE, value);
        }
    }
    if meta {
        out += &field("Create Index", WIDE, method.create_index);
        out += &field("Modify Index", WIDE, method.modify_index);
    }
    out + "Config:\n" + &serde_json::to_string_pretty(&method.config).expect("a JSON value is text")
}

/// Ways to log in below their names.
pub(super) fn methods(found: &[Method], meta: bool) -> String {
    listed(found, |method| {
        let mut out = field("Type", WIDE, &method.kind);
        if !method.display_name.is_empty() {
            out += &field("DisplayName", WIDE, &method.display_name);
        }
        out += &field("Description", WIDE, &method.description);
        (
            method.name.clone(),
            if meta { out + &indexes(method.create_index, method.modify_index) } else { out },
        )
    })
}

/// What logging in gives.
pub(super) fn rule(rule: &Rule, meta: bool) -> String {
    field("ID", WIDE, &rule.id) + &rule_rest(rule, meta, "     ")
}

/// Rules below their ids.
pub(super) fn rules(found: &[Rule], meta: bool) -> String {
    listed(found, |rule| (rule.id.clone(), rule_rest(rule, meta, "   ")))
}

fn rule_rest(rule: &Rule, meta: bool, indent: &str) -> String {
    let mut out =
        field("AuthMethod", WIDE, &rule.auth_method) + &field("Description", WIDE, &rule.description);
    out += &(field("BindType", WIDE, &rule.bind_type) + &field("BindName", WIDE, &rule.bind_name));
    if let Some(variables) = &rule.bind_vars {
        out += &(field("BindVars", WIDE, "") + &format!("{indent}- Name: {}\n", variables.name));
    }
    out += &field("Selector", WIDE, &rule.selector);
    if meta { out + &indexes(rule.create_index, rule.modify_index) } else { out }
}

/// What a token or role is given, a list below each kind.
fn grants(grants: &Grants) -> String {
    let links = |title: &str, links: &Option<Vec<Link>>| {
        list(title, links.iter().flatten().map(|link| format!("   {} - {}\n", link.id, link.name)))
    };
    links("Policies", &grants.policies)
        + &links("Roles", &grants.roles)
        + &list(
            "Service Identities",
            grants
                .service_identities
                .iter()
                .flatten()
                .map(|identity| format!("   {}\n", service_identity(identity))),
        )
        + &list(
            "Node Identities",
            grants
                .node_identities
                .iter()
                .flatten()
                .map(|identity| format!("   {}\n", node_identity(identity))),
        )
        + &list("Templated Policies", grants.templated_policies.iter().flatten().map(|t| templated(t, "   ")))
}

/// `web (Datacenters: all)`
pub(super) fn service_identity(identity: &ServiceIdentity) -> String {
    format!("{} (Datacenters: {})", identity.service_name, some_or_all(identity.datacenters.as_deref()))
}

/// `web1 (Datacenter: dc1)`
pub(super) fn node_identity(identity: &NodeIdentity) -> String {
    format!("{} (Datacenter: {})", identity.node_name, identity.datacenter)
}

/// A template with what it is filled with; each level is set in by `indent`.
pub(super) fn templated(policy: &TemplatedPolicy, indent: &str) -> String {
    let mut out = format!("{indent}{}\n", policy.template_name);
    if let Some(variables) = policy.template_variables.as_ref().filter(|variables| !variables.name.is_empty())
    {
        out += &format!("{indent}{indent}Name: {}\n", variables.name);
    }
    out + &format!("{indent}{indent}Datacenters: {}\n", some_or_all(policy.datacenters.as_deref()))
}

fn some_or_all(datacenters: Option<&[String]>) -> String {
    match datacenters {
        None | Some([]) => "all".into(),
        Some(some) => some.join(", "),
    }
}

fn list(title: &str, lines: impl Iterator<Item = String>) -> String {
    let lines: String = lines.collect();
    if lines.is_empty() { lines } else { format!("{title}:\n{lines}") }
}

/// Each below its name, set in by three blanks.
fn listed<T>(found: &[T], text: impl Fn(&T) -> (String, String)) -> String {
    let one = |item: &T| {
        let (name, text) = text(item);
        let lines: String = text.lines().map(|line| format!("   {line}\n")).collect();
        format!("{name}:\n{lines}")
    };
    found.iter().map(one).collect()
}

fn mark(mark: &Mark) -> String {
    field("Hash", WIDE, hex(mark.hash.as_deref())) + &indexes(mark.create_index, mark.modify_index)
}

fn indexes(create: u64, modify: u64) -> String {
    field("Create Index", WIDE, create) + &field("Modify Index", WIDE, modify)
}

/// A hash as it is printed, from base64.
fn hex(hash: Option<&str>) -> String {
    let bytes = base64::decode(hash.unwrap_or_default()).unwrap_or_default();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `2026-11-21T10:48:14.5Z` as `2026-11-21 10:48:14.5 +0000 UTC`.
fn time(written: &str) -> String {
    match written.strip_suffix('Z') {
        Some(rest) => format!("{} +0000 UTC", rest.replacen('T', " ", 1)),
        None => written.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::shape;

    #[test]
    fn a_token_reads_as_consul_prints_it() {
        let token: shape::Token = serde_json::from_value(serde_json::json!({
            "AccessorID": "a", "SecretID": "s", "Description": "d", "CreateTime": "2026-11-21T10:48:14.5Z", "Hash": "AP8=",
            "Policies": [{"ID": "p", "Name": "pub"}], "ServiceIdentities": [{"ServiceName": "web", "Datacenters": ["x", "y"]}],
            "TemplatedPolicies": [{"TemplateName": "builtin/node", "TemplateVariables": {"Name": "n"}}],
        }))
        .expect("it is a token");
        let wanted = "AccessorID:       a\nSecretID:         s\nDescription:      d\nLocal:            false\n\
            Create Time:      2026-11-21 10:48:14.5 +0000 UTC\nHash:             00ff\nCreate Index:     0\n\
            Modify Index:     0\nPolicies:\n   p - pub\nService Identities:\n   web (Datacenters: x, y)\n\
            Templated Policies:\n   builtin/node\n      Name: n\n      Datacenters: all\n";
        assert_eq!(super::token(&token, true), wanted);
    }
}
