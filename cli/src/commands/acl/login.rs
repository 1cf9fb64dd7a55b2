//! `login` and `logout`: a token for a time, by a third party's word.

use std::{collections::BTreeMap, fs::OpenOptions, io::Write as _, os::unix::fs::OpenOptionsExt as _};

use clap::Args;
use daemon::Exit;
use registry_client::Request;
use serde_json::{Value, json};

use crate::{
    client::{AskFlags, NoWords, succeed, system_words},
    flags::{Pair, pair},
    output::failure,
};

/// Get a token by a third party's word
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  ryo login -method=ci -bearer-token-file=jwt -token-sink-file=token\n\n\
    Exit codes: 0 the file has a token, 1 refused or no answer")]
pub(crate) struct Login {
    /// The file with what the third party gave
    #[arg(long, default_value = "", value_name = "FILE", hide_default_value = true)]
    bearer_token_file: String,
    /// A pair that the token is marked with (repeatable)
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    meta: Vec<Pair>,
    /// The way to log in
    #[arg(long, default_value = "", value_name = "NAME", hide_default_value = true)]
    method: String,
    /// The file that the token is written to
    #[arg(long, default_value = "", value_name = "FILE", hide_default_value = true)]
    token_sink_file: String,
    /// The type of the way to log in
    #[arg(long = "type", default_value = "", value_name = "TYPE", hide_default_value = true)]
    kind: String,
    #[command(flatten)]
    ask: AskFlags,
    #[command(flatten)]
    no_words: NoWords,
}

impl Login {
    pub(crate) fn run(self) -> Exit {
        if !self.no_words.words().is_empty() {
            return failure("Should have no non-flag arguments.");
        }
        let needed = [
            ("method", &self.method),
            ("token-sink-file", &self.token_sink_file),
            ("bearer-token-file", &self.bearer_token_file),
        ];
        if let Some((name, _)) = needed.into_iter().find(|(_, value)| value.is_empty()) {
            return failure(format!("Missing required '-{name}' flag"));
        }
        let file = &self.bearer_token_file;
        let bearer = match std::fs::read_to_string(file) {
            Ok(text) => text.trim().to_owned(),
            Err(e) => return failure(format!("open {file}: {}", system_words(&e))),
        };
        if bearer.is_empty() {
            return failure(format!("No bearer token found in {file}"));
        }
        self.ask.run(async |client| {
            let meta: BTreeMap<_, _> = self.meta.iter().map(|pair| (&pair.name, &pair.value)).collect();
            let body = json!({ "AuthMethod": self.method, "BearerToken": bearer, "Meta": meta });
            let request = self.ask.apply(Request::new("POST", "/v1/acl/login"));
            let request = Request { body: body.to_string().into(), ..request };
            let token: Value = match client.json(&request).await {
                Ok(token) => token,
                Err(e) => return failure(format!("Error logging in: {e}")),
            };
            let secret = token["SecretID"].as_str().unwrap_or_default();
            let mut options = OpenOptions::new();
            let file =
                options.write(true).create(true).truncate(true).mode(0o600).open(&self.token_sink_file);
            match file.and_then(|mut file| file.write_all(secret.as_bytes())) {
                Ok(()) => Exit::Success,
                Err(e) => failure(format!("Error writing token to file sink: {}", system_words(&e))),
            }
        })
    }
}

/// Destroy a token that login gave
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  ryo logout -token-file=token\n\nExit codes: 0 destroyed, 1 refused or no answer"
)]
pub(crate) struct Logout {
    #[command(flatten)]
    ask: AskFlags,
    #[command(flatten)]
    no_words: NoWords,
}

impl Logout {
    pub(crate) fn run(self) -> Exit {
        if !self.no_words.words().is_empty() {
            return failure("Should have no non-flag arguments.");
        }
        self.ask.run(async |client| {
            let request = self.ask.apply(Request::new("POST", "/v1/acl/logout"));
            match succeed(&client, &request).await {
                Ok(_) => Exit::Success,
                Err(e) => failure(format!("Error destroying token: {e}")),
            }
        })
    }
}
