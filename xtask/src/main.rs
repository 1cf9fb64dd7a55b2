//! `cargo xtask package`: makes what ships, in `target/package/`.
//!
//! `binary` builds the static program, `link` links it, `constants` says what of it lies together, `deb` makes Debian packages of
//! it and `image` a container image;
//! `place` says where things lie, `run` starts programs.
//!
//! It needs what `packaging/README.md` lists.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, bail};

mod binary;
mod constants;
mod deb;
mod image;
mod link;
mod place;
mod run;

use place::Place;

const HELP: &str = "\
Makes what ships, in target/package/ (CARGO_TARGET_DIR moves it)

Usage: cargo xtask package [PART…] [--version VERSION] [--functions FILE] [--out FOLDER]

Parts, all when none is named; each takes what the ones before it left in the folder:
  binary   ryo, one static program
  deb      ryo_VERSION_ARCH.deb and ryo-consul_VERSION_all.deb
  image    ryo-oci.tar, a container image

  --version VERSION   of the packages, where it is to be another than the program's
  --functions FILE    the order of functions that an earlier build left as ryo.functions: the same bytes again
  --out FOLDER        write packages and image there";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.first().map(String::as_str) {
        // rustc calls its linker so.
        Some("-flavor") => return link::as_linker(&words),
        Some("package") => package(&words[1..]),
        _ => {
            say(HELP);
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            say(&format!("xtask: {e:#}"));
            ExitCode::FAILURE
        }
    }
}

fn package(words: &[String]) -> anyhow::Result<()> {
    let mut place = Place::find()?;
    let mut functions = None;
    let mut parts = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} needs a value"));
        match word.as_str() {
            "--version" => place.version.clone_from(value()?),
            "--functions" => functions = Some(PathBuf::from(value()?)),
            "--out" => place.out = PathBuf::from(value()?),
            "binary" | "deb" | "image" => parts.push(word.as_str()),
            _ => bail!("{word}: no such part\n\n{HELP}"),
        }
    }
    if parts.is_empty() {
        parts = vec!["binary", "deb", "image"];
    }
    std::fs::create_dir_all(&place.out).with_context(|| place.out.display().to_string())?;
    for part in parts {
        match part {
            "binary" => binary::build(&place, functions.as_deref())?,
            "deb" => deb::build(&place)?,
            _ => image::build(&place)?,
        }
    }
    Ok(())
}

/// A line for who reads along.
#[expect(clippy::print_stderr, reason = "a tool that is read in a terminal")]
fn say(text: &str) {
    eprintln!("{text}");
}
