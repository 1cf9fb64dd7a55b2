//! `validate`: whether an agent would start with these files.

use agent::config::{self, Flags};
use clap::Args;
use daemon::Exit;

use serde_json::json;

use crate::output::{JsonFlag, failure, line, note, refused, show};

/// Check configuration files as an agent would read them
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  ryo validate /etc/ryo.d\n\nExit codes: 0 an agent can start with it, 1 it cannot"
)]
pub(crate) struct Validate {
    /// Read every file as `hcl` or `json`, whatever its name
    #[arg(long, value_name = "FORMAT")]
    config_format: Option<String>,
    /// Print nothing when all is well
    #[arg(long)]
    quiet: bool,
    #[command(flatten)]
    as_json: JsonFlag,
    /// Files, and folders of files
    #[arg(value_name = "FILE")]
    words: Vec<String>,
}

impl Validate {
    pub(crate) fn run(self, called: &str) -> Exit {
        if self.words.is_empty() {
            return failure("Must specify at least one config file or directory");
        }
        if self.config_format.as_ref().is_some_and(|format| format != "hcl" && format != "json") {
            return failure("-config-format must be either 'hcl' or 'json");
        }
        let flags = Flags::of_sources(self.words, self.config_format);
        // Consul looks at some things only when it starts, and knows no key without effect; a script that compares sees what it knows.
        let is_ours = called != "consul";
        let (warnings, notices, problem) = match config::load(&flags) {
            Ok(config) => {
                let refused = config.refused_at_start().filter(|_| is_ours);
                (config.warnings, config.notices, refused)
            }
            Err(e) => (Vec::new(), Vec::new(), Some(e)),
        };
        if self.as_json.json {
            let (error, hint) =
                (problem.as_ref().map(ToString::to_string), problem.as_ref().and_then(|e| e.hint()));
            let valid = error.is_none();
            show(
                true,
                &json!({ "Valid": valid, "Error": error, "Hint": hint, "Warnings": warnings, "Notices": notices }),
                String::new,
            );
            return if valid { Exit::Success } else { Exit::Failure };
        }
        if let Some(e) = problem {
            return refused("Config validation failed: ", &e, called);
        }
        warnings.iter().chain(notices.iter().filter(|_| is_ours)).for_each(note);
        if !self.quiet {
            line("Configuration is valid!");
        }
        Exit::Success
    }
}
