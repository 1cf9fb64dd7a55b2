//! What the status shows: the answer of `/v1/status`, and what `explain` reads.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A moment, as RFC 3339 text in JSON.
pub(crate) type Time = DateTime<Utc>;

/// All of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) version: String,
    #[serde(with = "text")]
    pub(crate) started: Time,
    /// Every template has been rendered and stands in its file, at least once.
    pub(crate) ready: bool,
    pub(crate) stopping: bool,
    /// Why the configuration could not be read again.
    pub(crate) reload_error: Option<String>,
    pub(crate) templates: Vec<TemplateStatus>,
    /// What templates ask, by id.
    pub(crate) questions: BTreeMap<String, Question>,
    pub(crate) counts: Counts,
}

/// One template and its file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct TemplateStatus {
    pub(crate) source: String,
    pub(crate) destination: String,
    pub(crate) state: State,
    #[serde(with = "text")]
    pub(crate) since: Time,
    /// Why it is so; empty where nothing is wrong.
    pub(crate) reason: String,
    /// The ids of its questions, in the order they were asked.
    pub(crate) asks: Vec<String>,
    /// Those without which there is no text.
    pub(crate) waits_for: Vec<String>,
    #[serde(with = "text_or_none")]
    pub(crate) waits_since: Option<Time>,
    pub(crate) evaluations: u64,
    pub(crate) writes: u64,
    pub(crate) last_write: Option<Write>,
    pub(crate) action: Option<Action>,
}

/// How it is with a template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// It was not evaluated yet.
    #[default]
    New,
    /// Something it asks is missing.
    Waiting,
    /// It has a text, which is on its way to the file.
    Rendered,
    /// The text waits: for further changes, or for a guard.
    Held,
    /// The file has the text.
    InPlace,
    /// The template or its data are wrong; the last good file stays.
    Failed,
    /// The check refused the text; the last good file stays.
    Rejected,
    /// The file cannot be written.
    NotWritten,
    /// The command failed, and the bytes before are back.
    RolledBack,
}

impl State {
    /// All states, for metrics.
    pub(crate) const ALL: [Self; 9] = [
        Self::New,
        Self::Waiting,
        Self::Rendered,
        Self::Held,
        Self::InPlace,
        Self::Failed,
        Self::Rejected,
        Self::NotWritten,
        Self::RolledBack,
    ];

    /// The word for people and programs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Waiting => "waiting",
            Self::Rendered => "rendered",
            Self::Held => "held",
            Self::InPlace => "in_place",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::NotWritten => "not_written",
            Self::RolledBack => "rolled_back",
        }
    }
}

/// The last change of a file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Write {
    #[serde(with = "text")]
    pub(crate) at: Time,
    /// The questions whose new answers made the difference.
    pub(crate) causes: Vec<String>,
    /// SHA-256 of the bytes before; `None` when there was no file.
    pub(crate) before: Option<String>,
    /// SHA-256 of the bytes now.
    pub(crate) now: String,
    pub(crate) size_bytes: usize,
    /// Whether the configuration says that nobody shall see it.
    #[serde(default)]
    pub(crate) is_secret: bool,
}

/// The last command of a template.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Action {
    pub(crate) words: Vec<String>,
    /// `queued`, `running`, `done` or `failed`.
    pub(crate) state: String,
    #[serde(with = "text")]
    pub(crate) at: Time,
    pub(crate) took_ms: Option<u64>,
    pub(crate) failure: Option<String>,
    /// When it is tried again.
    #[serde(with = "text_or_none")]
    pub(crate) again: Option<Time>,
}

/// What is known of a question.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Question {
    /// `unanswered`, `answered`, `failing` or `doubted`.
    pub(crate) state: String,
    #[serde(with = "text")]
    pub(crate) since: Time,
    /// The answer in a few words, never its value.
    pub(crate) answer: String,
    /// Why there is none, or why it is not believed.
    pub(crate) reason: String,
    #[serde(with = "text_or_none")]
    pub(crate) changed: Option<Time>,
    pub(crate) changes: u64,
}

/// Numbers since the start.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) answers: u64,
    pub(crate) evaluations: u64,
    pub(crate) evaluations_failed: u64,
    pub(crate) writes: u64,
    pub(crate) written_bytes: u64,
    pub(crate) unchanged: u64,
    pub(crate) held: u64,
    pub(crate) rejected: u64,
    pub(crate) not_written: u64,
    pub(crate) rolled_back: u64,
    pub(crate) doubted: u64,
    pub(crate) commands: u64,
    pub(crate) commands_failed: u64,
    pub(crate) command_ms: u64,
    pub(crate) reloads: u64,
    pub(crate) reloads_failed: u64,
}

impl Status {
    /// The questions that find no answer, and why.
    pub(crate) fn failing(&self) -> impl Iterator<Item = (&String, &Question)> {
        self.questions.iter().filter(|(_, question)| question.state == "failing")
    }

    /// Templates whose file is not as it should be.
    pub(crate) fn not_in_place(&self) -> impl Iterator<Item = &TemplateStatus> {
        self.templates.iter().filter(|template| {
            !matches!(template.state, State::InPlace | State::Rendered | State::Held)
                || !template.waits_for.is_empty()
        })
    }
}

/// Times as text.
mod text {
    use chrono::{DateTime, SecondsFormat};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use super::Time;

    pub(super) fn serialize<S: Serializer>(time: &Time, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Time, D::Error> {
        let text = String::deserialize(from)?;
        DateTime::parse_from_rfc3339(&text).map(|time| time.to_utc()).map_err(D::Error::custom)
    }
}

/// The same where there may be none.
mod text_or_none {
    use chrono::{DateTime, SecondsFormat};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use super::Time;

    pub(super) fn serialize<S: Serializer>(time: &Option<Time>, to: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => to.serialize_some(&time.to_rfc3339_opts(SecondsFormat::Millis, true)),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Time>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        let time = text.map(|text| DateTime::parse_from_rfc3339(&text)).transpose();
        time.map(|time| time.map(|time| time.to_utc())).map_err(D::Error::custom)
    }
}
