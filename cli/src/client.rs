//! The flags that every command has which asks an agent, and how it asks.

use std::{future::Future, path::PathBuf};

use clap::Args;
use daemon::Exit;
use registry_client::{Client, Request, RequestError, Response, Settings};

use crate::{certificates, flags::path, output::failure, program::called_consul};

/// Begins what is said when no client can be made of flags and environment.
const NO_CLIENT: &str = "Error connecting to Consul agent";

/// Where the agent is and who asks.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Where and as whom")]
pub(crate) struct ClientFlags {
    /// The agent: `HOST:PORT`, `http://`, `https://` or `unix:///path`; also CONSUL_HTTP_ADDR
    #[arg(long, value_name = "ADDRESS")]
    http_addr: Option<String>,
    /// The ACL token; also CONSUL_HTTP_TOKEN
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// A file with the ACL token; also CONSUL_HTTP_TOKEN_FILE
    #[arg(long, value_name = "FILE", value_parser = path)]
    token_file: Option<PathBuf>,
    /// Authorities to trust, PEM; also CONSUL_CACERT
    #[arg(long, value_name = "FILE", value_parser = path)]
    ca_file: Option<PathBuf>,
    /// A folder of them; also CONSUL_CAPATH
    #[arg(long, value_name = "FOLDER", value_parser = path)]
    ca_path: Option<PathBuf>,
    /// The client's certificate, PEM; also CONSUL_CLIENT_CERT
    #[arg(long, value_name = "FILE", value_parser = path)]
    client_cert: Option<PathBuf>,
    /// Its key; also CONSUL_CLIENT_KEY
    #[arg(long, value_name = "FILE", value_parser = path)]
    client_key: Option<PathBuf>,
    /// The name in the agent's certificate; also CONSUL_TLS_SERVER_NAME
    #[arg(long, value_name = "NAME")]
    tls_server_name: Option<String>,
    /// Print the answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which servers answer.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Which servers answer")]
pub(crate) struct ServerFlags {
    /// Ask another datacenter
    #[arg(long, value_name = "NAME")]
    pub(crate) datacenter: Option<String>,
    /// Let any server answer, maybe from an older state
    #[arg(long)]
    stale: bool,
    /// For Consul Enterprise; refused by the registry
    #[arg(long, hide = true)]
    namespace: Option<String>,
    #[command(flatten)]
    partition: PartitionFlag,
}

/// Consul's partitions, for the commands that name one.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct PartitionFlag {
    /// For Consul Enterprise; refused by the registry
    #[arg(long, hide = true)]
    partition: Option<String>,
}

impl PartitionFlag {
    /// The request with the flag as a parameter.
    pub(crate) fn apply(&self, request: Request) -> Request {
        request.with_unless_empty("partition", self.partition.as_deref().unwrap_or_default())
    }
}

impl ClientFlags {
    /// A client for these flags and the environment, flags first.
    ///
    /// Errors, in words for the user, when they cannot be used.
    pub(crate) fn client(&self) -> Result<Client, String> {
        self.client_or(NO_CLIENT)
    }

    /// The same; `wrong` begins what is said when there is none.
    fn client_or(&self, wrong: &str) -> Result<Client, String> {
        self.settings().and_then(|settings| self.client_of(settings)).map_err(|why| format!("{wrong}: {why}"))
    }

    fn client_of(&self, settings: Settings) -> Result<Client, String> {
        if let Some((scheme, _)) = settings.address.split_once("://")
            && !["http", "https", "unix"].contains(&scheme)
        {
            return Err(format!("Unknown protocol scheme: {scheme}"));
        }
        certificates::check(&settings.tls)?;
        Client::new(settings).map_err(|e| e.to_string())
    }

    fn settings(&self) -> Result<Settings, String> {
        let mut settings = Settings { keeps_odd: called_consul(), ..Settings::from_environment() };
        let take = |flag: &Option<String>, into: &mut String| {
            if let Some(value) = flag.as_ref().filter(|value| !value.is_empty()) {
                value.clone_into(into);
            }
        };
        take(&self.http_addr, &mut settings.address);
        take(&self.tls_server_name, &mut settings.tls.server_name);
        let some = |flag: &Option<PathBuf>| flag.clone().filter(|path| !path.as_os_str().is_empty());
        let flag_file = some(&self.token_file);
        let environment_file = settings.token_file.take().filter(|_| self.token.is_none());
        take(&self.token, &mut settings.token);
        if let Some(path) = flag_file.or(environment_file) {
            settings.token = read_token(&path)?;
        }
        let tls = &mut settings.tls;
        for (flag, into) in [
            (&self.ca_file, &mut tls.ca_file),
            (&self.ca_path, &mut tls.ca_path),
            (&self.client_cert, &mut tls.cert_file),
            (&self.client_key, &mut tls.key_file),
        ] {
            *into = some(flag).or(into.take());
        }
        Ok(settings)
    }

    /// Clients for the given addresses, one after the other, when neither a flag nor the environment names one.
    pub(crate) fn elsewhere(&self, addresses: &[String]) -> Vec<Client> {
        match self.settings() {
            Ok(settings) if settings.address.is_empty() => addresses
                .iter()
                .filter_map(|address| {
                    self.client_of(Settings { address: address.clone(), ..settings.clone() }).ok()
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Runs what a command asks of its agent to the end.
    pub(crate) fn run<F: Future<Output = Exit>>(&self, ask: impl FnOnce(Client) -> F) -> Exit {
        self.run_saying(NO_CLIENT, ask)
    }

    /// The same; `wrong` begins what is said when no client can be made.
    pub(crate) fn run_saying<F: Future<Output = Exit>>(
        &self,
        wrong: &str,
        ask: impl FnOnce(Client) -> F,
    ) -> Exit {
        match self.client_or(wrong) {
            Ok(client) => block_on(ask(client)),
            Err(why) => failure(why),
        }
    }
}

/// What every command has that asks for the fleet's data.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct AskFlags {
    #[command(flatten)]
    pub(crate) client: ClientFlags,
    #[command(flatten)]
    pub(crate) server: ServerFlags,
}

impl AskFlags {
    /// Runs what a command asks of its agent to the end.
    pub(crate) fn run<F: Future<Output = Exit>>(&self, ask: impl FnOnce(Client) -> F) -> Exit {
        self.client.run(ask)
    }

    /// The same for a command whose every request goes to the datacenter that a flag names.
    pub(crate) fn run_there<F: Future<Output = Exit>>(&self, ask: impl FnOnce(Client) -> F) -> Exit {
        let datacenter = self.server.datacenter.clone().unwrap_or_default();
        let settings = self.client.settings().map(|settings| Settings { datacenter, ..settings });
        match settings.and_then(|settings| self.client.client_of(settings)) {
            Ok(client) => block_on(ask(client)),
            Err(why) => failure(format!("{NO_CLIENT}: {why}")),
        }
    }

    /// The same; `wrong` begins what is said when no client can be made.
    pub(crate) fn run_saying<F: Future<Output = Exit>>(
        &self,
        wrong: &str,
        ask: impl FnOnce(Client) -> F,
    ) -> Exit {
        self.client.run_saying(wrong, ask)
    }

    /// The request with the flags about servers as parameters.
    pub(crate) fn apply(&self, request: Request) -> Request {
        self.server.apply(request)
    }

    /// Whether the answer is wanted as JSON.
    pub(crate) fn json(&self) -> bool {
        self.client.json
    }
}

/// What stands behind the flags of a command that takes no words; most commands do not look at it, as in Consul.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct NoWords {
    #[arg(hide = true)]
    words: Vec<String>,
}

impl NoWords {
    /// The refusal of words, for a command that looks at them.
    pub(crate) fn refused(&self) -> Option<Exit> {
        let count = self.words.len();
        (count > 0).then(|| failure(format!("Too many arguments (expected 0, got {count})")))
    }

    /// The words themselves.
    pub(crate) fn words(&self) -> &[String] {
        &self.words
    }
}

/// Runs a future on a runtime of its own, on this thread.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime on this thread needs nothing but a few file descriptors")
        .block_on(future)
}

impl ServerFlags {
    /// The request with these flags as parameters.
    pub(crate) fn apply(&self, request: Request) -> Request {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let request = request
            .with_unless_empty("dc", &text(&self.datacenter))
            .with_unless_empty("ns", &text(&self.namespace));
        let request = self.partition.apply(request);
        if self.stale { request.with("stale", "") } else { request }
    }
}

/// Sends a request whose success is all that matters.
pub(crate) async fn succeed(client: &Client, request: &Request) -> Result<Response, RequestError> {
    client.send(request).await?.success()
}

fn read_token(path: &PathBuf) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        let path = path.display();
        format!("Error loading token file {path} : open {path}: {}", system_words(&e))
    })?;
    Ok(text.trim().to_owned())
}

/// A system error in the words of C's library, as Go prints them: `no such file or directory`.
pub(crate) fn system_words(error: &std::io::Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or_default();
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
