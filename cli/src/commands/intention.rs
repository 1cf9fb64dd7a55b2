//! `intention`: which services may call which. They are kept as data; nothing in ryo acts on them.

use clap::{Args, Subcommand};
use daemon::Exit;
use registry_client::{Client, Request, RequestError};
use serde_json::{Map, Value, json};

use super::data;
use crate::{
    client::{AskFlags, NoWords, succeed},
    flags::{Pair, pair},
    output::{failure, line, note, show, table, told},
};

/// Where one intention is, by source and destination.
const EXACT: &str = "/v1/connect/intentions/exact";

/// Keep which services may call which
#[derive(Debug, Subcommand)]
pub(crate) enum Intention {
    /// Say whether one service may call another
    Check(Check),
    /// Let a service call another, or forbid it
    Create(Create),
    /// Forget what was said of two services
    Delete(Delete),
    /// Print what was said of two services
    Get(Get),
    /// List them all
    List(List),
    /// List those that concern a service
    Match(Match),
}

impl Intention {
    pub(crate) fn run(self) -> Exit {
        match self {
            Self::Check(command) => command.run(),
            Self::Create(command) => command.run(),
            Self::Delete(command) => command.run(),
            Self::Get(command) => command.run(),
            Self::List(command) => command.run(),
            Self::Match(command) => command.run(),
        }
    }
}

/// The request with the two names as parameters.
fn between(request: Request, source: &str, destination: &str) -> Request {
    request.with("source", source).with("destination", destination)
}

/// A service's name and what Enterprise puts before it: `partition/namespace/name`, `namespace/name`. Errors when there is more.
fn parts<'t>(what: &str, text: &'t str) -> Result<(Option<&'t str>, Option<&'t str>, &'t str), String> {
    match text.split('/').collect::<Vec<_>>()[..] {
        [name] => Ok((None, None, name)),
        [namespace, name] => Ok((None, Some(namespace), name)),
        [partition, namespace, name] => Ok((Some(partition), Some(namespace), name)),
        _ => Err(format!("Invalid intention {what}: input can contain at most two '/'")),
    }
}

/// The name of one side with its namespace: `web`, `ns/web`.
fn side(intention: &Value, side: &str) -> String {
    let (namespace, name) = (text(intention, &format!("{side}NS")), text(intention, &format!("{side}Name")));
    match namespace {
        "" | "default" => name.to_owned(),
        namespace => format!("{namespace}/{name}"),
    }
}

fn text<'v>(intention: &'v Value, field: &str) -> &'v str {
    intention[field].as_str().unwrap_or_default()
}

/// `web => db (allow)`
fn arrow(intention: &Value) -> String {
    let action = match text(intention, "Action") {
        "" if !intention["Permissions"].is_array() => String::new(),
        "" => match intention["Permissions"].as_array().map_or(0, Vec::len) {
            1 => "1 permission".to_owned(),
            count => format!("{count} permissions"),
        },
        action => action.to_owned(),
    };
    format!("{} => {} ({action})", side(intention, "Source"), side(intention, "Destination"))
}

/// Say whether one service may call another
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  ryo intention check web db\n\nExit codes: 0 it may, 1 it may not, 2 no answer"
)]
pub(crate) struct Check {
    #[command(flatten)]
    ask: AskFlags,
    /// The service that calls, and the one that is called
    #[arg(value_name = "SOURCE DESTINATION")]
    words: Vec<String>,
}

impl Check {
    fn run(self) -> Exit {
        let wrong = |why: String| {
            failure(why);
            Exit::NoMatch
        };
        let [source, destination] = self.words.as_slice() else {
            return wrong("Error: command requires exactly two arguments: src and dst".into());
        };
        self.ask.run(async |client| {
            let request = Request::get("/v1/connect/intentions/check");
            let request = between(request, source, destination).with("source-type", "consul");
            match client.json::<Value>(&self.ask.apply(request)).await {
                Ok(answer) if answer["Allowed"] == true => {
                    show(self.ask.json(), &answer, || "Allowed".into())
                }
                Ok(answer) => {
                    show(self.ask.json(), &answer, || "Denied".into());
                    Exit::Failure
                }
                Err(e) => wrong(format!("Error checking the connection: {e}")),
            }
        })
    }
}

/// Let a service call another, or forbid it
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  ryo intention create web db\n  ryo intention create -deny '*' db\n\n\
    Exit codes: 0 kept, 1 refused or no answer")]
pub(crate) struct Create {
    /// Let it (when neither is said)
    #[arg(long)]
    allow: bool,
    /// Forbid it
    #[arg(long)]
    deny: bool,
    /// The words are files with intentions, JSON
    #[arg(long)]
    file: bool,
    /// A pair of its meta data (repeatable)
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    meta: Vec<Pair>,
    /// Instead of what was said of the two before
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    ask: AskFlags,
    /// The service that calls, and the one that is called; or files
    #[arg(value_name = "SOURCE DESTINATION")]
    words: Vec<String>,
}

impl Create {
    fn run(self) -> Exit {
        if self.allow && self.deny {
            return failure("Only one of -allow or -deny may be specified.");
        }
        let wanted = match self.wanted() {
            Ok(wanted) => wanted,
            Err(why) => return failure(format!("Error: {why}")),
        };
        self.ask.run(async |client| {
            for intention in &wanted {
                if let Err(why) = self.keep(&client, intention).await {
                    return failure(why);
                }
            }
            told(self.ask.json(), &wanted)
        })
    }

    fn wanted(&self) -> Result<Vec<Value>, String> {
        if self.file {
            let read = |file: &String| -> Result<Value, String> {
                let text = data::file(file)?;
                serde_json::from_slice(&text).map_err(|e| format!("{file}: {e}"))
            };
            return self.words.iter().map(read).collect();
        }
        let [source, destination] = self.words.as_slice() else {
            return Err("Must specify two arguments: source and destination".into());
        };
        let meta: Map<String, Value> =
            self.meta.iter().map(|pair| (pair.name.clone(), pair.value.clone().into())).collect();
        let action = if self.deny { "deny" } else { "allow" };
        let mut intention = json!({ "SourceType": "consul", "Action": action });
        for (side, words) in
            [("Source", parts("source", source)?), ("Destination", parts("destination", destination)?)]
        {
            let (partition, namespace, name) = words;
            let fields = [("Partition", partition), ("NS", namespace), ("Name", Some(name))];
            for (field, value) in fields.into_iter().filter_map(|(field, value)| Some((field, value?))) {
                intention[format!("{side}{field}")] = value.into();
            }
        }
        if !meta.is_empty() {
            intention["Meta"] = meta.into();
        }
        Ok(vec![intention])
    }

    async fn keep(&self, client: &Client, intention: &Value) -> Result<(), String> {
        let wrong = |e: RequestError| format!("Error creating intention {:?}: {e}", arrow(intention));
        if self.replace
            && let Some(known) = self.known(client, intention).await?
        {
            let path = Request::path_to("/v1/connect/intentions", &known);
            let request = Request::put(path, intention.to_string());
            succeed(client, &self.ask.apply(request)).await.map_err(|e| {
                format!(
                    "Error replacing intention with source {:?} and destination {:?}: {e}",
                    side(intention, "Source"),
                    side(intention, "Destination")
                )
            })?;
            return Ok(());
        }
        let request = Request::new("POST", "/v1/connect/intentions");
        let request = Request { body: intention.to_string().into(), ..request };
        succeed(client, &self.ask.apply(request)).await.map_err(wrong)?;
        if !self.ask.json() {
            line(format!("Created: {}", arrow(intention)));
        }
        Ok(())
    }

    /// The id of what was said of the two before.
    async fn known(&self, client: &Client, intention: &Value) -> Result<Option<String>, String> {
        let (source, destination) = (side(intention, "Source"), side(intention, "Destination"));
        let request = self.ask.apply(between(Request::get(EXACT), &source, &destination));
        let found: Option<Value> = client.json_if_found(&request).await.map_err(|e| {
            format!(
                "Error looking up intention for replacement with source {source:?} and destination {destination:?}: {e}"
            )
        })?;
        Ok(found.map(|found| text(&found, "ID").to_owned()))
    }
}

/// Forget what was said of two services
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  ryo intention delete web db\n\nExit codes: 0 forgotten, 1 refused or no answer"
)]
pub(crate) struct Delete {
    #[command(flatten)]
    ask: AskFlags,
    /// The service that calls, and the one that is called
    #[arg(value_name = "SOURCE DESTINATION")]
    words: Vec<String>,
}

impl Delete {
    fn run(self) -> Exit {
        let request = match self.words.as_slice() {
            [id] => Request::delete(Request::path_to("/v1/connect/intentions", id)),
            [source, destination] => between(Request::delete(EXACT), source, destination),
            _ => return failure("command requires exactly 1 or 2 arguments"),
        };
        self.ask.run(async |client| match succeed(&client, &self.ask.apply(request)).await {
            Ok(_) => show(self.ask.json(), &json!({ "Deleted": true }), || "Intention deleted.".into()),
            Err(e) => failure(format!("Error deleting the intention: {e}")),
        })
    }
}

/// Print what was said of two services
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  ryo intention get web db\n\nExit codes: 0 printed, 1 nothing was said, or no answer"
)]
pub(crate) struct Get {
    #[command(flatten)]
    ask: AskFlags,
    /// The service that calls, and the one that is called
    #[arg(value_name = "SOURCE DESTINATION")]
    words: Vec<String>,
}

impl Get {
    fn run(self) -> Exit {
        let (request, missing) = match self.words.as_slice() {
            [id] => {
                let request = Request::get(Request::path_to("/v1/connect/intentions", id));
                (request, format!("Intention not found with ID {id:?}"))
            }
            [source, destination] => {
                let why =
                    format!("Intention not found with source {source:?} and destination {destination:?}");
                (between(Request::get(EXACT), source, destination), why)
            }
            _ => return failure("command requires exactly 1 or 2 arguments"),
        };
        self.ask.run(async |client| match client.json_if_found::<Value>(&self.ask.apply(request)).await {
            Ok(Some(found)) => show(self.ask.json(), &found, || details(&found)),
            Ok(None) => failure(missing),
            Err(RequestError::Status { status, body }) => {
                failure(format!("Error reading the intention: Unexpected response {status}: {body}"))
            }
            Err(e) => failure(format!("Error reading the intention: {e}")),
        })
    }
}

fn details(found: &Value) -> String {
    let mut rows =
        vec![("Source", text(found, "SourceName")), ("Destination", text(found, "DestinationName"))];
    let action = [("Action", "Action"), ("ID", "ID"), ("Description", "Description")];
    rows.extend(
        action
            .iter()
            .map(|(title, field)| (*title, text(found, field)))
            .filter(|(_, value)| !value.is_empty()),
    );
    let mut out: String =
        rows.iter().map(|(title, value)| format!("{:<14}{value}\n", format!("{title}:"))).collect();
    for (name, value) in found["Meta"].as_object().into_iter().flatten() {
        out += &format!("{:<14}{}\n", format!("Meta[{name}]:"), value.as_str().unwrap_or_default());
    }
    if let Ok(time) = chrono::DateTime::parse_from_rfc3339(text(found, "CreatedAt")) {
        out += &format!("{:<14}{}", "Created At:", time.to_utc().format("%A, %d-%b-%y %H:%M:%S UTC"));
    }
    out.trim_end().to_owned()
}

/// List them all
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  ryo intention list\n\nExit codes: 0 listed, also when there are none, 1 no answer"
)]
pub(crate) struct List {
    #[command(flatten)]
    ask: AskFlags,
    #[command(flatten)]
    no_words: NoWords,
}

impl List {
    fn run(self) -> Exit {
        self.ask.run(async |client| {
            match client.json::<Vec<Value>>(&self.ask.apply(Request::get("/v1/connect/intentions"))).await {
                Ok(found) if found.is_empty() && !self.ask.json() => {
                    note("There are no intentions.");
                    Exit::NoMatch
                }
                Ok(found) => show(self.ask.json(), &found, || table(&rows(&found))),
                Err(e) => failure(format!("Failed to retrieve the intentions list: {e}")),
            }
        })
    }
}

fn rows(found: &[Value]) -> Vec<Vec<String>> {
    let head = ["ID", "Source", "Action", "Destination", "Precedence"].map(String::from).to_vec();
    let row = |one: &Value| {
        let [id, source, action, destination] =
            ["ID", "SourceName", "Action", "DestinationName"].map(|field| text(one, field).to_owned());
        vec![id, source, action, destination, one["Precedence"].to_string()]
    };
    std::iter::once(head).chain(found.iter().map(row)).collect()
}

/// List those that concern a service
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  ryo intention match -source web\n\nExit codes: 0 listed, 1 no answer")]
pub(crate) struct Match {
    /// Those where it is called (when neither is said)
    #[arg(long)]
    destination: bool,
    /// Those where it calls
    #[arg(long)]
    source: bool,
    #[command(flatten)]
    ask: AskFlags,
    /// The service
    #[arg(value_name = "SERVICE")]
    words: Vec<String>,
}

impl Match {
    fn run(self) -> Exit {
        let [service] = self.words.as_slice() else {
            return failure("Error: command requires exactly one argument: src or dst");
        };
        if self.source && self.destination {
            return failure("Error: only one of -source or -destination may be specified");
        }
        self.ask.run(async |client| {
            let by = if self.source { "source" } else { "destination" };
            let request =
                Request::get("/v1/connect/intentions/match").with("by", by).with("name", service.as_str());
            match client.json::<Map<String, Value>>(&self.ask.apply(request)).await {
                Ok(found) => {
                    let of_it: Vec<&Value> = found.values().filter_map(Value::as_array).flatten().collect();
                    if self.ask.json() {
                        return show(true, &of_it, String::new);
                    }
                    of_it.iter().for_each(|one| line(arrow(one)));
                    Exit::Success
                }
                Err(e) => failure(format!("Error matching the connection: {e}")),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::arrow;

    #[test]
    fn an_intention_in_a_line() {
        let one = json!({"SourceName": "web", "DestinationName": "db", "Action": "deny"});
        assert_eq!(arrow(&one), "web => db (deny)");
        let more = json!({"SourceName": "web", "DestinationName": "db", "Permissions": [{}, {}]});
        assert_eq!(arrow(&more), "web => db (2 permissions)");
    }
}
