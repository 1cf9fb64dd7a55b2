//! `acl bootstrap`.

use clap::Args;
use daemon::Exit;
use registry_client::Request;
use serde_json::json;

use super::{Format, shape::Token, show};
use crate::{commands::data, output::failure};

/// Make the first token
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  ryo acl bootstrap\n\nExit codes: 0 made, 1 refused or no answer")]
pub(crate) struct Bootstrap {
    #[command(flatten)]
    format: Format,
    /// A file with the secret it shall have, or `-`
    #[arg(value_name = "FILE")]
    words: Vec<String>,
}

impl Bootstrap {
    pub(super) fn run(self) -> Exit {
        let secret = match self.words.as_slice() {
            [] => String::new(),
            [dash] if dash == "-" => data::read("-").map(text).unwrap_or_default(),
            [file] => match data::read(&format!("@{file}")) {
                Ok(bytes) => text(bytes),
                Err(why) => return failure(format!("Error reading provided token: {why}")),
            },
            _ => return failure("This command takes up to one argument"),
        };
        self.format.run(async |client| {
            let body = if secret.is_empty() {
                String::new()
            } else {
                json!({ "BootstrapSecret": secret }).to_string()
            };
            let request = self.format.ask.apply(Request::put("/v1/acl/bootstrap", body));
            let made: Token =
                client.json(&request).await.map_err(|e| format!("Failed ACL bootstrapping: {e}"))?;
            self.format.show(&made, |token| show::token(token, false))
        })
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).trim().to_owned()
}
