//! Semantic versions.

use std::sync::Arc;

use go_template::{Object, Signature, Type, Value};

use super::TWO_TEXTS_TO_BOOL;
use crate::functions::{Row, string};

const TYPE: &str = "*semver.Version";
const VERSION: Type = Type::Object(TYPE);

pub(in crate::functions) const ROWS: &[Row] = &[
    Row::pure(
        "sprig_semver",
        Signature::new(&[Type::Str], VERSION),
        "A version: Major, Minor, Patch, Prerelease, Metadata, Original.",
        |_, a| Version::read(&string(&a[0])).map(|version| Value::Object(Arc::new(version))),
    )
.example(r#"{{ with sprig_semver "1.2.3-rc.1" }}{{ .Major }} {{ .Minor }} {{ .Patch }} {{ .Prerelease }}{{ end }}"#, "1 2 3 rc.1"),
    Row::pure(
        "sprig_semverCompare",
        TWO_TEXTS_TO_BOOL,
        "`CONSTRAINT VERSION`: whether the version meets `>=1.2`, `~1.2`, `^1`, `1.x`, `1.2 - 1.4`, with `,` for and, `||` for or.",
        |_, a| {
            let alternatives = constraints(&string(&a[0]))?;
            let version = Version::read(&string(&a[1]))?;
            let is_met = alternatives.iter().any(|all| all.iter().all(|one| one.is_met_by(&version)));
            Ok(Value::Bool(is_met))
        },
    )
.example(r#"{{ sprig_semverCompare "^1.2" "1.4.0" }}"#, "true"),
];

struct Version {
    numbers: [u64; 3],
    prerelease: String,
    metadata: String,
    written: String,
}

impl Version {
    /// Reads a version, of which the last two numbers may be missing, as `v1.2-rc.1+build5`.
    fn read(text: &str) -> Result<Self, String> {
        let invalid = || "Invalid Semantic Version".to_owned();
        let (body, prerelease, metadata) = parts(text).ok_or_else(invalid)?;
        let mut numbers = [0; 3];
        let written: Vec<&str> = body.split('.').collect();
        if written.len() > 3 || !written.iter().all(|part| is_number(part)) {
            return Err(invalid());
        }
        if prerelease.split('.').any(|part| part.len() > 1 && part.starts_with('0') && is_number(part)) {
            return Err("Version segment starts with 0".to_owned());
        }
        for (number, part) in numbers.iter_mut().zip(&written) {
            *number = part.parse().map_err(|_| invalid())?;
        }
        Ok(Version {
            numbers,
            prerelease: prerelease.to_owned(),
            metadata: metadata.to_owned(),
            written: text.to_owned(),
        })
    }

    /// The version that a value is.
    fn of(value: &Value) -> Result<Self, String> {
        match value {
            Value::Object(object) => Version::read(&object.text().unwrap_or_default()),
            _ => Err("runtime error: invalid memory address or nil pointer dereference".to_owned()),
        }
    }

    fn next(numbers: [u64; 3]) -> Value {
        let [major, minor, patch] = numbers;
        let written = format!("{major}.{minor}.{patch}");
        let (prerelease, metadata) = (String::new(), String::new());
        Value::Object(Arc::new(Version { numbers, prerelease, metadata, written }))
    }

    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| {
            match (self.prerelease.as_str(), other.prerelease.as_str()) {
                ("", "") => std::cmp::Ordering::Equal,
                ("", _) => std::cmp::Ordering::Greater,
                (_, "") => std::cmp::Ordering::Less,
                (a, b) => identifiers(a).cmp(&identifiers(b)),
            }
        })
    }
}

/// The numbers, the prerelease and the metadata of a written version; none when an identifier is not made of what it may be.
fn parts(text: &str) -> Option<(&str, &str, &str)> {
    let identifiers = |text: &str| {
        text.split('.')
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
    };
    let (rest, metadata) = match text.split_once('+') {
        Some((rest, metadata)) => (rest, identifiers(metadata).then_some(metadata)?),
        None => (text, ""),
    };
    let (numbers, prerelease) = match rest.split_once('-') {
        Some((numbers, prerelease)) => (numbers, identifiers(prerelease).then_some(prerelease)?),
        None => (rest, ""),
    };
    Some((numbers.strip_prefix('v').unwrap_or(numbers), prerelease, metadata))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// The parts of a prerelease in the order of the specification: numbers by size, before texts.
fn identifiers(prerelease: &str) -> Vec<(bool, u64, &str)> {
    prerelease
        .split('.')
        .map(|part| part.parse().map_or((true, 0, part), |number| (false, number, "")))
        .collect()
}

impl Object for Version {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn method(&self, name: &str) -> Option<Signature> {
        match name {
            "Major" | "Minor" | "Patch" => Some(Signature::new(&[], Type::UINT64)),
            "Prerelease" | "Metadata" | "Original" | "String" => Some(Signature::new(&[], Type::Str)),
            "Compare" => Some(Signature::new(&[VERSION], Type::INT)),
            "LessThan" | "LessThanEqual" | "GreaterThan" | "GreaterThanEqual" | "Equal" => {
                Some(Signature::new(&[VERSION], Type::Bool))
            }
            "IncMajor" | "IncMinor" | "IncPatch" => Some(Signature::new(&[], VERSION)),
            _ => None,
        }
    }

    fn call(&self, name: &str, args: Vec<Value>) -> Result<Value, String> {
        if let [other] = args.as_slice() {
            let order = self.cmp(&Version::of(other)?);
            return Ok(match name {
                "Compare" => Value::int(order as i64),
                "LessThan" => Value::Bool(order.is_lt()),
                "LessThanEqual" => Value::Bool(order.is_le()),
                "GreaterThan" => Value::Bool(order.is_gt()),
                "GreaterThanEqual" => Value::Bool(order.is_ge()),
                _ => Value::Bool(order.is_eq()),
            });
        }
        let [major, minor, patch] = self.numbers;
        Ok(match name {
            "IncMajor" => Version::next([major.saturating_add(1), 0, 0]),
            "IncMinor" => Version::next([major, minor.saturating_add(1), 0]),
            // A prerelease comes before the version itself.
            "IncPatch" if self.prerelease.is_empty() => {
                Version::next([major, minor, patch.saturating_add(1)])
            }
            "IncPatch" => Version::next(self.numbers),
            "Major" => Value::uint(self.numbers[0]),
            "Minor" => Value::uint(self.numbers[1]),
            "Patch" => Value::uint(self.numbers[2]),
            "Prerelease" => Value::from(self.prerelease.as_str()),
            "Metadata" => Value::from(self.metadata.as_str()),
            "Original" => Value::from(self.written.as_str()),
            _ => Value::from(self.text().unwrap_or_default()),
        })
    }

    fn syntax(&self) -> Option<String> {
        let [major, minor, patch] = self.numbers.map(|number| format!("{number:#x}"));
        let quoted = |text: &str| go_template::fmt::quoted(text.as_bytes());
        let (pre, metadata, original) =
            (quoted(&self.prerelease), quoted(&self.metadata), quoted(&self.written));
        Some(format!(
            "&semver.Version{{major:{major}, minor:{minor}, patch:{patch}, pre:{pre}, metadata:{metadata}, original:{original}}}"
        ))
    }

    fn text(&self) -> Option<String> {
        let [major, minor, patch] = self.numbers;
        let mut text = format!("{major}.{minor}.{patch}");
        if !self.prerelease.is_empty() {
            text = format!("{text}-{}", self.prerelease);
        }
        if !self.metadata.is_empty() {
            text = format!("{text}+{}", self.metadata);
        }
        Some(text)
    }
}

/// What a version is compared with, and how.
struct Constraint {
    operator: String,
    version: Version,
    /// How many of the numbers were written, up to a wildcard.
    given: usize,
}

/// Reads alternatives of constraints that all must be met.
fn constraints(text: &str) -> Result<Vec<Vec<Constraint>>, String> {
    let improper = |alternative: &str| format!("improper constraint: {alternative}");
    text.split("||").map(|one| all_of(one).ok_or_else(|| improper(one))).collect()
}

fn all_of(alternative: &str) -> Option<Vec<Constraint>> {
    let mut all = Vec::new();
    for part in alternative.split(',') {
        let mut words = part.split_whitespace().peekable();
        words.peek()?;
        while let Some(word) = words.next() {
            let mut written = word.to_owned();
            if word.chars().all(is_operator) {
                written += words.next()?;
            }
            if words.next_if(|next| *next == "-").is_some() {
                all.push(Constraint::read(&format!(">={written}"))?);
                written = format!("<={}", words.next()?);
            }
            all.push(Constraint::read(&written)?);
        }
    }
    Some(all)
}

fn is_operator(c: char) -> bool {
    "=<>!~^".contains(c)
}

impl Constraint {
    fn read(text: &str) -> Option<Self> {
        let (operator, wanted) = text.split_at(text.find(|c| !is_operator(c)).unwrap_or(text.len()));
        let operator = match operator {
            "=>" => ">=",
            "=<" => "<=",
            "~>" => "~",
            "" | "=" | "!=" | ">" | "<" | ">=" | "<=" | "~" | "^" => operator,
            _ => return None,
        };
        let (numbers, prerelease, _) = parts(wanted)?;
        let numbers: Vec<&str> = numbers.split('.').collect();
        let is_wild = |part: &&str| matches!(*part, "x" | "X" | "*");
        if numbers.len() > 3 || !numbers.iter().all(|part| is_wild(part) || is_number(part)) {
            return None;
        }
        let given = numbers.iter().take_while(|part| !is_wild(part)).count();
        let written = if given == 0 { "0".to_owned() } else { numbers[..given].join(".") };
        let version = Version { prerelease: prerelease.to_owned(), ..Version::read(&written).ok()? };
        Some(Constraint { operator: operator.to_owned(), version, given })
    }

    fn is_met_by(&self, version: &Version) -> bool {
        let wanted = &self.version;
        if !version.prerelease.is_empty() && wanted.prerelease.is_empty() {
            return self.operator == "!=" && (self.given == 3 || !self.has_same(version));
        }
        let order = version.cmp(wanted);
        match self.operator.as_str() {
            "" | "=" if self.given == 3 => order.is_eq(),
            "!=" if self.given == 3 => order.is_ne(),
            "!=" => !self.has_same(version),
            ">" if matches!(self.given, 1 | 2) => order.is_gt() && !self.has_same(version),
            ">" => order.is_gt(),
            ">=" => order.is_ge(),
            "<" => order.is_lt(),
            "<=" if self.given == 3 => order.is_le(),
            // Without any number it is nought that is meant, whose last number is open.
            "<=" if self.given == 0 => version.numbers[..2] == [0, 0],
            "<=" => order.is_lt() || self.has_same(version),
            "^" => order.is_ge() && self.is_compatible(version),
            // `~`, and `=` with numbers left open
            _ => order.is_ge() && self.is_close(version),
        }
    }

    /// Whether the numbers that were written are those of the version.
    fn has_same(&self, version: &Version) -> bool {
        version.numbers[..self.given] == self.version.numbers[..self.given]
    }

    /// `~`: the same but for the last number; nought lets all in.
    fn is_close(&self, version: &Version) -> bool {
        let count = self.given.min(2);
        let is_nought = self.version.numbers == [0; 3] && matches!(self.given, 0 | 3);
        is_nought || version.numbers[..count] == self.version.numbers[..count]
    }

    /// `^`: the same up to the first number that is not nought, or the last one written.
    fn is_compatible(&self, version: &Version) -> bool {
        let numbers = &self.version.numbers;
        let last = if self.given == 0 { 3 } else { self.given };
        let count = numbers[..last].iter().position(|number| *number > 0).map_or(last, |at| at + 1);
        version.numbers[..count] == numbers[..count]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(constraint: &str, version: &str) -> Result<bool, String> {
        let version = Version::read(version)?;
        Ok(constraints(constraint)?.iter().any(|all| all.iter().all(|one| one.is_met_by(&version))))
    }

    #[test]
    fn versions_meet_constraints() {
        let yes = ["1.2 - 1.4 1.4.9", "> 1.2 <2 1.3", "* 1.3", "!=1.2.x 1.3", "!=1.2.3 1.2.3-a", "^0 0.5"];
        let more =
            ["^0.0 0.0.9", "~1 1.9", "~0.0.0 9", "^1.2.0-0 1.3.0-rc1", "1.2.3||1.2.4 1.2.4", "1.x.3 1.5.0"];
        let no =
            ["1.2 - 1.4 1.5", ">1 1.3", ">1.2 1.2.9", "<=1.2 1.3", "!=1.x 1.3", "^0.0.3 0.0.4", "^0.2.3 0.3"];
        let less =
            ["~1.2 1.3", "* 1.3.0-a", ">=1.2.0 1.3.0-rc1", "1.2.3 1.2.4 1.2.3", ">=1.2, != 1.3.0 || 5 1.3.0"];
        for (cases, expected) in [(&yes[..], true), (&more, true), (&no, false), (&less, false)] {
            for case in cases {
                let (constraint, version) = case.rsplit_once(' ').unwrap();
                assert_eq!(met(constraint, version), Ok(expected), "{case}");
            }
        }
    }

    #[test]
    fn what_is_no_version_or_constraint_is_refused() {
        for wrong in ["1.2.3-a..b", "1.2.3+", " 1.2", "1.2.3.4", ""] {
            assert!(Version::read(wrong).is_err(), "{wrong:?}");
        }
        assert!(Version::read("1.2.3-01").is_err_and(|error| error.ends_with("starts with 0")));
        for wrong in ["", "==1", "1.2.3.4", "1 ||", ">>", "1,,2", "- 1"] {
            assert!(
                constraints(wrong).is_err_and(|error| error.starts_with("improper constraint")),
                "{wrong:?}"
            );
        }
    }
}
