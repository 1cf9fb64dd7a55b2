//! Linking: once as rustc says, then again from the same objects and from the program as LLVM knows it.
//!
//! Which functions run, and which run often, is known only after the program has run. So rustc is given this program as its
//! linker: it keeps what it was told to link, and `again` links that in another order, with code made anew: as fast as before
//! for what runs often, as small as it can be for all else.

use std::{
    collections::{HashMap, HashSet},
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::Context as _;

use crate::{constants, run, say};

/// The folder to keep what is linked in; set for rustc.
const KEEP: &str = "RYO_LINK_KEEP";
/// Among what is kept: the words that the linker was called with, a line each.
const WORDS: &str = "words";
/// For both links. Relocations take a tenth of the room when they are packed, which musl and lld know, and functions whose code
/// is the same share it (no code of ours or of the libraries compares the addresses of functions).
const FLAGS: [&str; 2] = ["--pack-dyn-relocs=relr", "--icf=all"];
/// For the last two links: the tables for unwinding stay behind, a tenth of the program. A panic ends it after its line in the log,
/// which names the place; what called that place is only told by a program that has its symbols.
const WITHOUT_TABLES: &str =
    "SECTIONS { /DISCARD/ : { *(.eh_frame) *(.eh_frame_hdr) *(.gcc_except_table*) } } INSERT AFTER .rodata;";

/// For the second link: code is made of the bitcode as it is, with the attributes that `again` gives to functions. Sequences of
/// instructions that occur twice become functions, but for those in functions that run, which would bring in pages of far-off
/// code; functions that differ in a constant become one.
const SMALL: [&str; 4] = [
    "--lto-newpm-passes=forceattrs",
    "--mllvm=-enable-machine-outliner=always",
    "--mllvm=-machine-outliner-reruns=2",
    "--mllvm=-enable-global-merge-func",
];
/// Calls from which on a function counts as run often: the programs do their work some thirty times while they are looked at.
const OFTEN: u64 = 10;

/// The most functions that a round of the outliner may make.
const OUTLINED_MAX: usize = 50_000;

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

/// Links what was kept twice more, without symbols: makes code anew, then lays its constants out. The functions that `ran` (`_ZN1aE 12`
/// a line, the calls behind the name) come first, in that order, and so do the constants that they use. `program` is what came of
/// the first link.
pub(crate) fn again(keep: &Path, program: &Path, ran: &str, output: &Path) -> anyhow::Result<()> {
    let words = fs::read_to_string(keep.join(WORDS)).context("the program was not linked by xtask")?;
    let mut words: Vec<String> = words.lines().map(String::from).collect();
    let place = words.iter().position(|word| word == "-o").context("rustc names the file to write")?;
    words[place + 1] = output.display().to_string();
    let object = words
        .iter_mut()
        .find(|word| word.ends_with(".rcgu.o"))
        .context("rustc names the program's object")?;
    let symbols = |of: &Path| run::output(Command::new("nm").arg("--defined-only").arg(of));
    let (compiled, linked) = (symbols(object.as_ref())?, symbols(program)?);
    *object = bitcode(keep).display().to_string();
    let object = object.clone();

    let ran = with_aliases(ran.lines().filter_map(calls), &linked);
    for (flag, name, text) in [
        ("--symbol-ordering-file=", "order", order(&ran)),
        ("--mllvm=-forceattrs-csv-path=", "attributes", attributes(&ran, &compiled)),
        ("--script=", "without-tables.ld", WITHOUT_TABLES.to_owned()),
    ] {
        let path = keep.join(name);
        fs::write(&path, text).with_context(|| path.display().to_string())?;
        words.push(format!("{flag}{}", path.display()));
    }
    words.extend(
        FLAGS.iter().chain(&["--no-warn-symbol-ordering", "--strip-all"]).map(|flag| String::from(*flag)),
    );
    let made = keep.join("program.o");
    let code = format!("--lto-obj-path={}", made.display());
    link(&[&words[..], &SMALL.map(String::from), &[code]].concat())?;

    let relocations = run::output(Command::new("objdump").arg("--reloc").arg(&made))?;
    let first = keep.join("constants.ld");
    fs::write(&first, first_of_all(&constants::used_by(ran.iter().map(|(name, _)| *name), &relocations)))?;
    words.push(format!("--script={}", first.display()));
    for word in words.iter_mut().filter(|word| **word == object) {
        *word = made.display().to_string();
    }
    link(&words)
}

/// A script that lays those sections before all other constants.
fn first_of_all(sections: &[&str]) -> String {
    let lines: String = sections.iter().map(|section| format!("*(\"{section}\")\n")).collect();
    format!("SECTIONS {{ .rodata.ran : {{\n{lines}}} }} INSERT BEFORE .rodata;\n")
}

/// `_ZN1aE 12`: the function and its calls.
fn calls(line: &str) -> Option<(&str, u64)> {
    let (name, times) = line.split_once(' ')?;
    Some((name, times.parse().ok()?))
}

/// Functions in what `nm` prints, `0000000000000010 t _ZN1aE`: the address and the name.
fn functions(symbols: &str) -> impl Iterator<Item = (&str, &str)> {
    symbols.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (address, kind) = (words.next()?, words.next()?);
        Some((address, words.next().filter(|_| ["t", "T", "W"].contains(&kind))?))
    })
}

/// The functions that ran, and those that the first link had put at the same place: only one of the names is noted, and the
/// second link may keep them apart.
fn with_aliases<'a>(ran: impl Iterator<Item = (&'a str, u64)>, linked: &'a str) -> Vec<(&'a str, u64)> {
    let places: HashMap<&str, &str> = functions(linked).map(|(address, name)| (name, address)).collect();
    let mut names = HashMap::<&str, Vec<&str>>::new();
    for (address, name) in functions(linked) {
        names.entry(address).or_default().push(name);
    }
    let mut all = Vec::new();
    for (name, times) in ran {
        let aliases = places.get(name).and_then(|address| names.remove(address));
        all.extend(aliases.unwrap_or_default().into_iter().map(|alias| (alias, times)));
    }
    all
}

/// The symbols in the order to lay them out, a line each: what ran, what became of it where functions were merged, and
/// behind them what was taken out of functions, so that what runs without having been looked at finds it in one place. Names that
/// do not occur do no harm.
fn order(ran: &[(&str, u64)]) -> String {
    let functions = ran.iter().map(|(name, _)| format!("{name}\n{name}.Tgm\n"));
    let rounds = ["", "2_", "3_"];
    let outlined = rounds
        .iter()
        .flat_map(|round| (0..OUTLINED_MAX).map(move |n| format!("OUTLINED_FUNCTION_{round}{n}\n")));
    functions.chain(outlined).collect()
}

/// Attributes for the functions that were compiled, lines of what LLVM reads: what runs stays in one piece, what runs often also
/// as fast as it is; all else is made as small as can be.
fn attributes(ran: &[(&str, u64)], compiled: &str) -> String {
    let often: HashSet<&str> =
        ran.iter().filter(|(_, times)| *times >= OFTEN).map(|(name, _)| *name).collect();
    let ran: HashSet<&str> = ran.iter().map(|(name, _)| *name).collect();
    let of = |name: &str| match (ran.contains(name), often.contains(name)) {
        (_, true) => &["nooutline=true", "nomerge"][..],
        (true, false) => &["minsize", "nooutline=true"],
        (false, false) => &["minsize"],
    };
    let lines = |name| of(name).iter().map(move |attribute| format!("{name},{attribute}\n"));
    functions(compiled).flat_map(|(_, name)| lines(name)).collect()
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
    use super::{attributes, calls, order, with_aliases};

    #[test]
    fn functions_that_ran_are_laid_out_and_kept_fast_under_all_their_names() {
        let linked = "0010 t _ZN1aE\n0010 t _ZN1bE\n0020 T main\n0030 r table\n0040 t _ZN1cE\n";
        assert_eq!(
            (calls("_ZN1aE 12"), calls("_ZN1aE"), calls("_ZN1aE x")),
            (Some(("_ZN1aE", 12)), None, None)
        );
        let ran = with_aliases([("main", 1), ("_ZN1bE", 12), ("gone", 5)].into_iter(), linked);
        assert_eq!(ran, [("main", 1), ("_ZN1aE", 12), ("_ZN1bE", 12)]);
        assert!(order(&ran).starts_with("main\nmain.Tgm\n_ZN1aE\n_ZN1aE.Tgm\n_ZN1bE\n"));
        let compiled = "0000 t _ZN1aE\n0000 T main\n                 U memcpy\n0000 r table\n";
        assert_eq!(
            attributes(&ran, compiled),
            "_ZN1aE,nooutline=true\n_ZN1aE,nomerge\nmain,minsize\nmain,nooutline=true\n"
        );
    }
}
