//! Linking: once as rustc says, then again from the same objects.
//!
//! The order of functions is known only after the program has run. Making its code takes minutes and linking it seconds, so
//! rustc is given this program as its linker: it keeps what it was told to link, and `again` links that in another order.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::Context as _;

use crate::{run, say};

/// The folder to keep what is linked in; set for rustc.
const KEEP: &str = "RYO_LINK_KEEP";
/// Among what is kept: the words that the linker was called with, a line each.
const WORDS: &str = "words";
/// For both links. Relocations take a tenth of the room when they are packed, which musl and lld know, and functions whose code
/// is the same share it (no code of ours or of the libraries compares the addresses of functions).
const FLAGS: [&str; 2] = ["--pack-dyn-relocs=relr", "--icf=all"];
/// For the last link: the tables for unwinding stay behind, a tenth of the program. A panic ends it after its line in the log,
/// which names the place; what called that place is only told by a program that has its symbols.
const WITHOUT_TABLES: &str =
    "SECTIONS { /DISCARD/ : { *(.eh_frame) *(.eh_frame_hdr) *(.gcc_except_table*) } } INSERT AFTER .rodata;";

/// What rustc needs to know to call this program as its linker.
pub(crate) fn for_rustc(command: &mut Command, keep: &Path) -> anyhow::Result<()> {
    let linker = env::current_exe()?;
    command.env(KEEP, keep).arg("-C").arg(format!("linker={}", linker.display()));
    command.args(["-C", "linker-flavor=ld.lld"]);
    Ok(())
}

/// Called by rustc: links, and keeps what was linked.
pub(crate) fn as_linker(words: &[String]) -> ExitCode {
    match keep(words).and_then(|()| link(&[words, &FLAGS.map(String::from)].concat())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            say(&format!("xtask as linker: {e:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Links what was kept once more, without symbols, the functions of this file first and in its order.
pub(crate) fn again(keep: &Path, functions: &Path, output: &Path) -> anyhow::Result<()> {
    let words = fs::read_to_string(keep.join(WORDS)).context("the program was not linked by xtask")?;
    let mut words: Vec<String> = words.lines().map(String::from).collect();
    let place = words.iter().position(|word| word == "-o").context("rustc names the file to write")?;
    words[place + 1] = output.display().to_string();
    words.extend(FLAGS.map(String::from));
    let script = keep.join("without-tables.ld");
    fs::write(&script, WITHOUT_TABLES)?;
    words.push(format!("--script={}", script.display()));
    words.push(format!("--symbol-ordering-file={}", functions.display()));
    words.extend(["--no-warn-symbol-ordering", "--strip-all"].map(String::from));
    link(&words)
}

/// Copies the objects, which rustc removes after the link.
fn keep(words: &[String]) -> anyhow::Result<()> {
    let folder = PathBuf::from(env::var_os(KEEP).with_context(|| format!("{KEEP} is not set"))?);
    fs::create_dir_all(&folder)?;
    let mut kept = String::new();
    for (number, word) in words.iter().enumerate() {
        let path = Path::new(word);
        if path.extension().is_some_and(|kind| kind == "o" || kind == "rlib") && path.is_file() {
            let copy = folder.join(format!("{number}-{}", path.file_name().unwrap_or_default().display()));
            fs::copy(path, &copy).with_context(|| copy.display().to_string())?;
            kept += &format!("{}\n", copy.display());
        } else {
            kept += &format!("{word}\n");
        }
    }
    fs::write(folder.join(WORDS), kept)?;
    Ok(())
}

fn link(words: &[String]) -> anyhow::Result<()> {
    run::run(Command::new(lld()?).args(words))
}

/// The linker that comes with rustc.
fn lld() -> anyhow::Result<PathBuf> {
    let rustc = || Command::new("rustc");
    let about = run::output(rustc().arg("-vV"))?;
    let host =
        about.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc does not name its host")?;
    let sysroot = run::output(rustc().args(["--print", "sysroot"]))?;
    Ok(Path::new(&sysroot).join("lib/rustlib").join(host).join("bin/rust-lld"))
}
