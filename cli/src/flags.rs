//! Command lines as Consul's users write them, read by clap.
//!
//! Consul uses Go's `flag` package: one dash or two, `-name=value` or `-name value`, `-bool=false`, and no flag after the
//! first positional word. clap describes the commands and checks the values; what it would do differently is put right here.

use std::{convert::Infallible, error::Error as _, num::IntErrorKind, path::PathBuf};

use clap::{
    ArgAction, Command,
    error::{ContextKind, ContextValue, ErrorKind},
};
use daemon::{Exit, args::go_style};
use registry_wire::duration;

/// Why a command line is not run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Help was asked for: print this on standard output and end well.
    Help(String),
    /// No command, or one that does not exist: print the list of commands on standard error.
    NoCommand(String, Exit),
    /// A flag is wrong: print this, then the usage, on standard error.
    BadFlag(String),
}

/// The usage comes first, as in Consul: scripts look for the line.
const HELP: &str = "{usage-heading} {usage}\n\n{before-help}{about-with-newline}\n{all-args}{after-help}";

/// Makes the whole tree accept what Go's flags accept: every boolean may be given a value, and every flag may come twice.
pub(crate) fn relax(command: Command) -> Command {
    let command =
        command.disable_version_flag(true).disable_help_subcommand(true).help_template(HELP).mut_args(
            |arg| {
                if !matches!(arg.get_action(), ArgAction::SetTrue) {
                    return if arg.is_positional() { arg } else { arg.allow_hyphen_values(true) };
                }
                arg.action(ArgAction::Set)
                    .num_args(0..=1)
                    .require_equals(true)
                    .default_missing_value("true")
                    .default_value("false")
                    .hide_default_value(true)
                    .hide_possible_values(true)
                    .value_parser(go_bool)
            },
        );
    // Of a flag that is given twice the last one counts, unless it is one that collects.
    command.args_override_self(true).mut_subcommands(relax)
}

/// The flag that ryo has and Consul has not.
const OURS: &str = "json";

/// Makes the whole tree look as Consul's: without the flag that is ours.
pub(crate) fn as_consul(command: Command) -> Command {
    let command = command.mut_args(|arg| if arg.get_id() == OURS { arg.hide(true) } else { arg });
    command.mut_subcommands(as_consul)
}

/// A flag's value of the form `name=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    /// What stands before the first `=`.
    pub(crate) name: String,
    /// All behind it.
    pub(crate) value: String,
}

/// Why a flag's value is refused, in the words to print.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refused(String);

/// Why a flag's value is no boolean.
#[derive(Debug, thiserror::Error)]
#[error("parse error")]
pub(crate) struct NoBoolean;

/// Reads `name=value`.
pub(crate) fn pair(text: &str) -> Result<Pair, Refused> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| Refused(format!("Missing \"=\" value in argument: {text}")))?;
    Ok(Pair { name: name.into(), value: value.into() })
}

/// A boolean as Go's `strconv.ParseBool` reads it.
pub(crate) fn go_bool(text: &str) -> Result<bool, NoBoolean> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(NoBoolean),
    }
}

/// Why a flag's value is no number.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoNumber {
    /// There is something else than digits in it.
    #[error("parse error")]
    Digits,
    /// It is larger than 64 bits hold.
    #[error("value out of range")]
    Range,
}

/// A number without a sign as Go's flags read it: `0x1f`, `0b11`, `017` and `1_000` are numbers too.
pub(crate) fn go_uint(text: &str) -> Result<u64, NoNumber> {
    let lower = text.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, &*lower),
    };
    // One may stand between digits, and between them and what says their base.
    let digits = if radix == 10 { digits } else { digits.strip_prefix('_').unwrap_or(digits) };
    if digits.starts_with(['_', '+']) || digits.ends_with('_') || digits.contains("__") {
        return Err(NoNumber::Digits);
    }
    u64::from_str_radix(&digits.replace('_', ""), radix).map_err(|e| match e.kind() {
        IntErrorKind::PosOverflow => NoNumber::Range,
        _ => NoNumber::Digits,
    })
}

/// A number with or without a sign as Go's flags read it.
pub(crate) fn go_int(text: &str) -> Result<i64, NoNumber> {
    let (minus, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let size = i128::from(go_uint(digits)?);
    i64::try_from(if minus { -size } else { size }).map_err(|_| NoNumber::Range)
}

/// A file's name; an empty one too, which says that there is none.
pub(crate) fn path(text: &str) -> Result<PathBuf, Infallible> {
    Ok(text.into())
}

/// A number, refused in the words of Go's `strconv`.
pub(crate) fn go_number(text: &str) -> Result<u64, Refused> {
    text.parse().map_err(|_| Refused(format!("strconv.ParseUint: parsing {text:?}: invalid syntax")))
}

/// A duration as it is written, refused in the words of Go's `time`.
pub(crate) fn go_duration(text: &str) -> Result<String, Refused> {
    match duration::parse_nanos(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(why) => Err(Refused(why.to_string())),
    }
}

/// Rewrites the words after the program's name so that clap reads them as Go would.
///
/// `root` is the tree of commands, already [`relax`]ed. Errors when no command is named, or one that does not exist.
pub(crate) fn rewrite(root: &Command, words: Vec<String>) -> Result<Vec<String>, Refusal> {
    let (mut command, mut out) = (root, Vec::new());
    // Wherever it stands: what else is said does not count.
    let asks_help = words.iter().take_while(|word| *word != "--").any(|word| is_help(word));
    let mut words = words.into_iter().peekable();
    while command.has_subcommands() {
        let help = || command.clone().render_help().to_string();
        match words.next().as_deref() {
            Some(word) if is_help(word) => return Err(Refusal::Help(help())),
            Some(word) if command.find_subcommand(word).is_some() => {
                command = command.find_subcommand(word).expect("the guard found it");
                out.push(word.to_owned());
            }
            _ if asks_help && !out.is_empty() => return Err(Refusal::Help(help())),
            _ if out.is_empty() => return Err(Refusal::NoCommand(help(), Exit::UnknownCommand)),
            _ => return Err(Refusal::NoCommand(help(), Exit::Failure)),
        }
    }
    if asks_help {
        return Err(Refusal::Help(command.clone().render_help().to_string()));
    }
    let takes_value = |name: &str| takes_value(command, name);
    let rest = go_style(words, takes_value);
    let flags = flag_words(&rest, takes_value)?;
    out.extend_from_slice(&rest[..flags]);
    // What follows is positional, even when it begins with a dash.
    if rest.get(flags).is_some_and(|word| word != "--") {
        out.push("--".into());
    }
    out.extend_from_slice(&rest[flags..]);
    Ok(out)
}

fn is_help(word: &str) -> bool {
    matches!(word, "-h" | "-help" | "--help")
}

fn takes_value(command: &Command, name: &str) -> Option<bool> {
    let named = |arg: &&clap::Arg| {
        arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|names| names.contains(&name))
    };
    let arg = command.get_arguments().find(named).filter(|arg| name != OURS || !arg.is_hide_set())?;
    Some(arg.get_num_args().is_none_or(|count| count.min_values() > 0) && arg.get_action().takes_values())
}

/// How many of these words are flags and their values. Errors with the first flag that is not known.
fn flag_words(words: &[String], takes_value: impl Fn(&str) -> Option<bool>) -> Result<usize, Refusal> {
    let mut at = 0;
    while let Some(word) =
        words.get(at).filter(|word| word.starts_with('-') && !matches!(word.as_str(), "-" | "--"))
    {
        let flag = word.trim_start_matches('-');
        let (name, has_value) = flag.split_once('=').map_or((flag, false), |(name, _)| (name, true));
        if name.is_empty() || word.starts_with("---") {
            return Err(Refusal::BadFlag(format!("bad flag syntax: {word}")));
        }
        let takes_next = match takes_value(name) {
            None => return Err(Refusal::BadFlag(format!("flag provided but not defined: -{name}"))),
            Some(takes) => takes && !has_value,
        };
        if takes_next && at + 1 == words.len() {
            return Err(Refusal::BadFlag(format!("flag needs an argument: -{name}")));
        }
        at += if takes_next { 2 } else { 1 };
    }
    Ok(at.min(words.len()))
}

/// Says in Go's words what clap found wrong.
pub(crate) fn explain(error: &clap::Error) -> Refusal {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        _ => String::new(),
    };
    let flag = || {
        let arg = text(ContextKind::InvalidArg);
        let name = arg.split([' ', '=', '[']).next().unwrap_or_default();
        format!("-{}", name.trim_start_matches('-'))
    };
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Refusal::Help(error.render().to_string())
        }
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => {
            let (value, flag) = (text(ContextKind::InvalidValue), flag());
            let why = error.source();
            Refusal::BadFlag(match why.and_then(|why| why.downcast_ref::<Refused>()) {
                Some(why) => format!("invalid value {value:?} for flag {flag}: {why}"),
                None if flag == "-stale" => {
                    // This one is no flag of Go's own kind, and says more.
                    let why = format!("strconv.ParseBool: parsing {value:?}: invalid syntax");
                    format!("invalid boolean value {value:?} for {flag}: {why}")
                }
                None if why.is_some_and(<dyn std::error::Error>::is::<NoBoolean>) => {
                    format!("invalid boolean value {value:?} for {flag}: parse error")
                }
                None => {
                    let why = why.and_then(|why| why.downcast_ref()).unwrap_or(&NoNumber::Digits);
                    format!("invalid value {value:?} for flag {flag}: {why}")
                }
            })
        }
        _ => Refusal::BadFlag(error.render().to_string().trim_end().trim_start_matches("error: ").to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, FromArgMatches as _, Parser};

    use super::{NoNumber, Refusal, explain, go_int, go_uint, relax, rewrite};

    #[derive(Debug, Parser)]
    #[command(name = "t")]
    enum Tool {
        Put {
            #[arg(long)]
            cas: bool,
            #[arg(long, default_value_t = 0, value_parser = super::go_uint)]
            flags: u64,
            words: Vec<String>,
        },
        Kv {
            #[command(subcommand)]
            verb: Verb,
        },
    }

    #[derive(Debug, clap::Subcommand)]
    enum Verb {
        Get,
    }

    fn read(line: &str) -> Result<Tool, Refusal> {
        let mut root = relax(Tool::command());
        root.build();
        let mut words = vec!["t".to_owned()];
        words.extend(rewrite(&root, line.split_whitespace().map(String::from).collect())?);
        let matches = root.try_get_matches_from(words).map_err(|e| explain(&e))?;
        Tool::from_arg_matches(&matches).map_err(|e| explain(&e))
    }

    fn put(line: &str) -> (bool, u64, Vec<String>) {
        match read(line) {
            Ok(Tool::Put { cas, flags, words }) => (cas, flags, words),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn flags_end_at_the_first_positional_word() {
        assert_eq!(put("put -cas -flags 3 key -5"), (true, 3, vec!["key".into(), "-5".into()]));
        assert_eq!(put("put key x -flags=3"), (false, 0, vec!["key".into(), "x".into(), "-flags=3".into()]));
        assert_eq!(put("put --cas=false -- -cas"), (false, 0, vec!["-cas".into()]));
    }

    #[test]
    fn wrong_flags_are_told_in_gos_words() {
        let refused = |line| match read(line) {
            Err(Refusal::BadFlag(text)) => text,
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(refused("put -nosuch a"), "flag provided but not defined: -nosuch");
        assert_eq!(refused("put -flags=-1 a"), "invalid value \"-1\" for flag -flags: parse error");
        assert_eq!(refused("put -cas=x a"), "invalid boolean value \"x\" for -cas: parse error");
        assert_eq!(refused("put ---cas a"), "bad flag syntax: ---cas");
        assert_eq!(refused("put -=x a"), "bad flag syntax: -=x");
        assert_eq!(refused("put -flags= a"), "invalid value \"\" for flag -flags: parse error");
        assert_eq!(
            refused("put -flags=99999999999999999999"),
            "invalid value \"99999999999999999999\" for flag -flags: value out of range"
        );
        assert_eq!(refused("put -flags"), "flag needs an argument: -flags");
    }

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        for (text, number) in [
            ("0", 0),
            ("10", 10),
            ("0x1F", 31),
            ("0b11", 3),
            ("0o17", 15),
            ("017", 15),
            ("0_17", 15),
            ("0x_1f", 31),
            ("1_000", 1000),
        ] {
            assert_eq!(go_uint(text), Ok(number), "{text}");
        }
        for text in ["", "+1", "-1", " 1", "1.5", "08", "0x", "_1", "1_", "1__0", "0x__1", "0x+1"] {
            assert_eq!(go_uint(text), Err(NoNumber::Digits), "{text}");
        }
        assert_eq!((go_int("-0x10"), go_int("+5"), go_int("--5")), (Ok(-16), Ok(5), Err(NoNumber::Digits)));
        assert_eq!(go_int("9223372036854775808"), Err(NoNumber::Range));
        assert_eq!(go_int("-9223372036854775808"), Ok(i64::MIN));
    }

    #[test]
    fn a_missing_command_gets_the_list() {
        assert!(
            matches!(read(""), Err(Refusal::NoCommand(text, daemon::Exit::UnknownCommand)) if text.contains("put"))
        );
        assert!(
            matches!(read("kv nosuch"), Err(Refusal::NoCommand(text, daemon::Exit::Failure)) if text.contains("get"))
        );
        assert!(matches!(read("kv -h"), Err(Refusal::Help(text)) if text.contains("get")));
        assert!(matches!(read("put a b -help"), Err(Refusal::Help(text)) if text.contains("Usage: t put")));
        assert!(matches!(read("kv nosuch -h"), Err(Refusal::Help(text)) if text.contains("get")));
        assert_eq!(put("put -- -h"), (false, 0, vec!["-h".into()]));
        assert!(matches!(read("put -h"), Err(Refusal::Help(text)) if text.contains("Usage: t put")));
        assert!(matches!(read("kv get"), Ok(Tool::Kv { verb: Verb::Get })));
    }
}
