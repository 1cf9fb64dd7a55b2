//! A scenario's file, as `conformance/dns/README.md` describes it.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::{Map, Value};

/// One file.
#[derive(Clone, Debug, Deserialize)]
pub struct Scenario {
    /// What is added to the server's configuration.
    #[serde(default)]
    pub config: Option<Map<String, Value>>,
    /// Pretend name servers by their placeholders: `name. TYPE` or `*` to what they reply.
    #[serde(default)]
    pub stubs: BTreeMap<String, BTreeMap<String, Rule>>,
    /// HTTP calls that come before the questions.
    #[serde(default)]
    pub fixture: Vec<Value>,
    /// What is asked, in order.
    pub queries: Vec<Query>,
}

impl Scenario {
    /// Reads a file. Errors with its path when it cannot be read or is not of this form.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| path.display().to_string())
    }
}

/// What a pretend name server replies to a question.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Rule {
    /// `NOERROR` when not given.
    pub rcode: Option<String>,
    /// Records: name, TTL, type, data.
    pub answer: Vec<(String, u32, String, String)>,
    /// As `answer`.
    pub authority: Vec<(String, u32, String, String)>,
    /// As `answer`.
    pub additional: Vec<(String, u32, String, String)>,
    /// Over UDP, say that the reply was cut, and give nothing.
    pub tc_udp: bool,
    /// Say nothing.
    pub drop: bool,
    /// Wait before replying.
    pub delay_ms: u64,
    /// Set the AA bit.
    pub aa: bool,
}

/// One question.
#[derive(Clone, Debug, Deserialize)]
pub struct Query {
    /// The name.
    #[serde(default)]
    pub name: String,
    /// The type.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// The message in hex after its id, instead of name and type.
    pub raw: Option<String>,
    /// How it is asked.
    #[serde(default)]
    pub with: With,
    /// Why one may want to do better than what was recorded.
    pub quirk: Option<String>,
    /// What has to come back.
    pub expect: Expect,
}

/// How a question is asked; what is not given is usual.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct With {
    /// `tcp`, else UDP.
    pub transport: Option<String>,
    /// An EDNS record with this size.
    pub edns: Option<u16>,
    /// Its version.
    pub edns_version: u8,
    /// Its client subnet.
    pub ecs: Option<String>,
    /// Its DO bit.
    #[serde(rename = "do")]
    pub wants_dnssec: bool,
    /// Recursion desired; set unless told otherwise.
    pub rd: Option<bool>,
    /// Checking disabled.
    pub cd: bool,
    /// The QR bit, as if it were an answer.
    pub qr: bool,
    /// The opcode.
    pub opcode: u16,
    /// The class, `IN` when not given.
    pub class: Option<String>,
    /// Further questions in the message: name and type.
    pub more_questions: Vec<(String, String)>,
    /// Seconds to wait for a reply; 3 when not given.
    pub timeout: Option<f64>,
}

/// What has to come back.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Expect {
    /// `none`: nothing.
    pub reply: Option<String>,
    /// The response code.
    pub rcode: String,
    /// The opcode.
    pub opcode: u16,
    /// The flags that are set.
    pub flags: Vec<String>,
    /// The question section.
    pub question: Vec<String>,
    /// The OPT record, or null.
    pub edns: Value,
    /// The answer section.
    pub answer: Section,
    /// The authority section.
    pub authority: Section,
    /// The additional section.
    pub additional: Section,
    /// Whether the order of the answers has to change.
    pub shuffled: bool,
    /// Whether names are compressed.
    pub compressed: Option<bool>,
    /// What the pretend name servers were asked.
    pub seen: Option<BTreeMap<String, Vec<String>>>,
}

/// The records of a section.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Section {
    /// These, in this order.
    Exact(Vec<String>),
    /// These, in any order.
    AnyOrder {
        /// The records.
        any_order: Vec<String>,
    },
    /// So many out of these.
    AnyOf {
        /// The records that may come.
        any_n_of: Vec<String>,
        /// How many.
        n: Count,
        /// Whether one may come twice.
        #[serde(default)]
        repeats: bool,
    },
}

impl Default for Section {
    fn default() -> Self {
        Self::Exact(Vec::new())
    }
}

/// How many records.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
pub enum Count {
    /// So many.
    Exactly(usize),
    /// From so many to so many.
    Between(usize, usize),
}

/// Replaces placeholders, `{name}`, in all texts of a value.
pub fn fill(value: &Value, names: &BTreeMap<String, String>) -> Value {
    match value {
        Value::String(text) => Value::String(fill_text(text, names)),
        Value::Array(all) => all.iter().map(|one| fill(one, names)).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, one)| (fill_text(key, names), fill(one, names)))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

/// Replaces placeholders in a text.
pub fn fill_text(text: &str, names: &BTreeMap<String, String>) -> String {
    names.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}
