//! `doctor`: what is wrong with this node, in words, with the command that mends it.
//!
//! `examine` looks at the machine and asks the agent, `judge` makes findings of what was seen and knows nothing of the
//! machine, `question` is one question to a name server.

mod examine;
mod judge;
mod question;

use clap::Args;
use daemon::Exit;
use serde::Serialize;

use crate::{
    client::{ClientFlags, NoWords},
    output::{Colour, coloured, show},
};

/// Say what is wrong with this node, and what mends it
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  ryo doctor\n  ryo doctor -config-dir=/etc/ryo.d --json\n\n\
    Exit codes: 0 nothing is wrong (there may be remarks), 1 something is")]
pub(crate) struct Doctor {
    /// The agent's configuration: a file or a folder (repeatable); /etc/ryo.d and /etc/consul.d without
    #[arg(long, value_name = "PATH")]
    config_dir: Vec<String>,
    #[command(flatten)]
    client: ClientFlags,
    #[command(flatten)]
    no_words: NoWords,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Grade {
    Good,
    Remark,
    Wrong,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Finding {
    /// What was looked at: `agent`, `clock`, `disk`.
    subject: &'static str,
    grade: Grade,
    /// What was seen, in words.
    text: String,
    /// The command that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

impl Finding {
    fn good(subject: &'static str, text: impl Into<String>) -> Self {
        Self { subject, grade: Grade::Good, text: text.into(), mend: None }
    }

    fn remark(subject: &'static str, text: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { subject, grade: Grade::Remark, text: text.into(), mend: Some(mend.into()) }
    }

    fn wrong(subject: &'static str, text: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { subject, grade: Grade::Wrong, text: text.into(), mend: Some(mend.into()) }
    }

    /// `WRONG   disk: …` and, below it, what mends it.
    fn words(&self) -> String {
        let head = match self.grade {
            Grade::Good => coloured("good   ", Colour::Green),
            Grade::Remark => coloured("remark ", Colour::Yellow),
            Grade::Wrong => coloured("WRONG  ", Colour::Red),
        };
        let mend = self.mend.as_ref().map_or_else(String::new, |mend| format!("\n          mend it: {mend}"));
        format!("{head} {}: {}{mend}", self.subject, self.text)
    }
}

impl Doctor {
    pub(crate) fn run(self) -> Exit {
        let findings = examine::all(&self.config_dir, &self.client);
        let wrong = findings.iter().filter(|finding| finding.grade == Grade::Wrong).count();
        show(self.client.json, &findings, || {
            let lines: Vec<String> = findings.iter().map(Finding::words).collect();
            let sum = if wrong == 0 { "nothing is wrong".to_owned() } else { format!("{wrong} wrong") };
            format!("{}\n{sum}", lines.join("\n"))
        });
        if wrong == 0 { Exit::Success } else { Exit::Failure }
    }
}
