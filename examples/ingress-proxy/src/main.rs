//! The main job of ryo, shown and asserted.
//!
//! A small fleet on loopback addresses: one registry, two web containers and one proxy container with a real HAProxy.
//! Every "container" is an address of its own with an agent on the standard ports. The scenes of [`scenes`] change the
//! fleet while a steady stream of requests runs through the proxy, and say in plain words what happens.
#![expect(clippy::print_stdout, reason = "telling what happens is this program's job")]

mod ask;
mod process;
mod scenes;
mod stage;
mod traffic;
mod web;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Parser;

/// Runs the main job: registry, agents and watcher keep a real HAProxy in step.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    part: Option<Part>,
    /// The `ryo` program to run.
    #[arg(long, default_value = "target/debug/ryo")]
    ryo: PathBuf,
    /// Assert every scene, clean up, and end: 0 when all hold.
    #[arg(long)]
    check: bool,
    /// Keep the folder with all logs and data.
    #[arg(long)]
    keep: bool,
}

#[derive(clap::Subcommand)]
enum Part {
    /// Answers HTTP with its name: what runs in a web container.
    Web {
        /// Where to listen.
        listen: SocketAddr,
        /// What to answer with.
        name: String,
    },
}

fn main() -> ExitCode {
    let options = Options::parse();
    let ended = match &options.part {
        Some(Part::Web { listen, name }) => web::serve(*listen, name),
        None => show(&options),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("\nFAILED: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn show(options: &Options) -> anyhow::Result<()> {
    let ryo = options
        .ryo
        .canonicalize()
        .with_context(|| format!("{} is not there; run ./demo, which builds it", options.ryo.display()))?;
    let folder = tempfile::Builder::new().prefix("ryo-demo-").tempdir()?;
    let path = folder.path().to_owned();
    let ended = scenes::run(&ryo, &path, options.check);
    if ended.is_err() {
        println!("{}", scenes::last_words(&path));
    }
    if options.keep || (ended.is_err() && std::env::var_os("CI").is_none()) {
        println!("logs and data: {}", folder.keep().display());
    }
    ended
}
