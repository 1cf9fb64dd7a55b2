//! `acl policy`.

use clap::{Args, Subcommand};
use daemon::Exit;
use registry_client::{Client, Request, RequestError};

use super::{Format, Shown, calls, find, shape::Policy as Written, show};
use crate::{
    client::{AskFlags, NoWords},
    commands::{cluster::usage, data},
    output::failure,
};

/// Look after policies
#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Make a policy
    Create(Create),
    /// Delete a policy
    Delete(Delete),
    /// List the policies
    List(List),
    /// Print a policy
    Read(Read),
    /// Change a policy
    Update(Update),
}

impl Policy {
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

/// Which policy.
#[derive(Args, Debug)]
struct Which {
    /// The policy's id, or the start of it
    #[arg(long, default_value = "", value_name = "ID", hide_default_value = true)]
    id: String,
    /// The policy's name
    #[arg(long, default_value = "", value_name = "NAME", hide_default_value = true)]
    name: String,
}

impl Which {
    fn given(&self) -> Result<(), String> {
        if self.id.is_empty() && self.name.is_empty() {
            return Err("Must specify either the -id or -name parameters".into());
        }
        Ok(())
    }

    async fn id(&self, client: &Client, ask: &AskFlags) -> Result<String, String> {
        let found = find::policy(client, ask, &self.id, &self.name).await;
        found.map_err(|why| format!("Error determining policy ID: {why}"))
    }
}

/// Make a policy
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  ryo acl policy create -name=web -rules=@rules.hcl\n\n\
    Exit codes: 0 made, 1 refused or no answer")]
pub(crate) struct Create {
    /// What it is for
    #[arg(long, default_value = "", value_name = "TEXT", hide_default_value = true)]
    description: String,
    /// Its name
    #[arg(long, default_value = "", value_name = "NAME", hide_default_value = true)]
    name: String,
    /// The rules: text, @FILE, or - for standard input
    #[arg(long, default_value = "", value_name = "RULES", hide_default_value = true)]
    rules: String,
    /// A datacenter where it holds; all without (repeatable)
    #[arg(long, value_name = "NAME")]
    valid_datacenter: Vec<String>,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    no_words: NoWords,
}

fn rules(argument: &str) -> Result<String, String> {
    let read = data::read(argument).map_err(|why| format!("Error loading rules: {why}"))?;
    Ok(String::from_utf8_lossy(&read).into_owned())
}

fn some(datacenters: &[String]) -> Option<Vec<String>> {
    (!datacenters.is_empty()).then(|| datacenters.to_vec())
}

impl Create {
    fn run(self) -> Exit {
        if self.name.is_empty() {
            return failure(format!(
                "Missing required '-name' flag\n{}",
                usage(&["acl", "policy", "create"])
            ));
        }
        let rules = match rules(&self.rules) {
            Ok(rules) => rules,
            Err(why) => return failure(why),
        };
        let format = &self.shown.format;
        format.run(async |client| {
            let policy = Written {
                name: self.name.clone(),
                description: self.description.clone(),
                rules: Some(rules),
                datacenters: some(&self.valid_datacenter),
                ..Written::default()
            };
            let made =
                calls::put(&client, &format.ask, "/v1/acl/policy", &policy, "Failed to create new policy")
                    .await?;
            format.show(&made, |policy| show::policy(policy, self.shown.meta))
        })
    }
}

/// Delete a policy
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  ryo acl policy delete -name=web\n\nExit codes: 0 deleted, 1 refused or no answer"
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
        if let Err(why) = self.which.given() {
            return failure(why);
        }
        self.ask.run(async |client| {
            let id = match self.which.id(&client, &self.ask).await {
                Ok(id) => id,
                Err(why) => return failure(why),
            };
            calls::delete(&client, &self.ask, "/v1/acl/policy", &id, "Policy").await
        })
    }
}

/// List the policies
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  ryo acl policy list\n\nExit codes: 0 listed, 1 refused or no answer")]
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
            let request = Request::get("/v1/acl/policies");
            let listed: Vec<Written> = calls::list(&client, &format.ask, request, "policy").await?;
            format.show(&listed, |policies| show::policies(policies, self.shown.meta))
        })
    }
}

/// Print a policy
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  ryo acl policy read -name=web\n\nExit codes: 0 printed, 1 refused or no answer"
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
        if let Err(why) = self.which.given() {
            return failure(why);
        }
        let format = &self.shown.format;
        format.run(async |client| {
            let (name, ask) = (&self.which.name, &format.ask);
            let found = if self.which.id.is_empty() {
                let found: Result<Option<Written>, _> =
                    find::by_name(&client, ask, "/v1/acl/policy/name", name).await;
                let found = found.map_err(|why| {
                    format!(
                        "Error reading policy \"name:{name}\": Failed to find policy with name {name}: {why}"
                    )
                })?;
                found.ok_or_else(|| format!("Error policy not found: {name}"))?
            } else {
                let id = self.which.id(&client, ask).await?;
                read(&client, ask, &id).await.map_err(|e| format!("Error reading policy \"id:{id}\": {e}"))?
            };
            format.show(&found, |policy| show::policy(policy, self.shown.meta))
        })
    }
}

async fn read(client: &Client, ask: &AskFlags, id: &str) -> Result<Written, RequestError> {
    let request = ask.apply(Request::get(Request::path_to("/v1/acl/policy", id)));
    client.json(&request).await
}

/// Change a policy
#[derive(Args, Debug)]
#[command(after_help = "What is not given stays, but with -no-merge.\n\n\
    Example:\n  ryo acl policy update -name=web -rules=@rules.hcl\n\nExit codes: 0 changed, 1 refused or no answer")]
pub(crate) struct Update {
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Forget what is not given
    #[arg(long)]
    no_merge: bool,
    /// The rules: text, @FILE, or - for standard input
    #[arg(long, value_name = "RULES")]
    rules: Option<String>,
    /// A datacenter where it holds (repeatable)
    #[arg(long, value_name = "NAME")]
    valid_datacenter: Vec<String>,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    no_words: NoWords,
}

impl Update {
    fn run(self) -> Exit {
        if let Err(why) = self.which.given() {
            return failure(why);
        }
        let format: &Format = &self.shown.format;
        format.run(async |client| {
            let id = self.which.id(&client, &format.ask).await?;
            let rules = self.rules.as_deref().map(rules).transpose()?;
            let known = if self.no_merge {
                Written { id: id.clone(), rules: Some(String::new()), ..Written::default() }
            } else {
                read(&client, &format.ask, &id)
                    .await
                    .map_err(|e| format!("Error reading policy {id:?}: {e}"))?
            };
            let name = Some(&self.which.name).filter(|name| !name.is_empty());
            let policy = Written {
                name: name.cloned().unwrap_or(known.name),
                description: self.description.clone().unwrap_or(known.description),
                rules: rules.or(known.rules),
                datacenters: some(&self.valid_datacenter).or(known.datacenters),
                ..known
            };
            let wrong = format!("Error updating policy {id:?}");
            let path = Request::path_to("/v1/acl/policy", &id);
            let changed = calls::put(&client, &format.ask, &path, &policy, &wrong).await?;
            format.show(&changed, |policy| show::policy(policy, self.shown.meta))
        })
    }
}
