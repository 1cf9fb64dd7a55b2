//! Filters of any kind: what is printed parses to what was meant, and no text does harm.

mod meant;

use meant::{Instance, condition, instance};
use proptest::{collection::vec, prelude::*, sample::select};
use registry_wire::filter::{Filter, Kind, fields};

static KINDS: [Kind; 5] =
    [fields::NODE, fields::SERVICE, fields::CHECK, fields::HEALTH_INSTANCE, fields::SERVICE_NODE];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The parser, the check against the fields and the evaluation together do what the condition says in plain words.
    #[test]
    fn a_printed_condition_keeps_what_was_meant(
        condition in condition(),
        style in vec(any::<u8>(), 1..32),
        instances in vec(instance(), 1..4),
    ) {
        let text = condition.print(&meant::Style::new(&style));
        let filter = Filter::parse(&text, &fields::HEALTH_INSTANCE);
        let filter = filter.map_err(|e| TestCaseError::fail(format!("{text}: {e}")))?;
        for instance in &instances {
            prop_assert_eq!(filter.keeps(&instance.shown()), condition.holds(instance), "{} of {:?}", text, instance);
        }
    }

    /// How a condition is written does not matter.
    #[test]
    fn spaces_quotes_and_parentheses_change_nothing(
        condition in condition(),
        one in vec(any::<u8>(), 1..32),
        other in vec(any::<u8>(), 1..32),
        instance in instance(),
    ) {
        let keeps = |style: &[u8], instance: &Instance| {
            let text = condition.print(&meant::Style::new(style));
            Filter::parse(&text, &fields::HEALTH_INSTANCE).map(|filter| filter.keeps(&instance.shown()))
        };
        prop_assert_eq!(keeps(&one, &instance), keeps(&other, &instance));
    }

    #[test]
    fn any_text_is_a_filter_or_an_error_with_a_place_in_it(text in any::<String>()) {
        try_all(&text)?;
    }

    /// Words of the language in any order come further than any text.
    #[test]
    fn words_in_any_order_do_no_harm(words in vec(word(), 0..12)) {
        try_all(&words.concat())?;
    }
}

fn try_all(text: &str) -> Result<(), TestCaseError> {
    let shown = Instance::default().shown();
    for kind in &KINDS {
        match Filter::parse(text, kind) {
            Ok(filter) => drop(filter.keeps(&shown)),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
    Ok(())
}

fn word() -> impl Strategy<Value = &'static str> {
    select(vec![
        " ",
        " ",
        " ",
        "\t",
        "\n",
        "(",
        ")",
        "[",
        "]",
        ".",
        "\"",
        "`",
        "\\",
        "==",
        "!=",
        "=",
        "-",
        "0",
        "07",
        "80",
        "1.5",
        "not",
        "and",
        "or",
        "in",
        "is",
        "empty",
        "contains",
        "matches",
        "Node",
        "Meta",
        "ServicePort",
        "Tags",
        "Service",
        "Checks",
        "Status",
        "a",
        "ä",
        "\"a\"",
        "`b`",
        "\"\\x4\"",
        "\"\\u00e4\"",
        "\"[\"",
        "_",
        "\0",
    ])
}
