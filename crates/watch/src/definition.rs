//! One watch of a configuration, and its life.

use std::time::Duration;

use daemon::Shutdown;
use serde_json::Value as Json;
use tokio::time::timeout;

use crate::{Ask, Follower, Handler, HttpHandler, Parameters, Subject};

/// How long a handler may go on once the end has been asked for. One that restarts the agent itself waits for it.
const DRAIN: Duration = Duration::from_secs(5);

/// What is watched, on whose behalf, and who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// What is watched.
    pub subject: Subject,
    /// Who is told.
    pub handler: Handler,
    /// The datacenter to ask; empty for the agent's own.
    pub datacenter: String,
    /// Whose rights it has; empty for the agent's.
    pub token: String,
    /// Whether any server may answer.
    pub stale: bool,
}

impl Watch {
    /// Reads an element of `watches`: `{"type": "key", "key": "a", "args": ["/bin/it"]}`.
    ///
    /// Errors, in Consul's words, with what is wrong with it. `notices` gets what was accepted but has no effect, or has a
    /// better spelling.
    pub fn read(mut parameters: Parameters, notices: &mut Vec<String>) -> Result<Self, String> {
        match parameters.get("handler_type") {
            None => parameters.set("handler_type", "script"),
            Some(Json::String(kind)) if kind == "script" || kind == "http" => {}
            Some(Json::String(kind)) => return Err(format!("Handler type '{kind}' not recognized")),
            Some(other) => return Err(format!("Handler type '{other}' not recognized")),
        }
        let program = program(&parameters, notices)?;
        let is_http = parameters.get("handler_type").is_some_and(|kind| kind == "http");
        let handler = match (program, is_http) {
            (Some(_), true) => return Err("Only one watch handler allowed".into()),
            (None, false) => return Err("Must define a watch handler".into()),
            (program, _) => program,
        };
        if let Some(kind @ ("connect_roots" | "connect_leaf")) = parameters.get("type").and_then(Json::as_str)
        {
            return Err(format!("Watch type {kind} is not allowed in agent config"));
        }
        Self::take(&mut parameters, handler, notices)
            .map_err(|why| format!("Failed to parse watch ({}): {why}", parameters.go_syntax()))
    }

    fn take(
        parameters: &mut Parameters,
        program: Option<Handler>,
        notices: &mut Vec<String>,
    ) -> Result<Self, String> {
        let datacenter = parameters.text("datacenter")?;
        let token = parameters.text("token")?;
        let kind = parameters.text("type")?;
        if kind.is_empty() {
            return Err("Watch type must be specified".into());
        }
        parameters.drop("handler_type");
        let handler = match program {
            Some(program) => program,
            None => {
                let block = parameters
                    .get("http_handler_config")
                    .ok_or("Handler type 'http' requires 'http_handler_config' to be set")?;
                let read = HttpHandler::read(block, notices);
                let handler = read.map_err(|why| format!("Failed to parse 'http_handler_config': {why}"))?;
                parameters.drop("http_handler_config");
                Handler::Http(handler)
            }
        };
        let subject = Subject::take(&kind, parameters)?;
        let stale = if subject.may_be_stale() { parameters.bool("stale")? } else { false };
        parameters.drop("args");
        parameters.drop("handler");
        parameters.finish()?;
        Ok(Self { subject, handler, datacenter, token, stale })
    }

    /// Follows the subject and tells the handler, until the end is asked for. Whoever answers to `ask` knows the token.
    ///
    /// The log has a line when it cannot be followed and one when it can again.
    pub async fn run(self, ask: impl Ask, shutdown: Shutdown) {
        let kind = self.subject.kind();
        let mut follower = Follower::new(ask, self.subject, more(&self.datacenter, self.stale));
        let mut trouble: Option<String> = None;
        loop {
            let found = tokio::select! {
                () = shutdown.requested() => return,
                found = follower.next() => found,
            };
            match found {
                Ok(change) => {
                    if trouble.take().is_some() {
                        tracing::info!(target: "agent.watch", r#type = kind, "Watch works again");
                    }
                    let handled = self.handler.handle(&change);
                    tokio::pin!(handled);
                    tokio::select! {
                        () = &mut handled => {}
                        () = shutdown.requested() => {
                            let _ = timeout(DRAIN, handled).await;
                            return;
                        }
                    }
                }
                Err(found) => {
                    let error = found.to_string();
                    if trouble.as_ref() != Some(&error) {
                        let retry = format!("{}s", found.pause.as_secs());
                        tracing::error!(target: "agent.watch", r#type = kind, error, retry, "Watch errored");
                    }
                    trouble = Some(error);
                }
            }
        }
    }
}

/// What every question carries.
fn more(datacenter: &str, stale: bool) -> Vec<(String, String)> {
    let dc = (!datacenter.is_empty()).then(|| ("dc".to_owned(), datacenter.to_owned()));
    dc.into_iter().chain(stale.then(|| ("stale".to_owned(), String::new()))).collect()
}

/// The program that is to be run: `args`, or the older `handler`, a line for the shell.
fn program(parameters: &Parameters, notices: &mut Vec<String>) -> Result<Option<Handler>, String> {
    let line = match parameters.get("handler") {
        None => None,
        Some(Json::String(line)) => {
            notices.push(
                "The 'handler' field in watches has been deprecated and replaced with the 'args' field. See \
                 https://developer.hashicorp.com/docs/agent/watches"
                    .into(),
            );
            Some(line.clone())
        }
        Some(_) => return Err("Watch handler must be a string".into()),
    };
    let args = match parameters.get("args") {
        None => None,
        Some(Json::String(program)) => Some(vec![program.clone()]),
        Some(Json::Array(args)) => {
            let texts: Option<Vec<_>> = args.iter().map(|arg| arg.as_str().map(str::to_owned)).collect();
            Some(texts.ok_or("Watch args must be a list of strings")?)
        }
        Some(_) => return Err("Watch args must be a list of strings".into()),
    };
    match (line, args) {
        (Some(_), Some(_)) => Err("Only one watch handler allowed".into()),
        (Some(line), None) if !line.trim().is_empty() => Ok(Some(Handler::Shell(line))),
        (None, Some(args)) if args.first().is_some_and(|program| !program.is_empty()) => {
            Ok(Some(Handler::Program(args)))
        }
        (None, None) if parameters.has("http_handler_config") => Ok(None),
        (None, None) if parameters.get("handler_type").is_some_and(|kind| kind == "http") => Ok(None),
        _ => Err("Must define a watch handler".into()),
    }
}

#[cfg(test)]
mod tests;
