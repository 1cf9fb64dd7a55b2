//! Expressions to values.

use registry_wire::query::parse_bool;

use super::{Expression, Place, Value};

/// What the names in a text stand for.
pub(crate) trait Variables {
    /// The value of a variable; `None` when there is none of this name.
    fn variable(&self, name: &str) -> Option<&str>;

    /// The part of the name that the group with this number took: `match(1)`. Empty when there is none.
    fn group(&self, number: i64) -> &str;
}

impl Expression {
    /// The text that it comes to. Errors say where and why, in Consul's words.
    pub(crate) fn text(&self, variables: &impl Variables) -> Result<String, String> {
        self.value(variables).map(Value::into_text)
    }

    fn value(&self, variables: &impl Variables) -> Result<Value, String> {
        match self {
            Self::Text(parts) => {
                let texts: Result<Vec<_>, _> = parts.iter().map(|part| part.text(variables)).collect();
                Ok(Value::Text(texts?.concat()))
            }
            Self::Literal(value) => Ok(value.clone()),
            Self::Variable(place, name) => match variables.variable(name) {
                Some(text) => Ok(Value::Text(text.to_owned())),
                None => Err(format!("{}: unknown variable accessed: {name}", place.short())),
            },
            Self::Call(place, name, arguments) => call(*place, name, arguments, variables),
            Self::Unary(place, sign, operand) => {
                // As if an operand stood before the sign.
                let operand = operand.value(variables)?;
                match *sign {
                    "!" => {
                        operand.flag(|kind| operand_fault(*place, 2, "Bool", kind)).map(|f| Value::Flag(!f))
                    }
                    _ => arithmetic(*place, "-", Value::Whole(0), operand),
                }
            }
            Self::Binary(place, sign, left, right) => {
                let (left, right) = (left.value(variables)?, right.value(variables)?);
                match *sign {
                    "&&" | "||" => logical(*place, sign, left, right),
                    "==" | "!=" => {
                        equal(*place, left, right).map(|equal| Value::Flag(equal == (*sign == "==")))
                    }
                    "<" | "<=" | ">" | ">=" => compare(*place, sign, left, right),
                    _ => arithmetic(*place, sign, left, right),
                }
            }
            Self::Choice(place, condition, then, otherwise) => {
                let fault = |kind: &Value| {
                    place.long(&format!(
                        "condition must be type bool, not type {}",
                        kind.kind().to_lowercase()
                    ))
                };
                let condition = condition.value(variables)?.flag(fault)?;
                if condition { then.value(variables) } else { otherwise.value(variables) }
            }
        }
    }
}

/// `match(1)`, the only function.
fn call(
    place: Place,
    name: &str,
    arguments: &[Expression],
    variables: &impl Variables,
) -> Result<Value, String> {
    if name != "match" {
        return Err(format!("{}: unknown function called: {name}", place.short()));
    }
    let [number] = arguments else {
        return Err(format!("{}: match: expected 1 arguments, got {}", place.short(), arguments.len()));
    };
    let number = match number.value(variables)? {
        Value::Whole(number) => number,
        Value::Fraction(number) => number as i64,
        Value::Text(text) => whole(&text)?,
        Value::Flag(_) => {
            return Err(place.long("match: argument 1 should be type int, got type bool"));
        }
    };
    Ok(Value::Text(variables.group(number).to_owned()))
}

fn logical(place: Place, sign: &str, left: Value, right: Value) -> Result<Value, String> {
    let fault = |kind: &Value| {
        place.long(&format!("logical operators require boolean operands, not Type{}", kind.kind()))
    };
    let (left, right) = (left.flag(fault)?, right.flag(fault)?);
    Ok(Value::Flag(if sign == "&&" { left && right } else { left || right }))
}

fn equal(place: Place, left: Value, right: Value) -> Result<bool, String> {
    match (&left, &right) {
        (Value::Text(a), Value::Text(b)) => Ok(a == b),
        (Value::Flag(a), Value::Flag(b)) => Ok(a == b),
        (Value::Flag(flag), Value::Text(text)) | (Value::Text(text), Value::Flag(flag)) => {
            Ok(truth(text)? == *flag)
        }
        (Value::Flag(_), other) => Err(operand_fault(place, 2, "Bool", other)),
        (other, Value::Flag(_)) => Err(operand_fault(place, 1, "Bool", other)),
        _ => Ok(match numbers(place, left, right)? {
            Numbers::Whole(a, b) => a == b,
            Numbers::Fraction(a, b) => a == b,
        }),
    }
}

fn compare(place: Place, sign: &str, left: Value, right: Value) -> Result<Value, String> {
    let order = match numbers(place, left, right)? {
        Numbers::Whole(a, b) => Some(a.cmp(&b)),
        Numbers::Fraction(a, b) => a.partial_cmp(&b),
    };
    Ok(Value::Flag(order.is_some_and(|order| match sign {
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        _ => order.is_ge(),
    })))
}

fn arithmetic(place: Place, sign: &str, left: Value, right: Value) -> Result<Value, String> {
    match numbers(place, left, right)? {
        Numbers::Whole(a, b) => {
            let result = match sign {
                "+" => Some(a.wrapping_add(b)),
                "-" => Some(a.wrapping_sub(b)),
                "*" => Some(a.wrapping_mul(b)),
                "/" => (b != 0).then(|| a.wrapping_div(b)),
                _ => (b != 0).then(|| a.wrapping_rem(b)),
            };
            result.map(Value::Whole).ok_or_else(|| "__builtin_IntMath: divide by zero".to_owned())
        }
        Numbers::Fraction(a, b) => Ok(Value::Fraction(match sign {
            "+" => a + b,
            "-" => a - b,
            "*" => a * b,
            "/" => a / b,
            _ => a % b,
        })),
    }
}

/// Two numbers of one kind.
enum Numbers {
    Whole(i64, i64),
    Fraction(f64, f64),
}

/// Texts are read as numbers; a fraction makes the other one a fraction too.
fn numbers(place: Place, left: Value, right: Value) -> Result<Numbers, String> {
    for (number, operand) in [(1, &left), (2, &right)] {
        if matches!(operand, Value::Flag(_)) {
            return Err(operand_fault(place, number, "Int", operand));
        }
    }
    if matches!(left, Value::Fraction(_)) || matches!(right, Value::Fraction(_)) {
        return Ok(Numbers::Fraction(left.fraction()?, right.fraction()?));
    }
    Ok(Numbers::Whole(left.whole()?, right.whole()?))
}

fn operand_fault(place: Place, number: usize, wanted: &str, found: &Value) -> String {
    place.long(&format!("operand {number} should be Type{wanted}, got Type{}", found.kind()))
}

fn truth(text: &str) -> Result<bool, String> {
    parse_bool(text).map_err(|error| format!("__builtin_StringToBool: {error}"))
}

fn whole(text: &str) -> Result<i64, String> {
    let fault = |why| format!("__builtin_StringToInt: strconv.ParseInt: parsing {text:?}: {why}");
    text.parse().map_err(|error: std::num::ParseIntError| match error.kind() {
        std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => {
            fault("value out of range")
        }
        _ => fault("invalid syntax"),
    })
}

impl Value {
    fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "String",
            Self::Whole(_) => "Int",
            Self::Fraction(_) => "Float",
            Self::Flag(_) => "Bool",
        }
    }

    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Whole(number) => number.to_string(),
            Self::Fraction(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
        }
    }

    fn flag(self, fault: impl FnOnce(&Self) -> String) -> Result<bool, String> {
        match self {
            Self::Flag(flag) => Ok(flag),
            Self::Text(text) => truth(&text),
            other => Err(fault(&other)),
        }
    }

    fn whole(self) -> Result<i64, String> {
        match self {
            Self::Whole(number) => Ok(number),
            other => whole(&other.into_text()),
        }
    }

    fn fraction(self) -> Result<f64, String> {
        match self {
            Self::Whole(number) => Ok(number as f64),
            Self::Fraction(number) => Ok(number),
            other => {
                let text = other.into_text();
                let fault = || {
                    format!("__builtin_StringToFloat: strconv.ParseFloat: parsing {text:?}: invalid syntax")
                };
                text.parse().map_err(|_| fault())
            }
        }
    }
}

impl Place {
    fn short(self) -> String {
        format!("{}:{}", self.line, self.column)
    }

    fn long(self, what: &str) -> String {
        format!("At column {}, line {}: {what}", self.column, self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::parse, *};

    struct Known;

    impl Variables for Known {
        fn variable(&self, name: &str) -> Option<&str> {
            Some("tt-ac").filter(|_| name == "name.full")
        }

        fn group(&self, number: i64) -> &str {
            if number == 1 { "a" } else { "" }
        }
    }

    fn filled(text: &str) -> String {
        match parse(text) {
            Ok(expression) => expression.text(&Known).unwrap_or_else(|why| why),
            Err(fault) => fault.to_string(),
        }
    }

    #[test]
    fn texts_are_filled_in() {
        let table = [
            ("a ${name.full} b", "a tt-ac b"),
            ("${match(1)}|${ match( 2 ) }", "a|"),
            ("${match(1+1-1)}${match(1.9)}${match(-1)}${match (1)}", "aaa"),
            ("$${x} $x a$$b $$$${name.full} a}b", "${x} $x a$b $${name.full} a}b"),
            ("$$${name.full}", "$tt-ac"),
            ("${1 + 2 * 3} ${(1+2)*3} ${10%3} ${1/2} ${1/2.0} ${1.5 + 1} ${1.0}", "7 9 1 0 0.5 2.5 1"),
            ("${--1} ${1 - - 1} ${007} ${ 3-1}", "1 2 7 2"),
            (
                "${!true} ${1==1} ${\"1\" == 1} ${\"a\" == \"b\"} ${1 != 2 && true} ${1 < 2}",
                "false true true false true true",
            ),
            ("${name.full == \"tt-ac\" ? \"y\" : \"n\"}", "y"),
            (r#"${"x${name.full}y\\n\"$$"}"#, r#"xtt-acy\n"$"#),
            ("é${\"\"}", "é"),
        ];
        for (text, wanted) in table {
            assert_eq!(filled(text), wanted, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_where() {
        let table = [
            ("${nope", "1:7: expected \"}\" but found end of string"),
            ("${}", "1:3: expected expression but found \"}\""),
            ("${1\n+}", "2:2: expected expression but found \"}\""),
            ("${#}", "1:3: expected expression but found invalid sequence \"#\""),
            ("${name.full  name.full}", "1:14: expected \"}\" but found \"name.full\""),
            ("${1e3}", "1:4: expected \"}\" but found \"e3\""),
            ("${1 1.5}", "1:5: expected \"}\" but found float 1.5"),
            ("${1 \"a\"}", "1:5: expected \"}\" but found opening quote"),
            ("${match(1 2)}", "1:11: expected \")\" but found integer 2"),
            ("${1 ? 2}", "1:8: expected : but found \"}\""),
            ("${\"open}", "1:4: expected \"${\" but found invalid sequence \"open}\""),
            (
                "${99999999999999999999}",
                "1:3: invalid integer: strconv.Atoi: parsing \"99999999999999999999\": value out of range",
            ),
        ];
        for (text, wanted) in table {
            assert_eq!(filled(text), format!("parse error at {wanted}"), "{text}");
        }
    }

    #[test]
    fn what_has_no_value_says_why() {
        let table = [
            ("${nope}", "1:3: unknown variable accessed: nope"),
            ("${name.full-1}", "1:3: unknown variable accessed: name.full-1"),
            ("${upper(1)}", "1:3: unknown function called: upper"),
            ("${match(1,2)}", "1:3: match: expected 1 arguments, got 2"),
            ("${match(true)}", "At column 3, line 1: match: argument 1 should be type int, got type bool"),
            (
                "${match(name.full)}",
                "__builtin_StringToInt: strconv.ParseInt: parsing \"tt-ac\": invalid syntax",
            ),
            ("${10/0}", "__builtin_IntMath: divide by zero"),
            ("x${true+1}", "At column 4, line 1: operand 1 should be TypeInt, got TypeBool"),
            ("${true == 1}", "At column 3, line 1: operand 2 should be TypeBool, got TypeInt"),
            ("${!1}", "At column 3, line 1: operand 2 should be TypeBool, got TypeInt"),
            ("${-true}", "At column 3, line 1: operand 2 should be TypeInt, got TypeBool"),
            ("${1 && true}", "At column 3, line 1: logical operators require boolean operands, not TypeInt"),
            ("${1 ? 2 : 3}", "At column 3, line 1: condition must be type bool, not type int"),
            (
                "${name.full ? 1 : 2}",
                "__builtin_StringToBool: strconv.ParseBool: parsing \"tt-ac\": invalid syntax",
            ),
        ];
        for (text, wanted) in table {
            assert_eq!(filled(text), wanted, "{text}");
        }
    }

    #[test]
    fn expressions_without_end_are_refused() {
        let deep = |open: &str| filled(&format!("${{{}", open.repeat(5000)));
        for open in ["(", "-", "!", "\"${", "match(", "1?"] {
            assert!(deep(open).contains("within one another"), "{open}");
        }
    }
}
