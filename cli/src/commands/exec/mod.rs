//! `exec`: runs a command on other nodes.
//!
//! The command stands in a key that belongs to a session, a user event tells the agents, and they write what comes of it
//! beside the key. `answers` reads that. The keys and the event are Consul's, so both kinds of agents take part.

mod answers;

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use clap::{ArgAction, Args};
use daemon::{Exit, shutdown::Signals};
use registry_client::{Client, Request};
use registry_wire::{duration, regexp};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use self::answers::Answers;
use super::{cluster::usage, data};
use crate::{
    client::{AskFlags, succeed},
    flags::go_bool,
    output::{failure, line},
};

/// What is said when there is no command.
const NOTHING_TO_DO: &str = "Must specify a command to execute";
/// How long the session lives without renewal; agents' answers live as long as it does.
const TTL: Duration = Duration::from_secs(15);

/// Run a command on other nodes
#[derive(Args, Debug)]
#[command(after_help = "Only agents with disable_remote_exec = false take part.\n\n\
    Examples:\n  ryo exec uptime\n  ryo exec -service=web -- systemctl reload nginx\n  ryo exec - < script.sh\n\n\
    Exit codes: 0 all ended well, 1 refused or no answer, 2 it failed on a node")]
pub(crate) struct Exec {
    /// Only on nodes whose name matches
    #[arg(long, default_value = "", value_name = "REGEX", hide_default_value = true)]
    node: String,
    /// Where the keys stand
    #[arg(long, default_value = "_rexec", value_name = "PREFIX")]
    prefix: String,
    /// Only on nodes with a service whose name matches
    #[arg(long, default_value = "", value_name = "REGEX", hide_default_value = true)]
    service: String,
    /// Run the command by a shell
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "true",
        default_missing_value = "true", value_name = "BOOLEAN", value_parser = go_bool)]
    shell: bool,
    /// Only on nodes where a tag of that service matches
    #[arg(long, default_value = "", value_name = "REGEX", hide_default_value = true)]
    tag: String,
    /// Say what happens
    #[arg(long)]
    verbose: bool,
    /// How long nothing may come until it is over
    #[arg(long, default_value = "2s", value_name = "DURATION", value_parser = duration::parse_nanos)]
    wait: i64,
    /// How long other servers get to learn of the command
    #[arg(long, default_value = "200ms", value_name = "DURATION", value_parser = duration::parse_nanos)]
    wait_repl: i64,
    #[command(flatten)]
    ask: AskFlags,
    /// The command and its words; `-` for a script on standard input
    #[arg(value_name = "COMMAND")]
    words: Vec<String>,
}

impl Exec {
    pub(crate) fn run(self) -> Exit {
        if self.words.is_empty() {
            return failure(format!("{NOTHING_TO_DO}\n\n{}", usage(&["exec"])));
        }
        let job = match self.check().and_then(|()| self.job()) {
            Ok(job) => job,
            Err(why) => return failure(why),
        };
        self.ask.run(async |client| self.send(&client, &job).await.unwrap_or_else(failure))
    }

    /// What is found wrong before anybody is asked.
    fn check(&self) -> Result<(), String> {
        if !self.tag.is_empty() && self.service.is_empty() {
            return Err("Cannot provide tag filter without service filter.".into());
        }
        for (what, pattern) in [("node", &self.node), ("service", &self.service), ("tag", &self.tag)] {
            regexp::compile(pattern).map_err(|e| format!("Failed to compile {what} filter regexp: {e}"))?;
        }
        Ok(())
    }

    /// What agents are to do: `{"Command":"uptime","Wait":2000000000}`.
    fn job(&self) -> Result<Value, String> {
        let mut job = Map::new();
        match self.words.as_slice() {
            [dash] if dash == "-" => {
                let script = data::standard_input()?;
                if script.is_empty() {
                    return Err(format!("{NOTHING_TO_DO}\n\n{}", usage(&["exec"])));
                }
                job.insert("Script".into(), BASE64_STANDARD.encode(script).into());
            }
            words if self.shell => _ = job.insert("Command".into(), words.join(" ").into()),
            words => _ = job.insert("Args".into(), words.into()),
        }
        job.insert("Wait".into(), self.wait.into());
        Ok(job.into())
    }

    async fn send(&self, client: &Client, job: &Value) -> Result<Exit, String> {
        let own: Result<Value, _> = client.json(&Request::get("/v1/agent/self")).await;
        let own = own.map_err(|e| format!("Error querying Consul agent: {e}"))?;
        let mut signals = Signals::new().map_err(|e| format!("cannot listen to signals: {e}"))?;
        let body = self.session(client, &own).await.map_err(|e| format!("Failed to create session: {e}"))?;
        let request = self.ask.apply(Request::put("/v1/session/create", body.to_string()));
        let session: Value =
            client.json(&request).await.map_err(|e| format!("Failed to create session: {e}"))?;
        let session = session["ID"].as_str().unwrap_or_default();
        self.say(format!("Created remote execution session: {session}"));
        let ended = tokio::select! {
            ended = self.execute(client, session, job) => ended,
            () = self.renew(client, session) => unreachable!("renewing goes on for ever"),
            _ = signals.next() => Ok(Exit::Failure),
        };
        // The session takes its keys along; what is left of others' goes with the prefix.
        let destroy = Request::put(Request::path_to("/v1/session/destroy", session), "");
        let clean = Request::delete(Request::kv_path(&self.folder(session))).with("recurse", "");
        for request in [destroy, clean] {
            // What stays for any reason ends with the session's life.
            let _ = client.send(&self.ask.apply(request)).await;
        }
        ended
    }

    /// The session that is wanted. In another datacenter there is no node of ours: it is bound to a server there.
    async fn session(&self, client: &Client, own: &Value) -> Result<Value, String> {
        let mut body =
            json!({ "Name": "Remote Exec", "TTL": format!("{}s", TTL.as_secs()), "Behavior": "delete" });
        let (datacenter, here) = (self.ask.server.datacenter.as_deref().unwrap_or_default(), &own["Config"]);
        if datacenter.is_empty() || here["Datacenter"] == datacenter {
            return Ok(body);
        }
        self.say("Remote exec in foreign datacenter, using Session TTL");
        let servers = self.ask.apply(Request::get("/v1/health/service/consul").with("passing", "1"));
        let servers: Result<Value, _> = client.json(&servers).await;
        let servers =
            servers.map_err(|e| format!("Failed to find Consul server in remote datacenter: {e}"))?;
        let Some(node) = servers[0]["Node"]["Node"].as_str() else {
            return Err("Failed to find Consul server in remote datacenter".to_owned());
        };
        self.say(format!("Binding session to remote node {node}@{datacenter}"));
        let text = |name: &str| here[name].as_str().unwrap_or_default();
        body["Name"] = format!("Remote Exec via {}@{}", text("NodeName"), text("Datacenter")).into();
        body["Node"] = node.into();
        body["Checks"] = json!([]);
        Ok(body)
    }

    async fn execute(&self, client: &Client, session: &str, job: &Value) -> Result<Exit, String> {
        let path = Request::kv_path(&format!("{}job", self.folder(session)));
        let request = self.ask.apply(Request::put(path, job.to_string()).with("acquire", session));
        match client.json::<bool>(&request).await {
            Ok(true) => self.say("Uploaded remote execution spec"),
            Ok(false) => return Err("Failed to upload job: failed to acquire the key".into()),
            Err(e) => return Err(format!("Failed to create job file: {e}")),
        }
        sleep(nanos(self.wait_repl)).await;
        let id = self.fire(client, session).await.map_err(|e| format!("Failed to fire event: {e}"))?;
        self.say(format!("Fired remote execution event: {id}"));
        let started = Instant::now();
        let folder = self.folder(session);
        let request = self.ask.apply(Request::get(Request::kv_path(&folder)));
        let result = Answers::new(client, &folder, request).follow(nanos(self.wait), self.verbose).await?;
        line(format!("{} / {} node(s) completed / acknowledged", result.completed, result.acknowledged));
        self.say(format!("Completed in {:.2} seconds", started.elapsed().as_secs_f64()));
        Ok(if result.failed { Exit::NoMatch } else { Exit::Success })
    }

    async fn fire(&self, client: &Client, session: &str) -> Result<String, registry_client::RequestError> {
        let told = json!({ "Prefix": self.prefix, "Session": session }).to_string();
        let filters = [("node", &self.node), ("service", &self.service), ("tag", &self.tag)];
        let request =
            filters.iter().fold(Request::put("/v1/event/fire/_rexec", told), |request, (name, value)| {
                request.with_unless_empty(name, value)
            });
        let fired: Value = client.json(&self.ask.apply(request)).await?;
        Ok(fired["ID"].as_str().unwrap_or_default().to_owned())
    }

    /// Keeps the session alive, for ever.
    async fn renew(&self, client: &Client, session: &str) {
        let request = Request::put(Request::path_to("/v1/session/renew", session), "");
        loop {
            sleep(TTL / 2).await;
            // A registry that is away may be back before the session ends.
            let _ = succeed(client, &self.ask.apply(request.clone())).await;
        }
    }

    /// The prefix of all keys of this run.
    fn folder(&self, session: &str) -> String {
        format!("{}/{session}/", self.prefix)
    }

    fn say(&self, text: impl AsRef<str>) {
        if self.verbose {
            line(text.as_ref());
        }
    }
}

fn nanos(count: i64) -> Duration {
    Duration::from_nanos(u64::try_from(count).unwrap_or(0))
}
