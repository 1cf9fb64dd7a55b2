//! docs/commands.md, made of the tree of commands.
//!
//! `RYO_WRITE_DOCS=1 cargo test -p ryo --bin ryo reference` writes the page anew.

use std::{fmt::Write as _, fs, path::Path};

use clap::{Arg, Command, CommandFactory as _};

use crate::program::Tree;

const HEAD: &str = "# Commands

Made from the program's own tree of commands; `ryo COMMAND -help` says the same, and `ryo man FOLDER` writes it as pages of the manual. All of them work under the name
`consul` too, where their words are Consul's to the letter.

Flags are written as Consul's: `-name=value` or `-name value`, before all other words; two dashes do as well. `ryo agent -help` and `ryo template -help` list the flags of the
registry, the agent and the watcher; [configuration.md](configuration.md) and [watcher.md](watcher.md) have what stands in their files.
";

/// Headings of flags that many commands share; they are listed once.
const SHARED: [&str; 2] = ["Where and as whom", "Which servers answer"];

fn page() -> String {
    let mut tree = Tree::command();
    tree.build();
    let mut page = HEAD.to_owned();
    let sample = ["kv", "get"]
        .iter()
        .fold(&tree, |command, name| command.find_subcommand(name).expect("kv get has all the shared flags"));
    page += "\n## Flags of every command that asks an agent\n";
    for heading in SHARED {
        write!(page, "\n{heading}:\n\n").expect("a text takes all");
        flags(&mut page, sample, |arg| arg.get_help_heading() == Some(heading));
    }
    for command in tree.get_subcommands().filter(|command| !command.is_hide_set()) {
        describe(&mut page, command, "ryo");
    }
    page
}

/// A command and those below it.
fn describe(page: &mut String, command: &Command, above: &str) {
    let name = format!("{above} {}", command.get_name());
    if command.get_name() == "help" {
        return;
    }
    let depth = "#".repeat(name.split(' ').count().min(4));
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    write!(page, "\n{depth} {name}\n\n{}.\n", about.trim_end_matches('.')).expect("a text takes all");
    let words: Vec<String> = command
        .get_positionals()
        .filter(|arg| !arg.is_hide_set())
        .map(|arg| {
            let name =
                arg.get_value_names().and_then(|names| names.first()).map_or("WORD", |name| name.as_str());
            format!("`{name}`: {}", arg.get_help().map(ToString::to_string).unwrap_or_default())
        })
        .collect();
    if !words.is_empty() {
        write!(page, "\n{}.\n", words.join("; ")).expect("a text takes all");
    }
    let is_own = |arg: &Arg| !SHARED.iter().any(|heading| arg.get_help_heading() == Some(*heading));
    let mut own = String::new();
    flags(&mut own, command, is_own);
    if !own.is_empty() {
        *page += &format!("\n{own}");
    }
    if let Some(after) = command.get_after_help() {
        examples(page, &after.to_string());
    }
    command
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
        .for_each(|below| describe(page, below, &name));
}

/// A table of the flags that count.
fn flags(page: &mut String, command: &Command, counts: impl Fn(&Arg) -> bool) {
    let named = command.get_arguments().filter(|arg| !arg.is_hide_set() && counts(arg));
    let rows = named.filter_map(|arg| {
        let name = arg.get_long().filter(|name| !matches!(*name, "help" | "version"))?;
        let takes = arg.get_action().takes_values();
        let value = arg.get_value_names().filter(|_| takes).and_then(|names| names.first());
        let value = value.map_or_else(String::new, |value| format!("={value}"));
        let default: Vec<_> = arg.get_default_values().iter().map(|text| text.to_string_lossy()).collect();
        let default = match default.join(",") {
            text if text.is_empty() || !takes => String::new(),
            text => format!(" (`{text}`)"),
        };
        let does = arg.get_help().map(ToString::to_string).unwrap_or_default().replace('|', "\\|");
        Some(format!("| `-{name}{value}` | {does}{default} |\n"))
    });
    let rows: String = rows.collect();
    if !rows.is_empty() {
        *page += "| Flag | Does |\n| --- | --- |\n";
        *page += &rows;
    }
}

/// What stands below a command's help: its examples as a block, the rest as words.
fn examples(page: &mut String, text: &str) {
    for part in text.split("\n\n") {
        let lines: Vec<&str> = part.lines().collect();
        match lines.split_first() {
            Some((head, rest)) if !rest.is_empty() && rest.iter().all(|line| line.starts_with("  ")) => {
                let body: Vec<&str> = rest.iter().map(|line| line.get(2..).unwrap_or_default()).collect();
                write!(page, "\n{head}\n\n```sh\n{}\n```\n", body.join("\n")).expect("a text takes all");
            }
            _ => write!(page, "\n{}\n", lines.join("\n")).expect("a text takes all"),
        }
    }
}

#[test]
fn the_page_is_what_the_tree_gives() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/commands.md");
    if std::env::var_os("RYO_WRITE_DOCS").is_some() {
        fs::write(&path, page()).expect("docs can be written");
    }
    let how = "write the page with RYO_WRITE_DOCS=1 cargo test -p ryo --bin ryo reference";
    assert!(fs::read_to_string(&path).unwrap_or_default() == page(), "{how}");
}

/// Who reads about a command wants to see one.
#[test]
fn every_command_has_an_example() {
    let mut tree = Tree::command();
    tree.build();
    let mut without = Vec::new();
    leaves(&tree, "ryo", &mut |name, command| {
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        if !after.contains("Example") {
            without.push(name.to_owned());
        }
    });
    // These are answered before the tree is read, or have their help from elsewhere.
    without.retain(|name| {
        !matches!(
            &**name,
            "ryo agent"
                | "ryo template"
                | "ryo connect"
                | "ryo peering"
                | "ryo resource"
                | "ryo troubleshoot"
        )
    });
    assert!(without.is_empty(), "no example: {without:?}");
}

fn leaves(command: &Command, name: &str, note: &mut impl FnMut(&str, &Command)) {
    let mut below = command
        .get_subcommands()
        .filter(|below| !below.is_hide_set() && below.get_name() != "help")
        .peekable();
    if below.peek().is_none() {
        note(name, command);
    }
    below.for_each(|command| leaves(command, &format!("{name} {}", command.get_name()), note));
}
