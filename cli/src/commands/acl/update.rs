//! `acl token update`.

use clap::Args;
use daemon::Exit;
use registry_client::{Client, Request};

use super::{
    Shown, calls, find,
    links::{self, Identities, Policies, Roles},
    role::with,
    shape::{Grants, Link, Token},
    show,
    token::Which,
};
use crate::{
    client::NoWords,
    output::{failure, note},
};

/// Change a token
#[derive(Args, Debug)]
#[command(
    after_help = "What is not given stays; -append-… adds to what there is, the others replace it.\n\n\
    Example:\n  ryo acl token update -accessor-id=4ec1fa36 -append-policy-name=web\n\n\
    Exit codes: 0 changed, 1 refused or no answer"
)]
pub(crate) struct Update {
    /// A further node's usual rights (repeatable)
    #[arg(long, value_name = "NODE:DATACENTER")]
    append_node_identity: Vec<String>,
    /// A further policy by its id (repeatable)
    #[arg(long, value_name = "ID")]
    append_policy_id: Vec<String>,
    /// A further policy by its name (repeatable)
    #[arg(long, value_name = "NAME")]
    append_policy_name: Vec<String>,
    /// A further role by its id (repeatable)
    #[arg(long, value_name = "ID")]
    append_role_id: Vec<String>,
    /// A further role by its name (repeatable)
    #[arg(long, value_name = "NAME")]
    append_role_name: Vec<String>,
    /// A further service's usual rights (repeatable)
    #[arg(long, value_name = "SERVICE")]
    append_service_identity: Vec<String>,
    /// A further template's name
    #[arg(long, default_value = "", value_name = "NAME", hide_default_value = true)]
    append_templated_policy: String,
    /// A file of further templates
    #[arg(long, default_value = "", value_name = "FILE", hide_default_value = true)]
    append_templated_policy_file: String,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// A template's name, instead of those it has
    #[arg(long, default_value = "", value_name = "NAME", hide_default_value = true)]
    replace_templated_policy: String,
    /// A file of templates, instead of those it has
    #[arg(long, default_value = "", value_name = "FILE", hide_default_value = true)]
    replace_templated_policy_file: String,
    /// What fills the template: name:VALUE (repeatable)
    #[arg(long, value_name = "NAME:VALUE")]
    var: Vec<String>,
    #[command(flatten)]
    older: Older,
    #[command(flatten)]
    policies: Policies,
    #[command(flatten)]
    roles: Roles,
    #[command(flatten)]
    identities: Identities,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    no_words: NoWords,
}

/// Older ways to say that what is given is added.
#[derive(Args, Debug)]
struct Older {
    /// Use -append-policy-name
    #[arg(long, hide = true)]
    merge_policies: bool,
    /// Use -append-role-name
    #[arg(long, hide = true)]
    merge_roles: bool,
    /// Use -append-service-identity
    #[arg(long, hide = true)]
    merge_service_identities: bool,
    /// Use -append-node-identity
    #[arg(long, hide = true)]
    merge_node_identities: bool,
}

impl Update {
    pub(super) fn run(self) -> Exit {
        let older = "Use the -accessor-id parameter to specify token by Accessor ID";
        let missing = "Cannot update a token without specifying the -accessor-id parameter";
        let start = match self.which.start(older, missing) {
            Ok(start) => start,
            Err(why) => return failure(why),
        };
        self.tell_of_older();
        let format = &self.shown.format;
        format.run(async |client| {
            let id = find::token(&client, &format.ask, start).await;
            let id = id.map_err(|why| format!("Error determining token ID: {why}"))?;
            let path = Request::path_to("/v1/acl/token", &id);
            let known = client.json(&format.ask.apply(Request::get(path.clone()))).await;
            let mut token: Token = known.map_err(|e| format!("Error when retrieving current token: {e}"))?;
            self.check()?;
            if let Some(description) = &self.description {
                token.description.clone_from(description);
            }
            token.grants = self.grants(&client, token.grants).await?;
            let wrong = format!("Failed to update token {id}");
            let changed = calls::put(&client, &format.ask, &path, &token, &wrong).await?;
            format.show(&changed, |token| show::token(token, self.shown.meta))
        })
    }

    /// Refuses to replace and to add at once.
    fn check(&self) -> Result<(), String> {
        let both = |replaces: bool, appends: bool, what: &str| {
            if replaces && appends { Err(what.to_owned()) } else { Ok(()) }
        };
        let appends = |lists: &[&Vec<String>]| lists.iter().any(|list| !list.is_empty());
        both(
            !self.policies.is_empty(),
            appends(&[&self.append_policy_id, &self.append_policy_name]),
            "Cannot combine the use of policy-id/policy-name flags with append- variants. To set or overwrite existing \
             policies, use -policy-id or -policy-name. To append to existing policies, use -append-policy-id or \
             -append-policy-name.",
        )?;
        both(
            !self.roles.is_empty(),
            appends(&[&self.append_role_id, &self.append_role_name]),
            "Cannot combine the use of role-id/role-name flags with append- variants. To set or overwrite existing roles, \
             use -role-id or -role-name. To append to existing roles, use -append-role-id or -append-role-name.",
        )?;
        both(
            self.identities.has_services(),
            appends(&[&self.append_service_identity]),
            "Cannot combine the use of service-identity flag with append-service-identity. To set or overwrite existing \
             service identities, use -service-identity. To append to existing service identities, use \
             -append-service-identity.",
        )?;
        both(
            self.identities.has_nodes(),
            appends(&[&self.append_node_identity]),
            "Cannot combine the use of node-identity flag with append-node-identity. To set or overwrite existing node \
             identities, use -node-identity. To append to existing node identities, use -append-node-identity.",
        )?;
        both(
            !self.replace_templated_policy.is_empty() || !self.replace_templated_policy_file.is_empty(),
            !self.append_templated_policy.is_empty() || !self.append_templated_policy_file.is_empty(),
            "Cannot combine the use of -append-templated-policy flags with replace-templated-policy. To set or overwrite \
             existing templated policies, use -replace-templated-policy or -replace-templated-policy-file. To append to \
             existing templated policies, use -append-templated-policy or -append-templated-policy-file.",
        )
    }

    fn tell_of_older(&self) {
        let older = &self.older;
        for (on, name, newer) in [
            (older.merge_policies, "merge-policies", "`append-policy-name` or `append-policy-id`"),
            (older.merge_roles, "merge-roles", "`append-role-name` or `append-role-id`"),
            (older.merge_service_identities, "merge-service-identities", "`append-service-identity`"),
            (older.merge_node_identities, "merge-node-identities", "`append-node-identity`"),
        ] {
            if on {
                note(format!(
                    "{name} is deprecated and will be removed in a future Consul version. Use {newer} instead."
                ));
            }
        }
    }

    /// What the token is given from now on.
    async fn grants(&self, client: &Client, known: Grants) -> Result<Grants, String> {
        let ask = &self.shown.format.ask;
        let more = links::policies(client, ask, &self.append_policy_id, &self.append_policy_name).await?;
        let policies = changed(
            known.policies,
            self.policies.links(client, ask).await?,
            more,
            self.older.merge_policies,
            same_link,
        );
        let more = links::roles(client, ask, &self.append_role_id, &self.append_role_name).await?;
        let roles = changed(
            known.roles,
            self.roles.links(client, ask).await?,
            more,
            self.older.merge_roles,
            same_link,
        );
        let service_identities = changed(
            known.service_identities,
            self.identities.services()?,
            links::services(&self.append_service_identity)?,
            self.older.merge_service_identities,
            PartialEq::eq,
        );
        let node_identities = changed(
            known.node_identities,
            self.identities.nodes()?,
            links::nodes(&self.append_node_identity)?,
            self.older.merge_node_identities,
            PartialEq::eq,
        );
        let (new, more) = (
            links::templated(&self.replace_templated_policy, &self.replace_templated_policy_file, &self.var)?,
            links::templated(&self.append_templated_policy, &self.append_templated_policy_file, &self.var)?,
        );
        let templated_policies = changed(known.templated_policies, new, more, false, PartialEq::eq);
        Ok(Grants { policies, roles, service_identities, node_identities, templated_policies })
    }
}

fn same_link(known: &Link, given: &Link) -> bool {
    if given.id.is_empty() { known.name == given.name } else { known.id == given.id }
}

/// What is new instead of what is known, or added to it; what is known when nothing is new.
fn changed<T>(
    known: Option<Vec<T>>,
    new: Vec<T>,
    more: Vec<T>,
    merge: bool,
    is_same: impl Fn(&T, &T) -> bool,
) -> Option<Vec<T>> {
    if !new.is_empty() && !merge {
        return Some(new);
    }
    with(known, Some(new.into_iter().chain(more).collect()), is_same)
}
