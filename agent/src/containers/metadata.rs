//! What a container says of itself: `SERVICE_…` in its labels and its environment.

use std::collections::BTreeMap;

const PREFIX: &str = "SERVICE_";

/// The metadata that counts for one port: names in lower case, without the prefix and the port.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Metadata(BTreeMap<String, Said>);

#[derive(Debug, PartialEq, Eq)]
struct Said {
    text: String,
    /// Whether it was said for this port alone.
    of_port: bool,
}

impl Metadata {
    /// Reads labels and environment (`NAME=text`); the environment wins over a label of the same name, and what is said
    /// for the port (`SERVICE_80_NAME`) over what is said for all (`SERVICE_NAME`).
    pub(super) fn of_port(labels: &BTreeMap<String, String>, environment: &[String], port: u16) -> Self {
        let mut all: BTreeMap<&str, &str> =
            labels.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        all.extend(environment.iter().filter_map(|line| line.split_once('=')));
        let mut said = BTreeMap::new();
        for (name, text) in all {
            let Some(name) = name.strip_prefix(PREFIX) else { continue };
            let name = name.to_ascii_lowercase();
            let (name, of_port) = match name.split_once('_') {
                Some((number, rest)) if number.bytes().all(|b| b.is_ascii_digit()) && !number.is_empty() => {
                    if number.parse() != Ok(port) {
                        continue;
                    }
                    (rest.to_owned(), true)
                }
                _ => (name, false),
            };
            let beaten = said.get(&name).is_some_and(|other: &Said| other.of_port && !of_port);
            if !beaten {
                said.insert(name, Said { text: text.to_owned(), of_port });
            }
        }
        Self(said)
    }

    /// The text of a name; an empty one counts as not said.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|said| said.text.as_str()).filter(|text| !text.is_empty())
    }

    /// Whether the name was said for this port alone.
    pub(super) fn is_of_port(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|said| said.of_port)
    }

    /// Everything that has no meaning of its own.
    pub(super) fn others(&self) -> impl Iterator<Item = (&str, &str)> {
        let known =
            |name: &str| matches!(name, "name" | "id" | "tags" | "ignore") || name.starts_with("check_");
        self.0
            .iter()
            .filter(move |(name, _)| !known(name))
            .map(|(name, said)| (name.as_str(), said.text.as_str()))
    }
}

/// `a,b\,c` is `a` and `b,c`; empty ones are left out.
pub(super) fn tags(text: &str) -> Vec<String> {
    let (mut tags, mut tag, mut letters) = (Vec::new(), String::new(), text.chars().peekable());
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if letters.peek() == Some(&',') => tag.extend(letters.next()),
            ',' => tags.push(std::mem::take(&mut tag)),
            other => tag.push(other),
        }
    }
    tags.push(tag);
    tags.retain(|tag| !tag.is_empty());
    tags
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(labels: &[(&str, &str)], environment: &[&str], port: u16) -> Metadata {
        let labels = labels.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let environment: Vec<String> = environment.iter().map(|line| (*line).to_owned()).collect();
        Metadata::of_port(&labels, &environment, port)
    }

    #[test]
    fn the_port_wins_over_all_and_the_environment_over_labels() {
        let labels = [("SERVICE_NAME", "label"), ("SERVICE_80_REGION", "eu"), ("other", "x")];
        let found = metadata(
            &labels,
            &["SERVICE_NAME=env", "SERVICE_80_NAME=web", "PATH=/bin", "SERVICE_443_NAME=tls"],
            80,
        );
        assert_eq!(found.get("name"), Some("web"));
        assert!(found.is_of_port("name"));
        assert_eq!(found.others().collect::<Vec<_>>(), [("region", "eu")]);
        let found = metadata(&labels, &["SERVICE_NAME=env"], 443);
        assert_eq!((found.get("name"), found.is_of_port("name")), (Some("env"), false));
    }

    #[test]
    fn names_that_only_begin_like_a_port_are_names() {
        let found = metadata(&[], &["SERVICE_80=x", "SERVICE_2ND_NAME=y", "SERVICE_=z", "SERVICE__A=b"], 80);
        let others: Vec<_> = found.others().collect();
        assert_eq!(others, [("", "z"), ("2nd_name", "y"), ("80", "x"), ("_a", "b")]);
    }

    #[test]
    fn a_comma_can_be_part_of_a_tag() {
        assert_eq!(tags("master,backups"), ["master", "backups"]);
        assert_eq!(tags(r",a\,b,,c\"), ["a,b", r"c\"]);
        assert!(tags("").is_empty());
    }
}
