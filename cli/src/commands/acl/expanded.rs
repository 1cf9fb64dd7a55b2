//! A token with all that its policies, roles and identities allow, written out.

use super::{
    shape::{Expanded, Grants, Link, Policy, Role},
    show,
};

/// All of it, and what holds where none of it says anything.
pub(super) fn text(expanded: &Expanded, meta: bool) -> String {
    let policies = expanded.expanded_policies.as_deref().unwrap_or_default();
    let mut out = show::token_head(&expanded.token, meta);
    out += &grants(&expanded.token.grants, policies, "");
    let roles = expanded.expanded_roles.as_deref().unwrap_or_default();
    if !roles.is_empty() {
        out += "Roles:\n";
        out += &roles.iter().map(|one| role(one, policies)).collect::<String>();
    }
    out + &defaults(expanded)
}

fn role(role: &Role, policies: &[Policy]) -> String {
    let head =
        format!("\tRole Name: {}\n\t\tID: {}\n\t\tDescription: {}\n", role.name, role.id, role.description);
    head + &grants(&role.grants, policies, "\t\t")
}

/// What is given, each policy with its rules; all set in by `indent`.
fn grants(grants: &Grants, policies: &[Policy], indent: &str) -> String {
    let mut out = String::new();
    let named = |links: &Option<Vec<Link>>| -> Vec<&Policy> {
        let id = |link: &Link| policies.iter().find(|policy| policy.id == link.id);
        links.iter().flatten().filter_map(id).collect()
    };
    let linked = named(&grants.policies);
    if !linked.is_empty() {
        out += &format!("{indent}Policies:\n");
        for policy in linked {
            let id = format!("{indent}\t\tID: {}\n", policy.id);
            out += &format!("{indent}\tPolicy Name: {}\n{id}", policy.name);
            out += &rules(policy, indent);
        }
    }
    let (services, nodes) = (made_of(policies, "builtin/service"), made_of(policies, "builtin/node"));
    let services_of =
        grants.service_identities.iter().flatten().map(|i| (show::service_identity(i), &i.service_name));
    out += &identities("Service Identities", "service", services_of, &services, indent);
    let nodes_of = grants.node_identities.iter().flatten().map(|i| (show::node_identity(i), &i.node_name));
    out += &identities("Node Identities", "node", nodes_of, &nodes, indent);
    let templated = grants.templated_policies.iter().flatten();
    let templated: String = templated.map(|policy| show::templated(policy, "\t")).collect();
    if !templated.is_empty() {
        let lines: String = templated.lines().map(|line| format!("{indent}{line}\n")).collect();
        out += &format!("{indent}Templated Policies:\n{lines}\n");
    }
    out
}

/// The policies that were made of a template.
fn made_of<'p>(policies: &'p [Policy], template: &str) -> Vec<&'p Policy> {
    policies.iter().filter(|policy| policy.description.ends_with(template)).collect()
}

fn identities<'n>(
    title: &str,
    word: &str,
    found: impl Iterator<Item = (String, &'n String)>,
    policies: &[&Policy],
    indent: &str,
) -> String {
    let one = |(text, name): (String, &String)| {
        let wanted = format!("{word} \"{name}\"");
        let policy =
            policies.iter().find(|p| p.rules.as_deref().is_some_and(|rules| rules.contains(&wanted)));
        format!("{indent}\tName: {text}\n") + &policy.map_or_else(String::new, |policy| rules(policy, indent))
    };
    let lines: String = found.map(one).collect();
    if lines.is_empty() { lines } else { format!("{indent}{title}:\n{lines}") }
}

fn rules(policy: &Policy, indent: &str) -> String {
    let rules = policy.rules.as_deref().unwrap_or_default().trim_start_matches('\n');
    let lines = rules.split('\n').map(|line| format!("{indent}\t\t\t{line}\n")).collect::<String>();
    format!("{indent}\t\tDescription: {}\n{indent}\t\tRules:\n{lines}\n", policy.description)
}

fn defaults(expanded: &Expanded) -> String {
    format!(
        "=== End of Authorizer Layer 0: Token ===\n\
         === Start of Authorizer Layer 2: Agent Configuration Defaults (Inherited) ===\n\
         Description: Defined at request-time by the agent that resolves the ACL token; other agents may have different \
         configuration defaults\nResolved By Agent: \"{}\"\n\n\
         Default Policy: {}\n\tDescription: Backstop rule used if no preceding layer has a matching rule (refer to \
         default_policy option in agent configuration)\n\n\
         Down Policy: {}\n\tDescription: Defines what to do if this Token's information cannot be read from the \
         primary_datacenter (refer to down_policy option in agent configuration)\n\n",
        expanded.resolved_by_agent, expanded.agent_acl_default_policy, expanded.agent_acl_down_policy
    )
}
