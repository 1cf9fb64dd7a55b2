//! `render`: templates rendered from a fixture, printed.

use std::path::PathBuf;

use daemon::Exit;

use super::{Failed, print, words::Words};
use crate::{
    config::{Config, Invocation, InvocationError, TemplateConfig, invocation, template_of_file},
    diff,
    offline::{Fixture, render_from},
    run::fan::{expanded, lister},
    source,
};

const USAGE: &str = "\
Usage: PROGRAM render -data FIXTURE [flags] TEMPLATE...

  Renders templates from the data of a file instead of a registry's, and prints them.
  Several, and those of a configuration, each after a line with the destination.

  PROGRAM render -data fixture.yaml haproxy.cfg.tmpl
  PROGRAM render -data fixture.yaml -config /etc/ryo-watch -diff

Flags:

  -data FILE                 the data: YAML, or JSON from a name that ends in .json
  -config PATH               the templates of this file or folder; repeatable
  -diff                      print how the destinations would change
  -error-on-missing-key      an absent key of a map is an error
";

pub(super) fn main(program: &str, words: &[String]) -> Result<Exit, Failed> {
    let words = Words::read(words, &["data", "config"], &["diff", "error-on-missing-key"])?;
    if words.help {
        print(USAGE.replace("PROGRAM", program).as_bytes());
        return Ok(Exit::Success);
    }
    let fixture = match words.value("data") {
        Some(path) => Fixture::read(path.as_ref()).map_err(|error| Failed::file(error.to_string()))?,
        None => return Err(Failed::flags("render needs -data FIXTURE; -help tells more")),
    };
    let configured = match words.again(&["config"]) {
        paths if paths.is_empty() => Vec::new(),
        paths => configuration(program, &paths)?.templates,
    };
    let files = words.rest.iter().map(|path| TemplateConfig {
        error_on_missing_key: words.is_on("error-on-missing-key"),
        ..template_of_file(PathBuf::from(path))
    });
    let templates: Vec<TemplateConfig> = configured.into_iter().chain(files).collect();
    if templates.is_empty() {
        return Err(Failed::flags("render needs a template or -config; -help tells more"));
    }
    let plain = templates.len() == 1 && !words.rest.is_empty();
    for template in &templates {
        for file in &files_of(template, &fixture).map_err(Failed::run)? {
            let text = rendered(file, &fixture).map_err(Failed::run)?;
            show(file, &text, plain, words.is_on("diff"));
        }
    }
    Ok(Exit::Success)
}

/// The configuration that flags tell of.
pub(super) fn configuration(program: &str, words: &[String]) -> Result<Config, Failed> {
    match invocation(program, words) {
        Ok(Invocation::Run(config)) => Ok(*config),
        Ok(_) => unreachable!("neither help nor version is among these flags"),
        Err(InvocationError::Flags(text)) => Err(Failed::flags(text)),
        Err(InvocationError::Config(error)) => Err(Failed::file(error.0)),
    }
}

/// The template itself, or with `for_each` that of each file it makes.
pub(super) fn files_of(template: &TemplateConfig, fixture: &Fixture) -> Result<Vec<TemplateConfig>, String> {
    match &template.for_each {
        Some(list) => expanded(template, &rendered(&lister(template, list), fixture)?),
        None => Ok(vec![template.clone()]),
    }
}

/// The text of one template; the error begins with its name.
pub(super) fn rendered(template: &TemplateConfig, fixture: &Fixture) -> Result<Vec<u8>, String> {
    let text = source::text(&template.source)?;
    let body = source::body(template, &text)?;
    let like = source::surroundings(template, &[]);
    render_from(body.as_ref(), fixture, &fixture.surroundings(&like).into()).map_err(|reason| {
        let name = template.source.name();
        if reason.starts_with(&name) { reason } else { format!("{name}: {reason}") }
    })
}

fn show(template: &TemplateConfig, text: &[u8], plain: bool, as_diff: bool) {
    if as_diff {
        let path = template.destination_name();
        let before =
            template.destination.as_ref().and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
        let difference = match template.secret {
            Some(true) => diff::hidden(&path),
            _ => diff::unified(&before, text, &path),
        };
        print(difference.as_bytes());
        return;
    }
    if !plain {
        print(format!("> {}\n", template.destination_name()).as_bytes());
    }
    print(text);
}
