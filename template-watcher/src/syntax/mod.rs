//! The two languages a template may be written in. Both call the functions of [`crate::functions`] on the same data; how a
//! value looks in text is each language's own affair.

mod go;
mod jinja;

use std::path::{Path, PathBuf};

use go_template::{Delimiters, MissingKey};
use thiserror::Error;

use crate::answers::{Asked, Scope};

/// A language of templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// Go's `text/template`.
    Go,
    /// Jinja.
    Jinja,
}

impl Syntax {
    /// The language of a file: `.j2`, `.jinja` and `.jinja2` are Jinja, everything else is Go.
    pub fn of(path: &Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("j2" | "jinja" | "jinja2") => Syntax::Jinja,
            _ => Syntax::Go,
        }
    }
}

/// How much one rendering may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Statements of a Go template and instructions of a Jinja template, loops counted each time.
    pub steps_max: u64,
    /// Bytes that are printed.
    pub output_bytes_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds { steps_max: 200_000_000, output_bytes_max: 256 << 20 }
    }
}

/// How a template is read and executed.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether an absent key of a map is an error instead of nothing (`error_on_missing_key`).
    pub error_on_missing_key: bool,
    /// What opens and closes an action of a Go template; Jinja's own in Jinja.
    pub delimiters: Delimiters,
    /// Where Jinja's `include` and `import` look; nowhere when there is none.
    pub folder: Option<PathBuf>,
    /// How much one rendering may do.
    pub bounds: Bounds,
}

/// A template that was read once, to be rendered any number of times.
pub struct Template {
    name: String,
    kind: Compiled,
}

enum Compiled {
    Go(go::Template),
    Jinja(jinja::Template),
}

/// A rendered text and what it was made from.
#[derive(Debug)]
pub struct Rendered {
    /// The text; not complete while something is missing.
    pub bytes: Vec<u8>,
    /// The questions asked, and those without an answer yet.
    pub asked: Asked,
}

/// Why a template gives no text.
#[derive(Debug, Error)]
pub enum RenderError {
    /// It cannot be read: `a.tmpl: parse: template: a.tmpl:3: unexpected {{end}}`.
    #[error("{name}: parse: {reason}")]
    Parse {
        /// The template.
        name: String,
        /// What is wrong, with its place.
        reason: String,
    },
    /// It failed while it was executed.
    #[error("{name}: execute: {reason}")]
    Execute {
        /// The template.
        name: String,
        /// What is wrong, with its place.
        reason: String,
        /// What had been asked. While something is missing the error may come from that alone.
        asked: Box<Asked>,
    },
}

impl Template {
    /// Reads a template. The name stands in error texts; a path is best.
    ///
    /// # Errors
    /// [`RenderError::Parse`].
    pub fn compile(
        syntax: Syntax,
        source: &[u8],
        name: &str,
        options: &Options,
    ) -> Result<Self, RenderError> {
        let failed = |reason: String| RenderError::Parse { name: name.to_owned(), reason };
        let kind = match syntax {
            Syntax::Go => Compiled::Go(go::Template::compile(source, name, options).map_err(failed)?),
            Syntax::Jinja => {
                Compiled::Jinja(jinja::Template::compile(source, name, options).map_err(failed)?)
            }
        };
        Ok(Template { name: name.to_owned(), kind })
    }

    /// The calls of functions in a Go template; none for Jinja.
    pub fn calls(&self) -> Vec<go_template::Call> {
        match &self.kind {
            Compiled::Go(template) => template.calls(),
            Compiled::Jinja(_) => Vec::new(),
        }
    }

    /// Names in a Jinja template that nothing stands behind; a Go template with such is not read at all.
    pub fn unknown_names(&self) -> Vec<String> {
        match &self.kind {
            Compiled::Go(_) => Vec::new(),
            Compiled::Jinja(template) => template.unknown_names(),
        }
    }

    /// Renders the template with what the scope knows.
    ///
    /// # Errors
    /// [`RenderError::Execute`].
    pub fn render(&self, scope: &Scope) -> Result<Rendered, RenderError> {
        let result = match &self.kind {
            Compiled::Go(template) => template.render(scope),
            Compiled::Jinja(template) => template.render(scope),
        };
        let asked = scope.asked();
        match result {
            Ok(bytes) => Ok(Rendered { bytes, asked }),
            Err(reason) => {
                Err(RenderError::Execute { name: self.name.clone(), reason, asked: Box::new(asked) })
            }
        }
    }
}

/// What an absent key means.
fn missing_key(options: &Options) -> MissingKey {
    if options.error_on_missing_key { MissingKey::Error } else { MissingKey::Zero }
}
