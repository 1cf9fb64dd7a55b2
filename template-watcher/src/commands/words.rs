//! Flags and other words of a command, in any order; one dash means the same as two.

use super::Failed;

/// A command line taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    flags: Vec<(String, String)>,
    /// What is no flag.
    pub(super) rest: Vec<String>,
    /// Help was asked for.
    pub(super) help: bool,
}

impl Words {
    /// Takes words apart: `valued` flags take a value, `switches` none.
    pub(super) fn read(words: &[String], valued: &[&str], switches: &[&str]) -> Result<Self, Failed> {
        let mut read = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let body = match word.strip_prefix('-') {
                Some("-") => {
                    read.rest.extend(words.cloned());
                    break;
                }
                Some(body) if !body.is_empty() => body.strip_prefix('-').unwrap_or(body),
                _ => {
                    read.rest.push(word.clone());
                    continue;
                }
            };
            let (name, value) =
                body.split_once('=').map_or((body, None), |(name, value)| (name, Some(value.to_owned())));
            if name == "h" || name == "help" {
                read.help = true;
            } else if switches.contains(&name) {
                read.flags.push((name.to_owned(), value.unwrap_or_else(|| "true".to_owned())));
            } else if valued.contains(&name) {
                let value = value.or_else(|| words.next().cloned());
                let value = value.ok_or_else(|| Failed::flags(format!("flag needs an argument: -{name}")))?;
                read.flags.push((name.to_owned(), value));
            } else {
                return Err(Failed::flags(format!("flag provided but not defined: -{name}")));
            }
        }
        Ok(read)
    }

    /// The last value of a flag.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.values(name).last()
    }

    /// All values of a flag.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.flags.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether a switch is on.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| !matches!(value, "false" | "0"))
    }

    /// The flags of these names as words again, for whoever reads them next.
    pub(super) fn again(&self, names: &[&str]) -> Vec<String> {
        let wanted = self.flags.iter().filter(|(name, _)| names.contains(&name.as_str()));
        wanted.map(|(name, value)| format!("-{name}={value}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Words, Failed> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Words::read(&words, &["data", "config"], &["diff"])
    }

    #[test]
    fn flags_stand_anywhere() {
        let words = read("a -data x --config=y b -diff -config z -- -c").unwrap();
        assert_eq!(words.rest, ["a", "b", "-c"]);
        assert_eq!(words.value("data"), Some("x"));
        assert_eq!(words.values("config").collect::<Vec<_>>(), ["y", "z"]);
        assert!(words.is_on("diff") && !words.help);
        assert_eq!(words.again(&["config"]), ["-config=y", "-config=z"]);
        assert!(!read("-diff=false").unwrap().is_on("diff"));
        assert!(read("-h").unwrap().help);
    }

    #[test]
    fn wrong_flags_are_named() {
        assert_eq!(read("-nope"), Err(Failed::flags("flag provided but not defined: -nope")));
        assert_eq!(read("-data"), Err(Failed::flags("flag needs an argument: -data")));
    }
}
