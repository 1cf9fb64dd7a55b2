//! An agent's configuration: flags and files in, one checked [`Config`] out.
//!
//! [`load`] does all of it: finds and reads the files ([`files`]), checks them against the table of keys ([`schema`],
//! [`shape`]), merges them with the flags ([`merge`]) and judges the whole ([`build`]). `consul validate` is this and
//! nothing else. Nothing here opens a socket or writes a file.

mod address;
mod build;
mod files;
mod flags;
mod merge;
#[cfg(test)]
mod reference;
mod schema;
mod settings;
mod shape;
mod unpack;
mod watches;

use hcl1::{Document, Syntax};
use serde_json::{Map, Value as Json};

use crate::local::{judge_check, judge_service};

pub use flags::{FlagError, Flags};
pub use settings::{
    Autopilot, Config, ContainerSource, Http, HttpsTls, LimitMode, Limits, Listen, Log, Ports, RequestLimits,
    ScriptChecks, TlsVersion, Ui, UnixSockets,
};

/// Reads and checks everything that the flags name.
///
/// Errors with the text that Consul prints in this case; nothing has been changed then. What is only worth a remark is in
/// [`Config::warnings`] and [`Config::notices`].
pub fn load(flags: &Flags) -> Result<Config, ConfigError> {
    let mut remarks = Remarks::default();
    let mut settings = Map::new();
    let mut documents = files::read_all(&flags.sources, flags.format.as_deref(), &mut remarks.skipped)?;
    for (number, fragment) in flags.fragments.iter().enumerate() {
        documents.push(files::parse(&format!("flags-{number}.hcl"), fragment.as_bytes(), Syntax::Hcl)?);
    }
    let fragments = documents.split_off(documents.len() - flags.fragments.len());
    merge::merge(&mut settings, flags.lists.clone());
    for document in &documents {
        merge::merge(&mut settings, remarks.add(document, shape::shape(document)?));
    }
    merge::merge(&mut settings, flags.settings.clone());
    for fragment in &fragments {
        merge::merge(&mut settings, remarks.add(fragment, shape::shape(fragment)?));
    }
    build::build(settings, flags, remarks)
}

/// The services that the files of these flags define, of each file the list before the single one, with the names that files use: `[{"name":"web"}]`.
///
/// Errors as [`load`] does for what cannot be read; whether a definition makes sense is for the agent to say.
pub fn services(flags: &Flags) -> Result<Vec<Json>, ConfigError> {
    let mut found = Vec::new();
    for document in files::read_all(&flags.sources, flags.format.as_deref(), &mut Vec::new())? {
        let mut settings = shape::shape(&document)?.settings;
        for name in ["services", "service"] {
            match settings.remove(name) {
                Some(Json::Array(several)) => found.extend(several),
                Some(one @ Json::Object(_)) => found.push(one),
                _ => {}
            }
        }
    }
    Ok(found)
}

impl Config {
    /// What an agent with this configuration would refuse only when it starts, though the files are in order: a watch that
    /// is wrong, a script check where none are allowed, a service or check without a name, a sidecar's check that cannot run.
    pub fn refused_at_start(&self) -> Option<ConfigError> {
        let refused = || {
            let services = self.services.iter().map(|service| judge_service(service, self.script_checks));
            let checks = self.checks.iter().map(|check| judge_check(check, self.script_checks));
            services.chain(checks).find_map(Result::err).map(|error| ConfigError::new(error.to_string()))
        };
        self.refused_watch.clone().or_else(refused)
    }
}

/// What there is to remark on while reading.
#[derive(Debug, Default)]
struct Remarks {
    skipped: Vec<String>,
    old: Vec<(String, &'static str)>,
    said: Vec<String>,
    without: Vec<(String, &'static str)>,
    watches: watches::Watches,
    /// Where the keys of TLS stand, the last file's last: their files are only read when the agent starts.
    places: Vec<(String, String)>,
}

/// The keys of files of TLS, and of the rules that ask for them.
const TLS_KEYS: [&str; 5] = ["cert_file", "key_file", "ca_file", "ca_path", "verify_incoming"];

impl Remarks {
    /// Notes what a file is remarkable for; its settings without that.
    fn add(&mut self, document: &Document, mut shaped: shape::Shaped) -> Map<String, Json> {
        self.old.extend(shaped.old);
        self.said.extend(shaped.said);
        self.without.extend(shaped.without);
        self.watches.take(document, &mut shaped.settings);
        for path in TLS_KEYS.iter().flat_map(|key| tls_paths(key)) {
            let place = document.place_of(&path);
            self.places.extend(place.map(|place| (path, place.to_string())));
        }
        shaped.settings
    }
}

/// Where a key of TLS may stand for HTTPS; the first counts.
fn tls_paths(key: &str) -> [String; 3] {
    [format!("tls.https.{key}"), format!("tls.defaults.{key}"), key.to_owned()]
}

/// Why a configuration cannot be used.
///
/// Prints exactly what Consul prints, for scripts; [`ConfigError::hint`] has more for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct ConfigError {
    text: String,
    hint: Option<String>,
    awaits: bool,
}

impl ConfigError {
    fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), hint: None, awaits: false }
    }

    fn with_hint(mut self, hint: String) -> Self {
        self.hint = Some(hint);
        self
    }

    /// What may come by itself: the address of a template that gives none yet. The agent waits for it; `validate` tells it.
    pub fn awaited(&self) -> Option<&str> {
        self.hint().filter(|_| self.awaits)
    }

    /// Where it is, as `file:line:column`, and what may have been meant. To be shown beside the text where a person
    /// reads along (a terminal, the log), not where a script compares.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// Several errors as Consul lists them: `2 errors occurred:\n\t* a\n\t* b\n\n`.
pub(crate) fn error_list(lines: &[String]) -> String {
    let noun = if lines.len() == 1 { "error" } else { "errors" };
    let list: String = lines.iter().map(|line| format!("\t* {line}\n")).collect();
    format!("{} {noun} occurred:\n{list}\n", lines.len())
}
