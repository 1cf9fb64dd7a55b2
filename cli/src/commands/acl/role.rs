//! `acl role`.

use clap::{Args, Subcommand};
use daemon::Exit;
use registry_client::{Client, Request};

use super::{
    Shown, calls, find,
    links::{self, FromTemplate, Identities, Policies},
    shape::{Grants, Role as Written},
    show,
};
use crate::{
    client::{AskFlags, NoWords},
    commands::cluster::usage,
    output::failure,
};

/// Look after roles
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// Make a role
    Create(Box<Create>),
    /// Delete a role
    Delete(Delete),
    /// List the roles
    List(List),
    /// Print a role
    Read(Read),
    /// Change a role
    Update(Box<Update>),
}

impl Role {
    pub(super) fn run(self) -> Exit {
        match self {
            Self::Create(command) => command.run(),
            Self::Delete(command) => command.run(),
            Self::List(command) => command.run(),
            Self::Read(command) => command.run(),
            Self::Update(command) => command.run(),
        }
    }
}

/// Which role.
#[derive(Args, Debug)]
struct Which {
    /// The role's id, or the start of it
    #[arg(long, default_value = "", value_name = "ID", hide_default_value = true)]
    id: String,
    /// The role's name
    #[arg(long, default_value = "", value_name = "NAME", hide_default_value = true)]
    name: String,
}

impl Which {
    fn is_empty(&self) -> bool {
        self.id.is_empty() && self.name.is_empty()
    }
}

async fn role_id(client: &Client, ask: &AskFlags, which: &Which) -> Result<String, String> {
    let found = find::role(client, ask, &which.id, &which.name).await;
    found.map_err(|why| format!("Error determining role ID: {why}"))
}

/// Make a role
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  ryo acl role create -name=web -policy-name=web -service-identity=web\n\n\
    Exit codes: 0 made, 1 refused or no answer"
)]
pub(crate) struct Create {
    /// What it is for
    #[arg(long, default_value = "", value_name = "TEXT", hide_default_value = true)]
    description: String,
    /// Its name
    #[arg(long, default_value = "", value_name = "NAME", hide_default_value = true)]
    name: String,
    #[command(flatten)]
    policies: Policies,
    #[command(flatten)]
    identities: Identities,
    #[command(flatten)]
    template: FromTemplate,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    no_words: NoWords,
}

impl Create {
    fn run(self) -> Exit {
        if self.name.is_empty() {
            return failure(format!("Missing required '-name' flag\n{}", usage(&["acl", "role", "create"])));
        }
        if self.policies.is_empty() && self.identities.is_empty() && self.template.is_empty() {
            return failure(
                "Cannot create a role without specifying -policy-name, -policy-id, -service-identity, -node-identity, \
                 -templated-policy-file or -templated-policy at least once",
            );
        }
        let format = &self.shown.format;
        format.run(async |client| {
            let templated = self.template.policies("role")?;
            let grants = Grants {
                policies: Some(self.policies.links(&client, &format.ask).await?),
                roles: None,
                service_identities: Some(self.identities.services()?),
                node_identities: Some(self.identities.nodes()?),
                templated_policies: Some(templated),
            };
            let role = Written {
                name: self.name.clone(),
                description: self.description.clone(),
                grants,
                ..Written::default()
            };
            let made =
                calls::put(&client, &format.ask, "/v1/acl/role", &role, "Failed to create new role").await?;
            format.show(&made, |role| show::role(role, self.shown.meta))
        })
    }
}

/// Delete a role
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  ryo acl role delete -name=web\n\nExit codes: 0 deleted, 1 refused or no answer"
)]
pub(crate) struct Delete {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    ask: AskFlags,
    #[command(flatten)]
    no_words: NoWords,
}

impl Delete {
    fn run(self) -> Exit {
        if self.which.is_empty() {
            return failure("Must specify the -id or -name parameters");
        }
        self.ask.run(async |client| {
            let id = match role_id(&client, &self.ask, &self.which).await {
                Ok(id) => id,
                Err(why) => return failure(why),
            };
            calls::delete(&client, &self.ask, "/v1/acl/role", &id, "Role").await
        })
    }
}

/// List the roles
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  ryo acl role list\n\nExit codes: 0 listed, 1 refused or no answer")]
pub(crate) struct List {
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    no_words: NoWords,
}

impl List {
    fn run(self) -> Exit {
        let format = &self.shown.format;
        format.run(async |client| {
            let request = Request::get("/v1/acl/roles");
            let listed: Vec<Written> = calls::list(&client, &format.ask, request, "role").await?;
            format.show(&listed, |roles| show::roles(roles, self.shown.meta))
        })
    }
}

/// Print a role
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  ryo acl role read -name=web\n\nExit codes: 0 printed, 1 refused or no answer"
)]
pub(crate) struct Read {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    no_words: NoWords,
}

impl Read {
    fn run(self) -> Exit {
        if self.which.is_empty() {
            return failure("Must specify either the -id or -name parameters");
        }
        let format = &self.shown.format;
        format.run(async |client| {
            let (name, ask) = (&self.which.name, &format.ask);
            let (path, key, said) = if self.which.id.is_empty() {
                ("/v1/acl/role/name", name.clone(), format!("name {name:?}"))
            } else {
                let id = role_id(&client, ask, &self.which).await?;
                ("/v1/acl/role", id.clone(), format!("ID {id:?}"))
            };
            let found: Option<Written> = find::by_name(&client, ask, path, &key)
                .await
                .map_err(|why| format!("Error reading role {key:?}: {why}"))?;
            let found = found.ok_or_else(|| format!("Role not found with {said}"))?;
            format.show(&found, |role| show::role(role, self.shown.meta))
        })
    }
}

/// Change a role
#[derive(Args, Debug)]
#[command(after_help = "What is not given stays and what is given is added, but with -no-merge.\n\n\
    Example:\n  ryo acl role update -id=b92f -policy-name=web\n\nExit codes: 0 changed, 1 refused or no answer")]
pub(crate) struct Update {
    /// A further template's name
    #[arg(long, default_value = "", value_name = "NAME", hide_default_value = true)]
    append_templated_policy: String,
    /// A file of further templates
    #[arg(long, default_value = "", value_name = "FILE", hide_default_value = true)]
    append_templated_policy_file: String,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Forget what is not given
    #[arg(long)]
    no_merge: bool,
    /// A template's name, instead of those it has
    #[arg(
        long,
        alias = "templated-policy",
        default_value = "",
        value_name = "NAME",
        hide_default_value = true
    )]
    replace_templated_policy: String,
    /// A file of templates, instead of those it has
    #[arg(
        long,
        alias = "templated-policy-file",
        default_value = "",
        value_name = "FILE",
        hide_default_value = true
    )]
    replace_templated_policy_file: String,
    /// What fills the template: name:VALUE (repeatable)
    #[arg(long, value_name = "NAME:VALUE")]
    var: Vec<String>,
    #[command(flatten)]
    policies: Policies,
    #[command(flatten)]
    identities: Identities,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    no_words: NoWords,
}

impl Update {
    fn run(self) -> Exit {
        if self.which.id.is_empty() {
            return failure("Cannot update a role without specifying the -id parameter");
        }
        let appends =
            !self.append_templated_policy.is_empty() || !self.append_templated_policy_file.is_empty();
        let replaces =
            !self.replace_templated_policy.is_empty() || !self.replace_templated_policy_file.is_empty();
        if appends && replaces {
            return failure(
                "Cannot combine the use of append-templated-policy flags with replace-templated-policy. To set or overwrite \
                 existing templated policies, use -replace-templated-policy or -replace-templated-policy-file. To append to \
                 existing templated policies, use -append-templated-policy or -append-templated-policy-file.",
            );
        }
        let format = &self.shown.format;
        format.run(async |client| {
            let id = role_id(&client, &format.ask, &self.which).await?;
            let known = self.known(&client, &id).await?;
            let given = self.given(&client, replaces).await?;
            let name = Some(&self.which.name).filter(|name| !name.is_empty());
            let role = Written {
                name: name.cloned().unwrap_or(known.name),
                description: self.description.clone().unwrap_or(known.description),
                grants: merged(known.grants, given, replaces),
                id: id.clone(),
                ..known
            };
            let wrong = format!("Error updating role {id:?}");
            let changed =
                calls::put(&client, &format.ask, &Request::path_to("/v1/acl/role", &id), &role, &wrong)
                    .await?;
            format.show(&changed, |role| show::role(role, self.shown.meta))
        })
    }

    async fn known(&self, client: &Client, id: &str) -> Result<Written, String> {
        if self.no_merge {
            return Ok(Written::default());
        }
        let found: Option<Written> = find::by_name(client, &self.shown.format.ask, "/v1/acl/role", id)
            .await
            .map_err(|why| format!("Error when retrieving current role: {why}"))?;
        found.ok_or_else(|| format!("Role not found with ID {id:?}"))
    }

    async fn given(&self, client: &Client, replaces: bool) -> Result<Grants, String> {
        let (name, file) = if replaces {
            (&self.replace_templated_policy, &self.replace_templated_policy_file)
        } else {
            (&self.append_templated_policy, &self.append_templated_policy_file)
        };
        Ok(Grants {
            policies: Some(self.policies.links(client, &self.shown.format.ask).await?),
            roles: None,
            service_identities: Some(self.identities.services()?),
            node_identities: Some(self.identities.nodes()?),
            templated_policies: Some(links::templated(name, file, &self.var)?),
        })
    }
}

/// What it had, and what is given besides.
fn merged(known: Grants, given: Grants, replaces: bool) -> Grants {
    let templated = if replaces { None } else { known.templated_policies };
    Grants {
        policies: with(known.policies, given.policies, |a, b| {
            (!b.id.is_empty() && a.id == b.id) || (!b.name.is_empty() && a.name == b.name)
        }),
        roles: known.roles,
        service_identities: with(known.service_identities, given.service_identities, PartialEq::eq),
        node_identities: with(known.node_identities, given.node_identities, PartialEq::eq),
        templated_policies: with(templated, given.templated_policies, PartialEq::eq),
    }
}

/// The first list, and what the second has besides.
pub(super) fn with<T>(
    known: Option<Vec<T>>,
    given: Option<Vec<T>>,
    is_same: impl Fn(&T, &T) -> bool,
) -> Option<Vec<T>> {
    let mut all = known.unwrap_or_default();
    for item in given.unwrap_or_default() {
        if !all.iter().any(|old| is_same(old, &item)) {
            all.push(item);
        }
    }
    Some(all)
}
