//! `acl`, `login`, `logout`: tokens, and what they allow.
//!
//! The commands are whole; where the registry has no access control they end with its own words. `shape` is what travels,
//! `show` how it is printed, `calls` what every group asks alike, `links` the flags that tie policies and identities to
//! tokens and roles, `find` turns a name or the start of an id into an id.

mod agent_token;
mod bootstrap;
mod calls;
mod expanded;
mod find;
mod links;
mod login;
mod method;
mod policy;
mod role;
mod rule;
mod shape;
mod show;
mod template;
mod token;
mod update;

use clap::{Args, Subcommand};
use daemon::Exit;
use serde::Serialize;

pub(crate) use self::login::{Login, Logout};
use crate::{
    client::AskFlags,
    output::{failure, json, line},
};

/// Look after tokens and what they allow
#[derive(Debug, Subcommand)]
pub(crate) enum Acl {
    /// Look after ways to log in
    #[command(subcommand)]
    AuthMethod(method::Method),
    /// Look after what logging in gives
    #[command(subcommand)]
    BindingRule(rule::Rule),
    /// Make the first token
    Bootstrap(bootstrap::Bootstrap),
    /// Look after policies
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Look after roles
    #[command(subcommand)]
    Role(role::Role),
    /// Give the agent a token for its own work
    SetAgentToken(agent_token::SetAgentToken),
    /// Look at the policies that are made from templates
    #[command(subcommand)]
    TemplatedPolicy(template::Template),
    /// Look after tokens
    #[command(subcommand)]
    Token(Box<token::Token>),
}

impl Acl {
    pub(crate) fn run(self) -> Exit {
        match self {
            Self::AuthMethod(command) => command.run(),
            Self::BindingRule(command) => command.run(),
            Self::Bootstrap(command) => command.run(),
            Self::Policy(command) => command.run(),
            Self::Role(command) => command.run(),
            Self::SetAgentToken(command) => command.run(),
            Self::TemplatedPolicy(command) => command.run(),
            Self::Token(command) => command.run(),
        }
    }
}

/// How an answer is printed.
#[derive(Args, Debug)]
struct Format {
    /// `pretty` or `json`
    #[arg(long, default_value = "pretty", value_name = "FORMAT")]
    format: String,
    #[command(flatten)]
    ask: AskFlags,
}

impl Format {
    /// Prints what was answered, in words or as JSON.
    fn show<T: Serialize>(&self, answer: &T, words: impl FnOnce(&T) -> String) -> Result<Exit, String> {
        match self.format.as_str() {
            "pretty" if !self.ask.json() => {
                Some(words(answer)).filter(|words| !words.is_empty()).map_or((), line)
            }
            "pretty" | "json" => line(json(answer)),
            other => return Err(format!("Unknown format: {other}")),
        }
        Ok(Exit::Success)
    }

    /// Runs what a command asks of its agent to the end.
    fn run(&self, ask: impl AsyncFnOnce(registry_client::Client) -> Result<Exit, String>) -> Exit {
        self.ask.run(async |client| ask(client).await.unwrap_or_else(failure))
    }
}

/// A format, and whether hashes and indexes are shown too.
#[derive(Args, Debug)]
struct Shown {
    /// Print hashes and indexes too
    #[arg(long)]
    meta: bool,
    #[command(flatten)]
    format: Format,
}
