//! `validate`: whether an agent would start with these files.

use agent::config::{self, Flags};
use clap::Args;
use daemon::Exit;

use crate::output::{failure, line, note, refused};

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
        match config::load(&flags) {
            Ok(config) => {
                // Consul looks at these only when it starts; a script that compares sees what it knows.
                if let Some(e) = config.refused_at_start().filter(|_| called != "consul") {
                    return refused("Config validation failed: ", &e, called);
                }
                config.warnings.iter().for_each(note);
                if !self.quiet {
                    line("Configuration is valid!");
                }
                Exit::Success
            }
            Err(e) => refused("Config validation failed: ", &e, called),
        }
    }
}
