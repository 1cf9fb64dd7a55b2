//! HCL1 and JSON configuration text to values: pure.
//!
//! HCL1 is the language of Consul's and consul-template's files; it is not HCL2 (no expressions, `0644` is octal, a
//! repeated block is a list). A parsed [`Document`] keeps the place of every key and value, so that whoever refuses one
//! can say `file:line:column`. Nothing here knows which keys a program has.
//!
//! ```
//! let text = "service {\n  name = \"web\" # the name\n  perms = 0644\n}\n";
//! let document = hcl1::parse("web.hcl", text.as_bytes()).unwrap();
//! assert_eq!(document.to_json().to_string(), r#"{"service":[{"name":"web","perms":420}]}"#);
//! assert_eq!(document.place_of("service.perms").unwrap().to_string(), "web.hcl:3:3");
//! ```

mod error;
mod json;
mod lexer;
mod parser;
mod plain;
mod value;

pub use error::{Error, Place, Position};
pub use value::{Document, Entry, Kind, Object, Syntax, Value};

/// The largest text that is read, in bytes. A configuration file above it is some other file.
pub const TEXT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How deep objects and lists may stand in each other.
pub const DEPTH_MAX: usize = 100;

/// Reads HCL1 or JSON, told apart by the first character that is not blank: `{` begins JSON.
///
/// This is how consul-template reads every file. JSON may have a comma after its last element here; [`parse_json`] is
/// strict. `file` is only named in errors.
///
/// Errors name the place and what was expected there; the caller shows them and loads nothing.
pub fn parse(file: &str, text: &[u8]) -> Result<Document, Error> {
    let text = lexer::prepare(file, text)?;
    lexer::refuse_null(file, &text)?;
    if text.trim_start().starts_with('{') {
        return json::parse(file, &text, json::Commas::Lenient);
    }
    parser::parse(file, &text)
}

/// Reads plain JSON, as Consul reads a `.json` file: an object, no comments, no comma at the end.
///
/// An empty text is an empty object. The error's [`Error::reason`] is what Go's `encoding/json` says.
pub fn parse_json(file: &str, text: &[u8]) -> Result<Document, Error> {
    let text = lexer::prepare(file, text)?;
    json::parse(file, &text, json::Commas::Strict)
}
