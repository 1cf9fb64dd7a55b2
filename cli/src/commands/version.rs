//! `version`: which release this is.

use clap::Args;
use daemon::Exit;

use crate::{
    client::NoWords,
    output::{JsonFlag, failure, line},
};

/// The release of Consul whose interfaces are spoken; what scripts compare versions with.
const CONSUL: &str = "1.21.4";

/// When that release was built; clients show it.
const BUILD_DATE: &str = "2025-08-12T00:00:00Z";

/// Which protocol is spoken, in the words that scripts look for.
const PROTOCOL: &str = "Protocol 2 spoken by default, understands 2 to 3 \
    (agent will automatically use protocol >2 when speaking to compatible agents)";

/// Print the version
#[derive(Args, Debug)]
#[command(after_help = "Under the name consul it is the version of Consul that ryo stands in for.\n\n\
    Example:\n  ryo version -format=json")]
pub(crate) struct Version {
    /// `pretty` or `json`
    #[arg(long, default_value = "pretty", value_name = "FORMAT")]
    format: String,
    #[command(flatten)]
    as_json: JsonFlag,
    #[command(flatten)]
    no_words: NoWords,
}

impl Version {
    pub(crate) fn run(self, called_consul: bool) -> Exit {
        match self.format.as_str() {
            "pretty" if !self.as_json.json => pretty(called_consul),
            "pretty" | "json" => json(called_consul),
            other => return failure(format!("Unknown format: {other}")),
        }
        Exit::Success
    }
}

fn number(called_consul: bool) -> &'static str {
    if called_consul { CONSUL } else { env!("CARGO_PKG_VERSION") }
}

fn pretty(called_consul: bool) {
    let number = number(called_consul);
    if called_consul {
        line(format!(
            "Consul v{number}\nBuild Date {BUILD_DATE}\nProvided by ryo v{}",
            env!("CARGO_PKG_VERSION")
        ));
    } else {
        line(format!("ryo v{number}\nSpeaks as Consul v{CONSUL}"));
    }
    line(PROTOCOL);
}

fn json(called_consul: bool) {
    let number = number(called_consul);
    line(format!(
        "{{\n   \"Version\": \"{number}\",\n   \"Revision\": \"\",\n   \"Prerelease\": \"\",\n   \
         \"BuildDate\": \"{BUILD_DATE}\",\n   \"RPC\": {{\n      \"Default\": 2,\n      \"Min\": 2,\n      \
         \"Max\": 3\n   }}\n}}"
    ));
}
