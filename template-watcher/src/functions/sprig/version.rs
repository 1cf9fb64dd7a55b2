//! Semantic versions.

use std::sync::Arc;

use go_template::{Object, Signature, Type, Value};

use super::TWO_TEXTS_TO_BOOL;
use crate::functions::{Row, string};

const TYPE: &str = "*semver.Version";

pub(in crate::functions) const ROWS: &[Row] = &[
    Row::pure(
        "sprig_semver",
        Signature::new(&[Type::Str], Type::Object(TYPE)),
        "A version: Major, Minor, Patch, Prerelease, Metadata, Original.",
        |_, a| Version::read(&string(&a[0])).map(|version| Value::Object(Arc::new(version))),
    )
.example(r#"{{ with sprig_semver "1.2.3-rc.1" }}{{ .Major }} {{ .Minor }} {{ .Patch }} {{ .Prerelease }}{{ end }}"#, "1 2 3 rc.1"),
    Row::pure(
        "sprig_semverCompare",
        TWO_TEXTS_TO_BOOL,
        "`CONSTRAINT VERSION`: whether the version meets `>=1.2`, `~1.2`, `^1`, `1.x`, with `,` for and, `||` for or.",
        |_, a| meets(&string(&a[0]), &Version::read(&string(&a[1]))?).map(Value::Bool),
    )
.example(r#"{{ sprig_semverCompare "^1.2" "1.4.0" }}"#, "true"),
];

struct Version {
    numbers: [u64; 3],
    prerelease: String,
    metadata: String,
    written: String,
    /// How many of the numbers were written.
    given: usize,
}

impl Version {
    fn read(text: &str) -> Result<Self, String> {
        let invalid = || "Invalid Semantic Version".to_owned();
        let body = text.strip_prefix('v').unwrap_or(text);
        let (body, metadata) = body.split_once('+').unwrap_or((body, ""));
        let (body, prerelease) = body.split_once('-').unwrap_or((body, ""));
        let mut numbers = [0; 3];
        let parts: Vec<&str> = body.split('.').collect();
        if parts.len() > 3 {
            return Err(invalid());
        }
        for (number, part) in numbers.iter_mut().zip(&parts) {
            *number = part.parse().map_err(|_| invalid())?;
        }
        Ok(Version {
            numbers,
            prerelease: prerelease.to_owned(),
            metadata: metadata.to_owned(),
            written: text.to_owned(),
            given: parts.len(),
        })
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
            _ => None,
        }
    }

    fn call(&self, name: &str, _: Vec<Value>) -> Result<Value, String> {
        Ok(match name {
            "Major" => Value::uint(self.numbers[0]),
            "Minor" => Value::uint(self.numbers[1]),
            "Patch" => Value::uint(self.numbers[2]),
            "Prerelease" => Value::from(self.prerelease.as_str()),
            "Metadata" => Value::from(self.metadata.as_str()),
            "Original" => Value::from(self.written.as_str()),
            _ => Value::from(self.text().unwrap_or_default()),
        })
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

fn meets(constraint: &str, version: &Version) -> Result<bool, String> {
    for alternative in constraint.split("||") {
        let mut all = true;
        for part in alternative.split([',', ' ']).filter(|part| !part.is_empty()) {
            all &= meets_one(part, version)?;
        }
        if all {
            return Ok(true);
        }
    }
    Ok(false)
}

fn meets_one(constraint: &str, version: &Version) -> Result<bool, String> {
    let split = constraint.find(|c: char| !"=<>!~^".contains(c)).unwrap_or(constraint.len());
    let (operator, wanted) = constraint.split_at(split);
    let parts: Vec<&str> = wanted.split('.').take_while(|part| !matches!(*part, "x" | "X" | "*")).collect();
    if parts.is_empty() {
        return Ok(true);
    }
    let wanted = Version::read(&parts.join(".")).map_err(|_| format!("improper constraint: {constraint}"))?;
    if !version.prerelease.is_empty() && wanted.prerelease.is_empty() {
        return Ok(operator == "!=");
    }
    let order = version.cmp(&wanted);
    let same = |count: usize| version.numbers[..count] == wanted.numbers[..count];
    Ok(match operator {
        "" | "=" if wanted.given < 3 => same(wanted.given),
        "" | "=" => order.is_eq(),
        "!=" if wanted.given < 3 => !same(wanted.given),
        "!=" => order.is_ne(),
        ">" if wanted.given < 3 => order.is_gt() && !same(wanted.given),
        ">" => order.is_gt(),
        ">=" | "=>" => order.is_ge(),
        "<" => order.is_lt(),
        "<=" | "=<" if wanted.given < 3 => order.is_lt() || same(wanted.given),
        "<=" | "=<" => order.is_le(),
        "~" | "~>" => order.is_ge() && same(wanted.given.min(2)),
        "^" => {
            let leading =
                wanted.numbers.iter().position(|number| *number > 0).map_or(wanted.given, |at| at + 1);
            order.is_ge() && same(leading.min(3))
        }
        _ => return Err(format!("improper constraint: {constraint}")),
    })
}
