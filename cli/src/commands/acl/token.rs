//! `acl token`, but for changing one.

use clap::{Args, Subcommand};
use daemon::Exit;
use registry_client::{Client, Request};
use serde_json::json;

use super::{
    Format, Shown, calls, expanded, find,
    links::{FromTemplate, Identities, Policies, Roles},
    shape::{Expanded, Grants, Token as Written},
    show,
    update::Update,
};
use crate::{
    client::{AskFlags, NoWords},
    output::{failure, note},
};

/// Look after tokens
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Make a token that is given the same as another
    Clone(Clone),
    /// Make a token
    Create(Box<Create>),
    /// Delete a token
    Delete(Delete),
    /// List the tokens
    List(List),
    /// Print a token
    Read(Read),
    /// Change a token
    Update(Box<Update>),
}

impl Token {
    pub(super) fn run(self) -> Exit {
        match self {
            Self::Clone(command) => command.run(),
            Self::Create(command) => command.run(),
            Self::Delete(command) => command.run(),
            Self::List(command) => command.run(),
            Self::Read(command) => command.run(),
            Self::Update(command) => command.run(),
        }
    }
}

/// Which token.
#[derive(Args, Debug)]
pub(super) struct Which {
    /// The token's accessor id, or the start of it
    #[arg(long, default_value = "", value_name = "ID", hide_default_value = true)]
    accessor_id: String,
    /// An older name of -accessor-id
    #[arg(long, default_value = "", value_name = "ID", hide = true)]
    id: String,
}

impl Which {
    /// What was written, with a word on the older name.
    pub(super) fn start(&self, older: &str, missing: &str) -> Result<&str, String> {
        match (&*self.accessor_id, &*self.id) {
            ("", "") => Err(missing.to_owned()),
            ("", id) => {
                note(older);
                Ok(id)
            }
            (id, _) => Ok(id),
        }
    }
}

/// Make a token
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  ryo acl token create -policy-name=web -description='the web servers'\n\n\
    Exit codes: 0 made, 1 refused or no answer"
)]
pub(crate) struct Create {
    /// The accessor id it shall have
    #[arg(long, default_value = "", value_name = "ID", hide_default_value = true)]
    accessor: String,
    /// What it is for
    #[arg(long, default_value = "", value_name = "TEXT", hide_default_value = true)]
    description: String,
    /// How long it lives
    #[arg(long, default_value = "0s", value_name = "DURATION", hide_default_value = true,
        value_parser = registry_wire::duration::parse_nanos)]
    expires_ttl: i64,
    /// Only for this datacenter
    #[arg(long)]
    local: bool,
    /// The secret it shall have
    #[arg(long, default_value = "", value_name = "ID", hide_default_value = true)]
    secret: String,
    #[command(flatten)]
    policies: Policies,
    #[command(flatten)]
    roles: Roles,
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
        let grants_nothing = self.policies.is_empty() && self.roles.is_empty();
        if grants_nothing && self.identities.is_empty() && self.template.is_empty() {
            return failure(
                "Cannot create a token without specifying -policy-name, -policy-id, -role-name, -role-id, \
                 -service-identity, -node-identity, -templated-policy, or -templated-policy-file at least once",
            );
        }
        let format = &self.shown.format;
        format.run(async |client| {
            let token = self.token(&client).await?;
            let wrong = "Failed to create new token";
            let made = calls::put(&client, &format.ask, "/v1/acl/token", &token, wrong).await?;
            format.show(&made, |token| show::token(token, self.shown.meta))
        })
    }

    async fn token(&self, client: &Client) -> Result<Written, String> {
        let ask = &self.shown.format.ask;
        let templated = self.template.policies("token")?;
        let ttl = if self.expires_ttl > 0 {
            registry_wire::duration::format_nanos(self.expires_ttl)
        } else {
            String::new()
        };
        Ok(Written {
            accessor_id: self.accessor.clone(),
            secret_id: self.secret.clone(),
            description: self.description.clone(),
            local: self.local,
            expiration_ttl: ttl,
            grants: Grants {
                policies: Some(self.policies.links(client, ask).await?),
                roles: Some(self.roles.links(client, ask).await?),
                service_identities: Some(self.identities.services()?),
                node_identities: Some(self.identities.nodes()?),
                templated_policies: Some(templated),
            },
            ..Written::default()
        })
    }
}

/// Make a token that is given the same as another
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  ryo acl token clone -accessor-id=4ec1fa36\n\n\
    Exit codes: 0 made, 1 refused or no answer")]
pub(crate) struct Clone {
    /// What the new one is for; as the old one when not given
    #[arg(long, default_value = "", value_name = "TEXT", hide_default_value = true)]
    description: String,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    no_words: NoWords,
}

impl Clone {
    fn run(self) -> Exit {
        let older = "The -id parameter is deprecated. Use the -accessor-id parameter instead.";
        let missing = "Cannot update a token without specifying the -accessor-id parameter";
        let start = match self.which.start(older, missing) {
            Ok(start) => start,
            Err(why) => return failure(why),
        };
        self.format.run(async |client| {
            let ask = &self.format.ask;
            let id = find::token(&client, ask, start).await;
            let id = id.map_err(|why| format!("Error determining token Accessor ID: {why}"))?;
            let path = Request::path_to("/v1/acl/token", &id) + "/clone";
            let body = json!({ "Description": self.description }).to_string();
            let made: Written = client
                .json(&ask.apply(Request::put(path, body)))
                .await
                .map_err(|e| format!("Error cloning token: {e}"))?;
            self.format.show(&made, |token| show::token(token, false))
        })
    }
}

/// Delete a token
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  ryo acl token delete -accessor-id=4ec1fa36\n\n\
    Exit codes: 0 deleted, 1 refused or no answer")]
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
        let older = "Use the -accessor-id parameter to specify token by Accessor ID.";
        let start = match self.which.start(older, "Must specify the -accessor-id parameter") {
            Ok(start) => start,
            Err(why) => return failure(why),
        };
        self.ask.run(async |client| {
            let id = match find::token(&client, &self.ask, start).await {
                Ok(id) => id,
                Err(why) => return failure(format!("Error determining token ID: {why}")),
            };
            calls::delete(&client, &self.ask, "/v1/acl/token", &id, "Token").await
        })
    }
}

/// List the tokens
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  ryo acl token list\n\nExit codes: 0 listed, 1 refused or no answer")]
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
            let request = Request::get("/v1/acl/tokens");
            let listed: Vec<Written> = calls::list(&client, &format.ask, request, "token").await?;
            format.show(&listed, |tokens| {
                let tokens: Vec<String> =
                    tokens.iter().map(|token| show::token(token, self.shown.meta)).collect();
                tokens.join("\n")
            })
        })
    }
}

/// Print a token
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  ryo acl token read -self\n  ryo acl token read -accessor-id=4ec1fa36 -expanded\n\n\
    Exit codes: 0 printed, 1 refused or no answer"
)]
pub(crate) struct Read {
    /// Write out what its policies and roles allow
    #[arg(long)]
    expanded: bool,
    /// The token that asks
    #[arg(long = "self")]
    own: bool,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    no_words: NoWords,
}

impl Read {
    fn run(self) -> Exit {
        let older = "Use the -accessor-id parameter to specify token by Accessor ID";
        let start = match self.own {
            true => Ok("self"),
            false => self.which.start(older, "Must specify the -accessor-id parameter"),
        };
        let start = match start {
            Ok(start) => start,
            Err(why) => return failure(why),
        };
        let format = &self.shown.format;
        format.run(async |client| {
            let (id, wrong) = if self.own {
                (start.to_owned(), "Error reading token".to_owned())
            } else {
                let id = find::token(&client, &format.ask, start).await;
                let id = id.map_err(|why| format!("Error determining token ID: {why}"))?;
                (id.clone(), format!("Error reading token {id:?}"))
            };
            let request = Request::get(Request::path_to("/v1/acl/token", &id));
            let request = if self.expanded { request.with("expanded", "true") } else { request };
            let found: Expanded =
                client.json(&format.ask.apply(request)).await.map_err(|e| format!("{wrong}: {e}"))?;
            if self.expanded {
                return format.show(&found, |found| expanded::text(found, self.shown.meta));
            }
            format.show(&found.token, |token| show::token(token, self.shown.meta))
        })
    }
}
