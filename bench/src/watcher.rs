//! Load on a watcher: a registry, some templates, and a key that changes.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use conformance::pause;
use serde_json::json;
use tempfile::TempDir;

use crate::{fleet, process, subject::Subject};

/// Changes whose way to the file is timed, one by one.
const TIMED: u32 = 200;
/// Changes for the processor time, one after the other.
const CHANGES: u32 = 1_000;
const FILE_MAX: Duration = Duration::from_secs(60);
/// How often the file is looked at; what the times are exact to.
const LOOK_EVERY: Duration = Duration::from_micros(100);
/// Nodes of the service that every template lists.
const NODES: u8 = 40;

/// How it went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    /// With everything rendered, before the changes.
    pub(crate) memory: process::Bytes,
    /// The same after all changes.
    pub(crate) memory_after: process::Bytes,
    /// From the watcher's start until the last file is there.
    pub(crate) first: Duration,
    /// Median from the start of a key's write to the new content of the file.
    pub(crate) to_file_ms: f64,
    /// All but one in a hundred are faster.
    pub(crate) to_file_p99_ms: f64,
    /// Processor time of a thousand changes.
    pub(crate) processor: Duration,
}

/// Lets a watcher render `templates` files of a key, a folder of keys and a service each, and changes the first one's key.
///
/// Errors when a file does not appear, or does not follow, within a minute.
pub(crate) fn run(registry: SocketAddr, watcher: &Subject, templates: usize) -> anyhow::Result<Report> {
    let scene = Scene::set(registry, templates)?;
    let start = Instant::now();
    let process = scene.start(watcher)?;
    for i in 0..templates {
        scene.await_file(i, "v=0\n")?;
    }
    let first = start.elapsed();
    pause(Duration::from_secs(3));
    let memory = process::memory(process.0.id())?;
    let times = scene.time_changes()?;
    let before = process::processor(process.0.id())?;
    for change in 0..CHANGES {
        scene.put(&format!("x{change}"))?;
        pause(Duration::from_millis(2));
    }
    scene.await_file(0, &format!("v=x{}\n", CHANGES - 1))?;
    Ok(Report {
        memory,
        memory_after: process::memory(process.0.id())?,
        first,
        to_file_ms: times[times.len() / 2],
        to_file_p99_ms: times[times.len() * 99 / 100],
        processor: process::processor(process.0.id())? - before,
    })
}

struct Scene {
    registry: SocketAddr,
    folder: TempDir,
}

impl Scene {
    fn set(registry: SocketAddr, templates: usize) -> anyhow::Result<Self> {
        let scene = Self { registry, folder: tempfile::Builder::new().prefix("bench-").tempdir()? };
        for i in 0..NODES {
            let service = json!({ "Service": "web", "Port": 8000 + u16::from(i) });
            let (node, host) = (format!("host-{i}"), format!("127.0.1.{}", i + 1));
            fleet::register(registry, &json!({ "Node": node, "Address": host, "Service": service }))?;
        }
        let mut config = format!("consul {{ address = \"{registry}\" }}\nlog_level = \"err\"\n");
        for i in 0..templates {
            fleet::put(registry, &format!("/v1/kv/bench/app/{i}/a"), "0")?;
            fleet::put(registry, &format!("/v1/kv/bench/hot/{i}"), "0")?;
            let source = scene.path(&format!("{i}.tmpl"));
            fs::write(&source, template(i))?;
            let (source, destination) = (source.display(), scene.output(i));
            let destination = destination.display();
            config +=
                &format!("template {{\n  source = \"{source}\"\n  destination = \"{destination}\"\n}}\n");
        }
        fs::write(scene.path("config.hcl"), config)?;
        Ok(scene)
    }

    fn start(&self, watcher: &Subject) -> anyhow::Result<Process> {
        let log = fs::File::create(self.path("log"))?;
        let child = Command::new(&watcher.bin)
            .args(&watcher.words)
            .arg("-config")
            .arg(self.path("config.hcl"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", watcher.bin.display()))?;
        Ok(Process(child))
    }

    /// What the timed changes took, in milliseconds, the fastest first.
    fn time_changes(&self) -> anyhow::Result<Vec<f64>> {
        let mut times = Vec::new();
        for change in 1..=TIMED {
            let start = Instant::now();
            self.put(&change.to_string())?;
            self.await_file(0, &format!("v={change}\n"))?;
            times.push(start.elapsed().as_secs_f64() * 1000.0);
            pause(Duration::from_millis(20));
        }
        times.sort_unstable_by(f64::total_cmp);
        Ok(times)
    }

    fn put(&self, value: &str) -> anyhow::Result<()> {
        fleet::put(self.registry, "/v1/kv/bench/hot/0", value)
    }

    fn await_file(&self, template: usize, start: &str) -> anyhow::Result<()> {
        let (path, end) = (self.output(template), Instant::now() + FILE_MAX);
        // A missing file is one that has not been rendered yet.
        while !fs::read(&path).is_ok_and(|content| content.starts_with(start.as_bytes())) {
            if Instant::now() > end {
                let log = fs::read_to_string(self.path("log")).unwrap_or_default();
                bail!("{} does not start with {start:?}; the watcher says: {log}", path.display());
            }
            pause(LOOK_EVERY);
        }
        Ok(())
    }

    fn output(&self, template: usize) -> PathBuf {
        self.path(&format!("{template}.out"))
    }

    fn path(&self, file: &str) -> PathBuf {
        Path::join(self.folder.path(), file)
    }
}

/// A key of its own, a folder of its own and a service that all share.
fn template(place: usize) -> String {
    format!(
        "v={{{{ key \"bench/hot/{place}\" }}}}\n\
         {{{{ range ls \"bench/app/{place}\" }}}}{{{{ .Key }}}}={{{{ .Value }}}}\n{{{{ end }}}}\
         {{{{ range service \"web\" }}}}server {{{{ .Node }}}} {{{{ .Address }}}}:{{{{ .Port }}}} check\n{{{{ end }}}}"
    )
}

/// The watcher's process; killed when it is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
