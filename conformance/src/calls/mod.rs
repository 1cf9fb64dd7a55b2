//! Every function of templates, called with values of every kind by ryo's engine and by consul-template itself.
//!
//! `values` reads what functions are called with, `generate` makes the calls, `registry` holds what they ask, `ours` and `theirs`
//! evaluate them, `compare` says how two results differ, and `intended` which differences are meant.

mod compare;
mod generate;
mod intended;
mod ours;
mod registry;
mod theirs;
mod values;

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};

use crate::{glob, options::Options};
use compare::{Difference, difference};
use generate::Call;
use intended::Intended;
use ours::Ours;
use registry::Registry;
use theirs::Theirs;

/// What an evaluation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// A text.
    Text(Vec<u8>),
    /// An error; its words do not count.
    Error(String),
    /// The template would wait for what the registry does not have.
    Waiting,
    /// The program did not live to say.
    Died(String),
}

impl Verdict {
    /// As it is told beside another: texts from a little before the place where they part.
    fn beside(&self, other: &Self) -> String {
        const SHOWN_MAX: usize = 200;
        const BEFORE: usize = 60;
        let text = match (self, other) {
            (Self::Text(text), Self::Text(other)) => {
                let same = text.iter().zip(other).take_while(|(a, b)| a == b).count().saturating_sub(BEFORE);
                format!("{}{}", if same > 0 { "…" } else { "" }, text[same..].escape_ascii())
            }
            (Self::Text(text), _) => text.escape_ascii().to_string(),
            (Self::Error(reason), _) => format!("error: {reason}"),
            (Self::Waiting, _) => "waits".to_owned(),
            (Self::Died(reason), _) => format!("died: {reason}"),
        };
        text.chars().take(SHOWN_MAX).collect()
    }
}

/// Calls of one function that differ in one way.
#[derive(Debug)]
struct Group {
    calls: usize,
    /// The first of them: the template, theirs, ours.
    examples: Vec<[String; 3]>,
    /// The reason, when it is meant.
    intended: Option<String>,
}

/// How it went.
#[derive(Debug, Default)]
pub struct Report {
    calls: usize,
    errors: usize,
    addresses: usize,
    groups: BTreeMap<(Difference, String), Group>,
    /// Lines of the list that no call needs.
    idle: Vec<String>,
}

impl Report {
    /// Whether all differences are meant, and all that are meant occur.
    pub fn is_good(&self) -> bool {
        self.idle.is_empty() && self.groups.values().all(|group| group.intended.is_some())
    }
}

/// How many examples of a group are kept.
const EXAMPLES: usize = 5;

/// Compares all calls that are asked for.
///
/// Errors when the registry or the other program cannot be had.
pub fn run(options: &Options) -> anyhow::Result<Report> {
    let registry = Registry::start(options)?;
    let mut ours = Ours::new(registry.address())?;
    let mut intended = Intended::read(&crate::data("calls").join("intended.txt"))?;
    let values = values::read(&crate::data("calls").join("values.txt"))?;
    // Consul-template fails where data are not there yet; so all are asked for first.
    let first = values.iter().map(|value| format!("{{{{ $x := {} }}}}", value.text)).collect();
    let mut theirs = Theirs::start(&registry.address(), first)?;
    let calls = generate::calls(&values, options);
    ensure!(!calls.is_empty(), "no function is asked for; see --only");
    let templates: Vec<String> = calls.iter().map(|call| call.template.clone()).collect();
    let mut report = Report { calls: calls.len(), ..Report::default() };
    theirs.evaluate(&templates, |place, theirs| {
        note(&mut report, &mut intended, &calls[place], &theirs, &ours.evaluate(&calls[place].template));
    })?;
    if options.only.is_empty() {
        report.idle = intended.idle();
    }
    Ok(report)
}

fn note(report: &mut Report, intended: &mut Intended, call: &Call, theirs: &Verdict, ours: &Verdict) {
    report.errors += usize::from(matches!(theirs, Verdict::Error(_)));
    let kind = match difference(theirs, ours) {
        None => return,
        Some(Difference::Address) => {
            report.addresses += 1;
            return;
        }
        Some(kind) => kind,
    };
    let reason = intended.reason(kind, &call.function, &call.template).map(str::to_owned);
    // What is meant stands beside what is not, of the same function and kind.
    let name = format!("{}{}", call.function, if reason.is_some() { " (meant)" } else { "" });
    let group =
        report.groups.entry((kind, name)).or_insert(Group { calls: 0, examples: vec![], intended: reason });
    group.calls += 1;
    if group.examples.len() < EXAMPLES {
        group.examples.push([call.template.clone(), theirs.beside(ours), ours.beside(theirs)]);
    }
}

/// Whether a function is asked for.
fn wants(options: &Options, name: &str) -> bool {
    options.only.is_empty() || options.only.iter().any(|only| only == name || glob::matches(only, name))
}

/// Prints what differs: with `verbose`, what is meant too, and more examples.
#[expect(clippy::print_stdout, reason = "the runner's report")]
pub fn told(report: &Report, verbose: bool) {
    let mut meant = 0;
    for ((kind, name), group) in &report.groups {
        if let Some(reason) = &group.intended {
            meant += group.calls;
            if !verbose {
                continue;
            }
            println!("{name}: {kind}: {} calls: {reason}", group.calls);
        } else {
            println!("{name}: {kind}: {} calls", group.calls);
        }
        let shown = if verbose { EXAMPLES } else { 1 };
        for [template, theirs, ours] in group.examples.iter().take(shown) {
            println!("    {template}\n      theirs {theirs}\n      ours   {ours}");
        }
    }
    for line in &report.idle {
        println!("intended.txt: take the line off, it is the same now: {line}");
    }
    let differing: usize = report.groups.values().map(|group| group.calls).sum();
    let Report { calls, errors, addresses, .. } = report;
    println!(
        "{calls} calls, {errors} of them errors there; {addresses} differ in addresses alone, {meant} as they should, {} otherwise",
        differing - meant
    );
}

/// The program beside this crate that has consul-template in it, built.
fn built(folder: &std::path::Path) -> anyhow::Result<std::path::PathBuf> {
    let program = folder.join("theirs");
    let status = std::process::Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(crate::data("calls"))
        // Addresses begin with 0xc0 then, by which they are known.
        .env("GOEXPERIMENT", "norandomizedheapbase64")
        .status()
        .context("Go is needed to build consul-template")?;
    ensure!(status.success(), "consul-template is not built");
    Ok(program)
}
