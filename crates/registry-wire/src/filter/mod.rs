//! The filter language of `?filter=`: `ServicePort == 80 and "v1" in ServiceTags`.
//!
//! An expression is parsed (`parse`), checked against the fields of what it filters ([`fields`]) and then run over the
//! objects as Consul's JSON shows them (`run`). Grammar and words follow `go-bexpr` as Consul uses it.

pub mod fields;
mod parse;
mod reading;
mod run;

use std::hash::{Hash, Hasher};

use serde::Serialize;

pub use fields::Kind;
use parse::Expression;

use crate::regexp::PatternError;

/// A filter that fits its fields. Filters are equal when their texts are.
#[derive(Clone, Debug)]
pub struct Filter {
    text: String,
    condition: run::Condition,
}

/// Why an expression cannot be a filter. Consul's lists put [`FilterError::PREFIX`] before the text and answer 500.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// It does not follow the grammar.
    #[error("{0}")]
    Syntax(
        /// `line:column (byte): what is wrong`, a line for each thing.
        String,
    ),
    /// No such field.
    #[error("Selector {0:?} is not valid")]
    Selector(String),
    /// The field cannot be compared like this.
    #[error("Invalid match operator {operator:?} for selector {selector:?}")]
    Operator {
        /// `Equal`, `Is Empty`, …
        operator: &'static str,
        /// The field.
        selector: String,
    },
    /// The value is not of the field's kind.
    #[error("Failed to coerce value {value:?} for selector {selector:?}: {why}")]
    Value {
        /// The value.
        value: String,
        /// The field.
        selector: String,
        /// What Go's parser says.
        why: String,
    },
    /// The value of `matches` is no regular expression.
    #[error("Failed to compile regular expression {text:?}: {error}")]
    Pattern {
        /// The expression.
        text: String,
        /// What is wrong with it.
        #[source]
        error: PatternError,
    },
}

impl FilterError {
    /// What most endpoints say before it.
    pub const PREFIX: &str = "Failed to create boolean expression evaluator: ";
}

impl Filter {
    /// Reads a filter for objects with these fields.
    pub fn parse(text: &str, fields: &'static Kind) -> Result<Self, FilterError> {
        let expression: Expression = parse::parse(text)?;
        Ok(Self { text: text.to_owned(), condition: run::check(&expression, fields)? })
    }

    /// Whether it lets an object through, given as the JSON that is shown of it.
    pub fn keeps(&self, shown: &(impl Serialize + ?Sized)) -> bool {
        let value = serde_json::to_value(shown).expect("our types have text keys");
        self.condition.holds(&value)
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Filter {}

impl Hash for Filter {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn instance() -> Value {
        json!({
            "Node": { "Node": "n1", "Meta": { "rack": "r1" }, "TaggedAddresses": null },
            "Service": { "ID": "web1", "Service": "web", "Tags": ["v1", "Primary"], "Port": 80, "EnableTagOverride": false,
                "Weights": { "Passing": 5, "Warning": 1 }, "TaggedAddresses": { "lan": { "Address": "10.0.0.1", "Port": 81 } } },
            "Checks": [{ "CheckID": "a", "Status": "passing" }, { "CheckID": "b", "Status": "warning" }],
        })
    }

    fn keeps(text: &str) -> bool {
        Filter::parse(text, &fields::HEALTH_INSTANCE)
            .unwrap_or_else(|e| panic!("{text}: {e}"))
            .keeps(&instance())
    }

    #[test]
    fn each_operator_holds_or_not() {
        for yes in [
            "Node.Node == n1",
            " Node.Node==`n1` ",
            "Node.Node != \"n2\" and not Node.Node == n2",
            "Service.Port == 80",
            "Service.Port==\"0x50\"",
            "Service.EnableTagOverride == f",
            "Service.Weights.Passing != 1",
            "v1 in Service.Tags",
            "Service.Tags contains Primary",
            "primary not in Service.Tags",
            "Service.Tags not contains v2",
            "Service.Tags is not empty",
            "Node.TaggedAddresses is empty",
            "Service.TaggedAddresses.lan.Port == 81",
            "Node.Meta[\"rack\"] == r1",
            "rack in Node.Meta",
            "Node.Meta.absent != x",
            "Node.Meta.absent matches \"x\"",
            "Node.Meta.absent not matches \"x\"",
            "we in Service.Service",
            "\"\" in Service.Service",
            "Service.Service matches \"^w.b$\"",
            "Checks.Status == warning",
            "Checks.Status != warning",
            "Node.Node == n1 or Node.Node == n2 and Node.Meta.rack == zzz",
            "not not Node.Node == n1",
            "not (Node.Node == n2 or Node.Node == n3)",
        ] {
            assert!(keeps(yes), "{yes}");
        }
        for no in [
            "Node.Node == N1",
            "(Node.Node == n1 or Node.Node == n2) and Node.Meta.rack == zzz",
            "Node.Meta.absent == x",
            "x in Node.Meta",
            "Service.Service not matches \"web\"",
            "Checks.Status == critical",
            "Checks is empty",
            "Service.Port == -1",
        ] {
            assert!(!keeps(no), "{no}");
        }
    }

    #[test]
    fn says_what_does_not_fit() {
        let said = |text| Filter::parse(text, &fields::NODE).unwrap_err().to_string();
        assert_eq!(said("Nope==1"), "Selector \"Nope\" is not valid");
        assert_eq!(said("Meta.rack.deep.er==1"), "Selector \"Meta.rack.deep\" is not valid");
        assert_eq!(said("CreateIndex==1"), "Selector \"CreateIndex\" is not valid");
        assert_eq!(said("Meta==x"), "Invalid match operator \"Equal\" for selector \"Meta\"");
        assert_eq!(said("Meta.x is empty"), "Invalid match operator \"Is Empty\" for selector \"Meta.x\"");
        assert_eq!(
            said("Node matches \"[\""),
            "Failed to compile regular expression \"[\": error parsing regexp: missing closing ]: `[`"
        );
        let said = |text| Filter::parse(text, &fields::SERVICE_NODE).unwrap_err().to_string();
        let coerce = "Failed to coerce value \"080\" for selector \"ServicePort\": strconv.ParseInt: parsing \"080\": invalid syntax";
        assert_eq!(said("ServicePort==\"080\""), coerce);
        let said_of_member = |text| Filter::parse(text, &fields::MEMBER).unwrap_err().to_string();
        assert_eq!(
            said_of_member("Port==65536"),
            "Failed to coerce value \"65536\" for selector \"Port\": strconv.ParseUint: parsing \"65536\": value out of range"
        );
        assert_eq!(said_of_member("Addr==x"), "Invalid match operator \"Equal\" for selector \"Addr\"");
        assert!(said_of_member("-1 in Addr").ends_with("parsing \"-1\": invalid syntax"));
        let coerce = "Failed to coerce value \"maybe\" for selector \"ServiceEnableTagOverride\": \
                      strconv.ParseBool: parsing \"maybe\": invalid syntax";
        assert_eq!(said("ServiceEnableTagOverride==maybe"), coerce);
    }

    fn refused(text: &str) -> String {
        match parse::parse(text) {
            Err(FilterError::Syntax(said)) => said,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn names_what_would_have_fitted_farthest() {
        let operators = r#""!=", "==", "contains", "in", "is", "matches", "not" or [ \t\r\n]"#;
        let value = r#""-", "0", "\"", "`", [ \t\r\n], [1-9] or [a-zA-Z]"#;
        let start = r#""(", "-", "0", "\"", "`", "not", [ \t\r\n], [1-9] or [a-zA-Z]"#;
        let after_word = r#""!=", ".", "==", "[", [ \t\r\n] or [a-zA-Z0-9_]"#;
        let after_value = r#"".", "[", [ \t\r\n], [a-zA-Z0-9_] or EOF"#;
        let joint = r#""and", "or", [ \t\r\n] or EOF"#;
        for (text, place, wanted) in [
            ("Node", "1:5 (4)", after_word),
            ("Node==", "1:7 (6)", value),
            ("==n1", "1:1 (0)", start),
            (" ", "1:2 (1)", start),
            ("Node = n1", "1:6 (5)", operators),
            ("Node==n1 and", "1:13 (12)", r"[ \t\r\n]"),
            ("Node==n1 AND Node==n2", "1:10 (9)", joint),
            ("Node==n1)", "1:9 (8)", after_value),
            ("Node==5)", "1:8 (7)", r#"".", [ \t\r\n], [0-9] or EOF"#),
            ("Node==-a", "1:8 (7)", r#""0" or [1-9]"#),
            ("Node is x", "1:9 (8)", r#""empty", "not" or [ \t\r\n]"#),
            ("\"x\" out Node", "1:5 (4)", r#""in", "not" or [ \t\r\n]"#),
            ("Meta..x==1", "1:6 (5)", "[a-zA-Z]"),
            ("Node\n = n1", "2:2 (6)", operators),
            ("Nodé", "1:4 (3)", after_word),
        ] {
            assert_eq!(refused(text), format!("{place}: no match found, expected: {wanted}"), "{text}");
        }
    }

    #[test]
    fn some_rules_complain_in_their_own_words() {
        for (text, said) in [
            ("(Node==n1", "1:10 (9): rule \"grouping\": Unmatched parentheses"),
            ("1==1", "1:2 (1): rule \"number\": Invalid number literal"),
            ("Node==0x50", "1:8 (7): rule \"number\": Invalid number literal"),
            ("Node==\"n1", "1:10 (9): rule \"string\": Unterminated string literal"),
            ("Node==\"\\q\"", "1:7 (6): rule \"string\": invalid syntax"),
            ("Meta[x]==1", "1:6 (5): rule \"index\": Invalid index"),
            ("Meta[\"x\"==1", "1:9 (8): rule \"index\": Unclosed index expression"),
            ("\"x\" in 5", "1:8 (7): rule \"match\": Invalid selector"),
            ("(Meta[x==1", "1:7 (6): rule \"index\": Invalid index"),
        ] {
            assert_eq!(refused(text), said, "{text}");
        }
        assert!(refused(&"(".repeat(200)).contains("nested too deeply"));
    }
}
