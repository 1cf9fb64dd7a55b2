//! Templates with what Go's own `text/template` prints for them, on a fixture in place of a registry.
//!
//! `RYO_CASES` and `RYO_CASES_FIXTURE` name further files of the same form: a list of
//! `{"name", "template", "missing_key", "expect": {"output"} or {"error"}}`, and the data.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use go_template::{
    Delimiters, Host, Key, Lookup, MissingKey, Options, Signature, Template, Templates, Type, UintKind, Value,
};
use registry_wire::catalog::{HealthCheck, Node, ServiceAddress, Weights};
use serde::Deserialize;
use template_watcher::answers::{
    Answer, Answers, CatalogNode, CatalogSnippet, HealthService, KeyAnswer, KeyPair, Scope, Surroundings,
};
use template_watcher::functions::{self, Scratch, shapes};
use template_watcher::query::Query;

#[test]
fn go_template_cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let fixture = folder.join("go-template-fixture.json");
    let mut failed = run(&folder.join("go-template.json"), &fixture);
    failed.extend(run(&folder.join("go-language.json"), &fixture));
    if let Some(cases) = std::env::var_os("RYO_CASES") {
        let fixture = std::env::var_os("RYO_CASES_FIXTURE").map_or(fixture, Into::into);
        failed.extend(run(Path::new(&cases), &fixture));
    }
    assert!(failed.is_empty(), "{} cases failed:\n{}", failed.len(), failed.join("\n"));
}

#[derive(Deserialize)]
struct Case {
    name: String,
    template: String,
    missing_key: String,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Expect {
    Output(String),
    Error(String),
}

/// Runs a file of cases and says which failed.
fn run(cases: &Path, fixture: &Path) -> Vec<String> {
    let read = |path: &Path| {
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let cases: Vec<Case> = serde_json::from_str(&read(cases)).expect("cases of the known form");
    let fixture: Fixture = serde_json::from_str(&read(fixture)).expect("a fixture of the known form");
    assert!(!cases.is_empty(), "a file of cases has some");
    cases.iter().filter_map(|case| check(case, &fixture)).collect()
}

fn check(case: &Case, fixture: &Fixture) -> Option<String> {
    let got = render(case, fixture);
    let as_expected = match (&case.expect, &got) {
        (Expect::Output(output), Ok(bytes)) => {
            output.replace("main.", "dependency.") == String::from_utf8_lossy(bytes)
        }
        // records are of another package here; a hint may follow what is wrong
        (Expect::Error(error), Err(text)) => text.starts_with(&error.replace("main.", "dependency.")),
        _ => false,
    };
    let got = got.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let expected = match &case.expect {
        Expect::Output(output) => format!("Ok({output:?})"),
        Expect::Error(error) => format!("Err({error:?})"),
    };
    (!as_expected)
        .then(|| format!("{}: {}\n  expected {expected}\n  got      {got:?}", case.name, case.template))
}

/// Renders until all questions are answered.
fn render(case: &Case, fixture: &Fixture) -> Result<Vec<u8>, String> {
    let template = Template::parse("", case.template.as_bytes(), &Delimiters::default(), &lookup)
        .map_err(|error| format!("parse: {error}"))?;
    let missing_key = match case.missing_key.as_str() {
        "zero" => MissingKey::Zero,
        "error" => MissingKey::Error,
        _ => MissingKey::Invalid,
    };
    let options = Options { missing_key, ..Options::default() };
    let surroundings = Arc::new(Surroundings {
        environment: fixture.env.clone().into_iter().collect(),
        ..Surroundings::default()
    });
    let mut answers = Answers::default();
    loop {
        let scope = Scope::new(Arc::new(answers.clone()), surroundings.clone());
        let mut host = Functions { scope: &scope, scratch: Arc::default() };
        let result = template.execute(Value::Nil, options, &mut host);
        let unanswered: Vec<Query> =
            scope.asked().missing.into_iter().filter(|query| answers.get(query).is_none()).collect();
        if unanswered.is_empty() {
            return result.map_err(|error| format!("execute: {error}"));
        }
        for query in unanswered {
            let answer = fixture.answer(&query);
            answers.put(query, answer);
        }
    }
}

/// The watcher's functions and those that only the cases have.
struct Functions<'a> {
    scope: &'a Scope,
    scratch: Arc<Scratch>,
}

fn lookup(name: &str) -> Lookup {
    match Functions::own(name) {
        Some(_) => Lookup::Known,
        None => functions::lookup(Functions::renamed(name)),
    }
}

impl Functions<'_> {
    fn renamed(name: &str) -> &str {
        if name == "key_or_default" { "keyOrDefault" } else { name }
    }

    fn own(name: &str) -> Option<(Type, Result<Value, String>)> {
        const BYTES: Type = Type::List(&Type::Uint(UintKind::Uint8));
        const INT_MAP: Type = Type::Map(&Type::INT, &Type::Str);
        let byte = |byte: u8| Value::Uint(u64::from(byte), UintKind::Uint8);
        Some(match name {
            "u64" => (Type::UINT64, Ok(Value::uint(u64::MAX))),
            "nilptr" => (Type::Pointer(&shapes::KEY_PAIR), Ok(Value::Pointer(&shapes::KEY_PAIR, None))),
            "errf" => (Type::Str, Err("boom".to_owned())),
            "strslice" => (Type::STRINGS, Ok(Value::strings(["a", "b c"]))),
            "intmap" => {
                let entries =
                    BTreeMap::from([(Key::Int(10), Value::from("x")), (Key::Int(2), Value::from("y"))]);
                (INT_MAP, Ok(Value::map(INT_MAP, entries)))
            }
            "strmap" => {
                let entries = BTreeMap::from([(Key::text("a"), Value::from("1"))]);
                (Type::STR_MAP, Ok(Value::map(Type::STR_MAP, entries)))
            }
            "bytes" => (BYTES, Ok(Value::list(&Type::Uint(UintKind::Uint8), b"hi\xff".map(byte).to_vec()))),
            "rawstr" => (Type::Str, Ok(Value::from(&b"hi\xff\xc3\xa9"[..]))),
            _ => return None,
        })
    }
}

impl Host for Functions<'_> {
    fn signature(&self, name: &str) -> Option<Signature> {
        match Functions::own(name) {
            Some((returns, _)) => Some(Signature::new(&[], returns)),
            None => functions::find(Functions::renamed(name)).map(|row| row.signature),
        }
    }

    fn call(&mut self, name: &str, args: Vec<Value>, templates: &Templates<'_>) -> Result<Value, String> {
        if let Some((_, result)) = Functions::own(name) {
            return result;
        }
        if name == "executeTemplate" {
            let dot = args.get(1).cloned().unwrap_or(Value::Nil);
            let name = args[0].as_bytes().unwrap_or_default().to_vec();
            return templates.execute(self, &name, dot).map(Value::from);
        }
        functions::find(Functions::renamed(name)).expect("the parser knows it").call(
            self.scope,
            &self.scratch,
            &args,
        )
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Fixture {
    #[serde(rename = "KV")]
    kv: BTreeMap<String, String>,
    services: BTreeMap<String, Vec<Instance>>,
    catalog: Vec<Snippet>,
    env: BTreeMap<String, String>,
    nodes: Vec<FixtureNode>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Instance {
    node: String,
    #[serde(rename = "NodeID")]
    node_id: String,
    node_address: String,
    node_tagged_addresses: BTreeMap<String, String>,
    node_meta: BTreeMap<String, String>,
    service_meta: BTreeMap<String, String>,
    address: String,
    service_tagged_addresses: BTreeMap<String, Address>,
    #[serde(rename = "ID")]
    id: String,
    name: String,
    tags: Vec<String>,
    checks: Vec<FixtureCheck>,
    status: String,
    port: i64,
    weights: FixtureWeights,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Address {
    address: String,
    port: i64,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct FixtureWeights {
    passing: i64,
    warning: i64,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct FixtureCheck {
    node: String,
    #[serde(rename = "CheckID")]
    check_id: String,
    name: String,
    status: String,
    output: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Snippet {
    name: String,
    tags: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct FixtureNode {
    #[serde(rename = "ID")]
    id: String,
    node: String,
    address: String,
    datacenter: String,
    tagged_addresses: Option<BTreeMap<String, String>>,
    meta: Option<BTreeMap<String, String>>,
}

impl Fixture {
    /// What a registry with this data would answer. Services are known by name alone.
    fn answer(&self, query: &Query) -> Answer {
        match query {
            Query::Key { path, .. } => {
                let now = self.kv.get(path).map(|value| pair(path, path, value));
                Answer::Key(KeyAnswer { last: now.clone(), now })
            }
            Query::Prefix { prefix, .. } => {
                let below = self.kv.iter().filter(|(key, _)| key.starts_with(prefix.as_str()));
                let relative = |key: &str| key[prefix.len()..].trim_start_matches('/').to_owned();
                Answer::Pairs(below.map(|(key, value)| pair(key, &relative(key), value)).collect())
            }
            Query::Service { name, .. } => {
                let instances = self.services.get(name).cloned().unwrap_or_default();
                Answer::Instances(instances.into_iter().map(Instance::health_service).collect())
            }
            Query::Services { .. } => {
                let snippet = |s: &Snippet| CatalogSnippet { name: s.name.clone(), tags: s.tags.clone() };
                Answer::Services(self.catalog.iter().map(snippet).collect())
            }
            Query::Node { .. } => {
                let node = self.nodes.first().map(FixtureNode::node);
                Answer::Node(CatalogNode { node, services: Vec::new() })
            }
            Query::Nodes { .. } => Answer::Nodes(self.nodes.iter().map(FixtureNode::node).collect()),
            Query::Datacenters { .. } => Answer::Datacenters(vec!["dc1".to_owned(), "dc2".to_owned()]),
            Query::Mesh { .. } => Answer::Documents(Vec::new()),
            Query::File { path } => Answer::File(std::fs::read(path).unwrap_or_default()),
        }
    }
}

fn pair(path: &str, key: &str, value: &str) -> KeyPair {
    KeyPair { path: path.to_owned(), key: key.to_owned(), value: value.into(), ..KeyPair::default() }
}

impl Instance {
    fn health_service(self) -> HealthService {
        let check = |c: FixtureCheck| HealthCheck {
            node: c.node,
            check_id: c.check_id,
            name: c.name,
            status: c.status,
            output: c.output,
            ..HealthCheck::default()
        };
        let address = |a: Address| ServiceAddress { address: a.address, port: a.port };
        HealthService {
            node: self.node,
            node_id: self.node_id,
            node_address: self.node_address,
            node_tagged_addresses: unless_empty(self.node_tagged_addresses),
            node_meta: unless_empty(self.node_meta),
            service_meta: unless_empty(self.service_meta),
            address: self.address,
            service_tagged_addresses: unless_empty(
                self.service_tagged_addresses.into_iter().map(|(name, a)| (name, address(a))).collect(),
            ),
            id: self.id,
            name: self.name,
            tags: self.tags,
            checks: self.checks.into_iter().map(check).collect(),
            status: self.status,
            port: self.port,
            weights: Weights { passing: self.weights.passing, warning: self.weights.warning },
        }
    }
}

fn unless_empty<T>(map: BTreeMap<String, T>) -> Option<BTreeMap<String, T>> {
    Some(map).filter(|map| !map.is_empty())
}

impl FixtureNode {
    fn node(&self) -> Node {
        Node {
            id: self.id.clone(),
            node: self.node.clone(),
            address: self.address.clone(),
            datacenter: self.datacenter.clone(),
            tagged_addresses: self.tagged_addresses.clone(),
            meta: self.meta.clone(),
            ..Node::default()
        }
    }
}
