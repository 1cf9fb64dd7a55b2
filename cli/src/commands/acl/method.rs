//! `acl auth-method`.

use clap::{Args, Subcommand};
use daemon::Exit;
use registry_client::{Client, Request};
use registry_wire::duration;
use serde_json::{Value, json};

use super::{Shown, calls, find, shape::Method as Written, show};
use crate::{
    client::{AskFlags, NoWords},
    commands::{cluster::usage, data},
    output::failure,
};

/// Look after ways to log in
#[derive(Debug, Subcommand)]
pub(crate) enum Method {
    /// Make a way to log in
    Create(Box<Create>),
    /// Delete a way to log in, and the tokens it gave
    Delete(Delete),
    /// List the ways to log in
    List(List),
    /// Print a way to log in
    Read(Read),
    /// Change a way to log in
    Update(Box<Update>),
}

impl Method {
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

/// What can be said of a way to log in.
#[derive(Args, Debug)]
struct Given {
    /// Its settings: JSON, @FILE, or - for standard input
    #[arg(long, default_value = "", value_name = "JSON", hide_default_value = true)]
    config: String,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Its name where people see it
    #[arg(long, value_name = "TEXT")]
    display_name: Option<String>,
    /// The authority of Kubernetes' API, PEM
    #[arg(long, default_value = "", value_name = "PEM", hide_default_value = true)]
    kubernetes_ca_cert: String,
    /// Where Kubernetes' API is
    #[arg(long, default_value = "", value_name = "URL", hide_default_value = true)]
    kubernetes_host: String,
    /// The account that asks Kubernetes' API
    #[arg(long, default_value = "", value_name = "JWT", hide_default_value = true)]
    kubernetes_service_account_jwt: String,
    /// How long its tokens live
    #[arg(long, default_value = "0s", value_name = "DURATION", hide_default_value = true,
        value_parser = duration::parse_nanos)]
    max_token_ttl: i64,
    /// Its name
    #[arg(long, default_value = "", value_name = "NAME", hide_default_value = true)]
    name: String,
    /// Whether its tokens are `local` or `global`
    #[arg(long, value_name = "WHERE")]
    token_locality: Option<String>,
}

impl Given {
    fn kubernetes(&self) -> [(&'static str, &'static str, &String); 3] {
        [
            ("kubernetes-host", "Host", &self.kubernetes_host),
            ("kubernetes-ca-cert", "CACert", &self.kubernetes_ca_cert),
            ("kubernetes-service-account-jwt", "ServiceAccountJWT", &self.kubernetes_service_account_jwt),
        ]
    }

    /// The settings, when any are given.
    fn settings(&self) -> Result<Option<Value>, String> {
        let any = self.kubernetes().iter().any(|(_, _, value)| !value.is_empty());
        match (self.config.is_empty(), any) {
            (true, false) => Ok(None),
            (false, true) => Err("Cannot use command line arguments with '-config' flags".into()),
            (false, false) => {
                let text = data::read(&self.config)
                    .map_err(|why| format!("Error loading configuration file: {why}"))?;
                let read = serde_json::from_slice(&text);
                read.map(Some).map_err(|e| {
                    let why = if e.is_eof() { "unexpected end of JSON input".into() } else { e.to_string() };
                    format!("Error parsing JSON configuration file: {why}")
                })
            }
            (true, true) => {
                let mut settings = serde_json::Map::new();
                for (_, name, value) in self.kubernetes().iter().filter(|(_, _, value)| !value.is_empty()) {
                    let value = data::read(value).map_err(|why| format!("Error loading '-{name}': {why}"))?;
                    settings.insert((*name).to_owned(), String::from_utf8_lossy(&value).into());
                }
                Ok(Some(settings.into()))
            }
        }
    }

    /// A method with what is given instead of what it had.
    fn onto(&self, known: Written) -> Result<Written, String> {
        let ttl = if self.max_token_ttl > 0 {
            duration::format_nanos(self.max_token_ttl)
        } else {
            known.max_token_ttl
        };
        Ok(Written {
            max_token_ttl: ttl,
            name: self.name.clone(),
            display_name: self.display_name.clone().unwrap_or(known.display_name),
            description: self.description.clone().unwrap_or(known.description),
            token_locality: self.token_locality.clone().unwrap_or(known.token_locality),
            config: self.settings()?.unwrap_or(known.config),
            ..known
        })
    }
}

/// Make a way to log in
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  ryo acl auth-method create -type=jwt -name=ci -config=@jwt.json\n\n\
    Exit codes: 0 made, 1 refused or no answer")]
pub(crate) struct Create {
    /// Its type: jwt, kubernetes …
    #[arg(long = "type", default_value = "", value_name = "TYPE", hide_default_value = true)]
    kind: String,
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    no_words: NoWords,
}

impl Create {
    fn run(self) -> Exit {
        for (name, value) in [("type", &self.kind), ("name", &self.given.name)] {
            if value.is_empty() {
                return failure(format!(
                    "Missing required '-{name}' flag\n{}",
                    usage(&["acl", "auth-method", "create"])
                ));
            }
        }
        let is_kubernetes = self.kind == "kubernetes" && self.given.config.is_empty();
        let missing =
            self.given.kubernetes().into_iter().find(|(_, _, value)| is_kubernetes && value.is_empty());
        if let Some((name, ..)) = missing {
            return failure(format!("Missing required '-{name}' flag"));
        }
        let format = &self.shown.format;
        format.run(async |client| {
            let new = Written { kind: self.kind.clone(), ..Written::default() };
            let method = self.given.onto(new)?;
            let wrong = "Failed to create new auth method";
            let made = calls::put(&client, &format.ask, "/v1/acl/auth-method", &method, wrong).await?;
            format.show(&made, |method| show::method(method, self.shown.meta))
        })
    }
}

/// Delete a way to log in, and the tokens it gave
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  ryo acl auth-method delete -name=ci\n\n\
    Exit codes: 0 deleted, 1 refused or no answer")]
pub(crate) struct Delete {
    /// Its name
    #[arg(long, default_value = "", value_name = "NAME", hide_default_value = true)]
    name: String,
    #[command(flatten)]
    ask: AskFlags,
    #[command(flatten)]
    no_words: NoWords,
}

impl Delete {
    fn run(self) -> Exit {
        if self.name.is_empty() {
            return failure("Must specify the -name parameter");
        }
        self.ask.run(async |client| {
            let name = &self.name;
            calls::delete(&client, &self.ask, "/v1/acl/auth-method", name, "Auth method").await
        })
    }
}

/// List the ways to log in
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  ryo acl auth-method list\n\nExit codes: 0 listed, 1 refused or no answer"
)]
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
            let request = Request::get("/v1/acl/auth-methods");
            let listed: Vec<Written> = calls::list(&client, &format.ask, request, "auth method").await?;
            format.show(&listed, |methods| show::methods(methods, self.shown.meta))
        })
    }
}

/// Print a way to log in
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  ryo acl auth-method read -name=ci\n\nExit codes: 0 printed, 1 refused or no answer"
)]
pub(crate) struct Read {
    /// Its name
    #[arg(long, default_value = "", value_name = "NAME", hide_default_value = true)]
    name: String,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    no_words: NoWords,
}

impl Read {
    fn run(self) -> Exit {
        if self.name.is_empty() {
            return failure("Must specify the -name parameter");
        }
        let format = &self.shown.format;
        format.run(async |client| {
            let found = known(&client, &format.ask, &self.name).await?;
            format.show(&found, |method| show::method(method, self.shown.meta))
        })
    }
}

async fn known(client: &Client, ask: &AskFlags, name: &str) -> Result<Written, String> {
    let found: Option<Written> = find::by_name(client, ask, "/v1/acl/auth-method", name)
        .await
        .map_err(|why| format!("Error reading auth method {name:?}: {why}"))?;
    found.ok_or_else(|| format!("Auth method not found with name {name:?}"))
}

/// Change a way to log in
#[derive(Args, Debug)]
#[command(after_help = "What is not given stays, but with -no-merge.\n\n\
    Example:\n  ryo acl auth-method update -name=ci -max-token-ttl=1h\n\nExit codes: 0 changed, 1 refused or no answer")]
pub(crate) struct Update {
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
        let name = &self.given.name;
        if name.is_empty() {
            return failure("Cannot update an auth method without specifying the -name parameter");
        }
        let format = &self.shown.format;
        format.run(async |client| {
            let old: Option<Written> = find::by_name(&client, &format.ask, "/v1/acl/auth-method", name)
                .await
                .map_err(|why| format!("Error when retrieving current auth method: {why}"))?;
            let old = old.ok_or_else(|| format!("Auth method not found with name {name:?}"))?;
            let old = if self.no_merge {
                Written { kind: old.kind, config: json!({}), ..Written::default() }
            } else {
                old
            };
            let method = self.given.onto(old)?;
            let wrong = format!("Error updating auth method {name:?}");
            let path = Request::path_to("/v1/acl/auth-method", name);
            let changed = calls::put(&client, &format.ask, &path, &method, &wrong).await?;
            format.show(&changed, |method| show::method(method, self.shown.meta))
        })
    }
}
