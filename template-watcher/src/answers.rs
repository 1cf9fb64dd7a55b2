//! Answers of the registry: their shapes, all that are known, and what one rendering used of them.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use go_template::{StructType, Value};
use indexmap::IndexSet;
use serde::{Deserialize, Serialize};

use registry_wire::catalog::{HealthCheck, Node, ServiceAddress, TextMap, Weights};

use crate::{
    functions::shapes,
    parts::{Parts, View, may_hold},
    query::Query,
};

/// The answer to one question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Query::Key`].
    Key(KeyAnswer),
    /// To [`Query::Prefix`]: every key below, folders included, in the order of the keys.
    Pairs(Vec<KeyPair>),
    /// To [`Query::Service`], sorted by node and id, or by distance when asked for.
    Instances(Vec<HealthService>),
    /// To [`Query::Services`], sorted by name.
    Services(Vec<CatalogSnippet>),
    /// To [`Query::Node`].
    Node(CatalogNode),
    /// To [`Query::Nodes`], sorted by name and address, or by distance when asked for.
    Nodes(Vec<Node>),
    /// To [`Query::Datacenters`], sorted.
    Datacenters(Vec<String>),
    /// To [`Query::Mesh`]: the registry's own JSON, one for each record.
    Documents(Vec<serde_json::Value>),
    /// To [`Query::File`]: the bytes as they are.
    File(Vec<u8>),
}

impl Answer {
    /// The records of an answer to [`Query::Mesh`].
    pub fn documents(&self) -> Option<&[serde_json::Value]> {
        match self {
            Self::Documents(found) => Some(found),
            _ => None,
        }
    }
}

/// What is known of one key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KeyAnswer {
    /// The key as it is now; `None` when there is none: what `keyExists` and `keyOrDefault` see.
    pub now: Option<KeyPair>,
    /// The key as it was last seen: what `key` sees, so that a deleted key does not take a file away.
    pub last: Option<KeyPair>,
}

/// One key with its value, as `ls` and `tree` give it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyPair {
    /// The whole key.
    pub path: String,
    /// The key without the prefix asked for and without leading slashes.
    pub key: String,
    /// The value's bytes.
    #[serde(with = "in_base64")]
    pub value: Vec<u8>,
    /// The index of the write that made the key.
    pub create_index: u64,
    /// The index of the last write.
    pub modify_index: u64,
    /// How often the key was locked.
    pub lock_index: u64,
    /// The client's own number.
    pub flags: u64,
    /// The session that holds the key; empty when none does.
    pub session: String,
}

impl KeyPair {
    /// Whether `ls` shows it: a direct child, not a folder.
    pub fn is_child(&self) -> bool {
        !self.key.is_empty() && !self.key.contains('/')
    }

    /// Whether `tree` shows it: anything below that is not a folder.
    pub fn is_leaf(&self) -> bool {
        !self.key.is_empty() && !self.key.ends_with('/')
    }
}

/// Bytes as the text in which the API shows them.
mod in_base64 {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// One instance of a service, as `service` gives it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HealthService {
    /// The node's name.
    pub node: String,
    /// The node's id.
    pub node_id: String,
    /// The node's address.
    pub node_address: String,
    /// The node's further addresses; of these maps none is another than an empty one, in JSON.
    pub node_tagged_addresses: Option<TextMap>,
    /// The node's pairs.
    pub node_meta: Option<TextMap>,
    /// The instance's pairs.
    pub service_meta: Option<TextMap>,
    /// The instance's address, or the node's when it has none.
    pub address: String,
    /// The instance's further addresses.
    pub service_tagged_addresses: Option<BTreeMap<String, ServiceAddress>>,
    /// The instance's id.
    pub id: String,
    /// The service's name.
    pub name: String,
    /// The tags, sorted.
    pub tags: Vec<String>,
    /// The node's and the instance's checks.
    pub checks: Vec<HealthCheck>,
    /// `passing`, `warning`, `critical`, `maintenance`, or empty for a state nobody knows.
    pub status: String,
    /// The port; 0 when none.
    pub port: i64,
    /// SRV weights.
    pub weights: Weights,
}

/// A service's name and tags, as `services` gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogSnippet {
    /// The service's name.
    pub name: String,
    /// All tags of its instances, sorted.
    pub tags: Vec<String>,
}

/// A node with its services, as `node` gives it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CatalogNode {
    /// The node; `None` when there is none of that name.
    pub node: Option<Node>,
    /// Its services, sorted by name and id.
    pub services: Vec<CatalogNodeService>,
}

/// A service on a node, as `node` gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogNodeService {
    /// The instance's id.
    pub id: String,
    /// The service's name.
    pub service: String,
    /// The tags, sorted.
    pub tags: Vec<String>,
    /// The instance's pairs.
    pub meta: Option<TextMap>,
    /// The port; 0 when none.
    pub port: i64,
    /// The instance's own address; empty when it is the node's.
    pub address: String,
    /// Whether others may change the tags.
    pub enable_tag_override: bool,
}

/// All answers that are known.
#[derive(Clone, Debug, Default)]
pub struct Answers(HashMap<Query, Known>);

/// An answer, and the records it is for templates: made when they are asked for first, and shared by all renderings.
#[derive(Clone, Debug)]
pub struct Known {
    answer: Arc<Answer>,
    records: OnceLock<Option<Value>>,
}

/// How many records are kept beside the answer that they are made from; more are made anew by each rendering.
const RECORDS_MAX: usize = 512;

impl Known {
    /// The answer.
    pub fn answer(&self) -> &Arc<Answer> {
        &self.answer
    }

    /// The answer as the records that a template sees; `None` for answers that are no records.
    pub fn records(&self) -> Option<Value> {
        let make = || shapes::records(&self.answer);
        if is_shareable(&self.answer) { self.records.get_or_init(make).clone() } else { make() }
    }
}

/// Whether renderings share the records: unless there are very many. No function of templates can change what is in them:
/// those that change maps take none whose values have a type.
fn is_shareable(answer: &Answer) -> bool {
    match answer {
        Answer::Instances(list) => list.len() <= RECORDS_MAX,
        Answer::Services(list) => list.len() <= RECORDS_MAX,
        Answer::Nodes(list) => list.len() <= RECORDS_MAX,
        Answer::Node(node) => node.services.len() <= RECORDS_MAX,
        _ => false,
    }
}

impl Answers {
    /// The answer to a question, if it has come.
    pub fn get(&self, query: &Query) -> Option<&Arc<Answer>> {
        self.0.get(query).map(Known::answer)
    }

    /// The same with its records.
    pub fn known(&self, query: &Query) -> Option<&Known> {
        self.0.get(query)
    }

    /// Takes a new answer in; `false` when it says what was known already.
    ///
    /// A key that is gone keeps its last value in [`KeyAnswer::last`].
    pub fn put(&mut self, query: Query, answer: Answer) -> bool {
        let known = self.get(&query).map(Arc::as_ref);
        let answer = match (answer, known) {
            (Answer::Key(KeyAnswer { now: None, .. }), Some(Answer::Key(known))) => {
                Answer::Key(KeyAnswer { now: None, last: known.last.clone() })
            }
            (Answer::Key(KeyAnswer { now: Some(pair), .. }), _) => {
                Answer::Key(KeyAnswer { last: Some(pair.clone()), now: Some(pair) })
            }
            (answer, _) => answer,
        };
        if known == Some(&answer) {
            return false;
        }
        self.0.insert(query, Known { answer: Arc::new(answer), records: OnceLock::new() });
        true
    }

    /// Forgets what keys held that are gone.
    pub fn forget_gone(&mut self) {
        for known in self.0.values_mut() {
            if matches!(known.answer.as_ref(), Answer::Key(KeyAnswer { now: None, last: Some(_) })) {
                known.answer = Arc::new(Answer::Key(KeyAnswer::default()));
            }
        }
    }

    /// Forgets the answers to all questions but those that `keep` accepts.
    pub fn retain(&mut self, mut keep: impl FnMut(&Query) -> bool) {
        self.0.retain(|query, _| keep(query));
    }
}

/// What functions may know about the template they are called in, besides answers.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The template's destination; empty when it has none.
    pub destination: PathBuf,
    /// `file` must stay below this folder.
    pub sandbox: Option<PathBuf>,
    /// Whether `writeToFile` and `plugin` must stay below that folder too.
    pub is_strict: bool,
    /// Functions that may be called, names with `*` and `?`; empty for all.
    pub allowed_functions: Vec<String>,
    /// Functions that are switched off: names with `*` and `?`.
    pub denied_functions: Vec<String>,
    /// Variables that `env` finds before those of the process: the registry's address and the like.
    pub environment: Vec<(String, String)>,
    /// What the file is made for, with `for_each`.
    pub item: Option<String>,
    /// Set where no registry and no machine is to be seen: a template under test.
    pub offline: Option<crate::offline::Offline>,
}

/// One rendering's view of the answers; it writes down what was asked. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Scope(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    answers: Arc<Answers>,
    surroundings: Arc<Surroundings>,
    asked: Mutex<Asked>,
    /// In a rehearsal: what functions with an effect give in place of having it.
    stand_in: Option<&'static str>,
    /// Whether such a function was called.
    held_back: AtomicBool,
}

/// What one rendering asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// All questions, in the order they came.
    pub used: IndexSet<Query>,
    /// Those of them without a usable answer. While there is one, the text is not complete and an error means nothing.
    pub missing: IndexSet<Query>,
    /// What was looked at of their answers.
    pub parts: Parts,
}

/// Up to how many questions are compared one by one, which is faster than to hash the one that is looked for.
const FEW: usize = 16;

impl Asked {
    /// Whether a question was asked.
    pub fn has(&self, query: &Query) -> bool {
        self.place(query).is_some()
    }

    fn place(&self, query: &Query) -> Option<usize> {
        match self.used.len() {
            0..=FEW => self.used.iter().position(|known| known == query),
            _ => self.used.get_index_of(query),
        }
    }

    /// Whether a new answer to a question may change what is rendered. One that was not asked changes nothing.
    pub fn is_changed_by(&self, query: &Query, before: Option<&Known>, now: &Known) -> bool {
        let Some(place) = self.place(query) else { return false };
        before.is_none_or(|before| self.parts.differ(place, before, now))
    }
}

impl Scope {
    /// Begins a rendering.
    pub fn new(answers: Arc<Answers>, surroundings: Arc<Surroundings>) -> Self {
        Self(Arc::new(Inner { answers, surroundings, ..Inner::default() }))
    }

    /// Begins one that changes nothing but itself: functions with an effect give this in place of having it.
    pub fn rehearsal(answers: Arc<Answers>, surroundings: Arc<Surroundings>, stand_in: &'static str) -> Self {
        let stand_in = Some(stand_in);
        Self(Arc::new(Inner { answers, surroundings, stand_in, ..Inner::default() }))
    }

    /// For a function with an effect: in a rehearsal, what it gives in place of having it.
    pub fn hold_back(&self) -> Option<&'static str> {
        self.0.held_back.store(self.0.stand_in.is_some(), Relaxed);
        self.0.stand_in
    }

    /// Whether an effect was held back.
    pub fn has_held_back(&self) -> bool {
        self.0.held_back.load(Relaxed)
    }

    /// Asks; `None` when the answer has not come yet, and then the function gives its empty value.
    pub fn ask(&self, query: &Query) -> Option<Arc<Answer>> {
        self.ask_for(query, View::WHOLE)
    }

    /// Asks for an answer that is records; `None` when it has not come yet.
    pub fn ask_records(&self, query: &Query) -> Option<Value> {
        let records = self.0.answers.known(query).and_then(Known::records);
        self.note(query, View::WHOLE, records.is_none());
        records
    }

    /// Asks for a part of what the answer holds.
    pub fn ask_for(&self, query: &Query, view: View) -> Option<Arc<Answer>> {
        let answer = self.0.answers.get(query).cloned();
        self.note(query, view, answer.is_none());
        answer
    }

    fn note(&self, query: &Query, view: View, is_missing: bool) {
        let mut asked = self.asked_so_far();
        if is_missing {
            asked.missing.insert(query.clone());
        }
        let place = match asked.used.get_index_of(query) {
            Some(place) => place,
            None => asked.used.insert_full(query.clone()).0,
        };
        asked.parts.see(place, view);
    }

    /// Notes that a field of a record was read.
    pub fn read_field(&self, record: &'static StructType, field: usize) {
        self.asked_so_far().parts.read(record, field);
    }

    /// Notes that all of a value was looked at.
    pub fn read_whole(&self, value: &Value) {
        if may_hold(value) {
            self.asked_so_far().parts.read_whole(value);
        }
    }

    /// Says that an answer is there but not enough to go on: an absent key for `key`, an empty list for `safeLs`.
    pub fn wait_for(&self, query: &Query) {
        self.asked_so_far().missing.insert(query.clone());
    }

    /// Whether something is missing so far.
    pub fn is_missing(&self) -> bool {
        !self.asked_so_far().missing.is_empty()
    }

    /// What functions may know about the template.
    pub fn surroundings(&self) -> &Surroundings {
        &self.0.surroundings
    }

    /// What was asked, at the end of the rendering.
    pub fn asked(&self) -> Asked {
        self.asked_so_far().clone()
    }

    fn asked_so_far(&self) -> MutexGuard<'_, Asked> {
        self.0.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(value: &str) -> Option<KeyPair> {
        Some(KeyPair { path: "a".into(), value: value.into(), ..KeyPair::default() })
    }

    #[test]
    fn a_deleted_key_keeps_its_last_value_for_key_alone() {
        let query = Query::key("a").unwrap();
        let mut answers = Answers::default();
        let key = |now| Answer::Key(KeyAnswer { now, last: None });
        assert!(answers.put(query.clone(), key(pair("1"))));
        assert!(!answers.put(query.clone(), key(pair("1"))));
        assert!(answers.put(query.clone(), key(None)));
        let expected = Answer::Key(KeyAnswer { now: None, last: pair("1") });
        assert_eq!(answers.get(&query).map(Arc::as_ref), Some(&expected));
        assert!(!answers.put(query, key(None)));
    }

    #[test]
    fn a_scope_writes_down_what_was_asked() {
        let (known, unknown) = (Query::key("a").unwrap(), Query::prefix("b").unwrap());
        let mut answers = Answers::default();
        answers.put(known.clone(), Answer::Key(KeyAnswer { now: pair("1"), last: None }));
        let scope = Scope::new(Arc::new(answers), Arc::default());
        assert!(scope.ask(&known).is_some());
        assert!(!scope.is_missing());
        assert!(scope.clone().ask(&unknown).is_none());
        scope.ask(&known);
        let asked = scope.asked();
        assert_eq!(asked.used.into_iter().collect::<Vec<_>>(), [known.clone(), unknown.clone()]);
        assert_eq!(asked.missing.into_iter().collect::<Vec<_>>(), [unknown]);
        scope.wait_for(&known);
        assert!(scope.asked().missing.contains(&known));
    }
}
