//! `snapshot save`, `snapshot restore`, `snapshot inspect`, `snapshot decode`: the whole state as a file.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, Subcommand};
use daemon::Exit;
use registry_client::{Client, Pieces, Request, Response};
use registry_core::snapshot::{self, Meta};
use serde::Serialize;
use serde_json::{Value, json};

use super::data;
use crate::{
    client::{AskFlags, system_words},
    flags::go_int,
    output::{JsonFlag, failure, line, progress, show, table},
};

/// Save, inspect and restore the whole state
#[derive(Debug, Subcommand)]
pub(crate) enum Snapshot {
    /// Print all that a snapshot holds, a JSON object a line
    Decode(Decode),
    /// Show what a snapshot holds
    Inspect(Inspect),
    /// Put a snapshot in place of the registry's state
    Restore(Restore),
    /// Save the registry's state to a file
    Save(Save),
}

impl Snapshot {
    pub(crate) fn run(self) -> Exit {
        match self {
            Self::Decode(command) => command.run(),
            Self::Inspect(command) => command.run(),
            Self::Restore(command) => command.run(),
            Self::Save(command) => command.run(),
        }
    }
}

/// The one file that must be named.
fn one_file(words: &[String]) -> Result<&Path, Exit> {
    match words {
        [] => Err(failure("Missing FILE argument")),
        [file] => Ok(Path::new(file)),
        more => Err(failure(format!("Too many arguments (expected 1, got {})", more.len()))),
    }
}

fn open(path: &Path) -> Result<File, Exit> {
    File::open(path)
        .map_err(|e| failure(format!("Error opening snapshot file: {}", data::cannot_open(path, &e))))
}

/// Save the registry's state to a file
#[derive(Args, Debug)]
#[command(
    after_help = "The file is verified before it gets its name. It holds all keys: its mode is 0600.\n\n\
    Example:\n  ryo snapshot save backup.snap\n\nExit codes: 0 saved, 1 no answer, or the file cannot be written"
)]
pub(crate) struct Save {
    /// What the file's name shall tell too: `version`, `dc`
    #[arg(long, value_name = "WORDS", default_value = "", value_delimiter = ',')]
    append_filename: Vec<String>,
    #[command(flatten)]
    ask: AskFlags,
    /// The file
    #[arg(value_name = "FILE")]
    words: Vec<String>,
}

impl Save {
    fn run(self) -> Exit {
        let path = match one_file(&self.words) {
            Ok(path) => path.to_owned(),
            Err(exit) => return exit,
        };
        self.ask.run(async |client| {
            let path = match self.name(&client, path).await {
                Ok(path) => path,
                Err(why) => return failure(why),
            };
            let pieces = match client.stream(&self.ask.apply(Request::get("/v1/snapshot"))).await {
                Ok(pieces) => pieces,
                Err(e) => return failure(format!("Error saving snapshot: {e}")),
            };
            match write(&path, pieces).await {
                Ok(index) => show(self.ask.json(), &json!({ "File": path, "Index": index }), || {
                    format!("Saved and verified snapshot to index {index}")
                }),
                Err(why) => failure(why),
            }
        })
    }

    /// The file's name with what shall be told: `backup-1.21.4-dc1.snap`.
    async fn name(&self, client: &Client, path: PathBuf) -> Result<PathBuf, String> {
        let wanted: Vec<&str> =
            self.append_filename.iter().map(|w| w.trim()).filter(|word| !word.is_empty()).collect();
        if wanted.is_empty() {
            return Ok(path);
        }
        let own: Value = client
            .json(&Request::get("/v1/agent/self"))
            .await
            .map_err(|e| format!("Error asking the agent for its version and datacenter: {e}"))?;
        let text = |pointer: &str| own.pointer(pointer).and_then(|v| v.as_str()).unwrap_or_default();
        let mut name = path.file_stem().unwrap_or_default().to_os_string();
        for (word, pointer) in [("version", "/Config/Version"), ("dc", "/Config/Datacenter")] {
            if wanted.contains(&word) {
                name.push("-");
                name.push(text(pointer));
            }
        }
        if let Some(ending) = path.extension() {
            name.push(".");
            name.push(ending);
        }
        Ok(path.with_file_name(name))
    }
}

/// Writes the file aside as it comes, reads it back, and gives it its name; its index.
async fn write(path: &Path, mut pieces: Pieces) -> Result<u64, String> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".unverified");
    let aside = PathBuf::from(aside);
    let wrong =
        |what: &str, e: &dyn std::fmt::Display| format!("Error {what} snapshot file {}: {e}", path.display());
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&aside);
    let mut file = file
        .map_err(|e| format!("Error writing unverified snapshot file: {}", data::cannot_open(&aside, &e)))?;
    let bar = progress("saving, bytes", 0);
    // An answer that breaks off ends like a whole one: the check below tells them apart.
    while let Some(piece) = pieces.next().await {
        file.write_all(&piece).map_err(|e| wrong("writing", &system_words(&e)))?;
        bar.inc(piece.len() as u64);
    }
    bar.finish_and_clear();
    file.sync_all().map_err(|e| wrong("writing", &system_words(&e)))?;
    let read = File::open(&aside).map_err(|e| wrong("opening", &system_words(&e)))?;
    let summary = match snapshot::check(read, |_, _| Ok(())) {
        Ok(summary) => summary,
        Err(error) => {
            let _ = fs::remove_file(&aside);
            return Err(wrong("verifying", &error));
        }
    };
    fs::rename(&aside, path).map_err(|e| {
        let _ = fs::remove_file(&aside);
        let (from, to) = (aside.display(), path.display());
        format!("Error renaming \"{from}\" to \"{to}\": rename {from} {to}: {}", system_words(&e))
    })?;
    Ok(summary.meta.index)
}

/// Put a snapshot in place of the registry's state
#[derive(Args, Debug)]
#[command(after_help = "All or nothing: a file that is damaged changes nothing.\n\n\
    Example:\n  ryo snapshot restore backup.snap\n\nExit codes: 0 restored, 1 refused or no answer")]
pub(crate) struct Restore {
    #[command(flatten)]
    ask: AskFlags,
    /// The file
    #[arg(value_name = "FILE")]
    words: Vec<String>,
}

impl Restore {
    fn run(self) -> Exit {
        let file = match one_file(&self.words).and_then(open) {
            Ok(file) => file,
            Err(exit) => return exit,
        };
        self.ask.run(async |client| {
            let request = self.ask.apply(Request::new("PUT", "/v1/snapshot"));
            let bar = progress("restoring", 0);
            bar.enable_steady_tick(Duration::from_millis(100));
            let answer = client.upload(&request, file).await;
            bar.finish_and_clear();
            match answer.and_then(Response::success) {
                Ok(_) => show(self.ask.json(), &json!({ "Restored": true }), || "Restored snapshot".into()),
                Err(e) => failure(format!("Error restoring snapshot: {e}")),
            }
        })
    }
}

/// Print all that a snapshot holds, a JSON object a line
#[derive(Args, Debug)]
#[command(
    after_help = "Each line is {\"Data\": ..., \"Type\": \"KVS\"}, the first one SnapshotHeader. Texts of bytes are lists of numbers. A file \
    that is damaged further on is told of at its end.\n\nExample:\n  ryo snapshot decode backup.snap | jq -c 'select(.Type == \"KVS\")'\n\n\
    Exit codes: 0 printed, 1 not a snapshot"
)]
pub(crate) struct Decode {
    /// The file
    #[arg(value_name = "FILE")]
    words: Vec<String>,
}

impl Decode {
    fn run(self) -> Exit {
        let file = match one_file(&self.words).and_then(open) {
            Ok(file) => file,
            Err(exit) => return exit,
        };
        let (mut out, mut unread) = (BufWriter::new(io::stdout().lock()), false);
        let read = snapshot::check(file, |head, records| {
            let head = head.map(|head| ("SnapshotHeader", json(&head)));
            let records = records.iter().map(|record| (record.name(), content(json(record))));
            for (kind, data) in head.into_iter().chain(records) {
                let written = writeln!(out, "{}", json!({ "Data": data, "Type": kind }));
                unread = matches!(&written, Err(e) if e.kind() == io::ErrorKind::BrokenPipe);
                written.map_err(|e| system_words(&e))?;
            }
            Ok(())
        });
        match read.map(|_| out.flush()) {
            Ok(_) => Exit::Success,
            // A reader that has enough (`| head`) is no error of ours.
            Err(_) if unread => Exit::Success,
            Err(error) => failure(format!("Error reading snapshot: {error}")),
        }
    }
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("records have texts as keys")
}

/// What a record holds, without the name of its kind around it.
fn content(record: Value) -> Value {
    match record {
        Value::Object(named) => named.into_iter().next().map_or(Value::Null, |(_, content)| content),
        other => other,
    }
}

/// Show what a snapshot holds
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  ryo snapshot inspect -kvdetails backup.snap\n\nExit codes: 0 shown, 1 not a snapshot"
)]
pub(crate) struct Inspect {
    /// Count the keys below each prefix too
    #[arg(long)]
    kvdetails: bool,
    /// How many parts of a key such a prefix has
    #[arg(long, value_name = "NUMBER", default_value_t = 2, value_parser = go_int)]
    kvdepth: i64,
    /// Only keys that begin with this
    #[arg(long, value_name = "PREFIX", default_value = "")]
    kvfilter: String,
    /// `pretty` or `json`
    #[arg(long, value_name = "FORMAT", default_value = "pretty")]
    format: String,
    #[command(flatten)]
    as_json: JsonFlag,
    /// The file
    #[arg(value_name = "FILE")]
    words: Vec<String>,
}

impl Inspect {
    fn run(self) -> Exit {
        let file = match one_file(&self.words).and_then(open) {
            Ok(file) => file,
            Err(exit) => return exit,
        };
        let (mut kinds, mut keys): (Counts, Counts) = Default::default();
        let depth = usize::try_from(self.kvdepth).unwrap_or(1).max(1);
        let read = snapshot::check(file, |_, records| {
            for record in records {
                add(&mut kinds, record.name().to_owned(), record.weight());
                if let Some(key) =
                    record.key().filter(|key| self.kvdetails && key.starts_with(&self.kvfilter))
                {
                    let prefix = key.split('/').take(depth).collect::<Vec<_>>().join("/");
                    add(&mut keys, prefix, record.weight());
                }
            }
            Ok(())
        });
        match read {
            Err(error) => failure(format!("Error reading snapshot: {error}")),
            Ok(summary) => self.show(&summary.meta, kinds, keys),
        }
    }

    fn show(&self, meta: &Meta, kinds: Counts, keys: Counts) -> Exit {
        match self.format.as_str() {
            "pretty" if !self.as_json.json => {
                line(pretty(meta, &ordered(kinds), self.kvdetails.then(|| ordered(keys))));
                Exit::Success
            }
            "pretty" | "json" => {
                let shown = Shown::of(meta, ordered(kinds), self.kvdetails.then(|| ordered(keys)));
                line(serde_json::to_string_pretty(&shown).expect("plain data").replace("  ", "   "));
                Exit::Success
            }
            other => failure(format!("Error outputting enhanced snapshot data: Unknown format: {other}")),
        }
    }
}

/// How many there are of a name, and their bytes.
type Counts = BTreeMap<String, (usize, usize)>;

fn add(counts: &mut Counts, name: String, bytes: usize) {
    let count = counts.entry(name).or_default();
    *count = (count.0 + 1, count.1 + bytes);
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    name: String,
    sum: usize,
    count: usize,
}

/// The largest first.
fn ordered(counts: Counts) -> Vec<Row> {
    let mut rows: Vec<Row> =
        counts.into_iter().map(|(name, (count, sum))| Row { name, sum, count }).collect();
    rows.sort_by(|a, b| b.sum.cmp(&a.sum).then_with(|| a.name.cmp(&b.name)));
    rows
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shown {
    meta: ShownMeta,
    stats: Vec<Row>,
    #[serde(rename = "StatsKV", skip_serializing_if = "Option::is_none")]
    stats_kv: Option<Vec<Row>>,
    total_size: usize,
    #[serde(rename = "TotalSizeKV")]
    total_size_kv: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ShownMeta {
    #[serde(rename = "ID")]
    id: String,
    size: u64,
    index: u64,
    term: u64,
    version: u32,
}

impl Shown {
    fn of(meta: &Meta, stats: Vec<Row>, stats_kv: Option<Vec<Row>>) -> Self {
        let total = |rows: &[Row]| rows.iter().map(|row| row.sum).sum();
        let (id, size, index, term, version) =
            (meta.id.clone(), meta.size, meta.index, meta.term, meta.version);
        Self {
            total_size: total(&stats),
            total_size_kv: stats_kv.as_deref().map_or(0, total),
            meta: ShownMeta { id, size, index, term, version },
            stats,
            stats_kv,
        }
    }
}

/// The file's own words, then a table of what it holds.
fn pretty(meta: &Meta, kinds: &[Row], keys: Option<Vec<Row>>) -> String {
    let head = [
        ("ID", meta.id.clone()),
        ("Size", meta.size.to_string()),
        ("Index", meta.index.to_string()),
        ("Term", meta.term.to_string()),
        ("Version", meta.version.to_string()),
    ];
    let head: Vec<String> = head.iter().map(|(name, value)| format!(" {name:<12} {value}")).collect();
    let mut out = format!("{}\n\n{}", head.join("\n"), counts("Type", kinds));
    if let Some(keys) = keys {
        out.push_str(&format!("\n\n{}", counts("Key Name", &keys)));
    }
    out
}

fn counts(title: &str, rows: &[Row]) -> String {
    let cells = |a: &str, b: &str, c: &str| vec![format!(" {a:<26}"), format!("{b:<8}"), c.to_owned()];
    let rule = || cells("----", "----", "----");
    let mut shown = vec![cells(title, "Count", "Size"), rule()];
    shown.extend(rows.iter().map(|row| cells(&row.name, &row.count.to_string(), &bytes(row.sum))));
    shown.push(rule());
    shown.push(cells("Total", "", &bytes(rows.iter().map(|row| row.sum).sum())));
    table(&shown)
}

/// A size as people read it: `412B`, `2.9KB`.
fn bytes(count: usize) -> String {
    const UNITS: [&str; 4] = ["KB", "MB", "GB", "TB"];
    if count < 1024 {
        return format!("{count}B");
    }
    let (mut size, mut unit) = (count as f64 / 1024.0, 0);
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        (size, unit) = (size / 1024.0, unit + 1);
    }
    let shown = format!("{size:.1}");
    format!("{}{}", shown.strip_suffix(".0").unwrap_or(&shown), UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_are_short() {
        assert_eq!([412, 1024, 2999, 5 << 20].map(bytes), ["412B", "1KB", "2.9KB", "5MB"]);
    }
}
