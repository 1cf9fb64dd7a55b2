//! The server under test: a fresh process with its own configuration, folder and ports for each scenario.

use std::{
    fs::{self, File},
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::{client, options::Options, pause, ports};

/// How long a server may take until it is ready.
pub const READY_MAX: Duration = Duration::from_secs(40);

/// How often a start is tried when the server ends at once: another process may have taken a port meanwhile.
const STARTS_MAX: u32 = 3;

/// The ports a server gets.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// HTTP.
    pub http: u16,
    /// DNS, UDP and TCP.
    pub dns: u16,
    /// The servers' own.
    pub server: u16,
    /// Joins within the datacenter.
    pub serf_lan: u16,
    /// Joins between datacenters.
    pub serf_wan: u16,
    /// gRPC.
    pub grpc: u16,
}

impl Ports {
    /// Free ones.
    pub fn free() -> Self {
        let [http, dns, server, serf_lan, serf_wan, grpc, ..] = ports::block();
        Self { http, dns, server, serf_lan, serf_wan, grpc }
    }

    /// By the names they have in a configuration.
    pub fn named(&self) -> [(&'static str, u16); 6] {
        [
            ("http", self.http),
            ("dns", self.dns),
            ("server", self.server),
            ("serf_lan", self.serf_lan),
            ("serf_wan", self.serf_wan),
            ("grpc", self.grpc),
        ]
    }
}

/// A running server; killed and its folder removed when it is dropped.
pub struct Server {
    process: Child,
    started: Instant,
    folder: TempDir,
    /// The ports it was told to use.
    pub ports: Ports,
}

impl Server {
    /// Starts a server with the configuration that `config` makes of the ports and the scratch folder.
    ///
    /// `command` is a command line with `{bin}`, `{config}`, `{data}`, `{dir}` and the ports' names in braces. Waits for
    /// `ready`, which is asked again until it says yes. Errors when the server ends or is not ready in time, with what it
    /// logged last.
    pub fn start(
        command: &str,
        bin: &Path,
        config: impl Fn(&Ports, &Path) -> Value,
        mut ready: impl FnMut(&Self) -> bool,
    ) -> anyhow::Result<Self> {
        let mut starts = 1;
        loop {
            let mut server = Self::spawn(command, bin, &config)?;
            match server.wait_until(&mut ready) {
                Ok(()) => return Ok(server),
                Err(e) if starts == STARTS_MAX || server.process.try_wait()?.is_none() => return Err(e),
                Err(_) => starts += 1,
            }
        }
    }

    fn spawn(command: &str, bin: &Path, config: impl Fn(&Ports, &Path) -> Value) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("conformance-").tempdir()?;
        let ports = Ports::free();
        let path = folder.path().join(".config.json");
        fs::write(&path, config(&ports, folder.path()).to_string())?;
        let text = |path: &Path| path.display().to_string();
        let mut values = vec![
            ("bin", text(bin)),
            ("config", text(&path)),
            ("data", text(&folder.path().join("data"))),
            ("dir", text(folder.path())),
        ];
        values.extend(ports.named().map(|(name, port)| (name, port.to_string())));
        let words = split_words(command).into_iter().map(|word| fill(&word, &values));
        let words: Vec<String> = words.collect();
        let (program, rest) = words.split_first().context("the server's command is empty")?;
        let log = File::create(folder.path().join(".log"))?;
        let started = Instant::now();
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("CONSUL_")) {
                command.env_remove(name);
            }
        }
        let process = command
            .args(rest)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        Ok(Self { process, started, folder, ports })
    }

    fn wait_until(&mut self, mut ready: impl FnMut(&Self) -> bool) -> anyhow::Result<()> {
        let end = Instant::now() + READY_MAX;
        loop {
            if let Some(status) = self.process.try_wait()? {
                bail!("the server ended ({status}): {}", self.log_tail());
            }
            if ready(self) {
                return Ok(());
            }
            if Instant::now() > end {
                bail!("the server was not ready after {} s: {}", READY_MAX.as_secs(), self.log_tail());
            }
            pause(Duration::from_millis(50));
        }
    }

    /// Where its HTTP interface listens.
    pub fn http(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports.http).into()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// When its process was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Its scratch folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `GET path`.
    pub fn get(&self, path: &str) -> io::Result<client::Answer> {
        client::get(self.http(), path)
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        const LENGTH_MAX: usize = 1500;
        let log = fs::read(self.folder.path().join(".log")).unwrap_or_default();
        let tail = &log[log.len().saturating_sub(LENGTH_MAX)..];
        String::from_utf8_lossy(tail).into_owned()
    }

    /// Asks it to end with SIGINT, and kills it when it has not after `limit`.
    pub fn interrupt(&mut self, limit: Duration) {
        // Fails when it has ended already.
        let _ = kill(Pid::from_raw(self.process.id().cast_signed()), Signal::SIGINT);
        let end = Instant::now() + limit;
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < end {
            pause(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Ends what a scenario's programs left behind: the processes whose working directory is in the folder.
pub fn end_all_in(folder: &Path) {
    let pid = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.ok()?;
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let here = fs::read_link(entry.path().join("cwd")).ok()?;
        here.starts_with(folder).then(|| Pid::from_raw(pid))
    };
    for pid in fs::read_dir("/proc").into_iter().flatten().filter_map(pid) {
        // Fails when it has just ended by itself.
        let _ = kill(pid, Signal::SIGKILL);
    }
}

/// `base` with the values of `extra`; objects are merged, all else is replaced.
pub fn merge(base: Value, extra: &Value) -> Value {
    match (base, extra) {
        (Value::Object(mut base), Value::Object(extra)) => {
            for (key, value) in extra {
                let before = base.remove(key).filter(|before| before.is_object() && value.is_object());
                let merged = before.map_or_else(|| value.clone(), |before| merge(before, value));
                base.insert(key.clone(), merged);
            }
            Value::Object(base)
        }
        (_, extra) => extra.clone(),
    }
}

/// The `ports` of a configuration: these, and none for gRPC over TLS.
pub fn ports_config(ports: &Ports, grpc: bool) -> Value {
    let mut map: Map<String, Value> =
        ports.named().map(|(name, port)| (name.to_owned(), json!(port))).into_iter().collect();
    map.insert("grpc_tls".into(), json!(-1));
    if !grpc {
        map.insert("grpc".into(), json!(-1));
    }
    Value::Object(map)
}

/// The program under test under another name, because it chooses what it is by that: a link in a folder of its own.
///
/// A program that already has this name stays as it is. The link goes when the returned folder does.
pub fn called(options: &Options, name: &str) -> anyhow::Result<(PathBuf, Option<TempDir>)> {
    let bin = find(&options.bin)?;
    if bin.file_name().is_some_and(|file| file == name) {
        return Ok((bin, None));
    }
    let folder = tempfile::Builder::new().prefix("conformance-bin-").tempdir()?;
    let link = folder.path().join(name);
    std::os::unix::fs::symlink(&bin, &link)?;
    Ok((link, Some(folder)))
}

/// The full path of a program: as given when it has a slash, else from `PATH`.
pub fn find(bin: &Path) -> anyhow::Result<PathBuf> {
    if bin.components().count() > 1 {
        return bin
            .canonicalize()
            .with_context(|| format!("no program {}; build it first, or give --bin", bin.display()));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(bin))
        .find(|file| file.is_file())
        .with_context(|| format!("no program {} in PATH", bin.display()))
}

fn fill(word: &str, values: &[(&str, String)]) -> String {
    let mut word = word.to_owned();
    for (name, value) in values {
        word = word.replace(&format!("{{{name}}}"), value);
    }
    word
}

/// Splits a command line at blanks outside of single and double quotes.
fn split_words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(q), _) if q == c => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ' | '\t' | '\n') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{merge, split_words};

    #[test]
    fn command_lines_are_split_as_a_shell_does() {
        assert_eq!(split_words("a  'b c' d=\"e f\" ''"), ["a", "b c", "d=e f", ""]);
    }

    #[test]
    fn objects_are_merged_and_lists_replaced() {
        let base = json!({"a": {"b": 1, "c": [1]}, "d": 1});
        assert_eq!(
            merge(base, &json!({"a": {"c": [2]}, "d": {}})),
            json!({"a": {"b": 1, "c": [2]}, "d": {}})
        );
    }
}
