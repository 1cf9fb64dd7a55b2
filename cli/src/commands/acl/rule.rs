//! `acl binding-rule`.

use clap::{Args, Subcommand};
use daemon::Exit;
use registry_client::{Client, Request};

use super::{
    Shown, calls, find,
    shape::{Rule as Written, Variables},
    show,
};
use crate::{
    client::{AskFlags, NoWords},
    commands::cluster::usage,
    flags::{Pair, pair},
    output::failure,
};

/// Look after what logging in gives
#[derive(Debug, Subcommand)]
pub(crate) enum Rule {
    /// Make a rule
    Create(Box<Create>),
    /// Delete a rule
    Delete(Delete),
    /// List the rules
    List(List),
    /// Print a rule
    Read(Read),
    /// Change a rule
    Update(Box<Update>),
}

impl Rule {
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

/// What can be said of a rule.
#[derive(Args, Debug)]
struct Given {
    /// What it gives: a name, which may hold ${variables}
    #[arg(long, value_name = "NAME")]
    bind_name: Option<String>,
    /// What that names: service, role, node, policy or templated-policy
    #[arg(long, value_name = "TYPE")]
    bind_type: Option<String>,
    /// What fills a template: name=VALUE (repeatable)
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    bind_vars: Vec<Pair>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Whom it is for: an expression on what the method says of them
    #[arg(long, value_name = "EXPRESSION")]
    selector: Option<String>,
}

impl Given {
    /// A rule with what is given instead of what it had.
    fn onto(&self, known: Written) -> Written {
        let named = self.bind_vars.iter().find(|pair| pair.name.eq_ignore_ascii_case("name"));
        let variables = named.map(|pair| Variables { name: pair.value.clone() });
        Written {
            description: self.description.clone().unwrap_or(known.description),
            selector: self.selector.clone().unwrap_or(known.selector),
            bind_type: self.bind_type.clone().unwrap_or(known.bind_type),
            bind_name: self.bind_name.clone().unwrap_or(known.bind_name),
            bind_vars: variables.or(known.bind_vars),
            ..known
        }
    }
}

/// Make a rule
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  ryo acl binding-rule create -method=ci -bind-type=role -bind-name=deploy \\\n    \
    -selector='value.repo == web'\n\nExit codes: 0 made, 1 refused or no answer"
)]
pub(crate) struct Create {
    /// The way to log in
    #[arg(long, default_value = "", value_name = "NAME", hide_default_value = true)]
    method: String,
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    no_words: NoWords,
}

impl Create {
    fn run(self) -> Exit {
        let missing = match (&*self.method, self.given.bind_name.as_deref().unwrap_or_default()) {
            ("", _) => Some("method"),
            (_, "") => Some("bind-name"),
            _ => None,
        };
        if let Some(name) = missing {
            return failure(format!(
                "Missing required '-{name}' flag\n{}",
                usage(&["acl", "binding-rule", "create"])
            ));
        }
        let format = &self.shown.format;
        format.run(async |client| {
            let new = Written {
                auth_method: self.method.clone(),
                bind_type: "service".into(),
                ..Written::default()
            };
            let wrong = "Failed to create new binding rule";
            let made = calls::put(&client, &format.ask, "/v1/acl/binding-rule", &self.given.onto(new), wrong)
                .await?;
            format.show(&made, |rule| show::rule(rule, self.shown.meta))
        })
    }
}

/// Delete a rule
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  ryo acl binding-rule delete -id=3281fb5a\n\n\
    Exit codes: 0 deleted, 1 refused or no answer")]
pub(crate) struct Delete {
    /// Its id, or the start of it
    #[arg(long, default_value = "", value_name = "ID", hide_default_value = true)]
    id: String,
    #[command(flatten)]
    ask: AskFlags,
    #[command(flatten)]
    no_words: NoWords,
}

impl Delete {
    fn run(self) -> Exit {
        if self.id.is_empty() {
            return failure("Must specify the -id parameter");
        }
        self.ask.run(async |client| {
            let id = match rule_id(&client, &self.ask, &self.id).await {
                Ok(id) => id,
                Err(why) => return failure(why),
            };
            calls::delete(&client, &self.ask, "/v1/acl/binding-rule", &id, "Binding rule").await
        })
    }
}

async fn rule_id(client: &Client, ask: &AskFlags, start: &str) -> Result<String, String> {
    find::rule(client, ask, start).await.map_err(|why| format!("Error determining binding rule ID: {why}"))
}

/// List the rules
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  ryo acl binding-rule list -method=ci\n\n\
    Exit codes: 0 listed, 1 refused or no answer")]
pub(crate) struct List {
    /// Only those of this way to log in
    #[arg(long, default_value = "", value_name = "NAME", hide_default_value = true)]
    method: String,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    no_words: NoWords,
}

impl List {
    fn run(self) -> Exit {
        let format = &self.shown.format;
        format.run(async |client| {
            let request = Request::get("/v1/acl/binding-rules").with_unless_empty("authmethod", &self.method);
            let listed: Vec<Written> = calls::list(&client, &format.ask, request, "binding rule").await?;
            format.show(&listed, |rules| show::rules(rules, self.shown.meta))
        })
    }
}

/// Print a rule
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  ryo acl binding-rule read -id=3281fb5a\n\n\
    Exit codes: 0 printed, 1 refused or no answer")]
pub(crate) struct Read {
    /// Its id, or the start of it
    #[arg(long, default_value = "", value_name = "ID", hide_default_value = true)]
    id: String,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    no_words: NoWords,
}

impl Read {
    fn run(self) -> Exit {
        if self.id.is_empty() {
            return failure("Must specify the -id parameter.");
        }
        let format = &self.shown.format;
        format.run(async |client| {
            let id = rule_id(&client, &format.ask, &self.id).await?;
            let found = known(&client, &format.ask, &id).await?;
            format.show(&found, |rule| show::rule(rule, self.shown.meta))
        })
    }
}

async fn known(client: &Client, ask: &AskFlags, id: &str) -> Result<Written, String> {
    let found: Option<Written> = find::by_name(client, ask, "/v1/acl/binding-rule", id)
        .await
        .map_err(|why| format!("Error reading binding rule {id:?}: {why}"))?;
    found.ok_or_else(|| format!("Binding rule not found with ID {id:?}"))
}

/// Change a rule
#[derive(Args, Debug)]
#[command(after_help = "What is not given stays, but with -no-merge.\n\n\
    Example:\n  ryo acl binding-rule update -id=3281fb5a -bind-name=web\n\nExit codes: 0 changed, 1 refused or no answer")]
pub(crate) struct Update {
    /// Its id, or the start of it
    #[arg(long, default_value = "", value_name = "ID", hide_default_value = true)]
    id: String,
    /// Forget what is not given
    #[arg(long)]
    no_merge: bool,
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    no_words: NoWords,
}

impl Update {
    fn run(self) -> Exit {
        if self.id.is_empty() {
            return failure("Cannot update a binding rule without specifying the -id parameter");
        }
        let format = &self.shown.format;
        format.run(async |client| {
            let id = rule_id(&client, &format.ask, &self.id).await?;
            let old = known(&client, &format.ask, &id).await?;
            let old = if self.no_merge {
                let (id, auth_method, bind_type) = (old.id, old.auth_method, old.bind_type);
                Written { id, auth_method, bind_type, ..Written::default() }
            } else {
                old
            };
            let wrong = format!("Error updating binding rule {id:?}");
            let path = Request::path_to("/v1/acl/binding-rule", &id);
            let changed = calls::put(&client, &format.ask, &path, &self.given.onto(old), &wrong).await?;
            format.show(&changed, |rule| show::rule(rule, self.shown.meta))
        })
    }
}
