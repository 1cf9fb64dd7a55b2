//! Functions that ask the registry. While an answer has not come they give something empty, and the scope knows.

use std::path::Path;

use go_template::{Signature, Type, Value};

use super::{Context, Kind, Row, bytes, shapes, string};
use crate::answers::{Answer, KeyAnswer, KeyPair};
use crate::parts::View;
use crate::query::{Query, QueryError};

const TEXTS: &[Type] = &[Type::Str];

pub(super) const fn data(
    name: &'static str,
    signature: Signature,
    help: &'static str,
    call: fn(&Context<'_>, &[Value]) -> Result<Value, String>,
) -> Row {
    Row::new(name, Kind::Data, signature, help, call)
}

pub(super) const ROWS: &[Row] = &[
    data("key", Signature::new(TEXTS, Type::Str), "The value of a key; waits for the key to exist.", key)
.example(r#"{{ key "app/name" }}"#, "shop"),
    data(
        "keyExists",
        Signature::new(TEXTS, Type::Bool),
        "Whether a key exists; never waits for one.",
        |context, args| {
            let answer = ask_key(context, &args[0], View::EXISTS)?;
            Ok(Value::Bool(answer.is_some_and(|(_, answer)| answer.now.is_some())))
        },
    )
.example(r#"{{ keyExists "app/name" }} {{ keyExists "app/none" }}"#, "true false"),
    data(
        "keyOrDefault",
        Signature::new(&[Type::Str, Type::Str], Type::Str),
        "The value of a key, or the second argument when there is none or it is empty.",
        key_or_default,
    )
.example(r#"{{ keyOrDefault "app/name" "-" }} {{ keyOrDefault "app/none" "-" }}"#, "shop -"),
    data(
        "ls",
        Signature::new(TEXTS, shapes::KEY_PAIRS),
        "The keys right below a prefix, folders left out.",
        |context, args| list(context, &args[0], View::CHILDREN, false),
    )
.example(r#"{{ range ls "app" }}{{ .Key }}={{ .Value }};{{ end }}"#, "name=shop;port=8080;"),
    data(
        "safeLs",
        Signature::new(TEXTS, shapes::KEY_PAIRS),
        "The same as ls; waits while there are none.",
        |context, args| list(context, &args[0], View::CHILDREN, true),
    )
.example(r#"{{ range safeLs "app" }}{{ .Key }}={{ .Value }};{{ end }}"#, "name=shop;port=8080;"),
    data(
        "tree",
        Signature::new(TEXTS, shapes::KEY_PAIRS),
        "All keys below a prefix at any depth, folders left out.",
        |context, args| list(context, &args[0], View::LEAVES, false),
    )
.example(r#"{{ range tree "app" }}{{ .Key }}={{ .Value }};{{ end }}"#, "db/host=db.internal;name=shop;port=8080;"),
    data(
        "safeTree",
        Signature::new(TEXTS, shapes::KEY_PAIRS),
        "The same as tree; waits while there are none.",
        |context, args| list(context, &args[0], View::LEAVES, true),
    )
.example(r#"{{ range safeTree "app" }}{{ .Path }};{{ end }}"#, "app/db/host;app/name;app/port;"),
    data(
        "service",
        Signature::variadic(TEXTS, shapes::HEALTH_SERVICES),
        "The instances of `[TAG.]NAME[?QUERY][@DC][~NEAR][|FILTER]`; passing ones unless a filter says otherwise.",
        |context, args| instances(context, args, Query::service),
    )
.example(r#"{{ range service "web" }}{{ .ID }} {{ .Address }}:{{ .Port }};{{ end }}"#, "web-1 10.0.0.1:8080;web-2 10.0.0.2:8080;"),
    data(
        "connect",
        Signature::variadic(TEXTS, shapes::HEALTH_SERVICES),
        "The same as service, for instances of the service mesh.",
        |context, args| instances(context, args, Query::connect),
    )
.example(r#"{{ range connect "web" }}{{ .ID }}{{ else }}none{{ end }}"#, "none"),
    data(
        "services",
        Signature::variadic(TEXTS, shapes::CATALOG_SNIPPETS),
        "The names and tags of all services of `[?QUERY][@DC]`.",
        |context, args| {
            let found = context.scope.ask_records(&Query::services(&joined(args, "")).map_err(words)?);
            Ok(found.unwrap_or_else(|| shapes::catalog_snippets(&[])))
        },
    )
.example("{{ range services }}{{ .Name }} {{ .Tags }};{{ end }}", "db [primary];web [primary v1 v2];"),
    data(
        "node",
        Signature::variadic(TEXTS, Type::Any),
        "A node and its services; the agent's own without an argument.",
        |context, args| {
            let found = context.scope.ask_records(&Query::node(&joined(args, "")).map_err(words)?);
            Ok(found.unwrap_or(Value::Nil))
        },
    )
.example(r#"{{ with node "node-1" }}{{ .Node.Address }}{{ range .Services }} {{ .ID }}{{ end }}{{ end }}"#, "10.0.0.1 db-1 web-1"),
    data(
        "nodes",
        Signature::variadic(TEXTS, shapes::NODES),
        "All nodes of `[?QUERY][@DC][~NEAR]`.",
        |context, args| {
            let found = context.scope.ask_records(&Query::nodes(&joined(args, "")).map_err(words)?);
            Ok(found.unwrap_or_else(|| shapes::nodes(&[])))
        },
    )
.example("{{ range nodes }}{{ .Node }} {{ .Address }};{{ end }}", "node-1 10.0.0.1;node-2 10.0.0.2;node-3 10.0.0.3;"),
    data(
        "datacenters",
        Signature::variadic(&[Type::Bool], Type::STRINGS),
        "The names of the datacenters; with true only those that answer.",
        datacenters,
    )
.example("{{ datacenters }}", "[dc1]"),
    data("file", Signature::new(TEXTS, Type::Str), "The contents of a file, watched for changes.", file)
.example(r#"{{ file "/etc/ryo/motd" }}"#, "welcome\n"),
];

fn words(error: QueryError) -> String {
    error.to_string()
}

fn joined(args: &[Value], separator: &str) -> String {
    args.iter().map(string).collect::<Vec<_>>().join(separator)
}

/// The answer to a key's question; none when the name is empty or nothing has come yet.
fn ask_key(context: &Context<'_>, name: &Value, view: View) -> Result<Option<(Query, KeyAnswer)>, String> {
    if bytes(name).is_empty() {
        return Ok(None);
    }
    let query = Query::key(&string(name)).map_err(words)?;
    match context.scope.ask_for(&query, view).as_deref() {
        Some(Answer::Key(answer)) => Ok(Some((query, answer.clone()))),
        _ => Ok(None),
    }
}

fn key(context: &Context<'_>, args: &[Value]) -> Result<Value, String> {
    match ask_key(context, &args[0], View::LAST)? {
        Some((_, KeyAnswer { last: Some(pair), .. } | KeyAnswer { now: Some(pair), .. })) => {
            Ok(Value::from(pair.value))
        }
        Some((query, _)) => {
            context.scope.wait_for(&query);
            Ok(Value::from(""))
        }
        None => Ok(Value::from("")),
    }
}

fn key_or_default(context: &Context<'_>, args: &[Value]) -> Result<Value, String> {
    match ask_key(context, &args[0], View::VALUE)? {
        Some((_, KeyAnswer { now: Some(pair), .. })) if !pair.value.is_empty() => Ok(Value::from(pair.value)),
        _ => Ok(args[1].clone()),
    }
}

fn list(context: &Context<'_>, prefix: &Value, view: View, waits: bool) -> Result<Value, String> {
    if bytes(prefix).is_empty() {
        return Ok(shapes::key_pairs([]));
    }
    let query = Query::prefix(&string(prefix)).map_err(words)?;
    let answer = context.scope.ask_for(&query, view);
    let shows = if view == View::CHILDREN { KeyPair::is_child } else { KeyPair::is_leaf };
    let Some(Answer::Pairs(pairs)) = answer.as_deref() else { return Ok(shapes::key_pairs([])) };
    let mut pairs = pairs.iter().filter(|pair| shows(pair)).peekable();
    if waits && pairs.peek().is_none() {
        context.scope.wait_for(&query);
    }
    Ok(shapes::key_pairs(pairs))
}

fn instances(
    context: &Context<'_>,
    args: &[Value],
    read: fn(&str) -> Result<Query, QueryError>,
) -> Result<Value, String> {
    if args.first().is_none_or(|first| bytes(first).is_empty()) {
        return Ok(shapes::health_services(&[]));
    }
    let found = context.scope.ask_records(&read(&joined(args, "|")).map_err(words)?);
    Ok(found.unwrap_or_else(|| shapes::health_services(&[])))
}

fn datacenters(context: &Context<'_>, args: &[Value]) -> Result<Value, String> {
    let reachable_only = match args {
        [] => false,
        [only] => only.truth(),
        _ => {
            return Err(format!(
                "datacenters: wrong number of arguments, expected 0 or 1, but got {}",
                args.len()
            ));
        }
    };
    match context.scope.ask(&Query::datacenters(reachable_only)).as_deref() {
        Some(Answer::Datacenters(names)) => Ok(Value::strings(names)),
        _ => Ok(Value::strings::<&str>([])),
    }
}

fn file(context: &Context<'_>, args: &[Value]) -> Result<Value, String> {
    let path = string(&args[0]);
    if path.is_empty() {
        return Ok(Value::from(""));
    }
    if let Some(sandbox) = &context.scope.surroundings().sandbox {
        inside(sandbox, Path::new(&path))?;
    }
    match context.scope.ask(&Query::file(&path)).as_deref() {
        Some(Answer::File(contents)) => Ok(Value::from(contents.as_slice())),
        _ => Ok(Value::from("")),
    }
}

/// Whether a path, links followed, is below a folder.
pub(super) fn inside(sandbox: &Path, path: &Path) -> Result<(), String> {
    let outside = || format!("'{}' is outside of sandbox", path.display());
    let real = path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))?;
    let folder = sandbox.canonicalize().map_err(|error| format!("{}: {error}", sandbox.display()))?;
    if real.starts_with(folder) { Ok(()) } else { Err(outside()) }
}
