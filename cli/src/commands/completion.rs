//! `completion` and `man`: what a shell and `man` know of the commands, made from the tree of commands itself.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

use clap::{Args, Command, CommandFactory as _};
use clap_complete::Shell;
use daemon::Exit;

use crate::{
    client::system_words,
    output::{failure, line},
    program::Tree,
};

/// Print what a shell needs to complete the commands
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  ryo completion bash > /etc/bash_completion.d/ryo\n  \
    ryo completion fish > ~/.config/fish/completions/ryo.fish\n\nExit codes: 0 printed, 1 no such shell")]
pub(crate) struct Completion {
    /// bash, zsh or fish
    #[arg(value_name = "SHELL")]
    words: Vec<String>,
}

impl Completion {
    pub(crate) fn run(self) -> Exit {
        let shell = match self.words.as_slice() {
            [shell] => match shell.as_str() {
                "bash" => Shell::Bash,
                "zsh" => Shell::Zsh,
                "fish" => Shell::Fish,
                other => return failure(format!("no completion for {other}: there are bash, zsh and fish")),
            },
            _ => return failure("name one shell: bash, zsh or fish"),
        };
        line(script(shell).trim_ascii_end());
        Exit::Success
    }
}

fn script(shell: Shell) -> Vec<u8> {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Tree::command(), "ryo", &mut out);
    out
}

/// Answers `consul -autocomplete-install` and `-autocomplete-uninstall`, which write into the user's shell files there.
pub(crate) fn autocomplete(words: &[String]) -> Option<Exit> {
    let (file, shell) = (".bash_completion", Shell::Bash);
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let path = || home.clone().map(|home| home.join(file)).ok_or_else(|| "HOME is not set".to_owned());
    let marked = |text: &str| format!("{START}\n{text}{END}\n");
    let done = match words.first()?.trim_start_matches('-') {
        "autocomplete-install" => path().and_then(|path| {
            let script = String::from_utf8_lossy(&script(shell)).replace("ryo", "consul");
            rewrite(&path, |text| without(text) + &marked(&script))
        }),
        "autocomplete-uninstall" => path().and_then(|path| rewrite(&path, without)),
        _ => return None,
    };
    Some(done.map_or_else(failure, |()| Exit::Success))
}

/// Where our part of a file begins.
const START: &str = "# begin of the commands' completion";
/// Where it ends.
const END: &str = "# end of the commands' completion";

fn rewrite(path: &Path, change: impl Fn(&str) -> String) -> Result<(), String> {
    let wrong = |e: &io::Error| format!("{}: {}", path.display(), system_words(e));
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(wrong(&e)),
    };
    fs::write(path, change(&text)).map_err(|e| wrong(&e))
}

/// The text without our part.
fn without(text: &str) -> String {
    match (text.split_once(START), text.split_once(END)) {
        (Some((before, _)), Some((_, after))) => before.to_owned() + after.trim_start_matches('\n'),
        _ => text.to_owned(),
    }
}

/// Write the manual's pages into a folder
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  ryo man /usr/local/share/man/man1\n\nExit codes: 0 written, 1 it cannot be written"
)]
pub(crate) struct Man {
    /// The folder; it is made when it is not there
    #[arg(value_name = "FOLDER")]
    words: Vec<String>,
}

impl Man {
    pub(crate) fn run(self) -> Exit {
        let [folder] = self.words.as_slice() else { return failure("name one folder for the pages") };
        let folder = Path::new(folder);
        let written = fs::create_dir_all(folder).and_then(|()| {
            let mut tree = Tree::command();
            tree.build();
            pages(&tree, "ryo", folder)
        });
        match written {
            Ok(count) => {
                line(format!("{count} pages in {}", folder.display()));
                Exit::Success
            }
            Err(e) => failure(format!("{}: {}", folder.display(), system_words(&e))),
        }
    }
}

/// A page for a command, and for each below it; how many.
fn pages(command: &Command, name: &str, folder: &Path) -> io::Result<usize> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).title(name.to_uppercase()).render(&mut page)?;
    fs::File::create(folder.join(format!("{name}.1")))?.write_all(&page)?;
    let mut count = 1;
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        count += pages(below, &format!("{name}-{}", below.get_name()), folder)?;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use clap_complete::Shell;

    use super::{END, START, script, without};

    #[test]
    fn shells_know_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let text = String::from_utf8(script(shell)).expect("scripts are text");
            assert!(text.contains("force-leave") && text.contains("http-addr"), "{shell}");
        }
    }

    #[test]
    fn only_our_part_of_a_file_goes() {
        let text = format!("a\n{START}\nours\n{END}\nb\n");
        assert_eq!(without(&text), "a\nb\n");
        assert_eq!(without("a\n"), "a\n");
    }
}
