//! A scenario's folder, server, background commands and remembered values.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read as _, Seek as _, Write as _},
    net::{Ipv4Addr, SocketAddr},
    os::unix::{fs::PermissionsExt as _, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use regex::Regex;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::{compare::Manner, normal::normalise};
use crate::{
    client::Request,
    pause, ports,
    subject::{self, Ports, Server},
};

/// A file of the suite.
#[derive(Debug, Deserialize)]
pub(super) struct Scenario {
    #[serde(default)]
    config: Value,
    #[serde(default)]
    files: BTreeMap<String, String>,
    #[serde(default = "yes")]
    server: bool,
    ready: Option<String>,
    ready_contains: Option<String>,
    pub(super) steps: Vec<Step>,
}

fn yes() -> bool {
    true
}

/// One step; which of the first fields is there says what it does.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Step {
    run: Option<Vec<String>>,
    start: Option<Vec<String>>,
    end: Option<String>,
    http: Option<Vec<Value>>,
    #[serde(rename = "await")]
    wait: Option<Await>,
    look: Option<String>,
    list: Option<String>,
    write: Option<String>,
    sleep: Option<f64>,
    signal: Option<String>,

    #[serde(rename = "as")]
    name: String,
    until: Option<String>,
    to: String,
    text: String,
    stdin: String,
    env: BTreeMap<String, Option<String>>,
    headers: BTreeMap<String, String>,
    status: Option<u16>,
    save: BTreeMap<String, String>,
    timeout: Option<f64>,
    rewrite: Vec<(String, String)>,
    squeeze: bool,
    skip_text: bool,
    #[serde(rename = "match")]
    pub(super) matching: BTreeMap<String, Manner>,
    pub(super) expect: Option<Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
struct Await {
    get: Option<String>,
    file: Option<String>,
    contains: Option<String>,
    lacks: Option<String>,
}

impl Step {
    /// The step in a few words, for messages.
    pub(super) fn label(&self) -> String {
        match (&self.run, &self.start, &self.http) {
            (Some(words), _, _) | (_, Some(words), _) => words.join(" "),
            (_, _, Some(call)) => call.iter().filter_map(Value::as_str).take(2).collect::<Vec<_>>().join(" "),
            _ => format!(
                "{:?}",
                self.end
                    .as_ref()
                    .or(self.look.as_ref())
                    .or(self.list.as_ref())
                    .map_or("wait", String::as_str)
            ),
        }
    }

    fn limit(&self, seconds: f64) -> Duration {
        Duration::from_secs_f64(self.timeout.unwrap_or(seconds))
    }
}

/// A running scenario.
pub(super) struct Scene {
    folder: PathBuf,
    bin: PathBuf,
    names: BTreeMap<String, String>,
    jobs: BTreeMap<String, Child>,
    server: Option<Server>,
    _own_folder: Option<TempDir>,
}

impl Scene {
    /// Writes the scenario's files and starts its server, if it has one.
    pub(super) fn begin(scenario: &Scenario, command: &str, bin: &Path) -> anyhow::Result<Self> {
        let second = Ports::free();
        let [dead, ..] = ports::block();
        let scene = |ports: &Ports, folder: &Path| Self {
            folder: folder.to_owned(),
            bin: bin.to_owned(),
            names: names(ports, &second, dead, folder),
            jobs: BTreeMap::new(),
            server: None,
            _own_folder: None,
        };
        if !scenario.server {
            let own = tempfile::Builder::new().prefix("conformance-").tempdir()?;
            let mut scene = scene(&Ports::free(), &own.path().canonicalize()?);
            scene._own_folder = Some(own);
            scene.write_all(&scenario.files)?;
            return Ok(scene);
        }
        let config = |ports: &Ports, folder: &Path| {
            let scene = scene(ports, folder);
            // A file that cannot be written shows in the steps that need it.
            let _ = scene.write_all(&scenario.files);
            let mut config = server_config(ports);
            if let (Some(config), Value::Object(own)) = (config.as_object_mut(), scene.fill(&scenario.config))
            {
                config.extend(own);
            }
            config
        };
        let path = scenario.ready.as_deref().unwrap_or("/v1/health/service/consul");
        let text = scenario.ready_contains.as_deref().unwrap_or("serfHealth");
        let ready = |server: &Server| {
            server.get(path).is_ok_and(|got| got.status == 200 && got.text().contains(text))
        };
        let server = Server::start(command, bin, config, ready)?;
        wait_for_meta(&server);
        let mut scene = scene(&server.ports, server.folder());
        scene.server = Some(server);
        Ok(scene)
    }

    /// Does a step; gives what there is to compare.
    pub(super) fn run(&mut self, step: &Step) -> anyhow::Result<Option<Map<String, Value>>> {
        if let Some(words) = &step.run {
            return self.command(step, words).map(Some);
        } else if let Some(words) = &step.start {
            self.start(step, words)?;
        } else if let Some(name) = &step.end {
            return self.end(step, name).map(Some);
        } else if let Some(signal) = &step.signal {
            self.signal(&step.to, signal)?;
        } else if let Some(call) = &step.http {
            self.call(step, call)?;
        } else if let Some(wait) = &step.wait {
            self.wait_for(step, wait)?;
        } else if let Some(name) = &step.look {
            return self.look(step, name).map(Some);
        } else if let Some(name) = &step.list {
            return self.list(step, name).map(Some);
        } else if let Some(name) = &step.write {
            self.write(name, &step.text)?;
        } else {
            pause(Duration::from_secs_f64(step.sleep.context("unknown step")?));
        }
        Ok(None)
    }

    fn program(&self, step: &Step, words: &[String]) -> Command {
        let mut command = Command::new(&self.bin);
        command.args(words.iter().map(|word| self.fill_text(word))).current_dir(&self.folder);
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("CONSUL_")) {
                command.env_remove(name);
            }
        }
        command.env("CONSUL_HTTP_ADDR", self.http().to_string()).env("SHELL", "/bin/sh");
        for (name, value) in &step.env {
            match value {
                Some(value) => command.env(name, self.fill_text(value)),
                None => command.env_remove(name),
            };
        }
        command
    }

    fn command(&mut self, step: &Step, words: &[String]) -> anyhow::Result<Map<String, Value>> {
        // Files, not pipes: a command that prints much must not wait for us.
        let (mut input, mut out, mut err) =
            (tempfile::tempfile()?, tempfile::tempfile()?, tempfile::tempfile()?);
        input.write_all(self.fill_text(&step.stdin).as_bytes())?;
        input.rewind()?;
        let mut command = self.program(step, words);
        command.stdin(input).stdout(out.try_clone()?).stderr(err.try_clone()?);
        let mut process = command.spawn().with_context(|| format!("cannot start {}", self.bin.display()))?;
        let Some(exit) = wait(&mut process, step.limit(30.0))? else {
            // It ends, and its zombie goes: both cannot fail for a child that still runs.
            let _ = process.kill().and_then(|()| process.wait());
            bail!("did not end in time");
        };
        let (out, err) = (read_all(&mut out)?, read_all(&mut err)?);
        for (name, pattern) in &step.save {
            let found = Regex::new(&format!("(?m){pattern}"))?
                .captures(&out)
                .and_then(|found| Some(found.get(1)?.as_str().to_owned()));
            self.names.insert(
                name.clone(),
                found.with_context(|| format!("nothing to save as {name} in {out:?}"))?,
            );
        }
        self.result(step, exit, &out, &err)
    }

    fn result(
        &self,
        step: &Step,
        exit: ExitStatus,
        out: &str,
        err: &str,
    ) -> anyhow::Result<Map<String, Value>> {
        let exit = exit.code().unwrap_or_else(|| -exit.signal().unwrap_or_default());
        let (out, err) = (self.normal(out, step)?, self.normal(err, step)?);
        Ok(object(json!({"exit": exit, "stdout": out, "stderr": err})))
    }

    fn start(&mut self, step: &Step, words: &[String]) -> anyhow::Result<()> {
        let file = |end: &str| File::create(self.folder.join(format!(".{}.{end}", step.name)));
        let mut command = self.program(step, words);
        command.stdin(Stdio::null()).stdout(file("out")?).stderr(file("err")?);
        let mut process = command.spawn()?;
        if let Some(text) = &step.until {
            let end = Instant::now() + step.limit(20.0);
            while !self.said(&step.name).concat().contains(text.as_str()) {
                let over = process.try_wait()?.is_some() || Instant::now() > end;
                ensure!(!over, "{} never said {text:?} but {:?}", step.name, self.said(&step.name).concat());
                pause(Duration::from_millis(20));
            }
        }
        self.jobs.insert(step.name.clone(), process);
        Ok(())
    }

    /// What a background command has printed so far, on standard output and on standard error.
    fn said(&self, name: &str) -> [String; 2] {
        ["out", "err"].map(|end| {
            String::from_utf8_lossy(&fs::read(self.folder.join(format!(".{name}.{end}"))).unwrap_or_default())
                .into_owned()
        })
    }

    fn end(&mut self, step: &Step, name: &str) -> anyhow::Result<Map<String, Value>> {
        if let Some(signal) = &step.signal {
            self.signal(name, signal)?;
        }
        let process = self.jobs.get_mut(name).with_context(|| format!("nothing was started as {name}"))?;
        let exit = wait(process, step.limit(20.0))?.context("did not end in time")?;
        let [out, err] = self.said(name);
        self.result(step, exit, &out, &err)
    }

    fn signal(&self, name: &str, signal: &str) -> anyhow::Result<()> {
        let process = self.jobs.get(name).with_context(|| format!("nothing was started as {name}"))?;
        let signal: Signal = format!("SIG{signal}").parse()?;
        Ok(kill(Pid::from_raw(process.id().cast_signed()), signal)?)
    }

    fn call(&mut self, step: &Step, call: &[Value]) -> anyhow::Result<()> {
        let text = |at: usize| {
            call.get(at).and_then(Value::as_str).map(|text| self.fill_text(text)).unwrap_or_default()
        };
        let mut request = Request::new(&text(0), &text(1));
        request.body = match call.get(2) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(self.fill_text(text).into_bytes()),
            Some(body) => Some(self.fill(body).to_string().into_bytes()),
        };
        request.headers =
            step.headers.iter().map(|(name, value)| (name.clone(), self.fill_text(value))).collect();
        let answer = request.send(self.http(), Duration::from_secs(10))?;
        ensure!(answer.status == step.status.unwrap_or(200), "{} {}", answer.status, answer.text());
        for (name, path) in &step.save {
            let document: Value = serde_json::from_slice(&answer.body)?;
            let found = document.pointer(&format!("/{}", path.replace('.', "/")));
            let found = found.with_context(|| format!("nothing at {path} in {document}"))?;
            self.names.insert(name.clone(), found.as_str().map_or_else(|| found.to_string(), str::to_owned));
        }
        Ok(())
    }

    fn wait_for(&self, step: &Step, wanted: &Await) -> anyhow::Result<()> {
        let end = Instant::now() + step.limit(15.0);
        let tight = |text: &str| text.replace("\": ", "\":");
        loop {
            let (found, text) = match (&wanted.file, &wanted.get) {
                (Some(file), _) => {
                    let data = fs::read(self.folder.join(self.fill_text(file))).unwrap_or_default();
                    (true, String::from_utf8_lossy(&data).into_owned())
                }
                (None, path) => {
                    let path = self.fill_text(path.as_deref().unwrap_or_default());
                    let answer =
                        crate::client::get(self.http(), &path).ok().filter(|answer| answer.status == 200);
                    (answer.is_some(), answer.map(|answer| answer.text()).unwrap_or_default())
                }
            };
            let text = tight(&text);
            let has = |part: &String| text.contains(&tight(&self.fill_text(part)));
            if wanted.contains.as_ref().is_some_and(has)
                || (found && wanted.lacks.as_ref().is_some_and(|part| !has(part)))
            {
                return Ok(());
            }
            ensure!(Instant::now() < end, "waited in vain for {wanted:?}, last: {text}");
            pause(Duration::from_millis(50));
        }
    }

    fn look(&self, step: &Step, name: &str) -> anyhow::Result<Map<String, Value>> {
        let path = self.folder.join(name);
        let Ok(found) = fs::metadata(&path) else { return Ok(object(json!({"exists": false}))) };
        let mode = format!("{:04o}", found.permissions().mode() & 0o7777);
        let mut out = object(json!({"exists": true, "mode": mode}));
        if !step.skip_text {
            let text = String::from_utf8_lossy(&fs::read(path)?).into_owned();
            out.insert("text".into(), self.normal(&text, step)?.into());
        }
        Ok(out)
    }

    fn list(&self, step: &Step, name: &str) -> anyhow::Result<Map<String, Value>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.folder.join(name))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !name.starts_with('.') {
                names.push(self.normal(&name, step)?);
            }
        }
        names.sort();
        Ok(object(json!({"names": names})))
    }

    fn write_all(&self, files: &BTreeMap<String, String>) -> anyhow::Result<()> {
        files.iter().try_for_each(|(name, text)| self.write(name, text))
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.folder.join(name);
        fs::create_dir_all(path.parent().context("a file has a folder")?)?;
        Ok(fs::write(path, self.fill_text(text))?)
    }

    fn http(&self) -> SocketAddr {
        let port = self.names.get("http_port").and_then(|port| port.parse().ok());
        (Ipv4Addr::LOCALHOST, port.expect("every scene names its ports")).into()
    }

    fn fill_text(&self, text: &str) -> String {
        self.names
            .iter()
            .fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
    }

    fn fill(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::from(self.fill_text(text)),
            Value::Array(list) => list.iter().map(|item| self.fill(item)).collect(),
            Value::Object(map) => {
                map.iter().map(|(name, value)| (self.fill_text(name), self.fill(value))).collect()
            }
            other => other.clone(),
        }
    }

    /// A text with names for all that differs from run to run.
    fn normal(&self, text: &str, step: &Step) -> anyhow::Result<String> {
        let telling = |(name, value): &(&String, &String)| {
            *name == "dir" || name.ends_with("_port") || value.len() >= 20
        };
        let mut names: Vec<_> = self.names.iter().filter(telling).collect();
        names.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        let text = names.iter().fold(text.to_owned(), |text, (name, value)| {
            text.replace(value.as_str(), &format!("{{{name}}}"))
        });
        let mut text = normalise(&text);
        let backreference = Regex::new(r"\\(\d)").expect("the pattern is well formed");
        for (pattern, to) in &step.rewrite {
            let to = backreference.replace_all(to, "$${$1}").into_owned();
            text = Regex::new(&format!("(?m){pattern}"))?.replace_all(&text, to).into_owned();
        }
        if step.squeeze {
            text = Regex::new(r"[ \t]{2,}")
                .expect("the pattern is well formed")
                .replace_all(&text, "  ")
                .into_owned();
        }
        Ok(text)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        for process in self.jobs.values_mut() {
            // Both fail only when it has ended already.
            let _ = process.kill();
            let _ = process.wait();
        }
        if let Some(server) = &mut self.server {
            server.interrupt(Duration::from_secs(4));
        }
        subject::end_all_in(&self.folder);
    }
}

fn names(ports: &Ports, second: &Ports, dead: u16, folder: &Path) -> BTreeMap<String, String> {
    let ports = [
        ("http_port", ports.http),
        ("dns_port", ports.dns),
        ("server_port", ports.server),
        ("lan_port", ports.serf_lan),
        ("wan_port", ports.serf_wan),
        ("http2_port", second.http),
        ("dns2_port", second.dns),
        ("server2_port", second.server),
        ("lan2_port", second.serf_lan),
        ("wan2_port", second.serf_wan),
        ("dead_port", dead),
    ];
    let mut names: BTreeMap<String, String> =
        ports.into_iter().map(|(name, port)| (name.to_owned(), port.to_string())).collect();
    names.insert("dir".into(), folder.display().to_string());
    names
}

fn server_config(ports: &Ports) -> Value {
    json!({
        "node_name": "srv1",
        "disable_update_check": true,
        "log_level": "warn",
        "ports": subject::ports_config(ports, false),
    })
}

/// The recorded server adds its own node's meta a moment after it is ready; one that never does is not waited for long.
fn wait_for_meta(server: &Server) {
    let end = Instant::now() + Duration::from_secs(3);
    let there =
        || server.get("/v1/catalog/node/srv1").is_ok_and(|got| got.text().contains("consul-network-segment"));
    while !there() && Instant::now() < end {
        pause(Duration::from_millis(50));
    }
}

fn wait(process: &mut Child, limit: Duration) -> anyhow::Result<Option<ExitStatus>> {
    let end = Instant::now() + limit;
    loop {
        let exit = process.try_wait()?;
        if exit.is_some() || Instant::now() > end {
            return Ok(exit);
        }
        pause(Duration::from_millis(5));
    }
}

fn read_all(file: &mut File) -> anyhow::Result<String> {
    let mut data = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut data)?;
    Ok(String::from_utf8_lossy(&data).into_owned())
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => unreachable!("json! of braces is an object, not {other}"),
    }
}
