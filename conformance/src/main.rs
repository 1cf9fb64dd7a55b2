//! `conformance SUITE --bin PATH`: runs a suite and ends with 0 when every scenario came out as it should.

use std::process::ExitCode;

use anyhow::ensure;
use clap::Parser as _;
use conformance::{
    calls,
    case::{self, Tally},
    cli, dns, faults, http,
    known::Known,
    options::{Options, Suite},
    template,
};

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    if options.suite == Suite::Faults {
        if let Some(code) = faults::enter()? {
            return Ok(code);
        }
        let report = faults::run(&options)?;
        told(&report);
        return Ok(ExitCode::SUCCESS);
    }
    if options.suite == Suite::Calls {
        let report = calls::run(&options)?;
        calls::told(&report, options.verbose);
        return Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let known = Known::read(&options.known)?;
    let cases = match options.suite {
        Suite::Http => http::cases(&options)?,
        Suite::Dns => dns::cases(&options)?,
        Suite::Template => template::cases(&options)?,
        Suite::Cli => cli::cases(&options)?,
        Suite::Calls | Suite::Faults => Vec::new(),
    };
    let everything = options.only.is_empty() && options.scenarios.is_none();
    for name in known.of_suite(options.suite.name()).filter(|_| everything) {
        let found = cases.iter().any(|case| name.split_once('/').is_some_and(|(_, rest)| rest == case.name));
        ensure!(found, "{}: there is no scenario {name}", options.known.display());
    }
    ensure!(!cases.is_empty(), "no scenario is asked for; see --only");
    let tally = case::run_all(cases, &options, &known);
    summary(&tally);
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[expect(clippy::print_stdout, reason = "the runner's report")]
fn summary(tally: &Tally) {
    if tally.known > 0 {
        println!("{} of those that count as passed are known failures", tally.known);
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
}

#[expect(clippy::print_stdout, reason = "the runner's report")]
fn told(report: &faults::Report) {
    let faults::Report { faults, left_out, answered, unanswered, locks, slowest_write, slowest, falsely } =
        report;
    let left_out: String = left_out.iter().map(|what| format!(" ({what})")).collect();
    println!(
        "{faults} faults{left_out}; {answered} operations answered, {unanswered} not; {locks} locks taken; writes went on within {slowest_write:.1?}, \
         after repairs at each server within {slowest:.1?}; {falsely} agents falsely critical; what was seen has an order"
    );
}
