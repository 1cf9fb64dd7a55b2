//! The program: static, small, laid out for memory, and the same from every folder.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};

use crate::{
    link,
    place::{self, Place},
    run, say,
};

/// The largest program that ships, in bytes; docs/decisions/packages.md says what makes it so small.
const SIZE_MAX: u64 = 15_000_000;

/// Builds `ryo` and looks at what came of it.
///
/// `functions` is what ran of another build; without it the program is run to find that, which takes a minute and valgrind.
pub(crate) fn build(place: &Place, functions: Option<&Path>) -> anyhow::Result<()> {
    let target = place::target();
    let installed = run::output(Command::new("rustup").args(["target", "list", "--installed"]))?;
    if !installed.lines().any(|line| line == target) {
        run::run(Command::new("rustup").args(["target", "add", &target]))?;
    }
    let keep = place.stage("link")?;
    let linked = compile(place, &target, &keep)?;
    let functions = match functions {
        Some(given) => fs::read_to_string(given).with_context(|| given.display().to_string())?,
        None => record(place, &linked)?,
    };
    link::again(&keep, &linked, &functions, &place.binary())?;
    fs::write(place.package.join("ryo.functions"), functions)?;
    fs::remove_dir_all(keep)?;
    check(place)
}

/// Compiles and links with symbols; where the program is.
fn compile(place: &Place, target: &str, keep: &Path) -> anyhow::Result<PathBuf> {
    let mut command = cargo(place);
    command.args(["rustc", "--locked", "--release", "--target", target, "-p", "ryo", "--bin", "ryo"]);
    command.env("CARGO_PROFILE_RELEASE_STRIP", "none").env("CARGO_ENCODED_RUSTFLAGS", flags(place));
    command.arg("--");
    link::for_rustc(&mut command, keep)?;
    command.arg(format!("--emit=llvm-bc={},link", link::bitcode(keep).display()));
    run::run(&mut command)?;
    Ok(place.target.join(target).join("release/ryo"))
}

/// For every crate: places that look the same from every folder, and no tables for unwinding, which ends in abort anyway.
fn flags(place: &Place) -> String {
    let home =
        env::var("CARGO_HOME").or_else(|_| env::var("HOME").map(|home| home + "/.cargo")).unwrap_or_default();
    let flags = [
        "-Cforce-unwind-tables=no".to_owned(),
        format!("--remap-path-prefix={home}/registry/src="),
        format!("--remap-path-prefix={}=", place.root.display()),
        // Code that build scripts write is taken from here, which may be elsewhere.
        format!("--remap-path-prefix={}=target", place.target.display()),
    ];
    flags.join("\x1f")
}

/// The functions that a registry, an agent and a watcher run, a line each, with their calls.
fn record(place: &Place, program: &Path) -> anyhow::Result<String> {
    let found = run::output(
        cargo(place).args(["run", "--quiet", "--locked", "-p", "bench", "--", "functions"]).arg(program),
    );
    Ok(found.context("valgrind has to be installed (apt-get install valgrind)")? + "\n")
}

fn cargo(place: &Place) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(&place.root).env_remove("RUSTFLAGS").env("SOURCE_DATE_EPOCH", &place.epoch);
    command
}

/// It needs no library and no file, and is not larger than was agreed.
fn check(place: &Place) -> anyhow::Result<()> {
    let binary = place.binary();
    let size = fs::metadata(&binary)?.len();
    ensure!(size <= SIZE_MAX, "{} has {size} bytes, more than {SIZE_MAX}", binary.display());
    let headers =
        run::output(Command::new("readelf").arg("--wide").arg("--segments").arg("--dynamic").arg(&binary))?;
    ensure!(
        !headers.contains("INTERP") && !headers.contains("(NEEDED)"),
        "{} is not static",
        binary.display()
    );
    let place_of_its_own = if is_root()? { in_empty_root(place, &binary)? } else { String::new() };
    say(&format!("{}: static, {size} bytes{place_of_its_own}", binary.display()));
    Ok(())
}

fn is_root() -> anyhow::Result<bool> {
    Ok(run::output(Command::new("id").arg("-u"))? == "0")
}

/// Runs it where there is nothing else: no folder, no library, no device.
fn in_empty_root(place: &Place, binary: &Path) -> anyhow::Result<String> {
    let root = place.stage("empty")?;
    fs::copy(binary, root.join("ryo"))?;
    let version = run::output(Command::new("chroot").arg(&root).args(["/ryo", "version"]))?;
    fs::remove_dir_all(root)?;
    ensure!(version.contains(env!("CARGO_PKG_VERSION")), "`ryo version` prints {version:?}");
    Ok(", runs in an empty folder".into())
}
