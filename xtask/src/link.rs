//! Linking: once as rustc says, then again from the same objects and from the program as LLVM knows it.
//!
//! Which functions run, and which run often, is known only after the program has run. So rustc is given this program as its
//! linker: it keeps what it was told to link, and `again` links that in another order, with code made anew: as fast as before
//! for what runs often, as small as it can be for all else.

use std::{
    collections::HashSet,
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

/// For the last link: code is made of the bitcode as it is, with the attributes that `again` gives to functions. Sequences of
/// instructions that occur twice become functions, but for those in functions that run often; functions that differ in a
/// constant become one.
const SMALL: [&str; 4] = [
    "--lto-newpm-passes=forceattrs",
    "--mllvm=-enable-machine-outliner=always",
    "--mllvm=-machine-outliner-reruns=2",
    "--mllvm=-enable-global-merge-func",
];
/// Calls from which on a function counts as run often: the programs do their work some thirty times while they are looked at.
const OFTEN: u64 = 10;

/// What rustc needs to know to call this program as its linker.
pub(crate) fn for_rustc(command: &mut Command, keep: &Path) -> anyhow::Result<()> {
    let linker = env::current_exe()?;
    command.env(KEEP, keep).arg("-C").arg(format!("linker={}", linker.display()));
    command.args(["-C", "linker-flavor=ld.lld"]);
    Ok(())
}

/// Where rustc writes the whole program as LLVM's bitcode, after all optimization that looks at more than one function.
pub(crate) fn bitcode(keep: &Path) -> PathBuf {
    keep.join("program.bc")
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

/// Links what was kept once more, without symbols; the functions that `ran` (`_ZN1aE 12` a line, the calls behind the name)
/// come first, in that order.
pub(crate) fn again(keep: &Path, ran: &str, output: &Path) -> anyhow::Result<()> {
    let words = fs::read_to_string(keep.join(WORDS)).context("the program was not linked by xtask")?;
    let mut words: Vec<String> = words.lines().map(String::from).collect();
    let place = words.iter().position(|word| word == "-o").context("rustc names the file to write")?;
    words[place + 1] = output.display().to_string();
    let object = words
        .iter_mut()
        .find(|word| word.ends_with(".rcgu.o"))
        .context("rustc names the program's object")?;
    let defined = run::output(Command::new("nm").arg("--defined-only").arg(&*object))?;
    *object = bitcode(keep).display().to_string();

    let calls: Vec<(&str, u64)> = ran.lines().filter_map(calls).collect();
    let order: String = calls.iter().map(|(name, _)| format!("{name}\n")).collect();
    let often: HashSet<&str> =
        calls.iter().filter(|(_, times)| *times >= OFTEN).map(|(name, _)| *name).collect();
    let attributes: String = functions(&defined).map(|name| attributes(name, often.contains(name))).collect();
    for (flag, name, text) in [
        ("--symbol-ordering-file=", "order", &*order),
        ("--mllvm=-forceattrs-csv-path=", "attributes", &*attributes),
        ("--script=", "without-tables.ld", WITHOUT_TABLES),
    ] {
        let path = keep.join(name);
        fs::write(&path, text).with_context(|| path.display().to_string())?;
        words.push(format!("{flag}{}", path.display()));
    }
    words.extend(FLAGS.iter().chain(&SMALL).map(|flag| String::from(*flag)));
    words.extend(["--no-warn-symbol-ordering", "--strip-all"].map(String::from));
    link(&words)
}

/// `_ZN1aE 12`: the function and its calls.
fn calls(line: &str) -> Option<(&str, u64)> {
    let (name, times) = line.split_once(' ')?;
    Some((name, times.parse().ok()?))
}

/// The names of functions in what `nm` prints: `0000000000000000 t _ZN1aE`.
fn functions(defined: &str) -> impl Iterator<Item = &str> {
    defined.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let kind = words.next()?;
        words.next().filter(|_| ["t", "T", "W"].contains(&kind))
    })
}

/// What runs often stays in one piece and its own; all else is made as small as can be. Lines of what LLVM reads.
fn attributes(function: &str, often: bool) -> String {
    let attributes: &[&str] = if often { &["nooutline=true", "nomerge"] } else { &["minsize"] };
    attributes.iter().map(|attribute| format!("{function},{attribute}\n")).collect()
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

#[cfg(test)]
mod tests {
    use super::{attributes, calls, functions};

    #[test]
    fn functions_and_their_calls_are_read_and_become_attributes() {
        let defined = "0000000000000000 t _ZN1aE\n0000000000000010 T main\n0000000000000000 r table\n                 U memcpy\n";
        assert_eq!(functions(defined).collect::<Vec<_>>(), ["_ZN1aE", "main"]);
        assert_eq!(
            (calls("_ZN1aE 12"), calls("_ZN1aE"), calls("_ZN1aE x")),
            (Some(("_ZN1aE", 12)), None, None)
        );
        assert_eq!(attributes("_ZN1aE", true), "_ZN1aE,nooutline=true\n_ZN1aE,nomerge\n");
        assert_eq!(attributes("_ZN1aE", false), "_ZN1aE,minsize\n");
    }
}
