//! Finding and reading the files.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use hcl1::{Document, Syntax};

use super::ConfigError;

/// Reads every source in order: a file, or the `.hcl` and `.json` files of a folder in lexical order.
///
/// `warnings` gets a line for each file of a folder that is left out.
pub(super) fn read_all(
    sources: &[String],
    format: Option<&str>,
    warnings: &mut Vec<String>,
) -> Result<Vec<Document>, ConfigError> {
    let format = match format {
        None => None,
        Some("hcl") => Some(Syntax::Hcl),
        Some("json") => Some(Syntax::Json),
        Some(_) => return Err(ConfigError::new("config: -config-format must be either 'hcl' or 'json'")),
    };
    let mut documents = Vec::new();
    for source in sources {
        let unopened = |error: io::Error| {
            ConfigError::new(format!("config: Open failed on {source}. open {source}: {}", go_text(&error)))
        };
        if fs::metadata(source).map_err(unopened)?.is_dir() {
            for path in folder(Path::new(source)).map_err(unopened)? {
                match format.or_else(|| syntax_of(&path)) {
                    Some(syntax) => documents.push(read(&path, syntax)?),
                    None => warnings.push(format!(
                        "skipping file {}, extension must be .hcl or .json, or config format must be set",
                        path.display()
                    )),
                }
            }
        } else {
            let path = Path::new(source);
            let Some(syntax) = format.or_else(|| syntax_of(path)) else {
                return Err(ConfigError::new(format!(
                    "file {source} has unknown extension; must be .hcl or .json, or config format must be set"
                )));
            };
            documents.push(read(path, syntax)?);
        }
    }
    Ok(documents)
}

/// Reads a text that stands in no file.
pub(super) fn parse(name: &str, text: &[u8], syntax: Syntax) -> Result<Document, ConfigError> {
    let parsed = match syntax {
        Syntax::Json => hcl1::parse_json(name, text),
        Syntax::Hcl => hcl1::parse(name, text),
    };
    parsed.map_err(|error| {
        ConfigError::new(format!("failed to parse {name}: {}", error.consul_text()))
            .with_hint(error.to_string())
    })
}

fn read(path: &Path, syntax: Syntax) -> Result<Document, ConfigError> {
    let name = path.display().to_string();
    let text = fs::read(path).map_err(|error| {
        ConfigError::new(format!("config: ReadFile failed on {name}: open {name}: {}", go_text(&error)))
    })?;
    parse(&name, &text, syntax)
}

/// The files of a folder, not those of folders in it.
fn folder(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let file = entry?.path();
        // Follows links; a link into nowhere is left out like a folder.
        if fs::metadata(&file).is_ok_and(|meta| meta.is_file()) {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn syntax_of(path: &Path) -> Option<Syntax> {
    match path.extension()?.to_str()? {
        "hcl" => Some(Syntax::Hcl),
        "json" => Some(Syntax::Json),
        _ => None,
    }
}

/// An error of the system in Go's words, which scripts look for.
fn go_text(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        _ => {
            let text = error.to_string();
            let plain = text.split(" (os error").next().unwrap_or(&text);
            plain.to_ascii_lowercase()
        }
    }
}
