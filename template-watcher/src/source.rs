//! From what the configuration says about a template to something that can be rendered.

use std::{fs, sync::Arc};

use crate::{
    answers::{Scope, Surroundings},
    config::{Source, TemplateConfig, go_io},
    render::Body,
    syntax::{self, Syntax},
};

/// Reads a template's text. Errors in the recorded words when there is none.
pub(crate) fn text(source: &Source) -> Result<Vec<u8>, String> {
    match source {
        Source::Inline(text) => Ok(text.clone().into_bytes()),
        Source::Unclear(reason) => Err((*reason).to_owned()),
        Source::File(path) => fs::read(path).map_err(|e| {
            let what = if path.is_dir() { "read" } else { "open" };
            format!("failed to read template: {what} {}: {}", path.display(), go_io(&e))
        }),
    }
}

/// What functions may know about a template; `environment` are the watcher's own variables.
pub(crate) fn surroundings(config: &TemplateConfig, environment: &[(String, String)]) -> Arc<Surroundings> {
    Arc::new(Surroundings {
        destination: config.destination.clone().unwrap_or_default(),
        sandbox: config.sandbox.clone(),
        is_strict: config.sandbox_is_strict,
        allowed_functions: config.allowed_functions.clone(),
        denied_functions: config.denied_functions.clone(),
        environment: environment.to_vec(),
        item: config.item.clone(),
        offline: None,
    })
}

/// The language that the configuration or the source's name tells.
pub(crate) fn syntax(config: &TemplateConfig) -> Result<Syntax, String> {
    match (config.syntax.as_deref(), &config.source) {
        (Some("go"), _) => Ok(Syntax::Go),
        (Some("jinja"), _) => Ok(Syntax::Jinja),
        (Some(other), source) => {
            Err(format!("{}: unknown syntax {other:?}; write go or jinja", source.name()))
        }
        (None, Source::File(path)) => Ok(Syntax::of(path)),
        (None, _) => Ok(Syntax::Go),
    }
}

/// Understands a template's text in its language, to be rendered.
pub(crate) fn body(config: &TemplateConfig, text: &[u8]) -> Result<Box<dyn Body>, String> {
    Ok(Box::new(template(config, text)?))
}

/// Understands a template's text in its language.
pub(crate) fn template(config: &TemplateConfig, text: &[u8]) -> Result<syntax::Template, String> {
    let folder = match &config.source {
        Source::File(path) => path.parent().map(|folder| folder.to_owned()),
        _ => None,
    };
    let options = syntax::Options {
        error_on_missing_key: config.error_on_missing_key,
        delimiters: go_template::Delimiters {
            left: config.delimiters.0.clone(),
            right: config.delimiters.1.clone(),
        },
        folder,
        ..syntax::Options::default()
    };
    let (name, syntax) = (config.source.name(), syntax(config)?);
    syntax::Template::compile(syntax, text, &name, &options).map_err(|e| e.to_string())
}

impl Body for syntax::Template {
    fn render(&self, scope: &Scope) -> Result<Vec<u8>, String> {
        syntax::Template::render(self, scope).map(|rendered| rendered.bytes).map_err(|e| e.to_string())
    }
}
