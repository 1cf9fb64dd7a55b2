//! The folder of a case, the program that runs in it, and the placeholders of its texts.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::unix::{
        fs::{PermissionsExt as _, chown, symlink},
        process::ExitStatusExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::LazyLock,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use regex::Regex;
use serde_json::Value;
use tempfile::TempDir;

use super::{proxy::Proxy, registry::Registry};
use crate::{pause, ports, subject};

static LOG_STAMP: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?m)^\d{4}[-/]\d\d[-/]\d\d[T ][0-9:.]+(?:Z|[+-]\d\d:?\d\d)? ")
        .expect("the pattern is well formed")
});

/// A case's folder and process; both go when it is dropped.
pub(super) struct Sandbox<'a> {
    pub(super) registry: &'a Registry,
    pub(super) proxy: Option<Proxy>,
    bin: PathBuf,
    folder: PathBuf,
    outputs: TempDir,
    _folder: TempDir,
    names: Vec<(&'static str, String)>,
    inputs: BTreeMap<String, Vec<u8>>,
    process: Option<Child>,
    begun: Instant,
    /// How long the program ran, once it has ended.
    pub(super) ran: Option<Duration>,
}

impl<'a> Sandbox<'a> {
    /// An empty folder for a case; `text` is the case as it is written, to see which placeholders it uses.
    pub(super) fn new(bin: &Path, registry: &'a Registry, text: &str) -> anyhow::Result<Self> {
        let make = |prefix| tempfile::Builder::new().prefix(prefix).tempdir();
        let (own, outputs) = (make("conformance-")?, make("conformance-out-")?);
        let folder = own.path().canonicalize()?;
        let proxy = if text.contains("${PROXY}") { Some(Proxy::start(registry.address())?) } else { None };
        let mut names = vec![("DIR", folder.display().to_string())];
        names.extend(proxy.as_ref().map(|proxy| ("PROXY", proxy.address())));
        if text.contains("${DEAD}") {
            let [port, ..] = ports::block();
            names.push(("DEAD", format!("127.0.0.1:{port}")));
        }
        names.push(("CONSUL", registry.address().to_string()));
        names.push(("BIN", bin.display().to_string()));
        names.push(("PORT", registry.address().port().to_string()));
        Ok(Self {
            registry,
            proxy,
            bin: bin.to_owned(),
            folder,
            outputs,
            _folder: own,
            names,
            inputs: BTreeMap::new(),
            process: None,
            begun: Instant::now(),
            ran: None,
        })
    }

    /// A text with its placeholders replaced.
    pub(super) fn fill(&self, text: &str) -> String {
        self.names
            .iter()
            .fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value))
    }

    /// A text that the program wrote, with placeholders for what differs from run to run.
    fn unfill(&self, text: String) -> String {
        let names = self.names.iter().filter(|(name, _)| *name != "PORT");
        names.fold(text, |text, (name, value)| text.replace(value.as_str(), &format!("${{{name}}}")))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The bytes a file has to have: a text with placeholders, or `{"base64"}`.
    pub(super) fn bytes(&self, content: &Value) -> anyhow::Result<Vec<u8>> {
        match content.get("base64").and_then(Value::as_str) {
            Some(coded) => Ok(BASE64_STANDARD.decode(coded)?),
            None => Ok(self.fill(content.as_str().context("a file is a text or base64")?).into_bytes()),
        }
    }

    /// Writes a file as a case says: a text, or an object with `text`, `base64` or `link`, and `mode` and `owner`.
    pub(super) fn write(&mut self, name: &str, content: &Value) -> anyhow::Result<()> {
        let path = self.path(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        if let Some(target) = content.get("link").and_then(Value::as_str) {
            return Ok(symlink(target, path)?);
        }
        let data = self.bytes(content.get("text").unwrap_or(content))?;
        // The program may be watching: it must see the whole file or none.
        let aside = path.with_file_name(format!(".{}.new", path.file_name().unwrap_or_default().display()));
        fs::write(&aside, &data)?;
        let mode = content.get("mode").and_then(Value::as_str).unwrap_or("0644");
        fs::set_permissions(&aside, fs::Permissions::from_mode(u32::from_str_radix(mode, 8)?))?;
        if let Some([user, group]) = content.get("owner").and_then(Value::as_array).map(Vec::as_slice)
            && nix::unistd::geteuid().is_root()
        {
            let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
            chown(&aside, id(user), id(group))?;
        }
        fs::rename(aside, path)?;
        self.inputs.insert(name.to_owned(), data);
        Ok(())
    }

    /// Starts the program in the folder, with a small environment of its own; a variable that is null is left out.
    pub(super) fn start(
        &mut self,
        argv: &[String],
        environment: &BTreeMap<String, Option<String>>,
    ) -> anyhow::Result<()> {
        let mut command = Command::new(&self.bin);
        command
            .args(argv.iter().map(|word| self.fill(word)))
            .current_dir(&self.folder)
            .env_clear()
            .envs([("TZ", "UTC"), ("LANG", "C.UTF-8")])
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", &self.folder)
            .stdin(Stdio::null())
            .stdout(File::create(self.outputs.path().join("out"))?)
            .stderr(File::create(self.outputs.path().join("err"))?);
        for (name, value) in environment {
            match value {
                Some(value) => command.env(name, self.fill(value)),
                None => command.env_remove(name),
            };
        }
        self.begun = Instant::now();
        self.process = Some(command.spawn().with_context(|| format!("cannot start {}", self.bin.display()))?);
        Ok(())
    }

    /// The program's exit status, if it has ended: its code, or the negative number of the signal that ended it.
    pub(super) fn exit(&mut self) -> anyhow::Result<Option<i32>> {
        let process = self.process.as_mut().context("the program was not started")?;
        let status = process.try_wait()?;
        if status.is_some() {
            self.ran.get_or_insert_with(|| self.begun.elapsed());
        }
        Ok(status.map(|status| status.code().unwrap_or_else(|| -status.signal().unwrap_or_default())))
    }

    /// Waits for the program's end; `None` when it is still running after the limit.
    pub(super) fn wait_exit(&mut self, limit: Duration) -> anyhow::Result<Option<i32>> {
        let end = Instant::now() + limit;
        loop {
            let exit = self.exit()?;
            if exit.is_some() || Instant::now() >= end {
                return Ok(exit);
            }
            pause(Duration::from_millis(5));
        }
    }

    /// Sends a signal, `TERM` or the like, to the program, or to the process whose id a file holds.
    pub(super) fn signal(&self, name: &str, pid_file: Option<&str>) -> anyhow::Result<()> {
        let signal: Signal = format!("SIG{name}").parse()?;
        let pid = match pid_file {
            Some(file) => fs::read_to_string(self.path(file))?.trim().parse()?,
            None => self.process.as_ref().context("the program was not started")?.id().cast_signed(),
        };
        Ok(kill(Pid::from_raw(pid), signal)?)
    }

    pub(super) fn stdout(&self) -> String {
        self.unfill(self.output("out"))
    }

    /// Standard error, without the time stamps of log lines.
    pub(super) fn stderr(&self) -> String {
        self.unfill(LOG_STAMP.replace_all(&self.output("err"), "").into_owned())
    }

    fn output(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.outputs.path().join(name)).unwrap_or_default()).into_owned()
    }

    /// A file's bytes; `None` when it is not there.
    pub(super) fn read(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.path(name)).ok()
    }

    pub(super) fn mode(&self, name: &str) -> io::Result<String> {
        Ok(format!("{:04o}", fs::metadata(self.path(name))?.permissions().mode() & 0o7777))
    }

    /// Files that are there now and are not inputs as they were written.
    pub(super) fn produced(&self) -> Vec<String> {
        let mut names = Vec::new();
        collect(&self.folder, "", &mut names);
        names.retain(|name| self.read(name).is_some_and(|data| self.inputs.get(name) != Some(&data)));
        names.sort();
        names
    }

    /// Files that the case wrote itself.
    pub(super) fn input_names(&self) -> impl Iterator<Item = &String> {
        self.inputs.keys()
    }
}

impl Drop for Sandbox<'_> {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Both fail only when it has ended already.
            let _ = process.kill();
            let _ = process.wait();
        }
        subject::end_all_in(&self.folder);
    }
}

fn collect(folder: &Path, prefix: &str, names: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = format!("{prefix}{}", entry.file_name().display());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => collect(&entry.path(), &format!("{name}/"), names),
            _ => names.push(name),
        }
    }
}

/// Fails with both values when they differ.
pub(super) fn same<T: PartialEq + std::fmt::Debug>(what: &str, want: T, got: T) -> anyhow::Result<()> {
    if want != got {
        bail!("{what}: wanted {want:?}, got {got:?}");
    }
    Ok(())
}

/// Fails with both contents, as texts, when they differ.
pub(super) fn same_bytes(what: &str, want: &[u8], got: &[u8]) -> anyhow::Result<()> {
    if want != got {
        let text = String::from_utf8_lossy;
        bail!("{what}: wanted {:?}, got {:?}", text(want), text(got));
    }
    Ok(())
}
