//! `ryo`: the one binary. The name it is called by chooses the program.
//!
//! `program` chooses, `agent` runs agent and registry, `commands` are the operator's, `flags` reads command lines as Go does, `client` and `output` are what
//! the commands share, `image` is the container image's entry.

use std::{path::Path, process::ExitCode};

mod agent;
mod certificates;
mod client;
mod commands;
mod flags;
mod image;
mod output;
mod program;
#[cfg(test)]
mod reference;

use daemon::Exit;
use program::Program;

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let mut words = std::env::args();
    let called = words.next().unwrap_or_default();
    let called = Path::new(&called).file_name().and_then(|name| name.to_str()).unwrap_or("ryo");
    if called != image::NAME {
        return run(called, program::choose(called, words.collect())).into();
    }
    match image::choose(words.collect()) {
        Ok((called, program)) => run(&called, program).into(),
        Err(e) => output::failure(format!("CONSUL_LOCAL_CONFIG cannot be written: {e}")).into(),
    }
}

fn run(called: &str, program: Program) -> Exit {
    match program {
        Program::Agent(words) => agent::run(called, words),
        Program::Watcher(words) => {
            let name = if called == "ryo" { "ryo template" } else { called };
            template_watcher::main(name, &words)
        }
        Program::Command(words) => program::run_command(called, words),
    }
}
