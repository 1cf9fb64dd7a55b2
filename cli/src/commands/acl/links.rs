//! Flags that give policies, roles and identities to a token or a role.

use clap::Args;
use hcl1::{Document, Kind};
use registry_client::Client;

use super::{
    find,
    shape::{Link, NodeIdentity, ServiceIdentity, TemplatedPolicy, Variables},
};
use crate::{client::AskFlags, commands::data, flags::Pair};

/// Policies by id or name.
#[derive(Args, Debug)]
pub(super) struct Policies {
    /// A policy by its id, or the start of it (repeatable)
    #[arg(long, value_name = "ID")]
    policy_id: Vec<String>,
    /// A policy by its name (repeatable)
    #[arg(long, value_name = "NAME")]
    policy_name: Vec<String>,
}

/// Roles by id or name.
#[derive(Args, Debug)]
pub(super) struct Roles {
    /// A role by its id, or the start of it (repeatable)
    #[arg(long, value_name = "ID")]
    role_id: Vec<String>,
    /// A role by its name (repeatable)
    #[arg(long, value_name = "NAME")]
    role_name: Vec<String>,
}

/// The usual rights of services and nodes.
#[derive(Args, Debug)]
pub(super) struct Identities {
    /// A node's usual rights: NODE:DATACENTER (repeatable)
    #[arg(long, value_name = "NODE:DATACENTER")]
    node_identity: Vec<String>,
    /// A service's usual rights: SERVICE or SERVICE:DATACENTER,DATACENTER (repeatable)
    #[arg(long, value_name = "SERVICE")]
    service_identity: Vec<String>,
}

/// A policy made from a template, or a file of them.
#[derive(Args, Debug)]
pub(super) struct FromTemplate {
    /// A template's name
    #[arg(long, default_value = "", value_name = "NAME", hide_default_value = true)]
    templated_policy: String,
    /// A file of templates and what fills them
    #[arg(long, default_value = "", value_name = "FILE", hide_default_value = true)]
    templated_policy_file: String,
    /// What fills the template: name:VALUE (repeatable)
    #[arg(long, value_name = "NAME:VALUE")]
    var: Vec<String>,
}

impl Policies {
    pub(super) fn is_empty(&self) -> bool {
        self.policy_id.is_empty() && self.policy_name.is_empty()
    }

    pub(super) async fn links(&self, client: &Client, ask: &AskFlags) -> Result<Vec<Link>, String> {
        let mut links: Vec<Link> = self.policy_name.iter().map(|name| named(name)).collect();
        for id in &self.policy_id {
            let id = find::policy(client, ask, id, "").await;
            links.push(with_id(id.map_err(|why| format!("Error resolving policy ID : {why}"))?));
        }
        Ok(links)
    }
}

impl Roles {
    pub(super) fn is_empty(&self) -> bool {
        self.role_id.is_empty() && self.role_name.is_empty()
    }

    pub(super) async fn links(&self, client: &Client, ask: &AskFlags) -> Result<Vec<Link>, String> {
        let mut links: Vec<Link> = self.role_name.iter().map(|name| named(name)).collect();
        for id in &self.role_id {
            let id = find::role(client, ask, id, "").await;
            links.push(with_id(id.map_err(|why| format!("Error resolving role ID : {why}"))?));
        }
        Ok(links)
    }
}

/// Links by name, by id.
pub(super) async fn policies(
    client: &Client,
    ask: &AskFlags,
    ids: &[String],
    names: &[String],
) -> Result<Vec<Link>, String> {
    Policies { policy_id: ids.to_vec(), policy_name: names.to_vec() }.links(client, ask).await
}

/// Links by name, by id.
pub(super) async fn roles(
    client: &Client,
    ask: &AskFlags,
    ids: &[String],
    names: &[String],
) -> Result<Vec<Link>, String> {
    Roles { role_id: ids.to_vec(), role_name: names.to_vec() }.links(client, ask).await
}

fn named(name: &str) -> Link {
    Link { name: name.to_owned(), id: String::new() }
}

fn with_id(id: String) -> Link {
    Link { id, name: String::new() }
}

impl Identities {
    pub(super) fn is_empty(&self) -> bool {
        !self.has_nodes() && !self.has_services()
    }

    pub(super) fn has_services(&self) -> bool {
        !self.service_identity.is_empty()
    }

    pub(super) fn has_nodes(&self) -> bool {
        !self.node_identity.is_empty()
    }

    pub(super) fn services(&self) -> Result<Vec<ServiceIdentity>, String> {
        services(&self.service_identity)
    }

    pub(super) fn nodes(&self) -> Result<Vec<NodeIdentity>, String> {
        nodes(&self.node_identity)
    }
}

/// Reads `SERVICE` and `SERVICE:DATACENTER,DATACENTER`.
pub(super) fn services(texts: &[String]) -> Result<Vec<ServiceIdentity>, String> {
    let one = |text: &String| match text.split(':').collect::<Vec<_>>().as_slice() {
        [service] => Ok(ServiceIdentity { service_name: (*service).into(), datacenters: None }),
        [service, datacenters] => Ok(ServiceIdentity {
            service_name: (*service).into(),
            datacenters: Some(datacenters.split(',').map(String::from).collect()),
        }),
        _ => Err(format!("Malformed -service-identity argument: {text:?}")),
    };
    texts.iter().map(one).collect()
}

/// Reads `NODE:DATACENTER`.
pub(super) fn nodes(texts: &[String]) -> Result<Vec<NodeIdentity>, String> {
    let one = |text: &String| match text.split(':').collect::<Vec<_>>().as_slice() {
        [node, datacenter] => {
            Ok(NodeIdentity { node_name: (*node).into(), datacenter: (*datacenter).into() })
        }
        _ => Err(format!("Malformed -node-identity argument: {text:?}")),
    };
    texts.iter().map(one).collect()
}

impl FromTemplate {
    pub(super) fn is_empty(&self) -> bool {
        self.templated_policy.is_empty() && self.templated_policy_file.is_empty()
    }

    pub(super) fn policies(&self, what: &str) -> Result<Vec<TemplatedPolicy>, String> {
        if !self.templated_policy.is_empty() && !self.templated_policy_file.is_empty() {
            return Err(format!(
                "Cannot combine the use of templated-policy flag with templated-policy-file. To create a {what} with a single \
                 templated policy and simple use case, use -templated-policy. For multiple templated policies and more \
                 complicated use cases, use -templated-policy-file"
            ));
        }
        templated(&self.templated_policy, &self.templated_policy_file, &self.var)
    }
}

/// The policies that a template's name and what fills it, or a file, stand for.
pub(super) fn templated(
    name: &str,
    file: &str,
    variables: &[String],
) -> Result<Vec<TemplatedPolicy>, String> {
    if !file.is_empty() {
        return of_file(file);
    }
    if name.is_empty() {
        return Ok(Vec::new());
    }
    let mut filled = Variables::default();
    for text in variables {
        let pair = colon_pair(text)?;
        if pair.name.eq_ignore_ascii_case("name") {
            filled.name = pair.value;
        }
    }
    let variables = (!variables.is_empty()).then_some(filled);
    Ok(vec![TemplatedPolicy { template_name: name.into(), template_variables: variables, datacenters: None }])
}

fn colon_pair(text: &str) -> Result<Pair, String> {
    match text.split(':').collect::<Vec<_>>().as_slice() {
        [name, value] => Ok(Pair { name: (*name).into(), value: (*value).into() }),
        _ => Err(format!("malformed -var argument: {text:?}, expecting VariableName:Value")),
    }
}

/// `TemplatedPolicy "builtin/service" { Name = "api" }` blocks, HCL or JSON.
fn of_file(file: &str) -> Result<Vec<TemplatedPolicy>, String> {
    let text = data::read(&format!("@{file}"))?;
    let json = text.trim_ascii_start().starts_with(b"{");
    let read: Result<Document, _> =
        if json { hcl1::parse_json(file, &text) } else { hcl1::parse(file, &text) };
    let document = read.map_err(|e| format!("Failed to decode templated policies: {e}"))?;
    let mut out = Vec::new();
    for block in document.root.entries.iter().filter(|block| block.key == "TemplatedPolicy") {
        let Kind::Object(named) = &block.value.kind else {
            return Err(format!("{file}: TemplatedPolicy is a block with the template's name"));
        };
        for template in &named.entries {
            let fill = template.value.to_json(document.syntax);
            let fill = fill.as_array().and_then(|list| list.first()).unwrap_or(&fill);
            let text = |name: &str| fill.get(name).and_then(|value| value.as_str()).unwrap_or_default();
            out.push(TemplatedPolicy {
                template_name: template.key.clone(),
                template_variables: Some(Variables { name: text("Name").into() }),
                datacenters: None,
            });
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::{nodes, services, templated};

    fn texts(text: &str) -> Vec<String> {
        vec![text.to_owned()]
    }

    #[test]
    fn identities_are_taken_apart() {
        assert_eq!(services(&texts("web:a,b")).unwrap()[0].datacenters.as_ref().map(Vec::len), Some(2));
        assert_eq!(services(&texts("a:b:c")).unwrap_err(), "Malformed -service-identity argument: \"a:b:c\"");
        assert_eq!(nodes(&texts("a")).unwrap_err(), "Malformed -node-identity argument: \"a\"");
        assert_eq!(nodes(&texts("a:dc1")).unwrap()[0].datacenter, "dc1");
    }

    #[test]
    fn a_variable_has_one_colon() {
        let filled = templated("builtin/service", "", &texts("name:api")).unwrap();
        assert_eq!(filled[0].template_variables.as_ref().unwrap().name, "api");
        let why = templated("x", "", &texts("name")).unwrap_err();
        assert_eq!(why, "malformed -var argument: \"name\", expecting VariableName:Value");
    }
}
